"""Mirror of csrc/codec for the bindings."""

from libc.stdint cimport int16_t, uint8_t

from voicecore.media.c_base cimport vc_allocator, vc_cpu_level, vc_status


cdef extern from "codec/vc_g711.h" nogil:
    ctypedef struct vc_g711:
        void (*ulaw_encode)(const int16_t *pcm, uint8_t *out, size_t n) noexcept nogil
        void (*ulaw_decode)(const uint8_t *data, int16_t *pcm, size_t n) noexcept nogil
        void (*alaw_encode)(const int16_t *pcm, uint8_t *out, size_t n) noexcept nogil
        void (*alaw_decode)(const uint8_t *data, int16_t *pcm, size_t n) noexcept nogil
    vc_status vc_g711_get(vc_cpu_level level, const vc_g711 **out)

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

cdef extern from "codec/vc_opus.h" nogil:
    enum:
        VC_OPUS_MAX_PACKET_BYTES
        VC_OPUS_MAX_PACKET_MS
    ctypedef int vc_opus_bandwidth
    enum:
        VC_OPUS_BANDWIDTH_ANY
        VC_OPUS_NARROWBAND
        VC_OPUS_MEDIUMBAND
        VC_OPUS_WIDEBAND
        VC_OPUS_SUPERWIDEBAND
        VC_OPUS_FULLBAND
    ctypedef struct vc_opus_encoder:
        pass
    ctypedef struct vc_opus_decoder:
        pass
    ctypedef struct vc_opus_encoder_config:
        int rate_hz
        int bitrate_bps
        int complexity
        int fec
        int dtx
        int packet_loss_percent
        vc_opus_bandwidth max_bandwidth
        const char *library
        const vc_allocator *allocator
    vc_status vc_opus_version(const char *library, char *out, size_t room)
    vc_opus_encoder_config vc_opus_encoder_config_default()
    vc_status vc_opus_encoder_create(vc_opus_encoder **out, const vc_opus_encoder_config *config)
    void vc_opus_encoder_destroy(vc_opus_encoder *encoder)
    vc_status vc_opus_encoder_reset(vc_opus_encoder *encoder)
    int vc_opus_encoder_delay_samples(const vc_opus_encoder *encoder)
    vc_status vc_opus_encode(vc_opus_encoder *encoder, const int16_t *pcm, size_t n, uint8_t *out,
                             size_t *n_bytes)
    vc_status vc_opus_decoder_create(vc_opus_decoder **out, int rate_hz, const char *library,
                                     const vc_allocator *allocator)
    void vc_opus_decoder_destroy(vc_opus_decoder *decoder)
    vc_status vc_opus_decoder_reset(vc_opus_decoder *decoder)
    vc_status vc_opus_packet_samples(const vc_opus_decoder *decoder, const uint8_t *packet,
                                     size_t n_bytes, size_t *samples)
    vc_status vc_opus_decode(vc_opus_decoder *decoder, const uint8_t *packet, size_t n_bytes,
                             int16_t *pcm, size_t *n)
    vc_status vc_opus_decode_fec(vc_opus_decoder *decoder, const uint8_t *next, size_t n_bytes,
                                 int16_t *pcm, size_t n)
    vc_status vc_opus_conceal(vc_opus_decoder *decoder, int16_t *pcm, size_t n)
