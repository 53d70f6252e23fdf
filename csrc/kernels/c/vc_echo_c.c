/* The passes of vc_echo_filter at the level c. */
#define VC_ECHO_TABLE vc_echo_kernels_c
#include "kernels/body_echo.h"
