"""Mirror of csrc/dsp/vc_resample.h."""

from libc.stdint cimport int16_t

from voicecore.media.c_base cimport vc_allocator, vc_cpu_level, vc_status


cdef extern from "dsp/vc_resample.h" nogil:
    ctypedef struct vc_resample:
        pass
    ctypedef enum vc_resample_preset:
        VC_RESAMPLE_TELEPHONY
        VC_RESAMPLE_VOICE
        VC_RESAMPLE_STUDIO
    double VC_RESAMPLE_MAX_TRIM_PPM
    ctypedef struct vc_resample_config:
        int in_hz
        int out_hz
        vc_resample_preset preset
        int channels
        int trim
        vc_cpu_level cpu_level
        const vc_allocator *allocator
    vc_resample_config vc_resample_config_default()
    vc_status vc_resample_create(vc_resample **out, const vc_resample_config *config)
    void vc_resample_destroy(vc_resample *resampler)
    void vc_resample_reset(vc_resample *resampler)
    size_t vc_resample_max_output(const vc_resample *resampler, size_t n_in)
    size_t vc_resample_inputs_for(const vc_resample *resampler, size_t n_out)
    vc_status vc_resample_set_trim_ppm(vc_resample *resampler, double ppm)
    double vc_resample_trim_ppm(const vc_resample *resampler)
    double vc_resample_delay_samples(const vc_resample *resampler)
    vc_status vc_resample_process_s16(vc_resample *resampler, const int16_t *input, size_t *n_in,
                                      int16_t *out, size_t *n_out)
    vc_status vc_resample_process_f32(vc_resample *resampler, const float *input, size_t *n_in,
                                      float *out, size_t *n_out)
    vc_status vc_resample_flush_s16(vc_resample *resampler, int16_t *out, size_t *n_out)
    vc_status vc_resample_flush_f32(vc_resample *resampler, float *out, size_t *n_out)
    size_t vc_resample_flush_samples(const vc_resample *resampler)
