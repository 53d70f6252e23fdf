/* vc_resample: polyphase FIR resampler, mono or stereo, any ratio of the rates
 * 8, 11.025, 12, 16, 22.05, 24, 32, 44.1 and 48 kHz.
 *
 * Streaming: how the input is sliced never changes the output. After n input samples in all,
 * exactly floor(n * out_hz / in_hz) samples have come out (while no trim is set), so 20 ms in gives
 * 20 ms out wherever 20 ms is a whole number of samples at both rates. The filter is linear phase;
 * its delay is reported. Equal rates copy, unless trim is enabled.
 *
 * Counts are samples of one channel; channels are interleaved.
 *
 *     vc_resample *resampler;
 *     vc_resample_create(&resampler, &config);
 *     size_t n_in = 480, n_out = vc_resample_max_output(resampler, n_in);
 *     vc_resample_process_s16(resampler, in, &n_in, out, &n_out);
 */
#ifndef VC_RESAMPLE_H
#define VC_RESAMPLE_H

#include "base/vc_cpu.h"

#define VC_RESAMPLE_MAX_TRIM_PPM 500.0

typedef struct vc_resample vc_resample;

/* Delay at most, -3 dB and stop edge in Nyquist frequencies of the lower rate, worst alias. */
typedef enum vc_resample_preset {
    VC_RESAMPLE_TELEPHONY = 0, /* 1.5 ms, 0.93, 1.15, -76 dB: no alias below 0.85 */
    VC_RESAMPLE_VOICE = 1,     /* 3 ms, 0.90, 1.02, -90 dB */
    VC_RESAMPLE_STUDIO = 2,    /* 8 ms, 0.96, 1.02, -115 dB */
} vc_resample_preset;

typedef struct vc_resample_config {
    int in_hz;                     /* one of the nine rates */
    int out_hz;                    /* one of the nine rates */
    vc_resample_preset preset;     /* default VC_RESAMPLE_VOICE */
    int channels;                  /* 1 (default) or 2 */
    int trim;                      /* 1: vc_resample_set_trim_ppm may be used; default 0. Equal
                                    * rates then have a filter and its delay; at trim 0 their output
                                    * is the input, that much later, bit for bit. */
    vc_cpu_level cpu_level;        /* default VC_CPU_AUTO */
    const vc_allocator *allocator; /* NULL: malloc */
} vc_resample_config;

vc_resample_config vc_resample_config_default(void);
VC_CHECKED vc_status vc_resample_create(vc_resample **out, const vc_resample_config *config);
void vc_resample_destroy(vc_resample *resampler);
/* As new; the trim is 0 again. */
VC_RT void vc_resample_reset(vc_resample *resampler);

/* Output samples that n_in more input samples give (with the present trim). */
VC_RT size_t vc_resample_max_output(const vc_resample *resampler, size_t n_in);
/* The least number of input samples with which the next n_out outputs are all there. */
VC_RT size_t vc_resample_inputs_for(const vc_resample *resampler, size_t n_out);
/* The filter's delay in output samples (may be fractional). */
double vc_resample_delay_samples(const vc_resample *resampler);

/* For clocks that run apart: positive when the source's clock runs fast, so that there is more
 * input than its rate says and the outputs stand further apart: (1 + ppm 10^-6) in_hz / out_hz
 * input samples. Between calls of process; it holds from the output after the next one on. The
 * position never jumps and does not drift: it is exact in steps of 0.001 ppm, to which ppm is
 * rounded. -500 .. 500, else VC_E_RANGE; VC_E_STATE without config.trim or in a flush. While no
 * other trim than 0 was set since create or reset, outputs are those of a handle without trim. */
VC_RT VC_CHECKED vc_status vc_resample_set_trim_ppm(vc_resample *resampler, double ppm);
VC_RT double vc_resample_trim_ppm(const vc_resample *resampler);

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
