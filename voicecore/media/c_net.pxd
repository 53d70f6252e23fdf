"""Mirror of csrc/net for the bindings."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from voicecore.media.c_base cimport vc_allocator, vc_status


cdef extern from "net/vc_rtp.h" nogil:
    enum:
        VC_RTP_HEADER_BYTES
        VC_RTP_MAX_CSRC
    ctypedef struct vc_rtp_packet:
        uint8_t payload_type
        uint8_t marker
        uint16_t sequence
        uint32_t timestamp
        uint32_t ssrc
        uint8_t csrc_count
        uint32_t csrc[15]
        int has_extension
        uint16_t extension_profile
        const uint8_t *extension
        size_t extension_bytes
        const uint8_t *payload
        size_t payload_bytes
    vc_status vc_rtp_parse(const uint8_t *data, size_t n, vc_rtp_packet *out)
    vc_status vc_rtp_build(const vc_rtp_packet *packet, uint8_t *out, size_t *n)

cdef extern from "net/vc_dtmf.h" nogil:
    enum:
        VC_DTMF_PAYLOAD_BYTES
    ctypedef struct vc_dtmf_event:
        uint8_t event
        uint8_t end
        uint8_t volume_dbm0
        uint16_t duration_samples
    vc_status vc_dtmf_parse(const uint8_t *payload, size_t n, vc_dtmf_event *out)
    vc_status vc_dtmf_build(const vc_dtmf_event *event, uint8_t *out)
    int vc_dtmf_event_of(char digit)
    char vc_dtmf_digit_of(int event)
    enum:
        VC_DTMF_PRESSED
        VC_DTMF_RELEASED
        VC_DTMF_MAX_REPORTS
    uint32_t VC_DTMF_HELD
    ctypedef struct vc_dtmf_report:
        int kind
        char digit
        uint8_t volume_dbm0
        uint8_t inferred
        uint32_t timestamp
        uint32_t duration_samples
    ctypedef struct vc_dtmf_receiver:
        int active
    vc_status vc_dtmf_receiver_push(vc_dtmf_receiver *receiver, const vc_rtp_packet *packet,
                                    vc_dtmf_report *reports, size_t *n)
    vc_status vc_dtmf_receiver_expire(vc_dtmf_receiver *receiver, uint32_t timestamp,
                                      uint32_t timeout_samples, vc_dtmf_report *report)
    ctypedef struct vc_dtmf_sender:
        int active
        uint8_t volume_dbm0
        uint32_t timestamp
    vc_status vc_dtmf_sender_start(vc_dtmf_sender *sender, char digit, uint32_t timestamp,
                                   uint32_t total_samples)
    void vc_dtmf_sender_stop(vc_dtmf_sender *sender)
    vc_status vc_dtmf_sender_next(vc_dtmf_sender *sender, uint32_t step_samples, uint8_t *payload,
                                  int *marker)

cdef extern from "net/vc_jitter.h" nogil:
    ctypedef struct vc_jitter:
        pass
    ctypedef enum vc_jitter_mode:
        VC_JITTER_LISTEN
        VC_JITTER_PLAY
    ctypedef enum vc_codec:
        VC_CODEC_PCMU
        VC_CODEC_PCMA
        VC_CODEC_L16
        VC_CODEC_G722
        VC_CODEC_OPUS
        VC_CODEC_CN
        VC_CODEC_EVENTS
        VC_CODEC_RED
    int VC_JITTER_PAYLOAD_TYPES
    ctypedef struct vc_jitter_payload_type:
        uint8_t payload_type
        vc_codec codec
    ctypedef struct vc_jitter_config:
        vc_jitter_mode mode
        vc_codec codec
        int rate_hz
        int loss_wait_ms
        int min_depth_ms
        int max_depth_ms
        int payload_types
        vc_jitter_payload_type *payload_type
        const char *opus_library
        const vc_allocator *allocator
    ctypedef enum vc_frame_kind:
        VC_FRAME_DECODED
        VC_FRAME_CONCEALED
        VC_FRAME_SILENCE
        VC_FRAME_COMFORT_NOISE
    ctypedef struct vc_frame_info:
        int64_t position
        int64_t stream_position
        uint32_t timestamp
        int64_t arrival_ns
        vc_frame_kind kind
        int32_t depth_samples
    ctypedef enum vc_jitter_event_kind:
        VC_JITTER_CONCEALED
        VC_JITTER_ACCELERATED
        VC_JITTER_EXPANDED
    ctypedef struct vc_jitter_event:
        vc_jitter_event_kind kind
        int64_t position
        int64_t samples
    ctypedef struct vc_jitter_stats:
        uint64_t received
        uint64_t decoded
        uint64_t duplicate
        uint64_t late
        uint64_t discarded
        uint64_t rejected
        uint64_t held
        uint64_t lost
        uint64_t recovered
        uint64_t reordered
        uint64_t resets
        uint64_t output_samples
        uint64_t concealed_samples
        uint64_t concealment_events
        uint64_t silence_samples
        uint64_t comfort_noise_samples
        uint64_t accelerated_samples
        uint64_t expanded_samples
        uint64_t underruns
        uint64_t events_lost
        double jitter_ms
        double depth_ms
        double target_ms
        double delay_ms
        double mean_delay_ms
        double drift_ppm
        double mos
    vc_jitter_config vc_jitter_config_default()
    vc_status vc_jitter_create(vc_jitter **out, const vc_jitter_config *config)
    void vc_jitter_destroy(vc_jitter *jitter)
    void vc_jitter_reset(vc_jitter *jitter)
    vc_status vc_jitter_put(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t now_ns)
    vc_status vc_jitter_note(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t now_ns)
    vc_status vc_jitter_read(vc_jitter *jitter, int64_t now_ns, int16_t *samples, size_t *n,
                             vc_frame_info *info)
    vc_status vc_jitter_get(vc_jitter *jitter, int64_t now_ns, int16_t *samples,
                            vc_frame_info *info)
    int64_t vc_jitter_deadline_ns(const vc_jitter *jitter)
    vc_status vc_jitter_next_event(vc_jitter *jitter, vc_jitter_event *event)
    void vc_jitter_get_stats(const vc_jitter *jitter, vc_jitter_stats *stats)
