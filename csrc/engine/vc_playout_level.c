/* vc_playout: gain, ducking and the limiter; see vc_playout.h.
 *
 * Limiter: a peak detector with instant attack, a hold of 10 ms and an exponential release of
 * 100 ms, in the feed-forward form (the detector of Giannoulis, Massberg and Reiss, "Digital
 * dynamic range compressor design", JAES 60(6), 2012, with no attack time). The gain
 * is full scale / peak and the peak is never below the present sample, so no sample can pass full
 * scale; the hold is longer than half a period of anything above 50 Hz, so a steady tone keeps its
 * shape. It runs only while a gain is above 1, and until it has let go. */
#include "engine/vc_playout_state.h"

#include <math.h>

#include "kernels/body_convert.h"

enum { HOLD_MS = 10, RELEASE_MS = 100 };
#define CEILING 32767.0f
/* The largest sample that s16 has: with a gain of 1 there is nothing to limit. */
#define LARGEST 32768.0f

static float from_db(float gain_db)
{
    return powf(10.0f, gain_db / 20.0f);
}

void vc_playout_level_begin(vc_playout *playout)
{
    const vc_playout_config *config = &playout->config;
    playout_level *level = &playout->level;
    level->gain.from = level->gain.to = level->duck.from = level->duck.to = 1.0f;
    level->duck_gain = from_db(config->duck_db);
    level->duck_samples = config->play_hz * config->duck_ms / 1000;
    level->hold_samples = config->play_hz * HOLD_MS / 1000;
    level->release = expf(-1000.0f / (float)(config->play_hz * RELEASE_MS));
    level->idle = 1;
}

static float gain_now(const gain_ramp *ramp)
{
    if (ramp->at >= ramp->samples) return ramp->to;
    float share = (float)ramp->at / (float)ramp->samples;
    return ramp->from + (ramp->to - ramp->from) * share;
}

static float gain_next(gain_ramp *ramp)
{
    float gain = gain_now(ramp);
    if (ramp->at < ramp->samples) ramp->at++;
    return gain;
}

static void begin_ramp(playout_level *level, gain_ramp *ramp, float to, int32_t samples)
{
    *ramp = (gain_ramp){gain_now(ramp), to, 0, samples};
    level->idle = 0;
}

/* -- producer side -- */

static vc_status push_control(vc_playout *playout, const control *entry)
{
    size_t one = 1;
    return vc_ring_push(playout->controls, entry, &one);
}

vc_status vc_playout_set_gain(vc_playout *playout, float gain_db, int ramp_ms)
{
    if (!(gain_db >= -60.0f && gain_db <= 20.0f)) return VC_E_RANGE;
    if (ramp_ms < 0 || ramp_ms > 10000) return VC_E_RANGE;
    int32_t samples = (int32_t)((int64_t)playout->config.play_hz * ramp_ms / 1000);
    control entry = {GAIN, 0, from_db(gain_db), samples};
    return push_control(playout, &entry);
}

vc_status vc_playout_duck(vc_playout *playout)
{
    control entry = {.kind = DUCK};
    return push_control(playout, &entry);
}

vc_status vc_playout_unduck(vc_playout *playout)
{
    control entry = {.kind = UNDUCK};
    return push_control(playout, &entry);
}

/* -- media thread -- */

void vc_playout_level_set_gain(vc_playout *playout, float gain, int32_t ramp_samples)
{
    begin_ramp(&playout->level, &playout->level.gain, gain, ramp_samples);
}

vc_status vc_playout_duck_now(vc_playout *playout)
{
    playout_level *level = &playout->level;
    if (level->ducked) return VC_IGNORED;
    level->ducked = 1;
    level->duck_changed = !level->duck_changed; /* there and back before a render is nothing */
    begin_ramp(level, &level->duck, level->duck_gain, level->duck_samples);
    return VC_OK;
}

vc_status vc_playout_unduck_now(vc_playout *playout)
{
    playout_level *level = &playout->level;
    if (!level->ducked) return VC_IGNORED;
    level->ducked = 0;
    level->duck_changed = !level->duck_changed;
    begin_ramp(level, &level->duck, 1.0f, level->duck_samples);
    return VC_OK;
}

int vc_playout_is_ducked(const vc_playout *playout)
{
    return playout->level.ducked;
}

void vc_playout_level_unduck_at_once(vc_playout *playout)
{
    (void)vc_playout_unduck_now(playout);
    playout->level.duck = (gain_ramp){1.0f, 1.0f, 0, 0};
}

void vc_playout_level_report(vc_playout *playout, int64_t now_ns)
{
    playout_level *level = &playout->level;
    if (!level->duck_changed) return;
    level->duck_changed = 0;
    vc_playout_post(playout, level->ducked ? VC_EVENT_DUCKED : VC_EVENT_UNDUCKED, now_ns,
                    vc_playout_play_position(playout), 0, 0);
}

static float limit(playout_level *level, float sample)
{
    float size = fabsf(sample);
    if (size >= level->peak) {
        level->peak = size;
        level->hold = level->hold_samples;
    } else if (level->hold > 0) {
        level->hold--;
    } else {
        float released = level->peak * level->release;
        level->peak = size > released ? size : released;
    }
    return level->peak > CEILING ? sample * (CEILING / level->peak) : sample;
}

void vc_playout_level_apply(vc_playout *playout, int16_t *samples, size_t n)
{
    playout_level *level = &playout->level;
    if (level->idle) return;
    for (size_t i = 0; i < n; i++) {
        float gain = gain_next(&level->gain) * gain_next(&level->duck);
        samples[i] = vc_round_s16(limit(level, (float)samples[i] * gain));
    }
    level->idle = level->gain.at >= level->gain.samples && level->gain.to == 1.0f &&
                  level->duck.at >= level->duck.samples && level->duck.to == 1.0f &&
                  level->peak <= LARGEST;
    if (level->idle) level->peak = 0.0f;
}
