/* vc_aec: what it promises as a whole: the input bit for bit where there is no far end, the same
 * bits however blocks are sliced and after a reset, finite output and recovery from any input, no
 * allocation in process, 160 KiB. Oracle of the echo: a simulated room's. The quality's bars are
 * those of bench/aec_bars.py. */
#include "aec/vc_aec.h"

#include "vc_test_echo.h"

enum { MOST = 10 * 16000, TAIL = 3200 };
static float far[MOST], near[MOST], out[MOST], other[MOST], caller[MOST], h[TAIL];
static int16_t far_s16[MOST], near_s16[MOST], out_s16[MOST], other_s16[MOST];

static vc_aec *make(int rate_hz, vc_cpu_level level)
{
    vc_aec_config config = vc_aec_config_default();
    config.rate_hz = rate_hz;
    config.cpu_level = level;
    vc_aec *aec;
    VC_NEED(vc_aec_create(&aec, &config) == VC_OK);
    return aec;
}

static void to_s16(const float *x, int16_t *to, int n)
{
    for (int i = 0; i < n; i++)
        to[i] = (int16_t)lrintf(fmaxf(fminf(x[i] * 32768.0f, 32767.0f), -32768.0f));
}

/* Speech-like far end in a room of 100 ms, `delay_ms` away, with noise at -70 dBFS and, from a
 * sample on, a caller; in s16. */
static void scene(int rate_hz, int n, int delay_ms, int caller_from, uint32_t seed)
{
    vc_test_speechlike(far, n, rate_hz, &seed);
    vc_test_room(h, TAIL, rate_hz, 100.0, &seed);
    memset(near, 0, sizeof near);
    vc_test_add_echo(far, n, h, rate_hz / 16, delay_ms * rate_hz / 1000, near);
    for (int i = 0; i < n; i++) near[i] += 5e-4f * vc_test_uniform(&seed);
    vc_test_speechlike(caller, n, rate_hz, &seed);
    for (int i = caller_from; i < n; i++) near[i] += caller[i];
    to_s16(far, far_s16, n);
    to_s16(near, near_s16, n);
}

/* The same input for the f32 door. */
static void as_f32(int n)
{
    for (int i = 0; i < n; i++) {
        far[i] = (float)far_s16[i] / 32768.0f;
        near[i] = (float)near_s16[i] / 32768.0f;
    }
}

static double power_s16(const int16_t *x, int n)
{
    double sum = 0.0;
    for (int i = 0; i < n; i++) sum += (double)x[i] * x[i];
    return sum;
}

VC_TEST(echo_goes_and_the_caller_stays)
{
    /* Bounds: 25 dB in the third and fourth second, its delay within 1 ms; then, with a
     * caller as loud as the echo, the caller's gain within 2 dB. */
    for (int rate_hz = 8000; rate_hz <= 16000; rate_hz *= 2)
        for (int delay_ms = 2; delay_ms < 800; delay_ms += 249) {
            const int n = 8 * rate_hz, late = rate_hz / 100, from = 2 * rate_hz, half = n / 2;
            vc_aec *aec = make(rate_hz, VC_CPU_AUTO);
            VC_CHECK(vc_aec_delay_samples(aec) < 0.0);
            VC_CHECK_EQ(vc_aec_erle_db(aec), 0.0f);
            scene(rate_hz, n, delay_ms, half, 1);
            VC_CHECK_OK(vc_aec_process_s16(aec, near_s16, far_s16, out_s16, (size_t)half));
            VC_CHECK(vc_test_ratio_db(power_s16(near_s16 + from, half - from),
                                      power_s16(out_s16 + from, half - from)) > 25.0);
            VC_CHECK(vc_aec_erle_db(aec) > 8.0f); /* its memory has the first second yet */
            VC_CHECK(fabs(vc_aec_delay_samples(aec) * 1000.0 / rate_hz - delay_ms) < 1.0);
            VC_CHECK(fabs(vc_aec_drift_ppm(aec)) < 20.0);
            const float likelihood = vc_aec_echo_likelihood(aec);
            VC_CHECK(likelihood > 0.5f && likelihood <= 1.0f);

            VC_CHECK_OK(vc_aec_process_s16(aec, near_s16 + half, far_s16 + half, out_s16 + half,
                                           (size_t)half));
            double product = 0.0, own = 0.0;
            for (int i = half + late; i < n; i++) {
                const double x = (double)caller[i - late];
                product += (double)out_s16[i] / 32768.0 * x;
                own += x * x;
            }
            VC_CHECK(fabs(20.0 * log10(product / own)) < 2.0);
            vc_aec_destroy(aec);
        }
}

VC_TEST(an_echo_at_once_is_taken_out)
{
    /* A line's hybrid, 12 dB down, 0 to 1.5 ms after its sound: 20 dB in every second, no drift. */
    for (int rate_hz = 8000; rate_hz <= 16000; rate_hz *= 2)
        for (int delay = 0; delay <= 12; delay += 3) {
            const int n = 4 * rate_hz;
            vc_aec *aec = make(rate_hz, VC_CPU_AUTO);
            scene(rate_hz, n, 0, n, 40);
            for (int i = 0; i < n; i++)
                near_s16[i] = (int16_t)(i < delay ? 0 : far_s16[i - delay] / 4);
            VC_CHECK_OK(vc_aec_process_s16(aec, near_s16, far_s16, out_s16, (size_t)n));
            for (int from = rate_hz; from < n; from += rate_hz)
                VC_CHECK(vc_test_ratio_db(power_s16(near_s16 + from, rate_hz),
                                          power_s16(out_s16 + from, rate_hz)) > 20.0);
            VC_CHECK(fabs(vc_aec_delay_samples(aec) - delay) < 1.0);
            VC_CHECK(fabs(vc_aec_drift_ppm(aec)) < 10.0);
            vc_aec_destroy(aec);
        }
}

VC_TEST(without_far_end_the_input_passes_bit_for_bit)
{
    for (int rate_hz = 8000; rate_hz <= 16000; rate_hz *= 2) {
        const int n = 4 * rate_hz, late = rate_hz / 100, talk = 2 * rate_hz;
        vc_aec *aec = make(rate_hz, VC_CPU_AUTO);
        /* Silence is NULL or zeros; before that there was an echo. */
        for (int round = 0; round < 3; round++) {
            scene(rate_hz, n, 40, 0, 3 + (uint32_t)round);
            if (round == 2) vc_aec_reset(aec);
            const int from = round == 2 ? 0 : talk;
            memset(far_s16 + from, 0, (size_t)(n - from) * sizeof *far_s16);
            for (int at = 0; at < n; at += late) {
                const int16_t *sent = round != 1 && at >= from ? NULL : far_s16 + at;
                VC_CHECK_OK(
                    vc_aec_process_s16(aec, near_s16 + at, sent, out_s16 + at, (size_t)late));
            }
            /* A second later; a new one, which has had no far end, from the start. */
            const int exact = round == 2 ? late : from + rate_hz;
            VC_CHECK(memcmp(out_s16 + exact, near_s16 + exact - late,
                            (size_t)(n - exact) * sizeof *out_s16) == 0);
            VC_CHECK_EQ(vc_aec_echo_likelihood(aec), 0.0f);
        }
        vc_aec_destroy(aec);
    }
}

/* A voiced sound: thirty harmonics of a pitch that wavers, in syllables. */
static void vowels(float *x, int n, int rate_hz, double pitch_hz)
{
    double phase = 0.0;
    for (int i = 0; i < n; i++) {
        const double t = (double)i / rate_hz;
        phase += 2.0 * VC_TEST_PI * pitch_hz * (1.0 + 0.03 * sin(2.0 * t)) / rate_hz;
        double sum = 0.0;
        for (int k = 1; k <= 30; k++) sum += cos(k * phase) / k;
        x[i] = (float)(0.05 * sum * (0.6 + 0.4 * sin(2.0 * VC_TEST_PI * 4.0 * t)));
    }
}

VC_TEST(two_who_take_turns_are_no_echo_of_each_other)
{
    enum { RATE = 8000, BLOCK = RATE / 100, N = 20 * RATE, TURN = 2 * RATE, GAP = RATE / 2 };
    vc_aec *aec = make(RATE, VC_CPU_AUTO);
    memset(far, 0, sizeof far);
    memset(near, 0, sizeof near);
    for (int at = 0, turn = 0; at + TURN <= N; at += TURN + GAP, turn++)
        vowels(turn % 2 ? near + at : far + at, TURN, RATE, 110.0 + 7.0 * (turn % 5));
    to_s16(far, far_s16, N);
    to_s16(near, near_s16, N);
    double changed = 0.0;
    int found = 0;
    for (int at = 0; at + BLOCK <= N; at += BLOCK) {
        VC_CHECK_OK(vc_aec_process_s16(aec, near_s16 + at, far_s16 + at, out_s16 + at, BLOCK));
        found |= vc_aec_delay_samples(aec) >= 0.0;
    }
    for (int i = BLOCK; i < N; i++) {
        const double d = out_s16[i] - near_s16[i - BLOCK];
        changed += d * d;
    }
    VC_CHECK(!found);
    VC_CHECK(changed <= 1e-6 * power_s16(near_s16, N)); /* 60 dB below the caller */
    vc_aec_destroy(aec);
}

VC_TEST(floats_pass_bit_for_bit_too)
{
    vc_aec *aec = make(16000, VC_CPU_AUTO);
    uint32_t seed = 4;
    vc_test_white(near, MOST / 4, 1.0f, &seed);
    VC_CHECK_OK(vc_aec_process_f32(aec, near, NULL, out, MOST / 4));
    VC_CHECK(memcmp(out + 16000, near + 16000 - 160, (MOST / 4 - 16000) * sizeof *out) == 0);
    vc_aec_destroy(aec);
}

VC_TEST(slicing_formats_in_place_and_reset)
{
    /* Oracle: one call. Bit for bit; f32 rounded to s16 is what s16 gives. */
    enum { RATE = 16000, N = 3 * RATE, BLOCK = 160 };
    vc_aec *one = make(RATE, VC_CPU_AUTO), *two = make(RATE, VC_CPU_AUTO);
    uint32_t seed = 5;
    for (int round = 0; round < 3; round++) {
        scene(RATE, N, 60, 0, 6 + (uint32_t)round);
        if (round) {
            vc_aec_reset(two); /* new or reset, it is the same */
            vc_aec_destroy(one);
            one = make(RATE, VC_CPU_AUTO);
        }
        VC_CHECK_OK(vc_aec_process_s16(one, near_s16, far_s16, out_s16, N));
        memcpy(other_s16, near_s16, sizeof other_s16);
        for (int at = 0; at < N;) {
            int n = (int)(vc_test_random(&seed) % 9) * BLOCK;
            if (n > N - at) n = N - at;
            VC_CHECK_OK(
                vc_aec_process_s16(two, other_s16 + at, far_s16 + at, other_s16 + at, (size_t)n));
            at += n;
        }
        VC_CHECK(memcmp(out_s16, other_s16, N * sizeof *out_s16) == 0);
        VC_CHECK(vc_aec_erle_db(one) == vc_aec_erle_db(two));
        VC_CHECK(vc_aec_drift_ppm(one) == vc_aec_drift_ppm(two));
        VC_CHECK(vc_aec_delay_samples(one) == vc_aec_delay_samples(two));
    }
    as_f32(N);
    vc_aec_reset(two);
    VC_CHECK_OK(vc_aec_process_f32(two, near, far, out, N));
    to_s16(out, other_s16, N);
    VC_CHECK(memcmp(out_s16, other_s16, N * sizeof *out_s16) == 0);
    vc_aec_destroy(one);
    vc_aec_destroy(two);
}

VC_TEST(a_known_change_of_delay_is_taken_over)
{
    /* The past moves with it: 30 dB in the next 200 ms and after them. Found anew it takes 500 ms.
     */
    enum { RATE = 16000, N = 4 * RATE, WAIT = RATE / 5 };
    for (int later = -320; later <= 320; later += 160) {
        vc_aec *aec = make(RATE, VC_CPU_AUTO);
        scene(RATE, N + RATE, 60, N + RATE, 8);
        VC_CHECK_OK(vc_aec_process_s16(aec, near_s16, far_s16, out_s16, N));
        memset(near, 0, sizeof near);
        vc_test_add_echo(far, N + RATE, h, RATE / 16, 60 * RATE / 1000 + later, near);
        to_s16(near, near_s16, N + RATE);
        const double before = vc_aec_delay_samples(aec);
        vc_aec_delay_changed(aec, later);
        VC_CHECK(fabs(vc_aec_delay_samples(aec) - before - later) < 1e-6);
        VC_CHECK_OK(vc_aec_process_s16(aec, near_s16 + N, far_s16 + N, out_s16 + N, RATE));
        VC_CHECK(vc_test_ratio_db(power_s16(near_s16 + N, WAIT), power_s16(out_s16 + N, WAIT)) >
                 30.0);
        VC_CHECK(vc_test_ratio_db(power_s16(near_s16 + N + WAIT, RATE - WAIT),
                                  power_s16(out_s16 + N + WAIT, RATE - WAIT)) > 30.0);
        vc_aec_destroy(aec);
    }
}

/* 5 s of an echo after whatever was; its ERLE over the last second. */
static double recovered(vc_aec *aec, int rate_hz)
{
    const int n = 5 * rate_hz;
    scene(rate_hz, n, 60, n, 9);
    VC_CHECK_OK(vc_aec_process_s16(aec, near_s16, far_s16, out_s16, (size_t)n));
    return vc_test_ratio_db(power_s16(near_s16 + n - rate_hz, rate_hz),
                            power_s16(out_s16 + n - rate_hz, rate_hz));
}

VC_TEST(any_input_is_survived)
{
    enum { RATE = 16000, N = 2 * RATE };
    vc_aec *aec = make(RATE, VC_CPU_AUTO);
    for (int kind = 0; kind < 6; kind++) {
        uint32_t seed = 10 + (uint32_t)kind;
        vc_test_white(far, N, 0.3f, &seed);
        vc_test_white(near, N, 0.3f, &seed);
        for (int i = 0; i < N; i++) {
            const float square = i / 40 % 2 ? 1.0f : -1.0f;
            if (kind == 0) near[i] = NAN;
            if (kind == 1) far[i] = i % 7 ? NAN : far[i];
            if (kind == 2) near[i] = i % 3 ? INFINITY : -INFINITY, far[i] = near[i];
            if (kind == 3) near[i] = square, far[i] = square;
            if (kind == 4) near[i] = i % 2 ? 3e38f : -3e38f, far[i] = 1e-40f;
            if (kind == 5) near[i] = 1.0f, far[i] = -1.0f;
        }
        VC_CHECK_OK(vc_aec_process_f32(aec, near, far, out, N));
        VC_CHECK(vc_test_finite(out, N));
        double most = 0.0;
        for (int i = 0; i < N; i++) most = fmax(most, fabs((double)out[i]));
        VC_CHECK(most < 4.0);
        VC_CHECK(isfinite(vc_aec_erle_db(aec)) && isfinite(vc_aec_drift_ppm(aec)));
        VC_CHECK(isfinite(vc_aec_delay_samples(aec)));
        /* Full-scale square waves and 0 Hz at both ends teach a path that speech has to unteach:
         * 10 dB by then. */
        VC_CHECK(recovered(aec, RATE) > (kind == 3 || kind == 5 ? 10.0 : 20.0));
    }
    vc_aec_reset(aec);
    /* Changes of delay that can not be true: 15 dB after 5 s. */
    static const int changes[] = {16000, -16000, 1, -1, 2000000000, -2000000000};
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        vc_aec_delay_changed(aec, changes[i]);
        VC_CHECK(recovered(aec, RATE) > 15.0);
    }
    vc_aec_destroy(aec);
}

VC_TEST(levels_agree)
{
    /* Sums in another order, fed back through the filter and the gains. Bound -50 dB of the mic. */
    enum { RATE = 16000, N = 3 * RATE };
    scene(RATE, N, 60, 0, 20);
    as_f32(N);
    vc_aec *plain = make(RATE, VC_CPU_C);
    VC_CHECK_OK(vc_aec_process_f32(plain, near, far, out, N));
    vc_aec_destroy(plain);
    for (int level = VC_CPU_NEON; level <= VC_CPU_AVX512; level++) {
        vc_cpu_level usable;
        if (vc_cpu_resolve((vc_cpu_level)level, &usable) != VC_OK) continue;
        vc_aec *wide = make(RATE, usable);
        VC_CHECK_OK(vc_aec_process_f32(wide, near, far, other, N));
        double off = 0.0;
        for (int i = 0; i < N; i++)
            off += (double)(out[i] - other[i]) * (double)(out[i] - other[i]);
        VC_CHECK(vc_test_ratio_db(off, vc_test_power(near, N)) < -50.0);
        vc_aec_destroy(wide);
    }
}

VC_TEST(rejects)
{
    vc_aec *aec;
    vc_aec_config config = vc_aec_config_default();
    VC_CHECK_EQ(vc_aec_create(NULL, &config), VC_E_NULL);
    VC_CHECK_EQ(vc_aec_create(&aec, NULL), VC_E_NULL);
    config.rate_hz = 48000;
    VC_CHECK_EQ(vc_aec_create(&aec, &config), VC_E_RATE);
    VC_CHECK(aec == NULL);
    config.rate_hz = 8000;
    config.tail_ms = 300;
    VC_CHECK_EQ(vc_aec_create(&aec, &config), VC_E_RANGE);
    VC_CHECK(aec == NULL);
    config.tail_ms = 64;
    config.cpu_level = (vc_cpu_level)77;
    VC_CHECK_EQ(vc_aec_create(&aec, &config), VC_E_RANGE);
    aec = make(8000, VC_CPU_AUTO);
    VC_CHECK_EQ(vc_aec_process_s16(aec, near_s16, far_s16, out_s16, 79), VC_E_LENGTH);
    VC_CHECK_EQ(vc_aec_process_f32(aec, near, NULL, out, 81), VC_E_LENGTH);
    VC_CHECK_OK(vc_aec_process_s16(aec, near_s16, far_s16, out_s16, 0));
    vc_aec_destroy(aec);
    vc_aec_destroy(NULL);
}

VC_TEST(memory)
{
    for (int rate_hz = 8000; rate_hz <= 16000; rate_hz *= 2)
        for (long fail_at = 0;; fail_at++) {
            vc_test_heap heap = {0, 0, fail_at};
            vc_allocator allocator = vc_test_allocator(&heap);
            vc_aec_config config = vc_aec_config_default();
            config.rate_hz = rate_hz;
            config.allocator = &allocator;
            vc_aec *aec;
            const vc_status status = vc_aec_create(&aec, &config);
            if (status == VC_OK) {
                VC_CHECK(fail_at >= 6);
                const long made = heap.total;
                VC_CHECK(vc_aec_bytes(aec) <= 160 * 1024);
                scene(rate_hz, rate_hz, 60, 0, 30);
                VC_CHECK_OK(vc_aec_process_s16(aec, near_s16, far_s16, out_s16, (size_t)rate_hz));
                vc_aec_delay_changed(aec, 100);
                VC_CHECK_OK(vc_aec_process_s16(aec, near_s16, NULL, out_s16, (size_t)rate_hz));
                vc_aec_reset(aec);
                VC_CHECK_EQ(heap.total, made);
                vc_aec_destroy(aec);
            } else {
                VC_CHECK_EQ(status, VC_E_MEMORY);
                VC_CHECK(aec == NULL);
            }
            VC_CHECK_EQ(heap.live, 0);
            if (status == VC_OK) break;
        }
}

VC_MAIN(VC_RUN(echo_goes_and_the_caller_stays) VC_RUN(an_echo_at_once_is_taken_out)
            VC_RUN(without_far_end_the_input_passes_bit_for_bit)
                VC_RUN(two_who_take_turns_are_no_echo_of_each_other)
                    VC_RUN(floats_pass_bit_for_bit_too) VC_RUN(slicing_formats_in_place_and_reset)
                        VC_RUN(a_known_change_of_delay_is_taken_over) VC_RUN(any_input_is_survived)
                            VC_RUN(levels_agree) VC_RUN(rejects) VC_RUN(memory))
