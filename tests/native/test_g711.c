/* vc_g711: against the decision and output values of ITU-T G.711 tables 1 and 2, restated as
 * arithmetic on segments; every input, every code, at every CPU level of this machine. Lengths 0 to
 * 150 at every alignment within 64 bytes: whole vectors, the overlapping last one, and the rest. */
#include "codec/vc_g711.h"

#include <string.h>

#include "vc_test.h"

/* Output value of a positive code on the law's own integer scale (segment s, step m). */
static int ulaw_output(int segment, int step)
{
    return ((2 * step + 33) << segment) - 33;
}

static int alaw_output(int segment, int step)
{
    return segment == 0 ? 2 * step + 1 : (2 * step + 33) << (segment - 1);
}

static int16_t ulaw_sample(int code)
{
    int inverted = code ^ 0xff;
    int value = 4 * ulaw_output(inverted >> 4 & 7, inverted & 15);
    return (int16_t)(inverted & 0x80 ? -value : value);
}

static int16_t alaw_sample(int code)
{
    int even = code ^ 0x55;
    int value = 8 * alaw_output(even >> 4 & 7, even & 15);
    return (int16_t)(even & 0x80 ? value : -value);
}

static uint8_t ulaw_code(int16_t sample)
{
    int x = sample >> 2, magnitude = x < 0 ? -x : x, code = 0;
    /* The highest interval whose lower decision value is reached. */
    for (int c = 1; c < 128; c++) {
        int lower = ((2 * (c & 15) + 32) << (c >> 4)) - 33;
        if (magnitude >= lower) code = c;
    }
    return (uint8_t)((code | (x < 0 ? 0x80 : 0)) ^ 0xff);
}

static uint8_t alaw_code(int16_t sample)
{
    int x = sample >> 3, magnitude = x < 0 ? -x - 1 : x, code = 0;
    for (int c = 1; c < 128; c++) {
        int segment = c >> 4, step = c & 15;
        int lower = segment == 0 ? 2 * step : (32 + 2 * step) << (segment - 1);
        if (magnitude >= lower) code = c;
    }
    return (uint8_t)((code | (x < 0 ? 0 : 0x80)) ^ 0x55);
}

/* Calls `test` with the functions of every level of this machine. */
static void at_every_level(void (*test)(const vc_g711 *g711))
{
    for (int level = VC_CPU_C; level <= VC_CPU_AVX512; level++) {
        vc_cpu_level usable;
        if (vc_cpu_resolve((vc_cpu_level)level, &usable) != VC_OK) continue;
        const vc_g711 *g711;
        VC_NEED(vc_g711_get(usable, &g711) == VC_OK);
        test(g711);
    }
}

/* Every code 512 times, each time rotated, so that each passes through each place of a vector. */
static void decode_everything(const vc_g711 *g711)
{
    enum { TURNS = 512, N = 256 * TURNS };
    static uint8_t codes[N];
    static int16_t pcm[N];
    long wrong = 0;
    for (int i = 0; i < N; i++) codes[i] = (uint8_t)(i + i / 256);
    g711->ulaw_decode(codes, pcm, N);
    for (int i = 0; i < N; i++) wrong += pcm[i] != ulaw_sample(codes[i]);
    VC_CHECK_EQ(wrong, 0);
    g711->alaw_decode(codes, pcm, N);
    for (int i = 0; i < N; i++) wrong += pcm[i] != alaw_sample(codes[i]);
    VC_CHECK_EQ(wrong, 0);
}

static void encode_everything(const vc_g711 *g711)
{
    static int16_t pcm[65536];
    static uint8_t codes[65536];
    for (int i = 0; i < 65536; i++) pcm[i] = (int16_t)(i - 32768);
    long wrong = 0;
    g711->ulaw_encode(pcm, codes, 65536);
    for (int i = 0; i < 65536; i++) wrong += codes[i] != ulaw_code(pcm[i]);
    VC_CHECK_EQ(wrong, 0);
    g711->alaw_encode(pcm, codes, 65536);
    for (int i = 0; i < 65536; i++) wrong += codes[i] != alaw_code(pcm[i]);
    VC_CHECK_EQ(wrong, 0);
}

enum { LONGEST = 150, PLACES = 64, ROOM = LONGEST + PLACES, GUARD = 0x5b };

/* Right within n, untouched beyond. */
static void lengths_and_alignments(const vc_g711 *g711)
{
    static int16_t pcm[ROOM], samples[ROOM + 1], guard;
    static uint8_t codes[ROOM], bytes[ROOM + 1];
    uint32_t seed = 711;
    for (int i = 0; i < ROOM; i++) pcm[i] = (int16_t)vc_test_random(&seed);
    for (int i = 0; i < ROOM; i++) codes[i] = (uint8_t)vc_test_random(&seed);
    memset(&guard, GUARD, sizeof guard);
    long wrong = 0;
    for (int law = 0; law < 2; law++)
        for (size_t n = 0; n <= LONGEST; n++)
            for (size_t place = 0; place < PLACES; place++) {
                memset(bytes, GUARD, sizeof bytes);
                memset(samples, GUARD, sizeof samples);
                (law ? g711->alaw_encode : g711->ulaw_encode)(pcm + place, bytes + place, n);
                (law ? g711->alaw_decode : g711->ulaw_decode)(codes + place, samples + place, n);
                for (size_t i = place; i < place + n; i++) {
                    wrong += bytes[i] != (law ? alaw_code(pcm[i]) : ulaw_code(pcm[i]));
                    wrong += samples[i] != (law ? alaw_sample(codes[i]) : ulaw_sample(codes[i]));
                }
                wrong += bytes[place + n] != GUARD || samples[place + n] != guard;
                if (place > 0) wrong += bytes[place - 1] != GUARD || samples[place - 1] != guard;
            }
    VC_CHECK_EQ(wrong, 0);
}

VC_TEST(decode_gives_the_recommended_values)
{
    at_every_level(decode_everything);
}

VC_TEST(encode_keeps_to_the_decision_values)
{
    at_every_level(encode_everything);
}

VC_TEST(every_length_and_alignment)
{
    at_every_level(lengths_and_alignments);
}

VC_TEST(a_level_that_is_not_there_is_refused)
{
    const vc_g711 *g711;
    VC_CHECK_EQ(vc_g711_get(VC_CPU_AUTO, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_g711_get((vc_cpu_level)99, &g711), VC_E_RANGE);
    VC_CHECK(g711 == NULL);
    vc_cpu_level foreign = vc_cpu_detect() == VC_CPU_NEON ? VC_CPU_AVX2 : VC_CPU_NEON;
    VC_CHECK_EQ(vc_g711_get(foreign, &g711), VC_E_CPU);
    VC_CHECK(g711 == NULL);
}

VC_MAIN(VC_RUN(decode_gives_the_recommended_values) VC_RUN(encode_keeps_to_the_decision_values)
            VC_RUN(every_length_and_alignment) VC_RUN(a_level_that_is_not_there_is_refused))
