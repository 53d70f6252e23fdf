/* The transforms of vc_fft at the level avx2. */
#define VC_FFT_TABLE vc_fft_kernels_avx2
#include "kernels/body_fft.h"
