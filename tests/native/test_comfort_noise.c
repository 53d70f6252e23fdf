/* vc_comfort_noise: payload against the formulas of RFC 3389, levels against the law of the sum of
 * squares, coefficients against those of a known filter, slicing and reset bit for bit. The spectra
 * are tested from Python against scipy. */
#include "dsp/vc_comfort_noise.h"

#include <math.h>
#include <string.h>

#include "vc_test.h"

enum { LONG = 96000 };
static int16_t first[LONG], second[LONG];

static vc_comfort_noise *made(int rate_hz, int order)
{
    vc_comfort_noise_config config = vc_comfort_noise_config_default();
    config.rate_hz = rate_hz;
    config.order = order;
    vc_comfort_noise *noise;
    VC_NEED(vc_comfort_noise_create(&noise, &config) == VC_OK);
    return noise;
}

static double level_dbov(const int16_t *samples, size_t n)
{
    double sum = 0.0;
    for (size_t i = 0; i < n; i++) sum += (double)samples[i] * samples[i];
    return 10.0 * log10(sum / (double)n / (32768.0 * 32768.0) + 1e-13);
}

/* Sum of uniform numbers through y = x - a y': reflection coefficient a, all else 0. */
static void coloured(int16_t *out, size_t n, double rms, double a, uint32_t *seed)
{
    double y = 0.0;
    for (size_t i = 0; i < n; i++) {
        double x = 0.0;
        for (int j = 0; j < 12; j++) x += vc_test_random(seed) / 4294967296.0 - 0.5;
        y = x * sqrt(1 - a * a) - a * y;
        out[i] = (int16_t)lrint(fmax(-32768, fmin(32767, y * rms)));
    }
}

VC_TEST(payload)
{
    vc_comfort_noise_model model, again;
    uint8_t bytes[VC_COMFORT_NOISE_PAYLOAD_BYTES] = {0}, out[VC_COMFORT_NOISE_PAYLOAD_BYTES];
    VC_CHECK_EQ(vc_comfort_noise_parse(bytes, 0, &model), VC_E_PACKET);
    for (int value = 0; value < 255; value++) {
        bytes[0] = (uint8_t)(value & 127);
        for (int i = 1; i < 12; i++) bytes[i] = (uint8_t)((value + 23 * i) % 255);
        VC_CHECK_OK(vc_comfort_noise_parse(bytes, 12, &model));
        VC_CHECK_EQ(model.order, 11);
        VC_CHECK(model.level_dbov == (float)-(value & 127));
        for (int i = 0; i < 11; i++)
            VC_CHECK(fabs(model.reflection[i] - 258.0 * (bytes[1 + i] - 127) / 32768.0) < 1e-7);
        size_t n = sizeof out;
        VC_CHECK_OK(vc_comfort_noise_build(&model, out, &n));
        VC_CHECK_EQ(n, 12);
        VC_CHECK(memcmp(bytes, out, 12) == 0);
        n = 11;
        VC_CHECK_EQ(vc_comfort_noise_build(&model, out, &n), VC_E_LENGTH);
    }
    /* The unused top bit, a reserved index, more coefficients than are kept. */
    const uint8_t odd[] = {0x80 | 40, 100, 255, 100};
    VC_CHECK_OK(vc_comfort_noise_parse(odd, 4, &model));
    VC_CHECK(model.level_dbov == -40.0f);
    VC_CHECK_EQ(model.order, 1);
    uint8_t many[300];
    memset(many, 1, sizeof many);
    VC_CHECK_OK(vc_comfort_noise_parse(many, sizeof many, &model));
    VC_CHECK_EQ(model.order, VC_COMFORT_NOISE_MAX_ORDER);
    /* Between two indices: the nearer. */
    again = (vc_comfort_noise_model){
        .level_dbov = -40.6f, .order = 4, .reflection = {0.0f, 0.0038f, 0.0041f, -0.99999f}};
    size_t n = sizeof out;
    VC_CHECK_OK(vc_comfort_noise_build(&again, out, &n));
    VC_CHECK(out[0] == 41 && out[1] == 127 && out[2] == 127 && out[3] == 128 && out[4] == 0);
}

VC_TEST(what_is_refused)
{
    const float bad_k[] = {1.0f, -1.0f, NAN, INFINITY};
    vc_comfort_noise *noise = made(8000, 10);
    uint8_t out[VC_COMFORT_NOISE_PAYLOAD_BYTES];
    size_t n = sizeof out;
    vc_comfort_noise_model model = {.level_dbov = -50.0f, .order = 3};
    for (int i = 0; i < 4; i++) {
        model.reflection[2] = bad_k[i];
        VC_CHECK_EQ(vc_comfort_noise_set_model(noise, &model), VC_E_RANGE);
        VC_CHECK_EQ(vc_comfort_noise_build(&model, out, &n), VC_E_RANGE);
    }
    model.reflection[2] = 0.0f;
    const float bad_level[] = {0.1f, -127.1f, NAN};
    for (int i = 0; i < 3; i++) {
        model.level_dbov = bad_level[i];
        VC_CHECK_EQ(vc_comfort_noise_set_model(noise, &model), VC_E_RANGE);
    }
    model.level_dbov = -50.0f;
    model.order = VC_COMFORT_NOISE_MAX_ORDER + 1;
    VC_CHECK_EQ(vc_comfort_noise_set_model(noise, &model), VC_E_RANGE);
    VC_CHECK_EQ(vc_comfort_noise_get_learned(noise, &model), VC_NEED_MORE);
    vc_comfort_noise_process(noise, first, 100);
    for (int i = 0; i < 100; i++) VC_CHECK_EQ(first[i], 0);
    vc_comfort_noise_destroy(noise);

    vc_comfort_noise_config config = vc_comfort_noise_config_default();
    config.rate_hz = 7999;
    VC_CHECK_EQ(vc_comfort_noise_create(&noise, &config), VC_E_RATE);
    config.rate_hz = 48001;
    VC_CHECK_EQ(vc_comfort_noise_create(&noise, &config), VC_E_RATE);
    config.rate_hz = 8000;
    config.order = 25;
    VC_CHECK_EQ(vc_comfort_noise_create(&noise, &config), VC_E_RANGE);
    config.order = 24;
    vc_test_heap heap = {.fail_at = 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    config.allocator = &allocator;
    VC_CHECK_EQ(vc_comfort_noise_create(&noise, &config), VC_E_MEMORY);
    VC_CHECK(noise == NULL);
    VC_CHECK_OK(vc_comfort_noise_create(&noise, &config));
    VC_CHECK_EQ(heap.total, 2); /* and none below */
    model = (vc_comfort_noise_model){.level_dbov = -30.0f};
    VC_CHECK_OK(vc_comfort_noise_set_model(noise, &model));
    vc_comfort_noise_process(noise, first, 1000);
    vc_comfort_noise_learn(noise, first, 1000);
    VC_CHECK_OK(vc_comfort_noise_get_learned(noise, &model));
    VC_CHECK_EQ(heap.total, 2);
    vc_comfort_noise_destroy(noise);
    vc_comfort_noise_destroy(NULL);
    VC_CHECK_EQ(heap.live, 0);
}

/* Bound 0.5 dB over 96000 samples; spread by the number of independent ones the filter leaves. */
VC_TEST(the_level_is_right_from_the_first_sample)
{
    const float sets[][3] = {{0, 0, 0}, {-0.9f, 0, 0}, {0.9f, 0, 0}, {-0.8f, 0.7f, -0.5f}};
    for (int which = 0; which < 4; which++)
        for (float level = -70.0f; level <= -20.0f; level += 10.0f) {
            vc_comfort_noise *noise = made(16000, 10);
            vc_comfort_noise_model model = {.level_dbov = level, .order = 3};
            memcpy(model.reflection, sets[which], sizeof sets[which]);
            VC_CHECK_OK(vc_comfort_noise_set_model(noise, &model));
            vc_comfort_noise_process(noise, first, LONG);
            VC_CHECK(fabs(level_dbov(first, LONG) - level) < 0.5);
            vc_comfort_noise_destroy(noise);
        }
    /* The first 20 ms alone, over 200 seeds. */
    double sum = 0.0;
    for (uint64_t seed = 0; seed < 200; seed++) {
        vc_comfort_noise_config config = vc_comfort_noise_config_default();
        config.seed = seed;
        vc_comfort_noise *noise;
        VC_NEED(vc_comfort_noise_create(&noise, &config) == VC_OK);
        vc_comfort_noise_model model = {
            .level_dbov = -30.0f, .order = 2, .reflection = {-0.95f, 0.9f}};
        VC_CHECK_OK(vc_comfort_noise_set_model(noise, &model));
        vc_comfort_noise_process(noise, first, 160);
        sum += pow(10.0, level_dbov(first, 160) / 10.0);
        vc_comfort_noise_destroy(noise);
    }
    VC_CHECK(fabs(10.0 * log10(sum / 200.0) + 30.0) < 0.5);
}

/* Any bytes: the noise stays noise of its level. 20 dB above it is beyond what chance allows. */
VC_TEST(hostile_payloads_stay_stable)
{
    uint32_t seed = 3389;
    vc_comfort_noise *noise = made(8000, 24);
    for (int round = 0; round < 300; round++) {
        uint8_t bytes[25];
        for (int i = 0; i < 25; i++) {
            uint32_t dice = vc_test_random(&seed);
            bytes[i] = (uint8_t)(round % 3 == 0 ? dice : dice & 1 ? 254 : 0);
        }
        bytes[0] = (uint8_t)(30 + bytes[0] % 20);
        vc_comfort_noise_model model;
        VC_CHECK_OK(vc_comfort_noise_parse(bytes, 25, &model));
        VC_CHECK_OK(vc_comfort_noise_set_model(noise, &model));
        vc_comfort_noise_process(noise, first, 400); /* the way there */
        vc_comfort_noise_process(noise, first, 4000);
        VC_CHECK(level_dbov(first, 4000) < model.level_dbov + 20.0);
    }
    vc_comfort_noise_destroy(noise);
}

VC_TEST(updates_are_smooth)
{
    vc_comfort_noise *noise = made(8000, 10);
    vc_comfort_noise_model model = {.level_dbov = -60.0f, .order = 1, .reflection = {-0.9f}};
    VC_CHECK_OK(vc_comfort_noise_set_model(noise, &model));
    vc_comfort_noise_process(noise, first, 8000);
    model = (vc_comfort_noise_model){.level_dbov = -30.0f};
    VC_CHECK_OK(vc_comfort_noise_set_model(noise, &model));
    vc_comfort_noise_process(noise, first, 8000);
    /* The amplitude goes up in a straight line: after 5 ms by a tenth, after 50 ms all of it. */
    VC_CHECK(level_dbov(first, 40) < -30.0 - 18.0);
    VC_CHECK(level_dbov(first + 180, 40) > -30.0 - 9.0);
    VC_CHECK(fabs(level_dbov(first + 400, 7600) + 30.0) < 0.5);
    vc_comfort_noise_destroy(noise);
}

static void story(vc_comfort_noise *noise, int16_t *out, uint32_t seed)
{
    uint32_t noise_seed = 99;
    static int16_t input[LONG];
    coloured(input, LONG, 300.0, -0.7, &noise_seed);
    for (size_t at = 0, fed = 0, turn = 0; at < 24000; turn++) {
        size_t n = seed ? vc_test_random(&seed) % 700 : 600;
        if (n > 24000 - at) n = 24000 - at;
        for (size_t end = at + n; at < end;) { /* models change at fixed samples */
            size_t part = 6000 - at % 6000 < end - at ? 6000 - at % 6000 : end - at;
            if (at % 6000 == 0) {
                vc_comfort_noise_model model = {.level_dbov = -50.0f};
                if (at == 12000) {
                    size_t to = 40000;
                    while (fed < to) {
                        size_t m = seed ? vc_test_random(&seed) % 333 : to - fed;
                        m = m > to - fed ? to - fed : m;
                        vc_comfort_noise_learn(noise, input + fed, m);
                        fed += m;
                    }
                    VC_CHECK_OK(vc_comfort_noise_get_learned(noise, &model));
                }
                VC_CHECK_OK(vc_comfort_noise_set_model(noise, &model));
            }
            vc_comfort_noise_process(noise, out + at, part);
            at += part;
        }
    }
}

VC_TEST(slicing_changes_nothing_and_reset_is_new)
{
    const int rates[] = {8000, 11025, 48000};
    for (int i = 0; i < 3; i++) {
        vc_comfort_noise *noise = made(rates[i], 16);
        story(noise, first, 0);
        vc_comfort_noise_reset(noise);
        vc_comfort_noise_model model;
        VC_CHECK_EQ(vc_comfort_noise_get_learned(noise, &model), VC_NEED_MORE);
        story(noise, second, 5);
        VC_CHECK(memcmp(first, second, 24000 * sizeof *first) == 0);
        VC_CHECK(level_dbov(first, 24000) > -60.0);
        vc_comfort_noise_destroy(noise);
    }
}

VC_TEST(learned_from_pure_background)
{
    const double filters[] = {0.0, -0.9, 0.6};
    uint32_t seed = 17;
    for (int i = 0; i < 3; i++) {
        vc_comfort_noise *noise = made(8000, 6);
        coloured(first, 16000, 200.0, filters[i], &seed);
        vc_comfort_noise_push(noise, first, 16000);
        vc_comfort_noise_model model;
        VC_CHECK_OK(vc_comfort_noise_get_learned(noise, &model));
        VC_CHECK(fabs(model.level_dbov - level_dbov(first + 12000, 4000)) < 0.3);
        VC_CHECK(fabs(model.reflection[0] - filters[i]) < 0.06);
        for (int k = 1; k < 6; k++) VC_CHECK(fabsf(model.reflection[k]) < 0.12f);
        vc_comfort_noise_destroy(noise);
    }
}

/* Half a second of loud sound, half a second of background, again and again; then 3.5 s of a
 * background 20 dB louder. */
VC_TEST(learned_from_mixed_audio)
{
    uint32_t seed = 23;
    vc_comfort_noise *noise = made(8000, 10);
    vc_comfort_noise_model model;
    for (int second_number = 0; second_number < 8; second_number++) {
        coloured(first, 4000, 4000.0, 0.5, &seed);
        vc_comfort_noise_learn(noise, first, 4000);
        coloured(first, 4000, 50.0, -0.8, &seed);
        vc_comfort_noise_learn(noise, first, 4000);
        VC_CHECK_OK(vc_comfort_noise_get_learned(noise, &model));
        VC_CHECK(fabs(model.level_dbov - 20.0 * log10(50.0 / 32768.0)) < 1.0);
        VC_CHECK(fabsf(model.reflection[0] + 0.8f) < 0.1f);
    }
    coloured(first, 28000, 500.0, 0.0, &seed);
    vc_comfort_noise_learn(noise, first, 28000);
    VC_CHECK_OK(vc_comfort_noise_get_learned(noise, &model));
    VC_CHECK(fabs(model.level_dbov - 20.0 * log10(500.0 / 32768.0)) < 1.0);
    VC_CHECK(fabsf(model.reflection[0]) < 0.1f);
    /* Digital silence is a background like any other. */
    memset(first, 0, sizeof first);
    vc_comfort_noise_learn(noise, first, 320);
    VC_CHECK_OK(vc_comfort_noise_get_learned(noise, &model));
    VC_CHECK(model.level_dbov == -127.0f);
    vc_comfort_noise_destroy(noise);
}

VC_MAIN(VC_RUN(payload) VC_RUN(what_is_refused) VC_RUN(the_level_is_right_from_the_first_sample)
            VC_RUN(hostile_payloads_stay_stable) VC_RUN(updates_are_smooth)
                VC_RUN(slicing_changes_nothing_and_reset_is_new)
                    VC_RUN(learned_from_pure_background) VC_RUN(learned_from_mixed_audio))
