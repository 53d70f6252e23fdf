/* vc_cpu: CPUID and XGETBV. The feature bits alone are not enough: an operating system (or a
 * hypervisor) that does not save the wide registers makes their use fault, so XCR0 is read too.
 * Reference: Intel SDM vol. 1, 13.2 and 14.3; vol. 2, CPUID.
 */
#include "base/vc_cpu.h"

#include <stdlib.h>
#include <string.h>

/* VC_CPU_EMULATED: tools/native_tests.py --emulate names a level that this CPU need not have. */
#if (defined(__x86_64__) || defined(_M_X64)) && !defined(VC_CPU_EMULATED)
#define VC_X86 1
#include <cpuid.h>
#else
#define VC_X86 0
#endif

#if VC_X86
static uint64_t xcr0(void)
{
    uint32_t low, high;
    __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
    return ((uint64_t)high << 32) | low;
}

static vc_cpu_level detect_x86(void)
{
    enum { OSXSAVE = 1u << 27, AVX = 1u << 28, FMA = 1u << 12 };
    enum { AVX2 = 1u << 5, AVX512F = 1u << 16, AVX512DQ = 1u << 17, AVX512BW = 1u << 30 };
    const uint32_t avx512vl = 1u << 31;
    const uint64_t ymm_state = 0x6, zmm_state = 0xe6;
    uint32_t a, b, c, d;

    if (!__get_cpuid(1, &a, &b, &c, &d)) return VC_CPU_C;
    if (!(c & OSXSAVE) || !(c & AVX) || !(c & FMA)) return VC_CPU_C;
    uint64_t saved = xcr0();
    if ((saved & ymm_state) != ymm_state) return VC_CPU_C;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d) || !(b & AVX2)) return VC_CPU_C;
    uint32_t wide = AVX512F | AVX512DQ | AVX512BW | avx512vl;
    if ((b & wide) == wide && (saved & zmm_state) == zmm_state) return VC_CPU_AVX512;
    return VC_CPU_AVX2;
}
#endif

vc_cpu_level vc_cpu_detect(void)
{
#if defined(VC_CPU_EMULATED)
    return VC_CPU_EMULATED;
#elif VC_X86
    return detect_x86();
#elif defined(__aarch64__)
    return VC_CPU_NEON;
#else
    return VC_CPU_C;
#endif
}

vc_cpu_level vc_cpu_active(void)
{
    vc_cpu_level best = vc_cpu_detect();
    const char *name = getenv("VOICECORE_CPU");
    if (!name) return best;
    for (int level = VC_CPU_C; level < (int)best; level++)
        if (strcmp(name, vc_cpu_name((vc_cpu_level)level)) == 0) {
            vc_cpu_level usable;
            return vc_cpu_resolve((vc_cpu_level)level, &usable) == VC_OK ? usable : best;
        }
    return best;
}

vc_status vc_cpu_resolve(vc_cpu_level requested, vc_cpu_level *level)
{
    if (!level) return VC_E_NULL;
    switch (requested) {
    case VC_CPU_AUTO: *level = vc_cpu_active(); return VC_OK;
    case VC_CPU_C: *level = VC_CPU_C; return VC_OK;
    case VC_CPU_NEON:
    case VC_CPU_AVX2:
    case VC_CPU_AVX512: break;
    default: return VC_E_RANGE;
    }
    vc_cpu_level best = vc_cpu_detect();
    int same_family = (requested == VC_CPU_NEON) == (best == VC_CPU_NEON);
    if (!same_family || requested > best) return VC_E_CPU;
    *level = requested;
    return VC_OK;
}

const char *vc_cpu_name(vc_cpu_level level)
{
    switch (level) {
    case VC_CPU_AUTO: return "auto";
    case VC_CPU_C: return "c";
    case VC_CPU_NEON: return "neon";
    case VC_CPU_AVX2: return "avx2";
    case VC_CPU_AVX512: return "avx512";
    }
    return "unknown";
}
