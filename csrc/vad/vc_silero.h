/* vc_silero: Silero VAD v6.2, the 8 kHz and the 16 kHz network, inference in plain C and SIMD.
 *
 * A model holds the weights, packed for one CPU level; it is immutable and may be shared by any
 * number of streams and threads. A stream holds what the network remembers between windows.
 * A batch holds the scratch to run many streams in one pass; one thread at a time.
 *
 *     vc_silero_model_create(&model, &config);     weights: voicecore/media/data/silero_v6_*.bin
 *     vc_silero_create(&vad, model, NULL);
 *     vc_silero_process(vad, window, &probability);   window: 512 (16 kHz) or 256 (8 kHz) f32
 *
 * The model must outlive its streams and batches. Input that is not finite counts as silence.
 */
#ifndef VC_SILERO_H
#define VC_SILERO_H

#include "base/vc_cpu.h"

typedef struct vc_silero_model vc_silero_model;
typedef struct vc_silero vc_silero;
typedef struct vc_silero_batch vc_silero_batch;

typedef struct vc_silero_model_config {
    int rate_hz;         /* 8000 or 16000 */
    const void *weights; /* contents of the weight file for that rate; copied */
    size_t weights_bytes;
    vc_cpu_level cpu_level;        /* default VC_CPU_AUTO */
    const vc_allocator *allocator; /* NULL: huge pages */
} vc_silero_model_config;

vc_silero_model_config vc_silero_model_config_default(void);

/* VC_E_RATE, VC_E_CPU, VC_E_MEMORY, or VC_E_DATA if the weights are damaged or for another rate. */
VC_CHECKED vc_status vc_silero_model_create(vc_silero_model **out,
                                            const vc_silero_model_config *config);
void vc_silero_model_destroy(vc_silero_model *model);

int vc_silero_model_rate_hz(const vc_silero_model *model);
vc_cpu_level vc_silero_model_cpu_level(const vc_silero_model *model);
/* Samples in one 32 ms window: 512 or 256. */
size_t vc_silero_model_window_samples(const vc_silero_model *model);
/* Bytes of one stream's state; at most 2048. */
size_t vc_silero_state_bytes(void);

VC_CHECKED vc_status vc_silero_create(vc_silero **out, const vc_silero_model *model,
                                      const vc_allocator *allocator);
void vc_silero_destroy(vc_silero *vad);
VC_RT void vc_silero_reset(vc_silero *vad);

/* One window of f32 samples in, one probability out. */
VC_RT vc_status vc_silero_process(vc_silero *vad, const float *window, float *probability);

VC_CHECKED vc_status vc_silero_batch_create(vc_silero_batch **out, const vc_silero_model *model,
                                            const vc_allocator *allocator);
void vc_silero_batch_destroy(vc_silero_batch *batch);

/* One window for each of n different streams of the batch's model; same results as n calls of
 * vc_silero_process (bit for bit at the same level). Any n; the batch splits it as it likes. */
VC_RT vc_status vc_silero_batch_process(vc_silero_batch *batch, vc_silero *const *vads,
                                        const float *const *windows, size_t n,
                                        float *probabilities);

#endif
