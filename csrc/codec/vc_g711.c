/* vc_g711: the functions of a CPU level; the algorithm is in kernels/body_g711.h. */
#include "codec/vc_g711.h"

#include "codec/vc_g711_kernels.h"

vc_status vc_g711_get(vc_cpu_level level, const vc_g711 **out)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    vc_cpu_level usable;
    vc_status status = vc_cpu_resolve(level, &usable);
    if (status != VC_OK) return status;
    *out = &vc_g711_c;
#if defined(__x86_64__)
    if (usable == VC_CPU_AVX2) *out = &vc_g711_avx2;
    if (usable == VC_CPU_AVX512) *out = &vc_g711_avx512;
#elif defined(__aarch64__)
    if (usable == VC_CPU_NEON) *out = &vc_g711_neon;
#endif
    return VC_OK;
}
