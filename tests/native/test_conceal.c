/* vc_conceal: real audio passes unchanged, a tone goes on over a gap without a click and fades, the
 * slicing of the calls does not matter, shortening keeps a tone smooth. */
#include "net/vc_conceal.h"

#include <math.h>
#include <string.h>

#include "vc_test.h"

enum { RATE = 8000, FRAME = 160 };

static vc_conceal *make(int rate_hz)
{
    vc_conceal *conceal = NULL;
    VC_NEED(vc_conceal_create(&conceal, rate_hz, NULL) == VC_OK);
    return conceal;
}

static void tone(int16_t *samples, int rate_hz, int start, int n, double hz)
{
    for (int i = 0; i < n; i++)
        samples[i] =
            (int16_t)lrint(8000.0 * sin(2.0 * 3.14159265358979 * hz * (start + i) / rate_hz));
}

static int biggest_step(const int16_t *samples, int n)
{
    int biggest = 0;
    for (int i = 1; i < n; i++) {
        int step = abs(samples[i] - samples[i - 1]);
        biggest = step > biggest ? step : biggest;
    }
    return biggest;
}

VC_TEST(rejects_bad_rates)
{
    vc_conceal *conceal;
    VC_CHECK_EQ(vc_conceal_create(&conceal, 7950, NULL), VC_E_RATE);
    VC_CHECK_EQ(vc_conceal_create(&conceal, 11025, NULL), VC_E_RATE);
    VC_CHECK_EQ(vc_conceal_create(&conceal, 48050, NULL), VC_E_RATE);
    VC_CHECK_EQ(vc_conceal_create(NULL, 8000, NULL), VC_E_NULL);
    vc_test_heap heap = {0, 0, 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    VC_CHECK_EQ(vc_conceal_create(&conceal, 8000, &allocator), VC_E_MEMORY);
    vc_conceal_destroy(NULL);
}

VC_TEST(real_audio_passes_unchanged)
{
    vc_conceal *conceal = make(RATE);
    uint32_t seed = 42;
    for (int round = 0; round < 50; round++) {
        int16_t samples[FRAME], before[FRAME];
        for (int i = 0; i < FRAME; i++) before[i] = samples[i] = (int16_t)vc_test_random(&seed);
        vc_conceal_decoded(conceal, samples, FRAME);
        VC_CHECK(memcmp(samples, before, sizeof before) == 0);
    }
    /* Silence, too, is not followed by a join. */
    int16_t silent[FRAME], samples[FRAME], before[FRAME];
    vc_conceal_silence(conceal, silent, FRAME);
    VC_CHECK_EQ(silent[FRAME - 1], 0);
    tone(samples, RATE, 0, FRAME, 400.0);
    memcpy(before, samples, sizeof before);
    vc_conceal_decoded(conceal, samples, FRAME);
    VC_CHECK(memcmp(samples, before, sizeof before) == 0);
    vc_conceal_destroy(conceal);
}

/* Bounds: the tone's own largest step is 2 pi f A / rate; a gap may add half of that. The pitch is
 * found to a sample, so the error against the true tone stays below a third of its level. */
VC_TEST(a_tone_goes_on_over_a_gap)
{
    const int rates[] = {8000, 16000, 44100, 48000};
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        int rate = rates[r], frame = rate / 50;
        static int16_t truth[12 * 960], heard[12 * 960];
        vc_conceal *conceal = make(rate);
        tone(truth, rate, 0, 12 * frame, 187.0);
        memcpy(heard, truth, sizeof truth);
        vc_conceal_decoded(conceal, heard, (size_t)(5 * frame));
        vc_conceal_fill(conceal, heard + 5 * frame, (size_t)frame);
        vc_conceal_decoded(conceal, heard + 6 * frame, (size_t)(6 * frame));
        int own = biggest_step(truth, 12 * frame);
        VC_CHECK(biggest_step(heard, 12 * frame) <= own + own / 2);
        int error = 0;
        for (int i = 5 * frame; i < 5 * frame + frame / 2; i++)
            error = abs(heard[i] - truth[i]) > error ? abs(heard[i] - truth[i]) : error;
        VC_CHECK(error < 8000 / 3);
        VC_CHECK(memcmp(heard + 6 * frame + rate / 200, truth + 6 * frame + rate / 200,
                        (size_t)(6 * frame - rate / 200) * sizeof(int16_t)) == 0);
        vc_conceal_destroy(conceal);
    }
}

VC_TEST(a_long_gap_fades_to_nothing)
{
    vc_conceal *conceal = make(RATE);
    int16_t samples[10 * FRAME];
    tone(samples, RATE, 0, 4 * FRAME, 150.0);
    vc_conceal_decoded(conceal, samples, 4 * FRAME);
    vc_conceal_fill(conceal, samples, 10 * FRAME);
    int loud = 0, quiet = 0;
    for (int i = 0; i < 80; i++) loud = abs(samples[i]) > loud ? abs(samples[i]) : loud;
    for (int i = 560; i < 10 * FRAME; i++) quiet = abs(samples[i]) > quiet ? samples[i] : quiet;
    VC_CHECK(loud > 7000);
    VC_CHECK_EQ(quiet, 0);
    vc_conceal_destroy(conceal);
}

VC_TEST(silence_ramps_down)
{
    vc_conceal *conceal = make(RATE);
    int16_t samples[FRAME];
    for (int i = 0; i < FRAME; i++) samples[i] = 20000;
    vc_conceal_decoded(conceal, samples, FRAME);
    vc_conceal_silence(conceal, samples, FRAME);
    VC_CHECK(samples[0] > 19000 && samples[0] < 20000);
    VC_CHECK(biggest_step(samples, FRAME) < 600);
    VC_CHECK_EQ(samples[40], 0);
    vc_conceal_destroy(conceal);
}

/* The same course of gaps and real audio, once whole and once in random pieces. */
VC_TEST(slicing_does_not_matter)
{
    enum { N = 200 * FRAME };
    static int16_t whole[N], pieces[N];
    uint32_t seed = 7;
    for (int i = 0; i < N; i++) whole[i] = pieces[i] = (int16_t)vc_test_random(&seed);
    vc_conceal *one = make(RATE), *other = make(RATE);
    for (int at = 0; at < N;) {
        uint32_t kind = vc_test_random(&seed) % 4;
        int n = (int)(vc_test_random(&seed) % 500) + 1;
        if (n > N - at) n = N - at;
        for (int side = 0; side < 2; side++) {
            vc_conceal *conceal = side ? other : one;
            int16_t *samples = side ? pieces : whole;
            for (int from = at, end = at + n; from < end;) {
                int part = side ? (int)(vc_test_random(&seed) % 60) + 1 : n;
                if (part > end - from) part = end - from;
                if (kind == 0) vc_conceal_fill(conceal, samples + from, (size_t)part);
                if (kind == 1) vc_conceal_silence(conceal, samples + from, (size_t)part);
                if (kind > 1) vc_conceal_decoded(conceal, samples + from, (size_t)part);
                from += part;
            }
        }
        at += n;
    }
    VC_CHECK(memcmp(whole, pieces, sizeof whole) == 0);
    vc_conceal_destroy(one);
    vc_conceal_destroy(other);
}

VC_TEST(reset_is_as_new)
{
    vc_conceal *used = make(RATE), *new = make(RATE);
    int16_t a[FRAME], b[FRAME];
    tone(a, RATE, 0, FRAME, 300.0);
    vc_conceal_decoded(used, a, FRAME);
    vc_conceal_fill(used, a, FRAME / 2);
    vc_conceal_reset(used);
    tone(a, RATE, 0, FRAME, 200.0);
    memcpy(b, a, sizeof a);
    vc_conceal_decoded(used, a, FRAME);
    vc_conceal_decoded(new, b, FRAME);
    VC_CHECK(memcmp(a, b, sizeof a) == 0);
    vc_conceal_fill(used, a, FRAME);
    vc_conceal_fill(new, b, FRAME);
    VC_CHECK(memcmp(a, b, sizeof a) == 0);
    vc_conceal_destroy(used);
    vc_conceal_destroy(new);
}

VC_TEST(shortening_removes_a_period)
{
    vc_conceal *conceal = make(RATE);
    size_t need = vc_conceal_shorten_samples(conceal);
    VC_CHECK_EQ(need, 280);
    int16_t in[600], out[FRAME + 100];
    tone(in, RATE, 0, 600, 200.0); /* a period is 40 samples */
    size_t removed = vc_conceal_shorten(conceal, in, out, 0);
    VC_CHECK(removed > 0 && removed % 40 == 0);
    memcpy(out + FRAME, in + FRAME + removed, 100 * sizeof(int16_t));
    VC_CHECK(biggest_step(out, FRAME + 100) <= biggest_step(in, 600) + 20);
    uint32_t seed = 5;
    for (size_t i = 0; i < need; i++) in[i] = (int16_t)vc_test_random(&seed);
    VC_CHECK_EQ(vc_conceal_shorten(conceal, in, out, 0), 0); /* loud noise: not without force */
    removed = vc_conceal_shorten(conceal, in, out, 1);
    VC_CHECK(removed >= 20 && removed <= 120);
    memset(in, 0, sizeof in);
    VC_CHECK_EQ(vc_conceal_shorten(conceal, in, out, 0), 120);
    vc_conceal_destroy(conceal);
}

VC_MAIN(VC_RUN(rejects_bad_rates) VC_RUN(real_audio_passes_unchanged)
            VC_RUN(a_tone_goes_on_over_a_gap) VC_RUN(a_long_gap_fades_to_nothing)
                VC_RUN(silence_ramps_down) VC_RUN(slicing_does_not_matter) VC_RUN(reset_is_as_new)
                    VC_RUN(shortening_removes_a_period))
