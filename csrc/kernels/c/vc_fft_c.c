/* The transforms of vc_fft at the level c. */
#define VC_FFT_TABLE vc_fft_kernels_c
#include "kernels/body_fft.h"
