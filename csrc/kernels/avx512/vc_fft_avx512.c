/* The transforms of vc_fft at the level avx512. */
#define VC_FFT_TABLE vc_fft_kernels_avx512
#include "kernels/body_fft.h"
