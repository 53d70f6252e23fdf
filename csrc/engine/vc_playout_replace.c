/* vc_playout: from one source to the next; see vc_playout.h.
 *
 * The producer cannot take back what the media thread may be reading. So it queues the new audio
 * behind the old and then says from where to where to jump; the jump frees the old audio at once,
 * but for a copy of the samples that the crossfade needs.
 *
 * Two sources of speech are not in phase, so their powers add up, not their amplitudes: the gains
 * are the square roots of s and 1 - s, where s = t^2 (3 - 2 t) starts and ends without a corner.
 */
#include "engine/vc_playout_state.h"

#include <math.h>

#include "kernels/body_convert.h"

/* -- producer side -- */

vc_status vc_playout_replace(vc_playout *playout, int64_t from, int64_t start)
{
    if (from < 0 || start < 0 || from > start || start > vc_playout_queue_position(playout))
        return VC_E_RANGE;
    replacement entry = {from, start};
    size_t one = 1;
    return vc_ring_push(playout->replacements, &entry, &one);
}

/* -- media thread -- */

/* The jump behind the first `skip` entries; several that overlap are one. Returns how many it is
 * made of, 0: none. */
static size_t next_replacement(const vc_playout *playout, size_t skip, replacement *next)
{
    size_t level = vc_ring_level(playout->replacements), count = 0;
    while (skip + count < level) {
        replacement entry;
        (void)vc_ring_peek(playout->replacements, skip + count, &entry, 1);
        if (count == 0) {
            *next = entry;
        } else {
            if (entry.from >= next->start) break;
            if (entry.from < next->from) next->from = entry.from;
            next->start = entry.start;
        }
        count++;
    }
    return count;
}

int64_t vc_playout_dropped_before(const vc_playout *playout, int64_t position, int *inside)
{
    int64_t cursor = vc_playout_play_position(playout), dropped = 0;
    size_t skip = 0, count;
    replacement next;
    *inside = 0;
    while ((count = next_replacement(playout, skip, &next)) > 0) {
        int64_t from = next.from > cursor ? next.from : cursor;
        int64_t start = next.start < position ? next.start : position;
        if (start > from) dropped += start - from;
        *inside |= from < position && position <= next.start;
        skip += count;
    }
    return dropped;
}

void vc_playout_drop_replacements(vc_playout *playout, int64_t position)
{
    replacement entry;
    while (vc_ring_peek(playout->replacements, 0, &entry, 1) == VC_OK && entry.start <= position)
        (void)vc_ring_skip(playout->replacements, 1);
    playout->tail_samples = 0;
}

/* From the cursor to where the new source starts. */
static void jump(vc_playout *playout, int64_t start, int64_t now_ns)
{
    int64_t cursor = vc_playout_play_position(playout);
    if (start < cursor) start = cursor; /* the old one was all sent before it was replaced */
    size_t old = (size_t)(start - cursor), kept = playout->crossfade_samples;
    if (kept > old) kept = old;
    vc_playout_pass_marks(playout, cursor, now_ns, 0);
    if (playout->running && !playout->fade_in && kept > 0) {
        (void)vc_ring_peek(playout->audio, 0, playout->tail, kept);
        playout->tail_samples = kept;
        playout->tail_at = 0;
    }
    (void)vc_ring_skip(playout->audio, old);
    vc_playout_post(playout, VC_EVENT_REPLACED, now_ns, cursor, start, 0);
    vc_playout_pass_marks(playout, start, now_ns, 1);
}

void vc_playout_mix_tail(vc_playout *playout, int16_t *samples, size_t n)
{
    for (size_t i = 0; i < n && playout->tail_at < playout->tail_samples; i++) {
        float t = (float)playout->tail_at / (float)playout->tail_samples;
        float s = t * t * (3.0f - 2.0f * t);
        samples[i] = vc_round_s16((float)samples[i] * sqrtf(s) +
                                  (float)playout->tail[playout->tail_at] * sqrtf(1.0f - s));
        playout->tail_at++;
    }
    if (playout->tail_at >= playout->tail_samples) playout->tail_samples = 0;
}

/* `at`: where in the block the queue's sample `cursor` is, which is the first to sound. */
static void report_start(vc_playout *playout, size_t at, int64_t cursor, int64_t now_ns)
{
    int64_t offset_ns = (int64_t)at * VC_NS_PER_S / playout->config.play_hz;
    if (!playout->running)
        vc_playout_dry_begun(playout, at, vc_playout_queue_position(playout) - cursor);
    playout->running = 1;
    vc_playout_post(playout, VC_EVENT_PLAYOUT_STARTED, now_ns, cursor, now_ns + offset_ns,
                    vc_playout_sent_sample(playout, at));
}

size_t vc_playout_take(vc_playout *playout, size_t filled, size_t n, int64_t now_ns, size_t *taken)
{
    int16_t *samples = playout->block;
    *taken = 0;
    while (filled < n) {
        size_t part = n - filled;
        replacement next;
        size_t count = next_replacement(playout, 0, &next);
        if (count > 0) {
            int64_t ahead = next.from - vc_playout_play_position(playout);
            if (ahead <= 0) {
                jump(playout, next.start, now_ns);
                (void)vc_ring_skip(playout->replacements, count);
                continue;
            }
            if (part > (size_t)ahead) part = (size_t)ahead;
        }
        if (!playout->running && playout->prebuffer_samples > 0 && !vc_playout_may_begin(playout))
            break;
        size_t got = part;
        (void)vc_ring_pull(playout->audio, samples + filled, &got);
        /* A resume is reported as a start. */
        if (got > 0 && (!playout->running || (playout->fade_in && *taken == 0)))
            report_start(playout, filled, vc_playout_play_position(playout) - (int64_t)got, now_ns);
        *taken += got;
        if (playout->tail_samples > 0) {
            size_t left = playout->tail_samples - playout->tail_at;
            size_t end = left < part ? left : part;
            for (size_t i = got; i < end; i++) samples[filled + i] = 0;
            vc_playout_mix_tail(playout, samples + filled, got > end ? got : end);
            if (got < end) got = end;
        }
        filled += got;
        if (got < part) break;
    }
    return filled;
}
