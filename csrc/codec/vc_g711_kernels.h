/* vc_g711_kernels: the table of each CPU level (internal). */
#ifndef VC_G711_KERNELS_H
#define VC_G711_KERNELS_H

#include "codec/vc_g711.h"

extern const vc_g711 vc_g711_c;
extern const vc_g711 vc_g711_avx2;
extern const vc_g711 vc_g711_avx512;
extern const vc_g711 vc_g711_neon;

#endif
