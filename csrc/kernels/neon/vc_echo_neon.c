/* The passes of vc_echo_filter at the level neon. */
#define VC_ECHO_TABLE vc_echo_kernels_neon
#include "kernels/body_echo.h"
