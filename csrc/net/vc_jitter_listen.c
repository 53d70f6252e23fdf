/* vc_jitter_listen: listen mode of vc_jitter: what is contiguous, as soon as it is.
 *
 * A gap waits from the arrival of the first younger packet for as long as packets have been seen to
 * come behind younger ones (all but 1 in 10000), loss_wait_ms at most and until 1000 packets are
 * known. Where packets never overtake each other, a loss is known 10 ms after it shows. */
#include <string.h>

#include "net/vc_jitter_state.h"

#define NONE (-1)

static int64_t deadline_of_gap(const vc_jitter *jitter)
{
    int wait_ms = jitter->config.loss_wait_ms;
    int learnt_ms = vc_delay_manager_loss_wait_ms(&jitter->s.delay);
    if (learnt_ms >= 0 && learnt_ms < wait_ms) wait_ms = learnt_ms;
    int64_t first = INT64_MAX, wait = wait_ms * VC_NS_PER_MS;
    const vc_packet_part *part = vc_packet_buffer_head(jitter->packets);
    for (; part; part = vc_packet_buffer_next(jitter->packets, part))
        if (part->arrival_ns < first) first = part->arrival_ns;
    return first > INT64_MAX - wait ? INT64_MAX : first + wait;
}

/* What comes next, once any gap that is due has been settled; NONE if that must wait. */
static int next_kind(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    if (s->unit.samples > 0) return (int)s->unit.kind;
    vc_packet_part *head = vc_jitter_head(jitter);
    if (head && head->position > s->position && s->position >= s->decided_until) {
        int64_t missing = vc_jitter_missing(jitter, s->last_index, head->index);
        if (missing > 0 && s->now_ns < deadline_of_gap(jitter)) return NONE;
        vc_jitter_settle(jitter, head, missing, 0);
    }
    if (s->position < s->conceal_until) return VC_FRAME_CONCEALED;
    if (s->position < s->decided_until) return VC_FRAME_SILENCE;
    return head ? VC_FRAME_DECODED : NONE;
}

/* The next samples of that kind, at most `room`; a unit is made when the one before is given out.
 */
static size_t give(vc_jitter *jitter, vc_frame_kind kind, int16_t *samples, size_t room)
{
    vc_jitter_state *s = &jitter->s;
    vc_jitter_run *unit = &s->unit;
    if (unit->samples == 0 && room >= (size_t)jitter->unit_room) {
        int32_t n = vc_jitter_make(jitter, kind, samples, unit); /* the usual case: no copy */
        vc_jitter_count(jitter, unit, n);
        unit->samples = 0;
        return (size_t)n;
    }
    if (unit->samples == 0) {
        (void)vc_jitter_make(jitter, kind, jitter->unit, unit);
        s->unit_at = 0;
    }
    int32_t n = (size_t)unit->samples < room ? unit->samples : (int32_t)room;
    memcpy(samples, jitter->unit + s->unit_at, (size_t)n * sizeof *samples);
    vc_jitter_count(jitter, unit, n);
    s->unit_at += n;
    unit->samples -= n;
    unit->stream_position += n;
    unit->timestamp += vc_jitter_ticks(jitter, n, unit->clock_hz);
    return (size_t)n;
}

/* What next samples are, before they are made. */
static void describe(vc_jitter *jitter, int kind, vc_frame_info *info)
{
    vc_jitter_state *s = &jitter->s;
    *info = (vc_frame_info){.position = (int64_t)s->stats.output_samples,
                            .stream_position = s->position,
                            .timestamp = s->timestamp,
                            .arrival_ns = s->now_ns,
                            .kind = kind == NONE ? VC_FRAME_SILENCE : (vc_frame_kind)kind};
    if (s->unit.samples > 0) {
        info->stream_position = s->unit.stream_position;
        info->timestamp = s->unit.timestamp;
        if (kind == VC_FRAME_DECODED) info->arrival_ns = s->unit.arrival_ns;
    } else if (kind == VC_FRAME_DECODED) {
        const vc_packet_part *head = vc_packet_buffer_head(jitter->packets);
        int64_t skip = s->position - head->position;
        int32_t clock_hz = vc_jitter_clock_hz(jitter, head->codec);
        info->timestamp = head->timestamp + vc_jitter_ticks(jitter, skip, clock_hz);
        info->arrival_ns = head->arrival_ns;
    }
}

static int32_t depth_of(const vc_jitter *jitter)
{
    return vc_packet_buffer_samples(jitter->packets) + jitter->s.unit.samples;
}

vc_status vc_jitter_read(vc_jitter *jitter, int64_t now_ns, int16_t *samples, size_t *n,
                         vc_frame_info *info)
{
    if (!jitter || !samples || !n || !info) return VC_E_NULL;
    if (jitter->config.mode != VC_JITTER_LISTEN) return VC_E_STATE;
    size_t room = *n, done = 0;
    *n = 0;
    if (room == 0) return VC_E_LENGTH;
    vc_jitter_clock(jitter, now_ns);
    int kind = next_kind(jitter);
    describe(jitter, kind, info);
    info->depth_samples = depth_of(jitter);
    if (kind == NONE) return VC_NEED_MORE;
    for (int next = kind; done < room && next == kind; next = next_kind(jitter))
        done += give(jitter, (vc_frame_kind)kind, samples + done, room - done);
    *n = done;
    info->depth_samples = depth_of(jitter);
    return kind == VC_FRAME_CONCEALED ? VC_CONCEALED : VC_OK;
}

int64_t vc_jitter_deadline_ns(const vc_jitter *jitter)
{
    if (!jitter || jitter->config.mode != VC_JITTER_LISTEN) return INT64_MAX;
    const vc_jitter_state *s = &jitter->s;
    if (s->unit.samples > 0 || s->position < s->decided_until) return INT64_MAX;
    const vc_packet_part *head = vc_packet_buffer_head(jitter->packets);
    if (!head || head->position <= s->position) return INT64_MAX;
    if (vc_jitter_missing(jitter, s->last_index, head->index) == 0) return INT64_MAX;
    return deadline_of_gap(jitter);
}
