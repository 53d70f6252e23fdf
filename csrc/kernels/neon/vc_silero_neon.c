/* Silero VAD kernels, level neon. */
#define VC_SILERO_NEON  1
#define VC_SILERO_TABLE vc_silero_kernel_neon
#include "kernels/body_silero.h"
