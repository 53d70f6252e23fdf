/* vc_gate: the sum, echo, states. Oracle: tables worked by hand, and for random
 * rows a sum kept here in double precision. */
#include "vad/vc_gate.h"

#include <math.h>

#include "vc_test.h"

enum { W = 256 };

static vc_gate_action step(vc_gate *gate, vc_gate_state state, float probability, float snr,
                           float echo, int i)
{
    vc_gate_window window = {probability, echo, snr, (int64_t)i * W};
    return vc_gate_step(gate, state, &window);
}

static vc_gate fresh(void)
{
    vc_gate gate;
    vc_gate_config config = vc_gate_config_default();
    VC_CHECK_OK(vc_gate_init(&gate, &config));
    return gate;
}

VC_TEST(one_sure_window_or_several_doubtful_ones)
{
    vc_gate gate = fresh();
    VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.1f, 100.0f, 0.0f, 0), VC_GATE_NONE);
    VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.9f, 100.0f, 0.0f, 1), VC_GATE_PAUSE);
    VC_CHECK_EQ(gate.start_sample, W);
    /* Log odds of 0.6 over 0.38 are 0.895: the third makes two. */
    gate = fresh();
    for (int i = 0; i < 3; i++)
        VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.6f, 100.0f, 0.0f, i),
                    i < 2 ? VC_GATE_NONE : VC_GATE_PAUSE);
    VC_CHECK_EQ(gate.start_sample, 0);
    /* A single doubtful one between silence, again and again, is nothing. */
    gate = fresh();
    for (int i = 0; i < 100; i++)
        VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, i % 2 ? 0.6f : 0.1f, 100.0f, 0.0f, i),
                    VC_GATE_NONE);
}

VC_TEST(is_the_cumulative_sum_of_log_odds)
{
    uint32_t random = 7;
    for (int round = 0; round < 50; round++) {
        vc_gate gate = fresh();
        double sum = 0.0;
        int fired = 0;
        for (int i = 0; i < 40; i++) {
            random = random * 1664525u + 1013904223u;
            double p = (double)(random >> 8) / (1 << 24) * 0.6;
            double odds = log(p / (1.0 - p)) - log(0.38 / 0.62);
            odds = odds > 2.0 ? 2.0 : odds < -2.0 ? -2.0 : odds;
            sum = sum + odds > 0.0 ? sum + odds : 0.0;
            int fires = !fired && odds > 0.0 && sum >= 2.0;
            if (fabs(sum - 2.0) < 1e-3) break; /* too near to call in single precision */
            if (sum > 2.0) sum = 2.0;
            fired |= fires;
            VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, (float)p, 100.0f, 0.0f, i),
                        fires ? VC_GATE_PAUSE : VC_GATE_NONE);
        }
    }
}

VC_TEST(fires_once_until_it_is_rearmed)
{
    vc_gate gate = fresh();
    VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.99f, 100.0f, 0.0f, 0), VC_GATE_PAUSE);
    VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.99f, 100.0f, 0.0f, 1), VC_GATE_NONE);
    /* After 30 s of speech one window of silence is enough. */
    for (int i = 2; i < 1000; i++)
        VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.99f, 100.0f, 0.0f, i), VC_GATE_NONE);
    VC_CHECK_EQ(gate.sum, 2.0f);
    vc_gate_rearm(&gate);
    VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.01f, 100.0f, 0.0f, 1000), VC_GATE_NONE);
    VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.5f, 100.0f, 0.0f, 1001), VC_GATE_NONE);
    VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.99f, 100.0f, 0.0f, 1002), VC_GATE_PAUSE);
    VC_CHECK_EQ(gate.start_sample, 1001 * W);
}

VC_TEST(each_state_has_its_settings)
{
    vc_gate_config config = vc_gate_config_default();
    config.states[VC_GATE_THINKING].evidence = 5.0f;
    config.states[VC_GATE_SPEAKING].min_speech_samples = 4 * W;
    config.states[VC_GATE_SPEAKING].action = VC_GATE_DUCK;
    vc_gate gate;
    VC_CHECK_OK(vc_gate_init(&gate, &config));
    for (int i = 0; i < 10; i++)
        VC_CHECK_EQ(step(&gate, VC_GATE_LISTENING, 0.99f, 100.0f, 0.0f, i), VC_GATE_NONE);
    /* The agent begins while the caller speaks: it is told at once. */
    VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.99f, 100.0f, 0.0f, 10), VC_GATE_DUCK);
    vc_gate_reset(&gate);
    for (int i = 0; i < 3; i++)
        VC_CHECK_EQ(step(&gate, VC_GATE_THINKING, 0.99f, 100.0f, 0.0f, i),
                    i < 2 ? VC_GATE_NONE : VC_GATE_PAUSE);
    vc_gate_reset(&gate);
    for (int i = 0; i < 4; i++)
        VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.99f, 100.0f, 0.0f, i),
                    i < 3 ? VC_GATE_NONE : VC_GATE_DUCK);
}

VC_TEST(echo_and_background_are_no_speech)
{
    vc_gate gate = fresh();
    for (int i = 0; i < 20; i++)
        VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.99f, 100.0f, 0.51f, i), VC_GATE_NONE);
    VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.99f, 100.0f, 0.5f, 20), VC_GATE_PAUSE);
    VC_CHECK(vc_gate_is_echo(&gate, VC_GATE_SPEAKING, 0.51f));
    VC_CHECK(!vc_gate_is_echo(&gate, VC_GATE_SPEAKING, 0.5f));

    gate = fresh();
    for (int i = 0; i < 20; i++)
        VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.99f, 1.99f, 0.0f, i), VC_GATE_NONE);
    VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.99f, 2.0f, 0.0f, 20), VC_GATE_PAUSE);
    gate = fresh();
    VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, 0.99f, INFINITY, 0.0f, 0), VC_GATE_PAUSE);
}

VC_TEST(survives_what_is_no_number)
{
    vc_gate gate = fresh();
    VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, NAN, NAN, NAN, 0), VC_GATE_NONE);
    VC_CHECK_EQ(step(&gate, VC_GATE_SPEAKING, INFINITY, INFINITY, -1.0f, 1), VC_GATE_PAUSE);
    vc_gate_reset(&gate);
    vc_gate other = fresh();
    VC_CHECK_EQ(gate.sum, other.sum);
    VC_CHECK_EQ(gate.fired, other.fired);
}

VC_TEST(rejects_bad_settings)
{
    vc_gate gate;
    const vc_gate_config good = vc_gate_config_default();
    vc_gate_config bad = good;
    VC_CHECK_EQ(vc_gate_init(&gate, NULL), VC_E_NULL);
    bad.rate_hz = 44100;
    VC_CHECK_EQ(vc_gate_init(&gate, &bad), VC_E_RATE);
    bad = good;
    bad.window_samples = 0;
    VC_CHECK_EQ(vc_gate_init(&gate, &bad), VC_E_RANGE);
    bad = good;
    bad.states[0].neutral_probability = NAN;
    VC_CHECK_EQ(vc_gate_init(&gate, &bad), VC_E_RANGE);
    bad = good;
    bad.states[1].evidence = 0.0f;
    VC_CHECK_EQ(vc_gate_init(&gate, &bad), VC_E_RANGE);
    bad = good;
    bad.states[2].min_speech_samples = 8001;
    VC_CHECK_EQ(vc_gate_init(&gate, &bad), VC_E_RANGE);
    bad = good;
    bad.states[2].min_snr_db = -1.0f;
    VC_CHECK_EQ(vc_gate_init(&gate, &bad), VC_E_RANGE);
    bad = good;
    bad.states[2].max_echo_likelihood = 1.1f;
    VC_CHECK_EQ(vc_gate_init(&gate, &bad), VC_E_RANGE);
    bad = good;
    bad.states[0].action = (vc_gate_action)3;
    VC_CHECK_EQ(vc_gate_init(&gate, &bad), VC_E_RANGE);
}

VC_MAIN(VC_RUN(one_sure_window_or_several_doubtful_ones) VC_RUN(is_the_cumulative_sum_of_log_odds)
            VC_RUN(fires_once_until_it_is_rearmed) VC_RUN(each_state_has_its_settings)
                VC_RUN(echo_and_background_are_no_speech) VC_RUN(survives_what_is_no_number)
                    VC_RUN(rejects_bad_settings))
