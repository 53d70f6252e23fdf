/* What the parts of vc_call share.
 *   vc_call.c           made, destroyed; the producer's side
 *   vc_call_receive.c   media thread: datagrams in, windows, judgements
 *   vc_call_send.c      media thread: the packet of a tick
 *   vc_call_echo.c      media thread: sent and received samples to the echo canceller
 *   vc_call_media_port.c  media thread: who may speak, SRTP, RTCP
 */
#ifndef VC_CALL_STATE_H
#define VC_CALL_STATE_H

#include "engine/vc_call.h"
#include "engine/vc_call_echo.h"

#include <stdatomic.h>

#include "base/vc_ring.h"
#include "net/vc_dtmf.h"
#include "vad/vc_background.h"
#include "vad/vc_speech.h"

enum { MAX_WINDOW = 512, MAX_FRAME = 320 };
enum { ARRIVALS = 256, DIGITS = 64, REMOTES = 4, MAX_DATAGRAM = 2048 };

typedef struct arrival {
    int64_t sample, ns;
} arrival;

typedef struct digit {
    char character;
    int32_t ticks; /* of the RTP clock */
} digit;

struct vc_call {
    vc_call_config config;
    vc_call_codec codec; /* all zero for a pushed call */
    vc_playout *playout;
    vc_jitter *jitter;
    vc_silero *vad;
    vc_speech speech;
    vc_gate gate;
    int gate_ducked; /* by the gate, so it ends with the speech */
    vc_background background;
    vc_pcm_ring *received, *sent;
    vc_ring *pushed, *digits, *remotes;
    vc_ring *unjudged; /* a burst's samples behind the window */
    size_t window_samples;
    vc_source_guard guard;
    vc_rtcp_session rtcp;
    int rtcp_begun;
    vc_srtp *srtp;
    vc_call_echo *echo; /* NULL: none */
    uint64_t echo_resets;
    /* receive */
    int64_t receive_end; /* length of the receive timeline; judged and read some 10 ms later */
    int64_t window_start;
    size_t window_fill;
    float window_power;                   /* of the window that is to be judged */
    float window[MAX_WINDOW + MAX_FRAME]; /* and what a packet brings beyond it */
    arrival arrivals[ARRIVALS];
    uint32_t arrival_count;
    int64_t first_arrival_ns; /* of received sample 0 */
    int64_t last_packet_ns, started_ns;
    int timed_out;
    vc_dtmf_receiver dtmf_in;
    /* send */
    uint16_t sequence;
    uint32_t timestamp;
    int sent_any;
    int64_t sent_end;
    vc_dtmf_sender dtmf_out;
    /* for Python's thread */
    _Atomic int thinking;
    _Atomic int64_t received_start_ns, sent_start_ns;
    _Atomic uint64_t stats[VC_STAT_COUNT];
};

static inline void vc_call_set_stat(vc_call *call, vc_call_stat stat, uint64_t value)
{
    atomic_store_explicit(&call->stats[stat], value, memory_order_relaxed);
}

static inline int64_t vc_call_samples_to_ns(const vc_call *call, int64_t samples)
{
    return vc_samples_to_ns(samples, call->config.rate_hz);
}

void vc_call_post_with(vc_call *call, vc_event_kind kind, int64_t now_ns, int64_t a, int64_t b,
                       int64_t c);
/* The RTCP session begins with the first packet or tick. NULL if the call has none. */
vc_rtcp_session *vc_call_rtcp(vc_call *call, int64_t now_ns);
/* The last datagram was the caller's. */
void vc_call_heard(vc_call *call, int64_t now_ns);
/* vc_call_media_port.c: judges a datagram's sender, and for RTP the SSRC. VC_OK with the parsed
 * packet when it is audio, DTMF or noise of the caller's; VC_IGNORED: done with, and counted.
 * plain: room for what SRTP hides. */
vc_status vc_call_admit(vc_call *call, const vc_address *from, const uint8_t *bytes, size_t n,
                        uint8_t *plain, vc_rtp_packet *packet, int64_t now_ns);
void vc_call_take_remotes(vc_call *call, int64_t now_ns);
/* Says that as much was received as the reader wants, if it was. */
void vc_call_announce(vc_call *call, int64_t now_ns);

#endif
