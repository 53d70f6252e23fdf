/* Cost of 10 ms through vc_aec in C in each of its states; run by bench/aec_cost.py.
 *
 *     bench_aec                    nanoseconds of thread CPU time, each state and rate
 *     bench_aec STATE RATE         one state, for valgrind --tool=callgrind
 *                                  --toggle-collect=measured: BLOCKS blocks are counted
 *
 * Speech is noise with the spectrum and the syllables of it. Each state is reached by what it takes
 * (20 s) and then measured; silence at the far end is measured from its beginning on. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "aec/vc_aec.h"
#include "vc_test_echo.h"

enum { MOST_HZ = 16000, WARM_S = 20, MOST_S = WARM_S + 10, BLOCKS = 500, ROUNDS = 15 };

typedef struct state {
    const char *name;
    int echo, caller;    /* 1: there is one */
    float noise;         /* of the line, peak */
    int far_to_ms;       /* silent from there on, from the end of the warming up */
    int from_ms, blocks; /* what is measured */
} state;

static const state STATES[] = {
    {"no-echo-silent", 0, 0, 0.0f, 10000, 0, BLOCKS},
    {"no-echo-noise", 0, 0, 5e-4f, 10000, 0, BLOCKS},
    {"no-echo-caller", 0, 1, 5e-4f, 10000, 0, BLOCKS},
    {"learnt-alone", 1, 0, 5e-4f, 10000, 0, BLOCKS},
    {"learnt-double", 1, 1, 5e-4f, 10000, 0, BLOCKS},
    {"learnt-pause", 1, 0, 5e-4f, 0, 0, 100},
    {"no-echo-pause", 0, 1, 5e-4f, 0, 0, 100},
    {"silence", 1, 1, 5e-4f, 0, 5000, BLOCKS},
};

static float far[MOST_S * MOST_HZ], near[MOST_S * MOST_HZ], caller[MOST_S * MOST_HZ], h[MOST_HZ];
static int16_t far_s16[MOST_S * MOST_HZ], near_s16[MOST_S * MOST_HZ];

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static void to_s16(const float *x, int16_t *to, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = (int16_t)lrintf(fmaxf(fminf(x[i] * 32768.0f, 32767.0f), -32768.0f));
}

static void make(const state *s, int rate_hz, uint32_t seed)
{
    const int n = MOST_S * rate_hz, warm = WARM_S * rate_hz;
    vc_test_speechlike(far, n, rate_hz, &seed);
    const int end = warm + rate_hz / 1000 * s->far_to_ms;
    for (int i = end; i < n; i++) far[i] = 0.0f;
    vc_test_room(h, MOST_HZ, rate_hz, 100.0, &seed);
    memset(near, 0, sizeof near);
    if (s->echo) vc_test_add_echo(far, n, h, rate_hz / 16, 60 * rate_hz / 1000, near);
    for (int i = 0; i < n; i++) near[i] += s->noise * vc_test_uniform(&seed);
    vc_test_speechlike(caller, n, rate_hz, &seed);
    for (int i = s->echo ? warm : 0; s->caller && i < n; i++) near[i] += caller[i];
    to_s16(far, far_s16, n);
    to_s16(near, near_s16, n);
}

__attribute__((noinline)) void measured(vc_aec *aec, int at, int blocks, int block);
void measured(vc_aec *aec, int at, int blocks, int block)
{
    int16_t out[160];
    for (int b = 0; b < blocks; b++, at += block)
        if (vc_aec_process_s16(aec, near_s16 + at, far_s16 + at, out, (size_t)block) != VC_OK)
            abort();
}

/* ns a block */
static double run(const state *s, int rate_hz, uint32_t seed)
{
    vc_aec_config config = vc_aec_config_default();
    config.rate_hz = rate_hz;
    vc_aec *aec;
    if (vc_aec_create(&aec, &config) != VC_OK) abort();
    make(s, rate_hz, seed);
    const int block = rate_hz / 100, from = WARM_S * rate_hz + rate_hz / 1000 * s->from_ms;
    int16_t out[160];
    for (int at = 0; at < from; at += block)
        if (vc_aec_process_s16(aec, near_s16 + at, far_s16 + at, out, (size_t)block) != VC_OK)
            abort();
    const double start = now_ns();
    measured(aec, from, s->blocks, block);
    const double spent = (now_ns() - start) / s->blocks;
    vc_aec_destroy(aec);
    return spent;
}

static int by_size(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

int main(int count, char **words)
{
    const int states = (int)(sizeof STATES / sizeof *STATES);
    for (int i = 0; i < states; i++) {
        if (count == 3 && strcmp(words[1], STATES[i].name) == 0) {
            (void)run(&STATES[i], atoi(words[2]), 1);
            printf("%d\n", STATES[i].blocks);
            return 0;
        }
        for (int rate_hz = 8000; count == 1 && rate_hz <= 16000; rate_hz *= 2) {
            double spent[ROUNDS];
            for (int r = 0; r < ROUNDS; r++) spent[r] = run(&STATES[i], rate_hz, 1 + (uint32_t)r);
            qsort(spent, ROUNDS, sizeof *spent, by_size);
            printf("%s %d %.0f\n", STATES[i].name, rate_hz, spent[ROUNDS / 2]);
        }
    }
    return count == 1 ? 0 : 1;
}
