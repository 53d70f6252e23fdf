/* Silero VAD kernels, level avx2. */
#define VC_SILERO_AVX2  1
#define VC_SILERO_TABLE vc_silero_kernel_avx2
#include "kernels/body_silero.h"
