/* vc_pitch: finds known periods to a sample at every rate, in noise, at any level and with an
 * offset; has no opinion on silence. */
#include "dsp/vc_pitch.h"

#include "vc_test_voice.h"

enum { MOST = 48000 * 35 / 1000 };

static vc_pitch_match find(int rate_hz, const int16_t *samples)
{
    vc_pitch *pitch = NULL;
    VC_NEED(vc_pitch_create(&pitch, rate_hz, NULL) == VC_OK);
    vc_pitch_match match = vc_pitch_find(pitch, samples + vc_pitch_max_lag_samples(pitch),
                                         vc_pitch_max_window_samples(pitch));
    vc_pitch_destroy(pitch);
    return match;
}

VC_TEST(rejects_bad_arguments)
{
    vc_pitch *pitch;
    VC_CHECK_EQ(vc_pitch_create(NULL, 8000, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_pitch_create(&pitch, 7950, NULL), VC_E_RATE);
    VC_CHECK_EQ(vc_pitch_create(&pitch, 11025, NULL), VC_E_RATE);
    VC_CHECK_EQ(vc_pitch_create(&pitch, 48050, NULL), VC_E_RATE);
    vc_test_heap heap = {0, 0, 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    VC_CHECK_EQ(vc_pitch_create(&pitch, 8000, &allocator), VC_E_MEMORY);
    heap.fail_at = -1;
    VC_CHECK_OK(vc_pitch_create(&pitch, 8000, &allocator));
    VC_CHECK_EQ(vc_pitch_max_lag_samples(pitch), 120);
    VC_CHECK_EQ(vc_pitch_max_window_samples(pitch), 160);
    vc_pitch_destroy(pitch);
    VC_CHECK_EQ(heap.live, 0);
    vc_pitch_destroy(NULL);
}

/* Oracle: the period that the vowel was made with; the lag is it, or a multiple, to 0.6 samples. */
VC_TEST(finds_the_period_of_a_vowel)
{
    const int rates[] = {8000, 16000, 22050, 32000, 44100, 48000};
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++)
        for (int f0 = 70; f0 <= 390; f0 += 8)
            for (int offset = 0; offset <= 1000; offset += 1000)
                for (int level = 300; level <= 30000; level *= 10) {
                    int rate = rates[r], n = rate * 35 / 1000;
                    static int16_t samples[4 * MOST];
                    vc_test_vowel(samples, rate, 2 * n, f0, level);
                    for (int i = 0; i < 2 * n; i++) samples[i] = (int16_t)(samples[i] + offset);
                    vc_pitch_match match = find(rate, samples + n);
                    double periods = match.lag_samples * (double)f0 / rate;
                    double off = fabs(periods - round(periods)) * rate / f0;
                    VC_CHECK(off < (match.lag_samples < 1.5 * rate / f0 ? 0.6 : 1.1));
                    VC_CHECK(match.correlation > 0.85f);
                }
}

VC_TEST(silence_and_offset_have_no_pitch)
{
    static int16_t samples[MOST];
    VC_CHECK(find(8000, samples).correlation == 0.0f);
    for (int i = 0; i < MOST; i++) samples[i] = -32768;
    VC_CHECK(find(48000, samples).correlation == 0.0f);
    for (int i = 0; i < MOST; i++) samples[i] = 32767;
    VC_CHECK(find(48000, samples).correlation == 0.0f);
}

/* A search around twice the period finds that, and keeps to the limits. */
VC_TEST(searches_near_a_lag)
{
    static int16_t samples[MOST];
    vc_test_tone(samples, 8000, 0, 280, 8000.0 / 43.3, 8000.0);
    vc_pitch *pitch = NULL;
    VC_NEED(vc_pitch_create(&pitch, 8000, NULL) == VC_OK);
    (void)vc_pitch_find(pitch, samples + 120, 160);
    VC_CHECK_EQ(vc_pitch_find_near(pitch, 80, 95).lag_samples, 87);
    VC_CHECK_EQ(vc_pitch_find_near(pitch, 0, 50).lag_samples, 43);
    VC_CHECK_EQ(vc_pitch_find_near(pitch, 119, 500).lag_samples, 120);
    vc_pitch_destroy(pitch);
}

/* Full scale squares of the highest rate: the sums must not overflow (the sanitizer sees it). */
/* With a nearer limit the period is found if it is within, and what is before is not read. */
VC_TEST(searches_within_a_limit)
{
    const int rates[] = {8000, 16000, 44100, 48000};
    static int16_t samples[MOST];
    for (size_t r = 0; r < sizeof rates / sizeof *rates; r++) {
        int rate = rates[r];
        vc_pitch *pitch = NULL;
        VC_NEED(vc_pitch_create(&pitch, rate, NULL) == VC_OK);
        vc_test_vowel(samples, rate, rate * 35 / 1000, 150.0, 12000.0);
        for (int limit_ms = 7; limit_ms <= 15; limit_ms++) {
            size_t limit = (size_t)(rate * limit_ms / 1000), window = (size_t)rate / 125;
            int16_t *exact = malloc((limit + window) * sizeof *exact);
            VC_NEED(exact != NULL);
            memcpy(exact, samples + rate / 100, (limit + window) * sizeof *exact);
            vc_pitch_match match = vc_pitch_find_within(pitch, exact + limit, window, limit);
            VC_CHECK(match.lag_samples <= (int)limit);
            int periods = (match.lag_samples * 150 + rate / 2) / rate;
            VC_CHECK(periods >= 1 && abs(match.lag_samples - periods * rate / 150) <= 1);
            match = vc_pitch_find_near(pitch, 0, rate);
            VC_CHECK(match.lag_samples <= (int)limit);
            free(exact);
        }
        vc_pitch_destroy(pitch);
    }
}

VC_TEST(full_scale_fits)
{
    static int16_t samples[MOST];
    for (int i = 0; i < MOST; i++) samples[i] = i / 240 % 2 ? 32767 : -32768;
    vc_pitch_match match = find(48000, samples);
    VC_CHECK_EQ(match.lag_samples, 480);
    VC_CHECK(match.correlation > 0.99f);
}

VC_TEST(noise_is_unlike_itself)
{
    static int16_t samples[MOST];
    uint32_t seed = 3;
    int alike = 0;
    for (int round = 0; round < 200; round++) {
        vc_test_noise(samples, 280, 8000, &seed);
        vc_pitch_match match = find(8000, samples);
        VC_CHECK(match.lag_samples >= 20 && match.lag_samples <= 120);
        alike += match.correlation > 0.5f;
    }
    VC_CHECK(alike < 10);
}

VC_MAIN(VC_RUN(rejects_bad_arguments) VC_RUN(finds_the_period_of_a_vowel)
            VC_RUN(searches_near_a_lag) VC_RUN(searches_within_a_limit)
                VC_RUN(silence_and_offset_have_no_pitch) VC_RUN(full_scale_fits)
                    VC_RUN(noise_is_unlike_itself))
