/* vc_jitter_play: play mode of vc_jitter.
 *
 * Start: silence until the target depth is there, or has had the time to come. A gap with younger
 * packets behind it is concealed at once. If the buffer runs dry, audio is made up while the place
 * in the stream stays: a packet that was late is then played (the buffer has become deeper), a
 * packet that was lost has been concealed already. After 60 ms without anything it starts again as
 * at the beginning, behind the gap; after 1 s it gives plain silence.
 * Depth: every 500 ms the smallest depth seen is compared with the target; what is more than 20 ms
 * too much is taken out one pitch period at a time, at most every third frame (each frame when more
 * than 200 ms too deep), where it is not heard, or anyway after ten tries. */
#include <string.h>

#include "net/vc_jitter_store.h"

#define WINDOW_GETS       25
#define MAX_ATTEMPTS      10
#define REST_GETS         3
#define FAST_MS           200
#define DRY_FRAMES        3
#define STREAM_OVER_S     1
#define MAX_TARGET_SHARES 4 /* at most three fourths of the hard maximum */

int32_t vc_jitter_target_samples(const vc_jitter *jitter)
{
    int low = jitter->config.min_depth_ms > VC_TICK_MS ? jitter->config.min_depth_ms : VC_TICK_MS;
    int high = jitter->config.max_depth_ms - jitter->config.max_depth_ms / MAX_TARGET_SHARES;
    int target_ms = vc_delay_manager_target_ms(&jitter->s.delay);
    target_ms = target_ms > high ? high : target_ms;
    target_ms = target_ms < low ? low : target_ms;
    return (int32_t)((int64_t)target_ms * jitter->config.rate_hz / 1000);
}

/* From the place in the stream, or `from`, to the end of what is held. */
static int64_t depth_from(const vc_jitter *jitter, int64_t from)
{
    if (jitter->s.tail < 0) return 0;
    const vc_jitter_part *tail = &jitter->parts[jitter->s.tail];
    int64_t depth = tail->position + tail->samples - from;
    return depth > 0 ? depth : 0;
}

static void begin_window(vc_jitter_state *s)
{
    s->window_gets = 0;
    s->window_depth = INT64_MAX;
    s->to_remove = 0;
    s->attempts = 0;
}

/* Leaves prefill if the target depth is there or the first held packet has waited that long. */
static void try_to_start(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    const vc_jitter_part *head = vc_jitter_head(jitter);
    if (!head) return;
    int32_t target = vc_jitter_target_samples(jitter);
    if (depth_from(jitter, head->position) < target) {
        int64_t first = head->arrival_ns;
        for (int16_t i = s->head; i >= 0; i = jitter->parts[i].next)
            if (jitter->parts[i].arrival_ns < first) first = jitter->parts[i].arrival_ns;
        uint64_t waited = (uint64_t)s->now_ns - (uint64_t)first;
        if (waited < (uint64_t)target * (uint64_t)VC_NS_PER_S / (uint64_t)jitter->config.rate_hz)
            return;
    }
    s->stats.lost += (uint64_t)vc_jitter_missing(jitter, s->last_index, head->index);
    if (head->index - 1 > s->last_index) s->last_index = head->index - 1;
    s->position = s->conceal_until = s->decided_until = head->position;
    s->timestamp = head->timestamp;
    s->prefill = 0;
    s->starved = 0;
    begin_window(s);
}

/* The stream has nothing: made-up audio for a second, then silence. The place stays. */
static vc_frame_kind run_dry(vc_jitter *jitter, int16_t *samples, size_t n)
{
    vc_jitter_state *s = &jitter->s;
    vc_frame_kind kind = VC_FRAME_SILENCE;
    if (s->begun && s->starved < STREAM_OVER_S * jitter->config.rate_hz) {
        kind = VC_FRAME_CONCEALED;
        vc_conceal_fill(jitter->conceal, samples, n);
        s->stats.concealed_samples += n;
        s->stats.underruns++;
    } else {
        vc_conceal_silence(jitter->conceal, samples, n);
        s->stats.silence_samples += n;
    }
    if (s->begun) s->starved += (int64_t)n;
    if (s->starved >= DRY_FRAMES * jitter->frame) s->prefill = 1;
    s->stats.output_samples += n;
    return kind;
}

/* A gap in front of `head`. What was made up while the buffer was dry counts for it. */
static void pass_gap(vc_jitter *jitter, const vc_jitter_part *head)
{
    vc_jitter_state *s = &jitter->s;
    int64_t gap = head->position - s->position;
    int64_t done = s->starved < gap ? s->starved : gap;
    int64_t missing = vc_jitter_missing(jitter, s->last_index, head->index);
    s->position += done;
    s->timestamp += (uint32_t)done;
    s->starved = 0;
    vc_jitter_settle(jitter, head, missing, done);
}

/* One frame out of 20 ms and a pitch period, if it is too deep. Returns 1 if it did. */
static int play_shortened(vc_jitter *jitter, int16_t *samples)
{
    vc_jitter_state *s = &jitter->s;
    size_t need = vc_conceal_shorten_samples(jitter->conceal), found = 0;
    int64_t least = jitter->config.rate_hz / 400;
    int fast = s->to_remove > (int64_t)FAST_MS * jitter->config.rate_hz / 1000;
    s->since_last++;
    if (s->to_remove < least || (s->since_last < REST_GETS && !fast)) return 0;
    if (s->position < s->decided_until || s->starved > 0) return 0;
    if (!vc_jitter_head(jitter)) return 0;
    for (int16_t i = s->head; i >= 0 && found < need; i = jitter->parts[i].next) {
        const vc_jitter_part *part = &jitter->parts[i];
        if (part->position + part->taken != s->position + (int64_t)found) return 0;
        size_t n = (size_t)(part->samples - part->taken);
        if (n > need - found) n = need - found;
        vc_jitter_decode(jitter, part, part->taken, jitter->scratch + found, n);
        found += n;
    }
    if (found < need) return 0;
    int force = ++s->attempts > MAX_ATTEMPTS;
    size_t removed = vc_conceal_shorten(jitter->conceal, jitter->scratch, samples, force);
    if (removed == 0) return 0;
    size_t used = (size_t)jitter->frame + removed;
    while (used > 0) {
        vc_jitter_part *head = &jitter->parts[s->head];
        size_t n = (size_t)(head->samples - head->taken);
        if (n > used) n = used;
        vc_jitter_advance(jitter, head, n);
        used -= n;
    }
    vc_conceal_decoded(jitter->conceal, samples, (size_t)jitter->frame);
    s->stats.output_samples += (uint64_t)jitter->frame;
    s->stats.removed_samples += removed;
    s->to_remove -= (int64_t)removed;
    s->attempts = s->since_last = 0;
    return 1;
}

static void watch_depth(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    int64_t depth = depth_from(jitter, s->position);
    if (depth < s->window_depth) s->window_depth = depth;
    if (++s->window_gets < WINDOW_GETS) return;
    int64_t excess = s->window_depth - vc_jitter_target_samples(jitter);
    begin_window(s);
    if (excess >= jitter->frame) s->to_remove = excess - jitter->frame / 2;
}

vc_status vc_jitter_get(vc_jitter *jitter, int64_t now_ns, int16_t *samples, vc_frame_info *info)
{
    if (!jitter || !samples || !info) return VC_E_NULL;
    if (jitter->config.mode != VC_JITTER_PLAY) return VC_E_STATE;
    vc_jitter_state *s = &jitter->s;
    now_ns = vc_jitter_clock(jitter, now_ns);
    *info = (vc_frame_info){.position = (int64_t)s->stats.output_samples,
                            .timestamp = s->timestamp,
                            .arrival_ns = now_ns};
    if (s->prefill) try_to_start(jitter);
    if (!s->prefill) watch_depth(jitter);

    size_t frame = (size_t)jitter->frame, done = 0;
    int seen_kinds = 0, has_arrival = 0;
    if (!s->prefill) {
        const vc_jitter_part *head = vc_jitter_head(jitter);
        int64_t arrival_ns = head ? head->arrival_ns : now_ns;
        uint32_t timestamp = s->timestamp;
        if (play_shortened(jitter, samples)) {
            info->arrival_ns = arrival_ns;
            info->timestamp = timestamp;
            seen_kinds = 1 << VC_FRAME_DECODED;
            done = frame;
        }
    }
    while (done < frame) {
        vc_jitter_part *head = s->prefill ? NULL : vc_jitter_head(jitter);
        if (head && s->position >= s->decided_until && head->position > s->position)
            pass_gap(jitter, head);
        vc_frame_kind kind = VC_FRAME_DECODED;
        if (s->position < s->conceal_until)
            kind = VC_FRAME_CONCEALED;
        else if (s->position < s->decided_until)
            kind = VC_FRAME_SILENCE;
        else if (!head) {
            kind = run_dry(jitter, samples + done, frame - done);
            seen_kinds |= 1 << kind;
            break;
        }
        if (done == 0) info->timestamp = s->timestamp;
        if (kind == VC_FRAME_DECODED) {
            if (done == 0) info->timestamp = head->timestamp + head->taken;
            if (!has_arrival) info->arrival_ns = head->arrival_ns;
            has_arrival = 1;
            s->starved = 0;
        }
        done += vc_jitter_emit(jitter, samples + done, frame - done, kind);
        seen_kinds |= 1 << kind;
    }
    info->kind = seen_kinds & 1 << VC_FRAME_CONCEALED ? VC_FRAME_CONCEALED
                 : seen_kinds & 1 << VC_FRAME_DECODED ? VC_FRAME_DECODED
                                                      : VC_FRAME_SILENCE;
    info->depth_samples = s->held_samples;
    return info->kind == VC_FRAME_CONCEALED ? VC_CONCEALED : VC_OK;
}
