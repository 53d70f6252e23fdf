/* Silero VAD kernels, level avx512. */
#define VC_SILERO_AVX512 1
#define VC_SILERO_TABLE  vc_silero_kernel_avx512
#include "kernels/body_silero.h"
