"""Mirror of csrc/dsp/vc_comfort_noise.h."""

from libc.stdint cimport int16_t, uint8_t, uint64_t

from voicecore.media.c_base cimport vc_allocator, vc_status


cdef extern from "dsp/vc_comfort_noise.h" nogil:
    enum:
        VC_COMFORT_NOISE_MAX_ORDER
        VC_COMFORT_NOISE_PAYLOAD_BYTES
    ctypedef struct vc_comfort_noise_model:
        float level_dbov
        int order
        float reflection[24]
    ctypedef struct vc_comfort_noise_config:
        int rate_hz
        int order
        uint64_t seed
        const vc_allocator *allocator
    ctypedef struct vc_comfort_noise:
        pass
    vc_status vc_comfort_noise_parse(const uint8_t *payload, size_t n, vc_comfort_noise_model *out)
    vc_status vc_comfort_noise_build(const vc_comfort_noise_model *model, uint8_t *out, size_t *n)
    vc_comfort_noise_config vc_comfort_noise_config_default()
    vc_status vc_comfort_noise_create(vc_comfort_noise **out,
                                      const vc_comfort_noise_config *config)
    void vc_comfort_noise_destroy(vc_comfort_noise *noise)
    void vc_comfort_noise_reset(vc_comfort_noise *noise)
    void vc_comfort_noise_push(vc_comfort_noise *noise, const int16_t *samples, size_t n)
    void vc_comfort_noise_learn(vc_comfort_noise *noise, const int16_t *samples, size_t n)
    vc_status vc_comfort_noise_get_learned(const vc_comfort_noise *noise,
                                           vc_comfort_noise_model *out)
    vc_status vc_comfort_noise_set_model(vc_comfort_noise *noise,
                                         const vc_comfort_noise_model *model)
    void vc_comfort_noise_process(vc_comfort_noise *noise, int16_t *out, size_t n)
