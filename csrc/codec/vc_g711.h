/* vc_g711: ITU-T G.711 µ-law (PCMU) and A-law (PCMA). Stateless; any thread.
 * Encode takes s16 and first drops to the 14-bit (µ-law) and 13-bit (A-law) integers of the
 * recommendation by flooring, as the widespread implementations do; decode gives s16.
 * Every CPU level gives the same bits. In and out must not overlap.
 *
 *     const vc_g711 *g711;
 *     vc_status status = vc_g711_get(VC_CPU_AUTO, &g711);
 *     if (status == VC_OK) g711->ulaw_encode(pcm, codes, 160); */
#ifndef VC_G711_H
#define VC_G711_H

#include "base/vc_base.h"
#include "base/vc_cpu.h"

/* The functions of one level: n samples to n codes, and back. They are VC_RT. */
typedef struct vc_g711 {
    void (*ulaw_encode)(const int16_t *pcm, uint8_t *out, size_t n);
    void (*ulaw_decode)(const uint8_t *in, int16_t *pcm, size_t n);
    void (*alaw_encode)(const int16_t *pcm, uint8_t *out, size_t n);
    void (*alaw_decode)(const uint8_t *in, int16_t *pcm, size_t n);
} vc_g711;

/* The table is constant; nothing is to be freed. */
VC_CHECKED vc_status vc_g711_get(vc_cpu_level level, const vc_g711 **out);

#endif
