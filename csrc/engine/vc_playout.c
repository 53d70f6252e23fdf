/* vc_playout: see vc_playout.h.
 *
 * Audio, marks and controls travel in three single-producer rings. Controls (pause, resume, flush)
 * are obeyed at the start of the next render whatever is queued; marks carry the position they
 * belong to and wait until the cursor is there. A flush carries the queue position at which it was
 * asked for, so that audio queued after it survives, however late the media thread sees it.
 */
#include "engine/vc_playout_state.h"

#include <string.h>

#include "dsp/vc_gain.h"

vc_playout_config vc_playout_config_default(void)
{
    vc_playout_config config = {
        .play_hz = 24000,
        .rate_hz = 8000,
        .fade_ms = 5,
        .buffer_ms = 5000,
        .duck_db = -15.0f,
        .duck_ms = 20,
        .crossfade_ms = 20,
        .comfort_noise_db = -60.0f,
    };
    return config;
}

vc_status vc_playout_create(vc_playout **out, const vc_playout_config *config)
{
    if (!out || !config || !config->sink.post) return VC_E_NULL;
    *out = NULL;
    if (config->rate_hz != 8000 && config->rate_hz != 16000) return VC_E_RATE;
    if (config->play_hz < 8000 || config->play_hz > MAX_RATE_HZ) return VC_E_RATE;
    if (config->fade_ms < 0 || config->fade_ms > 20) return VC_E_RANGE;
    if (config->buffer_ms < 100 || config->buffer_ms > 60000) return VC_E_RANGE;
    if (!(config->duck_db >= -60.0f && config->duck_db <= 0.0f)) return VC_E_RANGE;
    if (config->duck_ms < 0 || config->duck_ms > 1000) return VC_E_RANGE;
    if (config->crossfade_ms < 0 || config->crossfade_ms > 100) return VC_E_RANGE;
    vc_status status = vc_playout_dry_check(config);
    if (status != VC_OK) return status;
    vc_playout *playout = vc_allocate(config->allocator, sizeof(vc_playout));
    if (!playout) return VC_E_MEMORY;
    playout->config = *config;
    playout->fade_samples = (size_t)(config->play_hz * config->fade_ms / 1000);
    playout->segment_end = playout->lowest_samples = -1;
    atomic_init(&playout->last_end, -1);
    playout->resampler_idle = 1;
    playout->crossfade_samples = (size_t)(config->play_hz * config->crossfade_ms / 1000);
    vc_playout_level_begin(playout);

    vc_resample_config resample = vc_resample_config_default();
    resample.in_hz = config->play_hz;
    resample.out_hz = config->rate_hz;
    resample.allocator = config->allocator;
    size_t room = (size_t)((int64_t)config->play_hz * config->buffer_ms / 1000);
    status = vc_ring_create(&playout->audio, sizeof(int16_t), room, config->allocator);
    if (status == VC_OK)
        status = vc_ring_create(&playout->marks, sizeof(mark), MARKS, config->allocator);
    if (status == VC_OK)
        status = vc_ring_create(&playout->controls, sizeof(control), CONTROLS, config->allocator);
    if (status == VC_OK)
        status = vc_ring_create(&playout->replacements, sizeof(replacement), REPLACEMENTS,
                                config->allocator);
    if (status == VC_OK && playout->crossfade_samples > 0) {
        playout->tail =
            vc_allocate(config->allocator, playout->crossfade_samples * sizeof(int16_t));
        if (!playout->tail) status = VC_E_MEMORY;
    }
    if (status == VC_OK) status = vc_resample_create(&playout->resampler, &resample);
    if (status == VC_OK) status = vc_playout_dry_create(playout);
    playout->config.hold = NULL; /* the caller's */
    if (status != VC_OK) {
        vc_playout_destroy(playout);
        return status;
    }
    *out = playout;
    return VC_OK;
}

void vc_playout_destroy(vc_playout *playout)
{
    if (!playout) return;
    vc_playout_dry_destroy(playout);
    vc_resample_destroy(playout->resampler);
    vc_release(playout->config.allocator, playout->tail);
    vc_ring_destroy(playout->replacements);
    vc_ring_destroy(playout->controls);
    vc_ring_destroy(playout->marks);
    vc_ring_destroy(playout->audio);
    vc_release(playout->config.allocator, playout);
}

/* -- producer side -- */

vc_status vc_playout_push(vc_playout *playout, const int16_t *samples, size_t *n)
{
    return vc_ring_push(playout->audio, samples, n);
}

static vc_status push_mark(vc_playout *playout, int64_t id, mark_kind kind)
{
    mark entry = {vc_playout_queue_position(playout), id, kind};
    size_t one = 1;
    return vc_ring_push(playout->marks, &entry, &one);
}

vc_status vc_playout_push_word(vc_playout *playout, int64_t word, const int16_t *samples, size_t *n)
{
    if (*n > 0 && vc_ring_room(playout->audio) > 0 &&
        vc_ring_room(playout->marks) > MARKS_KEPT_FREE)
        (void)push_mark(playout, word, WORD);
    return vc_playout_push(playout, samples, n);
}

vc_status vc_playout_mark(vc_playout *playout, int64_t mark_id)
{
    return push_mark(playout, mark_id, MARK);
}

vc_status vc_playout_end_segment(vc_playout *playout)
{
    vc_status status = push_mark(playout, 0, SEGMENT_END);
    if (status == VC_OK)
        atomic_store_explicit(&playout->last_end, vc_playout_queue_position(playout),
                              memory_order_release);
    return status;
}

static vc_status push_control(vc_playout *playout, control_kind kind)
{
    control entry = {.kind = kind, .position = vc_playout_queue_position(playout)};
    size_t one = 1;
    return vc_ring_push(playout->controls, &entry, &one);
}

vc_status vc_playout_pause(vc_playout *playout)
{
    return push_control(playout, PAUSE);
}

vc_status vc_playout_resume(vc_playout *playout)
{
    return push_control(playout, RESUME);
}

vc_status vc_playout_flush(vc_playout *playout)
{
    return push_control(playout, FLUSH);
}

void vc_playout_want_room(vc_playout *playout)
{
    atomic_store_explicit(&playout->room_wanted, 1, memory_order_release);
}

int64_t vc_playout_queue_position(const vc_playout *playout)
{
    return (int64_t)vc_ring_pushed(playout->audio);
}

int64_t vc_playout_play_position(const vc_playout *playout)
{
    return (int64_t)vc_ring_pulled(playout->audio);
}

/* -- media thread -- */

void vc_playout_post(vc_playout *playout, vc_event_kind kind, int64_t now_ns, int64_t a, int64_t b,
                     int64_t c)
{
    vc_event event = {(uint32_t)kind, playout->config.call, now_ns, a, b, c};
    playout->config.sink.post(playout->config.sink.context, &event);
}

void vc_playout_pass_marks(vc_playout *playout, int64_t position, int64_t now_ns, int flushed)
{
    mark entry;
    while (vc_ring_level(playout->marks) > 0) {
        (void)vc_ring_peek(playout->marks, 0, &entry, 1);
        /* A word has begun once a sample of it has passed. */
        if (entry.position + (entry.kind == WORD) > position) return;
        (void)vc_ring_skip(playout->marks, 1);
        if (entry.kind == MARK)
            vc_playout_post(playout, VC_EVENT_MARK_REACHED, now_ns, entry.id, entry.position,
                            flushed);
        else if (entry.kind == WORD && !flushed)
            vc_playout_post(playout, VC_EVENT_WORD_REACHED, now_ns, entry.id, entry.position, 0);
        else if (entry.kind == SEGMENT_END && !flushed) {
            playout->segment_end = entry.position;
            playout->segment_is_new = 1;
        }
    }
}

int vc_playout_is_sounding(const vc_playout *playout)
{
    return playout->running && !playout->paused;
}

uint64_t vc_playout_underruns(const vc_playout *playout)
{
    return playout->underruns;
}

void vc_playout_get_stats(const vc_playout *playout, vc_playout_stats *stats)
{
    *stats = (vc_playout_stats){playout->underruns, playout->underrun_samples,
                                playout->lowest_samples, playout->buffering};
}

vc_status vc_playout_pause_now(vc_playout *playout, int64_t *play_sample)
{
    *play_sample = vc_playout_play_position(playout);
    if (playout->paused) return VC_IGNORED;
    playout->paused = 1;
    playout->fade_out = playout->running;
    playout->fade_in = 0;
    return VC_OK;
}

/* The first samples of the queue, faded to silence, into block; they stay in the queue. */
static size_t render_fade_out(vc_playout *playout, size_t n)
{
    size_t faded = playout->fade_samples < n ? playout->fade_samples : n;
    size_t level = vc_ring_level(playout->audio);
    size_t tail = playout->tail_samples - (playout->tail_samples ? playout->tail_at : 0);
    if (faded > level && faded > tail) faded = level > tail ? level : tail;
    if (faded == 0) return 0;
    if (level > faded) level = faded;
    (void)vc_ring_peek(playout->audio, 0, playout->block, level);
    memset(playout->block + level, 0, (faded - level) * sizeof(int16_t));
    if (tail > 0) vc_playout_mix_tail(playout, playout->block, faded);
    playout->tail_samples = 0;
    vc_gain_fade_s16(playout->block, faded, 1.0f, 0.0f);
    return faded;
}

/* Obeys the controls; returns how many samples at the head of block are a flush's fade. */
static size_t obey_controls(vc_playout *playout, size_t n, int64_t now_ns)
{
    size_t faded = 0;
    control entry;
    while (vc_ring_level(playout->controls) > 0) { /* mostly none: a look is quicker than a pull */
        int64_t cursor;
        size_t one = 1;
        (void)vc_ring_pull(playout->controls, &entry, &one);
        switch (entry.kind) {
        case PAUSE: (void)vc_playout_pause_now(playout, &cursor); break;
        case RESUME:
            if (playout->paused) {
                playout->paused = 0;
                /* A fade that was not rendered yet is simply dropped. */
                playout->fade_in = playout->running && !playout->fade_out;
                playout->fade_out = 0;
            }
            break;
        case FLUSH:
            if (playout->running && (!playout->paused || playout->fade_out)) {
                faded = render_fade_out(playout, n);
                vc_playout_level_apply(playout, playout->block, faded);
            }
            vc_playout_level_unduck_at_once(playout);
            vc_playout_drop_replacements(playout, entry.position);
            cursor = vc_playout_play_position(playout);
            if (entry.position > cursor)
                (void)vc_ring_skip(playout->audio, (size_t)(entry.position - cursor));
            vc_playout_post(playout, VC_EVENT_FLUSHED, now_ns, cursor,
                            vc_playout_play_position(playout), 0);
            vc_playout_pass_marks(playout, entry.position, now_ns, 1);
            playout->paused = playout->fade_out = playout->fade_in = 0;
            playout->running = playout->dry = playout->from_filler = 0;
            break;
        case GAIN: vc_playout_level_set_gain(playout, entry.gain, entry.ramp_samples); break;
        case DUCK: (void)vc_playout_duck_now(playout); break;
        case UNDUCK: (void)vc_playout_unduck_now(playout); break;
        }
    }
    return faded;
}

/* Behind the block's agent audio, which ends at `filled` of n and at `end` of the timeline: did the
 * queue run dry? */
static void watch_queue(vc_playout *playout, int64_t end, size_t filled, size_t n, int64_t now_ns)
{
    int64_t level = (int64_t)vc_ring_level(playout->audio);
    if (playout->segment_is_new && level > 0) {
        playout->lowest_samples = level;
        playout->segment_is_new = 0;
    } else if (level < playout->lowest_samples &&
               atomic_load_explicit(&playout->last_end, memory_order_acquire) < end) {
        playout->lowest_samples = level;
    }
    /* One that ends exactly with this block may still be fed in time for the next. */
    if (level > 0 || (playout->segment_end != end && filled == n)) return;
    int underrun = playout->segment_end != end;
    playout->underruns += (uint64_t)underrun;
    playout->running = 0;
    if (underrun) vc_playout_dry_ran_out(playout, filled);
    vc_playout_post(playout, VC_EVENT_PLAYOUT_DRAINED, now_ns, end, underrun, 0);
}

/* Fills block with n samples at the play rate; nonzero if agent audio is in it. */
static int fill_block(vc_playout *playout, size_t n, int64_t now_ns)
{
    size_t filled = obey_controls(playout, n, now_ns);
    size_t levelled = filled;
    vc_playout_level_report(playout, now_ns);
    if (playout->filler) vc_playout_filler_begin(playout);
    int heard = filled > 0;

    if (playout->paused) {
        if (playout->fade_out) {
            vc_playout_post(playout, VC_EVENT_PAUSED, now_ns, vc_playout_play_position(playout), 0,
                            0);
            filled = render_fade_out(playout, n);
            heard = filled > 0;
            playout->fade_out = 0;
        }
    } else {
        size_t at = filled, taken;
        filled = vc_playout_take(playout, filled, n, now_ns, &taken);
        if ((playout->fade_in || playout->from_filler) && taken > 0) {
            size_t fade = playout->fade_samples < taken ? playout->fade_samples : taken;
            vc_gain_fade_s16(playout->block + at, fade, 0.0f, 1.0f);
            playout->fade_in = playout->from_filler = 0;
        }
        if (filled > at) heard = 1;
        if (playout->filler) vc_playout_filler_heard(playout, at, filled);
        int64_t end = vc_playout_play_position(playout);
        vc_playout_pass_marks(playout, end, now_ns, 0);
        if (playout->running)
            watch_queue(playout, end, filled, n, now_ns);
        else if (playout->dry && playout->segment_end == end)
            vc_playout_dry_over(playout, filled); /* it was complete, which was said too late */
    }
    memset(playout->block + filled, 0, (n - filled) * sizeof(int16_t));
    if (playout->filler) vc_playout_add_decay(playout, filled, n);
    vc_playout_level_apply(playout, playout->block + levelled, n - levelled);
    return heard;
}

vc_status vc_playout_render(vc_playout *playout, int64_t now_ns, int16_t *samples)
{
    const vc_playout_config *config = &playout->config;
    size_t n_out = (size_t)config->rate_hz / 50;
    /* The resampler gives floor(in * out_hz / in_hz): take just as much as that needs. */
    int64_t out_total = playout->out_total + (int64_t)n_out;
    int64_t in_total = (out_total * config->play_hz + config->rate_hz - 1) / config->rate_hz;
    size_t n_in = (size_t)(in_total - playout->in_total);

    int heard = fill_block(playout, n_in, now_ns);
    if (atomic_load_explicit(&playout->room_wanted, memory_order_acquire) &&
        vc_ring_room(playout->audio) * 2 >= vc_ring_capacity(playout->audio)) {
        atomic_store_explicit(&playout->room_wanted, 0, memory_order_relaxed);
        vc_playout_post(playout, VC_EVENT_ROOM, now_ns, 0, 0, 0);
    }

    int whole = config->play_hz % 50 == 0;
    if (!heard && playout->resampler_idle && whole) {
        memset(samples, 0, n_out * sizeof(int16_t));
        if (playout->filler) vc_playout_add_filler(playout, samples, n_out);
        playout->rendered += (int64_t)n_out;
        return VC_NEED_MORE;
    }
    size_t consumed = n_in, produced = n_out;
    (void)vc_resample_process_s16(playout->resampler, playout->block, &consumed, samples,
                                  &produced);
    memset(samples + produced, 0, (n_out - produced) * sizeof(int16_t));
    playout->in_total = in_total;
    playout->out_total = out_total;
    /* One silent block is longer than the filter: after it the resampler is as new. */
    playout->resampler_idle = !heard;
    if (!heard && whole) {
        vc_resample_reset(playout->resampler);
        playout->in_total = playout->out_total = 0;
    }
    if (playout->filler) vc_playout_add_filler(playout, samples, n_out);
    playout->rendered += (int64_t)n_out;
    return heard ? VC_OK : VC_NEED_MORE;
}

void vc_playout_prefetch(const vc_playout *playout, vc_turns_away turns)
{
    switch (turns) {
    case VC_FOURTH: break;
    case VC_THIRD: vc_prefetch(playout, offsetof(vc_playout, block) + 160 * sizeof(int16_t)); break;
    case VC_SECOND:
        vc_ring_prefetch(playout->audio, (size_t)playout->config.play_hz / 50, turns);
        vc_ring_prefetch(playout->marks, 1, turns);
        vc_ring_prefetch(playout->controls, 1, turns);
        vc_ring_prefetch(playout->replacements, 1, turns);
        break;
    case VC_NEXT:
        vc_ring_prefetch(playout->audio, (size_t)playout->config.play_hz / 50, turns);
        vc_ring_prefetch(playout->marks, 1, turns);
        break;
    }
}
