"""Mirror of csrc/aec/vc_aec.h."""

from libc.stdint cimport int16_t

from voicecore.media.c_base cimport vc_allocator, vc_cpu_level, vc_status


cdef extern from "aec/vc_aec.h" nogil:
    int VC_AEC_BLOCK_MS
    int VC_AEC_DELAY_MS
    ctypedef struct vc_aec:
        pass
    ctypedef struct vc_aec_config:
        int rate_hz
        int tail_ms
        vc_cpu_level cpu_level
        const vc_allocator *allocator
    vc_aec_config vc_aec_config_default()
    vc_status vc_aec_create(vc_aec **out, const vc_aec_config *config)
    void vc_aec_destroy(vc_aec *aec)
    void vc_aec_reset(vc_aec *aec)
    size_t vc_aec_bytes(const vc_aec *aec)
    vc_status vc_aec_process_s16(vc_aec *aec, const int16_t *near, const int16_t *far,
                                 int16_t *out, size_t n)
    vc_status vc_aec_process_f32(vc_aec *aec, const float *near, const float *far, float *out,
                                 size_t n)
    void vc_aec_delay_changed(vc_aec *aec, int samples)
    float vc_aec_echo_likelihood(const vc_aec *aec)
    double vc_aec_delay_samples(const vc_aec *aec)
    double vc_aec_drift_ppm(const vc_aec *aec)
    float vc_aec_erle_db(const vc_aec *aec)
