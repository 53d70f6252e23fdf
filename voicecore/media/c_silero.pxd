"""Mirror of csrc/vad/vc_silero.h."""

from voicecore.media.c_base cimport vc_allocator, vc_cpu_level, vc_status


cdef extern from "vad/vc_silero.h" nogil:
    ctypedef struct vc_silero_model:
        pass
    ctypedef struct vc_silero:
        pass
    ctypedef struct vc_silero_batch:
        pass
    ctypedef struct vc_silero_model_config:
        int rate_hz
        const void *weights
        size_t weights_bytes
        vc_cpu_level cpu_level
        const vc_allocator *allocator
    vc_silero_model_config vc_silero_model_config_default()
    vc_status vc_silero_model_create(
        vc_silero_model **out, const vc_silero_model_config *config
    )
    void vc_silero_model_destroy(vc_silero_model *model)
    int vc_silero_model_rate_hz(const vc_silero_model *model)
    vc_cpu_level vc_silero_model_cpu_level(const vc_silero_model *model)
    size_t vc_silero_model_window_samples(const vc_silero_model *model)
    size_t vc_silero_state_bytes()
    vc_status vc_silero_create(
        vc_silero **out, const vc_silero_model *model, const vc_allocator *allocator
    )
    void vc_silero_destroy(vc_silero *vad)
    void vc_silero_reset(vc_silero *vad)
    vc_status vc_silero_process(vc_silero *vad, const float *window, float *probability)
    vc_status vc_silero_batch_create(
        vc_silero_batch **out, const vc_silero_model *model, const vc_allocator *allocator
    )
    void vc_silero_batch_destroy(vc_silero_batch *batch)
    # Without C's inner const: Cython cannot express it for an array that it fills itself.
    vc_status vc_silero_batch_process(
        vc_silero_batch *batch, vc_silero **vads, const float **windows, size_t n,
        float *probabilities,
    )
