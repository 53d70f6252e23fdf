/* vc_g722: codes and audio of a fixed signal against the checksums of libavcodec 62's for the same
 * signal (tests/unit/test_g722.py compares in full), slicing, reset, delay, arguments, memory. */
#include "codec/vc_g722.h"

#include <string.h>

#include "vc_test.h"

vc_status plain_create(vc_g722 **out, const vc_allocator *allocator);
void plain_destroy(vc_g722 *g722);
void plain_reset(vc_g722 *g722);
vc_status plain_encode(vc_g722 *g722, const int16_t *pcm, size_t n, uint8_t *out);
void plain_decode(vc_g722 *g722, const uint8_t *in, size_t n, int16_t *pcm);

/* The unit again as a machine without SSE2 and NEON compiles it, under other names. */
#define VC_PLAIN_LANES
#define vc_g722_create  plain_create
#define vc_g722_destroy plain_destroy
#define vc_g722_reset   plain_reset
#define vc_g722_encode  plain_encode
#define vc_g722_decode  plain_decode
#include "codec/vc_g722.c"
#undef vc_g722_create
#undef vc_g722_destroy
#undef vc_g722_reset
#undef vc_g722_encode
#undef vc_g722_decode

#define SAMPLES 16000

static int16_t signal[SAMPLES];
static uint8_t codes[SAMPLES / 2];
static int16_t decoded[SAMPLES];

static vc_g722 *new_g722(void)
{
    vc_g722 *g722;
    VC_NEED(vc_g722_create(&g722, NULL) == VC_OK);
    return g722;
}

/* Noise that is halved every 1000 samples and starts again after 12 steps. */
static void make_signal(void)
{
    uint32_t seed = 722;
    for (int i = 0; i < SAMPLES; i++)
        signal[i] = (int16_t)((int16_t)vc_test_random(&seed) >> (i / 1000 % 12));
}

static uint64_t fnv(const uint8_t *bytes, size_t n)
{
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < n; i++) hash = (hash ^ bytes[i]) * 0x100000001b3u;
    return hash;
}

VC_TEST(codes_and_audio_are_those_of_libavcodec)
{
    static uint8_t bytes[2 * SAMPLES];
    vc_g722 *g722 = new_g722();
    make_signal();
    VC_CHECK_OK(vc_g722_encode(g722, signal, SAMPLES, codes));
    VC_CHECK_EQ(fnv(codes, sizeof codes), 0x083ff4997f87ac04u);
    vc_g722_decode(g722, codes, sizeof codes, decoded);
    for (int i = 0; i < SAMPLES; i++) {
        bytes[2 * i] = (uint8_t)(decoded[i] & 0xff);
        bytes[2 * i + 1] = (uint8_t)((uint16_t)decoded[i] >> 8);
    }
    VC_CHECK_EQ(fnv(bytes, sizeof bytes), 0x5cc07451dffa2c40u);
    vc_g722_destroy(g722);
}

/* The signal, and codes at random, which drive the sums inside to their limits. */
VC_TEST(machines_without_vectors_give_the_same)
{
    static uint8_t plain_codes[SAMPLES / 2], random_codes[SAMPLES / 2];
    static int16_t audio[SAMPLES], plain_audio[SAMPLES];
    uint32_t seed = 7220;
    for (int i = 0; i < SAMPLES / 2; i++) random_codes[i] = (uint8_t)vc_test_random(&seed);
    vc_g722 *g722 = new_g722(), *plain;
    VC_NEED(plain_create(&plain, NULL) == VC_OK);
    make_signal();
    VC_NEED(vc_g722_encode(g722, signal, SAMPLES, codes) == VC_OK);
    VC_NEED(plain_encode(plain, signal, SAMPLES, plain_codes) == VC_OK);
    VC_CHECK(memcmp(codes, plain_codes, sizeof codes) == 0);
    const uint8_t *streams[] = {codes, random_codes};
    for (int i = 0; i < 2; i++) {
        vc_g722_decode(g722, streams[i], SAMPLES / 2, audio);
        plain_decode(plain, streams[i], SAMPLES / 2, plain_audio);
        VC_CHECK(memcmp(audio, plain_audio, sizeof audio) == 0);
    }
    vc_g722_destroy(g722);
    plain_destroy(plain);
}

VC_TEST(slices_give_the_same)
{
    static uint8_t sliced[SAMPLES / 2];
    static int16_t back[SAMPLES];
    vc_g722 *g722 = new_g722();
    uint32_t seed = 1;
    for (size_t at = 0; at < SAMPLES;) {
        size_t n = 2 * (vc_test_random(&seed) % 400);
        if (n > SAMPLES - at) n = SAMPLES - at;
        VC_CHECK_OK(vc_g722_encode(g722, signal + at, n, sliced + at / 2));
        vc_g722_decode(g722, sliced + at / 2, n / 2, back + at);
        at += n;
    }
    VC_CHECK(memcmp(sliced, codes, sizeof codes) == 0);
    VC_CHECK(memcmp(back, decoded, sizeof decoded) == 0);

    /* Reset is as new, in both directions. */
    vc_g722_reset(g722);
    VC_CHECK_OK(vc_g722_encode(g722, signal, SAMPLES, sliced));
    vc_g722_decode(g722, sliced, sizeof sliced, back);
    VC_CHECK(memcmp(sliced, codes, sizeof codes) == 0);
    VC_CHECK(memcmp(back, decoded, sizeof decoded) == 0);
    vc_g722_destroy(g722);
}

/* The audio that comes out is most like what went in VC_G722_DELAY_SAMPLES before. */
VC_TEST(delay_is_as_stated)
{
    int64_t best = 0;
    int best_lag = -1;
    for (int lag = 0; lag < 60; lag++) {
        int64_t sum = 0;
        for (int i = 60; i < 1000; i++) sum += (int64_t)decoded[i] * signal[i - lag];
        if (sum > best) best = sum, best_lag = lag;
    }
    VC_CHECK_EQ(best_lag, VC_G722_DELAY_SAMPLES);
}

/* Runs of one code drive steps, zeros and poles to their ends; the sanitizers watch. */
VC_TEST(any_codes_are_valid)
{
    static uint8_t run[4000];
    static int16_t out[8000];
    vc_g722 *g722 = new_g722();
    for (int code = 0; code < 256; code++) {
        memset(run, code, sizeof run);
        vc_g722_decode(g722, run, sizeof run, out);
    }
    uint32_t seed = 3;
    for (size_t i = 0; i < sizeof run; i++) run[i] = (uint8_t)vc_test_random(&seed);
    vc_g722_decode(g722, run, sizeof run, out);
    int loud = 0;
    for (int i = 0; i < 8000; i++) loud |= out[i];
    VC_CHECK(loud != 0);
    vc_g722_destroy(g722);
}

VC_TEST(bad_arguments_and_failing_memory)
{
    uint8_t byte = 77;
    vc_test_heap heap = {0, 0, 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    vc_g722 *g722;
    VC_CHECK_EQ(vc_g722_create(NULL, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_g722_create(&g722, &allocator), VC_E_MEMORY);
    VC_CHECK(g722 == NULL);
    heap.fail_at = -1;
    VC_NEED(vc_g722_create(&g722, &allocator) == VC_OK);
    long after_create = heap.total;
    VC_CHECK_EQ(vc_g722_encode(g722, signal, 1, &byte), VC_E_LENGTH);
    VC_CHECK_EQ(byte, 77);
    VC_CHECK_OK(vc_g722_encode(g722, signal, 0, &byte));
    VC_CHECK_OK(vc_g722_encode(g722, signal, SAMPLES, codes));
    VC_CHECK_EQ(heap.total, after_create);
    vc_g722_destroy(g722);
    VC_CHECK_EQ(heap.live, 0);
    vc_g722_destroy(NULL);
}

VC_MAIN(VC_RUN(codes_and_audio_are_those_of_libavcodec)
            VC_RUN(machines_without_vectors_give_the_same) VC_RUN(slices_give_the_same)
                VC_RUN(delay_is_as_stated) VC_RUN(any_codes_are_valid)
                    VC_RUN(bad_arguments_and_failing_memory))
