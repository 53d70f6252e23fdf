/* vc_background: see vc_background.h. The least power of two periods is the simplest form of
 * minimum statistics (Martin 2001). */
#include "vad/vc_background.h"

#include <math.h>

static const float SILENCE = 1e-8f;
static const float QUIET = 3.16e-7f; /* -65 dBFS */
static const float SOFT = 1e-5f;     /* -50 dBFS: no babble is so soft */
static const float STEADY = 1.6f;    /* 2 dB */
static const float NOBODY = 0.3f;
enum { PERIOD_MS = 1500, SOFT_MS = 320, LOUD_MS = 1000, RESTING_MS = 256 };

vc_status vc_background_init(vc_background *background, int rate_hz, int window_samples)
{
    if (!background) return VC_E_NULL;
    if (rate_hz != 8000 && rate_hz != 16000) return VC_E_RATE;
    if (window_samples < 1 || window_samples > 4096) return VC_E_RANGE;
    background->period = rate_hz / 1000 * PERIOD_MS / window_samples;
    background->settling_soft = rate_hz / 1000 * SOFT_MS / window_samples;
    background->settling_loud = rate_hz / 1000 * LOUD_MS / window_samples;
    background->resting = rate_hz / 1000 * RESTING_MS / window_samples;
    vc_background_reset(background);
    return VC_OK;
}

static void begin_silence(vc_background *background)
{
    background->silence_windows = 0;
    background->silence_least = INFINITY;
    background->silence_most = 0.0f;
}

void vc_background_reset(vc_background *background)
{
    background->power = 0.0f;
    background->least = background->least_before = INFINITY;
    background->windows = 0;
    begin_silence(background);
}

/* A window of this power is like those of the silence so far. */
static int fits(const vc_background *background, float power)
{
    float most = fmaxf(background->silence_most, power);
    return most < QUIET || most <= STEADY * fminf(background->silence_least, power);
}

static void take_silence(vc_background *background, float power, float probability)
{
    int nobody = probability < NOBODY;
    if (!nobody || !fits(background, power)) begin_silence(background);
    if (!nobody) return;
    background->silence_least = fminf(background->silence_least, power);
    background->silence_most = fmaxf(background->silence_most, power);
    if (background->silence_windows < INT32_MAX) background->silence_windows++;
}

void vc_background_step(vc_background *background, float power, float probability)
{
    if (!(power >= 0.0f)) power = 0.0f;
    background->power = power;
    if (background->windows >= background->period) {
        background->windows = 0;
        background->least_before = background->least;
        background->least = INFINITY;
    }
    background->least = fminf(background->least, power);
    background->windows++;
    take_silence(background, power, probability);
}

float vc_background_snr(const vc_background *background)
{
    if (!isfinite(background->least_before)) return INFINITY;
    float least = fminf(background->least, background->least_before);
    return background->power / fmaxf(least, SILENCE);
}

static int32_t settling(const vc_background *background)
{
    return background->silence_most < SOFT ? background->settling_soft : background->settling_loud;
}

int vc_background_is_settled(const vc_background *background)
{
    return background->silence_windows == settling(background);
}

int vc_background_is_resting(const vc_background *background, float power)
{
    return background->silence_windows >= settling(background) + background->resting &&
           fits(background, power);
}
