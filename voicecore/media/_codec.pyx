"""Encoder and Decoder: the codecs of a call behind one door."""

from cpython.buffer cimport PyBuffer_Release
from cpython.bytes cimport PyBytes_AS_STRING, PyBytes_FromStringAndSize
from libc.stdint cimport int16_t, uint8_t

cimport numpy as cnp

from voicecore.media._common cimport buffer_kind, check, describe, enter, get_bytes, get_s16
from voicecore.media.c_base cimport VC_OK, vc_guard_leave, vc_status
from voicecore.media.c_codec cimport (
    VC_G722_DELAY_SAMPLES,
    vc_g722,
    vc_g722_create,
    vc_g722_decode,
    vc_g722_destroy,
    vc_g722_encode,
    vc_g722_reset,
    vc_l16_decode,
    vc_l16_encode,
)
from voicecore.media.c_net cimport (
    vc_g711_alaw_decode,
    vc_g711_alaw_encode,
    vc_g711_ulaw_decode,
    vc_g711_ulaw_encode,
)

from voicecore import errors as _errors

cnp.import_array()

cdef enum Kind:
    PCMU
    PCMA
    L16
    G722

_KINDS = {"pcmu": PCMU, "pcma": PCMA, "l16": L16, "g722": G722}
_L16_RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_RATES_HZ = {
    "pcmu": (8000,),
    "pcma": (8000,),
    "l16": _L16_RATES_HZ,
    "g722": (16000,),
}

# Below this the C call is shorter than about 5 us and keeping the GIL is cheaper.
cdef size_t NOGIL_SAMPLES = 16000
cdef size_t NOGIL_G722_SAMPLES = 160


cdef class Encoder:
    """Audio to packets, for one stream.

    codec: "pcmu", "pcma" (G.711, 8000 Hz), "l16" (linear, most significant byte first, 8000 to
    48000 Hz) or "g722" (64 kbit/s, 16000 Hz).

    They take any number of samples (g722: an even number) and how the input is sliced never
    changes the output.

    Raises ConfigError for an unknown codec or for an option that the codec does not have or that is
    out of range, RateError for a rate that it does not run at. One object serves one stream and one
    thread at a time.

    >>> import numpy, voicecore
    >>> encoder = voicecore.Encoder("g722", 16000)
    >>> len(encoder.encode(numpy.zeros(encoder.frame_samples, numpy.int16)))
    160
    """

    cdef Kind kind
    cdef int busy
    cdef bint opened
    cdef vc_g722 *g722
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
        if given:
            raise _errors.ConfigError(f"{codec} has no {given[0]}; leave it out")
        enter(&self.busy)
        try:
            self.release()
            if kind == G722:
                check(vc_g722_create(&self.g722, NULL), "Encoder")
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
        self.opened = False

    cdef int claim(self) except -1:
        return claim(&self.busy, &self.opened, "Encoder")

    def encode(self, pcm):
        """One packet's payload from int16 samples (int16 array, or raw little-endian bytes)."""
        cdef Py_buffer view
        cdef size_t n
        get_s16(pcm, &view, &n)
        try:
            self.claim()
            try:
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
        if n > (NOGIL_G722_SAMPLES if self.kind == G722 else NOGIL_SAMPLES):
            with nogil:
                status = encode_any(self.kind, self.g722, pcm, n, out)
        else:
            status = encode_any(self.kind, self.g722, pcm, n, out)
        check(status, "Encoder.encode")
        return packet

    def reset(self):
        """Forgets the stream: as new."""
        self.claim()
        if self.kind == G722:
            vc_g722_reset(self.g722)
        vc_guard_leave(&self.busy)

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
        vc_guard_leave(&self.busy)
        return delay_samples

    def __repr__(self):
        return f"Encoder({self.codec!r}, {self.rate_hz})"


cdef class Decoder:
    """Packets to audio, for one stream; the codecs and rates are those of Encoder.

    Raises ConfigError for an unknown codec and RateError for a rate that it does not run at. One
    object serves one stream and one thread at a time.

    >>> import voicecore
    >>> voicecore.Decoder("l16", 8000).decode(bytes([0, 1, 255, 255]))
    array([ 1, -1], dtype=int16)
    """

    cdef Kind kind
    cdef int busy
    cdef bint opened
    cdef vc_g722 *g722
    cdef readonly str codec
    cdef readonly int rate_hz

    def __init__(self, codec, rate_hz):
        kind, rate = _chosen(codec, rate_hz)
        enter(&self.busy)
        try:
            self.release()
            if kind == G722:
                check(vc_g722_create(&self.g722, NULL), "Decoder")
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
        self.opened = False

    cdef int claim(self) except -1:
        return claim(&self.busy, &self.opened, "Decoder")

    def decode(self, packet):
        """int16 array from one packet's payload (bytes, or a uint8 array).

        Raises PacketError for a payload that cannot be of this codec; the stream can go on.
        """
        cdef Py_buffer view
        get_payload(packet, &view)
        try:
            self.claim()
            try:
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
        out = cnp.PyArray_EMPTY(1, &n, cnp.NPY_INT16, 0)
        cdef int16_t *pcm = <int16_t *>cnp.PyArray_DATA(out)
        if <size_t>n > (NOGIL_G722_SAMPLES if self.kind == G722 else NOGIL_SAMPLES):
            with nogil:
                decode_any(self.kind, self.g722, packet, size, pcm)
        else:
            decode_any(self.kind, self.g722, packet, size, pcm)
        return out

    def reset(self):
        """Forgets the stream: as new."""
        self.claim()
        if self.kind == G722:
            vc_g722_reset(self.g722)
        vc_guard_leave(&self.busy)

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


cdef inline vc_status encode_any(Kind kind, vc_g722 *g722, const int16_t *pcm, size_t n,
                                 uint8_t *out) noexcept nogil:
    if kind == PCMU:
        vc_g711_ulaw_encode(pcm, out, n)
    elif kind == PCMA:
        vc_g711_alaw_encode(pcm, out, n)
    elif kind == L16:
        vc_l16_encode(pcm, out, n)
    else:
        return vc_g722_encode(g722, pcm, n, out)
    return VC_OK


cdef inline void decode_any(Kind kind, vc_g722 *g722, const uint8_t *packet, size_t size,
                            int16_t *pcm) noexcept nogil:
    if kind == PCMU:
        vc_g711_ulaw_decode(packet, pcm, size)
    elif kind == PCMA:
        vc_g711_alaw_decode(packet, pcm, size)
    elif kind == L16:
        vc_l16_decode(packet, pcm, size // 2)
    else:
        vc_g722_decode(g722, packet, size, pcm)
