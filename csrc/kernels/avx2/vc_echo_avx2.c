/* The passes of vc_echo_filter at the level avx2. */
#define VC_ECHO_TABLE vc_echo_kernels_avx2
#include "kernels/body_echo.h"
