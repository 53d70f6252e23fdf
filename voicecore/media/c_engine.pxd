"""Mirror of csrc/engine for the bindings; the shard (Linux only) is declared in _engine.pyx."""

from libc.stdint cimport int16_t, int32_t, int64_t, uint8_t, uint16_t, uint32_t, uint64_t

from voicecore.media._pcm_ring cimport vc_pcm_ring
from voicecore.media.c_base cimport vc_allocator, vc_status
from voicecore.media.c_silero cimport vc_silero, vc_silero_model


cdef extern from "net/vc_jitter.h" nogil:
    ctypedef enum vc_codec:
        VC_CODEC_PCMU
        VC_CODEC_PCMA
        VC_CODEC_L16
        VC_CODEC_G722
        VC_CODEC_OPUS

cdef extern from "net/vc_srtp.h" nogil:
    ctypedef int vc_srtp_suite
    ctypedef struct vc_srtp_library:
        pass
    ctypedef struct vc_srtp_config:
        vc_srtp_suite suite
        uint8_t send_key[30]
        uint8_t receive_key[30]
    vc_status vc_srtp_library_create(vc_srtp_library **out, const char *path,
                                     const vc_allocator *allocator)
    const char *vc_srtp_library_version(const vc_srtp_library *library)
    void vc_srtp_wipe(void *memory, size_t n)

cdef extern from "engine/vc_source_guard.h" nogil:
    ctypedef struct vc_address:
        uint8_t family
        uint8_t bytes[16]
        uint16_t port
    ctypedef struct vc_source_guard_config:
        int learn
        int probation_packets
        int silence_ms

cdef extern from "engine/vc_event.h" nogil:
    ctypedef enum vc_event_kind:
        VC_EVENT_SPEECH_STARTED
        VC_EVENT_SPEECH_STOPPED
        VC_EVENT_BARGED_IN
        VC_EVENT_PLAYOUT_STARTED
        VC_EVENT_PLAYOUT_DRAINED
        VC_EVENT_MARK_REACHED
        VC_EVENT_DTMF_RECEIVED
        VC_EVENT_RTP_TIMED_OUT
        VC_EVENT_ROOM
        VC_EVENT_EVENTS_LOST
        VC_EVENT_CLOSED
        VC_EVENT_BYE_RECEIVED
        VC_EVENT_AUDIO
        VC_EVENT_DUCKED
        VC_EVENT_UNDUCKED
        VC_EVENT_REPLACED
        VC_EVENT_PAUSED
        VC_EVENT_FLUSHED
        VC_EVENT_WORD_REACHED
    ctypedef struct vc_event:
        uint32_t kind
        uint32_t call
        int64_t stamp_ns
        int64_t a
        int64_t b
        int64_t c
    ctypedef struct vc_event_sink:
        void (*post)(void *context, const vc_event *event) noexcept nogil
        void *context

cdef extern from "engine/vc_playout.h" nogil:
    ctypedef enum vc_playout_filling:
        VC_PLAYOUT_FILL_SILENCE
        VC_PLAYOUT_FILL_COMFORT
        VC_PLAYOUT_FILL_HOLD
    ctypedef struct vc_playout:
        pass
    vc_status vc_playout_push(vc_playout *playout, const int16_t *samples, size_t *n)
    vc_status vc_playout_push_word(vc_playout *playout, int64_t word, const int16_t *samples,
                                   size_t *n)
    vc_status vc_playout_mark(vc_playout *playout, int64_t mark_id)
    vc_status vc_playout_end_segment(vc_playout *playout)
    vc_status vc_playout_pause(vc_playout *playout)
    vc_status vc_playout_resume(vc_playout *playout)
    vc_status vc_playout_flush(vc_playout *playout)
    vc_status vc_playout_set_gain(vc_playout *playout, float gain_db, int ramp_ms)
    vc_status vc_playout_duck(vc_playout *playout)
    vc_status vc_playout_unduck(vc_playout *playout)
    vc_status vc_playout_replace(vc_playout *playout, int64_t source, int64_t start)
    void vc_playout_want_room(vc_playout *playout)
    int64_t vc_playout_queue_position(const vc_playout *playout)
    int64_t vc_playout_play_position(const vc_playout *playout)

cdef extern from "vad/vc_gate.h" nogil:
    ctypedef enum vc_gate_action:
        VC_GATE_NONE
        VC_GATE_DUCK
        VC_GATE_PAUSE
    enum:
        VC_GATE_LISTENING
        VC_GATE_THINKING
        VC_GATE_SPEAKING
    ctypedef struct vc_gate_settings:
        vc_gate_action action
        float neutral_probability
        float evidence
        int32_t min_speech_samples
        float min_snr_db
        float max_echo_likelihood
    ctypedef struct vc_gate_config:
        vc_gate_settings states[3]

cdef extern from "engine/vc_call.h" nogil:
    enum:
        VC_CALL_MAX_PACKET_BYTES
        VC_STAT_PACKETS_SENT
        VC_STAT_COUNT
    ctypedef int vc_call_stat
    ctypedef struct vc_call:
        pass
    ctypedef struct vc_call_config:
        uint32_t number
        vc_codec codec
        int rate_hz
        int play_hz
        int pushed
        int record_sent
        int payload_type
        int dtmf_payload_type
        uint32_t ssrc
        uint16_t first_sequence
        uint32_t first_timestamp
        int opus_bitrate_bps
        int opus_complexity
        int opus_packet_loss_percent
        const char *opus_library
        float speech_threshold
        float silence_threshold
        int min_speech_ms
        int min_silence_ms
        vc_gate_config gate
        int echo
        int echo_tail_ms
        int fade_ms
        float duck_db
        int duck_ms
        int crossfade_ms
        int prebuffer_ms
        vc_playout_filling when_dry
        float comfort_noise_db
        const int16_t *hold
        size_t hold_samples
        int loss_wait_ms
        int max_jitter_ms
        int rtp_timeout_ms
        int play_buffer_ms
        int receive_buffer_ms
        int sent_buffer_ms
        vc_pcm_ring *received
        vc_source_guard_config guard
        int rtcp
        uint32_t rtcp_seed
        char rtcp_cname[32]
        const vc_srtp_library *srtp_library
        const vc_srtp_config *srtp
        const vc_silero_model *model
        vc_event_sink sink
        const vc_allocator *allocator
    vc_call_config vc_call_config_default()
    vc_status vc_call_create(vc_call **out, const vc_call_config *config)
    void vc_call_destroy(vc_call *call)
    vc_playout *vc_call_playout(vc_call *call)
    vc_status vc_call_push(vc_call *call, const int16_t *samples, size_t *n)
    vc_status vc_call_send_dtmf(vc_call *call, char digit, int duration_ms)
    vc_status vc_call_read(vc_call *call, int16_t *samples, size_t *n, int64_t *first)
    vc_status vc_call_read_sent(vc_call *call, int16_t *samples, size_t *n, int64_t *first)
    size_t vc_call_readable(const vc_call *call)
    size_t vc_call_sent_readable(const vc_call *call)
    int64_t vc_call_received_start_ns(const vc_call *call)
    int64_t vc_call_sent_start_ns(const vc_call *call)
    void vc_call_get_stats(const vc_call *call, uint64_t *stats)
    void vc_call_set_thinking(vc_call *call, int thinking)
    vc_status vc_call_set_remote(vc_call *call, const vc_address *remote)
    vc_status vc_call_receive_from(vc_call *call, const vc_address *source, const uint8_t *data,
                                   size_t n, int64_t now_ns)
    const vc_address *vc_call_remote(const vc_call *call)
    vc_status vc_call_report(vc_call *call, int64_t now_ns, int last, uint8_t *packet, size_t *n)
    vc_status vc_call_receive(vc_call *call, const uint8_t *data, size_t n, int64_t now_ns)
    void vc_call_take_pushed(vc_call *call, int64_t now_ns)
    void vc_call_expire(vc_call *call, int64_t now_ns)
    vc_status vc_call_tick(vc_call *call, int64_t now_ns, uint8_t *packet, size_t *n)
    void vc_call_count(vc_call *call, vc_call_stat stat, uint64_t more)
    void vc_call_publish(vc_call *call)
    void vc_call_post(vc_call *call, vc_event_kind kind, int64_t now_ns)

cdef extern from "engine/vc_bank.h" nogil:
    ctypedef struct vc_bank:
        pass
    vc_status vc_bank_create(vc_bank **out, const vc_silero_model *model, size_t capacity,
                             const vc_allocator *allocator)
    void vc_bank_destroy(vc_bank *bank)
    vc_status vc_bank_note(vc_bank *bank, vc_call *call)
    size_t vc_bank_run(vc_bank *bank, int64_t now_ns)
