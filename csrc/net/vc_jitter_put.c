/* vc_jitter_put: where a packet belongs. Sequence and timestamp arithmetic, restart by two packets
 * in a row, jitter: RFC 3550; redundancy: RFC 2198; comfort noise: RFC 3389. */
#include <math.h>
#include <string.h>

#include "net/vc_jitter_state.h"
#include "net/vc_red.h"

#define MAX_AHEAD_S  10
#define MAX_BEHIND_S 2
#define MAX_SEQUENCE 1000 /* below VC_JITTER_SEEN */
#define OLD_SSRC_NS  (2u * (uint64_t)VC_NS_PER_S)

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
        s->opened_ns[(uint64_t)i % VC_JITTER_OPENED] = s->now_ns;
    }
    if (index > s->reference_index) {
        s->reference_index = index;
        s->reference_sequence = sequence;
    }
    uint64_t bit = (uint64_t)index % VC_JITTER_SEEN;
    s->seen[bit / 64] |= 1ULL << (bit % 64);
}

/* How long ago the first packet younger than this one came; 0 in order. */
static double behind_ms(const vc_jitter_state *s, int64_t index)
{
    if (index >= s->reference_index) return 0.0;
    if (index <= s->reference_index - VC_JITTER_OPENED) index = s->reference_index - 1;
    uint64_t opened_ns = (uint64_t)s->opened_ns[(uint64_t)index % VC_JITTER_OPENED];
    double ms = (double)((uint64_t)s->now_ns - opened_ns) / VC_NS_PER_MS;
    return ms > 0.001 ? ms : 0.001; /* out of order, be it in the same moment */
}

int64_t vc_jitter_missing(const vc_jitter *jitter, int64_t after, int64_t before)
{
    int64_t oldest = jitter->s.reference_index - VC_JITTER_SEEN + 1, missing = 0;
    for (int64_t i = after + 1 > oldest ? after + 1 : oldest; i < before; i++)
        missing += !is_seen(&jitter->s, i);
    return missing;
}

/* -- the stream's timeline -------------------------------------------------------------------- */

static int64_t end_of(const vc_packet_part *part)
{
    return part->position + part->samples;
}

/* Puts a new stream right behind all that is held or decided. */
static void restart(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t *index,
                    int64_t *position)
{
    vc_jitter_state *s = &jitter->s;
    int64_t at = s->position > s->decided_until ? s->position : s->decided_until;
    vc_packet_part *head = vc_packet_buffer_head(jitter->packets);
    for (const vc_packet_part *part = head; part;
         part = vc_packet_buffer_next(jitter->packets, part))
        if (end_of(part) > at) at = end_of(part);
    *index = s->reference_index + 1;
    *position = at;
    s->reference_timestamp = packet->timestamp;
    s->reference_position = at;
    s->ssrc = packet->ssrc;
    s->suspect = s->skip = 0;
    s->has_transit = 0;
    s->restart_ns = s->now_ns;
    vc_delay_manager_rebase(&s->delay);
    vc_drift_rebase(&s->drift);
    if (!head) s->prefill = 1;
    s->stats.resets++;
}

/* Samples of so many RTP ticks, rounded down. */
static int64_t samples_of(int64_t ticks, int32_t rate_hz, int32_t clock_hz)
{
    if (rate_hz == clock_hz) return ticks;
    int64_t scaled = ticks * rate_hz, samples = scaled / clock_hz;
    return samples - (scaled % clock_hz < 0);
}

/* The index and position of a packet. VC_OK, or why it is not taken. */
static vc_status locate(vc_jitter *jitter, const vc_rtp_packet *packet, int32_t clock_hz,
                        int64_t *index, int64_t *position)
{
    vc_jitter_state *s = &jitter->s;
    if (!s->started) {
        s->started = 1;
        s->ssrc = packet->ssrc;
        s->clock_hz = clock_hz;
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
        s->clock_hz = clock_hz;
        restart(jitter, packet, index, position);
        return VC_OK;
    }
    int32_t numbers = (int16_t)(uint16_t)(packet->sequence - s->reference_sequence);
    int32_t ticks = (int32_t)(packet->timestamp - s->reference_timestamp);
    int far_number = numbers > MAX_SEQUENCE || numbers < -MAX_SEQUENCE;
    if (clock_hz != s->clock_hz) { /* another codec, whose timestamps say nothing of the old ones */
        if (far_number || numbers <= 0) return VC_LATE;
        s->clock_hz = clock_hz;
        restart(jitter, packet, index, position);
        *index = s->reference_index + numbers;
        return VC_OK;
    }
    if (s->skip && numbers > 0 && !far_number) {
        restart(jitter, packet, index, position);
        *index = s->reference_index + numbers;
        return VC_OK;
    }
    int far_time = ticks > MAX_AHEAD_S * clock_hz || ticks < -MAX_BEHIND_S * clock_hz;
    if (far_number || far_time) {
        int32_t step = (int32_t)(packet->timestamp - s->suspect_timestamp);
        int vouched = !far_number && numbers > 0;
        int second = s->suspect && packet->sequence == (uint16_t)(s->suspect_sequence + 1) &&
                     step >= 0 && step <= MAX_BEHIND_S * clock_hz;
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
    *position = s->reference_position + samples_of(ticks, jitter->config.rate_hz, clock_hz);
    return VC_OK;
}

/* RFC 3550 section 6.4.1, and what the depth, the wait and the clock's rate are learnt from. */
static void measure_delay(vc_jitter *jitter, int64_t position, double late_ms)
{
    vc_jitter_state *s = &jitter->s;
    double transit_ms =
        vc_jitter_elapsed_ms(jitter) - (double)position * 1000.0 / jitter->config.rate_hz;
    if (s->has_transit)
        s->stats.jitter_ms += (fabs(transit_ms - s->transit_ms) - s->stats.jitter_ms) / 16.0;
    s->has_transit = 1;
    s->transit_ms = transit_ms;
    vc_delay_manager_push(&s->delay, transit_ms, s->now_ns, late_ms);
    vc_drift_push(&s->drift, transit_ms, s->now_ns);
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
    s->timestamp += vc_jitter_ticks(jitter, until - s->position, s->clock_hz);
    s->position = until;
    vc_conceal_cut(jitter->conceal);
}

static void drop_oldest(vc_jitter *jitter)
{
    vc_packet_part *head = vc_packet_buffer_head(jitter->packets);
    int64_t index = head->index, until = end_of(head);
    for (; head && head->index == index; head = vc_packet_buffer_head(jitter->packets)) {
        jitter->s.stats.discarded += head->last;
        until = end_of(head);
        vc_packet_buffer_remove(jitter->packets, head);
    }
    give_up(jitter, index, until);
}

/* -- put -------------------------------------------------------------------------------------- */

/* Samples in a payload, 0 if it is none of this codec's. */
static size_t samples_in(const vc_jitter *jitter, int codec, const uint8_t *payload, size_t bytes)
{
    size_t n = 0, most = (size_t)jitter->frame * (VC_JITTER_MAX_PACKET_MS / VC_TICK_MS);
    switch (codec) {
    case VC_CODEC_PCMU:
    case VC_CODEC_PCMA: n = bytes; break;
    case VC_CODEC_L16: n = bytes % 2 ? 0 : bytes / 2; break;
    case VC_CODEC_G722: n = 2 * bytes; break;
    case VC_CODEC_OPUS:
        if (bytes == 0 || bytes > VC_JITTER_MAX_OPUS_BYTES ||
            vc_opus_packet_samples(jitter->opus, payload, bytes, &n) != VC_OK)
            n = 0;
        break;
    default: break;
    }
    return n > most ? 0 : n;
}

size_t vc_jitter_payload_samples(const vc_jitter *jitter, const vc_rtp_packet *packet)
{
    int codec = vc_jitter_codec_of(jitter, packet->payload_type);
    return samples_in(jitter, codec, packet->payload, packet->payload_bytes);
}

/* How many samples of a codec one part holds, and its bytes. */
static vc_packet_part first_part(const vc_jitter *jitter, int codec, size_t samples, size_t bytes)
{
    vc_packet_part part = {.codec = (uint8_t)codec, .packet_samples = (uint16_t)samples};
    size_t frame = codec == VC_CODEC_OPUS ? samples : (size_t)jitter->frame;
    part.samples = (uint16_t)(samples < frame ? samples : frame);
    part.bytes = (uint16_t)(codec == VC_CODEC_OPUS ? bytes : bytes * part.samples / samples);
    return part;
}

/* Makes room; VC_FULL if something was thrown away for it, VC_E_LENGTH if it was this one. */
static vc_status make_room(vc_jitter *jitter, int64_t index, int64_t position, int64_t end,
                           int32_t parts)
{
    vc_status status = VC_OK;
    int32_t n = (int32_t)(end - position);
    for (;;) {
        const vc_packet_part *head = vc_packet_buffer_head(jitter->packets);
        if (!head) return status;
        if (vc_packet_buffer_samples(jitter->packets) + n <= jitter->max_samples &&
            vc_packet_buffer_free_parts(jitter->packets) >= parts)
            return status;
        status = VC_FULL;
        if (position < head->position) { /* it is itself the oldest */
            give_up(jitter, index, end);
            return VC_E_LENGTH;
        }
        drop_oldest(jitter);
    }
}

/* A packet's audio, at its place. */
static vc_status store(vc_jitter *jitter, int codec, const vc_rtp_packet *packet, size_t n,
                       int64_t index, int64_t position)
{
    vc_jitter_state *s = &jitter->s;
    int64_t end = position + (int64_t)n;
    if (!s->begun && (position < s->position || !vc_packet_buffer_head(jitter->packets))) {
        s->position = position; /* nothing was given out yet: an older packet may still lead */
        s->conceal_until = s->decided_until = position;
        s->timestamp = packet->timestamp;
        s->last_index = index - 1;
    }
    if (end <= s->position || position < s->decided_until) {
        s->stats.late++;
        return VC_LATE;
    }
    vc_packet_part part = first_part(jitter, codec, n, packet->payload_bytes);
    size_t step = part.samples, step_bytes = part.bytes;
    vc_status status = make_room(jitter, index, position, end, (int32_t)((n + step - 1) / step));
    if (status == VC_E_LENGTH) {
        s->stats.discarded++;
        return VC_FULL;
    }
    int32_t clock_hz = vc_jitter_clock_hz(jitter, codec);
    part.index = index;
    part.arrival_ns = s->now_ns;
    size_t at_bytes = 0;
    for (size_t at = 0; at < n; at += step, at_bytes += step_bytes) {
        part.position = position + (int64_t)at;
        part.timestamp = packet->timestamp + vc_jitter_ticks(jitter, (int64_t)at, clock_hz);
        part.last = n - at <= step;
        if (part.last) {
            part.samples = (uint16_t)(n - at);
            part.bytes = (uint16_t)(packet->payload_bytes - at_bytes);
        }
        /* There is room: it was made. */
        if (vc_packet_buffer_insert(jitter->packets, &part, packet->payload + at_bytes) != VC_OK)
            return VC_FULL;
    }
    return status;
}

static vc_status put_audio(vc_jitter *jitter, int codec, const vc_rtp_packet *packet)
{
    vc_jitter_state *s = &jitter->s;
    s->stats.received++;
    size_t n = samples_in(jitter, codec, packet->payload, packet->payload_bytes);
    if (n == 0 || packet->payload_bytes > UINT16_MAX) {
        s->stats.rejected++;
        return VC_E_PACKET;
    }
    int64_t index, position;
    vc_status status = locate(jitter, packet, vc_jitter_clock_hz(jitter, codec), &index, &position);
    if (status != VC_OK) {
        s->stats.late += status == VC_LATE;
        s->stats.discarded += status == VC_IGNORED;
        return status;
    }
    if (is_seen(s, index)) {
        s->stats.duplicate++;
        return VC_DUPLICATE;
    }
    double late_ms = behind_ms(s, index);
    s->stats.reordered += late_ms > 0.0;
    if (index > s->reference_index) {
        s->reference_timestamp = packet->timestamp;
        s->reference_position = position;
        s->comfort_noise = 0;
    }
    see(s, index, packet->sequence);
    measure_delay(jitter, position, late_ms);
    return store(jitter, codec, packet, n, index, position);
}

/* A redundant block whose packet has not come: RFC 2198 gives it no sequence number, but packets
 * are equally long as a rule, so its distance in time says how many packets back it belongs. */
static void put_redundant(vc_jitter *jitter, const vc_rtp_packet *packet, const vc_red_block *block)
{
    vc_jitter_state *s = &jitter->s;
    int codec = vc_jitter_codec_of(jitter, block->payload_type);
    if (codec < 0 || codec > VC_CODEC_OPUS || !s->started || packet->ssrc != s->ssrc) return;
    size_t n = samples_in(jitter, codec, block->payload, block->payload_bytes);
    int32_t clock_hz = vc_jitter_clock_hz(jitter, codec);
    uint32_t length = vc_jitter_ticks(jitter, (int64_t)n, clock_hz);
    if (n == 0 || length == 0 || clock_hz != s->clock_hz || block->offset_ticks % length) return;
    uint32_t back = block->offset_ticks / length;
    vc_rtp_packet older = *packet;
    older.sequence = (uint16_t)(packet->sequence - back);
    older.timestamp = packet->timestamp - block->offset_ticks;
    older.payload = block->payload;
    older.payload_bytes = block->payload_bytes;
    int32_t numbers = (int16_t)(uint16_t)(older.sequence - s->reference_sequence);
    int64_t index = s->reference_index + numbers;
    if (back == 0 || numbers > MAX_SEQUENCE || numbers < -MAX_SEQUENCE || is_seen(s, index)) return;
    int32_t ticks = (int32_t)(older.timestamp - s->reference_timestamp);
    if (ticks > MAX_BEHIND_S * clock_hz || ticks < -MAX_BEHIND_S * clock_hz) return;
    int64_t position = s->reference_position + samples_of(ticks, jitter->config.rate_hz, clock_hz);
    if (position + (int64_t)n <= s->position || position < s->decided_until) return;
    s->stats.received++;
    if (index > s->reference_index) {
        s->reference_timestamp = older.timestamp;
        s->reference_position = position;
    }
    see(s, index, older.sequence);
    vc_status status = store(jitter, codec, &older, n, index, position);
    s->stats.recovered += status == VC_OK;
}

static vc_status put_red(vc_jitter *jitter, const vc_rtp_packet *packet)
{
    vc_red_block blocks[VC_RED_MAX_BLOCKS];
    size_t n = VC_RED_MAX_BLOCKS;
    vc_status status = vc_red_parse(packet->payload, packet->payload_bytes, blocks, &n);
    int codec = status == VC_OK ? vc_jitter_codec_of(jitter, blocks[n - 1].payload_type) : -1;
    if (codec < 0 || codec > VC_CODEC_OPUS) {
        jitter->s.stats.received++;
        jitter->s.stats.rejected++;
        return VC_E_PACKET;
    }
    for (size_t i = 0; i + 1 < n; i++) put_redundant(jitter, packet, &blocks[i]);
    vc_rtp_packet primary = *packet;
    primary.payload = blocks[n - 1].payload;
    primary.payload_bytes = blocks[n - 1].payload_bytes;
    return put_audio(jitter, codec, &primary);
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
    if (!s->begun || index > s->last_index) return VC_OK;
    s->stats.received++;
    s->stats.late++;
    return VC_LATE;
}

static vc_status put_comfort_noise(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t now_ns)
{
    vc_comfort_noise_model model;
    if (vc_comfort_noise_parse(packet->payload, packet->payload_bytes, &model) != VC_OK) {
        jitter->s.stats.received++;
        jitter->s.stats.rejected++;
        return VC_E_PACKET;
    }
    vc_status status = vc_jitter_note(jitter, packet, now_ns);
    if (status != VC_OK || packet->sequence != jitter->s.reference_sequence) return status;
    jitter->s.comfort_noise = 1;
    if (jitter->noise && vc_comfort_noise_set_model(jitter->noise, &model) == VC_OK)
        jitter->s.noise_known = 1;
    return status;
}

vc_status vc_jitter_put(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t now_ns)
{
    if (!jitter || !packet || (packet->payload_bytes > 0 && !packet->payload)) return VC_E_NULL;
    vc_jitter_clock(jitter, now_ns);
    int codec = vc_jitter_codec_of(jitter, packet->payload_type);
    switch (codec) {
    case VC_CODEC_RED: return put_red(jitter, packet);
    case VC_CODEC_CN: return put_comfort_noise(jitter, packet, now_ns);
    case VC_CODEC_EVENTS: return vc_jitter_note(jitter, packet, now_ns);
    case -1:
        jitter->s.stats.received++;
        jitter->s.stats.discarded++;
        return VC_IGNORED;
    default: return put_audio(jitter, codec, packet);
    }
}
