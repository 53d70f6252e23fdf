/* vc_cpu: levels resolve downwards only; vc_base: every status has a phrase. */
#include "base/vc_cpu.h"

#include <stdlib.h>
#include <string.h>

#include "vc_test.h"

VC_TEST(environment_only_lowers)
{
    vc_cpu_level best = vc_cpu_detect();
    setenv("VOICECORE_CPU", "c", 1);
    VC_CHECK_EQ(vc_cpu_active(), VC_CPU_C);
    setenv("VOICECORE_CPU", "no such level", 1);
    VC_CHECK_EQ(vc_cpu_active(), best);
    setenv("VOICECORE_CPU", best == VC_CPU_NEON ? "avx512" : "neon", 1);
    VC_CHECK_EQ(vc_cpu_active(), best);
    unsetenv("VOICECORE_CPU");
    VC_CHECK_EQ(vc_cpu_active(), best);
}

VC_TEST(resolve)
{
    vc_cpu_level level = VC_CPU_AUTO;
    VC_CHECK_EQ(vc_cpu_resolve(VC_CPU_C, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_cpu_resolve((vc_cpu_level)99, &level), VC_E_RANGE);
    VC_CHECK_OK(vc_cpu_resolve(VC_CPU_AUTO, &level));
    VC_CHECK_EQ(level, vc_cpu_active());
    VC_CHECK_OK(vc_cpu_resolve(VC_CPU_C, &level));
    VC_CHECK_EQ(level, VC_CPU_C);
    vc_cpu_level foreign = vc_cpu_detect() == VC_CPU_NEON ? VC_CPU_AVX2 : VC_CPU_NEON;
    VC_CHECK_EQ(vc_cpu_resolve(foreign, &level), VC_E_CPU);
}

VC_TEST(status_phrases)
{
    for (int status = -10; status <= 6; status++)
        VC_CHECK(strcmp(vc_status_str((vc_status)status), "unknown status") != 0);
    VC_CHECK(strcmp(vc_status_str((vc_status)-99), "unknown status") == 0);
}

VC_TEST(allocations_are_aligned_and_zero)
{
    for (size_t bytes = 1; bytes < 300; bytes += 37) {
        unsigned char *memory = vc_allocate(NULL, bytes);
        VC_NEED(memory != NULL);
        VC_CHECK_EQ((uintptr_t)memory % 64, 0);
        for (size_t i = 0; i < bytes; i++) VC_CHECK_EQ(memory[i], 0);
        vc_release(NULL, memory);
    }
    VC_CHECK(vc_allocate(NULL, SIZE_MAX) == NULL);
    vc_release(NULL, NULL);
}

VC_MAIN(VC_RUN(environment_only_lowers) VC_RUN(resolve) VC_RUN(status_phrases)
            VC_RUN(allocations_are_aligned_and_zero))
