/* The transforms of vc_fft at the level neon. */
#define VC_FFT_TABLE vc_fft_kernels_neon
#include "kernels/body_fft.h"
