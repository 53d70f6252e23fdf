"""Mirror of csrc/codec for the bindings, but for G.711 (c_net.pxd)."""

from libc.stdint cimport int16_t, uint8_t

from voicecore.media.c_base cimport vc_allocator, vc_status


cdef extern from "codec/vc_l16.h" nogil:
    void vc_l16_encode(const int16_t *pcm, uint8_t *out, size_t n)
    void vc_l16_decode(const uint8_t *data, int16_t *pcm, size_t n)

cdef extern from "codec/vc_g722.h" nogil:
    enum:
        VC_G722_RATE_HZ
        VC_G722_DELAY_SAMPLES
    ctypedef struct vc_g722:
        pass
    vc_status vc_g722_create(vc_g722 **out, const vc_allocator *allocator)
    void vc_g722_destroy(vc_g722 *g722)
    void vc_g722_reset(vc_g722 *g722)
    vc_status vc_g722_encode(vc_g722 *g722, const int16_t *pcm, size_t n, uint8_t *out)
    void vc_g722_decode(vc_g722 *g722, const uint8_t *data, size_t n, int16_t *pcm)
