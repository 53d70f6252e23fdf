/* vc_comfort_noise: noise like the background of a call, for the gaps in which nothing is sent.
 *
 * A model is a level and reflection coefficients: what an RFC 3389 payload carries. One handle
 * learns a model from audio (to send it, or to fill the gaps of a sender that sends none) and makes
 * noise from a model. The two sides do not touch each other: what is learned is only used when it
 * is set.
 *
 *     vc_comfort_noise_learn(noise, decoded, n);                     all audio that is received
 *     if (vc_comfort_noise_get_learned(noise, &model) == VC_OK)      at the gap
 *         vc_comfort_noise_set_model(noise, &model);
 *     vc_comfort_noise_process(noise, out, n);
 *
 * Levels are in dBov: 0 is the power of a square wave of full scale. A model holds for the sample
 * rate it was learned at. How the samples are sliced changes nothing. Handles are independent; one
 * handle serves one thread at a time. */
#ifndef VC_COMFORT_NOISE_H
#define VC_COMFORT_NOISE_H

#include "base/vc_base.h"

#define VC_COMFORT_NOISE_MAX_ORDER     24
#define VC_COMFORT_NOISE_PAYLOAD_BYTES (1 + VC_COMFORT_NOISE_MAX_ORDER)

/* The noise is white noise through 1 / A(z), where A(z) is built from the coefficients by the
 * step-up recursion: a positive first coefficient means more high frequencies. */
typedef struct vc_comfort_noise_model {
    float level_dbov;                             /* -127..0 */
    int order;                                    /* 0 (white) .. 24 */
    float reflection[VC_COMFORT_NOISE_MAX_ORDER]; /* each inside -1..1 */
} vc_comfort_noise_model;

/* RFC 3389: the level, then a byte a coefficient. VC_E_PACKET for an empty payload; any other is a
 * model. Coefficients beyond the 24th, and from the first reserved index on, are left out. */
VC_RT vc_status vc_comfort_noise_parse(const uint8_t *payload, size_t n,
                                       vc_comfort_noise_model *out);
/* *n: room in, bytes out (1 + order); VC_E_LENGTH if the room is less. */
VC_RT vc_status vc_comfort_noise_build(const vc_comfort_noise_model *model, uint8_t *out,
                                       size_t *n);

typedef struct vc_comfort_noise_config {
    int rate_hz;   /* 8000..48000 */
    int order;     /* 0..24, coefficients learned and used; default 10. More in a model are cut. */
    uint64_t seed; /* of the generator; default 1 */
    const vc_allocator *allocator;
} vc_comfort_noise_config;

typedef struct vc_comfort_noise vc_comfort_noise;

vc_comfort_noise_config vc_comfort_noise_config_default(void);
/* VC_E_RATE, VC_E_RANGE, VC_E_MEMORY. */
VC_CHECKED vc_status vc_comfort_noise_create(vc_comfort_noise **out,
                                             const vc_comfort_noise_config *config);
void vc_comfort_noise_destroy(vc_comfort_noise *noise);
VC_RT void vc_comfort_noise_reset(vc_comfort_noise *noise);

/* Audio that is all background, as a voice activity detector says: the newest half second counts.
 */
VC_RT void vc_comfort_noise_push(vc_comfort_noise *noise, const int16_t *samples, size_t n);
/* Any audio: blocks of 20 ms within 6 dB of the quietest of the last 3 s are taken for background.
 */
VC_RT void vc_comfort_noise_learn(vc_comfort_noise *noise, const int16_t *samples, size_t n);
/* VC_NEED_MORE, with *out untouched, before 20 ms were learned. */
VC_RT vc_status vc_comfort_noise_get_learned(const vc_comfort_noise *noise,
                                             vc_comfort_noise_model *out);

/* The noise to make from here on. The first model counts at once, a later one within 50 ms.
 * VC_E_RANGE for a model with numbers out of range. */
VC_RT vc_status vc_comfort_noise_set_model(vc_comfort_noise *noise,
                                           const vc_comfort_noise_model *model);
/* The next n samples; zeros before a model is set. */
VC_RT void vc_comfort_noise_process(vc_comfort_noise *noise, int16_t *out, size_t n);

#endif
