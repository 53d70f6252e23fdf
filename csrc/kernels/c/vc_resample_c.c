/* The kernels of vc_resample at the level c. */
#define VC_RESAMPLE_TABLE vc_resample_kernels_c
#include "kernels/body_resample.h"
