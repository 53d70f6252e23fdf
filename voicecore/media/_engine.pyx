"""The engine's shards: native threads with sockets. Linux only."""

import os
import weakref

cimport cython
from libc.stdint cimport int64_t, uint64_t

from voicecore.media._call cimport (
    NativeCall,
    check_opened,
    fill_config,
    make_event,
    make_ring,
    signal_of,
)
from voicecore.media._common cimport check
from voicecore.media._pcm_ring cimport RingPool, make_pool
from voicecore.media._silero cimport SileroModel
from voicecore.media.c_base cimport (
    VC_DUPLICATE,
    VC_E_STATE,
    VC_E_SYSTEM,
    VC_FULL,
    VC_OK,
    vc_allocator,
    vc_status,
)
from voicecore.media.c_engine cimport *
from voicecore.media.c_silero cimport vc_silero_model

from voicecore import errors as _errors  # used by the inline functions of _common.pxd
from voicecore.errors import CapacityError, ConfigError, StateError, SystemCallError
from voicecore.media._silero import silero_model
from voicecore.media.capacity import EngineProfile, ShardEstimate, StageTime


cdef extern from "errno.h" nogil:
    int errno

cdef extern from "engine/vc_waker.h" nogil:
    ctypedef struct vc_waker:
        pass
    vc_status vc_waker_init(vc_waker *waker, int fd, int period_ms)

cdef extern from "base/vc_huge_pages.h" nogil:
    const size_t VC_HUGE_CHUNK_BYTES
    const vc_allocator *vc_huge_pages()

cdef extern from "engine/vc_shard.h" nogil:
    enum:
        VC_SHARD_STAT_COUNT
        VC_SHARD_BUCKETS
        VC_SHARD_ALWAYS_ADMITTED
        VC_STAGE_COUNT
    ctypedef struct vc_shard:
        pass
    ctypedef struct vc_leg:
        pass
    ctypedef struct vc_shard_config:
        const vc_silero_model *model_8k
        const vc_silero_model *model_16k
        int max_calls
        vc_waker *waker
        int cpu
        int priority
        double max_load
        double max_lateness_ms
        int raw_send
        const char *port_ip
        int port
        const vc_allocator *allocator
    ctypedef struct vc_shard_profile:
        uint64_t ns[6]
        uint64_t units[6]
        uint64_t clock_ns
        uint64_t lateness[24]
        uint64_t work[24]
    ctypedef struct vc_shard_estimate:
        int calls
        double load
        double us_per_call
        double projected_load
        double lateness_ms
        double capacity_calls
    ctypedef struct vc_leg_config:
        vc_call_config call
        const char *local_ip
        int local_port
        const char *remote_ip
        int remote_port
    vc_shard_config vc_shard_config_default()
    vc_status vc_shard_create(vc_shard **out, const vc_shard_config *config)
    vc_status vc_shard_start(vc_shard *shard)
    void vc_shard_stop(vc_shard *shard)
    void vc_shard_destroy(vc_shard *shard)
    void vc_shard_abandon(vc_shard *shard)
    void vc_leg_abandon(vc_leg *leg)
    vc_status vc_shard_open(vc_shard *shard, const vc_leg_config *config, vc_leg **out)
    vc_status vc_shard_close(vc_shard *shard, vc_leg *leg)
    vc_status vc_leg_set_remote(vc_shard *shard, vc_leg *leg, const vc_address *remote)
    vc_status vc_shard_move(vc_shard *shard, vc_leg *leg, vc_shard *to)
    void vc_shard_free(vc_shard *shard, vc_leg *leg)
    vc_call *vc_leg_call(vc_leg *leg)
    void vc_leg_local(const vc_leg *leg, char *ip, size_t n, int *port)
    void vc_shard_local(const vc_shard *shard, char *ip, size_t n, int *port)
    void vc_shard_wake(vc_shard *shard)
    vc_status vc_shard_next_event(vc_shard *shard, vc_event *event)
    void vc_shard_get_stats(const vc_shard *shard, uint64_t *stats)
    void vc_shard_get_profile(const vc_shard *shard, vc_shard_profile *profile)
    void vc_shard_get_estimate(const vc_shard *shard, vc_shard_estimate *estimate)

cdef extern from "sys/eventfd.h" nogil:
    int eventfd(unsigned int start, int flags)
    enum:
        EFD_NONBLOCK
        EFD_CLOEXEC

# In the order of vc_shard_stat.
STAT_NAMES = (
    "ticks",
    "late_ticks_1ms",
    "late_ticks_5ms",
    "late_ticks_20ms",
    "max_lateness_ns",
    "tick_work_ns",
    "max_tick_work_ns",
    "wakeups",
    "windows",
    "calls",
    "events_dropped",
    "events_waiting",
    "loop_wakeups",
    "strangers",
)
# In the order of vc_shard_stage.
STAGE_NAMES = ("wait", "receive", "take", "judge", "render", "send")


cdef int check_system(vc_status status, str what) except -1:
    """As check; a refused system call tells why. errno must still be that call's."""
    cdef int code = errno
    if status == VC_E_SYSTEM:
        raise SystemCallError(code, f"{what}: {os.strerror(code)}")
    return check(status, what)


cdef class NativeLeg(NativeCall):
    """A call with its socket on a shard."""

    cdef vc_leg *leg
    cdef vc_shard *shard
    cdef readonly int shard_index
    cdef bint closing
    cdef readonly tuple local_address

    cdef int give_remote(self, const vc_address *remote):
        return vc_leg_set_remote(self.shard, self.leg, remote)

    def push(self, pcm):
        NativeCall.push(self, pcm)
        vc_shard_wake(self.shard)


_engines = weakref.WeakSet()


def _leave_behind():
    for engine in list(_engines):
        engine.abandon()


os.register_at_fork(after_in_child=_leave_behind)


@cython.no_gc_clear  # __dealloc__ frees the legs that are still in the dictionary
cdef class NativeEngine:
    """Starts its shards at once; see voicecore.media.engine.Engine."""

    cdef SileroModel model_8k
    cdef SileroModel model_16k
    cdef vc_shard *shards[64]
    cdef readonly int shard_count
    cdef object __weakref__
    cdef readonly bint forked
    cdef int event_fd
    cdef vc_waker waker
    cdef RingPool rings
    cdef dict legs
    cdef list loads
    cdef set draining
    cdef unsigned int next_number
    cdef int max_calls
    cdef readonly tuple ports

    def __cinit__(
        self,
        int shards=1,
        level=None,
        int max_calls=4096,
        pin=(),
        int priority=0,
        double max_load=0.9,
        double max_lateness_ms=10.0,
        int wake_ms=20,
        bint raw_send=False,
        one_port=None,
    ):
        cdef vc_shard_config config = vc_shard_config_default()
        cdef int i, port
        cdef char ip[64]
        self.event_fd = -1
        self.legs = {}
        self.ports = ()
        if not 1 <= shards <= 64:
            raise ConfigError(f"shards is {shards}; it must be 1 to 64")
        if not 1 <= max_calls <= 65536:
            raise ConfigError(f"max_calls is {max_calls}; it must be 1 to 65536")
        if pin and len(pin) != shards:
            raise ConfigError(f"pin names {len(pin)} CPUs for {shards} shards; name one for each")
        self.loads = [0] * shards
        self.draining = set()
        self.max_calls = max_calls
        self.rings = make_pool(VC_HUGE_CHUNK_BYTES, vc_huge_pages())
        self.model_8k = silero_model(8000, level)
        self.model_16k = silero_model(16000, level)
        self.event_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)
        if self.event_fd < 0:
            check_system(VC_E_SYSTEM, "cannot create the engine's eventfd")
        config.model_8k = self.model_8k.handle
        config.model_16k = self.model_16k.handle
        config.max_calls = max_calls
        check(vc_waker_init(&self.waker, self.event_fd, wake_ms), "wake_ms")
        config.waker = &self.waker
        config.priority = priority
        config.max_load = max_load
        config.max_lateness_ms = max_lateness_ms
        config.raw_send = raw_send
        _engines.add(self)
        for i in range(shards):
            config.cpu = pin[i] if pin else -1
            what = "cannot create a shard"
            if raw_send:
                what += (
                    " with its raw socket (raw_send needs CAP_NET_RAW: run as root, give the "
                    "process or container that capability, or leave raw_send off)"
                )
            if one_port is not None:
                port_ip = one_port[0].encode()
                config.port_ip = port_ip
                config.port = one_port[1] + 2 * i if one_port[1] else 0
                what += f" with its port {one_port[0]}:{config.port} (one_port)"
            check_system(vc_shard_create(&self.shards[i], &config), what)
            self.shard_count = i + 1
            if one_port is not None:
                vc_shard_local(self.shards[i], ip, sizeof(ip), &port)
                self.ports += (((<bytes>ip).decode(), port),)
            what = "cannot start a shard's thread"
            if pin:
                what += f" on CPU {pin[i]} (pin)"
            if priority:
                what += " under SCHED_FIFO (realtime needs CAP_SYS_NICE or RLIMIT_RTPRIO)"
            check_system(vc_shard_start(self.shards[i]), what)

    def __dealloc__(self):
        self._free()
        if self.event_fd >= 0:
            os.close(self.event_fd)

    def abandon(self):
        """In the child of a fork: the threads are the parent's, so nothing is stopped or freed;
        only this process's copies of the descriptors are closed."""
        cdef int i
        cdef NativeLeg leg
        for leg in self.legs.values():
            vc_leg_abandon(leg.leg)
            leg.handle = NULL
            leg.leg = NULL
            leg.forked = True
        self.legs.clear()
        for i in range(self.shard_count):
            vc_shard_abandon(self.shards[i])
            self.shards[i] = NULL
        self.shard_count = 0
        self.forked = True

    cdef void _free(self):
        cdef int i
        cdef NativeLeg leg
        for i in range(self.shard_count):
            with nogil:
                vc_shard_stop(self.shards[i])
        for leg in list(self.legs.values()) if self.legs is not None else []:
            leg.keep_stats()
            vc_shard_free(leg.shard, leg.leg)
            leg.handle = NULL
            leg.leg = NULL
            leg.received = None
        if self.legs is not None:
            self.legs.clear()
        for i in range(self.shard_count):
            vc_shard_destroy(self.shards[i])
            self.shards[i] = NULL
        self.shard_count = 0

    def fileno(self):
        """The eventfd that becomes readable when there are events."""
        return self.event_fd

    def open(self, config):
        cdef vc_leg_config native
        cdef vc_srtp_config keys
        cdef vc_leg *handle = NULL
        cdef int status, port, index
        cdef char ip[64]
        cdef NativeLeg leg = NativeLeg()
        if self.shard_count == 0:
            raise StateError("the engine is stopped; make a new one")
        leg.received = make_ring(config, self.rings)
        fill_config(&native.call, &keys, config, self.next_number + 1)
        local_ip = config.local[0].encode()
        native.local_ip = local_ip
        native.local_port = config.local[1]
        native.remote_ip = NULL
        native.remote_port = 0
        if config.remote is not None:
            remote_ip = config.remote[0].encode()
            native.remote_ip = remote_ip
            native.remote_port = config.remote[1]
        native.call.received = leg.received.handle
        taken = False
        try:
            for index in self._by_load():
                status = vc_shard_open(self.shards[index], &native, &handle)
                # Another shard's port may have room for that remote address.
                taken = taken or status == VC_DUPLICATE
                if status != VC_DUPLICATE and not (taken and status == VC_FULL):
                    break
        finally:
            vc_srtp_wipe(&keys, sizeof(keys))
        if taken and status in (VC_DUPLICATE, VC_FULL):
            raise StateError(
                f"another open call has the remote address {config.remote}; calls of one port are "
                "told apart by it, so close that one first"
            )
        if status == VC_FULL:
            self._refuse(index)
        if status == -2:
            mine = self.ports[index] if self.ports else config.local
            raise ConfigError(
                f"cannot open the call: local {mine} or remote {config.remote} is no "
                "numeric IP address of one family with a port (resolve names first)"
            )
        if status == -9:
            code = errno
            raise SystemCallError(code, f"cannot bind {config.local}: {os.strerror(code)}")
        check_opened(status, config)
        self.next_number += 1
        self.loads[index] += 1
        leg.handle = vc_leg_call(handle)
        leg.leg = handle
        leg.shard = self.shards[index]
        leg.shard_index = index
        leg.config = config
        leg.number = self.next_number
        vc_leg_local(handle, ip, sizeof(ip), &port)
        leg.local_address = ((<bytes>ip).decode(), port)
        self.legs[leg.number] = leg
        return leg

    def _by_load(self):
        """The shards that take new calls, the emptiest first."""
        open_shards = [i for i in range(self.shard_count) if i not in self.draining]
        if not open_shards:
            raise CapacityError("all shards are draining; make another engine", "draining")
        return sorted(open_shards, key=self.loads.__getitem__)

    cdef int _refuse(self, int index) except -1:
        cdef vc_shard_estimate estimate
        vc_shard_get_estimate(self.shards[index], &estimate)
        if self.loads[index] >= self.max_calls:
            reason = "max_calls"
            why = "the engine carries max_calls calls already; close some or raise it"
        elif estimate.lateness_ms > 0 and estimate.capacity_calls >= self.loads[index] + 1:
            reason = "lateness"
            why = (
                f"ticks begin {estimate.lateness_ms:.1f} ms late, more than max_lateness_ms; free "
                "CPU time, pin the shards or give them realtime=True"
            )
        else:
            reason = "load"
            why = (
                f"the emptiest shard would need {estimate.projected_load:.2f} of a core for "
                f"{self.loads[index] + 1} calls of {estimate.us_per_call:.1f} us, more than "
                "max_load; use more shards or another machine"
            )
        raise CapacityError(why, reason, estimate.projected_load, estimate.lateness_ms)

    def move(self, NativeLeg leg, int index):
        """Hands the call to another shard; False when its thread has not got it yet. One that is
        closing stays where it is."""
        cdef int status
        if leg.leg == NULL or leg.closing:
            return True
        if self.stays(leg) and index != leg.shard_index:
            raise StateError(
                "a call's port is its shard's with one_port, so it cannot be moved; close it, or "
                "let it end where it is"
            )
        status = vc_shard_move(leg.shard, leg.leg, self.shards[index])
        if status == VC_E_STATE:
            return False
        if status == VC_FULL:
            raise CapacityError(f"shard {index} carries max_calls calls already", "max_calls")
        check(<vc_status>status, "cannot move the call")
        self.loads[leg.shard_index] -= 1
        self.loads[index] += 1
        leg.shard = self.shards[index]
        leg.shard_index = index
        return True

    def stays(self, NativeLeg leg):
        """Whether the call cannot leave its shard, whose port it uses."""
        return bool(self.ports) and leg.config.media == "rtp"

    def drain(self, int index, bint on):
        """Whether the shard takes no new calls."""
        if on:
            self.draining.add(index)
        else:
            self.draining.discard(index)

    def emptiest(self):
        """The shard that takes the next call."""
        return self._by_load()[0]

    def estimates(self):
        cdef vc_shard_estimate estimate
        cdef int i
        found = []
        for i in range(self.shard_count):
            vc_shard_get_estimate(self.shards[i], &estimate)
            found.append(
                ShardEstimate(
                    estimate.calls,
                    estimate.load,
                    estimate.us_per_call,
                    estimate.lateness_ms,
                    int(estimate.capacity_calls),
                    i in self.draining,
                )
            )
        return tuple(found)

    def profile(self):
        cdef vc_shard_profile one
        cdef int i, k
        ns = [0] * VC_STAGE_COUNT
        units = [0] * VC_STAGE_COUNT
        lateness = [0] * VC_SHARD_BUCKETS
        work = [0] * VC_SHARD_BUCKETS
        clock_ns = 0
        for i in range(self.shard_count):
            vc_shard_get_profile(self.shards[i], &one)
            clock_ns = max(clock_ns, one.clock_ns)
            for k in range(VC_STAGE_COUNT):
                ns[k] += one.ns[k]
                units[k] += one.units[k]
            for k in range(VC_SHARD_BUCKETS):
                lateness[k] += one.lateness[k]
                work[k] += one.work[k]
        stages = {
            name: StageTime(ns[k] / 1000, units[k], ns[k] / 1000 / units[k] if units[k] else 0.0)
            for k, name in enumerate(STAGE_NAMES)
        }
        return EngineProfile(stages, tuple(lateness), tuple(work), clock_ns)

    def close(self, NativeLeg leg):
        """Begins to close; the CallClosed event follows."""
        if leg.leg == NULL:
            return
        leg.closing = True
        # A second close finds the first under way (VC_E_STATE): as good.
        if vc_shard_close(leg.shard, leg.leg) == VC_FULL:
            raise StateError("the shard's mailbox is full; it does not run")

    def take_events(self):
        """[(call number, event or None, signal)] since the last time; frees closed calls."""
        cdef vc_event event
        cdef NativeLeg leg
        cdef int i
        taken = []
        stamps = []
        try:
            os.read(self.event_fd, 8)
        except BlockingIOError:
            pass
        for i in range(self.shard_count):
            while vc_shard_next_event(self.shards[i], &event) == VC_OK:
                taken.append((event.call, make_event(&event), signal_of(&event)))
                stamps.append(event.stamp_ns)
                if event.kind == VC_EVENT_CLOSED and event.call in self.legs:
                    leg = self.legs.pop(event.call)
                    self.loads[leg.shard_index] -= 1
                    leg.keep_stats()
                    leg.handle = NULL
                    vc_shard_free(leg.shard, leg.leg)
                    leg.leg = NULL
                    leg.received = None
        if self.shard_count > 1:
            # A call that moved has events in two shards' rings.
            order = sorted(range(len(taken)), key=stamps.__getitem__)
            taken = [taken[k] for k in order]
        return taken

    def stats(self):
        """Counters of all shards: sums, and the maximum for those that are maxima."""
        cdef uint64_t values[VC_SHARD_STAT_COUNT]
        cdef int i
        total = dict.fromkeys(STAT_NAMES, 0)
        for i in range(self.shard_count):
            vc_shard_get_stats(self.shards[i], values)
            for k, name in enumerate(STAT_NAMES):
                if name.startswith("max_"):
                    total[name] = max(total[name], values[k])
                else:
                    total[name] += values[k]
        return total

    def stop(self):
        """Ends the threads and frees all calls; idempotent."""
        self._free()
