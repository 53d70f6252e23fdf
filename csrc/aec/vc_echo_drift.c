/* vc_echo_drift: see vc_echo_drift.h. */
#include "aec/vc_echo_drift.h"

static const double DELAY_NOISE = 1e-6, DRIFT_NOISE = 1e-9; /* of the process, a block */
static const double FIRST_DELAY = 0.01, JUMP_DELAY = 1.0;   /* variance, samples squared */
static const double FIRST_DRIFT = 1e-4;                     /* 60 ppm of 160 samples, squared */
/* The error is speech, not white noise: its samples are worth less than they count. */
static const double ERROR_WEIGHT = 30.0;
static const double LEAST_NOISE = 1e-4, MOST_SAMPLES = 1.0;
static const float QUIET = 1e-9f; /* power of the estimate's slope that tells nothing */

void vc_echo_drift_reset(vc_echo_drift *drift)
{
    *drift = (vc_echo_drift){0.0, {FIRST_DELAY, 0.0, FIRST_DRIFT}};
}

void vc_echo_drift_jumped(vc_echo_drift *drift)
{
    drift->p[0] += JUMP_DELAY;
}

static double clamp(double x, double most)
{
    return x > most ? most : x < -most ? -most : x;
}

double vc_echo_drift_update(vc_echo_drift *drift, const float *echo, const float *error, size_t n)
{
    float both = 0.0f, own = 0.0f, power = 0.0f;
    for (size_t i = 1; i + 1 < n; i++) {
        const float slope = 0.5f * (echo[i + 1] - echo[i - 1]);
        both -= error[i] * slope;
        own += slope * slope;
        power += error[i] * error[i];
    }
    double *p = drift->p;
    p[0] += 2.0 * p[1] + p[2] + DELAY_NOISE;
    p[1] += p[2];
    p[2] += DRIFT_NOISE;
    if (own < QUIET * (float)n) return drift->per_block;
    const double tau = clamp((double)(both / own), MOST_SAMPLES);
    const double noise = ERROR_WEIGHT * (double)(power / own) / (double)n + LEAST_NOISE;
    const double by_delay = p[0] / (p[0] + noise), by_drift = p[1] / (p[0] + noise);
    p[2] -= by_drift * p[1];
    p[1] -= by_delay * p[1];
    p[0] -= by_delay * p[0];
    const double most = VC_ECHO_DRIFT_MAX_PPM * 1e-6 * (double)n;
    drift->per_block = clamp(drift->per_block + by_drift * tau, most);
    return drift->per_block + by_delay * tau;
}

double vc_echo_drift_ppm(const vc_echo_drift *drift, size_t block)
{
    return drift->per_block / (double)block * 1e6;
}
