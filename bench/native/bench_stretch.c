/* Microseconds of one frame through vc_stretch and vc_conceal; run by bench/bench_stretch.py.
 * Prints: what, rate, median of the rounds. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "dsp/vc_stretch.h"
#include "net/vc_conceal.h"

enum { ROUNDS = 1001, MOST = 48000, WHAT = 5 };

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static int compare(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

static double median(double *took)
{
    qsort(took, ROUNDS, sizeof *took, compare);
    return took[ROUNDS / 2];
}

static int16_t in[MOST], out[2 * MOST];
static double took[WHAT][ROUNDS];

static int run(int rate)
{
    static const char *names[WHAT] = {"accelerate", "expand", "concealed frame", "frame after it",
                                      "from both sides"};
    size_t frame = (size_t)rate / 50;
    for (int i = 0; i < rate; i++) { /* a buzz of 123 Hz and some noise */
        double value = 0.0;
        for (int k = 1; k < 20; k++) value += sin(6.2831853 * 123.0 * k * i / rate + k * k) / k;
        in[i] = (int16_t)(4000.0 * value + rand() % 200);
    }
    vc_stretch *stretch;
    vc_conceal *conceal;
    if (vc_stretch_create(&stretch, rate, NULL) != VC_OK) return 1;
    if (vc_conceal_create(&conceal, rate, NULL) != VC_OK) return 1;
    size_t window = vc_stretch_window_samples(stretch);
    for (int round = 0; round < ROUNDS; round++) {
        size_t at = (size_t)round * 7 % (frame * 40);
        vc_stretch_change change;
        double start = now_us();
        if (vc_stretch_accelerate(stretch, round * 10000L, in + at, window, out, 0, &change) !=
            VC_OK)
            return 1;
        took[0][round] = now_us() - start;
        vc_stretch_reset(stretch);
        start = now_us();
        if (vc_stretch_expand(stretch, round * 10000L, in + at, window, out, &change) != VC_OK)
            return 1;
        took[1][round] = now_us() - start;
        vc_stretch_reset(stretch);
        vc_conceal_reset(conceal);
        memcpy(out, in + at, 3 * frame * sizeof *in);
        vc_conceal_decoded(conceal, out, 2 * frame);
        start = now_us();
        vc_conceal_fill(conceal, out, frame);
        took[2][round] = now_us() - start;
        start = now_us();
        vc_conceal_decoded(conceal, out + 2 * frame, frame);
        took[3][round] = now_us() - start;
        vc_conceal_reset(conceal);
        memcpy(out, in + at, 2 * frame * sizeof *in);
        vc_conceal_decoded(conceal, out, 2 * frame);
        start = now_us();
        vc_conceal_between(conceal, frame, in + at + 3 * frame, frame);
        vc_conceal_fill(conceal, out, frame);
        took[4][round] = now_us() - start;
    }
    for (int i = 0; i < WHAT; i++) printf("%s,%d,%.2f\n", names[i], rate, median(took[i]));
    vc_stretch_destroy(stretch);
    vc_conceal_destroy(conceal);
    return 0;
}

int main(void)
{
    return run(8000) || run(16000) || run(48000);
}
