/* vc_lpc: finds the filter that made a signal, residual and synthesis undo each other, tones and
 * full scale stay stable, silence has no prediction. */
#include "dsp/vc_lpc.h"

#include "vc_test_voice.h"

enum { N = 4000 };

static void analyze(const int16_t *x, vc_lpc *lpc)
{
    static float windowed[N];
    for (int i = 0; i < N; i++)
        windowed[i] = (float)(x[i] * (0.5 - 0.5 * cos(2.0 * VC_TEST_PI * (i + 0.5) / N)));
    vc_lpc_analyze(windowed, N, lpc);
}

/* White noise through 1 / (1 - 1.6 z^-1 + 0.81 z^-2): the first two taps within 0.05 (0.995 per tap
 * is widened on purpose), the others small, the gain that of the filter within 1 dB. */
VC_TEST(finds_a_known_filter)
{
    static int16_t x[N];
    uint32_t seed = 1;
    double y1 = 0.0, y2 = 0.0;
    for (int i = 0; i < N; i++) {
        int16_t e;
        vc_test_noise(&e, 1, 1000, &seed);
        double y = e + 1.6 * y1 - 0.81 * y2;
        y2 = y1;
        y1 = y;
        x[i] = (int16_t)lrint(y);
    }
    vc_lpc lpc;
    analyze(x, &lpc);
    VC_CHECK(fabs(lpc.a[0] - 1.6) < 0.05);
    VC_CHECK(fabs(lpc.a[1] + 0.81) < 0.08);
    for (int k = 2; k < VC_LPC_ORDER; k++) VC_CHECK(fabs(lpc.a[k]) < 0.1);
    double k1 = 1.6 / 1.81, gain = 1.0 / ((1.0 - k1 * k1) * (1.0 - 0.81 * 0.81));
    VC_CHECK(fabs(10.0 * log10(lpc.gain / gain)) < 1.0);
}

VC_TEST(synthesis_undoes_the_residual)
{
    static int16_t x[N];
    static float y[N], given[N];
    vc_test_vowel(x, 8000, N, 130.0, 20000.0);
    vc_lpc lpc;
    analyze(x, &lpc);
    VC_CHECK(lpc.gain > 4.0f);
    for (int i = 0; i < N; i++) y[i] = given[i] = (float)x[i];
    vc_lpc_residual(&lpc, given + VC_LPC_ORDER, N - VC_LPC_ORDER, y + VC_LPC_ORDER);
    double residual = 0.0, signal = 0.0;
    for (int i = VC_LPC_ORDER; i < N; i++) {
        residual += (double)y[i] * y[i];
        signal += (double)x[i] * x[i];
    }
    VC_CHECK(residual * 4.0 < signal);
    vc_lpc_synthesize(&lpc, y + VC_LPC_ORDER, N - VC_LPC_ORDER);
    for (int i = 0; i < N; i++) VC_CHECK(fabs(y[i] - (double)x[i]) < 1.0);
}

/* From any signal, the filter that is left to itself dies down. */
VC_TEST(the_filter_is_stable)
{
    static int16_t x[N];
    static float y[48000];
    uint32_t seed = 2;
    for (int kind = 0; kind < 5; kind++) {
        if (kind == 0) vc_test_tone(x, 8000, 0, N, 440.0, 32767.0);
        if (kind == 1) vc_test_tone(x, 48000, 0, N, 60.0, 32767.0);
        if (kind == 2) vc_test_noise(x, N, 32767, &seed);
        for (int i = 0; i < N; i++) {
            if (kind == 3) x[i] = i / 40 % 2 ? 32767 : -32768;
            if (kind == 4) x[i] = 32767;
        }
        vc_lpc lpc;
        analyze(x, &lpc);
        memset(y, 0, sizeof y);
        for (int i = 0; i < VC_LPC_ORDER; i++) y[i] = (float)x[i];
        vc_lpc_synthesize(&lpc, y + VC_LPC_ORDER, 48000 - VC_LPC_ORDER);
        for (int i = 40000; i < 48000; i++) VC_CHECK(fabsf(y[i]) < 100.0f);
    }
}

VC_TEST(silence_predicts_nothing)
{
    static int16_t x[N];
    vc_lpc lpc;
    analyze(x, &lpc);
    VC_CHECK(lpc.gain == 1.0f);
    for (int k = 0; k < VC_LPC_ORDER; k++) VC_CHECK(lpc.a[k] == 0.0f);
}

/* Against a sum in double. */
VC_TEST(dot_of_any_length)
{
    float a[40], b[40];
    for (int i = 0; i < 40; i++) {
        a[i] = (float)(i - 7);
        b[i] = (float)(3 * i % 11);
    }
    for (int n = 0; n <= 40; n++) {
        double sum = 0.0;
        for (int i = 0; i < n; i++) sum += (double)a[i] * b[i];
        VC_CHECK(vc_lpc_dot(a, b, (size_t)n) == (float)sum);
    }
}

VC_MAIN(VC_RUN(finds_a_known_filter) VC_RUN(synthesis_undoes_the_residual)
            VC_RUN(the_filter_is_stable) VC_RUN(silence_predicts_nothing) VC_RUN(dot_of_any_length))
