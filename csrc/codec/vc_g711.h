/* vc_g711: ITU-T G.711 µ-law (PCMU) and A-law (PCMA). Stateless; any thread.
 * Encode takes s16 and first drops to the 14-bit (µ-law) and 13-bit (A-law) integers of the
 * recommendation by flooring, as the widespread implementations do; decode gives s16.
 * Bit-exact at every optimization level. In and out must not overlap. */
#ifndef VC_G711_H
#define VC_G711_H

#include "base/vc_base.h"

VC_RT void vc_g711_ulaw_encode(const int16_t *pcm, uint8_t *out, size_t n);
VC_RT void vc_g711_ulaw_decode(const uint8_t *in, int16_t *pcm, size_t n);
VC_RT void vc_g711_alaw_encode(const int16_t *pcm, uint8_t *out, size_t n);
VC_RT void vc_g711_alaw_decode(const uint8_t *in, int16_t *pcm, size_t n);

#endif
