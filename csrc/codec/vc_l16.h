/* vc_l16: linear PCM in RTP (RFC 3551, L16): 16 bits a sample, most significant byte first.
 * Stateless; any thread. Lossless. In and out must not overlap. */
#ifndef VC_L16_H
#define VC_L16_H

#include "base/vc_base.h"

/* n samples, 2 * n bytes. */
VC_RT void vc_l16_encode(const int16_t *pcm, uint8_t *out, size_t n);
VC_RT void vc_l16_decode(const uint8_t *in, int16_t *pcm, size_t n);

#endif
