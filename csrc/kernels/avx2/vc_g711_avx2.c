/* The functions of vc_g711 at the level avx2. */
#define VC_G711_TABLE vc_g711_avx2
#include "kernels/body_g711.h"
