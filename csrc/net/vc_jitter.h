/* vc_jitter: jitter buffer for one RTP stream; two modes over one packet buffer and one estimate of
 * the network's delay.
 *
 * listen: for an agent's ear. Samples can be read as soon as they are contiguous; only what is out
 *   of order is held; a gap is lost once a late packet would have come (learnt, loss_wait_ms at
 *   most) and is then concealed. Never stretches: the timeline is the sender's.
 * play: for a human's ear. One 20 ms frame per vc_jitter_get, at a depth that follows the network,
 *   by playing a little faster or slower, never by a jump; the sender's clock is followed.
 *
 * Output is one continuous timeline of samples; position 0 is the first sample given out. Time
 * comes in with each call (monotonic ns; a time before the last one counts as the last one).
 *
 * Gaps. Sequence numbers say whether packets are missing, timestamps for how long: with numbers
 * missing the gap is concealed, that many packets' worth at most, and the rest of it is silence;
 * with none missing (silence suppression) all of it is silence.
 * Restarts. Another SSRC, timestamps more than 10 s ahead or 2 s behind, or sequence numbers more
 * than 1000 away are a new stream, which is put behind what is held without a hole. A jump that
 * the sequence number does not vouch for takes two packets in a row; the first is thrown away.
 *
 *     vc_jitter_config config = vc_jitter_config_default();
 *     vc_jitter_create(&jitter, &config);
 *     vc_jitter_put(jitter, &packet, now_ns);
 *     n = 960; vc_jitter_read(jitter, now_ns, samples, &n, &info);    repeat until VC_NEED_MORE
 *
 * In listen mode read after every put: then a burst of any length passes whole. What is not read
 * is held up to max_depth_ms, after which the oldest packets are thrown away and concealed. In play
 * mode the oldest ones are thrown away and playing goes on behind them.
 */
#ifndef VC_JITTER_H
#define VC_JITTER_H

#include "base/vc_prefetch.h"
#include "net/vc_rtp.h"

typedef struct vc_jitter vc_jitter;

typedef enum vc_jitter_mode { VC_JITTER_LISTEN = 0, VC_JITTER_PLAY = 1 } vc_jitter_mode;

typedef enum vc_codec {
    VC_CODEC_PCMU = 0,
    VC_CODEC_PCMA = 1,
    VC_CODEC_L16 = 2,
    VC_CODEC_G722 = 3,   /* 16 kHz of audio, an RTP clock of 8 kHz (RFC 3551) */
    VC_CODEC_OPUS = 4,   /* through libopus; an RTP clock of 48 kHz (RFC 7587) */
    VC_CODEC_CN = 5,     /* comfort noise, RFC 3389 */
    VC_CODEC_EVENTS = 6, /* telephone events, RFC 4733: in the stream, no audio */
    VC_CODEC_RED = 7,    /* redundant audio, RFC 2198 */
} vc_codec;

/* The RTP clock of an audio codec whose samples come at rate_hz. */
VC_RT int vc_jitter_rtp_clock_hz(vc_codec codec, int rate_hz);

#define VC_JITTER_PAYLOAD_TYPES 8

typedef struct vc_jitter_payload_type {
    uint8_t payload_type; /* 0..127, each once */
    vc_codec codec;       /* audio of one sample rate, CN, EVENTS, RED */
} vc_jitter_payload_type;

typedef struct vc_jitter_config {
    vc_jitter_mode mode; /* default LISTEN */
    vc_codec codec;      /* of every packet, if no payload types are named; default PCMU */
    int rate_hz;         /* of the output: 8000 (default) .. 48000, by 50. For PCMU, PCMA and L16
                            also the RTP clock; 16000 for G.722; 8, 12, 16, 24, 48 kHz for Opus */
    int loss_wait_ms;    /* listen: a gap is lost after this long at most; 0..500, default 60 */
    int min_depth_ms;    /* play: 0..500, default 0; at most max_depth_ms - 20 */
    int max_depth_ms;    /* hard maximum of held audio; 40..2000, default 600 */
    int payload_types;   /* how many of the following are set; other types are then ignored */
    vc_jitter_payload_type payload_type[VC_JITTER_PAYLOAD_TYPES];
    const char *opus_library;      /* NULL: the usual names */
    const vc_allocator *allocator; /* NULL: malloc */
} vc_jitter_config;

typedef enum vc_frame_kind {
    VC_FRAME_DECODED = 0,
    VC_FRAME_CONCEALED = 1,
    VC_FRAME_SILENCE =
        2, /* nothing was sent; play: or nothing has arrived yet, or the stream ended */
    VC_FRAME_COMFORT_NOISE = 3, /* play: nothing was sent but the description of the background */
} vc_frame_kind;

typedef struct vc_frame_info {
    int64_t position;        /* sample index of the first sample of this output */
    int64_t stream_position; /* of that sample on the sender's timeline, which begins at 0 */
    uint32_t timestamp;      /* RTP timestamp of that sample */
    int64_t arrival_ns;      /* arrival of the packet that the first decoded sample came from; the
                                time of the call if nothing is decoded */
    vc_frame_kind kind;      /* one kind per read: a read stops where the kind changes; a played
                                frame is CONCEALED as soon as any of it is */
    int32_t depth_samples;   /* audio held after this read */
} vc_frame_info;

/* What was done to the timeline, in the order of the output. */
typedef enum vc_jitter_event_kind {
    VC_JITTER_CONCEALED = 0,   /* `samples` from `position` on are made up */
    VC_JITTER_ACCELERATED = 1, /* `samples` of the sender's were taken out at `position` */
    VC_JITTER_EXPANDED = 2,    /* `samples` were put in at `position` */
} vc_jitter_event_kind;

typedef struct vc_jitter_event {
    vc_jitter_event_kind kind;
    int64_t position; /* of the output */
    int64_t samples;
} vc_jitter_event;

typedef struct vc_jitter_stats {
    uint64_t received;           /* packets put, and those recovered from redundancy */
    uint64_t decoded;            /* packets whose audio was taken */
    uint64_t duplicate;          /* packets already held or played */
    uint64_t late;               /* packets whose place was already given out */
    uint64_t discarded;          /* thrown away: buffer over its maximum, stray, overlapped, or of
                                    an unknown payload type */
    uint64_t rejected;           /* packets that gave VC_E_PACKET */
    uint64_t held;               /* packets held now: received = decoded + duplicate + late +
                                    discarded + rejected + held */
    uint64_t lost;               /* packets declared lost, by sequence number */
    uint64_t recovered;          /* packets that only came as redundancy (RED) or were made from
                                    the next one's (Opus FEC) */
    uint64_t reordered;          /* packets that came behind a younger one */
    uint64_t resets;             /* stream restarts: SSRC change or a jump */
    uint64_t output_samples;     /* given out, of every kind */
    uint64_t concealed_samples;  /* made up */
    uint64_t concealment_events; /* stretches of made-up samples */
    uint64_t silence_samples;    /* silence given out */
    uint64_t comfort_noise_samples;
    uint64_t accelerated_samples; /* play: taken out by playing faster */
    uint64_t expanded_samples;    /* play: put in by playing slower */
    uint64_t underruns;           /* play: gets that found nothing to play in mid-stream */
    uint64_t events_lost;         /* events that nobody took in time */
    double jitter_ms;             /* RFC 3550 interarrival jitter */
    double depth_ms;              /* held now */
    double target_ms;             /* play: the playout delay that is aimed for */
    double delay_ms;              /* play: the playout delay now, after the fastest packet */
    double mean_delay_ms;         /* given out after its own arrival, mean over decoded samples */
    double drift_ppm;             /* the sender's clock, positive: fast; 0 until it is known */
    double mos;                   /* listening and conversation, 1..4.5: E-model, ITU-T G.107 */
} vc_jitter_stats;

vc_jitter_config vc_jitter_config_default(void);
/* VC_E_RATE, VC_E_RANGE, VC_E_MEMORY; VC_E_MISSING where Opus is asked for and there is no libopus.
 */
VC_CHECKED vc_status vc_jitter_create(vc_jitter **out, const vc_jitter_config *config);
void vc_jitter_destroy(vc_jitter *jitter);
VC_RT void vc_jitter_reset(vc_jitter *jitter);

/* Takes one packet; its payload is copied. VC_OK, VC_DUPLICATE, VC_LATE, VC_FULL (over the hard
 * maximum: an oldest packet was thrown away to make room), VC_IGNORED (first packet of a jump,
 * unknown payload type, event), VC_E_PACKET for a payload that is empty, longer than 120 ms (Opus:
 * or 1500 bytes), or no whole number of samples. There is room for max_depth_ms of packets of 10 ms
 * or more; of shorter ones for as many. With RED, what the primary block came to. */
VC_RT vc_status vc_jitter_put(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t now_ns);

/* The samples that an audio packet's payload holds, at the output's rate; 0 for one that put would
 * refuse. Nothing changes. */
VC_RT size_t vc_jitter_payload_samples(const vc_jitter *jitter, const vc_rtp_packet *packet);

/* Tells of a packet of the same stream that carries no audio (telephone event, comfort noise): its
 * sequence number is not missing, so the gap that it leaves is silence and not loss. vc_jitter_put
 * does so itself for the payload types that it knows.
 * VC_OK, VC_DUPLICATE, VC_LATE if it had been declared lost (then it is in the counters received
 * and late), VC_IGNORED if it does not belong to the present stream. */
VC_RT vc_status vc_jitter_note(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t now_ns);

/* Tells that packets before the next one were thrown away unseen. It goes on right behind what is
 * held, without a hole, as after a restart; what is missing before it is nobody's loss. */
VC_RT void vc_jitter_skip(vc_jitter *jitter);

/* listen: all that is contiguous now, up to *n samples, of one kind. *n: room in, samples out;
 * VC_NEED_MORE with *n = 0 when nothing is due. VC_CONCEALED when the samples are made up.
 * VC_E_LENGTH for no room, VC_E_STATE in play mode. */
VC_RT vc_status vc_jitter_read(vc_jitter *jitter, int64_t now_ns, int16_t *samples, size_t *n,
                               vc_frame_info *info);

/* play: exactly 20 ms (rate_hz / 50 samples), always. VC_OK or VC_CONCEALED; VC_E_STATE in listen
 * mode. */
VC_RT vc_status vc_jitter_get(vc_jitter *jitter, int64_t now_ns, int16_t *samples,
                              vc_frame_info *info);

/* listen, after a read that gave VC_NEED_MORE: when the pending gap will be declared lost, or
 * INT64_MAX if none is pending. */
VC_RT int64_t vc_jitter_deadline_ns(const vc_jitter *jitter);

/* The oldest event that was not taken yet; VC_NEED_MORE if there is none. 32 are kept. A concealed
 * stretch is told when it has ended, or in pieces of up to 1 s. */
VC_RT vc_status vc_jitter_next_event(vc_jitter *jitter, vc_jitter_event *event);

VC_RT void vc_jitter_get_stats(const vc_jitter *jitter, vc_jitter_stats *stats);
/* Only its counters and jitter_ms, which cost nothing; the rest is not set. */
VC_RT void vc_jitter_get_counters(const vc_jitter *jitter, vc_jitter_stats *stats);
/* For the next packet of a listening buffer (vc_prefetch.h). */
VC_RT void vc_jitter_prefetch(const vc_jitter *jitter, vc_turns_away turns);
VC_RT void vc_jitter_prefetch_counters(const vc_jitter *jitter);

#endif
