/* vc_jitter_store: inside of vc_jitter, shared by its two modes; not for other units.
 *
 * A packet is kept as parts of at most 20 ms, each in a slot of fixed size, in a list ordered by
 * position. Positions and indexes are 64-bit: the sender's timestamps and sequence numbers,
 * unwrapped and, across restarts, re-anchored. */
#ifndef VC_JITTER_STORE_H
#define VC_JITTER_STORE_H

#include "net/vc_conceal.h"
#include "net/vc_delay_manager.h"
#include "net/vc_jitter.h"

#define VC_JITTER_MAX_PACKET_MS 120
#define VC_JITTER_SEEN          1024 /* sequence numbers remembered; a power of two */

typedef struct vc_jitter_part {
    int64_t position;
    int64_t index; /* of its packet */
    int64_t arrival_ns;
    uint32_t timestamp;
    uint16_t samples;
    uint16_t taken; /* already given out */
    uint16_t packet_samples;
    uint8_t last; /* of its packet */
    int16_t previous, next;
} vc_jitter_part;

/* Everything that reset returns to its start. */
typedef struct vc_jitter_state {
    vc_jitter_stats stats;
    int clock_set, started, begun; /* a packet came; samples of the stream were given out */
    int64_t first_ns, now_ns;

    uint32_t ssrc, old_ssrc;
    int has_old_ssrc;
    int64_t restart_ns;
    uint16_t reference_sequence; /* of the newest packet, and its index */
    int64_t reference_index;
    uint32_t reference_timestamp; /* of the newest audio packet, and its position */
    int64_t reference_position;
    int suspect; /* a stray or the first packet of a new stream: these are its numbers */
    uint16_t suspect_sequence;
    uint32_t suspect_timestamp;
    uint64_t seen[VC_JITTER_SEEN / 64];

    int64_t position;       /* next of the stream to be given out */
    uint32_t timestamp;     /* of that */
    int64_t conceal_until;  /* what is decided: up to here concealed, */
    int64_t decided_until;  /* up to here silent */
    int64_t last_index;     /* newest packet given out, lost or thrown away */
    int64_t packet_samples; /* of the newest packet given out */

    int16_t head, tail, free_list;
    int32_t free_parts;
    int32_t held_samples;

    int has_transit; /* RFC 3550 jitter */
    double transit_ms;
    vc_delay_manager delay;

    int prefill;              /* play: waiting for the target depth */
    int64_t starved;          /* samples given out since the stream ran dry */
    int window_gets;          /* the smallest depth is watched over so many gets */
    int64_t window_depth;     /* that depth */
    int64_t to_remove;        /* samples by which it is too deep */
    int attempts, since_last; /* of removing some */
} vc_jitter_state;

struct vc_jitter {
    vc_jitter_config config;
    int frame; /* samples in 20 ms */
    int sample_bytes;
    int32_t max_samples;
    int part_count;
    vc_jitter_part *parts;
    uint8_t *payload; /* part_count * frame * sample_bytes */
    int16_t *scratch; /* vc_conceal_shorten_samples */
    vc_conceal *conceal;
    vc_allocator allocator;
    vc_jitter_state s;
};

/* Advances the clock, never back. */
int64_t vc_jitter_clock(vc_jitter *jitter, int64_t now_ns);
/* The oldest part that still has something to give, or NULL. */
vc_jitter_part *vc_jitter_head(vc_jitter *jitter);
/* Packets between two indexes, both excluded, that never came. */
int64_t vc_jitter_missing(const vc_jitter *jitter, int64_t after, int64_t before);
/* Settles the gap up to `head`: counts `missing` packets as lost, conceals as many samples as they
 * usually have, less `done`, and leaves the rest silent. */
void vc_jitter_settle(vc_jitter *jitter, const vc_jitter_part *head, int64_t missing, int64_t done);
/* Decodes n samples of a part from its sample `from`. */
void vc_jitter_decode(const vc_jitter *jitter, const vc_jitter_part *part, size_t from,
                      int16_t *samples, size_t n);
/* Moves on by n samples that all lie in the head part. */
void vc_jitter_advance(vc_jitter *jitter, vc_jitter_part *head, size_t n);
/* Gives out at most n samples of a kind that next is due; returns how many. */
size_t vc_jitter_emit(vc_jitter *jitter, int16_t *samples, size_t n, vc_frame_kind kind);
/* play: the depth that is aimed for. */
int32_t vc_jitter_target_samples(const vc_jitter *jitter);

#endif
