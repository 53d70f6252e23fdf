/* The kernels of vc_resample at the level avx2. */
#define VC_RESAMPLE_TABLE vc_resample_kernels_avx2
#include "kernels/body_resample.h"
