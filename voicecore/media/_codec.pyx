"""Encoder and Decoder: the codecs of a call behind one door."""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, uint8_t

cimport numpy as cnp

from voicecore.media._common cimport buffer_kind, check, describe, enter, get_bytes, get_s16
from voicecore.media._quick cimport quick_bytes, quick_s16
from voicecore.media.c_base cimport VC_CPU_AUTO, VC_E_MISSING, VC_OK, vc_guard_leave, vc_status
from voicecore.media.c_codec cimport (
    VC_G722_DELAY_SAMPLES,
    VC_OPUS_MAX_PACKET_BYTES,
    VC_OPUS_MAX_PACKET_MS,
    vc_g711,
    vc_g711_get,
    vc_g722,
    vc_g722_create,
    vc_g722_decode,
    vc_g722_destroy,
    vc_g722_encode,
    vc_g722_reset,
    vc_l16_decode,
    vc_l16_encode,
    vc_opus_conceal,
    vc_opus_decode,
    vc_opus_decode_fec,
    vc_opus_decoder,
    vc_opus_decoder_create,
    vc_opus_decoder_destroy,
    vc_opus_decoder_reset,
    vc_opus_encode,
    vc_opus_encoder,
    vc_opus_encoder_config,
    vc_opus_encoder_config_default,
    vc_opus_encoder_create,
    vc_opus_encoder_delay_samples,
    vc_opus_encoder_destroy,
    vc_opus_encoder_reset,
    vc_opus_packet_samples,
    vc_opus_version,
)

import operator

from voicecore import errors as _errors
from voicecore.media.libopus import library_path, missing_libopus

cnp.import_array()

cdef enum Kind:
    PCMU
    PCMA
    L16
    G722
    OPUS

_KINDS = {"pcmu": PCMU, "pcma": PCMA, "l16": L16, "g722": G722, "opus": OPUS}
_L16_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_RATES_HZ = {
    "pcmu": (8000,),
    "pcma": (8000,),
    "l16": _L16_RATES_HZ,
    "g722": (16000,),
    "opus": (8000, 12000, 16000, 24000, 48000),
}
# The number is that of enum vc_opus_bandwidth.
_BANDWIDTHS = ("narrowband", "mediumband", "wideband", "superwideband", "fullband")


cdef inline size_t keeps_gil(Kind kind) noexcept nogil:
    """Up to so many samples the C call is shorter than about 5 us and keeping the GIL is cheaper."""
    return 0 if kind == OPUS else 160 if kind == G722 else 16000


cdef class Encoder:
    """Audio to packets, for one stream.

    codec: "pcmu", "pcma" (G.711, 8000 Hz), "l16" (linear, most significant byte first, 8000 to
    48000 Hz), "g722" (64 kbit/s, 16000 Hz) or "opus" (8000, 12000, 16000, 24000 or 48000 Hz,
    mono, through libopus, which is loaded when the first object is made).

    Opus makes one packet of 2.5, 5, 10, 20, 40 or 60 ms a call. The others take any number of
    samples (g722: an even number) and how the input is sliced never changes the output.

    Options, of Opus only
    ---------------------
    bitrate: 6000 to 510000 bits a second; None: libopus chooses.
    complexity: 0 (least work) to 10; None: libopus' own.
    fec: packets also carry the one before, coarsely, for Decoder.decode_fec. It takes a
        packet_loss_percent above 0, or libopus spends nothing on it.
    dtx: silence is hardly sent; a packet of at most 2 bytes need not be sent.
    bandwidth: the widest audio that is coded: "narrowband" (4 kHz), "mediumband" (6 kHz),
        "wideband" (8 kHz), "superwideband" (12 kHz), "fullband" (20 kHz); None: any.
    packet_loss_percent: 0 to 100, what the network is expected to lose.

    Raises ConfigError for an unknown codec or for an option that the codec does not have or that is
    out of range, RateError for a rate that it does not run at, MissingLibraryError if libopus is
    not installed. One object serves one stream and one thread at a time.

    >>> import numpy, voicecore
    >>> encoder = voicecore.Encoder("g722", 16000)
    >>> len(encoder.encode(numpy.zeros(encoder.frame_samples, numpy.int16)))
    160
    """

    cdef Kind kind
    cdef int busy
    cdef bint opened
    cdef const vc_g711 *g711
    cdef vc_g722 *g722
    cdef vc_opus_encoder *opus
    cdef readonly str codec
    cdef readonly int rate_hz

    def __init__(self, codec, rate_hz, *, bitrate=None, complexity=None, fec=False, dtx=False,
                 bandwidth=None, packet_loss_percent=0):
        kind, rate = _chosen(codec, rate_hz)
        options = {
            "bitrate": bitrate is not None, "complexity": complexity is not None,
            "fec": fec is not False, "dtx": dtx is not False, "bandwidth": bandwidth is not None,
            "packet_loss_percent": packet_loss_percent != 0,
        }
        given = [name for name, is_given in options.items() if is_given]
        if given and kind != OPUS:
            raise _errors.ConfigError(f"{codec} has no {given[0]}; leave it out")
        cdef vc_opus_encoder_config config = vc_opus_encoder_config_default()
        config.rate_hz = rate
        if bitrate is not None:
            config.bitrate_bps = _whole("bitrate", bitrate, 6000, 510000)
        if complexity is not None:
            config.complexity = _whole("complexity", complexity, 0, 10)
        if bandwidth is not None:
            config.max_bandwidth = _bandwidth(bandwidth)
        config.packet_loss_percent = _whole("packet_loss_percent", packet_loss_percent, 0, 100)
        config.fec = bool(fec)
        config.dtx = bool(dtx)
        if config.fec and config.packet_loss_percent == 0:
            raise _errors.ConfigError(
                "fec without packet_loss_percent protects nothing; say what loss to expect, "
                "for example packet_loss_percent=10")
        path = library_path()
        if path is not None:
            config.library = path
        enter(&self.busy)
        try:
            self.release()
            if kind == G722:
                check(vc_g722_create(&self.g722, NULL), "Encoder")
            elif kind == OPUS:
                check_opus(vc_opus_encoder_create(&self.opus, &config), path, "Encoder")
            check(vc_g711_get(VC_CPU_AUTO, &self.g711), "G711")
            self.kind = kind
            self.codec = codec
            self.rate_hz = rate
            self.opened = True
        finally:
            vc_guard_leave(&self.busy)

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        vc_g722_destroy(self.g722)
        self.g722 = NULL
        vc_opus_encoder_destroy(self.opus)
        self.opus = NULL
        self.opened = False

    cdef int claim(self) except -1:
        return claim(&self.busy, &self.opened, "Encoder")

    def encode(self, pcm):
        """One packet's payload from int16 samples (int16 array, or raw little-endian bytes)."""
        cdef Py_buffer view
        cdef size_t n = 0
        cdef const int16_t *source = quick_s16(pcm, &n)
        if source != NULL and self.kind != OPUS and n <= keeps_gil(self.kind):
            self.claim()
            try:
                return self.encoded(source, n)
            finally:
                vc_guard_leave(&self.busy)
        get_s16(pcm, &view, &n)
        try:
            self.claim()
            try:
                if self.kind == OPUS:
                    return self.encoded_opus(<const int16_t *>view.buf, n)
                return self.encoded(<const int16_t *>view.buf, n)
            finally:
                vc_guard_leave(&self.busy)
        finally:
            PyBuffer_Release(&view)

    cdef bytes encoded(self, const int16_t *pcm, size_t n):
        """The object is claimed."""
        if self.kind == G722 and n % 2:
            raise _errors.LengthError(
                f"{n} samples: g722 makes a byte of two, pass an even number of samples")
        cdef size_t size = 2 * n if self.kind == L16 else n // 2 if self.kind == G722 else n
        packet = PyBytes_FromStringAndSize(NULL, <Py_ssize_t>size)
        cdef uint8_t *out = <uint8_t *>PyBytes_AS_STRING(packet)
        cdef vc_status status
        if n > keeps_gil(self.kind):
            with nogil:
                status = encode_any(self.kind, self.g711, self.g722, pcm, n, out)
        else:
            status = encode_any(self.kind, self.g711, self.g722, pcm, n, out)
        check(status, "Encoder.encode")
        return packet

    cdef bytes encoded_opus(self, const int16_t *pcm, size_t n):
        """The object is claimed."""
        cdef size_t unit = <size_t>self.rate_hz // 400
        if n % unit or n // unit not in (1, 2, 4, 8, 16, 24):
            raise _errors.LengthError(
                f"{n} samples are no frame of Opus at {self.rate_hz} Hz; pass 2.5, 5, 10, 20, 40 "
                f"or 60 ms, for example {self.rate_hz // 50} samples")
        cdef uint8_t out[VC_OPUS_MAX_PACKET_BYTES]
        cdef size_t size = VC_OPUS_MAX_PACKET_BYTES
        cdef vc_status status
        with nogil:
            status = vc_opus_encode(self.opus, pcm, n, out, &size)
        check(status, "Encoder.encode")
        return PyBytes_FromStringAndSize(<const char *>out, <Py_ssize_t>size)

    def reset(self):
        """Forgets the stream: as new."""
        cdef vc_status status = VC_OK
        self.claim()
        if self.kind == G722:
            vc_g722_reset(self.g722)
        elif self.kind == OPUS:
            status = vc_opus_encoder_reset(self.opus)
        vc_guard_leave(&self.busy)
        check(status, "Encoder.reset")

    def close(self):
        """Frees the memory; further use raises ClosedError. Closing twice is fine."""
        enter(&self.busy)
        self.release()
        vc_guard_leave(&self.busy)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    @property
    def frame_samples(self):
        """The samples of the usual packet: 20 ms."""
        return self.rate_hz // 50

    @property
    def delay_samples(self):
        """How much later audio comes out of the decoder than it went into the encoder."""
        self.claim()
        delay_samples = VC_G722_DELAY_SAMPLES if self.kind == G722 else 0
        if self.kind == OPUS:
            delay_samples = vc_opus_encoder_delay_samples(self.opus)
        vc_guard_leave(&self.busy)
        return delay_samples

    def __repr__(self):
        return f"Encoder({self.codec!r}, {self.rate_hz})"


cdef class Decoder:
    """Packets to audio, for one stream; the codecs and rates are those of Encoder.

    With Opus, a lost packet is made good in its turn, before the next one is decoded: by
    ``decode_fec(next_packet)`` if that one is there already, else by ``conceal(samples)``.

    Raises ConfigError for an unknown codec, RateError for a rate that it does not run at,
    MissingLibraryError if libopus is not installed. One object serves one stream and one thread at
    a time.

    >>> import voicecore
    >>> voicecore.Decoder("l16", 8000).decode(bytes([0, 1, 255, 255]))
    array([ 1, -1], dtype=int16)
    """

    cdef Kind kind
    cdef int busy
    cdef bint opened
    cdef const vc_g711 *g711
    cdef vc_g722 *g722
    cdef vc_opus_decoder *opus
    cdef readonly str codec
    cdef readonly int rate_hz

    def __init__(self, codec, rate_hz):
        kind, rate = _chosen(codec, rate_hz)
        path = library_path()
        cdef const char *library = NULL
        if path is not None:
            library = path
        enter(&self.busy)
        try:
            self.release()
            if kind == G722:
                check(vc_g722_create(&self.g722, NULL), "Decoder")
            elif kind == OPUS:
                check_opus(
                    vc_opus_decoder_create(&self.opus, rate, library, NULL), path, "Decoder")
            check(vc_g711_get(VC_CPU_AUTO, &self.g711), "G711")
            self.kind = kind
            self.codec = codec
            self.rate_hz = rate
            self.opened = True
        finally:
            vc_guard_leave(&self.busy)

    def __dealloc__(self):
        self.release()

    cdef void release(self) noexcept:
        vc_g722_destroy(self.g722)
        self.g722 = NULL
        vc_opus_decoder_destroy(self.opus)
        self.opus = NULL
        self.opened = False

    cdef int claim(self) except -1:
        return claim(&self.busy, &self.opened, "Decoder")

    def decode(self, packet):
        """int16 array from one packet's payload (bytes, or a uint8 array).

        Raises PacketError for a payload that cannot be of this codec; the stream can go on.
        """
        cdef Py_buffer view
        cdef size_t size = 0
        cdef const uint8_t *source = quick_bytes(packet, &size)
        if source != NULL and self.kind != OPUS and 2 * size <= keeps_gil(self.kind):
            self.claim()
            try:
                return self.decoded(source, size)
            finally:
                vc_guard_leave(&self.busy)
        get_payload(packet, &view)
        try:
            self.claim()
            try:
                if self.kind == OPUS:
                    return self.decoded_opus(
                        <const uint8_t *>view.buf, <size_t>view.len, False)
                return self.decoded(<const uint8_t *>view.buf, <size_t>view.len)
            finally:
                vc_guard_leave(&self.busy)
        finally:
            PyBuffer_Release(&view)

    cdef object decoded(self, const uint8_t *packet, size_t size):
        """The object is claimed."""
        if self.kind == L16 and size % 2:
            raise _errors.PacketError(f"{size} bytes are no whole number of 16-bit samples")
        cdef cnp.npy_intp n = <cnp.npy_intp>(
            size // 2 if self.kind == L16 else 2 * size if self.kind == G722 else size)
        out = cnp.PyArray_SimpleNew(1, &n, cnp.NPY_INT16)
        cdef int16_t *pcm = <int16_t *>cnp.PyArray_DATA(out)
        if <size_t>n > keeps_gil(self.kind):
            with nogil:
                decode_any(self.kind, self.g711, self.g722, packet, size, pcm)
        else:
            decode_any(self.kind, self.g711, self.g722, packet, size, pcm)
        return out

    cdef object decoded_opus(self, const uint8_t *packet, size_t size, bint lost_before):
        """The packet's audio, or that of the one lost before it. The object is claimed."""
        cdef size_t samples
        cdef vc_status status = vc_opus_packet_samples(self.opus, packet, size, &samples)
        check(status, f"{size} bytes as an Opus packet")
        cdef cnp.npy_intp n = <cnp.npy_intp>samples
        out = cnp.PyArray_SimpleNew(1, &n, cnp.NPY_INT16)
        cdef int16_t *pcm = <int16_t *>cnp.PyArray_DATA(out)
        with nogil:
            if lost_before:
                status = vc_opus_decode_fec(self.opus, packet, size, pcm, samples)
            else:
                status = vc_opus_decode(self.opus, packet, size, pcm, &samples)
        check(status, f"{size} bytes as an Opus packet")
        return out

    def decode_fec(self, next_packet):
        """The lost packet before next_packet, as far as that one carries it; Opus only.

        Gives as many samples as next_packet holds; what it does not carry (the sender has no fec,
        or the codec's music mode was on) is concealed. Decode next_packet itself afterwards.
        """
        cdef Py_buffer view
        get_payload(next_packet, &view)
        try:
            self.claim()
            try:
                self.need_opus()
                return self.decoded_opus(<const uint8_t *>view.buf, <size_t>view.len, True)
            finally:
                vc_guard_leave(&self.busy)
        finally:
            PyBuffer_Release(&view)

    def conceal(self, samples):
        """int16 array of that many made-up samples, in place of lost ones; Opus only.

        samples: a multiple of 2.5 ms up to 120 ms, else LengthError. Later packets are joined to it.
        """
        cdef vc_status status
        cdef cnp.npy_intp n
        cdef int16_t *pcm
        self.claim()
        try:
            self.need_opus()
            unit, most = self.rate_hz // 400, self.rate_hz * VC_OPUS_MAX_PACKET_MS // 1000
            try:
                n = operator.index(samples)
            except (TypeError, OverflowError):
                n = 0
            if not 0 < n <= most or n % unit:
                raise _errors.LengthError(
                    f"cannot conceal {samples!r} samples; pass a multiple of {unit} (2.5 ms) up to "
                    f"{most} (120 ms)")
            out = cnp.PyArray_SimpleNew(1, &n, cnp.NPY_INT16)
            pcm = <int16_t *>cnp.PyArray_DATA(out)
            with nogil:
                status = vc_opus_conceal(self.opus, pcm, <size_t>n)
            check(status, "Decoder.conceal")
            return out
        finally:
            vc_guard_leave(&self.busy)

    cdef int need_opus(self) except -1:
        if self.kind != OPUS:
            raise _errors.ConfigError(
                f"{self.codec} has no concealment of its own: "
                "voicecore.JitterBuffer(mode='play') conceals")
        return 0

    def reset(self):
        """Forgets the stream: as new."""
        cdef vc_status status = VC_OK
        self.claim()
        if self.kind == G722:
            vc_g722_reset(self.g722)
        elif self.kind == OPUS:
            status = vc_opus_decoder_reset(self.opus)
        vc_guard_leave(&self.busy)
        check(status, "Decoder.reset")

    def close(self):
        """Frees the memory; further use raises ClosedError. Closing twice is fine."""
        enter(&self.busy)
        self.release()
        vc_guard_leave(&self.busy)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.close()

    def __repr__(self):
        return f"Decoder({self.codec!r}, {self.rate_hz})"


def _chosen(codec, rate_hz):
    """The kind and the rate, checked."""
    kind = _KINDS.get(codec) if isinstance(codec, str) else None
    if kind is None:
        names = ", ".join(repr(name) for name in _KINDS)
        raise _errors.ConfigError(f"unknown codec {codec!r}; use one of {names}")
    rates = _RATES_HZ[codec]
    if rate_hz not in rates:
        raise _errors.RateError(
            f"{codec} does not run at {rate_hz!r}; use " + ", ".join(map(str, rates)))
    return kind, int(rate_hz)


def opus_version():
    """libopus' name and version, for example "libopus 1.3.1"; MissingLibraryError without one."""
    cdef char text[64]
    path = library_path()
    cdef const char *library = NULL
    if path is not None:
        library = path
    check_opus(vc_opus_version(library, text, sizeof(text)), path, "libopus")
    return (<bytes>text).decode("ascii", "replace")


def _whole(name, value, low, high):
    try:
        number = operator.index(value)
    except TypeError:
        number = low - 1
    if not low <= number <= high:
        raise _errors.ConfigError(
            f"{name}={value!r} is out of range; use a whole number from {low} to {high}")
    return number


def _bandwidth(name):
    if name not in _BANDWIDTHS:
        names = ", ".join(map(repr, _BANDWIDTHS))
        raise _errors.ConfigError(f"unknown bandwidth {name!r}; use one of {names}")
    return 1 + _BANDWIDTHS.index(name)


cdef inline int check_opus(vc_status status, object path, str what) except -1:
    if status == VC_E_MISSING:
        raise missing_libopus(path)
    return check(status, what)


cdef inline int claim(int *busy, const bint *opened, str what) except -1:
    enter(busy)
    if not opened[0]:
        vc_guard_leave(busy)
        raise _errors.ClosedError(f"this {what} is closed; make a new one")
    return 0


cdef inline int get_payload(object packet, Py_buffer *view) except -1:
    """Bytes of a packet. The caller releases the view."""
    get_bytes(packet, view)
    cdef char kind = buffer_kind(view)
    if kind != c'B' and kind != c'b' and kind != c'c':
        PyBuffer_Release(view)
        raise _errors.DtypeError(
            f"expected a packet's payload as bytes or a uint8 array, got {describe(packet)}")
    return 0


cdef inline vc_status encode_any(Kind kind, const vc_g711 *g711, vc_g722 *g722,
                                 const int16_t *pcm, size_t n, uint8_t *out) noexcept nogil:
    if kind == PCMU:
        g711.ulaw_encode(pcm, out, n)
    elif kind == PCMA:
        g711.alaw_encode(pcm, out, n)
    elif kind == L16:
        vc_l16_encode(pcm, out, n)
    else:
        return vc_g722_encode(g722, pcm, n, out)
    return VC_OK


cdef inline void decode_any(Kind kind, const vc_g711 *g711, vc_g722 *g722,
                            const uint8_t *packet, size_t size, int16_t *pcm) noexcept nogil:
    if kind == PCMU:
        g711.ulaw_decode(packet, pcm, size)
    elif kind == PCMA:
        g711.alaw_decode(packet, pcm, size)
    elif kind == L16:
        vc_l16_decode(packet, pcm, size // 2)
    else:
        vc_g722_decode(g722, packet, size, pcm)
