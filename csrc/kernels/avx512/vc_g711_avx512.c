/* The functions of vc_g711 at the level avx512. */
#define VC_G711_TABLE vc_g711_avx512
#include "kernels/body_g711.h"
