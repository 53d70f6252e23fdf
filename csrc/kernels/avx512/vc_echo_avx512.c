/* The passes of vc_echo_filter at the level avx512. */
#define VC_ECHO_TABLE vc_echo_kernels_avx512
#include "kernels/body_echo.h"
