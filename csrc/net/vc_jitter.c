/* vc_jitter: the packet store and listen mode; play mode is in vc_jitter_play.c. See vc_jitter.h.
 * Sequence and timestamp arithmetic, restart by two packets in a row, jitter: RFC 3550. */
#include "net/vc_jitter.h"

#include <math.h>
#include <string.h>

#include "codec/vc_g711.h"
#include "net/vc_jitter_store.h"

#define NONE         (-1)
#define MAX_AHEAD_S  10
#define MAX_BEHIND_S 2
#define MAX_SEQUENCE 1000 /* below VC_JITTER_SEEN */
#define OLD_SSRC_NS  (2u * (uint64_t)VC_NS_PER_S)

vc_jitter_config vc_jitter_config_default(void)
{
    return (vc_jitter_config){.mode = VC_JITTER_LISTEN,
                              .codec = VC_CODEC_PCMU,
                              .rate_hz = 8000,
                              .loss_wait_ms = 60,
                              .min_depth_ms = 20,
                              .max_depth_ms = 400};
}

static size_t round_up(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

vc_status vc_jitter_create(vc_jitter **out, const vc_jitter_config *config)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (!config) return VC_E_NULL;
    if (config->mode != VC_JITTER_LISTEN && config->mode != VC_JITTER_PLAY) return VC_E_RANGE;
    if (config->codec != VC_CODEC_PCMU && config->codec != VC_CODEC_PCMA &&
        config->codec != VC_CODEC_L16)
        return VC_E_RANGE;
    if (config->rate_hz < 8000 || config->rate_hz > 48000 || config->rate_hz % 50 != 0)
        return VC_E_RATE;
    if (config->loss_wait_ms < 0 || config->loss_wait_ms > 500) return VC_E_RANGE;
    if (config->max_depth_ms < 40 || config->max_depth_ms > 2000) return VC_E_RANGE;
    if (config->min_depth_ms < 0 || config->min_depth_ms > 500) return VC_E_RANGE;
    if (config->min_depth_ms > config->max_depth_ms - VC_TICK_MS) return VC_E_RANGE;

    vc_conceal *conceal;
    vc_status status = vc_conceal_create(&conceal, config->rate_hz, config->allocator);
    if (status != VC_OK) return status;
    int frame = config->rate_hz / 50, sample_bytes = config->codec == VC_CODEC_L16 ? 2 : 1;
    int count = config->max_depth_ms / 10 + VC_JITTER_MAX_PACKET_MS / VC_TICK_MS;
    size_t own = round_up(sizeof(vc_jitter));
    size_t parts = round_up((size_t)count * sizeof(vc_jitter_part));
    size_t scratch = round_up(vc_conceal_shorten_samples(conceal) * sizeof(int16_t));
    size_t payload = (size_t)count * (size_t)frame * (size_t)sample_bytes;
    vc_jitter *jitter = vc_allocate(config->allocator, own + parts + scratch + payload);
    if (!jitter) {
        vc_conceal_destroy(conceal);
        return VC_E_MEMORY;
    }
    unsigned char *memory = (unsigned char *)jitter;
    jitter->config = *config;
    jitter->frame = frame;
    jitter->sample_bytes = sample_bytes;
    jitter->max_samples = (int32_t)((int64_t)config->max_depth_ms * config->rate_hz / 1000);
    jitter->part_count = count;
    jitter->parts = (vc_jitter_part *)(memory + own);
    jitter->scratch = (int16_t *)(memory + own + parts);
    jitter->payload = memory + own + parts + scratch;
    jitter->conceal = conceal;
    if (config->allocator) {
        jitter->allocator = *config->allocator;
        jitter->config.allocator = &jitter->allocator;
    }
    vc_jitter_reset(jitter);
    *out = jitter;
    return VC_OK;
}

void vc_jitter_destroy(vc_jitter *jitter)
{
    if (!jitter) return;
    vc_conceal_destroy(jitter->conceal);
    vc_allocator allocator = jitter->allocator;
    vc_release(jitter->config.allocator ? &allocator : NULL, jitter);
}

void vc_jitter_reset(vc_jitter *jitter)
{
    memset(&jitter->s, 0, sizeof jitter->s);
    vc_conceal_reset(jitter->conceal);
    vc_delay_manager_reset(&jitter->s.delay);
    jitter->s.head = jitter->s.tail = NONE;
    jitter->s.free_list = 0;
    jitter->s.free_parts = jitter->part_count;
    for (int i = 0; i < jitter->part_count; i++)
        jitter->parts[i].next = (int16_t)(i + 1 < jitter->part_count ? i + 1 : NONE);
    jitter->s.prefill = 1;
}

int64_t vc_jitter_clock(vc_jitter *jitter, int64_t now_ns)
{
    vc_jitter_state *s = &jitter->s;
    if (!s->clock_set) s->first_ns = s->now_ns = now_ns;
    s->clock_set = 1;
    if (now_ns > s->now_ns) s->now_ns = now_ns;
    return s->now_ns;
}

/* -- the store -------------------------------------------------------------------------------- */

static int64_t end_of(const vc_jitter_part *part)
{
    return part->position + part->samples;
}

static void remove_part(vc_jitter *jitter, vc_jitter_part *part)
{
    vc_jitter_state *s = &jitter->s;
    int16_t slot = (int16_t)(part - jitter->parts);
    if (part->previous == NONE)
        s->head = part->next;
    else
        jitter->parts[part->previous].next = part->next;
    if (part->next == NONE)
        s->tail = part->previous;
    else
        jitter->parts[part->next].previous = part->previous;
    s->held_samples -= part->samples - part->taken;
    s->stats.held -= part->last;
    part->next = s->free_list;
    s->free_list = slot;
    s->free_parts++;
}

static void insert_part(vc_jitter *jitter, const vc_jitter_part *fields, const uint8_t *bytes)
{
    vc_jitter_state *s = &jitter->s;
    int16_t slot = s->free_list, before = s->tail;
    vc_jitter_part *part = &jitter->parts[slot];
    s->free_list = part->next;
    s->free_parts--;
    *part = *fields;
    memcpy(jitter->payload + (size_t)slot * (size_t)(jitter->frame * jitter->sample_bytes), bytes,
           (size_t)part->samples * (size_t)jitter->sample_bytes);
    while (before != NONE && jitter->parts[before].position > part->position)
        before = jitter->parts[before].previous;
    part->previous = before;
    part->next = before == NONE ? s->head : jitter->parts[before].next;
    if (before == NONE)
        s->head = slot;
    else
        jitter->parts[before].next = slot;
    if (part->next == NONE)
        s->tail = slot;
    else
        jitter->parts[part->next].previous = slot;
    s->held_samples += part->samples;
    s->stats.held += part->last;
}

vc_jitter_part *vc_jitter_head(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    while (s->head != NONE) {
        vc_jitter_part *part = &jitter->parts[s->head];
        int64_t over = s->position - part->position;
        if (over <= part->taken) return part;
        if (over < part->samples) { /* packets overlap: the rest of it is still new */
            s->held_samples -= (int32_t)over - part->taken;
            part->taken = (uint16_t)over;
            return part;
        }
        s->stats.discarded += part->last;
        remove_part(jitter, part);
    }
    return NULL;
}

void vc_jitter_decode(const vc_jitter *jitter, const vc_jitter_part *part, size_t from,
                      int16_t *samples, size_t n)
{
    size_t slot_bytes = (size_t)(jitter->frame * jitter->sample_bytes);
    const uint8_t *bytes = jitter->payload + (size_t)(part - jitter->parts) * slot_bytes +
                           from * (size_t)jitter->sample_bytes;
    switch (jitter->config.codec) {
    case VC_CODEC_PCMU: vc_g711_ulaw_decode(bytes, samples, n); break;
    case VC_CODEC_PCMA: vc_g711_alaw_decode(bytes, samples, n); break;
    case VC_CODEC_L16:
        for (size_t i = 0; i < n; i++)
            samples[i] = (int16_t)(uint16_t)(bytes[2 * i] << 8 | bytes[2 * i + 1]);
        break;
    }
}

void vc_jitter_advance(vc_jitter *jitter, vc_jitter_part *head, size_t n)
{
    vc_jitter_state *s = &jitter->s;
    s->begun = 1;
    s->position += (int64_t)n;
    s->held_samples -= (int32_t)n;
    head->taken = (uint16_t)(head->taken + n);
    s->timestamp = head->timestamp + head->taken;
    if (head->taken < head->samples) return;
    s->stats.decoded += head->last;
    if (head->index > s->last_index) s->last_index = head->index;
    s->packet_samples = head->packet_samples;
    remove_part(jitter, head);
}

size_t vc_jitter_emit(vc_jitter *jitter, int16_t *samples, size_t n, vc_frame_kind kind)
{
    vc_jitter_state *s = &jitter->s;
    if (kind == VC_FRAME_DECODED) {
        vc_jitter_part *head = &jitter->parts[s->head];
        size_t left = (size_t)(head->samples - head->taken);
        if (n > left) n = left;
        vc_jitter_decode(jitter, head, head->taken, samples, n);
        vc_jitter_advance(jitter, head, n);
        vc_conceal_decoded(jitter->conceal, samples, n);
    } else {
        int64_t until = kind == VC_FRAME_CONCEALED ? s->conceal_until : s->decided_until;
        if ((int64_t)n > until - s->position) n = (size_t)(until - s->position);
        if (kind == VC_FRAME_CONCEALED) {
            vc_conceal_fill(jitter->conceal, samples, n);
            s->stats.concealed_samples += n;
        } else {
            vc_conceal_silence(jitter->conceal, samples, n);
            s->stats.silence_samples += n;
        }
        s->begun = 1;
        s->position += (int64_t)n;
        s->timestamp += (uint32_t)n;
    }
    s->stats.output_samples += n;
    return n;
}

/* -- sequence numbers ------------------------------------------------------------------------- */

static int is_seen(const vc_jitter_state *s, int64_t index)
{
    if (index > s->reference_index) return 0;
    if (index <= s->reference_index - VC_JITTER_SEEN) return 1; /* too long ago to tell */
    uint64_t bit = (uint64_t)index % VC_JITTER_SEEN;
    return (int)(s->seen[bit / 64] >> (bit % 64) & 1);
}

/* Marks a packet as come; a newer one than all before becomes the reference. */
static void see(vc_jitter_state *s, int64_t index, uint16_t sequence)
{
    for (int64_t i = s->reference_index + 1; i <= index; i++) {
        uint64_t bit = (uint64_t)i % VC_JITTER_SEEN;
        s->seen[bit / 64] &= ~(1ULL << (bit % 64));
    }
    if (index > s->reference_index) {
        s->reference_index = index;
        s->reference_sequence = sequence;
    }
    uint64_t bit = (uint64_t)index % VC_JITTER_SEEN;
    s->seen[bit / 64] |= 1ULL << (bit % 64);
}

int64_t vc_jitter_missing(const vc_jitter *jitter, int64_t after, int64_t before)
{
    int64_t oldest = jitter->s.reference_index - VC_JITTER_SEEN + 1, missing = 0;
    for (int64_t i = after + 1 > oldest ? after + 1 : oldest; i < before; i++)
        missing += !is_seen(&jitter->s, i);
    return missing;
}

void vc_jitter_settle(vc_jitter *jitter, const vc_jitter_part *head, int64_t missing, int64_t done)
{
    vc_jitter_state *s = &jitter->s;
    int64_t gap = head->position - s->position;
    int64_t usual =
        head->packet_samples > s->packet_samples ? head->packet_samples : s->packet_samples;
    int64_t concealed = missing * usual - done;
    concealed = concealed < 0 ? 0 : concealed > gap ? gap : concealed;
    s->conceal_until = s->position + concealed;
    s->decided_until = head->position;
    s->stats.lost += (uint64_t)missing;
    if (head->index - 1 > s->last_index) s->last_index = head->index - 1;
}

/* -- put -------------------------------------------------------------------------------------- */

/* Puts a new stream right behind all that is held or decided. */
static void restart(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t *index,
                    int64_t *position)
{
    vc_jitter_state *s = &jitter->s;
    int64_t at = s->position > s->decided_until ? s->position : s->decided_until;
    for (int16_t i = s->head; i != NONE; i = jitter->parts[i].next)
        if (end_of(&jitter->parts[i]) > at) at = end_of(&jitter->parts[i]);
    *index = s->reference_index + 1;
    *position = at;
    s->reference_timestamp = packet->timestamp;
    s->reference_position = at;
    s->ssrc = packet->ssrc;
    s->suspect = 0;
    s->has_transit = 0;
    s->restart_ns = s->now_ns;
    vc_delay_manager_reset(&s->delay);
    if (s->head == NONE) s->prefill = 1;
    s->stats.resets++;
}

/* The index and position of a packet. VC_OK, or why it is not taken. */
static vc_status locate(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t *index,
                        int64_t *position)
{
    vc_jitter_state *s = &jitter->s;
    if (!s->started) {
        s->started = 1;
        s->ssrc = packet->ssrc;
        s->reference_timestamp = packet->timestamp;
        s->last_index = -1;
        s->reference_index = -1; /* so that the first packet becomes the reference */
        *index = *position = 0;
        return VC_OK;
    }
    if (packet->ssrc != s->ssrc) {
        uint64_t age = (uint64_t)s->now_ns - (uint64_t)s->restart_ns;
        if (s->has_old_ssrc && packet->ssrc == s->old_ssrc && age < OLD_SSRC_NS) return VC_LATE;
        s->old_ssrc = s->ssrc;
        s->has_old_ssrc = 1;
        restart(jitter, packet, index, position);
        return VC_OK;
    }
    int32_t numbers = (int16_t)(uint16_t)(packet->sequence - s->reference_sequence);
    int32_t ticks = (int32_t)(packet->timestamp - s->reference_timestamp);
    int32_t rate = jitter->config.rate_hz;
    int far_number = numbers > MAX_SEQUENCE || numbers < -MAX_SEQUENCE;
    int far_time = ticks > MAX_AHEAD_S * rate || ticks < -MAX_BEHIND_S * rate;
    if (far_number || far_time) {
        int32_t step = (int32_t)(packet->timestamp - s->suspect_timestamp);
        int vouched = !far_number && numbers > 0;
        int second = s->suspect && packet->sequence == (uint16_t)(s->suspect_sequence + 1) &&
                     step >= 0 && step <= MAX_BEHIND_S * rate;
        if (vouched || second) {
            restart(jitter, packet, index, position);
            return VC_OK;
        }
        s->suspect = 1;
        s->suspect_sequence = packet->sequence;
        s->suspect_timestamp = packet->timestamp;
        return VC_IGNORED;
    }
    s->suspect = 0;
    *index = s->reference_index + numbers;
    *position = s->reference_position + ticks;
    return VC_OK;
}

/* RFC 3550 section 6.4.1, and what play mode learns its depth from. */
static void measure_delay(vc_jitter *jitter, int64_t position)
{
    vc_jitter_state *s = &jitter->s;
    double elapsed_ms = (double)((uint64_t)s->now_ns - (uint64_t)s->first_ns) / VC_NS_PER_MS;
    double transit_ms = elapsed_ms - (double)position * 1000.0 / jitter->config.rate_hz;
    if (s->has_transit)
        s->stats.jitter_ms += (fabs(transit_ms - s->transit_ms) - s->stats.jitter_ms) / 16.0;
    s->has_transit = 1;
    s->transit_ms = transit_ms;
    vc_delay_manager_push(&s->delay, transit_ms, s->now_ns, 0.0);
}

/* Everything up to `until` is settled: missing packets before `index` are lost, a hole is
 * concealed (listen) or passed over (play). */
static void give_up(vc_jitter *jitter, int64_t index, int64_t until)
{
    vc_jitter_state *s = &jitter->s;
    s->stats.lost += (uint64_t)vc_jitter_missing(jitter, s->last_index, index);
    if (index > s->last_index) s->last_index = index;
    if (until < s->position) until = s->position;
    if (until < s->decided_until) until = s->decided_until;
    s->conceal_until = s->decided_until = until;
    s->begun = 1;
    if (jitter->config.mode == VC_JITTER_LISTEN) return;
    s->timestamp += (uint32_t)(uint64_t)(until - s->position);
    s->position = until;
    vc_conceal_cut(jitter->conceal);
}

static void drop_oldest(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    int64_t index = jitter->parts[s->head].index, until = jitter->parts[s->head].position;
    while (s->head != NONE && jitter->parts[s->head].index == index) {
        vc_jitter_part *part = &jitter->parts[s->head];
        if (end_of(part) > until) until = end_of(part);
        s->stats.discarded += part->last;
        remove_part(jitter, part);
    }
    give_up(jitter, index, until);
}

vc_status vc_jitter_put(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t now_ns)
{
    if (!jitter || !packet || (packet->payload_bytes > 0 && !packet->payload)) return VC_E_NULL;
    vc_jitter_state *s = &jitter->s;
    s->stats.received++;
    size_t sample_bytes = (size_t)jitter->sample_bytes, frame = (size_t)jitter->frame;
    size_t n = packet->payload_bytes / sample_bytes;
    if (n == 0 || packet->payload_bytes % sample_bytes != 0 ||
        n > frame * (VC_JITTER_MAX_PACKET_MS / VC_TICK_MS)) {
        s->stats.rejected++;
        return VC_E_PACKET;
    }
    vc_jitter_clock(jitter, now_ns);
    int64_t index, position;
    vc_status status = locate(jitter, packet, &index, &position);
    if (status != VC_OK) {
        s->stats.late += status == VC_LATE;
        s->stats.discarded += status == VC_IGNORED;
        return status;
    }
    if (is_seen(s, index)) {
        s->stats.duplicate++;
        return VC_DUPLICATE;
    }
    s->stats.reordered += index < s->reference_index;
    if (index > s->reference_index) {
        s->reference_timestamp = packet->timestamp;
        s->reference_position = position;
    }
    see(s, index, packet->sequence);
    measure_delay(jitter, position);

    int64_t end = position + (int64_t)n;
    if (!s->begun && (position < s->position || s->head == NONE)) {
        s->position = position; /* nothing was given out yet: an older packet may still lead */
        s->conceal_until = s->decided_until = position;
        s->timestamp = packet->timestamp;
        s->last_index = index - 1;
    }
    if (end <= s->position || position < s->decided_until) {
        s->stats.late++;
        return VC_LATE;
    }
    int32_t parts = (int32_t)((n + frame - 1) / frame);
    while (s->head != NONE &&
           (s->held_samples + (int32_t)n > jitter->max_samples || s->free_parts < parts)) {
        status = VC_FULL;
        if (position < jitter->parts[s->head].position) { /* it is itself the oldest */
            s->stats.discarded++;
            give_up(jitter, index, end);
            return VC_FULL;
        }
        drop_oldest(jitter);
    }
    vc_jitter_part part = {.index = index, .arrival_ns = s->now_ns, .packet_samples = (uint16_t)n};
    for (size_t at = 0; at < n; at += frame) {
        size_t left = n - at;
        part.position = position + (int64_t)at;
        part.timestamp = packet->timestamp + (uint32_t)at;
        part.samples = (uint16_t)(left < frame ? left : frame);
        part.last = left <= frame;
        insert_part(jitter, &part, packet->payload + at * sample_bytes);
    }
    return status;
}

vc_status vc_jitter_note(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t now_ns)
{
    if (!jitter || !packet) return VC_E_NULL;
    vc_jitter_state *s = &jitter->s;
    vc_jitter_clock(jitter, now_ns);
    if (!s->started || packet->ssrc != s->ssrc) return VC_IGNORED;
    int32_t numbers = (int16_t)(uint16_t)(packet->sequence - s->reference_sequence);
    if (numbers > MAX_SEQUENCE || numbers < -MAX_SEQUENCE) return VC_IGNORED;
    int64_t index = s->reference_index + numbers;
    if (is_seen(s, index)) return VC_DUPLICATE;
    see(s, index, packet->sequence);
    return VC_OK;
}

/* -- listen ----------------------------------------------------------------------------------- */

static int64_t deadline_of_gap(const vc_jitter *jitter)
{
    int64_t first = INT64_MAX, wait = jitter->config.loss_wait_ms * VC_NS_PER_MS;
    for (int16_t i = jitter->s.head; i != NONE; i = jitter->parts[i].next)
        if (jitter->parts[i].arrival_ns < first) first = jitter->parts[i].arrival_ns;
    return first > INT64_MAX - wait ? INT64_MAX : first + wait;
}

/* What comes next, once any gap that is due has been settled; NONE if that must wait. */
static int next_kind(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    vc_jitter_part *head = vc_jitter_head(jitter);
    if (head && head->position > s->position && s->position >= s->decided_until) {
        int64_t missing = vc_jitter_missing(jitter, s->last_index, head->index);
        if (missing > 0 && s->now_ns < deadline_of_gap(jitter)) return NONE;
        vc_jitter_settle(jitter, head, missing, 0);
    }
    if (s->position < s->conceal_until) return VC_FRAME_CONCEALED;
    if (s->position < s->decided_until) return VC_FRAME_SILENCE;
    return head ? VC_FRAME_DECODED : NONE;
}

vc_status vc_jitter_read(vc_jitter *jitter, int64_t now_ns, int16_t *samples, size_t *n,
                         vc_frame_info *info)
{
    if (!jitter || !samples || !n || !info) return VC_E_NULL;
    if (jitter->config.mode != VC_JITTER_LISTEN) return VC_E_STATE;
    size_t room = *n, done = 0;
    *n = 0;
    if (room == 0) return VC_E_LENGTH;
    vc_jitter_state *s = &jitter->s;
    now_ns = vc_jitter_clock(jitter, now_ns);
    int kind = next_kind(jitter);
    *info = (vc_frame_info){.position = (int64_t)s->stats.output_samples,
                            .timestamp = s->timestamp,
                            .arrival_ns = now_ns,
                            .kind = kind == NONE ? VC_FRAME_SILENCE : (vc_frame_kind)kind,
                            .depth_samples = s->held_samples};
    if (kind == NONE) return VC_NEED_MORE;
    if (kind == VC_FRAME_DECODED) {
        const vc_jitter_part *head = &jitter->parts[s->head];
        info->arrival_ns = head->arrival_ns;
        info->timestamp = head->timestamp + head->taken;
    }
    for (int next = kind; done < room && next == kind; next = next_kind(jitter))
        done += vc_jitter_emit(jitter, samples + done, room - done, (vc_frame_kind)kind);
    *n = done;
    info->depth_samples = s->held_samples;
    return kind == VC_FRAME_CONCEALED ? VC_CONCEALED : VC_OK;
}

void vc_jitter_get_stats(const vc_jitter *jitter, vc_jitter_stats *stats)
{
    if (!jitter || !stats) return;
    double per_ms = jitter->config.rate_hz / 1000.0;
    *stats = jitter->s.stats;
    stats->depth_ms = jitter->s.held_samples / per_ms;
    stats->target_ms =
        jitter->config.mode == VC_JITTER_PLAY ? vc_jitter_target_samples(jitter) / per_ms : 0.0;
}

int64_t vc_jitter_deadline_ns(const vc_jitter *jitter)
{
    if (!jitter || jitter->config.mode != VC_JITTER_LISTEN) return INT64_MAX;
    const vc_jitter_state *s = &jitter->s;
    if (s->head == NONE || s->position < s->decided_until) return INT64_MAX;
    const vc_jitter_part *head = &jitter->parts[s->head];
    if (head->position <= s->position) return INT64_MAX;
    if (vc_jitter_missing(jitter, s->last_index, head->index) == 0) return INT64_MAX;
    return deadline_of_gap(jitter);
}
