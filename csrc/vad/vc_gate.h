/* vc_gate: decides, window by window, when the caller interrupts the agent.
 *
 * A cumulative sum test (Page 1954) on the VAD's log odds: each window adds
 * logit(probability) - logit(neutral_probability), at most 2 either way; the sum never falls below
 * zero, and the gate fires when it has reached the evidence that is asked for. So one window that
 * is surely speech is enough, several doubtful ones are too, and a single doubtful one is not.
 * Among tests with as few false alarms it is the one that is late least (Lorden 1971).
 *
 * Windows in which the likelihood of echo is too high, or that do not stand out of the background,
 * count as silence. Fires once in a stretch of speech: rearm it when the stretch has ended.
 *
 *     vc_gate gate;
 *     vc_gate_init(&gate, &config);
 *     if (vc_gate_step(&gate, VC_GATE_SPEAKING, &window) == VC_GATE_PAUSE) ...
 */
#ifndef VC_GATE_H
#define VC_GATE_H

#include "base/vc_base.h"

typedef enum vc_gate_action { VC_GATE_NONE, VC_GATE_DUCK, VC_GATE_PAUSE } vc_gate_action;

/* What the agent does. */
typedef enum vc_gate_state {
    VC_GATE_LISTENING,
    VC_GATE_THINKING,
    VC_GATE_SPEAKING,
    VC_GATE_STATES
} vc_gate_state;

typedef struct vc_gate_settings {
    vc_gate_action action;
    float neutral_probability;  /* 0.01..0.99: speaks neither for nor against a caller */
    float evidence;             /* 0.1..20, natural logarithm of odds */
    int32_t min_speech_samples; /* never before the stretch is so long; 0..rate */
    float min_snr_db;           /* 0..60 over the background */
    float max_echo_likelihood;  /* 0..1 */
} vc_gate_settings;

typedef struct vc_gate_config {
    vc_gate_settings states[VC_GATE_STATES];
    int32_t window_samples; /* 1..4096 */
    int32_t rate_hz;        /* 8000 or 16000 */
} vc_gate_config;

typedef struct vc_gate_window {
    float probability;     /* of speech, 0..1 */
    float echo_likelihood; /* 0..1 */
    float snr;             /* power over the background's: vc_background */
    int64_t start;         /* its first sample */
} vc_gate_window;

typedef struct vc_gate {
    vc_gate_config config;
    float neutral[VC_GATE_STATES]; /* log odds */
    float snr[VC_GATE_STATES];     /* power ratio */
    float sum;
    int fired;
    int64_t start_sample; /* first sample of the stretch that the sum is of */
} vc_gate;

/* Pauses while the agent speaks or thinks; does nothing while it listens. window_samples is 256. */
vc_gate_config vc_gate_config_default(void);
/* VC_E_RANGE, VC_E_RATE for settings outside their range. */
VC_CHECKED vc_status vc_gate_init(vc_gate *gate, const vc_gate_config *config);
VC_RT void vc_gate_reset(vc_gate *gate);
/* What is to be done now; the caller's speech began at gate->start_sample. */
VC_RT vc_gate_action vc_gate_step(vc_gate *gate, vc_gate_state state, const vc_gate_window *window);
/* The stretch of speech is over: the next one may fire again. */
VC_RT void vc_gate_rearm(vc_gate *gate);
/* Whether a window is taken for an echo in this state. */
VC_RT int vc_gate_is_echo(const vc_gate *gate, vc_gate_state state, float echo_likelihood);

#endif
