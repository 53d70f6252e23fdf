/* vc_jitter_play: play mode of vc_jitter: 20 ms every 20 ms.
 *
 * Samples go through a short queue: units are made into its end, 20 ms leave at its front, and
 * between the two a stretch may take out or put in a pitch period. The decision logic holds the
 * deadline of the packets, counted from the fastest one, to the target.
 * Start: silence until the first packet is as late as the target asks. A gap with younger packets
 * behind it is concealed at once. If the buffer runs dry, audio is made up while the place in the
 * stream stays: a packet that was late is then played (the playout delay has grown by as much), a
 * packet that was lost has been concealed already. After 60 ms without anything it starts again as
 * at the beginning, behind the gap; after 1 s it gives plain silence.
 * Drift: once the sender's clock is known to be off, what is made goes through a resampler that is
 * trimmed by as much, and stays there. */
#include <math.h>
#include <string.h>

#include "net/vc_decision.h"
#include "net/vc_jitter_state.h"

#define DRY_FRAMES     3
#define STREAM_OVER_S  1
#define TARGET_ROOM_MS 40  /* below the hard maximum, for what comes early */
#define TRIM_STEP_PPM  1.0 /* a new rate is taken over when it is off by this */

int32_t vc_jitter_target_ms(const vc_jitter *jitter)
{
    const vc_jitter_config *config = &jitter->config;
    int low = config->min_depth_ms, target_ms = vc_delay_manager_target_ms(&jitter->s.delay);
    int high = config->max_depth_ms - TARGET_ROOM_MS;
    if (high < low) high = low;
    target_ms = target_ms > high ? high : target_ms;
    return target_ms < low ? low : target_ms;
}

static double delay_of(const vc_jitter *jitter, int64_t stream_position)
{
    double sent_ms = (double)stream_position * 1000.0 / jitter->config.rate_hz;
    double base_ms = vc_delay_manager_base_ms(&jitter->s.delay);
    return vc_jitter_elapsed_ms(jitter) - sent_ms - base_ms;
}

/* The relative delay up to which the packet at the place in the stream comes in time, if `more`
 * samples are put into the queue, 20 ms of which leave now. It is needed at the get that finds less
 * than 20 ms in it. */
static double deadline_ms(const vc_jitter *jitter, int32_t more)
{
    int32_t after = jitter->s.level - jitter->frame + more;
    int32_t gets = after >= 0 ? 1 + after / jitter->frame : -(-after - 1) / jitter->frame;
    return delay_of(jitter, jitter->s.position) + (double)(gets * VC_TICK_MS);
}

/* Leaves prefill if the first packet that is held is as late as the target asks. */
static void try_to_start(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    const vc_packet_part *head = vc_jitter_head(jitter);
    if (!head) return;
    double least_ms = vc_jitter_target_ms(jitter) - VC_DECISION_EXPAND_MS;
    if (delay_of(jitter, head->position) < least_ms) return;
    s->stats.lost += (uint64_t)vc_jitter_missing(jitter, s->last_index, head->index);
    if (head->index - 1 > s->last_index) s->last_index = head->index - 1;
    s->position = s->conceal_until = s->decided_until = head->position;
    s->timestamp = head->timestamp;
    s->prefill = 0;
    s->starved = 0;
}

/* A gap in front of `head`. What was made up while the buffer was dry counts for it. */
static void pass_gap(vc_jitter *jitter, const vc_packet_part *head)
{
    vc_jitter_state *s = &jitter->s;
    int64_t gap = head->position - s->position;
    int64_t done = s->starved < gap ? s->starved : gap;
    int64_t missing = vc_jitter_missing(jitter, s->last_index, head->index);
    s->position += done;
    s->timestamp += vc_jitter_ticks(jitter, done, s->clock_hz);
    s->starved = 0;
    vc_jitter_settle(jitter, head, missing, done);
}

/* -- the queue -------------------------------------------------------------------------------- */

static void append_run(vc_jitter *jitter, const vc_jitter_run *run)
{
    vc_jitter_state *s = &jitter->s;
    if (run->samples == 0) return;
    if (s->run_count > 0) {
        vc_jitter_run *last = &s->runs[s->run_count - 1];
        int goes_on = last->kind == run->kind && last->clock_hz == run->clock_hz &&
                      last->stream_position + last->samples == run->stream_position &&
                      (run->kind != VC_FRAME_DECODED || last->arrival_ns == run->arrival_ns);
        if (goes_on || s->run_count == VC_JITTER_RUNS) {
            last->samples += run->samples;
            return;
        }
    }
    s->runs[s->run_count++] = *run;
}

/* n samples at the queue's end through the drift filter, or as they are. */
static void append(vc_jitter *jitter, vc_jitter_run *run)
{
    vc_jitter_state *s = &jitter->s;
    int16_t *end = jitter->fifo + s->level;
    if (s->trim) {
        size_t n_in = (size_t)run->samples, room = (size_t)(jitter->fifo_room - s->level);
        int32_t late = (int32_t)vc_resample_delay_samples(jitter->trim);
        memcpy(jitter->work, end, n_in * sizeof *end);
        if (vc_resample_process_s16(jitter->trim, jitter->work, &n_in, end, &room) == VC_OK) {
            run->samples = (int32_t)room;
            run->stream_position -= late;
            run->timestamp -= vc_jitter_ticks(jitter, late, run->clock_hz);
        }
    }
    s->level += run->samples;
    append_run(jitter, run);
}

/* Puts the drift filter into the path: it is fed with the queue, whose last samples it will give
 * again; what comes first out of it is therefore skipped. */
static void begin_trim(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    size_t late = (size_t)vc_resample_delay_samples(jitter->trim), n = (size_t)s->level;
    if (n <= 2 * late) return; /* not enough to begin without a click: next time */
    size_t room = (size_t)jitter->fifo_room;
    if (vc_resample_process_s16(jitter->trim, jitter->fifo, &n, jitter->work, &room) != VC_OK)
        return;
    s->level -= (int32_t)late;
    vc_jitter_run *last = &s->runs[s->run_count - 1];
    while (late >= (size_t)last->samples && s->run_count > 1) {
        late -= (size_t)last->samples;
        s->run_count--;
        last--;
    }
    last->samples -= (int32_t)late;
    s->trim = 1;
}

static void follow_clock(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    double ppm = vc_drift_ppm(&s->drift);
    if (!jitter->trim || fabs(ppm - s->trim_ppm) < TRIM_STEP_PPM) return;
    if (!s->trim) begin_trim(jitter);
    if (!s->trim) return;
    if (vc_resample_set_trim_ppm(jitter->trim, ppm) == VC_OK) s->trim_ppm = ppm;
}

static void take(vc_jitter *jitter, int16_t *samples, int32_t n)
{
    vc_jitter_state *s = &jitter->s;
    memcpy(samples, jitter->fifo, (size_t)n * sizeof *samples);
    s->level -= n;
    memmove(jitter->fifo, jitter->fifo + n, (size_t)s->level * sizeof *samples);
    int64_t old = s->inserted < n ? s->inserted : n;
    s->inserted -= old;
    s->front += n - old;
    while (n > 0) {
        vc_jitter_run *run = &s->runs[0];
        int32_t part = run->samples < n ? run->samples : n;
        vc_jitter_count(jitter, run, part);
        run->samples -= part;
        run->stream_position += part;
        run->timestamp += vc_jitter_ticks(jitter, part, run->clock_hz);
        n -= part;
        if (run->samples == 0)
            memmove(s->runs, s->runs + 1, (size_t)--s->run_count * sizeof *s->runs);
    }
}

/* -- filling it ------------------------------------------------------------------------------- */

/* The stream has nothing: made-up audio for a second, then silence. The place stays. */
static void run_dry(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    int16_t *end = jitter->fifo + s->level;
    vc_jitter_run run = {.stream_position = s->position,
                         .timestamp = s->timestamp,
                         .arrival_ns = s->now_ns,
                         .clock_hz = s->clock_hz ? s->clock_hz : jitter->config.rate_hz,
                         .samples = jitter->frame,
                         .kind = VC_FRAME_CONCEALED};
    if (s->begun && !s->comfort_noise && s->starved < STREAM_OVER_S * jitter->config.rate_hz) {
        vc_jitter_make_up(jitter, end);
        s->stats.underruns++;
    } else {
        run.kind = vc_jitter_make_quiet(jitter, end, jitter->frame);
    }
    if (s->begun) s->starved += jitter->frame;
    if (s->starved >= DRY_FRAMES * jitter->frame) s->prefill = 1;
    append(jitter, &run);
}

/* One unit more, if the stream has one. */
static int make_next(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    const vc_packet_part *head = vc_jitter_head(jitter);
    if (head && s->position >= s->decided_until && head->position > s->position)
        pass_gap(jitter, head);
    vc_frame_kind kind = VC_FRAME_DECODED;
    if (s->position < s->conceal_until)
        kind = VC_FRAME_CONCEALED;
    else if (s->position < s->decided_until)
        kind = VC_FRAME_SILENCE;
    else if (!head)
        return 0;
    if (kind == VC_FRAME_DECODED) s->starved = 0;
    vc_jitter_run run;
    (void)vc_jitter_make(jitter, kind, jitter->fifo + s->level, &run);
    append(jitter, &run);
    return 1;
}

static void fill(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    if (s->prefill) try_to_start(jitter);
    while (s->level < jitter->frame)
        if (s->prefill || !make_next(jitter)) run_dry(jitter);
}

/* -- stretching ------------------------------------------------------------------------------- */

/* As much decoded audio as a stretch looks at, at the queue's front; 0 if there is not. */
static int32_t gather(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    int32_t window = (int32_t)vc_stretch_window_samples(jitter->stretch);
    while (s->level < window) {
        const vc_packet_part *head = vc_jitter_head(jitter);
        if (!head || head->position > s->position || s->position < s->decided_until) return 0;
        if (s->level + jitter->unit_room > jitter->fifo_room - jitter->frame) return 0;
        (void)make_next(jitter);
    }
    int32_t decoded = 0;
    for (int i = 0; i < s->run_count && decoded < window; i++) {
        if (s->runs[i].kind != VC_FRAME_DECODED) return 0;
        decoded += s->runs[i].samples;
    }
    return window;
}

/* `changed` samples are gone from, or more at, place `at` of the queue. */
static void change_runs(vc_jitter *jitter, int32_t at, int32_t changed, int removed)
{
    vc_jitter_state *s = &jitter->s;
    int i = 0;
    while (i + 1 < s->run_count && at >= s->runs[i].samples) at -= s->runs[i++].samples;
    if (!removed) { /* what was put in counts as the end of what is before it */
        vc_jitter_run rest = s->runs[i];
        rest.stream_position += at;
        rest.timestamp += vc_jitter_ticks(jitter, at, rest.clock_hz);
        rest.samples -= at;
        if (s->run_count < VC_JITTER_RUNS && rest.samples > 0) {
            memmove(s->runs + i + 2, s->runs + i + 1,
                    (size_t)(s->run_count - i - 1) * sizeof *s->runs);
            s->runs[i].samples = at + changed;
            s->runs[i + 1] = rest;
            s->run_count++;
        } else {
            s->runs[i].samples += changed;
        }
        return;
    }
    while (changed > 0) { /* from here on, over as many runs as it takes */
        vc_jitter_run *run = &s->runs[i];
        int32_t part = run->samples - at < changed ? run->samples - at : changed;
        int32_t rest = run->samples - at - part;
        if (at > 0 && rest > 0 && s->run_count < VC_JITTER_RUNS) {
            memmove(run + 2, run + 1, (size_t)(s->run_count - i - 1) * sizeof *run);
            run[1] = *run;
            run[1].samples = rest;
            run[1].stream_position += at + part;
            run[1].timestamp += vc_jitter_ticks(jitter, at + part, run->clock_hz);
            run->samples = at;
            s->run_count++;
        } else if (at > 0) {
            run->samples -= part;
        } else {
            run->samples -= part;
            run->stream_position += part;
            run->timestamp += vc_jitter_ticks(jitter, part, run->clock_hz);
        }
        changed -= part;
        at = 0;
        if (run->samples == 0)
            memmove(run, run + 1, (size_t)(--s->run_count - i) * sizeof *run);
        else
            i++;
    }
}

static void stretch(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    int32_t most = (int32_t)vc_stretch_max_change_samples(jitter->stretch);
    vc_operation operation = vc_decision_of(deadline_ms(jitter, 0), deadline_ms(jitter, -most),
                                            vc_jitter_target_ms(jitter));
    if (s->prefill || operation == VC_OPERATION_NORMAL) return;
    if (s->run_count == 0 || s->runs[0].kind != VC_FRAME_DECODED || gather(jitter) == 0) return;
    size_t n = (size_t)s->level;
    vc_stretch_change change;
    int faster = operation != VC_OPERATION_EXPAND;
    vc_status status =
        faster
            ? vc_stretch_accelerate(jitter->stretch, s->front, jitter->fifo, n, jitter->work,
                                    operation == VC_OPERATION_FAST_ACCELERATE, &change)
            : vc_stretch_expand(jitter->stretch, s->front, jitter->fifo, n, jitter->work, &change);
    if (status != VC_OK) return;
    int32_t at = (int32_t)(change.position - s->front);
    int32_t changed = (int32_t)change.changed_samples;
    int64_t position = (int64_t)s->stats.output_samples + at;
    memcpy(jitter->fifo, jitter->work, change.out_samples * sizeof *jitter->fifo);
    s->level = (int32_t)change.out_samples;
    change_runs(jitter, at, changed, faster);
    if (faster) {
        s->front += changed;
        s->stats.accelerated_samples += change.changed_samples;
        vc_jitter_post(jitter, VC_JITTER_ACCELERATED, position, changed);
    } else {
        s->inserted += changed;
        s->stats.expanded_samples += change.changed_samples;
        vc_jitter_post(jitter, VC_JITTER_EXPANDED, position, changed);
    }
}

/* -- get -------------------------------------------------------------------------------------- */

/* What the first 20 ms of the queue are. */
static void describe(const vc_jitter *jitter, vc_frame_info *info)
{
    const vc_jitter_state *s = &jitter->s;
    int32_t left = jitter->frame, has_arrival = 0;
    unsigned kinds = 0;
    *info = (vc_frame_info){.position = (int64_t)s->stats.output_samples,
                            .stream_position = s->runs[0].stream_position,
                            .timestamp = s->runs[0].timestamp,
                            .arrival_ns = s->now_ns};
    for (int i = 0; i < s->run_count && left > 0; left -= s->runs[i++].samples) {
        kinds |= 1u << s->runs[i].kind;
        if (s->runs[i].kind != VC_FRAME_DECODED || has_arrival) continue;
        info->arrival_ns = s->runs[i].arrival_ns;
        has_arrival = 1;
    }
    info->kind = kinds & 1u << VC_FRAME_CONCEALED       ? VC_FRAME_CONCEALED
                 : kinds & 1u << VC_FRAME_DECODED       ? VC_FRAME_DECODED
                 : kinds & 1u << VC_FRAME_COMFORT_NOISE ? VC_FRAME_COMFORT_NOISE
                                                        : VC_FRAME_SILENCE;
}

vc_status vc_jitter_get(vc_jitter *jitter, int64_t now_ns, int16_t *samples, vc_frame_info *info)
{
    if (!jitter || !samples || !info) return VC_E_NULL;
    if (jitter->config.mode != VC_JITTER_PLAY) return VC_E_STATE;
    vc_jitter_state *s = &jitter->s;
    vc_jitter_clock(jitter, now_ns);
    fill(jitter);
    follow_clock(jitter);
    stretch(jitter);
    fill(jitter); /* what acceleration or the filter took */
    describe(jitter, info);
    s->delay_ms = s->prefill ? 0.0 : delay_of(jitter, info->stream_position);
    take(jitter, samples, jitter->frame);
    vc_stretch_push_played(jitter->stretch, samples, (size_t)jitter->frame);
    info->depth_samples = vc_packet_buffer_samples(jitter->packets) + s->level;
    return info->kind == VC_FRAME_CONCEALED ? VC_CONCEALED : VC_OK;
}
