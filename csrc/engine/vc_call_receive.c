/* vc_call: datagrams in, the receive timeline, VAD windows; see vc_call.h. */
#include "engine/vc_call_state.h"

#include <string.h>

#include "base/vc_convert.h"

enum { READ_SAMPLES = 960 };

void vc_call_count(vc_call *call, vc_call_stat stat, uint64_t more)
{
    uint64_t value = atomic_load_explicit(&call->stats[stat], memory_order_relaxed);
    vc_call_set_stat(call, stat, value + more);
}

void vc_call_post_with(vc_call *call, vc_event_kind kind, int64_t now_ns, int64_t a, int64_t b,
                       int64_t c)
{
    vc_event event = {(uint32_t)kind, call->config.number, now_ns, a, b, c};
    call->config.sink.post(call->config.sink.context, &event);
}

void vc_call_post(vc_call *call, vc_event_kind kind, int64_t now_ns)
{
    vc_call_post_with(call, kind, now_ns, 0, 0, 0);
}

/* When a received sample arrived: its packet's arrival plus its offset in the packet. */
static int64_t arrival_of(const vc_call *call, int64_t sample)
{
    uint32_t held = call->arrival_count < ARRIVALS ? call->arrival_count : ARRIVALS;
    for (uint32_t back = 1; back <= held; back++) {
        const arrival *entry = &call->arrivals[(call->arrival_count - back) % ARRIVALS];
        if (entry->sample <= sample || back == held)
            return entry->ns + vc_call_samples_to_ns(call, sample - entry->sample);
    }
    return 0;
}

void vc_call_announce(vc_call *call, int64_t now_ns)
{
    if (vc_pcm_ring_due(call->received)) vc_call_post(call, VC_EVENT_AUDIO, now_ns);
}

/* Moves waiting samples into the window until it is full. */
static void fill_window(vc_call *call)
{
    int16_t samples[MAX_WINDOW];
    if (call->window_fill >= call->window_samples) return;
    size_t n = call->window_samples - call->window_fill;
    (void)vc_ring_pull(call->unjudged, samples, &n);
    vc_convert_s16_to_f32(samples, call->window + call->window_fill, n);
    call->window_fill += n;
}

/* Takes samples for the VAD: into the window itself unless a burst waits before them. Returns how
 * many fitted. */
static size_t add_unjudged(vc_call *call, const int16_t *samples, size_t n)
{
    size_t room = call->window_samples + MAX_FRAME - call->window_fill, direct = 0;
    if (vc_ring_level(call->unjudged) == 0) {
        direct = n < room ? n : room;
        vc_convert_s16_to_f32(samples, call->window + call->window_fill, direct);
        call->window_fill += direct;
    }
    size_t rest = n - direct;
    if (rest > 0) (void)vc_ring_push(call->unjudged, samples + direct, &rest);
    return direct + rest;
}

static float power_of(const float *samples, size_t n)
{
    float sum[8] = {0.0f};
    for (size_t i = 0; i < n; i += 8) /* a window is a multiple of 8 */
        for (size_t j = 0; j < 8; j++) sum[j] += samples[i + j] * samples[i + j];
    return (((sum[0] + sum[4]) + (sum[2] + sum[6])) + ((sum[1] + sum[5]) + (sum[3] + sum[7]))) /
           (float)n;
}

int vc_call_window(vc_call *call, vc_silero **vad, const float **window)
{
    fill_window(call);
    if (call->window_fill < call->window_samples) return 0;
    call->window_power = power_of(call->window, call->window_samples);
    *vad = call->vad;
    *window = call->window;
    return 1;
}

int vc_call_rest(vc_call *call, int64_t now_ns)
{
    if (!vc_background_is_resting(&call->background, call->window_power)) return 0;
    vc_call_judge(call, 0.0f, now_ns);
    vc_call_count(call, VC_STAT_WINDOWS_RESTED, 1);
    return 1;
}

static vc_gate_state agent_state(const vc_call *call)
{
    if (vc_playout_is_sounding(call->playout)) return VC_GATE_SPEAKING;
    /* Within an answer that has run dry the rest of it is on its way. */
    if (vc_playout_is_filling(call->playout) ||
        atomic_load_explicit(&call->thinking, memory_order_relaxed))
        return VC_GATE_THINKING;
    return VC_GATE_LISTENING;
}

void vc_call_judge(vc_call *call, float probability, int64_t now_ns)
{
    vc_speech *speech = &call->speech;
    vc_gate_state state = agent_state(call);
    vc_background_step(&call->background, call->window_power, probability);
    if (vc_background_is_settled(&call->background)) vc_silero_reset(call->vad);
    vc_gate_window window = {.probability = probability,
                             .snr = vc_background_snr(&call->background),
                             .start = call->window_start};
    /* What was sent can still be heard after the playout ended, so the state does not matter. */
    if (call->echo)
        window.echo_likelihood =
            vc_call_echo_likelihood(call->echo, call->window_start, call->window_samples);
    if (vc_gate_is_echo(&call->gate, state, window.echo_likelihood)) probability = 0.0f;
    int happened = vc_speech_step(speech, probability, call->window_start);
    if (speech->start_sample < 0) vc_gate_rearm(&call->gate);
    vc_gate_action action = vc_gate_step(&call->gate, state, &window);
    if (action != VC_GATE_NONE && vc_speech_begin(speech, call->gate.start_sample))
        happened |= VC_SPEECH_STARTED;
    call->window_start += (int64_t)call->window_samples;
    call->window_fill -= call->window_samples;
    memmove(call->window, call->window + call->window_samples, call->window_fill * sizeof(float));
    if (happened & VC_SPEECH_STARTED)
        vc_call_post_with(call, VC_EVENT_SPEECH_STARTED, now_ns, speech->start_sample,
                          arrival_of(call, speech->start_sample), 0);
    if (action == VC_GATE_DUCK && vc_playout_duck_now(call->playout) == VC_OK)
        call->gate_ducked = 1;
    if (call->gate_ducked && speech->start_sample < 0) {
        (void)vc_playout_unduck_now(call->playout);
        call->gate_ducked = 0;
    }
    int64_t play_sample;
    if (action == VC_GATE_PAUSE && vc_playout_pause_now(call->playout, &play_sample) == VC_OK)
        vc_call_post_with(call, VC_EVENT_BARGED_IN, now_ns, speech->start_sample,
                          arrival_of(call, speech->start_sample), play_sample);
    if (happened & VC_SPEECH_STOPPED)
        vc_call_post_with(call, VC_EVENT_SPEECH_STOPPED, now_ns, speech->stopped_sample,
                          arrival_of(call, speech->stopped_sample), 0);
}

/* Gives samples of the receive timeline to the reader and the VAD. */
static void deliver(vc_call *call, const int16_t *samples, size_t n, int64_t now_ns)
{
    vc_pcm_ring_write(call->received, samples, n);
    vc_call_announce(call, now_ns);
    while (n > 0) {
        size_t taken = add_unjudged(call, samples, n);
        samples += taken;
        n -= taken;
        if (n == 0) break;
        /* A burst of more than the ring holds: judge here instead of in the batch. */
        vc_silero *vad;
        const float *window;
        float probability;
        while (vc_call_window(call, &vad, &window)) {
            if (vc_call_rest(call, now_ns)) continue;
            if (vc_silero_process(vad, window, &probability) != VC_OK) probability = 0.0f;
            vc_call_judge(call, probability, now_ns);
        }
    }
}

/* Appends up to READ_SAMPLES to the receive timeline. decoded: they came in a packet. */
static void accept(vc_call *call, const int16_t *samples, size_t n, int decoded, int64_t arrival_ns,
                   int64_t now_ns)
{
    if (n == 0) return;
    if (call->receive_end == 0) {
        call->first_arrival_ns = arrival_ns;
        atomic_store_explicit(&call->received_start_ns, arrival_ns, memory_order_relaxed);
    }
    call->arrivals[call->arrival_count++ % ARRIVALS] = (arrival){call->receive_end, arrival_ns};
    call->receive_end += (int64_t)n;
    vc_call_set_stat(call, VC_STAT_RECEIVED_SAMPLES, (uint64_t)call->receive_end);
    if (!call->echo) {
        deliver(call, samples, n, now_ns);
        return;
    }
    int16_t clean[READ_SAMPLES + VC_CALL_ECHO_EXTRA];
    int64_t first; /* where the ring ends */
    n = vc_call_echo_process(call->echo, samples, n, decoded, clean, &first);
    deliver(call, clean, n, now_ns);
}

/* The fastest packet says best when sample 0 was on the wire; pushed audio has no pace. */
static void correct_start(vc_call *call, int64_t arrival_ns)
{
    int64_t start_ns = arrival_ns - vc_call_samples_to_ns(call, call->receive_end);
    /* Earlier than this it was not: then the sender's timestamps have jumped ahead. */
    int64_t earliest_ns = call->first_arrival_ns - call->config.max_jitter_ms * VC_NS_PER_MS;
    if (start_ns < earliest_ns || start_ns >= vc_call_received_start_ns(call)) return;
    atomic_store_explicit(&call->received_start_ns, start_ns, memory_order_relaxed);
}

static void drain_jitter(vc_call *call, int64_t now_ns)
{
    int16_t samples[READ_SAMPLES];
    for (;;) {
        vc_frame_info info;
        size_t n = READ_SAMPLES;
        vc_status status = vc_jitter_read(call->jitter, now_ns, samples, &n, &info);
        if (status < 0 || n == 0) return;
        if (call->receive_end > 0 && info.kind == VC_FRAME_DECODED)
            correct_start(call, info.arrival_ns);
        accept(call, samples, n, info.kind == VC_FRAME_DECODED, info.arrival_ns, now_ns);
    }
}

static vc_status receive_dtmf(vc_call *call, const vc_rtp_packet *packet, int64_t now_ns)
{
    char character;
    vc_status status = vc_dtmf_receive(&call->dtmf_in, packet, &character);
    if (status == VC_OK)
        vc_call_post_with(call, VC_EVENT_DTMF_RECEIVED, now_ns, character, call->receive_end, 0);
    return status < 0 ? VC_IGNORED : status;
}

vc_status vc_call_receive_from(vc_call *call, const vc_address *from, const uint8_t *bytes,
                               size_t n, int64_t now_ns)
{
    vc_rtp_packet packet;
    uint8_t plain[MAX_DATAGRAM];
    vc_call_count(call, VC_STAT_PACKETS_RECEIVED, 1);
    if (call->config.pushed) return VC_IGNORED;
    if (vc_call_admit(call, from, bytes, n, plain, &packet, now_ns) != VC_OK) return VC_IGNORED;
    int is_dtmf = packet.payload_type == call->config.dtmf_payload_type;
    if (is_dtmf || packet.payload_type == VC_RTP_PT_CN) {
        /* No audio, but part of the stream: its sequence number is not a loss. */
        vc_status noted = vc_jitter_note(call->jitter, &packet, now_ns);
        drain_jitter(call, now_ns);
        /* One that had been declared lost is counted as late by the jitter buffer. */
        if (noted != VC_LATE) vc_call_count(call, VC_STAT_PACKETS_SILENT, 1);
        return is_dtmf ? receive_dtmf(call, &packet, now_ns) : VC_OK;
    }
    vc_status status = vc_jitter_put(call->jitter, &packet, now_ns);
    if (status < 0) {
        vc_call_count(call, VC_STAT_PACKETS_MALFORMED, 1);
        return VC_IGNORED;
    }
    drain_jitter(call, now_ns);
    return status;
}

int vc_call_is_audio(const vc_call *call, const uint8_t *bytes, size_t n)
{
    return n >= 2 && bytes[0] >> 6 == 2 && !vc_rtcp_is_rtcp(bytes, n) &&
           (bytes[1] & 0x7f) != call->config.dtmf_payload_type;
}

void vc_call_shed(vc_call *call)
{
    vc_call_count(call, VC_STAT_PACKETS_RECEIVED, 1);
    vc_call_count(call, VC_STAT_PACKETS_SHED, 1);
    vc_jitter_skip(call->jitter);
}

vc_status vc_call_receive(vc_call *call, const uint8_t *bytes, size_t n, int64_t now_ns)
{
    return vc_call_receive_from(call, NULL, bytes, n, now_ns);
}

void vc_call_heard(vc_call *call, int64_t now_ns)
{
    call->last_packet_ns = now_ns;
    call->timed_out = 0;
}

void vc_call_take_pushed(vc_call *call, int64_t now_ns)
{
    int16_t samples[READ_SAMPLES];
    if (!call->pushed) return;
    for (;;) {
        size_t n = READ_SAMPLES;
        if (vc_ring_pull(call->pushed, samples, &n) != VC_OK) return;
        vc_call_heard(call, now_ns);
        accept(call, samples, n, 1, now_ns, now_ns);
    }
}

void vc_call_expire(vc_call *call, int64_t now_ns)
{
    if (call->jitter && vc_jitter_deadline_ns(call->jitter) <= now_ns) drain_jitter(call, now_ns);
}
