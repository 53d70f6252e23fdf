/* vc_aec: an echo canceller that keeps both: the echo gone and the caller's voice heard.
 *
 * It finds the delay between what was sent and its echo (0 to 1000 ms), follows the drift of two
 * clocks, takes the echo out with a Kalman filter and what is left with a suppressor that opens in
 * double talk. See docs/units/echo-canceller.md.
 *
 *     vc_aec *aec;
 *     vc_aec_config config = vc_aec_config_default();
 *     vc_aec_create(&aec, &config);
 *     vc_aec_process_s16(aec, near, far, out, 160);     10 ms at 16 kHz
 *
 * The output is VC_AEC_DELAY_MS late. Before the first far end, a second after the last, and where
 * nothing has come back of 3 s of voice, it is the input, that much later, bit for bit. One thread
 * at a time; handles are independent.
 */
#ifndef VC_AEC_H
#define VC_AEC_H

#include "base/vc_cpu.h"

#define VC_AEC_BLOCK_MS 10
#define VC_AEC_DELAY_MS 10

typedef struct vc_aec vc_aec;

typedef struct vc_aec_config {
    int rate_hz;                   /* 8000 or 16000 (default) */
    int tail_ms;                   /* length of the echo path, 64..256, default 256 */
    vc_cpu_level cpu_level;        /* default VC_CPU_AUTO */
    const vc_allocator *allocator; /* NULL: malloc */
} vc_aec_config;

vc_aec_config vc_aec_config_default(void);
/* VC_E_RATE, VC_E_RANGE, VC_E_MEMORY. */
VC_CHECKED vc_status vc_aec_create(vc_aec **out, const vc_aec_config *config);
void vc_aec_destroy(vc_aec *aec);
VC_RT void vc_aec_reset(vc_aec *aec);
/* Bytes that the handle holds in all. */
size_t vc_aec_bytes(const vc_aec *aec);

/* near: from the microphone; far: what was sent in that time, or NULL for silence; out: near
 * without the echo. n: a multiple of rate_hz / 100, else VC_E_LENGTH. out may be near. A NaN counts
 * as 0, and samples beyond 1 as 1 in size. */
VC_RT vc_status vc_aec_process_s16(vc_aec *aec, const int16_t *near, const int16_t *far,
                                   int16_t *out, size_t n);
VC_RT vc_status vc_aec_process_f32(vc_aec *aec, const float *near, const float *far, float *out,
                                   size_t n);

/* From the next block on, the echo comes so many samples later (earlier: negative) than before,
 * for a reason that is known: a jitter buffer stretched. */
VC_RT void vc_aec_delay_changed(vc_aec *aec, int samples);

/* 0..1: how much of the newest block's output may be echo; 0 with no far end. */
VC_RT float vc_aec_echo_likelihood(const vc_aec *aec);
/* From a far sample to its echo, in samples; below 0: there is none yet, or none any more. */
VC_RT double vc_aec_delay_samples(const vc_aec *aec);
/* In the newest estimate of the delay: below 10 it is chance, 20 is sure. */
VC_RT float vc_aec_confidence(const vc_aec *aec);
/* Positive: the echo's delay grows. */
VC_RT double vc_aec_drift_ppm(const vc_aec *aec);
/* Input over output power over the last seconds with far end, in dB: echo return loss enhancement
 * while the caller is silent. 0 before there was any. */
VC_RT float vc_aec_erle_db(const vc_aec *aec);

#endif
