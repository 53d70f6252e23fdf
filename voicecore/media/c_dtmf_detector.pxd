"""Mirror of csrc/dsp/vc_dtmf_detector.h and csrc/dsp/vc_tone.h."""

from libc.stdint cimport int16_t, int64_t, uint32_t

from voicecore.media.c_base cimport vc_allocator, vc_status


cdef extern from "dsp/vc_dtmf_detector.h" nogil:
    enum:
        VC_DTMF_DETECTOR_PRESSED
        VC_DTMF_DETECTOR_MAX_EVENTS
    ctypedef struct vc_dtmf_detector_event:
        int kind
        char digit
        float level_dbm0
        float twist_db
        int64_t start_sample
        int64_t end_sample
    ctypedef struct vc_dtmf_detector:
        pass
    vc_status vc_dtmf_detector_create(vc_dtmf_detector **out, int rate_hz,
                                      const vc_allocator *allocator)
    void vc_dtmf_detector_destroy(vc_dtmf_detector *detector)
    void vc_dtmf_detector_reset(vc_dtmf_detector *detector)
    vc_status vc_dtmf_detector_process(vc_dtmf_detector *detector, const int16_t *samples,
                                       size_t *n, vc_dtmf_detector_event *events, size_t *n_events)
    vc_status vc_dtmf_detector_flush(vc_dtmf_detector *detector, vc_dtmf_detector_event *events,
                                     size_t *n_events)

cdef extern from "dsp/vc_tone.h" nogil:
    ctypedef struct vc_tone_config:
        int rate_hz
        float hz[2]
        float level_dbm0[2]
        uint32_t on_samples
        uint32_t off_samples
        uint32_t edge_samples
    ctypedef struct vc_tone:
        pass
    vc_tone_config vc_tone_dtmf(char digit, int rate_hz)
    vc_status vc_tone_start(vc_tone *tone, const vc_tone_config *config)
    vc_status vc_tone_process(vc_tone *tone, int16_t *out, size_t *n)
