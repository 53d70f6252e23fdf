"""Mirror of csrc/vad/vc_segmenter.h."""

from libc.stdint cimport int32_t, int64_t

from voicecore.media.c_base cimport vc_status


cdef extern from "vad/vc_segmenter.h" nogil:
    ctypedef struct vc_segmenter_config:
        double threshold
        double negative_threshold
        int32_t window_samples
        int32_t min_speech_samples
        int32_t min_silence_samples
        int32_t pad_samples
    ctypedef enum vc_segment_kind:
        VC_SEGMENT_START
        VC_SEGMENT_END
    ctypedef struct vc_segment_event:
        vc_segment_kind kind
        int64_t sample
        float probability
    enum:
        VC_SEGMENT_MOST_EVENTS
    ctypedef struct vc_segmenter:
        pass
    vc_segmenter_config vc_segmenter_config_default()
    vc_status vc_segmenter_init(vc_segmenter *segmenter, const vc_segmenter_config *config)
    void vc_segmenter_reset(vc_segmenter *segmenter)
    int vc_segmenter_step(
        vc_segmenter *segmenter, float probability, vc_segment_event *events
    )
    int vc_segmenter_finish(
        vc_segmenter *segmenter, const float *probability, int32_t part_samples,
        vc_segment_event *events,
    )
    int vc_segmenter_in_segment(const vc_segmenter *segmenter)
