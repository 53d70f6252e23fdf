/* vc_silero: create failures, damaged weights, batch equals single, reset equals new, allocation
 * balance, no allocation while it runs, input that is not finite. Oracle for the probabilities
 * themselves: onnxruntime, in tests/unit/test_silero.py. Needs the weight files of the tree and
 * the repository as working directory. */
#include "vad/vc_silero.h"

#include <math.h>
#include <string.h>

#include "vc_test.h"

enum { MOST_SAMPLES = 512, STREAMS = 35, ROUNDS = 36 };

typedef struct weights {
    unsigned char *bytes;
    size_t n;
} weights;

static weights load(int rate_hz)
{
    const char *path = rate_hz == 16000 ? "voicecore/media/data/silero_v6_16k.bin"
                                        : "voicecore/media/data/silero_v6_8k.bin";
    FILE *file = fopen(path, "rb");
    if (!file) {
        printf("%s is missing: run python tools/convert_silero.py\n", path);
        exit(1);
    }
    weights w = {malloc(2000000), 0};
    VC_NEED(w.bytes != NULL);
    w.n = fread(w.bytes, 1, 2000000, file);
    fclose(file);
    return w;
}

static vc_silero_model_config config_of(int rate_hz, weights w, vc_cpu_level level)
{
    vc_silero_model_config config = vc_silero_model_config_default();
    config.rate_hz = rate_hz;
    config.weights = w.bytes;
    config.weights_bytes = w.n;
    config.cpu_level = level;
    return config;
}

/* Noise whose level changes from window to window, so that the probabilities move. */
static void fill(float *window, size_t n, uint32_t *seed)
{
    float gain = (float)(vc_test_random(seed) % 1000) / 2000.0f;
    for (size_t i = 0; i < n; i++)
        window[i] = gain * ((float)(vc_test_random(seed) & 0xffff) / 32768.0f - 1.0f);
}

static void usable_levels(vc_cpu_level *levels, size_t *n)
{
    vc_cpu_level best = VC_CPU_C;
    *n = 0;
    for (int level = VC_CPU_C; level <= VC_CPU_AVX512; level++)
        if (vc_cpu_resolve((vc_cpu_level)level, &best) == VC_OK) levels[(*n)++] = best;
}

VC_TEST(create_failures)
{
    weights w = load(16000);
    vc_silero_model *model;
    vc_silero_model_config config = config_of(16000, w, VC_CPU_AUTO);
    VC_CHECK_EQ(vc_silero_model_create(NULL, &config), VC_E_NULL);
    VC_CHECK_EQ(vc_silero_model_create(&model, NULL), VC_E_NULL);
    config.rate_hz = 44100;
    VC_CHECK_EQ(vc_silero_model_create(&model, &config), VC_E_RATE);
    config.rate_hz = 8000; /* the file is for 16 kHz */
    VC_CHECK_EQ(vc_silero_model_create(&model, &config), VC_E_DATA);
    config.rate_hz = 16000;
    config.cpu_level = (vc_cpu_level)99;
    VC_CHECK_EQ(vc_silero_model_create(&model, &config), VC_E_RANGE);
#if defined(__x86_64__)
    config.cpu_level = VC_CPU_NEON;
#else
    config.cpu_level = VC_CPU_AVX2;
#endif
    VC_CHECK_EQ(vc_silero_model_create(&model, &config), VC_E_CPU);
    config.cpu_level = VC_CPU_AUTO;
    config.weights = NULL;
    VC_CHECK_EQ(vc_silero_model_create(&model, &config), VC_E_NULL);
    VC_CHECK(model == NULL);
    vc_silero *vad;
    vc_silero_batch *batch;
    VC_CHECK_EQ(vc_silero_create(&vad, NULL, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_silero_batch_create(&batch, NULL, NULL), VC_E_NULL);
    VC_CHECK(vad == NULL && batch == NULL);
    VC_CHECK_EQ(vc_silero_model_window_samples(NULL), 0);
    vc_silero_model_destroy(NULL);
    vc_silero_destroy(NULL);
    vc_silero_batch_destroy(NULL);
    vc_silero_reset(NULL);
    free(w.bytes);
}

VC_TEST(damaged_weights_are_refused)
{
    weights w = load(8000);
    vc_silero_model *model;
    uint32_t seed = 7;
    for (size_t n = 0; n < w.n; n += n < 40 ? 1 : 99991) {
        weights part = {w.bytes, n};
        vc_silero_model_config config = config_of(8000, part, VC_CPU_AUTO);
        VC_CHECK_EQ(vc_silero_model_create(&model, &config), VC_E_DATA);
    }
    vc_silero_model_config config = config_of(8000, w, VC_CPU_AUTO);
    for (size_t i = 0; i < 60; i++) {
        size_t at = i < 32 ? i : vc_test_random(&seed) % w.n; /* every header byte, some others */
        w.bytes[at] ^= 0x40;
        VC_CHECK_EQ(vc_silero_model_create(&model, &config), VC_E_DATA);
        VC_CHECK(model == NULL);
        w.bytes[at] ^= 0x40;
    }
    VC_CHECK_OK(vc_silero_model_create(&model, &config));
    vc_silero_model_destroy(model);
    free(w.bytes);
}

static void check_batch(int rate_hz, vc_cpu_level level)
{
    weights w = load(rate_hz);
    vc_silero_model_config config = config_of(rate_hz, w, level);
    vc_silero_model *model;
    vc_silero_batch *batch;
    vc_silero *alone[STREAMS], *together[STREAMS];
    VC_NEED(vc_silero_model_create(&model, &config) == VC_OK);
    memset(w.bytes, 0, w.n); /* the model copied them */
    VC_NEED(vc_silero_batch_create(&batch, model, NULL) == VC_OK);
    VC_CHECK_EQ(vc_silero_model_rate_hz(model), rate_hz);
    VC_CHECK_EQ(vc_silero_model_cpu_level(model), level);
    size_t samples = vc_silero_model_window_samples(model);
    VC_NEED(samples == (size_t)rate_hz * 32 / 1000);
    for (size_t i = 0; i < STREAMS; i++) {
        VC_NEED(vc_silero_create(&alone[i], model, NULL) == VC_OK);
        VC_NEED(vc_silero_create(&together[i], model, NULL) == VC_OK);
    }
    static float audio[STREAMS][MOST_SAMPLES];
    uint32_t seed = 11;
    int different = 0, moved = 0;
    float before = 0.0f;
    for (size_t round = 0; round < ROUNDS; round++) {
        size_t n = round < STREAMS ? round + 1 : STREAMS; /* every size from 1 up */
        const float *windows[STREAMS];
        float single[STREAMS], batched[STREAMS];
        for (size_t i = 0; i < n; i++) {
            fill(audio[i], samples, &seed);
            if (round == 3 && i == 1) memset(audio[i], 0, sizeof audio[i]);
            windows[i] = audio[i];
            VC_CHECK_OK(vc_silero_process(alone[i], audio[i], &single[i]));
        }
        VC_CHECK_OK(vc_silero_batch_process(batch, together, windows, n, batched));
        different += memcmp(single, batched, n * sizeof(float)) != 0;
        moved += single[0] != before;
        before = single[0];
    }
    VC_CHECK_EQ(different, 0);
    VC_CHECK_EQ(moved, ROUNDS);

    /* reset equals new */
    vc_silero *fresh;
    VC_NEED(vc_silero_create(&fresh, model, NULL) == VC_OK);
    vc_silero_reset(alone[0]);
    float p, q;
    for (int i = 0; i < 3; i++) {
        fill(audio[0], samples, &seed);
        VC_CHECK_OK(vc_silero_process(alone[0], audio[0], &p));
        VC_CHECK_OK(vc_silero_process(fresh, audio[0], &q));
        VC_CHECK(memcmp(&p, &q, sizeof p) == 0);
    }
    vc_silero_destroy(fresh);
    for (size_t i = 0; i < STREAMS; i++) {
        vc_silero_destroy(alone[i]);
        vc_silero_destroy(together[i]);
    }
    vc_silero_batch_destroy(batch);
    vc_silero_model_destroy(model);
    free(w.bytes);
}

VC_TEST(batch_equals_single_and_reset_equals_new)
{
    vc_cpu_level levels[8];
    size_t n;
    usable_levels(levels, &n);
    for (size_t i = 0; i < n; i++) {
        check_batch(8000, levels[i]);
        check_batch(16000, levels[i]);
    }
}

/* Every level against the plain C one, on noise and square waves; the bound is that of the tests
 * against onnxruntime. */
VC_TEST(levels_agree)
{
    vc_cpu_level levels[8];
    size_t n;
    usable_levels(levels, &n);
    for (int rate_hz = 8000; rate_hz <= 16000; rate_hz += 8000) {
        weights w = load(rate_hz);
        float plain[200], most = 0.0f;
        for (size_t l = 0; l < n; l++) {
            vc_silero_model_config config = config_of(rate_hz, w, levels[l]);
            vc_silero_model *model;
            vc_silero *vad;
            VC_NEED(vc_silero_model_create(&model, &config) == VC_OK);
            VC_NEED(vc_silero_create(&vad, model, NULL) == VC_OK);
            size_t samples = vc_silero_model_window_samples(model);
            uint32_t seed = 31;
            float window[MOST_SAMPLES], p;
            for (size_t round = 0; round < 200; round++) {
                fill(window, samples, &seed);
                for (size_t i = 0; i < samples && round % 3 == 2; i++)
                    window[i] = i / (20 + round) & 1 ? 0.5f : -0.5f;
                VC_CHECK_OK(vc_silero_process(vad, window, &p));
                if (l == 0) plain[round] = p; /* levels[0] is C */
                VC_CHECK(fabsf(p - plain[round]) <= 1e-4f);
                most = p > most ? p : most;
            }
            vc_silero_destroy(vad);
            vc_silero_model_destroy(model);
        }
        VC_CHECK(most > 0.1f); /* not only silence was compared */
        free(w.bytes);
    }
}

VC_TEST(wrong_calls)
{
    weights w = load(8000);
    vc_silero_model_config config = config_of(8000, w, VC_CPU_AUTO);
    vc_silero_model *model, *other;
    vc_silero *vad;
    vc_silero_batch *batch;
    VC_NEED(vc_silero_model_create(&model, &config) == VC_OK);
    VC_NEED(vc_silero_model_create(&other, &config) == VC_OK);
    VC_NEED(vc_silero_create(&vad, model, NULL) == VC_OK);
    VC_NEED(vc_silero_batch_create(&batch, other, NULL) == VC_OK);
    float window[256] = {0}, p;
    const float *windows = window, *none = NULL;
    VC_CHECK_EQ(vc_silero_process(NULL, window, &p), VC_E_NULL);
    VC_CHECK_EQ(vc_silero_process(vad, NULL, &p), VC_E_NULL);
    VC_CHECK_EQ(vc_silero_process(vad, window, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_silero_batch_process(NULL, &vad, &windows, 1, &p), VC_E_NULL);
    VC_CHECK_EQ(vc_silero_batch_process(batch, NULL, &windows, 1, &p), VC_E_NULL);
    VC_CHECK_EQ(vc_silero_batch_process(batch, &vad, &none, 1, &p), VC_E_NULL);
    VC_CHECK_EQ(vc_silero_batch_process(batch, &vad, &windows, 1, &p), VC_E_STATE);
    VC_CHECK_OK(vc_silero_batch_process(batch, NULL, NULL, 0, NULL));
    vc_silero_batch_destroy(batch);
    vc_silero_destroy(vad);
    vc_silero_model_destroy(model);
    vc_silero_model_destroy(other);
    free(w.bytes);
}

/* What is not finite must give what zeros give, bit for bit; what is huge must stay finite. */
VC_TEST(odd_input_stays_finite)
{
    const float odd[] = {NAN, -NAN, INFINITY, -INFINITY, 1e-40f};
    const float large[] = {1.0f, -1.0f, 32768.0f, 3e38f, -3e38f};
    vc_cpu_level levels[8];
    size_t n_levels;
    usable_levels(levels, &n_levels);
    weights w = load(16000);
    for (size_t l = 0; l < n_levels; l++) {
        vc_silero_model_config config = config_of(16000, w, levels[l]);
        vc_silero_model *model;
        vc_silero *vad, *clean;
        VC_NEED(vc_silero_model_create(&model, &config) == VC_OK);
        VC_NEED(vc_silero_create(&vad, model, NULL) == VC_OK);
        VC_NEED(vc_silero_create(&clean, model, NULL) == VC_OK);
        uint32_t seed = 5;
        float window[512], zeroed[512], p, q;
        for (int round = 0; round < 40; round++) {
            fill(window, 512, &seed);
            memcpy(zeroed, window, sizeof window);
            for (int i = 0; i < 40; i++) {
                size_t at = vc_test_random(&seed) % 512;
                window[at] = odd[vc_test_random(&seed) % 5];
                zeroed[at] = 0.0f;
            }
            VC_CHECK_OK(vc_silero_process(vad, window, &p));
            VC_CHECK_OK(vc_silero_process(clean, zeroed, &q));
            VC_CHECK(memcmp(&p, &q, sizeof p) == 0);
        }
        for (int round = 0; round < 60; round++) { /* square waves of each size, then noise */
            for (int i = 0; i < 512; i++)
                window[i] = round < 50 ? (i / 40 & 1 ? 1.0f : -1.0f) * large[round / 10] : 0.0f;
            if (round >= 50) fill(window, 512, &seed);
            VC_CHECK_OK(vc_silero_process(vad, window, &p));
            VC_CHECK(p >= 0.0f && p <= 1.0f);
        }
        vc_silero_destroy(vad);
        vc_silero_destroy(clean);
        vc_silero_model_destroy(model);
    }
    free(w.bytes);
}

VC_TEST(allocations)
{
    weights w = load(8000);
    vc_test_heap heap = {0, 0, 0};
    vc_silero_model *model;
    vc_silero *vad;
    vc_silero_batch *batch;
    float window[256] = {0}, p;
    const float *windows = window;
    {
        vc_allocator allocator = vc_test_allocator(&heap);
        vc_silero_model_config config = config_of(8000, w, VC_CPU_AUTO);
        config.allocator = &allocator;
        VC_CHECK_EQ(vc_silero_model_create(&model, &config), VC_E_MEMORY);
        heap.fail_at = 2;
        VC_CHECK_OK(vc_silero_model_create(&model, &config));
        VC_CHECK_EQ(vc_silero_create(&vad, model, &allocator), VC_E_MEMORY);
        VC_CHECK(vad == NULL);
        heap.fail_at = heap.total;
        VC_CHECK_EQ(vc_silero_batch_create(&batch, model, &allocator), VC_E_MEMORY);
        heap.fail_at = -1;
        VC_CHECK_OK(vc_silero_create(&vad, model, &allocator));
        VC_CHECK_OK(vc_silero_batch_create(&batch, model, &allocator));
        memset(&allocator, 0, sizeof allocator); /* handles keep their own copy of the hooks */
    }
    VC_CHECK_EQ(heap.live, 3);
    long before = heap.total;
    for (int i = 0; i < 5; i++) {
        VC_CHECK_OK(vc_silero_process(vad, window, &p));
        VC_CHECK_OK(vc_silero_batch_process(batch, &vad, &windows, 1, &p));
        vc_silero_reset(vad);
    }
    VC_CHECK_EQ(heap.total, before);
    vc_silero_batch_destroy(batch);
    vc_silero_destroy(vad);
    vc_silero_model_destroy(model);
    VC_CHECK_EQ(heap.live, 0);
    VC_CHECK(vc_silero_state_bytes() <= 2048);
    free(w.bytes);
}

VC_MAIN(VC_RUN(create_failures) VC_RUN(damaged_weights_are_refused)
            VC_RUN(batch_equals_single_and_reset_equals_new) VC_RUN(levels_agree)
                VC_RUN(wrong_calls) VC_RUN(odd_input_stays_finite) VC_RUN(allocations))
