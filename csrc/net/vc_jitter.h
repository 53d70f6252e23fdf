/* vc_jitter: jitter buffer for one RTP stream, two modes over one packet store.
 *
 * listen: for an agent's ear. Samples can be read as soon as they are contiguous; only what is out
 *   of order is held; a gap is declared lost after loss_wait_ms and concealed. Never stretches.
 * play: for a human's ear. One 20 ms frame per vc_jitter_get, adaptive depth between min and max.
 *
 * Output is one continuous timeline of samples: position 0 is the first sample given out, and what
 * the sender's timestamps say is what comes out (a lost packet is replaced by as many samples).
 * Time comes in with each call (monotonic ns); loss is declared by time, not by buffer fill.
 *
 *     vc_jitter_config config = vc_jitter_config_default();
 *     vc_jitter_create(&jitter, &config);
 *     vc_jitter_put(jitter, &packet, now_ns);
 *     n = 960; vc_jitter_read(jitter, now_ns, samples, &n, &info);    repeat until VC_NEED_MORE
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
    int rate_hz;                   /* sample rate = RTP clock; 8000 (default) .. 48000 */
    int loss_wait_ms;              /* listen: a gap is lost after this long; 0..500, default 60 */
    int min_depth_ms;              /* play: 0..500, default 20 */
    int max_depth_ms;              /* hard maximum of held audio; 40..2000, default 400 */
    const vc_allocator *allocator; /* NULL: malloc */
} vc_jitter_config;

typedef enum vc_frame_kind {
    VC_FRAME_DECODED = 0,
    VC_FRAME_CONCEALED = 1,
    VC_FRAME_SILENCE = 2, /* play: nothing has arrived yet, or the stream is over */
} vc_frame_kind;

typedef struct vc_frame_info {
    int64_t position;     /* sample index of the first sample of this output */
    uint32_t timestamp;   /* RTP timestamp of that sample */
    int64_t arrival_ns;   /* arrival of the packet it came from; of the decision if concealed */
    vc_frame_kind kind;   /* one kind per read: a read stops where the kind changes */
    int32_t depth_samples; /* audio held after this read */
} vc_frame_info;

typedef struct vc_jitter_stats {
    uint64_t received;          /* packets put, all of them */
    uint64_t decoded;           /* packets whose audio was given out */
    uint64_t duplicate;         /* packets already held or played */
    uint64_t late;              /* packets whose place was already given out */
    uint64_t discarded;         /* thrown away: buffer over its maximum, or reset */
    uint64_t lost;              /* packets declared lost (estimated from the gap's length) */
    uint64_t reordered;         /* packets that came behind a younger one */
    uint64_t resets;            /* stream restarts: SSRC change or a jump */
    uint64_t concealed_samples; /* made up */
    uint64_t output_samples;    /* given out, concealed ones included */
    uint64_t underruns;         /* play: gets that found nothing to play in mid-stream */
    double jitter_ms;           /* RFC 3550 interarrival jitter */
    double depth_ms;            /* held now */
    double target_ms;           /* play: what it aims for */
} vc_jitter_stats;

vc_jitter_config vc_jitter_config_default(void);
VC_CHECKED vc_status vc_jitter_create(vc_jitter **out, const vc_jitter_config *config);
void vc_jitter_destroy(vc_jitter *jitter);
VC_RT void vc_jitter_reset(vc_jitter *jitter);

/* Takes one packet; its payload is copied. VC_OK, VC_DUPLICATE, VC_LATE, VC_FULL (over the hard
 * maximum: an oldest packet was thrown away to make room), VC_E_PACKET for a payload that is
 * empty, longer than 120 ms, or no whole number of samples. */
VC_RT vc_status vc_jitter_put(vc_jitter *jitter, const vc_rtp_packet *packet, int64_t now_ns);

/* listen: all that is contiguous now, up to *n samples, of one kind. *n: room in, samples out;
 * VC_NEED_MORE with *n = 0 when nothing is due. VC_CONCEALED when the samples are made up. */
VC_RT vc_status vc_jitter_read(vc_jitter *jitter, int64_t now_ns, int16_t *samples, size_t *n,
                               vc_frame_info *info);

/* play: exactly 20 ms (rate_hz / 50 samples), always. VC_OK or VC_CONCEALED. */
VC_RT vc_status vc_jitter_get(vc_jitter *jitter, int64_t now_ns, int16_t *samples,
                              vc_frame_info *info);

/* listen: when a pending gap will be declared lost, or INT64_MAX if none is pending. */
VC_RT int64_t vc_jitter_deadline_ns(const vc_jitter *jitter);

VC_RT void vc_jitter_get_stats(const vc_jitter *jitter, vc_jitter_stats *stats);

#endif
