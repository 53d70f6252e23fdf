/* vc_jitter: jitter buffer for one RTP stream, two modes over one packet store.
 *
 * listen: for an agent's ear. Samples can be read as soon as they are contiguous; only what is out
 *   of order is held; a gap is declared lost after loss_wait_ms and concealed. Never stretches.
 * play: for a human's ear. One 20 ms frame per vc_jitter_get, adaptive depth between min and max.
 *
 * Output is one continuous timeline of samples: position 0 is the first sample given out, and what
 * the sender's timestamps say is what comes out (a lost packet is replaced by as many samples).
 * Time comes in with each call (monotonic ns; a time before the last one counts as the last one);
 * loss is declared by time, not by buffer fill.
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

#include "net/vc_rtp.h"

typedef struct vc_jitter vc_jitter;

typedef enum vc_jitter_mode { VC_JITTER_LISTEN = 0, VC_JITTER_PLAY = 1 } vc_jitter_mode;
typedef enum vc_codec { VC_CODEC_PCMU = 0, VC_CODEC_PCMA = 1, VC_CODEC_L16 = 2 } vc_codec;

typedef struct vc_jitter_config {
    vc_jitter_mode mode;           /* default LISTEN */
    vc_codec codec;                /* default PCMU */
    int rate_hz;                   /* sample rate = RTP clock; 8000 (default) .. 48000, by 50 */
    int loss_wait_ms;              /* listen: a gap is lost after this long; 0..500, default 60 */
    int min_depth_ms;              /* play: 0..500, default 20; at most max_depth_ms - 20 */
    int max_depth_ms;              /* hard maximum of held audio; 40..2000, default 400 */
    const vc_allocator *allocator; /* NULL: malloc */
} vc_jitter_config;

typedef enum vc_frame_kind {
    VC_FRAME_DECODED = 0,
    VC_FRAME_CONCEALED = 1,
    VC_FRAME_SILENCE = 2, /* play: nothing has arrived yet, or the stream is over */
} vc_frame_kind;

typedef struct vc_frame_info {
    int64_t position;      /* sample index of the first sample of this output */
    uint32_t timestamp;    /* RTP timestamp of that sample */
    int64_t arrival_ns;    /* arrival of the packet that the first decoded sample came from; the
                              time of the call if nothing is decoded */
    vc_frame_kind kind;    /* one kind per read: a read stops where the kind changes; a played
                              frame is CONCEALED as soon as any of it is */
    int32_t depth_samples; /* audio held after this read */
} vc_frame_info;

typedef struct vc_jitter_stats {
    uint64_t received;          /* packets put, all of them */
    uint64_t decoded;           /* packets whose audio was given out */
    uint64_t duplicate;         /* packets already held or played */
    uint64_t late;              /* packets whose place was already given out */
    uint64_t discarded;         /* thrown away: buffer over its maximum, stray, or overlapped */
    uint64_t lost;              /* packets declared lost, by sequence number */
    uint64_t reordered;         /* packets that came behind a younger one */
    uint64_t resets;            /* stream restarts: SSRC change or a jump */
    uint64_t concealed_samples; /* made up */
    uint64_t output_samples;    /* given out, concealed ones included */
    uint64_t underruns;         /* play: gets that found nothing to play in mid-stream */
    double jitter_ms;           /* RFC 3550 interarrival jitter */
    double depth_ms;            /* held now */
    double target_ms;           /* play: what it aims for */
    uint64_t rejected;          /* packets that gave VC_E_PACKET */
    uint64_t silence_samples;   /* silence given out */
    uint64_t removed_samples;   /* play: taken out to get less deep */
    uint64_t held;              /* packets held now: received = decoded + duplicate + late +
                                   discarded + rejected + held */
} vc_jitter_stats;

vc_jitter_config vc_jitter_config_default(void);
VC_CHECKED vc_status vc_jitter_create(vc_jitter **out, const vc_jitter_config *config);
void vc_jitter_destroy(vc_jitter *jitter);
VC_RT void vc_jitter_reset(vc_jitter *jitter);

/* Takes one packet; its payload is copied. VC_OK, VC_DUPLICATE, VC_LATE, VC_FULL (over the hard
 * maximum: an oldest packet was thrown away to make room), VC_IGNORED (first packet of a jump),
 * VC_E_PACKET for a payload that is empty, longer than 120 ms, or no whole number of samples.
 * There is room for max_depth_ms of packets of 10 ms or more; of shorter ones for as many. */
VC_RT vc_status vc_jitter_put(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t now_ns);

/* Tells of a packet of the same stream that carries no audio (telephone event, comfort noise): its
 * sequence number is not missing, so the gap that it leaves is silence and not loss.
 * VC_OK, VC_DUPLICATE, VC_IGNORED if it does not belong to the present stream. */
VC_RT vc_status vc_jitter_note(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t now_ns);

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

VC_RT void vc_jitter_get_stats(const vc_jitter *jitter, vc_jitter_stats *stats);

#endif
