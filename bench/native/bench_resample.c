/* Prints "pair name us" a line: median processor time of a 20 ms frame in C, without Python; run by
 * bench/bench_resample_native.py. The rounds of all are interleaved. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "dsp/vc_resample.h"

#if __has_include(<soxr.h>)
#include <soxr.h>
#define HAVE_SOXR 1
#else
#define HAVE_SOXR 0
#endif
#if __has_include(<speex/speex_resampler.h>)
#include <speex/speex_resampler.h>
#define HAVE_SPEEX 1
#else
#define HAVE_SPEEX 0
#endif

enum { ROUNDS = 101, CALLS = 60, MOST = 2000, MOST_NAMES = 24 };

static float in_f32[MOST], out_f32[MOST];
static int16_t in_s16[MOST], out_s16[MOST];

typedef struct subject {
    char name[32];
    void *handle;
    void (*step)(void *handle, size_t n_in, size_t n_out);
    double us[ROUNDS];
} subject;

static subject subjects[MOST_NAMES];
static int n_subjects;

static void add(const char *name, const char *detail, void *handle,
                void (*step)(void *, size_t, size_t))
{
    subject *s = &subjects[n_subjects++];
    (void)snprintf(s->name, sizeof s->name, "%s%s", name, detail);
    s->handle = handle;
    s->step = step;
}

static void ours_f32(void *handle, size_t n_in, size_t n_out)
{
    (void)vc_resample_process_f32(handle, in_f32, &n_in, out_f32, &n_out);
}

static void ours_s16(void *handle, size_t n_in, size_t n_out)
{
    (void)vc_resample_process_s16(handle, in_s16, &n_in, out_s16, &n_out);
}

static void add_ours(int in_hz, int out_hz, vc_cpu_level level, int trim)
{
    for (int wide = 0; wide < 2; wide++) {
        vc_resample_config config = vc_resample_config_default();
        config.in_hz = in_hz;
        config.out_hz = out_hz;
        config.cpu_level = level;
        config.trim = trim;
        vc_resample *resampler;
        if (vc_resample_create(&resampler, &config) != VC_OK) return;
        if (trim && vc_resample_set_trim_ppm(resampler, 123.0) != VC_OK) return;
        char detail[32];
        (void)snprintf(detail, sizeof detail, "%s_%s%s", wide ? "f32" : "s16", vc_cpu_name(level),
                       trim ? "_trim" : "");
        add("vc_", detail, resampler, wide ? ours_f32 : ours_s16);
    }
}

#if HAVE_SOXR
static void soxr_f32(void *handle, size_t n_in, size_t n_out)
{
    size_t used, made;
    (void)soxr_process(handle, in_f32, n_in, &used, out_f32, n_out + 600, &made);
}

static void soxr_s16(void *handle, size_t n_in, size_t n_out)
{
    size_t used, made;
    (void)soxr_process(handle, in_s16, n_in, &used, out_s16, n_out + 600, &made);
}

static void add_soxr(int in_hz, int out_hz, const char *name, unsigned long recipe)
{
    for (int wide = 0; wide < 2; wide++) {
        soxr_datatype_t type = wide ? SOXR_FLOAT32_I : SOXR_INT16_I;
        soxr_io_spec_t io = soxr_io_spec(type, type);
        soxr_quality_spec_t quality = soxr_quality_spec(recipe, 0);
        soxr_t handle = soxr_create(in_hz, out_hz, 1, NULL, &io, &quality, NULL);
        if (handle) add(name, wide ? "f32" : "s16", handle, wide ? soxr_f32 : soxr_s16);
    }
}
#endif

#if HAVE_SPEEX
static void speex_f32(void *handle, size_t n_in, size_t n_out)
{
    spx_uint32_t used = (spx_uint32_t)n_in, made = (spx_uint32_t)n_out + 600;
    (void)speex_resampler_process_float(handle, 0, in_f32, &used, out_f32, &made);
}

static void speex_s16(void *handle, size_t n_in, size_t n_out)
{
    spx_uint32_t used = (spx_uint32_t)n_in, made = (spx_uint32_t)n_out + 600;
    (void)speex_resampler_process_int(handle, 0, in_s16, &used, out_s16, &made);
}
#endif

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

int main(void)
{
    static const int pairs_hz[][2] = {{8000, 16000},  {16000, 8000},  {24000, 8000},
                                      {24000, 16000}, {48000, 16000}, {44100, 16000}};
    for (int i = 0; i < MOST; i++) {
        in_s16[i] = (int16_t)(i * 7919 % 20000 - 10000);
        in_f32[i] = (float)in_s16[i] / 32768.0f;
    }
    if (!HAVE_SOXR) printf("# soxr is missing: apt-get install libsoxr-dev\n");
    if (!HAVE_SPEEX) printf("# speexdsp is missing: apt-get install libspeexdsp-dev\n");
    for (size_t p = 0; p < sizeof pairs_hz / sizeof pairs_hz[0]; p++) {
        int in_hz = pairs_hz[p][0], out_hz = pairs_hz[p][1];
        size_t n_in = (size_t)in_hz / 50, n_out = (size_t)out_hz / 50;
        n_subjects = 0;
        for (int level = VC_CPU_C; level <= VC_CPU_AVX512; level++)
            add_ours(in_hz, out_hz, (vc_cpu_level)level, 0);
        vc_cpu_level best;
        if (vc_cpu_resolve(VC_CPU_AUTO, &best) == VC_OK) add_ours(in_hz, out_hz, best, 1);
#if HAVE_SOXR
        add_soxr(in_hz, out_hz, "soxr_LQ_", SOXR_LQ);
        add_soxr(in_hz, out_hz, "soxr_MQ_", SOXR_MQ);
        add_soxr(in_hz, out_hz, "soxr_HQ_", SOXR_HQ);
#endif
#if HAVE_SPEEX
        SpeexResamplerState *speex =
            speex_resampler_init(1, (spx_uint32_t)in_hz, (spx_uint32_t)out_hz, 5, NULL);
        add("speex_q5_", "s16", speex, speex_s16);
        add("speex_q5_", "f32", speex, speex_f32);
#endif
        for (int round = -2; round < ROUNDS; round++)
            for (int s = 0; s < n_subjects; s++) {
                subject *one = &subjects[s];
                double start = now_us();
                for (int i = 0; i < CALLS; i++) one->step(one->handle, n_in, n_out);
                if (round >= 0) one->us[round] = (now_us() - start) / CALLS;
            }
        for (int s = 0; s < n_subjects; s++) {
            qsort(subjects[s].us, ROUNDS, sizeof subjects[s].us[0], by_size);
            printf("%d>%d %s %.3f\n", in_hz, out_hz, subjects[s].name, subjects[s].us[ROUNDS / 2]);
        }
    }
    return 0;
}
