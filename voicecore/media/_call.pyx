"""One call's producer side, shared by the real engine and the virtual one."""

from libc.stdint cimport int16_t, int64_t, uint8_t, uint64_t
from libc.string cimport memcpy, memset

from voicecore.media._common cimport (
    PyBuffer_Release,
    check,
    enter,
    get_s16,
    vc_guard_leave,
)
from voicecore.media.c_base cimport VC_DUPLICATE, VC_FULL
from voicecore.media.c_engine cimport *

import numpy as np

import ipaddress
import os
import secrets
import threading

from voicecore import errors as _errors  # used by the inline functions of _common.pxd
from voicecore.errors import (
    ClosedError,
    ConfigError,
    ForkedError,
    LengthError,
    MissingLibraryError,
    StateError,
)
from voicecore.media import events
from voicecore.media.libopus import library_path, missing_libopus

_CODECS = {
    "pcmu": VC_CODEC_PCMU,
    "pcma": VC_CODEC_PCMA,
    "l16": VC_CODEC_L16,
    "g722": VC_CODEC_G722,
    "opus": VC_CODEC_OPUS,
}

# In the order of vc_call_stat.
STAT_NAMES = (
    "packets_received",
    "packets_sent",
    "packets_malformed",
    "packets_unknown",
    "packets_strange",
    "lost",
    "late",
    "duplicate",
    "reordered",
    "resets",
    "received_samples",
    "concealed_samples",
    "unread_dropped_samples",
    "sent_dropped_samples",
    "underruns",
    "send_errors",
    "jitter_us",
    "packets_unproven",
    "sources",
    "srtp_rejected",
    "srtp_replayed",
    "rtcp_received",
    "rtcp_sent",
    "rtcp_malformed",
    "remote_lost",
    "remote_loss_ppm",
    "remote_jitter_us",
    "round_trip_us",
    "echo_erle_mdb",
    "echo_delay_us",
    "echo_drift_ppb",
    "echo_blocks",
    "echo_run_blocks",
    "echo_bytes",
    "packets_silent",
    "packets_decoded",
    "packets_held",
    "packets_discarded",
    "silence_samples",
    "windows_rested",
    "recovered",
    "underrun_samples",
    "play_queue_lowest_samples",
    "play_queue_buffering",
    "packets_shed",
)

# Paths of libopus that calls were opened with: the C struct points to them.
_paths = {}

_ACTIONS = {"none": VC_GATE_NONE, "duck": VC_GATE_DUCK, "pause": VC_GATE_PAUSE}

_FILLINGS = {
    "silence": VC_PLAYOUT_FILL_SILENCE,
    "comfort": VC_PLAYOUT_FILL_COMFORT,
    "hold": VC_PLAYOUT_FILL_HOLD,
}

_SUITES = {
    "AES_CM_128_HMAC_SHA1_80": 1,
    "AES_CM_128_HMAC_SHA1_32": 2,
    "AEAD_AES_128_GCM": 7,
}

# libsrtp2 initialises itself once a process, and not two threads at a time.
cdef vc_srtp_library *_library = NULL
_library_lock = threading.Lock()


cdef vc_srtp_library *srtp_library() except NULL:
    global _library
    path = os.environ.get("VOICECORE_LIBSRTP2")
    encoded = os.fsencode(path) if path else None
    with _library_lock:
        if _library == NULL:
            status = vc_srtp_library_create(
                &_library, NULL if encoded is None else <const char *>encoded, NULL
            )
            if status == -11:
                where = f" at VOICECORE_LIBSRTP2={path}" if path else ""
                raise MissingLibraryError(
                    f"SRTP takes libsrtp2, which is not here{where}; install it: apt install "
                    "libsrtp2-1 (Debian, Ubuntu), dnf install libsrtp (Fedora), apk add libsrtp "
                    "(Alpine) or brew install srtp (macOS)"
                )
            check(status, "libsrtp2 does not pass its own tests")
    return _library


def srtp_version():
    """Name and version of the libsrtp2 that is loaded; MissingLibraryError if there is none."""
    return vc_srtp_library_version(srtp_library()).decode()


cdef int fill_address(vc_address *out, object address) except -1:
    ip, port = address
    try:
        packed = ipaddress.ip_address(ip).packed
    except ValueError:
        raise ConfigError(f"{ip!r} is no numeric IP address; resolve names first") from None
    if not 0 < port < 65536:
        raise ConfigError(f"port is {port}; it must be 1 to 65535")
    memset(out, 0, sizeof(vc_address))
    out.family = 4 if len(packed) == 4 else 6
    out.port = port
    memcpy(out.bytes, <const uint8_t *><const char *>packed, len(packed))
    return 0


cdef int fill_gate(vc_gate_settings *out, object settings, object config) except -1:
    out.action = <vc_gate_action><int>_ACTIONS[settings.action if config.barge_in else "none"]
    out.neutral_probability = settings.neutral_probability
    out.evidence = settings.evidence
    out.min_speech_samples = settings.min_speech_ms * config.rate_hz // 1000
    out.min_snr_db = settings.min_snr_db
    out.max_echo_likelihood = settings.max_echo_likelihood
    return 0


cdef int fill_config(vc_call_config *out, vc_srtp_config *keys, object config,
                     unsigned int number) except -1:
    """Copies a CallConfig, which has checked its ranges, into the C struct. The caller wipes keys,
    which the struct then points to, when the call has been made."""
    out[0] = vc_call_config_default()
    out.number = number
    out.codec = <vc_codec><int>_CODECS[config.codec]
    out.rate_hz = config.rate_hz
    out.play_hz = config.play_hz
    out.pushed = config.media == "push"
    out.record_sent = config.record_sent or out.pushed
    out.payload_type = config.wire_payload_type
    out.dtmf_payload_type = config.dtmf_payload_type
    out.ssrc = secrets.randbits(32) if config.ssrc is None else config.ssrc
    out.first_sequence = (
        secrets.randbits(16) if config.first_sequence is None else config.first_sequence
    )
    out.first_timestamp = (
        secrets.randbits(32) if config.first_timestamp is None else config.first_timestamp
    )
    out.opus_bitrate_bps = config.opus_bitrate_bps or 0
    out.opus_complexity = -1 if config.opus_complexity is None else config.opus_complexity
    out.opus_packet_loss_percent = config.opus_packet_loss_percent
    path = library_path()
    if path is not None:
        path = _paths.setdefault(path, path)
        out.opus_library = <const char *><bytes>path
    out.speech_threshold = config.speech_threshold
    out.silence_threshold = config.silence_threshold
    out.min_speech_ms = config.min_speech_ms
    out.min_silence_ms = config.min_silence_ms
    fill_gate(&out.gate.states[VC_GATE_LISTENING], config.listening, config)
    fill_gate(&out.gate.states[VC_GATE_THINKING], config.thinking, config)
    fill_gate(&out.gate.states[VC_GATE_SPEAKING], config.speaking, config)
    out.echo = config.cancels_echo
    out.echo_tail_ms = config.echo_tail_ms
    out.fade_ms = config.fade_ms
    out.duck_db = config.duck_db
    out.duck_ms = config.duck_ms
    out.crossfade_ms = config.crossfade_ms
    out.prebuffer_ms = config.prebuffer_ms
    out.when_dry = <vc_playout_filling><int>_FILLINGS[config.when_dry]
    out.comfort_noise_db = config.comfort_noise_db
    if config.hold_sound is not None:  # which the config keeps
        out.hold = <const int16_t *><const char *>config.hold_sound
        out.hold_samples = len(config.hold_sound) // 2
    out.loss_wait_ms = config.loss_wait_ms
    out.max_jitter_ms = config.max_jitter_ms
    out.rtp_timeout_ms = config.rtp_timeout_ms
    out.play_buffer_ms = config.play_buffer_ms
    out.receive_buffer_ms = config.receive_buffer_ms
    out.sent_buffer_ms = config.sent_buffer_ms
    out.guard.learn = config.learns_source
    out.rtcp = config.rtcp
    out.rtcp_seed = out.ssrc ^ out.first_timestamp
    # Unlinkable between calls (RFC 7022), and a function of the settings if the SSRC is one.
    cname = (secrets.token_urlsafe(12) if config.ssrc is None else f"{out.ssrc:08x}").encode()
    memset(out.rtcp_cname, 0, sizeof(out.rtcp_cname))
    memcpy(out.rtcp_cname, <const char *>cname, len(cname))
    if config.srtp is not None:
        out.srtp_library = srtp_library()
        keys.suite = _SUITES[config.srtp.suite]
        send, receive = config.srtp._material()
        memset(keys.send_key, 0, sizeof(keys.send_key))
        memset(keys.receive_key, 0, sizeof(keys.receive_key))
        memcpy(keys.send_key, <const char *><bytearray>send, len(send))
        memcpy(keys.receive_key, <const char *><bytearray>receive, len(receive))
        out.srtp = keys
    return 0


cdef int check_opened(int status, object config) except -1:
    """Raises for a call that could not be made."""
    if status == -11 and config.codec == "opus":
        raise missing_libopus(library_path())
    check(status, "cannot open the call")
    return 0


def check_words(words, total):
    """(offset in the audio, number) of every word: ascending, within the audio, no two in one place."""
    starts, last = [], -1
    for start, number in words:
        if not last < start < total or not -(2**63) <= number < 2**63:
            raise ConfigError(
                f"a word begins at {start}; offsets must rise from 0 to {total - 1}, within the audio, "
                "and numbers have 64 bits"
            )
        starts.append((int(start), int(number)))
        last = start
    return starts


cdef PcmRing make_ring(object config, RingPool pool):
    return PcmRing(config.rate_hz * config.receive_buffer_ms // 1000, pool)


cdef int signal_of(const vc_event *event):
    """What the event tells those who wait: 1 there is room to play, 2 there is audio, 3 both may
    have been lost."""
    if event.kind == VC_EVENT_ROOM:
        return 1
    if event.kind == VC_EVENT_AUDIO:
        return 2
    return 3 if event.kind == VC_EVENT_EVENTS_LOST else 0


cdef object make_event(const vc_event *event):
    """The Python event; None for those that only the engine itself needs."""
    cdef int64_t stamp = event.stamp_ns
    if event.kind == VC_EVENT_SPEECH_STARTED:
        return events.SpeechStarted(stamp, event.a, event.b)
    if event.kind == VC_EVENT_SPEECH_STOPPED:
        return events.SpeechStopped(stamp, event.a, event.b)
    if event.kind == VC_EVENT_BARGED_IN:
        return events.BargedIn(stamp, event.a, event.c, event.b)
    if event.kind == VC_EVENT_PLAYOUT_STARTED:
        return events.PlayoutStarted(stamp, event.a, event.b, event.c)
    if event.kind == VC_EVENT_PLAYOUT_DRAINED:
        return events.PlayoutDrained(stamp, event.a, event.b != 0)
    if event.kind == VC_EVENT_MARK_REACHED:
        return events.MarkReached(stamp, event.a, event.b, event.c != 0)
    if event.kind == VC_EVENT_DTMF_RECEIVED:
        return events.DtmfReceived(stamp, chr(event.a), event.b)
    if event.kind == VC_EVENT_RTP_TIMED_OUT:
        return events.RtpTimedOut(stamp)
    if event.kind == VC_EVENT_EVENTS_LOST:
        return events.EventsLost(stamp, event.a)
    if event.kind == VC_EVENT_CLOSED:
        return events.CallClosed(stamp)
    if event.kind == VC_EVENT_BYE_RECEIVED:
        return events.ByeReceived(stamp)
    if event.kind == VC_EVENT_DUCKED:
        return events.Ducked(stamp, event.a)
    if event.kind == VC_EVENT_UNDUCKED:
        return events.Unducked(stamp, event.a)
    if event.kind == VC_EVENT_REPLACED:
        return events.PlayoutReplaced(stamp, event.a, event.b)
    if event.kind == VC_EVENT_PAUSED:
        return events.PlayoutPaused(stamp, event.a)
    if event.kind == VC_EVENT_FLUSHED:
        return events.PlayoutFlushed(stamp, event.a, event.b)
    if event.kind == VC_EVENT_WORD_REACHED:
        return events.WordReached(stamp, event.a, event.b)
    return None


cdef class NativeCall:
    """The handle of one call. Made by an engine; see voicecore.media.engine.Call."""

    cdef vc_call *enter(self) except NULL:
        enter(&self.busy)
        if self.handle == NULL:
            vc_guard_leave(&self.busy)
            if self.forked:
                raise ForkedError("the call is the parent process's; after a fork open new ones")
            raise ClosedError("the call is closed; open a new one with Engine.open_call")
        return self.handle

    cdef void leave(self):
        vc_guard_leave(&self.busy)

    @property
    def is_closed(self):
        return self.handle == NULL

    def play(self, pcm):
        cdef Py_buffer view
        cdef size_t n
        get_s16(pcm, &view, &n)
        try:
            vc_playout_push(vc_call_playout(self.enter()), <const int16_t *>view.buf, &n)
            self.leave()
        finally:
            PyBuffer_Release(&view)
        return n

    def play_words(self, pcm, words):
        cdef Py_buffer view
        cdef vc_playout *playout
        cdef const int16_t *samples
        cdef size_t n, end, at = 0
        cdef int64_t word = 0
        cdef bint begins = False
        get_s16(pcm, &view, &n)
        try:
            samples = <const int16_t *>view.buf
            total = n
            starts = check_words(words, total)
            playout = vc_call_playout(self.enter())
            for start, number in (*starts, (total, 0)):
                end = start
                n = end - at
                if begins:
                    vc_playout_push_word(playout, word, samples + at, &n)
                else:
                    vc_playout_push(playout, samples + at, &n)
                at += n
                if at < end:
                    break
                word = number
                begins = True
            self.leave()
        finally:
            PyBuffer_Release(&view)
        return at

    def end_segment(self):
        cdef int status = vc_playout_end_segment(vc_call_playout(self.enter()))
        self.leave()
        if status == VC_FULL:
            raise StateError("256 marks are pending; wait until some were reached")

    def mark(self, int64_t mark_id):
        cdef vc_playout *playout = vc_call_playout(self.enter())
        cdef int status = vc_playout_mark(playout, mark_id)
        cdef int64_t position = vc_playout_queue_position(playout)
        self.leave()
        if status == VC_FULL:
            raise StateError("256 marks are pending; wait until some were reached")
        return position

    def pause(self):
        self._control(vc_playout_pause(vc_call_playout(self.enter())))

    def resume(self):
        self._control(vc_playout_resume(vc_call_playout(self.enter())))

    def flush(self):
        self._control(vc_playout_flush(vc_call_playout(self.enter())))

    def set_gain(self, double gain_db, int ramp_ms):
        if not -60.0 <= gain_db <= 20.0:
            raise ConfigError(f"gain_db is {gain_db}; it must be -60 to 20")
        if not 0 <= ramp_ms <= 10000:
            raise ConfigError(f"ramp_ms is {ramp_ms}; it must be 0 to 10000")
        self._control(vc_playout_set_gain(vc_call_playout(self.enter()), gain_db, ramp_ms))

    def duck(self):
        self._control(vc_playout_duck(vc_call_playout(self.enter())))

    def unduck(self):
        self._control(vc_playout_unduck(vc_call_playout(self.enter())))

    def replace(self, int64_t from_position, pcm):
        cdef Py_buffer view
        cdef size_t n
        cdef int status
        cdef int64_t start
        cdef vc_playout *playout
        get_s16(pcm, &view, &n)
        try:
            playout = vc_call_playout(self.enter())
            start = vc_playout_queue_position(playout)
            if not 0 <= from_position <= start:
                self.leave()
                raise ConfigError(
                    f"from_position is {from_position}; it must be 0 to {start}, what is queued"
                )
            vc_playout_push(playout, <const int16_t *>view.buf, &n)
            status = vc_playout_replace(playout, from_position, start)
            self.leave()
        finally:
            PyBuffer_Release(&view)
        if status == VC_FULL:
            raise StateError("8 replacements are pending; wait for PlayoutReplaced")
        return n

    def _control(self, int status):
        self.leave()
        if status == VC_FULL:
            raise StateError(
                "64 controls (pause, flush, gain and so on) are pending within 20 ms; call them less "
                "often"
            )

    def want_room(self):
        vc_playout_want_room(vc_call_playout(self.enter()))
        self.leave()

    @property
    def queue_position(self):
        cdef int64_t position = vc_playout_queue_position(vc_call_playout(self.enter()))
        self.leave()
        return position

    @property
    def play_position(self):
        cdef int64_t position = vc_playout_play_position(vc_call_playout(self.enter()))
        self.leave()
        return position

    def send_dtmf(self, str digit, int duration_ms):
        if len(digit) != 1 or ord(digit) > 127:
            raise ConfigError(f"{digit!r} is no DTMF digit; use 0-9, *, # or A-D")
        if not 40 <= duration_ms <= 1000:
            raise ConfigError(f"duration_ms is {duration_ms}; it must be 40 to 1000")
        if self.config.media == "push":
            raise StateError(
                "this call sends no RTP that could carry key presses; use the carrier's own message"
            )
        cdef int status = vc_call_send_dtmf(self.enter(), <char>ord(digit), duration_ms)
        self.leave()
        check(status, f"cannot send {digit!r} as DTMF (use 0-9, *, # or A-D)")
        if status == VC_FULL:
            raise StateError("64 digits are waiting to be sent; send fewer at once")

    def set_thinking(self, thinking):
        vc_call_set_thinking(self.enter(), bool(thinking))
        self.leave()

    def set_remote(self, address):
        cdef vc_address remote
        fill_address(&remote, address)
        self.enter()
        cdef int status = self.give_remote(&remote)
        self.leave()
        if status == VC_FULL:
            raise StateError("4 new addresses are waiting; they are taken with the next tick")
        if status == VC_DUPLICATE:
            raise StateError(
                f"another open call on this port has the remote address {address}; calls of one "
                "port are told apart by it"
            )
        if status < 0:
            raise ConfigError(f"{address} and the call's port are not of one family, IPv4 or IPv6")

    cdef int give_remote(self, const vc_address *remote):
        return vc_call_set_remote(self.handle, remote)

    def push(self, pcm):
        if self.config.media != "push":
            raise StateError(
                "this call's audio comes from RTP; open it with CallConfig(media='push') to push"
            )
        cdef Py_buffer view
        cdef size_t n, offered
        get_s16(pcm, &view, &n)
        offered = n
        try:
            vc_call_push(self.enter(), <const int16_t *>view.buf, &n)
            self.leave()
        finally:
            PyBuffer_Release(&view)
        if n < offered:
            raise LengthError(
                f"only {n} of {offered} samples were taken: more than a second of pushed audio is "
                "waiting; push at most a second ahead of real time"
            )

    def ring(self):
        """The received audio, which whoever holds it keeps."""
        self.enter()
        received = self.received
        self.leave()
        return received

    def read_sent(self):
        cdef size_t n
        cdef int64_t first = -1
        cdef int16_t[::1] view
        if not (self.config.record_sent or self.config.media == "push"):
            raise StateError(
                "this call does not keep what it sends; open it with CallConfig(record_sent=True)"
            )
        n = vc_call_sent_readable(self.enter())
        # Allocated outside, where an exception or another thread cannot find the call claimed.
        self.leave()
        samples = np.empty(n, dtype=np.int16)
        if n > 0:
            view = samples
            vc_call_read_sent(self.enter(), &view[0], &n, &first)
            self.leave()
        return samples[:n], first

    @property
    def received_start_ns(self):
        cdef int64_t stamp = vc_call_received_start_ns(self.enter())
        self.leave()
        return stamp

    @property
    def sent_start_ns(self):
        cdef int64_t stamp = vc_call_sent_start_ns(self.enter())
        self.leave()
        return stamp

    def stats(self):
        if self.handle == NULL and self.last_stats is not None:
            return dict(self.last_stats)
        self.enter()
        try:
            return self.read_stats()
        finally:
            self.leave()

    cdef int keep_stats(self) except -1:
        """Before the call is freed: they can be read for as long as the object lives."""
        self.last_stats = self.read_stats()
        return 0

    cdef dict read_stats(self):
        cdef uint64_t values[VC_STAT_COUNT]
        cdef vc_playout *playout = vc_call_playout(self.handle)
        vc_call_get_stats(self.handle, values)
        queued = vc_playout_queue_position(playout) - vc_playout_play_position(playout)
        received = self.received
        found = {name: values[i] for i, name in enumerate(STAT_NAMES)}
        for name in ("jitter", "remote_jitter", "round_trip"):
            found[f"{name}_ms"] = found.pop(f"{name}_us") / 1000
        found["remote_loss"] = found.pop("remote_loss_ppm") / 1e6
        found["unread_samples"] = received.unread
        found["queued_samples"] = queued
        found["underrun_ms"] = found.pop("underrun_samples") * 1000 / self.config.rate_hz
        lowest = found.pop("play_queue_lowest_samples")
        found["play_queue_lowest_ms"] = (
            -1.0 if lowest >= 2**63 else lowest * 1000 / self.config.play_hz
        )
        found["echo_erle_db"] = found.pop("echo_erle_mdb") / 1000
        found["echo_delay_ms"] = found.pop("echo_delay_us") / 1000
        drift_ppb = found.pop("echo_drift_ppb")
        found["echo_drift_ppm"] = (drift_ppb - (2**64 if drift_ppb >= 2**63 else 0)) / 1000
        blocks = found.pop("echo_blocks")
        found["echo_run_share"] = found.pop("echo_run_blocks") / max(blocks, 1)
        return found
