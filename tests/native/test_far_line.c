/* vc_far_line: delayed sines are sines, delayed. Oracle: the sine in double at the delayed places.
 * Bounds: whole delays bit for bit; else -72 dB up to half of Nyquist and -60 dB at 0.8 of it, the
 * interpolator's own errors. */
#include "aec/vc_far_line.h"

#include "vc_test_echo.h"

enum { RING = 2048, BLOCK = 160 };
static int16_t ring[RING];
static const double AMPLITUDE = 20000.0;
static vc_cpu_level level_used; /* of the tests that follow */

/* A sine, and how much of it is in the line. */
typedef struct sent {
    vc_far_line line;
    double turn; /* radians a sample */
    int64_t n;
} sent;

static void start(sent *s, double of_nyquist)
{
    vc_far_line_init(&s->line, ring, RING, vc_echo_kernels_of(level_used));
    s->turn = VC_TEST_PI * of_nyquist;
    s->n = 0;
}

static void push(sent *s, int n)
{
    int16_t x[RING];
    for (int i = 0; i < n; i++)
        x[i] = (int16_t)lrint(AMPLITUDE * sin(s->turn * (double)(s->n + i)));
    vc_far_line_push(&s->line, x, (size_t)n);
    s->n += n;
}

/* The worst error of a read, of the amplitude. */
static double worst(const sent *s, double delay, double stretch, int n)
{
    float out[BLOCK];
    vc_far_line_read(&s->line, delay, stretch, out, (size_t)n);
    double most = 0.0;
    for (int i = 0; i < n; i++) {
        const double at = (double)(s->n - n + i) - delay - stretch * (double)i / n;
        const double want = sin(s->turn * at);
        most = fmax(most, fabs((double)out[i] * 32768.0 / AMPLITUDE - want));
    }
    return most;
}

VC_TEST(sines_at_any_delay)
{
    static const double bands[] = {0.05, 0.3, 0.5, 0.8};
    static const double bounds[] = {2.5e-4, 2.5e-4, 2.5e-4, 1e-3};
    uint32_t seed = 1;
    for (int band = 0; band < 4; band++) {
        sent s;
        start(&s, bands[band]);
        push(&s, RING); /* no edge of the sine in the ring */
        const double longest = vc_far_line_max_delay_samples(&s.line);
        for (int round = 0; round < 300; round++) {
            push(&s, 1 + (int)(vc_test_random(&seed) % 333)); /* wraps many times */
            const double share = (double)vc_test_random(&seed) / 4294967296.0;
            const double delay = VC_FAR_LINE_MIN_DELAY + share * (longest - VC_FAR_LINE_MIN_DELAY);
            VC_CHECK(worst(&s, delay, 0.0, BLOCK) < bounds[band]);
            const double stretch = (round % 11 - 5) * 0.02;
            const double least = VC_FAR_LINE_MIN_DELAY + (stretch < 0.0 ? -stretch : 0.0);
            VC_CHECK(worst(&s, fmax(fmin(delay, longest - 0.1), least), stretch, BLOCK) <
                     bounds[band]);
        }
        VC_CHECK(worst(&s, VC_FAR_LINE_MIN_DELAY, 0.0, BLOCK) < bounds[band]);
        VC_CHECK(worst(&s, VC_FAR_LINE_MIN_DELAY + 0.001, 0.0, BLOCK) < bounds[band]);
        VC_CHECK(worst(&s, VC_FAR_LINE_MIN_DELAY + 0.1, -0.1, BLOCK) < bounds[band]);
        VC_CHECK(worst(&s, longest, 0.0, BLOCK) < bounds[band]);
        VC_CHECK(worst(&s, longest - 0.001, 0.0, BLOCK) < bounds[band]);
        VC_CHECK(worst(&s, 100.25, 0.0, 80) < bounds[band]);
    }
}

VC_TEST(whole_delays_are_copies)
{
    vc_far_line line;
    int16_t x[3 * RING];
    uint32_t seed = 2;
    for (int i = 0; i < 3 * RING; i++) x[i] = (int16_t)(vc_test_random(&seed) >> 16);
    vc_far_line_init(&line, ring, RING, vc_echo_kernels_of(level_used));
    for (int i = 0; i < 3 * RING; i += BLOCK / 2) {
        const int end = i + BLOCK / 2 < 3 * RING ? i + BLOCK / 2 : 3 * RING;
        vc_far_line_push(&line, x + i, (size_t)(end - i));
        for (int delay = 0; delay <= (int)vc_far_line_max_delay_samples(&line);
             delay += delay < VC_FAR_LINE_MIN_DELAY ? 1 : 61) {
            float out[BLOCK];
            vc_far_line_read(&line, delay, 0.0, out, BLOCK);
            int right = 1;
            for (int k = 0; k < BLOCK; k++) {
                const int at = end - BLOCK + k - delay; /* before the start: silence */
                right &= out[k] == (at < 0 ? 0.0f : (float)x[at] / 32768.0f);
            }
            VC_CHECK(right);
        }
    }
    VC_CHECK(vc_far_line_max_delay_samples(&line) >= RING - 200);
}

static void use_the_widest(void)
{
    VC_NEED(vc_cpu_resolve(VC_CPU_AUTO, &level_used) == VC_OK);
}

static void use_plain(void)
{
    level_used = VC_CPU_C;
}

VC_MAIN(use_the_widest(); VC_RUN(sines_at_any_delay) VC_RUN(whole_delays_are_copies) use_plain();
        VC_RUN(sines_at_any_delay) VC_RUN(whole_delays_are_copies))
