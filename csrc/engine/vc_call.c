/* vc_call: see vc_call.h. What crosses to Python's thread goes through single-producer rings (audio
 * in blocks that carry their sample index, so that a reader that was away sees a jump, not a shift)
 * or relaxed atomics (start times, counters). */
#include "engine/vc_call.h"

#include <stdatomic.h>
#include <string.h>

#include "base/vc_convert.h"
#include "base/vc_ring.h"
#include "codec/vc_g711.h"
#include "codec/vc_l16.h"
#include "net/vc_dtmf.h"
#include "vad/vc_speech.h"

enum { BLOCK = VC_CALL_BLOCK_SAMPLES, MAX_WINDOW = 512, MAX_FRAME = 320, READ_SAMPLES = 960 };
enum { ARRIVALS = 256, DIGITS = 64 };

typedef struct audio_block {
    int64_t first;
    int32_t n;
    int16_t samples[BLOCK];
} audio_block;

typedef struct arrival {
    int64_t sample, ns;
} arrival;

typedef struct digit {
    char character;
    int32_t samples;
} digit;

struct vc_call {
    vc_call_config config;
    const vc_g711 *g711;
    vc_playout *playout;
    vc_jitter *jitter;
    vc_silero *vad;
    vc_speech speech;
    vc_ring *received, *sent, *pushed, *digits;
    size_t window_samples;
    /* receive */
    int64_t receive_end; /* length of the receive timeline */
    int64_t window_start;
    size_t window_fill;
    float window[MAX_WINDOW + MAX_FRAME]; /* and what a packet brings beyond it */
    vc_ring *unjudged;                    /* a burst's samples behind that */
    arrival arrivals[ARRIVALS];
    uint32_t arrival_count;
    int64_t first_arrival_ns; /* of received sample 0 */
    int64_t last_packet_ns, started_ns;
    int timed_out;
    vc_dtmf_receiver dtmf_in;
    /* send */
    uint16_t sequence;
    uint32_t timestamp;
    int sent_any;
    int64_t sent_end;
    vc_dtmf_sender dtmf_out;
    /* for Python's thread */
    _Atomic int64_t received_start_ns, sent_start_ns;
    _Atomic uint64_t stats[VC_STAT_COUNT];
    /* the block that a read has begun */
    audio_block received_part, sent_part;
    int32_t received_used, sent_used;
};

vc_call_config vc_call_config_default(void)
{
    vc_call_config config = {
        .codec = VC_CODEC_PCMU,
        .rate_hz = 8000,
        .play_hz = 24000,
        .dtmf_payload_type = 101,
        .speech_threshold = 0.5f,
        .silence_threshold = 0.35f,
        .min_speech_ms = 64,
        .min_silence_ms = 192,
        .barge_in_min_speech_ms = 96,
        .fade_ms = 5,
        .loss_wait_ms = 60,
        .max_jitter_ms = 400,
        .rtp_timeout_ms = 5000,
        .play_buffer_ms = 5000,
        .receive_buffer_ms = 4000,
    };
    return config;
}

static vc_status create_parts(vc_call *call)
{
    const vc_call_config *config = &call->config;
    vc_playout_config playout = vc_playout_config_default();
    playout.play_hz = config->play_hz;
    playout.rate_hz = config->rate_hz;
    playout.fade_ms = config->fade_ms;
    playout.buffer_ms = config->play_buffer_ms;
    playout.call = config->number;
    playout.sink = config->sink;
    playout.allocator = config->allocator;
    vc_jitter_config jitter = vc_jitter_config_default();
    jitter.mode = VC_JITTER_LISTEN;
    jitter.codec = config->codec;
    jitter.rate_hz = config->rate_hz;
    jitter.loss_wait_ms = config->loss_wait_ms;
    jitter.max_depth_ms = config->max_jitter_ms;
    jitter.allocator = config->allocator;
    vc_speech_config speech = {
        .speech_threshold = config->speech_threshold,
        .silence_threshold = config->silence_threshold,
        .window_samples = (int32_t)call->window_samples,
        .min_speech_samples = config->min_speech_ms * config->rate_hz / 1000,
        .min_silence_samples = config->min_silence_ms * config->rate_hz / 1000,
        .barge_in_samples = config->barge_in_min_speech_ms * config->rate_hz / 1000,
    };
    size_t second = (size_t)config->rate_hz;
    size_t blocks = second * (size_t)config->receive_buffer_ms / 1000 / BLOCK + 1;

    vc_status status = vc_speech_init(&call->speech, &speech);
    if (status == VC_OK) status = vc_playout_create(&call->playout, &playout);
    if (status == VC_OK) status = vc_silero_create(&call->vad, config->model, config->allocator);
    if (status == VC_OK)
        status = vc_ring_create(&call->received, sizeof(audio_block), blocks, config->allocator);
    if (status == VC_OK)
        status = vc_ring_create(&call->unjudged, sizeof(int16_t), second / 8, config->allocator);
    if (status == VC_OK)
        status = vc_ring_create(&call->digits, sizeof(digit), DIGITS, config->allocator);
    if (status == VC_OK && config->record_sent)
        status = vc_ring_create(&call->sent, sizeof(audio_block), blocks, config->allocator);
    if (status == VC_OK && config->pushed)
        status = vc_ring_create(&call->pushed, sizeof(int16_t), second, config->allocator);
    if (status == VC_OK && !config->pushed) status = vc_jitter_create(&call->jitter, &jitter);
    return status;
}

vc_status vc_call_create(vc_call **out, const vc_call_config *config)
{
    if (!out || !config || !config->model || !config->sink.post) return VC_E_NULL;
    *out = NULL;
    if (config->rate_hz != 8000 && config->rate_hz != 16000) return VC_E_RATE;
    if (config->rate_hz != vc_silero_model_rate_hz(config->model)) return VC_E_RATE;
    if (config->codec < VC_CODEC_PCMU || config->codec > VC_CODEC_L16) return VC_E_RANGE;
    if (config->codec != VC_CODEC_L16 && config->rate_hz != 8000 && !config->pushed)
        return VC_E_RATE;
    if (config->payload_type < 0 || config->payload_type > 127) return VC_E_RANGE;
    if (config->dtmf_payload_type < 96 || config->dtmf_payload_type > 127) return VC_E_RANGE;
    if (config->receive_buffer_ms < 100 || config->receive_buffer_ms > 60000) return VC_E_RANGE;
    if (config->min_speech_ms < 0 || config->min_silence_ms < 0 || config->rtp_timeout_ms < 0 ||
        config->barge_in_min_speech_ms < 0)
        return VC_E_RANGE;
    vc_call *call = vc_allocate(config->allocator, sizeof(vc_call));
    if (!call) return VC_E_MEMORY;
    call->config = *config;
    call->window_samples = vc_silero_model_window_samples(config->model);
    call->sequence = config->first_sequence;
    call->timestamp = config->first_timestamp;
    vc_status status = vc_g711_get(VC_CPU_AUTO, &call->g711);
    if (status == VC_OK) status = create_parts(call);
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
    vc_jitter_destroy(call->jitter);
    vc_ring_destroy(call->pushed);
    vc_ring_destroy(call->sent);
    vc_ring_destroy(call->digits);
    vc_ring_destroy(call->unjudged);
    vc_ring_destroy(call->received);
    vc_silero_destroy(call->vad);
    vc_playout_destroy(call->playout);
    vc_release(call->config.allocator, call);
}

/* -- producer side -- */

vc_playout *vc_call_playout(vc_call *call)
{
    return call->playout;
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
    digit entry = {character, duration_ms * call->config.rate_hz / 1000};
    size_t one = 1;
    return vc_ring_push(call->digits, &entry, &one);
}

/* Copies blocks from a ring until the room or the run of consecutive samples ends. */
static vc_status read_blocks(vc_ring *ring, audio_block *part, int32_t *used, int16_t *samples,
                             size_t *n, int64_t *first)
{
    size_t room = *n, done = 0;
    while (done < room) {
        if (*used >= part->n) {
            size_t one = 1;
            if (vc_ring_pull(ring, part, &one) != VC_OK) break;
            *used = 0;
        }
        int64_t at = part->first + *used;
        if (done == 0)
            *first = at;
        else if (at != *first + (int64_t)done)
            break;
        size_t left = (size_t)(part->n - *used);
        size_t take = left < room - done ? left : room - done;
        memcpy(samples + done, part->samples + *used, take * sizeof(int16_t));
        *used += (int32_t)take;
        done += take;
    }
    *n = done;
    return done > 0 ? VC_OK : VC_NEED_MORE;
}

vc_status vc_call_read(vc_call *call, int16_t *samples, size_t *n, int64_t *first)
{
    return read_blocks(call->received, &call->received_part, &call->received_used, samples, n,
                       first);
}

vc_status vc_call_read_sent(vc_call *call, int16_t *samples, size_t *n, int64_t *first)
{
    if (!call->sent) {
        *n = 0;
        return VC_E_STATE;
    }
    return read_blocks(call->sent, &call->sent_part, &call->sent_used, samples, n, first);
}

static size_t readable(const vc_ring *ring, const audio_block *part, int32_t used)
{
    return ring ? vc_ring_level(ring) * BLOCK + (size_t)(part->n - used) : 0;
}

size_t vc_call_readable(const vc_call *call)
{
    return readable(call->received, &call->received_part, call->received_used);
}

size_t vc_call_sent_readable(const vc_call *call)
{
    return readable(call->sent, &call->sent_part, call->sent_used);
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
}

/* -- media thread -- */

static void set_stat(vc_call *call, vc_call_stat stat, uint64_t value)
{
    atomic_store_explicit(&call->stats[stat], value, memory_order_relaxed);
}

void vc_call_count(vc_call *call, vc_call_stat stat, uint64_t more)
{
    uint64_t value = atomic_load_explicit(&call->stats[stat], memory_order_relaxed);
    set_stat(call, stat, value + more);
}

static void post(vc_call *call, vc_event_kind kind, int64_t now_ns, int64_t a, int64_t b, int64_t c)
{
    vc_event event = {(uint32_t)kind, call->config.number, now_ns, a, b, c};
    call->config.sink.post(call->config.sink.context, &event);
}

void vc_call_post(vc_call *call, vc_event_kind kind, int64_t now_ns)
{
    post(call, kind, now_ns, 0, 0, 0);
}

static int64_t samples_to_ns(const vc_call *call, int64_t samples)
{
    return vc_samples_to_ns(samples, call->config.rate_hz);
}

/* When a received sample arrived: its packet's arrival plus its offset in the packet. */
static int64_t arrival_of(const vc_call *call, int64_t sample)
{
    uint32_t held = call->arrival_count < ARRIVALS ? call->arrival_count : ARRIVALS;
    for (uint32_t back = 1; back <= held; back++) {
        const arrival *entry = &call->arrivals[(call->arrival_count - back) % ARRIVALS];
        if (entry->sample <= sample || back == held)
            return entry->ns + samples_to_ns(call, sample - entry->sample);
    }
    return 0;
}

/* Splits samples into blocks for Python's thread; what does not fit is dropped and counted. */
static void queue_blocks(vc_call *call, vc_ring *ring, int64_t first, const int16_t *samples,
                         size_t n, vc_call_stat dropped)
{
    while (n > 0) {
        audio_block block;
        size_t take = n < BLOCK ? n : BLOCK, one = 1;
        block.first = first;
        block.n = (int32_t)take;
        memcpy(block.samples, samples, take * sizeof(int16_t));
        memset(block.samples + take, 0, (BLOCK - take) * sizeof(int16_t));
        if (vc_ring_push(ring, &block, &one) != VC_OK) vc_call_count(call, dropped, take);
        first += (int64_t)take;
        samples += take;
        n -= take;
    }
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

int vc_call_window(vc_call *call, vc_silero **vad, const float **window)
{
    fill_window(call);
    if (call->window_fill < call->window_samples) return 0;
    *vad = call->vad;
    *window = call->window;
    return 1;
}

void vc_call_judge(vc_call *call, float probability, int64_t now_ns)
{
    vc_speech *speech = &call->speech;
    int sounding = vc_playout_is_sounding(call->playout);
    int happened = vc_speech_step(speech, probability, call->window_start, sounding);
    call->window_start += (int64_t)call->window_samples;
    call->window_fill -= call->window_samples;
    memmove(call->window, call->window + call->window_samples, call->window_fill * sizeof(float));
    if (happened & VC_SPEECH_STARTED)
        post(call, VC_EVENT_SPEECH_STARTED, now_ns, speech->start_sample,
             arrival_of(call, speech->start_sample), 0);
    if (happened & VC_SPEECH_BARGED_IN) {
        int64_t play_sample;
        if (vc_playout_pause_now(call->playout, &play_sample) == VC_OK)
            post(call, VC_EVENT_BARGED_IN, now_ns, speech->start_sample,
                 arrival_of(call, speech->start_sample), play_sample);
    }
    if (happened & VC_SPEECH_STOPPED)
        post(call, VC_EVENT_SPEECH_STOPPED, now_ns, speech->stopped_sample,
             arrival_of(call, speech->stopped_sample), 0);
}

/* Appends samples to the receive timeline. */
static void accept(vc_call *call, const int16_t *samples, size_t n, int64_t arrival_ns,
                   int64_t now_ns)
{
    if (n == 0) return;
    if (call->receive_end == 0) {
        call->first_arrival_ns = arrival_ns;
        atomic_store_explicit(&call->received_start_ns, arrival_ns, memory_order_relaxed);
    }
    call->arrivals[call->arrival_count++ % ARRIVALS] = (arrival){call->receive_end, arrival_ns};
    queue_blocks(call, call->received, call->receive_end, samples, n,
                 VC_STAT_UNREAD_DROPPED_SAMPLES);
    call->receive_end += (int64_t)n;
    set_stat(call, VC_STAT_RECEIVED_SAMPLES, (uint64_t)call->receive_end);
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
            if (vc_silero_process(vad, window, &probability) != VC_OK) probability = 0.0f;
            vc_call_judge(call, probability, now_ns);
        }
    }
}

/* The fastest packet says best when sample 0 was on the wire; pushed audio has no pace. */
static void correct_start(vc_call *call, int64_t arrival_ns)
{
    int64_t start_ns = arrival_ns - samples_to_ns(call, call->receive_end);
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
        accept(call, samples, n, info.arrival_ns, now_ns);
    }
}

static vc_status receive_dtmf(vc_call *call, const vc_rtp_packet *packet, int64_t now_ns)
{
    char character;
    vc_status status = vc_dtmf_receive(&call->dtmf_in, packet, &character);
    if (status == VC_OK)
        post(call, VC_EVENT_DTMF_RECEIVED, now_ns, character, call->receive_end, 0);
    else if (status < 0)
        vc_call_count(call, VC_STAT_PACKETS_MALFORMED, 1);
    return status < 0 ? VC_IGNORED : status;
}

vc_status vc_call_receive(vc_call *call, const uint8_t *bytes, size_t n, int64_t now_ns)
{
    vc_rtp_packet packet;
    vc_call_count(call, VC_STAT_PACKETS_RECEIVED, 1);
    if (call->config.pushed) return VC_IGNORED;
    if (vc_rtp_parse(bytes, n, &packet) != VC_OK) {
        vc_call_count(call, VC_STAT_PACKETS_MALFORMED, 1);
        return VC_IGNORED;
    }
    call->last_packet_ns = now_ns;
    call->timed_out = 0;
    int is_dtmf = packet.payload_type == call->config.dtmf_payload_type;
    if (is_dtmf || packet.payload_type == VC_RTP_PT_CN) {
        /* No audio, but part of the stream: its sequence number is not a loss. */
        (void)vc_jitter_note(call->jitter, &packet, now_ns);
        drain_jitter(call, now_ns);
        return is_dtmf ? receive_dtmf(call, &packet, now_ns) : VC_OK;
    }
    if (packet.payload_type != call->config.payload_type) {
        vc_call_count(call, VC_STAT_PACKETS_UNKNOWN, 1);
        return VC_IGNORED;
    }
    vc_status status = vc_jitter_put(call->jitter, &packet, now_ns);
    if (status < 0) {
        vc_call_count(call, VC_STAT_PACKETS_MALFORMED, 1);
        return VC_IGNORED;
    }
    drain_jitter(call, now_ns);
    return status;
}

void vc_call_take_pushed(vc_call *call, int64_t now_ns)
{
    int16_t samples[READ_SAMPLES];
    if (!call->pushed) return;
    for (;;) {
        size_t n = READ_SAMPLES;
        if (vc_ring_pull(call->pushed, samples, &n) != VC_OK) return;
        call->last_packet_ns = now_ns;
        call->timed_out = 0;
        accept(call, samples, n, now_ns, now_ns);
    }
}

void vc_call_expire(vc_call *call, int64_t now_ns)
{
    if (call->jitter && vc_jitter_deadline_ns(call->jitter) <= now_ns) drain_jitter(call, now_ns);
}

static void publish_stats(vc_call *call)
{
    set_stat(call, VC_STAT_UNDERRUNS, vc_playout_underruns(call->playout));
    if (!call->jitter) return;
    vc_jitter_stats stats;
    vc_jitter_get_stats(call->jitter, &stats);
    set_stat(call, VC_STAT_LOST, stats.lost);
    set_stat(call, VC_STAT_LATE, stats.late);
    set_stat(call, VC_STAT_DUPLICATE, stats.duplicate);
    set_stat(call, VC_STAT_REORDERED, stats.reordered);
    set_stat(call, VC_STAT_RESETS, stats.resets);
    set_stat(call, VC_STAT_CONCEALED_SAMPLES, stats.concealed_samples);
    set_stat(call, VC_STAT_JITTER_US, (uint64_t)(stats.jitter_ms * 1000.0));
}

static void check_timeout(vc_call *call, int64_t now_ns)
{
    if (call->started_ns == 0) call->started_ns = now_ns;
    if (call->config.rtp_timeout_ms == 0 || call->timed_out) return;
    int64_t since = call->last_packet_ns ? call->last_packet_ns : call->started_ns;
    if (now_ns - since < call->config.rtp_timeout_ms * VC_NS_PER_MS) return;
    call->timed_out = 1;
    vc_call_post(call, VC_EVENT_RTP_TIMED_OUT, now_ns);
}

static size_t encode(const vc_call *call, const int16_t *samples, size_t n, uint8_t *payload)
{
    switch (call->config.codec) {
    case VC_CODEC_PCMU: call->g711->ulaw_encode(samples, payload, n); return n;
    case VC_CODEC_PCMA: call->g711->alaw_encode(samples, payload, n); return n;
    default: vc_l16_encode(samples, payload, n); return 2 * n; /* create allows no other */
    }
}

/* The next telephone-event payload, if a digit is being sent. */
static int next_dtmf(vc_call *call, size_t frame, uint8_t *payload, int *marker)
{
    digit entry;
    size_t one = 1;
    if (!call->dtmf_out.active && vc_ring_pull(call->digits, &entry, &one) == VC_OK &&
        vc_dtmf_sender_start(&call->dtmf_out, entry.character, call->timestamp,
                             (uint32_t)entry.samples) != VC_OK)
        return 0;
    if (!call->dtmf_out.active) return 0;
    return vc_dtmf_sender_next(&call->dtmf_out, (uint32_t)frame, payload, marker) == VC_OK;
}

vc_status vc_call_tick(vc_call *call, int64_t now_ns, uint8_t *packet, size_t *n)
{
    int16_t samples[MAX_FRAME];
    uint8_t payload[MAX_FRAME * sizeof(int16_t)];
    size_t frame = (size_t)call->config.rate_hz / 50, room = *n;
    *n = 0;
    if (room < VC_CALL_MAX_PACKET_BYTES) return VC_E_LENGTH;

    (void)vc_playout_render(call->playout, now_ns, samples);
    /* The tick that was least late says best when sample 0 was due. */
    int64_t start_ns = now_ns - samples_to_ns(call, call->sent_end);
    if (call->sent_end == 0 || start_ns < vc_call_sent_start_ns(call))
        atomic_store_explicit(&call->sent_start_ns, start_ns, memory_order_relaxed);
    if (call->sent)
        queue_blocks(call, call->sent, call->sent_end, samples, frame,
                     VC_STAT_SENT_DROPPED_SAMPLES);
    call->sent_end += (int64_t)frame;
    check_timeout(call, now_ns);
    publish_stats(call);
    if (call->config.pushed) return VC_OK;

    int marker = !call->sent_any;
    vc_rtp_packet header = {
        .payload_type = (uint8_t)call->config.payload_type,
        .sequence = call->sequence,
        .timestamp = call->timestamp,
        .ssrc = call->config.ssrc,
        .payload = payload,
    };
    if (next_dtmf(call, frame, payload, &marker)) {
        header.payload_type = (uint8_t)call->config.dtmf_payload_type;
        header.timestamp = call->dtmf_out.timestamp;
        header.payload_bytes = VC_DTMF_PAYLOAD_BYTES;
    } else {
        header.payload_bytes = encode(call, samples, frame, payload);
    }
    header.marker = (uint8_t)(marker != 0);
    call->sequence++;
    call->timestamp += (uint32_t)frame;
    call->sent_any = 1;
    *n = room;
    return vc_rtp_build(&header, packet, n);
}
