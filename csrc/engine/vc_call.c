/* vc_call: see vc_call.h. What crosses to Python's thread goes through rings of one writer each, or
 * relaxed atomics (start times, counters). */
#include "engine/vc_call.h"
#include "engine/vc_call_state.h"

#include <string.h>

vc_call_config vc_call_config_default(void)
{
    vc_call_config config = {
        .codec = VC_CODEC_PCMU,
        .rate_hz = 8000,
        .play_hz = 24000,
        .dtmf_payload_type = 101,
        .opus_complexity = -1,
        .speech_threshold = 0.5f,
        .silence_threshold = 0.35f,
        .min_speech_ms = 64,
        .min_silence_ms = 192,
        .gate = vc_gate_config_default(),
        .echo_tail_ms = 256,
        .fade_ms = 5,
        .duck_db = -15.0f,
        .duck_ms = 20,
        .crossfade_ms = 20,
        .comfort_noise_db = -60.0f,
        .loss_wait_ms = 60,
        .max_jitter_ms = 400,
        .rtp_timeout_ms = 5000,
        .play_buffer_ms = 5000,
        .receive_buffer_ms = 30000,
        .sent_buffer_ms = 4000,
        .guard = vc_source_guard_config_default(),
        .rtcp_seed = 1,
        .rtcp_cname = "voicecore",
    };
    return config;
}

static vc_status create_parts(vc_call *call, const vc_call_config *given)
{
    const vc_call_config *config = given;
    vc_playout_config playout = vc_playout_config_default();
    playout.play_hz = config->play_hz;
    playout.rate_hz = config->rate_hz;
    playout.fade_ms = config->fade_ms;
    playout.duck_db = config->duck_db;
    playout.duck_ms = config->duck_ms;
    playout.crossfade_ms = config->crossfade_ms;
    playout.buffer_ms = config->play_buffer_ms;
    playout.prebuffer_ms = config->prebuffer_ms;
    playout.when_dry = config->when_dry;
    playout.comfort_noise_db = config->comfort_noise_db;
    playout.hold = config->hold;
    playout.hold_samples = config->hold_samples;
    playout.call = config->number;
    playout.sink = config->sink;
    playout.allocator = config->allocator;
    vc_jitter_config jitter = vc_jitter_config_default();
    jitter.mode = VC_JITTER_LISTEN;
    jitter.codec = config->codec;
    jitter.rate_hz = config->rate_hz;
    jitter.loss_wait_ms = config->loss_wait_ms;
    jitter.max_depth_ms = config->max_jitter_ms;
    jitter.opus_library = config->opus_library;
    jitter.allocator = config->allocator;
    vc_call_codec_config codec = vc_call_codec_config_default();
    codec.codec = config->codec;
    codec.rate_hz = config->rate_hz;
    codec.reference = config->echo;
    codec.bitrate_bps = config->opus_bitrate_bps;
    codec.complexity = config->opus_complexity;
    codec.packet_loss_percent = config->opus_packet_loss_percent;
    codec.library = config->opus_library;
    codec.allocator = config->allocator;
    vc_speech_config speech = {
        .speech_threshold = config->speech_threshold,
        .silence_threshold = config->silence_threshold,
        .window_samples = (int32_t)call->window_samples,
        .min_speech_samples = config->min_speech_ms * config->rate_hz / 1000,
        .min_silence_samples = config->min_silence_ms * config->rate_hz / 1000,
    };
    size_t second = (size_t)config->rate_hz;
    size_t kept = second * (size_t)config->receive_buffer_ms / 1000;
    size_t sent = second * (size_t)config->sent_buffer_ms / 1000;

    vc_gate_config gate = config->gate;
    gate.window_samples = (int32_t)call->window_samples;
    gate.rate_hz = config->rate_hz;

    vc_status status = vc_speech_init(&call->speech, &speech);
    if (status == VC_OK) status = vc_gate_init(&call->gate, &gate);
    if (status == VC_OK)
        status = vc_background_init(&call->background, config->rate_hz, gate.window_samples);
    if (status == VC_OK) status = vc_playout_create(&call->playout, &playout);
    if (status == VC_OK) status = vc_silero_create(&call->vad, config->model, config->allocator);
    call->received = config->received;
    if (status == VC_OK && !call->received)
        status = vc_pcm_ring_create(&call->received, kept, config->allocator);
    if (status == VC_OK)
        status = vc_ring_create(&call->unjudged, sizeof(int16_t), second / 8, config->allocator);
    if (status == VC_OK)
        status = vc_ring_create(&call->digits, sizeof(digit), DIGITS, config->allocator);
    if (status == VC_OK)
        status = vc_ring_create(&call->remotes, sizeof(vc_address), REMOTES, config->allocator);
    if (status == VC_OK && config->srtp && !config->pushed) {
        vc_srtp_config srtp = *config->srtp;
        srtp.send_ssrc = config->ssrc;
        srtp.allocator = config->allocator;
        status = vc_srtp_create(&call->srtp, config->srtp_library, &srtp);
        vc_srtp_wipe(&srtp, sizeof srtp);
    }
    call->config.srtp = NULL; /* the caller's, and wiped by him */
    call->config.hold = NULL;
    if (status == VC_OK && config->record_sent)
        status = vc_pcm_ring_create(&call->sent, sent, config->allocator);
    if (status == VC_OK && config->pushed)
        status = vc_ring_create(&call->pushed, sizeof(int16_t), second, config->allocator);
    if (status == VC_OK && !config->pushed) status = vc_call_codec_init(&call->codec, &codec);
    if (status == VC_OK && !config->pushed) status = vc_jitter_create(&call->jitter, &jitter);
    call->config.opus_library = NULL; /* the caller's */
    if (status == VC_OK && config->echo) {
        vc_call_echo_config echo = {config->rate_hz, config->echo_tail_ms, config->max_jitter_ms,
                                    config->allocator};
        status = vc_call_echo_create(&call->echo, &echo);
    }
    return status;
}

vc_status vc_call_create(vc_call **out, const vc_call_config *config)
{
    if (!out || !config || !config->model || !config->sink.post) return VC_E_NULL;
    *out = NULL;
    if (config->rate_hz != 8000 && config->rate_hz != 16000) return VC_E_RATE;
    if (config->rate_hz != vc_silero_model_rate_hz(config->model)) return VC_E_RATE;
    vc_status fits = vc_call_codec_check(config->codec, config->rate_hz);
    if (fits != VC_OK && !(fits == VC_E_RATE && config->pushed)) return fits;
    if (config->payload_type < 0 || config->payload_type > 127) return VC_E_RANGE;
    if (config->dtmf_payload_type < 96 || config->dtmf_payload_type > 127) return VC_E_RANGE;
    if (config->srtp && !config->srtp_library) return VC_E_NULL;
    if (!memchr(config->rtcp_cname, 0, sizeof config->rtcp_cname)) return VC_E_RANGE;
    if (config->receive_buffer_ms < 100 || config->receive_buffer_ms > 60000) return VC_E_RANGE;
    if (config->sent_buffer_ms < 100 || config->sent_buffer_ms > 60000) return VC_E_RANGE;
    if (config->min_speech_ms < 0 || config->min_silence_ms < 0 || config->rtp_timeout_ms < 0)
        return VC_E_RANGE;
    vc_call *call = vc_allocate(config->allocator, sizeof(vc_call));
    if (!call) return VC_E_MEMORY;
    call->config = *config;
    call->window_samples = vc_silero_model_window_samples(config->model);
    call->sequence = config->first_sequence;
    call->timestamp = config->first_timestamp;
    vc_call_set_stat(call, VC_STAT_QUEUE_LOWEST_SAMPLES, (uint64_t)-1); /* no segment yet */
    vc_status status = vc_source_guard_init(&call->guard, &config->guard, NULL);
    if (status == VC_OK) status = create_parts(call, config);
    if (status != VC_OK) {
        vc_call_destroy(call);
        return status;
    }
    *out = call;
    return VC_OK;
}

void vc_call_destroy(vc_call *call)
{
    if (!call) return;
    vc_call_echo_destroy(call->echo);
    vc_jitter_destroy(call->jitter);
    vc_call_codec_release(&call->codec);
    vc_srtp_destroy(call->srtp);
    vc_ring_destroy(call->remotes);
    vc_ring_destroy(call->pushed);
    vc_pcm_ring_destroy(call->sent);
    vc_ring_destroy(call->digits);
    vc_ring_destroy(call->unjudged);
    if (!call->config.received) vc_pcm_ring_destroy(call->received);
    vc_silero_destroy(call->vad);
    vc_playout_destroy(call->playout);
    vc_release(call->config.allocator, call);
}

/* -- producer side -- */

vc_playout *vc_call_playout(vc_call *call)
{
    return call->playout;
}

void vc_call_set_thinking(vc_call *call, int thinking)
{
    atomic_store_explicit(&call->thinking, thinking, memory_order_relaxed);
}

vc_status vc_call_push(vc_call *call, const int16_t *samples, size_t *n)
{
    if (!call->pushed) return VC_E_STATE;
    return vc_ring_push(call->pushed, samples, n);
}

vc_status vc_call_send_dtmf(vc_call *call, char character, int duration_ms)
{
    if (vc_dtmf_event_of(character) < 0) return VC_E_RANGE;
    if (duration_ms < 40 || duration_ms > 1000) return VC_E_RANGE;
    int clock_hz = vc_jitter_rtp_clock_hz(call->config.codec, call->config.rate_hz);
    digit entry = {character, duration_ms * (clock_hz / 1000)};
    size_t one = 1;
    return vc_ring_push(call->digits, &entry, &one);
}

vc_status vc_call_set_remote(vc_call *call, const vc_address *remote)
{
    size_t one = 1;
    return vc_ring_push(call->remotes, remote, &one);
}

vc_status vc_call_read(vc_call *call, int16_t *samples, size_t *n, int64_t *first)
{
    return vc_pcm_ring_pull(call->received, samples, n, first);
}

vc_status vc_call_read_sent(vc_call *call, int16_t *samples, size_t *n, int64_t *first)
{
    if (call->sent) return vc_pcm_ring_pull(call->sent, samples, n, first);
    *n = 0;
    return VC_E_STATE;
}

size_t vc_call_readable(const vc_call *call)
{
    int64_t first;
    return vc_pcm_ring_unread(call->received, &first);
}

size_t vc_call_sent_readable(const vc_call *call)
{
    int64_t first;
    return call->sent ? vc_pcm_ring_unread(call->sent, &first) : 0;
}

vc_pcm_ring *vc_call_received(const vc_call *call)
{
    return call->received;
}

int64_t vc_call_received_start_ns(const vc_call *call)
{
    return atomic_load_explicit(&call->received_start_ns, memory_order_relaxed);
}

int64_t vc_call_sent_start_ns(const vc_call *call)
{
    return atomic_load_explicit(&call->sent_start_ns, memory_order_relaxed);
}

void vc_call_get_stats(const vc_call *call, uint64_t *stats)
{
    for (int i = 0; i < VC_STAT_COUNT; i++)
        stats[i] = atomic_load_explicit(&call->stats[i], memory_order_relaxed);
    stats[VC_STAT_UNREAD_DROPPED_SAMPLES] = vc_pcm_ring_dropped(call->received);
    stats[VC_STAT_SENT_DROPPED_SAMPLES] = call->sent ? vc_pcm_ring_dropped(call->sent) : 0;
}
