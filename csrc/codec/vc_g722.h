/* vc_g722: ITU-T G.722 at 64 kbit/s (mode 1): 16 kHz s16 audio, one byte for two samples.
 *
 * Ownership: the caller owns the buffers. Threading: a handle serves one thread at a time.
 * A handle holds both directions of one stream; each has its own state.
 * How the input is sliced never changes the output. In RTP the clock of G.722 counts 8000 a second
 * (RFC 3551), so a packet of n bytes advances the timestamp by n.
 *
 *     vc_g722 *g722;
 *     vc_g722_create(&g722, NULL);
 *     vc_g722_encode(g722, pcm, 320, codes);   20 ms into 160 bytes
 *     vc_g722_decode(g722, codes, 160, pcm);
 */
#ifndef VC_G722_H
#define VC_G722_H

#include "base/vc_base.h"

#define VC_G722_RATE_HZ 16000
/* Encoder and decoder together: audio comes out this much later than it went in. */
#define VC_G722_DELAY_SAMPLES 22

typedef struct vc_g722 vc_g722;

VC_CHECKED vc_status vc_g722_create(vc_g722 **out, const vc_allocator *allocator);
void vc_g722_destroy(vc_g722 *g722);
/* As new, both directions. */
VC_RT void vc_g722_reset(vc_g722 *g722);

/* n samples give n / 2 bytes; VC_E_LENGTH, with nothing done, for an odd n. */
VC_RT VC_CHECKED vc_status vc_g722_encode(vc_g722 *g722, const int16_t *pcm, size_t n,
                                          uint8_t *out);
/* n bytes give 2 * n samples. Any bytes are valid. */
VC_RT void vc_g722_decode(vc_g722 *g722, const uint8_t *in, size_t n, int16_t *pcm);

#endif
