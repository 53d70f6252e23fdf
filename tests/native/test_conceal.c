/* vc_conceal: real audio passes unchanged, a voice goes on over a gap without a click and fades
 * into the background, the slicing of the calls does not matter, alignment joins in phase,
 * a gap whose end is known leads
 * from one side to the other. Quality on speech: tests/unit/test_conceal.py. */
#include "net/vc_conceal.h"

#include "vc_test_voice.h"

enum { RATE = 8000, FRAME = 160 };

static vc_conceal *make(int rate_hz)
{
    vc_conceal *conceal = NULL;
    VC_NEED(vc_conceal_create(&conceal, rate_hz, NULL) == VC_OK);
    return conceal;
}

static void tone(int16_t *samples, int rate_hz, int start, int n, double hz)
{
    vc_test_tone(samples, rate_hz, start, n, hz, 8000.0);
}

VC_TEST(rejects_bad_rates)
{
    vc_conceal *conceal;
    VC_CHECK_EQ(vc_conceal_create(&conceal, 7950, NULL), VC_E_RATE);
    VC_CHECK_EQ(vc_conceal_create(&conceal, 11025, NULL), VC_E_RATE);
    VC_CHECK_EQ(vc_conceal_create(&conceal, 48050, NULL), VC_E_RATE);
    VC_CHECK_EQ(vc_conceal_create(NULL, 8000, NULL), VC_E_NULL);
    for (int fail = 0; fail < 3; fail++) {
        vc_test_heap heap = {0, 0, fail};
        vc_allocator allocator = vc_test_allocator(&heap);
        VC_CHECK_EQ(vc_conceal_create(&conceal, 8000, &allocator), VC_E_MEMORY);
        VC_CHECK_EQ(heap.live, 0);
    }
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
        int own = vc_test_biggest_step(truth, 12 * frame);
        VC_CHECK(vc_test_biggest_step(heard, 12 * frame) <= own + own / 2);
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
    for (int i = 720; i < 10 * FRAME; i++)
        quiet = abs(samples[i]) > quiet ? abs(samples[i]) : quiet;
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
    VC_CHECK(vc_test_biggest_step(samples, FRAME) < 600);
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

/* Gaps of 20 ms at every place of two periods, at every rate: no step at the start of the gap, in
 * it or at its end above the vowel's biggest. */
VC_TEST(a_vowel_has_no_clicks)
{
    const int rates[] = {8000, 16000, 44100, 48000};
    static int16_t truth[12 * 960], heard[12 * 960];
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
        for (double f0 = 90.0; f0 < 300.0; f0 *= 1.3) {
            int rate = rates[r], frame = rate / 50, n = 12 * frame, period = (int)(rate / f0);
            vc_test_vowel(truth, rate, n, f0, 12000.0);
            int own = vc_test_biggest_step(truth + 4 * frame, 8 * frame);
            for (int shift = 0; shift < 2 * period; shift += 1 + rate / 16000) {
                int start = 6 * frame + shift, end = start + frame;
                memcpy(heard, truth, sizeof truth);
                vc_conceal *conceal = make(rate);
                vc_conceal_decoded(conceal, heard, (size_t)start);
                vc_conceal_fill(conceal, heard + start, (size_t)frame);
                vc_conceal_decoded(conceal, heard + end, (size_t)(n - end));
                VC_CHECK(abs(heard[start] - heard[start - 1]) <= own);
                VC_CHECK(vc_test_biggest_step(heard + end - 1, rate / 250) <= own);
                VC_CHECK(vc_test_biggest_step(heard + start - 1, frame) <= 1.5 * own);
                vc_conceal_destroy(conceal);
            }
        }
}

/* Soft noise between words is learned; a gap of a second ends in noise of that level within 2 dB,
 * and a loud vowel, a tone and loud noise are not taken for background. */
VC_TEST(a_long_gap_ends_in_the_background)
{
    static int16_t samples[8000], vowel[4000];
    uint32_t seed = 4;
    vc_conceal *conceal = make(RATE);
    vc_test_vowel(vowel, RATE, 4000, 120.0, 10000.0);
    for (int round = 0; round < 4; round++) {
        vc_test_noise(samples, 4000, 80, &seed);
        vc_conceal_decoded(conceal, samples, 4000);
        vc_test_noise(samples, 4000, 80, &seed);
        for (int i = 0; i < 4000; i++) samples[i] = (int16_t)(samples[i] + vowel[i]);
        vc_conceal_decoded(conceal, samples, 4000);
    }
    double truth = 80.0 * 81.0 / 3.0;
    vc_conceal_fill(conceal, samples, 8000);
    double sum = 0.0;
    for (int i = 1000; i < 8000; i++) sum += (double)samples[i] * samples[i] / 7000.0;
    VC_CHECK(fabs(10.0 * log10(sum / truth)) < 2.0);
    vc_conceal_reset(conceal);
    vc_conceal_decoded(conceal, vowel, 4000);
    vc_test_tone(samples, RATE, 0, 8000, 440.0, 200.0);
    vc_conceal_decoded(conceal, samples, 8000);
    vc_test_noise(samples, 8000, 2000, &seed);
    vc_conceal_decoded(conceal, samples, 8000);
    vc_conceal_fill(conceal, samples, 8000);
    sum = 0.0;
    for (int i = 1000; i < 8000; i++) sum += (double)samples[i] * samples[i] / 7000.0;
    VC_CHECK(sum < 400.0);
    vc_conceal_destroy(conceal);
}

VC_TEST(full_scale_and_offset_stay_in_range)
{
    static int16_t samples[8000];
    for (int i = 0; i < 8000; i++) samples[i] = i / 37 % 2 ? 32767 : -32768;
    vc_conceal *conceal = make(RATE);
    vc_conceal_decoded(conceal, samples, 4000);
    vc_conceal_fill(conceal, samples, 40);
    int agree = 0;
    for (int i = 0; i < 40; i++) agree += (samples[i] > 0) == ((4000 + i) / 37 % 2);
    VC_CHECK(agree >= 38);
    vc_conceal_reset(conceal);
    for (int i = 0; i < 8000; i++) samples[i] = 5000;
    vc_conceal_decoded(conceal, samples, 8000);
    vc_conceal_fill(conceal, samples, 8000);
    VC_CHECK(abs(samples[0] - 5000) < 100);
    VC_CHECK(vc_test_biggest_step(samples, 8000) < 400);
    VC_CHECK_EQ(samples[7999], 0);
    vc_conceal_destroy(conceal);
}

/* -- between two sides ------------------------------------------------------------------------ */

/* The vowel as in a_vowel_has_no_clicks, gaps of 5 to 80 ms: what follows comes out as it was, no
 * step at a seam is above the vowel's biggest, none within above 1.5 times of it. */
VC_TEST(between_two_sides_has_no_clicks)
{
    const int rates[] = {8000, 16000, 44100, 48000}, gaps_ms[] = {5, 12, 20, 40, 80};
    static int16_t truth[14 * 960], heard[14 * 960];
    for (size_t k = 0; k < 20; k++)
        for (double f0 = 90.0; f0 < 300.0; f0 *= 1.5) {
            int rate = rates[k % 4], frame = rate / 50, n = 14 * frame, period = (int)(rate / f0);
            int gap = rate * gaps_ms[k / 4] / 1000;
            vc_test_vowel(truth, rate, n, f0, 12000.0);
            int own = vc_test_biggest_step(truth + 4 * frame, 10 * frame);
            for (int shift = 0; shift < period; shift += 3 + rate / 8000) {
                int start = 6 * frame + shift, end = start + gap;
                memcpy(heard, truth, sizeof truth);
                vc_conceal *conceal = make(rate);
                vc_conceal_decoded(conceal, heard, (size_t)start);
                VC_CHECK(vc_conceal_wants_next(conceal, (size_t)gap));
                vc_conceal_between(conceal, (size_t)gap, truth + end, (size_t)frame);
                VC_CHECK(!vc_conceal_wants_next(conceal, (size_t)gap));
                vc_conceal_fill(conceal, heard + start, (size_t)gap);
                vc_conceal_decoded(conceal, heard + end, (size_t)(n - end));
                VC_CHECK(memcmp(heard + end, truth + end, (size_t)(n - end) * 2) == 0);
                VC_CHECK(abs(heard[start] - heard[start - 1]) <= own + 1);
                VC_CHECK(abs(heard[end] - heard[end - 1]) <= own + 1);
                VC_CHECK(vc_test_biggest_step(heard + start - 1, gap + 2) <= 1.5 * own);
                vc_conceal_destroy(conceal);
            }
        }
}

/* A tone that glides by 10 % a gap: the error against the truth is less than half (in power) of
 * what one side alone leaves. */
VC_TEST(between_two_sides_follows_a_glide)
{
    enum { N = 16 * FRAME, START = 8 * FRAME };
    int16_t truth[N], heard[N];
    double phase = 0.0, error[2] = {0.0, 0.0};
    for (int i = 0; i < N; i++) {
        phase += 2.0 * VC_TEST_PI * 200.0 * pow(1.1, (double)(i - START) / FRAME) / RATE;
        truth[i] = (int16_t)lrint(8000.0 * sin(phase) + 3000.0 * sin(2.0 * phase));
    }
    for (int both = 0; both < 2; both++)
        for (int shift = 0; shift < 40; shift++) {
            int start = START + shift, end = start + FRAME;
            memcpy(heard, truth, sizeof truth);
            vc_conceal *conceal = make(RATE);
            vc_conceal_decoded(conceal, heard, (size_t)start);
            if (both) vc_conceal_between(conceal, FRAME, truth + end, FRAME);
            vc_conceal_fill(conceal, heard + start, FRAME);
            vc_conceal_decoded(conceal, heard + end, FRAME);
            for (int i = start; i < end + FRAME; i++) {
                double off = heard[i] - truth[i];
                error[both] += off * off;
            }
            vc_conceal_destroy(conceal);
        }
    VC_CHECK(error[1] < 0.5 * error[0]);
}

/* Random gaps, some of them with what follows known: whole, and in pieces that show it again. */
VC_TEST(slicing_between_two_sides_does_not_matter)
{
    enum { N = 300 * FRAME };
    static int16_t sent[N + 400], whole[N], pieces[N];
    uint32_t seed = 11;
    vc_test_vowel(sent, RATE, N + 400, 130.0, 15000.0);
    memcpy(whole, sent, sizeof whole);
    memcpy(pieces, sent, sizeof pieces);
    vc_conceal *one = make(RATE), *other = make(RATE);
    for (int at = 0, kind = 0; at < N; kind = (int)(vc_test_random(&seed) % 4)) {
        int n = (int)(vc_test_random(&seed) % 800) + 1;
        size_t known = vc_test_random(&seed) % 400;
        if (n > N - at) n = N - at;
        for (int side = 0; side < 2; side++) {
            vc_conceal *conceal = side ? other : one;
            int16_t *samples = side ? pieces : whole;
            if (kind == 1) vc_conceal_between(conceal, (size_t)n, sent + at + n, known);
            for (int from = at, end = at + n; from < end;) {
                int part = side ? (int)(vc_test_random(&seed) % 60) + 1 : n;
                if (part > end - from) part = end - from;
                if (kind <= 1) vc_conceal_fill(conceal, samples + from, (size_t)part);
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

/* Too little of what follows, a gap too short or too long, a gap that was given: no difference. */
VC_TEST(between_is_ignored_where_it_cannot_help)
{
    static int16_t vowel[8000], a[2000], b[2000];
    vc_test_vowel(vowel, RATE, 8000, 120.0, 9000.0);
    const size_t gap[] = {160, 160, 39, 641}, known[] = {119, 0, 160, 160};
    for (int k = 0; k < 4; k++) {
        vc_conceal *asked = make(RATE), *plain = make(RATE);
        memcpy(a, vowel, sizeof a);
        vc_conceal_decoded(asked, a, 2000);
        vc_conceal_decoded(plain, a, 2000);
        vc_conceal_between(asked, gap[k], vowel + 3000, known[k]);
        vc_conceal_fill(asked, a, 700);
        vc_conceal_fill(plain, b, 700);
        VC_CHECK(memcmp(a, b, 700 * sizeof *a) == 0);
        vc_conceal_destroy(asked);
        vc_conceal_destroy(plain);
    }
}

/* Silence on both sides stays silent; the rails saturate; reset forgets a gap half given; real
 * audio or silence that comes before the end of the gap joins without a click. */
VC_TEST(between_silence_rails_reset_and_early_ends)
{
    static int16_t samples[4 * FRAME], next[FRAME], other[4 * FRAME];
    vc_conceal *conceal = make(RATE), *new = make(RATE);
    memset(samples, 0, sizeof samples);
    memset(next, 0, sizeof next);
    vc_conceal_decoded(conceal, samples, 4 * FRAME);
    vc_conceal_between(conceal, FRAME, next, FRAME);
    vc_conceal_fill(conceal, samples, FRAME);
    for (int i = 0; i < FRAME; i++) VC_CHECK_EQ(samples[i], 0);

    for (int i = 0; i < 4 * FRAME; i++) samples[i] = i / 37 % 2 ? 32767 : -32768;
    memcpy(next, samples, sizeof next);
    vc_conceal_decoded(conceal, samples, 4 * FRAME);
    vc_conceal_between(conceal, 4 * FRAME, next, FRAME);
    vc_conceal_fill(conceal, samples, 4 * FRAME);
    int highest = 0;
    for (int i = 0; i < 4 * FRAME; i++) highest = samples[i] > highest ? samples[i] : highest;
    VC_CHECK(highest > 25000); /* went on, and did not wrap: */
    VC_CHECK(abs(samples[0] - -32768) < 9000 || abs(samples[0] - 32767) < 9000);

    vc_conceal_between(conceal, FRAME, next, FRAME);
    vc_conceal_fill(conceal, samples, 50);
    vc_conceal_reset(conceal);
    tone(samples, RATE, 0, 2 * FRAME, 200.0);
    memcpy(other, samples, sizeof other);
    for (int side = 0; side < 2; side++) {
        int16_t *here = side ? other : samples;
        vc_conceal *one = side ? new : conceal;
        vc_conceal_decoded(one, here, 2 * FRAME);
        vc_conceal_between(one, 2 * FRAME, here + 10, FRAME);
        vc_conceal_fill(one, here + 2 * FRAME, FRAME);
    }
    VC_CHECK(memcmp(samples, other, sizeof other) == 0);

    tone(samples + 3 * FRAME, RATE, 3 * FRAME, FRAME, 200.0);
    vc_conceal_decoded(conceal, samples + 3 * FRAME, FRAME);
    VC_CHECK(vc_test_biggest_step(samples, 4 * FRAME) < 1.5 * 1257); /* 2 pi 200 Hz 8000 / rate */
    vc_conceal_silence(new, other + 3 * FRAME, FRAME);
    VC_CHECK(vc_test_biggest_step(other, 4 * FRAME) < 1.5 * 1257);
    VC_CHECK_EQ(other[4 * FRAME - 1], 0);
    vc_conceal_destroy(conceal);
    vc_conceal_destroy(new);
}

VC_MAIN(VC_RUN(rejects_bad_rates) VC_RUN(real_audio_passes_unchanged)
            VC_RUN(a_tone_goes_on_over_a_gap) VC_RUN(a_long_gap_fades_to_nothing)
                VC_RUN(silence_ramps_down) VC_RUN(slicing_does_not_matter) VC_RUN(reset_is_as_new)
                    VC_RUN(a_vowel_has_no_clicks) VC_RUN(a_long_gap_ends_in_the_background)
                        VC_RUN(full_scale_and_offset_stay_in_range)
                            VC_RUN(between_two_sides_has_no_clicks)
                                VC_RUN(between_two_sides_follows_a_glide)
                                    VC_RUN(slicing_between_two_sides_does_not_matter)
                                        VC_RUN(between_is_ignored_where_it_cannot_help)
                                            VC_RUN(between_silence_rails_reset_and_early_ends))
