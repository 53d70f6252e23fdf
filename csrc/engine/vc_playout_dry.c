/* vc_playout: when a segment may begin, and what sounds while the queue is dry within one; see
 * vc_playout.h.
 *
 * The filler is made at the line's rate and added behind the resampler. It follows one switch, on
 * or off, which is turned at exact samples of a block; its gain goes towards that in a straight
 * line, so that however fast the switch turns there is no step.
 *
 * Agent audio that runs out stops at whatever value it has. Under a filler that value goes to zero
 * in a straight line of fade_ms. */
#include "engine/vc_playout_state.h"

#include <string.h>

#include "kernels/body_convert.h"

enum { PREBUFFER_MAX_MS = 1000, HOLD_MIN_MS = 20, HOLD_MAX_S = 60 };

vc_status vc_playout_dry_check(const vc_playout_config *config)
{
    if (config->prebuffer_ms < 0 || config->prebuffer_ms > PREBUFFER_MAX_MS) return VC_E_RANGE;
    if (config->prebuffer_ms > config->buffer_ms) return VC_E_RANGE;
    if (!(config->comfort_noise_db >= -90.0f && config->comfort_noise_db <= -20.0f))
        return VC_E_RANGE;
    switch (config->when_dry) {
    case VC_PLAYOUT_FILL_SILENCE:
    case VC_PLAYOUT_FILL_COMFORT: return VC_OK;
    case VC_PLAYOUT_FILL_HOLD: break;
    default: return VC_E_RANGE;
    }
    if (!config->hold) return VC_E_NULL;
    size_t second = (size_t)config->play_hz;
    return config->hold_samples * 1000 >= second * HOLD_MIN_MS &&
                   config->hold_samples <= second * HOLD_MAX_S
               ? VC_OK
               : VC_E_RANGE;
}

static vc_status create_noise(vc_playout *playout)
{
    vc_comfort_noise_config config = vc_comfort_noise_config_default();
    config.rate_hz = playout->config.rate_hz;
    config.order = 0;
    config.allocator = playout->config.allocator;
    vc_comfort_noise_model model = {.level_dbov = playout->config.comfort_noise_db};
    vc_status status = vc_comfort_noise_create(&playout->filler->noise, &config);
    return status == VC_OK ? vc_comfort_noise_set_model(playout->filler->noise, &model) : status;
}

/* The sound at the line's rate, as a loop: the second time round, the resampler has in its memory
 * the end that comes before the beginning. */
static vc_status resample_hold(vc_playout *playout, size_t room)
{
    const vc_playout_config *given = &playout->config;
    playout_filler *filler = playout->filler;
    vc_resample_config config = vc_resample_config_default();
    config.in_hz = given->play_hz;
    config.out_hz = given->rate_hz;
    config.allocator = given->allocator;
    vc_resample *resampler;
    vc_status status = vc_resample_create(&resampler, &config);
    if (status != VC_OK) return status;
    for (int round = 0; round < 2; round++) {
        size_t n = given->hold_samples;
        filler->hold_samples = room;
        status = vc_resample_process_s16(resampler, given->hold, &n, filler->hold,
                                         &filler->hold_samples);
    }
    vc_resample_destroy(resampler);
    return status < 0 ? status : VC_OK;
}

static vc_status create_hold(vc_playout *playout)
{
    const vc_playout_config *config = &playout->config;
    playout_filler *filler = playout->filler;
    size_t fade = (size_t)(config->rate_hz * config->fade_ms / 1000);
    size_t room = config->hold_samples * (size_t)config->rate_hz / (size_t)config->play_hz + 2;
    filler->hold = vc_allocate(config->allocator, room * sizeof(int16_t));
    if (!filler->hold) return VC_E_MEMORY;
    vc_status status = resample_hold(playout, room);
    if (status != VC_OK) return status;
    /* The end goes over into the beginning. */
    if (fade > filler->hold_samples / 2) fade = filler->hold_samples / 2;
    filler->hold_samples -= fade;
    for (size_t i = 0; i < fade; i++) {
        float share = (float)i / (float)fade, end = (float)filler->hold[filler->hold_samples + i];
        filler->hold[i] = vc_round_s16(end + share * ((float)filler->hold[i] - end));
    }
    return VC_OK;
}

vc_status vc_playout_dry_create(vc_playout *playout)
{
    const vc_playout_config *config = &playout->config;
    int fade = config->rate_hz * config->fade_ms / 1000;
    playout->prebuffer_samples = (size_t)(config->play_hz * config->prebuffer_ms / 1000);
    if (config->when_dry == VC_PLAYOUT_FILL_SILENCE) return VC_OK;
    playout->filler = vc_allocate(config->allocator, sizeof(playout_filler));
    if (!playout->filler) return VC_E_MEMORY;
    playout->filler->step = fade > 0 ? 1.0f / (float)fade : 1.0f;
    return config->when_dry == VC_PLAYOUT_FILL_COMFORT ? create_noise(playout)
                                                       : create_hold(playout);
}

void vc_playout_dry_destroy(vc_playout *playout)
{
    playout_filler *filler = playout->filler;
    if (!filler) return;
    vc_comfort_noise_destroy(filler->noise);
    vc_release(playout->config.allocator, filler->hold);
    vc_release(playout->config.allocator, filler);
}

/* -- media thread -- */

/* Whether the end of what is queued is one of a segment, in audio that is going to sound. */
static int end_is_queued(const vc_playout *playout, int64_t cursor)
{
    if (atomic_load_explicit(&playout->last_end, memory_order_acquire) <= cursor) return 0;
    mark entry;
    for (size_t i = 0; vc_ring_peek(playout->marks, i, &entry, 1) == VC_OK; i++) {
        int dropped;
        if (entry.kind != SEGMENT_END || entry.position <= cursor) continue;
        (void)vc_playout_dropped_before(playout, entry.position, &dropped);
        if (!dropped) return 1;
    }
    return 0;
}

int vc_playout_may_begin(vc_playout *playout)
{
    int64_t cursor = vc_playout_play_position(playout), end = vc_playout_queue_position(playout);
    int inside;
    int64_t level = end - cursor - vc_playout_dropped_before(playout, end, &inside);
    playout->buffering =
        level > 0 && level < (int64_t)playout->prebuffer_samples && !end_is_queued(playout, cursor);
    return !playout->buffering;
}

int vc_playout_is_filling(const vc_playout *playout)
{
    return playout->filler && playout->dry && !playout->paused;
}

/* The filler up to `at` of the block as it was, from there on as said. */
static void turn_filler(vc_playout *playout, size_t at, int on)
{
    playout_filler *filler = playout->filler;
    const playout_level *level = &playout->level;
    size_t until = at * (size_t)playout->config.rate_hz / (size_t)playout->config.play_hz;
    size_t block = (size_t)playout->config.rate_hz / 50;
    if (until > block) until = block;
    size_t n = until > filler->made_samples ? until - filler->made_samples : 0;
    int16_t *made = filler->made + filler->made_samples;
    float goal = !filler->on ? 0.0f : level->ducked ? level->duck_gain : 1.0f;
    filler->made_samples += n;
    filler->on = on;
    if (n == 0) return;
    if (goal == 0.0f && filler->gain == 0.0f) {
        memset(made, 0, n * sizeof(int16_t));
        return;
    }
    if (filler->noise) vc_comfort_noise_process(filler->noise, made, n);
    for (size_t i = 0; i < n; i++) {
        if (filler->hold) {
            made[i] = filler->hold[filler->hold_at++];
            if (filler->hold_at == filler->hold_samples) filler->hold_at = 0;
        }
        float away = goal - filler->gain;
        if (away > filler->step) away = filler->step;
        if (away < -filler->step) away = -filler->step;
        filler->gain += away;
        made[i] = vc_round_s16((float)made[i] * filler->gain);
    }
}

void vc_playout_filler_begin(vc_playout *playout)
{
    playout->filler->made_samples = 0;
    playout->filler->on = playout->dry && !playout->paused;
}

void vc_playout_add_filler(vc_playout *playout, int16_t *samples, size_t n)
{
    playout_filler *filler = playout->filler;
    turn_filler(playout, MAX_BLOCK, filler->on); /* all that is left of it */
    for (size_t i = 0; i < n; i++)
        samples[i] = vc_round_s16((float)samples[i] + (float)filler->made[i]);
}

void vc_playout_dry_begun(vc_playout *playout, size_t at, int64_t queued)
{
    if (playout->dry) {
        playout->underrun_samples +=
            (uint64_t)(vc_playout_sent_sample(playout, at) - playout->dry_since);
        playout->from_filler = playout->filler != NULL;
        vc_playout_dry_over(playout, at);
    } else {
        playout->lowest_samples = queued;
        playout->segment_is_new = 0;
    }
    playout->buffering = 0;
}

void vc_playout_dry_ran_out(vc_playout *playout, size_t at)
{
    playout->dry = 1;
    playout->lowest_samples = 0;
    playout->dry_since = vc_playout_sent_sample(playout, at);
    if (!playout->filler) return;
    turn_filler(playout, at, 1);
    if (playout->fade_in) return; /* nothing has sounded */
    playout->filler->decay_at = 0;
    playout->filler->decay_samples = playout->fade_samples;
    playout->filler->decay_from = playout->filler->last_sample;
}

void vc_playout_dry_over(vc_playout *playout, size_t at)
{
    playout->dry = 0;
    if (playout->filler) turn_filler(playout, at, 0);
}

void vc_playout_add_decay(vc_playout *playout, size_t at, size_t n)
{
    playout_filler *filler = playout->filler;
    for (; at < n && filler->decay_at < filler->decay_samples; at++) {
        float share = 1.0f - (float)++filler->decay_at / (float)filler->decay_samples;
        playout->block[at] =
            vc_round_s16((float)playout->block[at] + share * (float)filler->decay_from);
    }
}

void vc_playout_filler_heard(vc_playout *playout, size_t at, size_t end)
{
    if (at == end) return;
    vc_playout_add_decay(playout, at, end);
    playout->filler->last_sample = playout->block[end - 1];
}
