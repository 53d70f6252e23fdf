/* vc_echo_kernels: see vc_echo_kernels.h. */
#include "aec/vc_echo_kernels.h"

const vc_echo_kernels *vc_echo_kernels_of(vc_cpu_level level)
{
#if defined(__x86_64__)
    if (level == VC_CPU_AVX512) return &vc_echo_kernels_avx512;
    if (level == VC_CPU_AVX2) return &vc_echo_kernels_avx2;
#elif defined(__aarch64__)
    if (level == VC_CPU_NEON) return &vc_echo_kernels_neon;
#else
    (void)level;
#endif
    return &vc_echo_kernels_c;
}
