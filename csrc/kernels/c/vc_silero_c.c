/* Silero VAD kernels, level c. */
#define VC_SILERO_C     1
#define VC_SILERO_TABLE vc_silero_kernel_c
#include "kernels/body_silero.h"
