/* The echo canceller: whatever both ends bring, and whatever is told of the delay, the output is
 * finite and bounded and the figures keep their ranges. First byte: rate and tail. Then 5 bytes a
 * step: far end, near end, door and number of blocks, delay of the echo or change of it, level. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "aec/vc_aec.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) abort();                                                                 \
    } while (0)

enum { PAST = 16384, MOST_BLOCK = 160, STEP = 5, MOST_BLOCKS = 500 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct ends {
    float past[PAST]; /* the far end's */
    size_t at;
    uint32_t random;
} ends;

static float noise(ends *e)
{
    e->random = e->random * 1664525u + 1013904223u;
    return (float)(int32_t)e->random / 2147483648.0f;
}

static float odd(uint8_t kind)
{
    static const float values[] = {NAN, INFINITY, -INFINITY, 3e38f, -3e38f, 1e-40f, 1.0f, -1.0f};
    return values[kind % 8];
}

static float far_sample(ends *e, uint8_t kind, float level)
{
    switch (kind % 6) {
    case 0: return 0.0f;
    case 1: return level * noise(e);
    case 2: return e->at / (2 + kind / 6) % 2 ? level : -level;
    case 3: return level * sinf((float)(e->at % 65536) * 0.02f * (float)(1 + kind / 6));
    case 4: return level;
    default: return odd(kind / 6);
    }
}

static float near_sample(ends *e, uint8_t kind, size_t delay, float level)
{
    const float echo = e->past[(e->at - delay) % PAST];
    switch (kind % 6) {
    case 0: return 0.0f;
    case 1: return echo * (float)(1 + kind / 6) / 16.0f;
    case 2: return level * noise(e);
    case 3: return echo + level * noise(e);
    case 4: return e->at / (2 + kind / 6) % 2 ? 1.0f : -1.0f;
    default: return odd(kind / 6);
    }
}

static int16_t to_s16(float x)
{
    return x != x ? 0 : (int16_t)(fmaxf(fminf(x, 1.0f), -1.0f) * 32767.0f);
}

static void block(vc_aec *aec, ends *e, const uint8_t *step, size_t n)
{
    float far[MOST_BLOCK], near[MOST_BLOCK], out[MOST_BLOCK];
    int16_t far_s16[MOST_BLOCK], near_s16[MOST_BLOCK], out_s16[MOST_BLOCK];
    const float level = (float)step[4] / 255.0f;
    for (size_t i = 0; i < n; i++, e->at++) {
        far[i] = far_sample(e, step[0], level);
        e->past[e->at % PAST] = isfinite(far[i]) ? fmaxf(fminf(far[i], 1.0f), -1.0f) : 0.0f;
        near[i] = near_sample(e, step[1], (size_t)step[3] * 60, level);
        far_s16[i] = to_s16(far[i]);
        near_s16[i] = to_s16(near[i]);
    }
    const int sent = step[0] != 0; /* else NULL */
    if (step[2] & 8) {
        MUST(vc_aec_process_s16(aec, near_s16, sent ? far_s16 : NULL, out_s16, n) == VC_OK);
        return;
    }
    MUST(vc_aec_process_f32(aec, near, sent ? far : NULL, out, n) == VC_OK);
    for (size_t i = 0; i < n; i++) MUST(isfinite(out[i]) && fabsf(out[i]) < 64.0f);
}

static void check_figures(const vc_aec *aec, int rate_hz)
{
    const float likelihood = vc_aec_echo_likelihood(aec);
    const double delay_ms = vc_aec_delay_samples(aec) * 1000.0 / rate_hz;
    MUST(likelihood >= 0.0f && likelihood <= 1.0f);
    MUST(vc_aec_delay_samples(aec) == -1.0 || (delay_ms >= 0.0 && delay_ms < 3000.0));
    MUST(fabs(vc_aec_drift_ppm(aec)) <= 601.0);
    MUST(isfinite(vc_aec_erle_db(aec)));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 1 + STEP) return 0;
    vc_aec_config config = vc_aec_config_default();
    config.rate_hz = data[0] & 1 ? 16000 : 8000;
    config.tail_ms = 64 + data[0] / 2 * 3 / 2;
    vc_aec *aec;
    MUST(vc_aec_create(&aec, &config) == VC_OK);
    ends *e = calloc(1, sizeof *e);
    MUST(e != NULL);
    e->at = PAST;
    int blocks = 0;
    for (data++, size--; size >= STEP && blocks < MOST_BLOCKS; data += STEP, size -= STEP) {
        if (data[2] >> 4 == 15) vc_aec_delay_changed(aec, ((int)data[3] - 128) * 128);
        if (data[2] == 255) vc_aec_reset(aec);
        for (int i = 0; i <= (data[2] & 7); i++) block(aec, e, data, (size_t)config.rate_hz / 100);
        check_figures(aec, config.rate_hz);
    }
    free(e);
    vc_aec_destroy(aec);
    return 0;
}
