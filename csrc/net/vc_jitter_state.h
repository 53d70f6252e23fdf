/* vc_jitter_state: inside of vc_jitter, shared by its parts; not for other units.
 *
 * Parts: vc_jitter.c (create, counters), vc_jitter_put.c (where a packet belongs),
 * vc_jitter_units.c (from packets to samples), vc_jitter_listen.c, vc_jitter_play.c. */
#ifndef VC_JITTER_STATE_H
#define VC_JITTER_STATE_H

#include "codec/vc_g711.h"
#include "codec/vc_g722.h"
#include "codec/vc_opus.h"
#include "dsp/vc_comfort_noise.h"
#include "dsp/vc_resample.h"
#include "dsp/vc_stretch.h"
#include "net/vc_conceal.h"
#include "net/vc_delay_manager.h"
#include "net/vc_drift.h"
#include "net/vc_jitter.h"
#include "net/vc_packet_buffer.h"

#define VC_JITTER_MAX_PACKET_MS  120
#define VC_JITTER_MAX_OPUS_BYTES 1500 /* a packet of an Ethernet */
#define VC_JITTER_SEEN           1024 /* sequence numbers remembered; a power of two */
#define VC_JITTER_OPENED         128  /* gaps whose beginning is remembered; a power of two */
#define VC_JITTER_EVENTS         32
#define VC_JITTER_RUNS           32

/* Samples of one kind that follow each other on the sender's timeline. */
typedef struct vc_jitter_run {
    int64_t stream_position;
    int64_t arrival_ns; /* of the packet, where it is decoded */
    uint32_t timestamp;
    int32_t samples;
    int32_t clock_hz; /* of the timestamp */
    vc_frame_kind kind;
} vc_jitter_run;

/* Everything that reset returns to its start. */
typedef struct vc_jitter_state {
    vc_jitter_stats stats;
    int clock_set, started, begun; /* a packet came; samples of the stream were given out */
    int64_t first_ns, now_ns;

    uint32_t ssrc, old_ssrc;
    int has_old_ssrc;
    int64_t restart_ns;
    int32_t clock_hz;            /* RTP clock of the present codec */
    uint16_t reference_sequence; /* of the newest packet, and its index */
    int64_t reference_index;
    uint32_t reference_timestamp; /* of the newest audio packet, and its position */
    int64_t reference_position;
    int skip;    /* what is missing before the next packet was thrown away */
    int suspect; /* a stray or the first packet of a new stream: these are its numbers */
    uint16_t suspect_sequence;
    uint32_t suspect_timestamp;
    uint64_t seen[VC_JITTER_SEEN / 64];
    int64_t opened_ns[VC_JITTER_OPENED]; /* when the first packet younger than a missing one came */

    int64_t position;       /* next of the stream to be made into samples */
    uint32_t timestamp;     /* of that */
    int64_t conceal_until;  /* what is decided: up to here concealed, */
    int64_t decided_until;  /* up to here silent */
    int64_t last_index;     /* newest packet made into samples, lost or thrown away */
    int64_t packet_samples; /* of the newest packet made into samples */
    int codec;              /* of that; -1: none yet */
    int comfort_noise;      /* the newest packet was a description of the background */
    int noise_known;        /* the noise generator has a model */

    vc_jitter_run unit; /* what is in jitter->unit from unit_at on (listen) */
    int32_t unit_at;

    int has_transit; /* RFC 3550 jitter */
    double transit_ms;
    vc_delay_manager delay;
    vc_drift drift;
    double waited_ms; /* sum over decoded samples, and how many they are */
    double waited_samples;

    vc_jitter_event events[VC_JITTER_EVENTS];
    int event_first, event_count;
    vc_jitter_event open_event; /* concealment that goes on; samples 0: none */

    int prefill;      /* play: waiting for the target delay */
    int64_t starved;  /* samples given out since the stream ran dry */
    int32_t level;    /* play: samples in jitter->fifo */
    int64_t front;    /* samples that left it or were taken out: vc_stretch's position */
    int64_t inserted; /* of those in it, put in by stretching */
    vc_jitter_run runs[VC_JITTER_RUNS]; /* what they are */
    int run_count;
    double delay_ms; /* of the last frame, after the fastest packet */
    int trim;        /* play: the drift filter is in the path */
    double trim_ppm;
} vc_jitter_state;

struct vc_jitter {
    vc_jitter_config config;
    int32_t frame; /* samples in 20 ms */
    int32_t max_samples;
    vc_packet_buffer *packets;
    vc_conceal *conceal;
    const vc_g711 *g711;
    vc_g722 *g722;           /* NULL: not among the codecs */
    vc_opus_decoder *opus;   /* NULL: not among the codecs */
    vc_stretch *stretch;     /* play */
    vc_comfort_noise *noise; /* play */
    vc_resample *trim;       /* play */
    int16_t *unit;           /* listen: one packet's samples, or 20 ms made up */
    int32_t unit_room;
    int16_t *ahead; /* 20 ms: what follows a gap */
    int16_t *fifo;  /* play: samples on their way out, fifo_room of them; then work space */
    int16_t *work;
    int32_t fifo_room;
    vc_allocator allocator;
    vc_jitter_state s;
};

/* Advances the clock, never back. */
int64_t vc_jitter_clock(vc_jitter *jitter, int64_t now_ns);
/* ms since the first call. */
double vc_jitter_elapsed_ms(const vc_jitter *jitter);
/* The codec of a payload type, or -1. */
int vc_jitter_codec_of(const vc_jitter *jitter, uint8_t payload_type);
/* The RTP clock of a codec. */
int32_t vc_jitter_clock_hz(const vc_jitter *jitter, int codec);
/* RTP ticks of so many samples. */
uint32_t vc_jitter_ticks(const vc_jitter *jitter, int64_t samples, int32_t clock_hz);

/* The oldest part that still has something to give, or NULL. */
vc_packet_part *vc_jitter_head(vc_jitter *jitter);
/* Packets between two indexes, both excluded, that never came. */
int64_t vc_jitter_missing(const vc_jitter *jitter, int64_t after, int64_t before);
/* Settles the gap up to `head`: counts `missing` packets as lost, conceals as many samples as they
 * usually have, less `done`, and leaves the rest silent. */
void vc_jitter_settle(vc_jitter *jitter, const vc_packet_part *head, int64_t missing, int64_t done);
/* Makes the next samples, of a kind that is due, at most `room` of them: a packet's, or up to 20 ms
 * of another kind. Returns how many, and what they are. room: at least unit_room. */
int32_t vc_jitter_make(vc_jitter *jitter, vc_frame_kind kind, int16_t *samples, vc_jitter_run *run);
/* Makes up 20 ms beyond what has arrived; the place in the stream stays. */
int32_t vc_jitter_make_up(vc_jitter *jitter, int16_t *samples);
/* 20 ms of silence or comfort noise in a pause of the sender; returns which. */
vc_frame_kind vc_jitter_make_quiet(vc_jitter *jitter, int16_t *samples, int32_t n);
/* Counts samples that are given out. */
void vc_jitter_count(vc_jitter *jitter, const vc_jitter_run *run, int32_t n);
/* Tells of a change of the timeline. */
void vc_jitter_post(vc_jitter *jitter, vc_jitter_event_kind kind, int64_t position,
                    int64_t samples);

/* play */
int32_t vc_jitter_target_ms(const vc_jitter *jitter);

#endif
