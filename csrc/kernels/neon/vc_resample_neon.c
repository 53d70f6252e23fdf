/* The kernels of vc_resample at the level neon. */
#define VC_RESAMPLE_TABLE vc_resample_kernels_neon
#include "kernels/body_resample.h"
