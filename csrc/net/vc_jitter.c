/* vc_jitter: create, reset, counters and events; the work is in the other parts, which
 * vc_jitter_state.h names. See vc_jitter.h. */
#include "net/vc_jitter.h"

#include <string.h>

#include "net/vc_emodel.h"
#include "net/vc_jitter_state.h"

#define OPUS_CLOCK_HZ  48000
#define G722_CLOCK_HZ  8000
#define MAX_EVENT_S    1
#define PACKET_MS      20.0
#define PLC_ROBUSTNESS 25.1 /* Bpl of G.711 with concealment (G.113); no figures for the others */

vc_jitter_config vc_jitter_config_default(void)
{
    return (vc_jitter_config){.mode = VC_JITTER_LISTEN,
                              .codec = VC_CODEC_PCMU,
                              .rate_hz = 8000,
                              .loss_wait_ms = 60,
                              .min_depth_ms = 0,
                              .max_depth_ms = 600};
}

static int is_audio(vc_codec codec)
{
    return codec >= VC_CODEC_PCMU && codec <= VC_CODEC_OPUS;
}

static vc_status check_codec(vc_codec codec, int rate_hz)
{
    if (codec < VC_CODEC_PCMU || codec > VC_CODEC_RED) return VC_E_RANGE;
    if (codec == VC_CODEC_G722 && rate_hz != VC_G722_RATE_HZ) return VC_E_RATE;
    if (codec == VC_CODEC_OPUS && rate_hz != 8000 && rate_hz != 12000 && rate_hz != 16000 &&
        rate_hz != 24000 && rate_hz != 48000)
        return VC_E_RATE;
    return VC_OK;
}

/* Which codecs there are, as bits; or an error. */
static vc_status check_codecs(const vc_jitter_config *config, unsigned *codecs)
{
    *codecs = 0;
    if (config->payload_types < 0 || config->payload_types > VC_JITTER_PAYLOAD_TYPES)
        return VC_E_RANGE;
    if (config->payload_types == 0) {
        *codecs = is_audio(config->codec) ? 1u << config->codec : 0;
        return is_audio(config->codec) ? check_codec(config->codec, config->rate_hz) : VC_E_RANGE;
    }
    int audio = 0;
    for (int i = 0; i < config->payload_types; i++) {
        vc_codec codec = config->payload_type[i].codec;
        vc_status status = check_codec(codec, config->rate_hz);
        if (status != VC_OK) return status;
        if (config->payload_type[i].payload_type > 127) return VC_E_RANGE;
        for (int k = 0; k < i; k++)
            if (config->payload_type[k].payload_type == config->payload_type[i].payload_type)
                return VC_E_RANGE;
        *codecs |= 1u << codec;
        audio |= is_audio(codec);
    }
    return audio ? VC_OK : VC_E_RANGE;
}

static vc_status check(const vc_jitter_config *config)
{
    if (config->mode != VC_JITTER_LISTEN && config->mode != VC_JITTER_PLAY) return VC_E_RANGE;
    if (config->rate_hz < 8000 || config->rate_hz > 48000 || config->rate_hz % 50 != 0)
        return VC_E_RATE;
    if (config->loss_wait_ms < 0 || config->loss_wait_ms > 500) return VC_E_RANGE;
    if (config->max_depth_ms < 40 || config->max_depth_ms > 2000) return VC_E_RANGE;
    if (config->min_depth_ms < 0 || config->min_depth_ms > 500) return VC_E_RANGE;
    if (config->min_depth_ms > config->max_depth_ms - VC_TICK_MS) return VC_E_RANGE;
    return VC_OK;
}

static int part_bytes(const vc_jitter *jitter, unsigned codecs)
{
    int bytes = jitter->frame; /* G.711; G.722 has half of it */
    if (codecs & 1u << VC_CODEC_L16) bytes = 2 * jitter->frame;
    if (codecs & 1u << VC_CODEC_OPUS && bytes < VC_JITTER_MAX_OPUS_BYTES)
        bytes = VC_JITTER_MAX_OPUS_BYTES;
    return bytes;
}

static vc_status create_parts(vc_jitter *jitter, unsigned codecs)
{
    const vc_jitter_config *config = &jitter->config;
    const vc_allocator *allocator = config->allocator;
    int count = config->max_depth_ms / 10 + VC_JITTER_MAX_PACKET_MS / VC_TICK_MS;
    vc_status status =
        vc_packet_buffer_create(&jitter->packets, count, part_bytes(jitter, codecs), allocator);
    if (status == VC_OK) status = vc_g711_get(VC_CPU_AUTO, &jitter->g711);
    if (status == VC_OK) status = vc_conceal_create(&jitter->conceal, config->rate_hz, allocator);
    if (status == VC_OK && codecs & 1u << VC_CODEC_G722)
        status = vc_g722_create(&jitter->g722, allocator);
    if (status == VC_OK && codecs & 1u << VC_CODEC_OPUS)
        status =
            vc_opus_decoder_create(&jitter->opus, config->rate_hz, config->opus_library, allocator);
    if (status != VC_OK || config->mode == VC_JITTER_LISTEN) return status;

    vc_comfort_noise_config noise = vc_comfort_noise_config_default();
    noise.rate_hz = config->rate_hz;
    noise.allocator = allocator;
    status = vc_comfort_noise_create(&jitter->noise, &noise);
    if (status == VC_OK) status = vc_stretch_create(&jitter->stretch, config->rate_hz, allocator);
    if (status != VC_OK) return status;
    vc_resample_config trim = vc_resample_config_default();
    trim.in_hz = trim.out_hz = config->rate_hz;
    trim.preset = VC_RESAMPLE_TELEPHONY;
    trim.trim = 1;
    trim.allocator = allocator;
    status = vc_resample_create(&jitter->trim, &trim);
    return status == VC_E_RATE ? VC_OK
                               : status; /* other rates: stretching alone follows the clock */
}

/* The samples' memory stands behind the handle. */
static vc_jitter *create_handle(const vc_jitter_config *config, unsigned codecs)
{
    int32_t frame = config->rate_hz / 50, unit = frame, fifo = 0;
    if (codecs & 1u << VC_CODEC_OPUS) unit = frame * (VC_JITTER_MAX_PACKET_MS / VC_TICK_MS);
    /* play: a frame, what a stretch looks at and puts in (30 and 15 ms), and a unit, with room for
     * what the drift filter adds to it. */
    if (config->mode == VC_JITTER_PLAY) fifo = 2 * unit + 4 * frame;
    size_t head = (sizeof(vc_jitter) + 63) & ~(size_t)63;
    size_t samples = (size_t)(frame + (fifo > 0 ? 2 * fifo : unit));
    vc_jitter *jitter = vc_allocate(config->allocator, head + samples * sizeof(int16_t));
    if (!jitter) return NULL;
    int16_t *memory = (int16_t *)(void *)((unsigned char *)jitter + head);
    jitter->config = *config;
    jitter->frame = frame;
    jitter->max_samples = (int32_t)((int64_t)config->max_depth_ms * config->rate_hz / 1000);
    jitter->unit_room = unit;
    jitter->ahead = memory;
    memory += frame;
    jitter->unit = memory;
    jitter->fifo = memory;
    jitter->work = memory + fifo;
    jitter->fifo_room = fifo;
    if (config->allocator) {
        jitter->allocator = *config->allocator;
        jitter->config.allocator = &jitter->allocator;
    }
    return jitter;
}

vc_status vc_jitter_create(vc_jitter **out, const vc_jitter_config *config)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (!config) return VC_E_NULL;
    unsigned codecs;
    vc_status status = check(config);
    if (status == VC_OK) status = check_codecs(config, &codecs);
    if (status != VC_OK) return status;
    vc_jitter *jitter = create_handle(config, codecs);
    if (!jitter) return VC_E_MEMORY;
    status = create_parts(jitter, codecs);
    if (status != VC_OK) {
        vc_jitter_destroy(jitter);
        return status;
    }
    vc_jitter_reset(jitter);
    *out = jitter;
    return VC_OK;
}

void vc_jitter_destroy(vc_jitter *jitter)
{
    if (!jitter) return;
    vc_packet_buffer_destroy(jitter->packets);
    vc_conceal_destroy(jitter->conceal);
    vc_g722_destroy(jitter->g722);
    vc_opus_decoder_destroy(jitter->opus);
    vc_comfort_noise_destroy(jitter->noise);
    vc_stretch_destroy(jitter->stretch);
    vc_resample_destroy(jitter->trim);
    vc_allocator allocator = jitter->allocator;
    vc_release(jitter->config.allocator ? &allocator : NULL, jitter);
}

void vc_jitter_reset(vc_jitter *jitter)
{
    memset(&jitter->s, 0, sizeof jitter->s);
    vc_packet_buffer_reset(jitter->packets);
    vc_conceal_reset(jitter->conceal);
    if (jitter->g722) vc_g722_reset(jitter->g722);
    /* A decoder that was made once can be made anew. */
    if (jitter->opus && vc_opus_decoder_reset(jitter->opus) != VC_OK) jitter->s.codec = -1;
    if (jitter->noise) vc_comfort_noise_reset(jitter->noise);
    if (jitter->stretch) vc_stretch_reset(jitter->stretch);
    if (jitter->trim) vc_resample_reset(jitter->trim);
    vc_delay_manager_reset(&jitter->s.delay);
    vc_drift_reset(&jitter->s.drift);
    jitter->s.codec = -1;
    jitter->s.prefill = 1;
}

void vc_jitter_skip(vc_jitter *jitter)
{
    jitter->s.skip = 1;
}

int64_t vc_jitter_clock(vc_jitter *jitter, int64_t now_ns)
{
    vc_jitter_state *s = &jitter->s;
    if (!s->clock_set) s->first_ns = s->now_ns = now_ns;
    s->clock_set = 1;
    if (now_ns > s->now_ns) s->now_ns = now_ns;
    return s->now_ns;
}

double vc_jitter_elapsed_ms(const vc_jitter *jitter)
{
    return (double)((uint64_t)jitter->s.now_ns - (uint64_t)jitter->s.first_ns) / VC_NS_PER_MS;
}

int vc_jitter_codec_of(const vc_jitter *jitter, uint8_t payload_type)
{
    const vc_jitter_config *config = &jitter->config;
    if (config->payload_types == 0) return (int)config->codec;
    for (int i = 0; i < config->payload_types; i++)
        if (config->payload_type[i].payload_type == payload_type)
            return (int)config->payload_type[i].codec;
    return -1;
}

int vc_jitter_rtp_clock_hz(vc_codec codec, int rate_hz)
{
    if (codec == VC_CODEC_G722) return G722_CLOCK_HZ;
    if (codec == VC_CODEC_OPUS) return OPUS_CLOCK_HZ;
    return rate_hz;
}

int32_t vc_jitter_clock_hz(const vc_jitter *jitter, int codec)
{
    return vc_jitter_rtp_clock_hz((vc_codec)codec, jitter->config.rate_hz);
}

uint32_t vc_jitter_ticks(const vc_jitter *jitter, int64_t samples, int32_t clock_hz)
{
    if (clock_hz == jitter->config.rate_hz) return (uint32_t)(uint64_t)samples;
    return (uint32_t)(uint64_t)(samples * clock_hz / jitter->config.rate_hz);
}

/* -- events ----------------------------------------------------------------------------------- */

static void put_event(vc_jitter_state *s, const vc_jitter_event *event)
{
    if (s->event_count == VC_JITTER_EVENTS) {
        s->event_first = (s->event_first + 1) % VC_JITTER_EVENTS;
        s->event_count--;
        s->stats.events_lost++;
    }
    s->events[(s->event_first + s->event_count) % VC_JITTER_EVENTS] = *event;
    s->event_count++;
}

static void close_event(vc_jitter_state *s)
{
    if (s->open_event.samples == 0) return;
    put_event(s, &s->open_event);
    s->open_event.samples = 0;
}

void vc_jitter_post(vc_jitter *jitter, vc_jitter_event_kind kind, int64_t position, int64_t samples)
{
    vc_jitter_event event = {kind, position, samples};
    put_event(&jitter->s, &event);
}

void vc_jitter_count(vc_jitter *jitter, const vc_jitter_run *run, int32_t n)
{
    vc_jitter_state *s = &jitter->s;
    vc_jitter_event *open = &s->open_event;
    uint64_t samples = (uint64_t)n;
    if (run->kind != VC_FRAME_CONCEALED ||
        open->samples >= (int64_t)MAX_EVENT_S * jitter->config.rate_hz)
        close_event(s);
    switch (run->kind) {
    case VC_FRAME_DECODED: {
        uint64_t waited_ns = (uint64_t)s->now_ns - (uint64_t)run->arrival_ns;
        s->waited_ms += (double)waited_ns / VC_NS_PER_MS * n;
        s->waited_samples += n;
        break;
    }
    case VC_FRAME_CONCEALED:
        if (open->samples == 0) {
            open->kind = VC_JITTER_CONCEALED;
            open->position = (int64_t)s->stats.output_samples;
            s->stats.concealment_events++;
        }
        open->samples += n;
        s->stats.concealed_samples += samples;
        break;
    case VC_FRAME_SILENCE: s->stats.silence_samples += samples; break;
    case VC_FRAME_COMFORT_NOISE: s->stats.comfort_noise_samples += samples; break;
    }
    s->stats.output_samples += samples;
}

vc_status vc_jitter_next_event(vc_jitter *jitter, vc_jitter_event *event)
{
    if (!jitter || !event) return VC_E_NULL;
    vc_jitter_state *s = &jitter->s;
    if (s->event_count == 0) return VC_NEED_MORE;
    *event = s->events[s->event_first];
    s->event_first = (s->event_first + 1) % VC_JITTER_EVENTS;
    s->event_count--;
    return VC_OK;
}

/* -- counters --------------------------------------------------------------------------------- */

/* E-model of what was given out so far: the share of it that is made up, how it is clustered, and
 * the delay that was added, with one packet of 20 ms. */
static double opinion(const vc_jitter_stats *stats, double delay_ms, int rate_hz)
{
    double made = (double)stats->concealed_samples;
    double audio = (double)(stats->output_samples - stats->silence_samples);
    double share = audio > 0.0 ? made / audio : 0.0;
    double per_loss = stats->concealment_events
                          ? made * 1000.0 / rate_hz / PACKET_MS / (double)stats->concealment_events
                          : 1.0;
    vc_emodel_input input = {.delay_ms = delay_ms + PACKET_MS,
                             .loss_percent = 100.0 * share,
                             .burst_ratio = per_loss * (1.0 - share),
                             .impairment = 0.0,
                             .robustness = PLC_ROBUSTNESS};
    return vc_emodel_mos(vc_emodel_rating(&input));
}

void vc_jitter_get_counters(const vc_jitter *jitter, vc_jitter_stats *stats)
{
    *stats = jitter->s.stats;
    stats->held = (uint64_t)vc_packet_buffer_packets(jitter->packets);
}

void vc_jitter_get_stats(const vc_jitter *jitter, vc_jitter_stats *stats)
{
    if (!jitter || !stats) return;
    const vc_jitter_state *s = &jitter->s;
    int32_t held = vc_packet_buffer_samples(jitter->packets) + s->level + s->unit.samples;
    vc_jitter_get_counters(jitter, stats);
    stats->depth_ms = held * 1000.0 / jitter->config.rate_hz;
    stats->mean_delay_ms = s->waited_samples > 0.0 ? s->waited_ms / s->waited_samples : 0.0;
    stats->drift_ppm = vc_drift_ppm(&s->drift);
    stats->delay_ms = s->delay_ms;
    if (jitter->config.mode == VC_JITTER_PLAY) stats->target_ms = vc_jitter_target_ms(jitter);
    stats->mos = opinion(stats, stats->mean_delay_ms, jitter->config.rate_hz);
}

/* -- prefetch --------------------------------------------------------------------------------- */

void vc_jitter_prefetch_counters(const vc_jitter *jitter)
{
    vc_prefetch(&jitter->s.stats, sizeof jitter->s.stats);
}

void vc_jitter_prefetch(const vc_jitter *jitter, vc_turns_away turns)
{
    const vc_jitter_state *s = &jitter->s;
    if (turns <= VC_SECOND) vc_conceal_prefetch(jitter->conceal, (size_t)jitter->frame, turns);
    if (turns == VC_NEXT) return;
    if (turns == VC_SECOND) {
        vc_packet_buffer_prefetch(jitter->packets);
        uint64_t next = (uint64_t)s->reference_index + 1;
        vc_prefetch(&s->seen[next % VC_JITTER_SEEN / 64], sizeof *s->seen);
        vc_prefetch(&s->opened_ns[next % VC_JITTER_OPENED], sizeof *s->opened_ns);
        return;
    }
    vc_prefetch(jitter, offsetof(vc_jitter, s) + offsetof(vc_jitter_state, seen));
    vc_prefetch(&s->position,
                offsetof(vc_jitter_state, delay) - offsetof(vc_jitter_state, position));
    vc_delay_manager_prefetch(&s->delay);
    vc_prefetch(&s->drift.points, sizeof s->drift - offsetof(vc_drift, points));
    vc_prefetch(&s->waited_ms, sizeof s->waited_ms + sizeof s->waited_samples);
    vc_prefetch(&s->event_first, 64);
}
