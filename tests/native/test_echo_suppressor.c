/* vc_echo_suppressor: what is expected of the residual is a known one. Oracle: the input. Bounds:
 * with residual NULL bit for bit from the second block on; echo alone 30 dB down; a caller 20 dB
 * over the echo within 1 dB; likelihood 0..1, over 0.7 for echo and under 0.2 for a caller. */
#include "aec/vc_echo_suppressor.h"

#include "vc_test_echo.h"

enum { MOST = 6 * 16000, MOST_BLOCK = 160, MOST_BINS = 256 };
static float echo[MOST], caller[MOST], in[MOST], out[MOST];
static float residual[MOST_BINS];

typedef struct unit {
    vc_spectrum *spectrum, *own; /* own: of the test, for the residual */
    vc_echo_suppressor *suppressor;
    int block, bins;
} unit;

static unit make(int rate_hz)
{
    unit u = {.block = rate_hz / 100, .bins = rate_hz == 16000 ? 256 : 128};
    const size_t size = 2 * (size_t)u.bins;
    VC_NEED(vc_spectrum_create(&u.spectrum, size, VC_CPU_AUTO, NULL) == VC_OK);
    VC_NEED(vc_spectrum_create(&u.own, size, VC_CPU_AUTO, NULL) == VC_OK);
    VC_NEED(vc_echo_suppressor_create(&u.suppressor, rate_hz, u.spectrum, NULL) == VC_OK);
    return u;
}

static void destroy(unit *u)
{
    vc_echo_suppressor_destroy(u->suppressor);
    vc_spectrum_destroy(u->spectrum);
    vc_spectrum_destroy(u->own);
}

/* The power of the echo in this block, as the filter would tell it if it knew. */
static const float *residual_of(unit *u, int at)
{
    float re[MOST_BINS], im[MOST_BINS], *samples = vc_spectrum_samples(u->own);
    memset(samples, 0, 2 * (size_t)u->bins * sizeof(float));
    memcpy(samples, echo + at, (size_t)u->block * sizeof(float));
    vc_spectrum_forward(u->own, re, im);
    for (int k = 0; k < u->bins; k++) residual[k] = re[k] * re[k] + im[k] * im[k];
    return residual;
}

/* Returns the mean likelihood of the second half; checks its range and that of the presence. */
static double run(unit *u, int n)
{
    double sum = 0.0;
    int blocks = 0;
    for (int at = 0; at + u->block <= n; at += u->block) {
        for (int i = at; i < at + u->block; i++) in[i] = echo[i] + caller[i];
        vc_echo_suppressor_process(u->suppressor, residual_of(u, at), in + at, out + at);
        const float likelihood = vc_echo_suppressor_likelihood(u->suppressor);
        const float presence = vc_echo_suppressor_presence(u->suppressor);
        VC_CHECK(likelihood >= 0.0f && likelihood <= 1.0f && presence >= 0.0f && presence <= 1.0f);
        if (at < n / 2) continue;
        sum += (double)likelihood;
        blocks++;
    }
    return sum / blocks;
}

VC_TEST(nothing_to_expect_passes_bit_for_bit)
{
    for (int rate_hz = 8000; rate_hz <= 16000; rate_hz *= 2) {
        unit u = make(rate_hz);
        uint32_t seed = 1;
        vc_test_white(in, rate_hz, 1.0f, &seed);
        const int n = u.block;
        for (int at = 0; at < rate_hz; at += n)
            vc_echo_suppressor_process(u.suppressor, NULL, in + at, out + at);
        VC_CHECK(memcmp(out + n, in, (size_t)(rate_hz - n) * sizeof *in) == 0);
        VC_CHECK_EQ(vc_echo_suppressor_likelihood(u.suppressor), 0.0f);
        VC_CHECK(vc_echo_suppressor_is_passing(u.suppressor));
        /* From suppressing to passing: one block goes over, the next is exact again. */
        vc_test_speechlike(echo, rate_hz, rate_hz, &seed);
        memset(caller, 0, sizeof caller);
        (void)run(&u, rate_hz);
        VC_CHECK(!vc_echo_suppressor_is_passing(u.suppressor));
        for (int at = 0; at < rate_hz; at += n) {
            vc_echo_suppressor_process(u.suppressor, NULL, in + at, out + at);
            VC_CHECK_EQ(vc_echo_suppressor_is_passing(u.suppressor), at > 0);
        }
        VC_CHECK(vc_test_finite(out, n));
        VC_CHECK(memcmp(out + 2 * n, in + n, (size_t)(rate_hz - 2 * n) * sizeof *in) == 0);
        destroy(&u);
    }
}

VC_TEST(zero_residual_changes_little)
{
    /* Bins 0 and n/2 are lost, nothing else: -40 dB of band-limited noise. */
    unit u = make(16000);
    uint32_t seed = 2;
    vc_test_white(caller, 16000, 0.2f, &seed);
    for (int i = 15999; i >= 2; i--) caller[i] = 0.5f * (caller[i] - caller[i - 2]);
    memset(echo, 0, sizeof echo);
    (void)run(&u, 16000);
    double off = 0.0;
    for (int i = 8000; i < 16000; i++)
        off += (double)(out[i] - in[i - 160]) * (double)(out[i] - in[i - 160]);
    VC_CHECK(vc_test_ratio_db(off, vc_test_power(in + 8000, 8000)) < -40.0);
    destroy(&u);
}

VC_TEST(echo_alone_is_taken_out)
{
    for (int rate_hz = 8000; rate_hz <= 16000; rate_hz *= 2) {
        unit u = make(rate_hz);
        uint32_t seed = 3;
        const int n = 5 * rate_hz;
        vc_test_speechlike(echo, n, rate_hz, &seed);
        memset(caller, 0, sizeof caller);
        VC_CHECK(run(&u, n) > 0.7);
        VC_CHECK(vc_test_ratio_db(vc_test_power(in + rate_hz, n - rate_hz),
                                  vc_test_power(out + rate_hz, n - rate_hz)) > 30.0);
        destroy(&u);
    }
}

VC_TEST(the_caller_stays)
{
    /* Caller and residual echo at once, the echo 20 dB below. */
    for (int rate_hz = 8000; rate_hz <= 16000; rate_hz *= 2) {
        unit u = make(rate_hz);
        uint32_t seed = 4, other = 5;
        const int n = 5 * rate_hz;
        vc_test_speechlike(echo, n, rate_hz, &seed);
        vc_test_speechlike(caller, n, rate_hz, &other);
        for (int i = 0; i < n; i++) echo[i] *= 0.1f;
        VC_CHECK(run(&u, n) < 0.2);
        VC_CHECK(vc_echo_suppressor_presence(u.suppressor) > 0.5f);
        double product = 0.0, own = 0.0;
        for (int i = rate_hz; i < n; i++) {
            const double x = (double)caller[i - u.block];
            product += (double)out[i] * x;
            own += x * x;
        }
        VC_CHECK(fabs(20.0 * log10(product / own)) < 1.0);
        destroy(&u);
    }
}

VC_TEST(noise_is_filled_in)
{
    /* Steady white noise under echo: what comes out while the echo is there is no louder than the
     * noise, and at most 12 dB softer (its minimum is below its mean; 30 dB of echo are gone). */
    enum { RATE = 16000, N = 6 * RATE };
    unit u = make(RATE);
    uint32_t seed = 6;
    vc_test_white(caller, N, 0.002f, &seed);
    memset(echo, 0, sizeof echo);
    vc_test_speechlike(echo + 2 * RATE, N - 2 * RATE, RATE, &seed);
    (void)run(&u, N);
    const double level_db = vc_test_ratio_db(vc_test_power(out + 3 * RATE, 3 * RATE),
                                             vc_test_power(caller + 3 * RATE, 3 * RATE));
    VC_CHECK(level_db < 1.0 && level_db > -12.0);
    destroy(&u);
}

VC_TEST(reset_is_new)
{
    enum { N = 16000 };
    static float first[N];
    unit new_one = make(16000), used = make(16000);
    uint32_t seed = 7;
    vc_test_speechlike(echo, N, 16000, &seed);
    vc_test_speechlike(caller, N, 16000, &seed);
    (void)run(&new_one, N);
    memcpy(first, out, sizeof first);
    (void)run(&used, N);
    vc_echo_suppressor_reset(used.suppressor);
    (void)run(&used, N);
    VC_CHECK(memcmp(first, out, sizeof first) == 0);
    destroy(&new_one);
    destroy(&used);
}

VC_TEST(rejects_and_memory)
{
    unit u = make(16000);
    vc_echo_suppressor *s;
    VC_CHECK_EQ(vc_echo_suppressor_create(NULL, 16000, u.spectrum, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_echo_suppressor_create(&s, 16000, NULL, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_echo_suppressor_create(&s, 24000, u.spectrum, NULL), VC_E_RATE);
    VC_CHECK(s == NULL);
    VC_CHECK_EQ(vc_echo_suppressor_create(&s, 8000, u.spectrum, NULL), VC_E_LENGTH);
    vc_echo_suppressor_destroy(NULL);
    for (long fail_at = 0; fail_at < 2; fail_at++) {
        vc_test_heap heap = {0, 0, fail_at};
        vc_allocator allocator = vc_test_allocator(&heap);
        const vc_status status = vc_echo_suppressor_create(&s, 16000, u.spectrum, &allocator);
        VC_CHECK_EQ(status, fail_at ? VC_OK : VC_E_MEMORY);
        if (status == VC_OK) {
            vc_echo_suppressor_process(s, residual, in, out);
            vc_echo_suppressor_process(s, NULL, in, out);
            VC_CHECK_EQ(heap.total, 1);
            vc_echo_suppressor_destroy(s);
        }
        VC_CHECK_EQ(heap.live, 0);
    }
    destroy(&u);
}

VC_MAIN(VC_RUN(nothing_to_expect_passes_bit_for_bit) VC_RUN(zero_residual_changes_little)
            VC_RUN(echo_alone_is_taken_out) VC_RUN(the_caller_stays) VC_RUN(noise_is_filled_in)
                VC_RUN(reset_is_new) VC_RUN(rejects_and_memory))
