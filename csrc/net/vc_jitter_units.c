/* vc_jitter_units: from packets to samples: decode, conceal, silence, in units of one packet or up
 * to 20 ms. A unit is made whole, so how the output is sliced cannot change it. */
#include <string.h>

#include "codec/vc_l16.h"
#include "net/vc_jitter_state.h"

#define OPUS_STEPS_PER_S 400 /* libopus makes up audio in steps of 2.5 ms */

vc_packet_part *vc_jitter_head(vc_jitter *jitter)
{
    vc_jitter_state *s = &jitter->s;
    for (;;) {
        vc_packet_part *head = vc_packet_buffer_head(jitter->packets);
        /* Packets may overlap: one is of use as long as its end is new. */
        if (!head || head->position + head->samples > s->position) return head;
        s->stats.discarded += head->last;
        vc_packet_buffer_remove(jitter->packets, head);
    }
}

void vc_jitter_settle(vc_jitter *jitter, const vc_packet_part *head, int64_t missing, int64_t done)
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

/* -- decoding --------------------------------------------------------------------------------- */

static int32_t make_up_opus(vc_jitter *jitter, int16_t *samples, int32_t n);

/* The first n samples of a part, if its codec has no memory. */
static int decode_plain(vc_jitter *jitter, const vc_packet_part *part, int16_t *samples, size_t n)
{
    const uint8_t *bytes = vc_packet_buffer_bytes(jitter->packets, part);
    switch (part->codec) {
    case VC_CODEC_PCMU: jitter->g711->ulaw_decode(bytes, samples, n); return 1;
    case VC_CODEC_PCMA: jitter->g711->alaw_decode(bytes, samples, n); return 1;
    case VC_CODEC_L16: vc_l16_decode(bytes, samples, n); return 1;
    default: return 0;
    }
}

static void decode(vc_jitter *jitter, const vc_packet_part *part, int16_t *samples)
{
    const uint8_t *bytes = vc_packet_buffer_bytes(jitter->packets, part);
    size_t n = part->samples;
    if (decode_plain(jitter, part, samples, n)) return;
    switch (part->codec) {
    case VC_CODEC_G722: vc_g722_decode(jitter->g722, bytes, part->bytes, samples); break;
    case VC_CODEC_OPUS:
        /* A damaged packet: libopus makes the audio up, and is silent if it cannot. */
        if (vc_opus_decode(jitter->opus, bytes, part->bytes, samples, &n) != VC_OK ||
            n != part->samples)
            (void)make_up_opus(jitter, samples, part->samples);
        break;
    default: memset(samples, 0, n * sizeof *samples); break;
    }
}

/* The decoder of a codec that comes back knows nothing of what was in between. */
static void enter_codec(vc_jitter *jitter, int codec)
{
    if (jitter->s.codec == codec) return;
    if (codec == VC_CODEC_G722) vc_g722_reset(jitter->g722);
    /* It was made once, so it can be made anew; a failure would leave the old state. */
    if (codec == VC_CODEC_OPUS && vc_opus_decoder_reset(jitter->opus) != VC_OK) return;
    jitter->s.codec = codec;
}

static int32_t make_decoded(vc_jitter *jitter, int16_t *samples, vc_jitter_run *run)
{
    vc_jitter_state *s = &jitter->s;
    vc_packet_part *head = vc_packet_buffer_head(jitter->packets);
    enter_codec(jitter, head->codec);
    decode(jitter, head, samples);
    int32_t n = head->samples, skip = (int32_t)(s->position - head->position);
    int32_t clock_hz = vc_jitter_clock_hz(jitter, head->codec);
    if (skip > 0) memmove(samples, samples + skip, (size_t)(n - skip) * sizeof *samples);
    n -= skip;
    run->arrival_ns = head->arrival_ns;
    run->timestamp = head->timestamp + vc_jitter_ticks(jitter, skip, clock_hz);
    run->clock_hz = clock_hz;
    s->timestamp = head->timestamp + vc_jitter_ticks(jitter, head->samples, clock_hz);
    s->stats.decoded += head->last;
    if (head->index > s->last_index) s->last_index = head->index;
    s->packet_samples = head->packet_samples;
    vc_packet_buffer_remove(jitter->packets, head);
    vc_conceal_decoded(jitter->conceal, samples, (size_t)n);
    return n;
}

/* -- making up -------------------------------------------------------------------------------- */

/* n samples by libopus, which goes in steps of 2.5 ms; what is more than n is not used. */
static int32_t make_up_opus(vc_jitter *jitter, int16_t *samples, int32_t n)
{
    int32_t step = jitter->config.rate_hz / OPUS_STEPS_PER_S, whole = (n + step - 1) / step * step;
    if (whole > jitter->unit_room || vc_opus_conceal(jitter->opus, samples, (size_t)whole) != VC_OK)
        memset(samples, 0, (size_t)n * sizeof *samples);
    return n;
}

/* The last lost packet before one that is there: Opus may carry it in that one. */
static int32_t make_concealed_opus(vc_jitter *jitter, int16_t *samples, int64_t left)
{
    vc_jitter_state *s = &jitter->s;
    const vc_packet_part *head = vc_packet_buffer_head(jitter->packets);
    int32_t n = left < jitter->frame ? (int32_t)left : jitter->frame;
    if (head && head->codec == VC_CODEC_OPUS && head->position == s->conceal_until) {
        if (left > head->packet_samples) {
            int64_t before = left - head->packet_samples;
            n = before < jitter->frame ? (int32_t)before : jitter->frame;
        } else if (left % (jitter->config.rate_hz / OPUS_STEPS_PER_S) == 0) {
            const uint8_t *bytes = vc_packet_buffer_bytes(jitter->packets, head);
            if (vc_opus_decode_fec(jitter->opus, bytes, head->bytes, samples, (size_t)left) ==
                VC_OK) {
                s->stats.recovered += (uint64_t)vc_opus_packet_has_fec(bytes, head->bytes);
                return (int32_t)left;
            }
        }
    }
    return make_up_opus(jitter, samples, n);
}

/* Shows vc_conceal the audio behind the gap, as far as it is there: what made-up audio leads to. */
static void look_ahead(vc_jitter *jitter)
{
    const vc_jitter_state *s = &jitter->s;
    size_t gap = (size_t)(s->conceal_until - s->position), n = 0;
    size_t most = vc_conceal_next_samples(jitter->conceal);
    if (!vc_conceal_wants_next(jitter->conceal, gap)) return;
    const vc_packet_part *part = vc_packet_buffer_head(jitter->packets);
    for (; part && n < most; part = vc_packet_buffer_next(jitter->packets, part)) {
        size_t some = part->samples < most - n ? part->samples : most - n;
        if (part->position != s->conceal_until + (int64_t)n) break;
        if (!decode_plain(jitter, part, jitter->ahead + n, some)) break;
        n += some;
    }
    vc_conceal_between(jitter->conceal, gap, jitter->ahead, n);
}

static int32_t make_concealed(vc_jitter *jitter, int16_t *samples, int64_t left)
{
    int32_t n = left < jitter->frame ? (int32_t)left : jitter->frame;
    if (jitter->s.codec != VC_CODEC_OPUS) {
        look_ahead(jitter);
        vc_conceal_fill(jitter->conceal, samples, (size_t)n);
        return n;
    }
    n = make_concealed_opus(jitter, samples, left);
    vc_conceal_decoded(jitter->conceal, samples, (size_t)n); /* libopus joins it by itself */
    return n;
}

int32_t vc_jitter_make_up(vc_jitter *jitter, int16_t *samples)
{
    int32_t n = jitter->frame;
    if (jitter->s.codec == VC_CODEC_OPUS) {
        (void)make_up_opus(jitter, samples, n);
        vc_conceal_decoded(jitter->conceal, samples, (size_t)n);
    } else {
        vc_conceal_fill(jitter->conceal, samples, (size_t)n);
    }
    return n;
}

vc_frame_kind vc_jitter_make_quiet(vc_jitter *jitter, int16_t *samples, int32_t n)
{
    if (!jitter->noise || !jitter->s.noise_known) {
        vc_conceal_silence(jitter->conceal, samples, (size_t)n);
        return VC_FRAME_SILENCE;
    }
    vc_comfort_noise_process(jitter->noise, samples, (size_t)n);
    vc_conceal_decoded(jitter->conceal, samples, (size_t)n);
    return VC_FRAME_COMFORT_NOISE;
}

int32_t vc_jitter_make(vc_jitter *jitter, vc_frame_kind kind, int16_t *samples, vc_jitter_run *run)
{
    vc_jitter_state *s = &jitter->s;
    *run = (vc_jitter_run){.stream_position = s->position,
                           .timestamp = s->timestamp,
                           .arrival_ns = s->now_ns,
                           .clock_hz = s->clock_hz,
                           .kind = kind};
    int32_t n;
    if (kind == VC_FRAME_DECODED) {
        n = make_decoded(jitter, samples, run);
    } else {
        int64_t until = kind == VC_FRAME_CONCEALED ? s->conceal_until : s->decided_until;
        int64_t left = until - s->position;
        if (kind == VC_FRAME_CONCEALED) {
            n = make_concealed(jitter, samples, left);
        } else {
            n = left < jitter->frame ? (int32_t)left : jitter->frame;
            run->kind = vc_jitter_make_quiet(jitter, samples, n);
        }
        s->timestamp += vc_jitter_ticks(jitter, n, s->clock_hz);
    }
    run->samples = n;
    s->begun = 1;
    s->position += n;
    return n;
}
