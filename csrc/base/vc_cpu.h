/* vc_cpu: which vector level this machine has, and which one a handle uses.
 *
 * Levels only ever go down: VOICECORE_CPU=c (or avx2) lowers the level for the whole process,
 * a config's cpu_level lowers it for one handle. Kernel tables are picked once, at create.
 *
 *     vc_cpu_level level;
 *     vc_status status = vc_cpu_resolve(VC_CPU_AUTO, &level);
 */
#ifndef VC_CPU_H
#define VC_CPU_H

#include "base/vc_base.h"

typedef enum vc_cpu_level {
    VC_CPU_AUTO = 0,
    VC_CPU_C = 1,      /* the plain C kernels, compiled for the architecture's baseline */
    VC_CPU_NEON = 2,   /* aarch64 */
    VC_CPU_AVX2 = 3,   /* x86-64 with AVX2 and FMA */
    VC_CPU_AVX512 = 4, /* x86-64 with AVX-512 F, BW, DQ, VL */
} vc_cpu_level;

/* The highest level that the CPU and the operating system support (OSXSAVE and XCR0 checked). */
vc_cpu_level vc_cpu_detect(void);

/* vc_cpu_detect, lowered by the environment variable VOICECORE_CPU. Unknown names are ignored
 * here; the Python layer reports them. */
vc_cpu_level vc_cpu_active(void);

/* Turns a requested level into a usable one: AUTO becomes vc_cpu_active().
 * VC_E_RANGE for a value that is no level, VC_E_CPU for one that this machine lacks. */
VC_CHECKED vc_status vc_cpu_resolve(vc_cpu_level requested, vc_cpu_level *level);

/* "c", "neon", "avx2", "avx512"; "auto" for VC_CPU_AUTO. */
const char *vc_cpu_name(vc_cpu_level level);

#endif
