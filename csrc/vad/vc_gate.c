/* vc_gate: see vc_gate.h. Neutral probability and evidence were chosen with bench/gate.py: with as
 * many false alarms as three windows in a row the sum fires 37 ms earlier at the median. */
#include "vad/vc_gate.h"

#include <math.h>

static const float MAX_STEP = 2.0f;

vc_gate_config vc_gate_config_default(void)
{
    const vc_gate_settings settings = {.action = VC_GATE_PAUSE,
                                       .neutral_probability = 0.38f,
                                       .evidence = 2.0f,
                                       .min_snr_db = 3.0f,
                                       .max_echo_likelihood = 0.5f};
    vc_gate_config config = {.window_samples = 256, .rate_hz = 8000};
    for (int i = 0; i < VC_GATE_STATES; i++) config.states[i] = settings;
    config.states[VC_GATE_LISTENING].action = VC_GATE_NONE;
    return config;
}

static int is_sane(const vc_gate_settings *settings, int32_t rate_hz)
{
    return settings->action >= VC_GATE_NONE && settings->action <= VC_GATE_PAUSE &&
           settings->neutral_probability >= 0.01f && settings->neutral_probability <= 0.99f &&
           settings->evidence >= 0.1f && settings->evidence <= 20.0f &&
           settings->min_speech_samples >= 0 && settings->min_speech_samples <= rate_hz &&
           settings->min_snr_db >= 0.0f && settings->min_snr_db <= 60.0f &&
           settings->max_echo_likelihood >= 0.0f && settings->max_echo_likelihood <= 1.0f;
}

static float log_odds(float probability)
{
    const float edge = 1e-4f;
    float p = probability < edge ? edge : probability > 1.0f - edge ? 1.0f - edge : probability;
    return logf(p / (1.0f - p));
}

vc_status vc_gate_init(vc_gate *gate, const vc_gate_config *config)
{
    if (!gate || !config) return VC_E_NULL;
    if (config->rate_hz != 8000 && config->rate_hz != 16000) return VC_E_RATE;
    if (config->window_samples < 1 || config->window_samples > 4096) return VC_E_RANGE;
    for (int i = 0; i < VC_GATE_STATES; i++) {
        if (!is_sane(&config->states[i], config->rate_hz)) return VC_E_RANGE;
        gate->neutral[i] = log_odds(config->states[i].neutral_probability);
        gate->snr[i] = powf(10.0f, config->states[i].min_snr_db / 10.0f);
    }
    gate->config = *config;
    vc_gate_reset(gate);
    return VC_OK;
}

void vc_gate_reset(vc_gate *gate)
{
    gate->sum = 0.0f;
    gate->fired = 0;
    gate->start_sample = 0;
}

void vc_gate_rearm(vc_gate *gate)
{
    gate->fired = 0;
}

int vc_gate_is_echo(const vc_gate *gate, vc_gate_state state, float echo_likelihood)
{
    return echo_likelihood > gate->config.states[state].max_echo_likelihood;
}

vc_gate_action vc_gate_step(vc_gate *gate, vc_gate_state state, const vc_gate_window *window)
{
    const vc_gate_settings *settings = &gate->config.states[state];
    float step = log_odds(window->probability) - gate->neutral[state];
    if (!(window->snr >= gate->snr[state]) || vc_gate_is_echo(gate, state, window->echo_likelihood))
        step = -MAX_STEP;
    step = step > MAX_STEP ? MAX_STEP : step >= -MAX_STEP ? step : -MAX_STEP; /* NaN too */
    if (gate->sum <= 0.0f) gate->start_sample = window->start;
    gate->sum += step;
    if (gate->sum <= 0.0f) {
        gate->sum = 0.0f;
        return VC_GATE_NONE;
    }
    int64_t spoken = window->start + gate->config.window_samples - gate->start_sample;
    /* Long speech must not outlast its end by its length. */
    if (gate->sum > settings->evidence) gate->sum = settings->evidence;
    if (gate->fired || settings->action == VC_GATE_NONE || step <= 0.0f ||
        gate->sum < settings->evidence || spoken < settings->min_speech_samples)
        return VC_GATE_NONE;
    gate->fired = 1;
    return settings->action;
}
