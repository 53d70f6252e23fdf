/* vc_resample: polyphase FIR resampler, mono, any ratio of the rates
 * 8, 11.025, 12, 16, 22.05, 24, 32, 44.1 and 48 kHz.
 *
 * Streaming: how the input is sliced never changes the output. After n input samples in all,
 * exactly floor(n * out_hz / in_hz) samples have come out, so 20 ms in gives 20 ms out wherever
 * 20 ms is a whole number of samples at both rates. The filter is linear phase; its delay is
 * reported and at most 3 ms. Equal rates copy.
 *
 *     vc_resample *resampler;
 *     vc_resample_create(&resampler, &config);
 *     size_t n_in = 480, n_out = vc_resample_max_output(resampler, n_in);
 *     vc_resample_process_s16(resampler, in, &n_in, out, &n_out);
 */
#ifndef VC_RESAMPLE_H
#define VC_RESAMPLE_H

#include "base/vc_cpu.h"

typedef struct vc_resample vc_resample;

typedef struct vc_resample_config {
    int in_hz;                     /* one of the nine rates */
    int out_hz;                    /* one of the nine rates */
    vc_cpu_level cpu_level;        /* default VC_CPU_AUTO */
    const vc_allocator *allocator; /* NULL: malloc */
} vc_resample_config;

vc_resample_config vc_resample_config_default(void);
VC_CHECKED vc_status vc_resample_create(vc_resample **out, const vc_resample_config *config);
void vc_resample_destroy(vc_resample *resampler);
VC_RT void vc_resample_reset(vc_resample *resampler);

/* Output samples that n_in more input samples can give at the most. */
VC_RT size_t vc_resample_max_output(const vc_resample *resampler, size_t n_in);
/* The filter's delay in output samples (may be fractional). */
double vc_resample_delay_samples(const vc_resample *resampler);

/* *n_in: samples offered in, consumed out; *n_out: room in, samples written out. Partial progress
 * (a short output buffer) is not an error: call again with the rest. In and out must not overlap.
 */
VC_RT vc_status vc_resample_process_s16(vc_resample *resampler, const int16_t *in, size_t *n_in,
                                        int16_t *out, size_t *n_out);
VC_RT vc_status vc_resample_process_f32(vc_resample *resampler, const float *in, size_t *n_in,
                                        float *out, size_t *n_out);

/* The tail: feeds as many zeros as the filter delay is long, so that every input sample's energy
 * has come out: output[delay..] covers the whole input. *n_out as above; once all is out the state
 * is as after reset. Nothing fed, nothing flushed. */
VC_RT vc_status vc_resample_flush_s16(vc_resample *resampler, int16_t *out, size_t *n_out);
VC_RT vc_status vc_resample_flush_f32(vc_resample *resampler, float *out, size_t *n_out);
/* Samples that a flush writes now. */
VC_RT size_t vc_resample_flush_samples(const vc_resample *resampler);

#endif
