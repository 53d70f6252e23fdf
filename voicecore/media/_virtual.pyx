"""The same call code under a virtual clock: no thread, no socket."""

cimport cython
from libc.stdint cimport int64_t, uint8_t

from voicecore.media._call cimport (
    NativeCall,
    check_opened,
    fill_address,
    fill_config,
    make_event,
    make_ring,
    signal_of,
)
from voicecore.media._common cimport PyBuffer_Release, check, get_bytes
from voicecore.media._silero cimport SileroModel
from voicecore.media.c_base cimport VC_IGNORED, VC_OK
from voicecore.media.c_engine cimport *

from voicecore import errors as _errors  # used by the inline functions of _common.pxd
from voicecore.errors import ClosedError
from voicecore.media._silero import silero_model


cdef void post(void *context, const vc_event *event) noexcept with gil:
    (<NativeVirtualEngine>context).pending.append(
        (event.call, make_event(event), signal_of(event))
    )


@cython.no_gc_clear  # __dealloc__ frees the calls that are still in the dictionary
cdef class NativeVirtualEngine:
    """Calls that go forward only when told to. See voicecore.testing.virtual."""

    cdef SileroModel model_8k
    cdef SileroModel model_16k
    cdef vc_bank *bank_8k
    cdef vc_bank *bank_16k
    cdef dict calls
    cdef list pending
    cdef unsigned int next_number

    def __cinit__(self, level=None):
        self.calls = {}
        self.pending = []
        self.model_8k = silero_model(8000, level)
        self.model_16k = silero_model(16000, level)
        check(vc_bank_create(&self.bank_8k, self.model_8k.handle, 65536, NULL), "virtual engine")
        check(vc_bank_create(&self.bank_16k, self.model_16k.handle, 65536, NULL), "virtual engine")

    def __dealloc__(self):
        if self.calls is not None:
            for call in self.calls.values():
                vc_call_destroy((<NativeCall>call).handle)
                (<NativeCall>call).handle = NULL
        vc_bank_destroy(self.bank_8k)
        vc_bank_destroy(self.bank_16k)

    def open(self, config):
        cdef vc_call_config native
        cdef vc_srtp_config keys
        cdef vc_address remote
        cdef NativeCall call = NativeCall()
        call.received = make_ring(config, None)
        self.next_number += 1
        fill_config(&native, &keys, config, self.next_number)
        native.model = (
            self.model_8k.handle if config.rate_hz == 8000 else self.model_16k.handle
        )
        native.received = call.received.handle
        native.sink.post = post
        native.sink.context = <void *>self
        try:
            check_opened(vc_call_create(&call.handle, &native), config)
        finally:
            vc_srtp_wipe(&keys, sizeof(keys))
        if config.remote is not None:
            fill_address(&remote, config.remote)
            check(vc_call_set_remote(call.handle, &remote), "cannot open the call")
        call.config = config
        call.number = self.next_number
        self.calls[call.number] = call
        return call

    def close(self, NativeCall call, int64_t now_ns):
        if call.handle == NULL:
            return None
        cdef uint8_t packet[VC_CALL_MAX_PACKET_BYTES]
        cdef size_t n = VC_CALL_MAX_PACKET_BYTES
        check(vc_call_report(call.handle, now_ns, 1, packet, &n), "cannot build the BYE")
        vc_call_publish(call.handle)
        vc_call_post(call.handle, VC_EVENT_CLOSED, now_ns)
        call.keep_stats()
        vc_call_destroy(call.handle)
        call.handle = NULL
        call.received = None
        del self.calls[call.number]
        return packet[:n] if n > 0 else None

    cdef int judge(self, NativeCall call, int64_t now_ns) except -1:
        cdef vc_bank *bank = self.bank_8k if call.config.rate_hz == 8000 else self.bank_16k
        check(vc_bank_note(bank, call.handle), "virtual engine")
        vc_bank_run(bank, now_ns)
        return 0

    def receive(self, NativeCall call, packet, int64_t now_ns, source=None):
        """One datagram; returns whether it was used."""
        cdef vc_address address
        if source is not None:
            fill_address(&address, source)
        cdef Py_buffer view
        cdef int status
        if call.handle == NULL:
            raise ClosedError("the call is closed")
        get_bytes(packet, &view)
        try:
            status = vc_call_receive_from(
                call.handle, NULL if source is None else &address, <const uint8_t *>view.buf,
                view.len, now_ns,
            )
        finally:
            PyBuffer_Release(&view)
        self.judge(call, now_ns)
        return status != VC_IGNORED

    def tick(self, int64_t now_ns):
        """One tick of every call: [(call, packet)], without packets for pushed calls."""
        cdef uint8_t packet[VC_CALL_MAX_PACKET_BYTES]
        cdef size_t n
        cdef NativeCall call
        sent = []
        for call in self.calls.values():
            vc_call_take_pushed(call.handle, now_ns)
            vc_call_expire(call.handle, now_ns)
            check(
                vc_bank_note(
                    self.bank_8k if call.config.rate_hz == 8000 else self.bank_16k, call.handle
                ),
                "virtual engine",
            )
        vc_bank_run(self.bank_8k, now_ns)
        vc_bank_run(self.bank_16k, now_ns)
        for call in self.calls.values():
            n = VC_CALL_MAX_PACKET_BYTES
            check(vc_call_tick(call.handle, now_ns, packet, &n), "cannot build the packet")
            if n > 0:
                vc_call_count(call.handle, VC_STAT_PACKETS_SENT, 1)
                sent.append((call, packet[:n]))
            n = VC_CALL_MAX_PACKET_BYTES
            check(vc_call_report(call.handle, now_ns, 0, packet, &n), "cannot build the report")
            if n > 0:
                sent.append((call, packet[:n]))
        return sent

    def take_events(self):
        """[(call number, event or None, signal)] since the last time."""
        taken = self.pending
        self.pending = []
        return taken
