/* The functions of vc_g711 at the level c. */
#define VC_G711_TABLE vc_g711_c
#include "kernels/body_g711.h"
