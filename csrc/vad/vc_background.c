/* vc_background: see vc_background.h. The least power of two periods is the simplest form of
 * minimum statistics (Martin 2001). */
#include "vad/vc_background.h"

#include <math.h>

static const float SILENCE = 1e-8f;
static const float QUIET = 1e-5f;
static const float STEADY = 2.0f; /* 3 dB */
static const float NOBODY = 0.3f;
enum { PERIOD_MS = 1500, SETTLING_MS = 1000 };

vc_status vc_background_init(vc_background *background, int rate_hz, int window_samples)
{
    if (!background) return VC_E_NULL;
    if (rate_hz != 8000 && rate_hz != 16000) return VC_E_RATE;
    if (window_samples < 1 || window_samples > 4096) return VC_E_RANGE;
    background->period = rate_hz / 1000 * PERIOD_MS / window_samples;
    background->settling = rate_hz / 1000 * SETTLING_MS / window_samples;
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

static void take_silence(vc_background *background, float power, float probability)
{
    if (!(probability < NOBODY)) {
        begin_silence(background);
        return;
    }
    for (int again = 0; again < 2; again++) {
        background->silence_least = fminf(background->silence_least, power);
        background->silence_most = fmaxf(background->silence_most, power);
        background->silence_windows++;
        if (background->silence_most < QUIET ||
            background->silence_most <= STEADY * background->silence_least)
            return;
        begin_silence(background); /* with this window */
    }
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

int vc_background_is_settled(vc_background *background)
{
    if (background->silence_windows < background->settling) return 0;
    begin_silence(background);
    return 1;
}
