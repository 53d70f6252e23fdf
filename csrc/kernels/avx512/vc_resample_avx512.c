/* The kernels of vc_resample at the level avx512. */
#define VC_RESAMPLE_TABLE vc_resample_kernels_avx512
#include "kernels/body_resample.h"
