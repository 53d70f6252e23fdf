/* vc_call_echo: see vc_call_echo.h.
 *
 * Margin. With the offset of the earliest packets, received audio that has just come is paired with
 * what was sent a tick before the newest. Its echo was sent earlier still: it has been in two
 * packets and a jitter buffer. So the echo never comes before its reference.
 *
 * Moving the offset makes the reference that vc_aec keeps wrong for as long as the echo's delay;
 * in a pause of the agent there is nothing in it, so what can wait, waits for one.
 *
 * Cold. Before the first echo of a call is found and learnt nobody can tell it from a caller. So
 * what is heard while the agent sounds is taken for an echo: for COLD_MS, in which one would be
 * found, for UNSURE_MS if there is a sign of one, and if it is found, until it has been 10 dB
 * softer for LEARNT_MS, or for LEARN_MS of the agent's voice. Not if the agent has spoken for
 * VOICED_MS, and begun longer ago than any echo takes, with nothing to be heard: then there is
 * none. */
#include "engine/vc_call_echo.h"

#include <string.h>

#include "aec/vc_aec.h"

enum { MAX_BLOCK = 160, LIKELIHOODS = 128, RING_MS = 1024 };
enum { SILENCE = 8 }; /* that A-law makes of silence */
enum { MARGIN_MS = 20, SLACK_MS = 20, STEP_MS = 10, TOLD_MS = 80 };
enum { PERIOD_MS = 2000, PAUSE_MS = 500, RUN_MS = 1000 };
enum { VOICED_MS = 600, LATEST_MS = 1100 };
enum { COLD_MS = 600, UNSURE_MS = 2000, LEARN_MS = 4000, LEARNT_MS = 1000 };

static const float POWER_KEEP = 0.9f; /* a block: 0.1 s */
static const float LEARNT = 0.1f;     /* output over input power: 10 dB */
static const float CHANCE = 8.0f;     /* confidence in a delay */
static const float VOICE = 3e-5f;     /* of the agent: -45 dBFS */
static const float HEARD = 1e-5f;     /* power of a block that is not silence: -50 dBFS */

struct vc_call_echo {
    vc_call_echo_config config;
    vc_aec *aec;
    size_t block;
    int16_t *ring; /* what was sent; sample s is at s & mask */
    size_t mask;
    int64_t sent_end;
    int64_t near_end; /* received so far, the remainder included */
    int anchored;
    int64_t offset;
    int64_t least_spare, period_begun; /* since then; what was sent beyond what was needed */
    int64_t quiet;                     /* samples of silence in a row that vc_aec was given */
    int64_t active, active_found; /* samples with something sent: in all, since an echo was found */
    float near_power, in_power, out_power; /* of the last block; averages of before and behind */
    int warm;                              /* once and for all */
    int64_t soft;  /* samples in which little of an echo was left, until there were enough */
    int64_t heard; /* samples with something sent and something received, before that */
    int64_t voiced, since_voiced; /* samples of the agent's voice; since the first of them */
    size_t fill;
    int16_t remainder[MAX_BLOCK];
    float likelihood[LIKELIHOODS];
    uint64_t blocks, run_blocks, moves;
};

static int64_t of_ms(const vc_call_echo *echo, int ms)
{
    return (int64_t)echo->config.rate_hz / 1000 * ms;
}

vc_status vc_call_echo_create(vc_call_echo **out, const vc_call_echo_config *config)
{
    if (!out || !config) return VC_E_NULL;
    *out = NULL;
    if (config->rate_hz != 8000 && config->rate_hz != 16000) return VC_E_RATE;
    if (config->max_jitter_ms < 0) return VC_E_RANGE;
    size_t room = (size_t)config->rate_hz / 1000 * RING_MS;
    vc_call_echo *echo =
        vc_allocate(config->allocator, sizeof(vc_call_echo) + room * sizeof(int16_t));
    if (!echo) return VC_E_MEMORY;
    echo->config = *config;
    echo->block = (size_t)config->rate_hz * VC_AEC_BLOCK_MS / 1000;
    echo->ring = (int16_t *)(echo + 1);
    echo->mask = room - 1; /* 8192 or 16384 */
    vc_aec_config aec = vc_aec_config_default();
    aec.rate_hz = config->rate_hz;
    aec.tail_ms = config->tail_ms;
    aec.allocator = config->allocator;
    vc_status status = vc_aec_create(&echo->aec, &aec);
    if (status != VC_OK) {
        vc_release(config->allocator, echo);
        return status;
    }
    vc_call_echo_reset(echo);
    *out = echo;
    return VC_OK;
}

void vc_call_echo_destroy(vc_call_echo *echo)
{
    if (!echo) return;
    vc_aec_destroy(echo->aec);
    vc_release(echo->config.allocator, echo);
}

void vc_call_echo_reset(vc_call_echo *echo)
{
    vc_aec_reset(echo->aec);
    memset(echo->ring, 0, (echo->mask + 1) * sizeof(int16_t));
    memset(echo->likelihood, 0, sizeof echo->likelihood);
    echo->sent_end = echo->near_end = echo->offset = 0;
    echo->period_begun = echo->least_spare = echo->quiet = 0;
    echo->blocks = echo->run_blocks = echo->moves = 0;
    echo->anchored = echo->warm = 0;
    echo->active = echo->active_found = echo->heard = echo->soft = 0;
    echo->voiced = echo->since_voiced = 0;
    echo->near_power = echo->in_power = echo->out_power = 0.0f;
    echo->fill = 0;
}

size_t vc_call_echo_bytes(const vc_call_echo *echo)
{
    return sizeof *echo + (echo->mask + 1) * sizeof(int16_t) + vc_aec_bytes(echo->aec);
}

void vc_call_echo_sent(vc_call_echo *echo, const int16_t *samples, size_t n)
{
    const size_t at = (size_t)echo->sent_end & echo->mask, room = echo->mask + 1 - at;
    const size_t head = n < room ? n : room;
    if (samples) {
        memcpy(echo->ring + at, samples, head * sizeof(int16_t));
        memcpy(echo->ring, samples + head, (n - head) * sizeof(int16_t));
    } else {
        memset(echo->ring + at, 0, head * sizeof(int16_t));
        memset(echo->ring, 0, (n - head) * sizeof(int16_t));
    }
    echo->sent_end += (int64_t)n;
}

/* 1 if there is more than silence in it. */
static int fetch_sent(const vc_call_echo *echo, int64_t first, int16_t *far)
{
    const size_t n = echo->block, at = (size_t)first & echo->mask, room = echo->mask + 1 - at;
    const size_t head = n < room ? n : room;
    int64_t oldest = echo->sent_end - (int64_t)echo->mask - 1;
    if (oldest < 0) oldest = 0;
    memcpy(far, echo->ring + at, head * sizeof(int16_t));
    memcpy(far + head, echo->ring, (n - head) * sizeof(int16_t));
    for (size_t i = 0; i < n && first + (int64_t)i < oldest; i++) far[i] = 0;
    for (size_t i = n; i > 0 && first + (int64_t)i > echo->sent_end; i--) far[i - 1] = 0;
    int sounds = 0;
    for (size_t i = 0; i < n; i++) sounds |= far[i] > SILENCE || far[i] < -SILENCE;
    return sounds;
}

static void begin_period(vc_call_echo *echo)
{
    echo->period_begun = echo->near_end;
    echo->least_spare = INT64_MAX;
}

/* told: the pairing changes. Not told: the receive timeline did, and the pairing is as it was. */
static void move(vc_call_echo *echo, int64_t by, int told)
{
    echo->offset += by;
    echo->moves++;
    if (told) vc_aec_delay_changed(echo->aec, (int)by);
    begin_period(echo);
}

/* Sees to it that the sent samples for all received so far are there. */
static void settle(vc_call_echo *echo)
{
    const int64_t margin = of_ms(echo, MARGIN_MS), step = of_ms(echo, STEP_MS);
    int64_t spare = echo->sent_end - echo->near_end - echo->offset;
    if (!echo->anchored) {
        echo->anchored = 1;
        move(echo, spare - margin, 0);
        return;
    }
    if (spare < 0) {
        int told = -spare <= of_ms(echo, echo->config.max_jitter_ms);
        move(echo, told ? (spare > -step ? -step : spare) : spare - margin, told);
        return;
    }
    if (spare < echo->least_spare) echo->least_spare = spare;
    if (echo->near_end - echo->period_begun < of_ms(echo, PERIOD_MS)) return;
    int64_t over = echo->least_spare - margin;
    if (over < -step || over > of_ms(echo, SLACK_MS)) {
        if (over > of_ms(echo, TOLD_MS)) {
            move(echo, over, 0); /* so much time was lost on the receive timeline */
            return;
        }
        if (echo->quiet < of_ms(echo, PAUSE_MS)) return; /* the period goes on */
        move(echo, over, 1);
        return;
    }
    begin_period(echo);
}

static float power_of(const int16_t *samples, size_t n)
{
    float sum = 0.0f;
    for (size_t i = 0; i < n; i++) {
        float x = (float)samples[i] / 32768.0f;
        sum += x * x;
    }
    return sum / (float)n;
}

/* Counts towards the end of is_cold. sounds: something was sent; run: so it was of late. */
static void learn(vc_call_echo *echo, const int16_t *far, int sounds, int run, const int16_t *out)
{
    const int64_t block = (int64_t)echo->block;
    float before = echo->near_power; /* the output is a block late */
    echo->near_power = power_of(echo->remainder, echo->block);
    if (!run) return;
    if (echo->voiced > 0) echo->since_voiced += block;
    if (power_of(far, echo->block) > VOICE) echo->voiced += block;
    echo->in_power = POWER_KEEP * echo->in_power + (1.0f - POWER_KEEP) * before;
    echo->out_power =
        POWER_KEEP * echo->out_power + (1.0f - POWER_KEEP) * power_of(out, echo->block);
    if (echo->active_found > 0 || vc_aec_delay_samples(echo->aec) >= 0.0) {
        echo->active_found += sounds ? block : 0;
        if (echo->in_power < HEARD) return;
        echo->soft = echo->out_power < LEARNT * echo->in_power ? echo->soft + block : 0;
    } else if (echo->near_power > HEARD) {
        echo->heard += block;
    }
}

static int is_cold(const vc_call_echo *echo)
{
    if (echo->warm) return 0;
    if (echo->active_found > 0)
        return echo->soft < of_ms(echo, LEARNT_MS) && echo->active_found < of_ms(echo, LEARN_MS);
    if (echo->heard == 0 && echo->voiced >= of_ms(echo, VOICED_MS) &&
        echo->since_voiced >= of_ms(echo, LATEST_MS))
        return 0;
    int unsure = vc_aec_confidence(echo->aec) >= CHANCE;
    return echo->heard < of_ms(echo, unsure ? UNSURE_MS : COLD_MS);
}

/* The block in the remainder; `position` is that of the block before it, which comes out. */
static void run_block(vc_call_echo *echo, int64_t position, int16_t *out)
{
    int16_t far[MAX_BLOCK];
    int64_t first = position + (int64_t)echo->block + echo->offset;
    int sounds = fetch_sent(echo, first, far);
    echo->quiet = sounds ? 0 : echo->quiet + (int64_t)echo->block;
    echo->blocks++;
    int run = echo->quiet < of_ms(echo, RUN_MS) && (sounds || echo->active > 0);
    echo->run_blocks += run != 0;
    if (sounds) echo->active += (int64_t)echo->block;
    /* One block at a time, so it cannot fail. */
    (void)vc_aec_process_s16(echo->aec, echo->remainder, sounds ? far : NULL, out, echo->block);
    if (!echo->warm) learn(echo, far, sounds, run, out);
    int cold = is_cold(echo);
    if (!cold) echo->warm = 1;
    if (position >= 0)
        echo->likelihood[(size_t)(position / (int64_t)echo->block) % LIKELIHOODS] =
            run && cold ? 1.0f : vc_aec_echo_likelihood(echo->aec);
}

size_t vc_call_echo_process(vc_call_echo *echo, const int16_t *near, size_t n, int decoded,
                            int16_t *out, int64_t *first)
{
    const int64_t block = (int64_t)echo->block;
    size_t done = 0;
    int64_t position = echo->near_end - (int64_t)echo->fill - block;
    echo->near_end += (int64_t)n;
    /* Made-up audio has no time of its own, and no echo to be found. */
    if (decoded) settle(echo);
    *first = position < 0 ? 0 : position;
    while (n > 0) {
        size_t take = echo->block - echo->fill;
        if (take > n) take = n;
        memcpy(echo->remainder + echo->fill, near, take * sizeof(int16_t));
        echo->fill += take;
        near += take;
        n -= take;
        if (echo->fill < echo->block) break;
        echo->fill = 0;
        run_block(echo, position, out + done);
        if (position >= 0) done += echo->block; /* else it is older than the first sample */
        position += block;
    }
    return done;
}

void vc_call_echo_restarted(vc_call_echo *echo)
{
    echo->anchored = 0;
}

float vc_call_echo_likelihood(const vc_call_echo *echo, int64_t first, size_t n)
{
    const int64_t block = (int64_t)echo->block;
    double sum = 0.0;
    for (int64_t at = first, end = first + (int64_t)n; at < end;) {
        int64_t next = (at / block + 1) * block;
        if (next > end) next = end;
        sum += (double)echo->likelihood[(size_t)(at / block) % LIKELIHOODS] * (double)(next - at);
        at = next;
    }
    return n ? (float)(sum / (double)n) : 0.0f;
}

void vc_call_echo_get_stats(const vc_call_echo *echo, vc_call_echo_stats *stats)
{
    double delay = vc_aec_delay_samples(echo->aec);
    stats->found = delay >= 0.0;
    stats->delay_samples = delay - (double)echo->offset;
    stats->erle_db = (double)vc_aec_erle_db(echo->aec);
    stats->drift_ppm = vc_aec_drift_ppm(echo->aec);
    stats->blocks = echo->blocks;
    stats->run_blocks = echo->run_blocks;
    stats->moves = echo->moves;
}
