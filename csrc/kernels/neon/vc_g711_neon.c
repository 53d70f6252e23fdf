/* The functions of vc_g711 at the level neon. */
#define VC_G711_TABLE vc_g711_neon
#include "kernels/body_g711.h"
