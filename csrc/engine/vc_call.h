/* vc_call: the receive and the send path of one call; no thread, no socket, no clock.
 *
 * Receive: datagram -> RTP -> listen-mode jitter buffer -> receive timeline -> VAD windows and the
 * ring for Python. Send: playout -> fade -> resample -> encode -> one RTP packet per 20 ms tick.
 * The shard drives it with real time and sockets, the tests with a virtual clock: same results.
 *
 * Two threads: the producer (Python's loop) uses the functions marked so; all others belong to the
 * media thread.
 */
#ifndef VC_CALL_H
#define VC_CALL_H

#include "base/vc_pcm_ring.h"
#include "engine/vc_call_codec.h"
#include "engine/vc_event.h"
#include "engine/vc_playout.h"
#include "engine/vc_source_guard.h"
#include "net/vc_jitter.h"
#include "net/vc_rtcp_session.h"
#include "net/vc_srtp.h"
#include "vad/vc_gate.h"
#include "vad/vc_silero.h"

/* Largest datagram that a tick builds: header, the longest payload and an SRTP tag. */
#define VC_CALL_MAX_PACKET_BYTES                                                                   \
    (VC_RTP_HEADER_BYTES + VC_CALL_MAX_PAYLOAD_BYTES + VC_SRTP_MAX_TRAILER_BYTES)

typedef struct vc_call vc_call;

typedef struct vc_call_config {
    uint32_t number;       /* goes into events */
    vc_codec codec;        /* default PCMU; which rates it has: vc_call_codec.h */
    int rate_hz;           /* 8000 or 16000 */
    int play_hz;           /* rate of the agent's audio */
    int pushed;            /* 1: the caller's audio comes from vc_call_push, none from RTP */
    int record_sent;       /* 1: what is sent can be read back */
    int payload_type;      /* 0..127 */
    int dtmf_payload_type; /* 96..127 */
    uint32_t ssrc;
    uint16_t first_sequence;
    uint32_t first_timestamp;
    int opus_bitrate_bps, opus_complexity, opus_packet_loss_percent; /* vc_call_codec.h */
    const char *opus_library; /* NULL: the usual names; read by create only */
    float speech_threshold, silence_threshold;
    int min_speech_ms, min_silence_ms;
    vc_gate_config gate; /* window and rate are the call's */
    int echo;            /* 1: the echo canceller runs; received audio comes 10 ms later */
    int echo_tail_ms;    /* length of the echo path, 64..256, default 256 */
    int fade_ms;
    float duck_db;
    int duck_ms, crossfade_ms;
    int prebuffer_ms;
    vc_playout_filling when_dry;
    float comfort_noise_db;
    const int16_t *hold; /* at play_hz; read by create only */
    size_t hold_samples;
    int loss_wait_ms, max_jitter_ms;
    int rtp_timeout_ms; /* 0: never */
    int play_buffer_ms;
    int receive_buffer_ms; /* what was received is kept so long, read or not; 100..60000 */
    int sent_buffer_ms;    /* what was sent likewise, with record_sent; 100..60000 */
    /* Where received audio goes. NULL: a ring of the call's own, gone with it. Else the caller's,
       which he destroys after the call; receive_buffer_ms is then not looked at. */
    vc_pcm_ring *received;
    vc_source_guard_config guard;
    int rtcp; /* 1: reports on the RTP port (RFC 5761); default 0 */
    uint32_t rtcp_seed;
    char rtcp_cname[VC_RTCP_MAX_CNAME_BYTES];
    const vc_srtp_library *srtp_library; /* required with srtp */
    const vc_srtp_config *srtp; /* NULL: plain RTP; read by create only; SSRC and allocator are the
                                   call's */
    const vc_silero_model *model; /* for rate_hz; required; outlives the call */
    vc_event_sink sink;           /* required */
    const vc_allocator *allocator;
} vc_call_config;

/* Counters, in this order in the array that vc_call_get_stats fills. */
typedef enum vc_call_stat {
    /* Datagrams in, whatever they were. Each is one of: malformed, unknown, strange, unproven,
     * SRTP rejected or replayed, RTCP received or malformed, silent, decoded, held, duplicate,
     * late, discarded, shed. What the jitter buffer counts is as of the last tick. */
    VC_STAT_PACKETS_RECEIVED,
    VC_STAT_PACKETS_SENT,
    VC_STAT_PACKETS_MALFORMED, /* no RTP, or a payload that does not fit the codec */
    VC_STAT_PACKETS_UNKNOWN,   /* RTP with a payload type that was not agreed */
    VC_STAT_PACKETS_STRANGE,   /* from an address that is not the caller's */
    VC_STAT_LOST,
    VC_STAT_LATE,
    VC_STAT_DUPLICATE,
    VC_STAT_REORDERED,
    VC_STAT_RESETS,
    VC_STAT_RECEIVED_SAMPLES, /* length of the receive timeline */
    VC_STAT_CONCEALED_SAMPLES,
    VC_STAT_UNREAD_DROPPED_SAMPLES, /* received, but overwritten before anybody read them */
    VC_STAT_SENT_DROPPED_SAMPLES,   /* sent, but overwritten before they were read back */
    VC_STAT_UNDERRUNS,
    VC_STAT_SEND_ERRORS,
    VC_STAT_JITTER_US,
    VC_STAT_PACKETS_UNPROVEN, /* from the caller's address, but an SSRC on probation */
    VC_STAT_SOURCES,          /* how often a source was accepted: 1 after the first packet */
    VC_STAT_SRTP_REJECTED,    /* a wrong tag, or no SRTP */
    VC_STAT_SRTP_REPLAYED,    /* a packet for the second time, or one that is too old to tell */
    VC_STAT_RTCP_RECEIVED,
    VC_STAT_RTCP_SENT,
    VC_STAT_RTCP_MALFORMED,
    VC_STAT_REMOTE_LOST, /* by the other side's last report: in all, 0 at least */
    VC_STAT_REMOTE_LOSS_PPM,
    VC_STAT_REMOTE_JITTER_US,
    VC_STAT_ROUND_TRIP_US, /* 0: not known yet */
    VC_STAT_ECHO_ERLE_MDB,
    VC_STAT_ECHO_DELAY_US,  /* from a sample on the wire to its echo; 0: none was found yet */
    VC_STAT_ECHO_DRIFT_PPB, /* signed */
    VC_STAT_ECHO_BLOCKS,    /* of 10 ms */
    VC_STAT_ECHO_RUN_BLOCKS,
    VC_STAT_ECHO_BYTES,        /* that the canceller holds */
    VC_STAT_PACKETS_SILENT,    /* telephone events and comfort noise: of the stream, no audio */
    VC_STAT_PACKETS_DECODED,   /* audio that is on the receive timeline */
    VC_STAT_PACKETS_HELD,      /* not a sum: out of order, waiting now */
    VC_STAT_PACKETS_DISCARDED, /* the first one of a jump, or more than max_jitter_ms were held */
    VC_STAT_SILENCE_SAMPLES,   /* of the receive timeline: the sender says that nothing was sent */
    VC_STAT_WINDOWS_RESTED,    /* VAD windows of a silence in which the VAD rests */
    VC_STAT_RECOVERED,         /* of the lost packets: the next one carried them (Opus FEC) */
    VC_STAT_UNDERRUN_SAMPLES,  /* as in vc_playout_stats, and the two below */
    VC_STAT_QUEUE_LOWEST_SAMPLES, /* signed */
    VC_STAT_QUEUE_BUFFERING,
    VC_STAT_PACKETS_SHED, /* audio that was too old when an overloaded shard came to it */
    VC_STAT_COUNT
} vc_call_stat;

vc_call_config vc_call_config_default(void);
/* VC_E_NULL, VC_E_RATE, VC_E_RANGE, VC_E_MEMORY; VC_E_MISSING: Opus without libopus. */
VC_CHECKED vc_status vc_call_create(vc_call **out, const vc_call_config *config);
void vc_call_destroy(vc_call *call);

/* -- producer -- */
vc_playout *vc_call_playout(vc_call *call);
/* Caller audio of a pushed call, at rate_hz. *n: offered in, taken out; VC_FULL if not all. */
VC_RT vc_status vc_call_push(vc_call *call, const int16_t *samples, size_t *n);
/* Queues one digit. duration_ms 40..1000. VC_E_RANGE, VC_FULL if 64 digits wait. */
VC_RT vc_status vc_call_send_dtmf(vc_call *call, char digit, int duration_ms);
/* Whether an answer is on its way of which nothing is queued yet: which settings the gate uses. */
VC_RT void vc_call_set_thinking(vc_call *call, int thinking);
/* Where to send from the next tick on, as it was agreed; the source is learnt or locked anew.
 * VC_FULL if 4 such are waiting. */
VC_RT vc_status vc_call_set_remote(vc_call *call, const vc_address *remote);
/* Received samples in order, up to *n (room in, samples out), a run without a hole; *first: the
 * sample index of the first. VC_NEED_MORE when there are none. */
VC_RT vc_status vc_call_read(vc_call *call, int16_t *samples, size_t *n, int64_t *first);
/* What was sent, likewise. VC_E_STATE if the call does not record it. */
VC_RT vc_status vc_call_read_sent(vc_call *call, int16_t *samples, size_t *n, int64_t *first);
/* As many samples as the two reads above can give now. */
VC_RT size_t vc_call_readable(const vc_call *call);
VC_RT size_t vc_call_sent_readable(const vc_call *call);
/* The ring of received audio: read it in place, once more, or ask to be told (VC_EVENT_AUDIO). */
VC_RT vc_pcm_ring *vc_call_received(const vc_call *call);
/* When received and sent sample 0 were on the wire, by the packets that were least late; 0 if not
 * yet. A sample's place on the wire is this plus its index at the call's rate. */
VC_RT int64_t vc_call_received_start_ns(const vc_call *call);
VC_RT int64_t vc_call_sent_start_ns(const vc_call *call);
/* VC_STAT_COUNT numbers, as of the last tick. */
VC_RT void vc_call_get_stats(const vc_call *call, uint64_t *stats);

/* -- media thread -- */
/* One datagram; from: whose, NULL if that is not known here. VC_OK, or a positive outcome of the
 * jitter buffer, or VC_IGNORED when it was counted and thrown away. */
VC_RT vc_status vc_call_receive_from(vc_call *call, const vc_address *from, const uint8_t *bytes,
                                     size_t n, int64_t now_ns);
VC_RT vc_status vc_call_receive(vc_call *call, const uint8_t *bytes, size_t n, int64_t now_ns);
/* Whether it is audio of an RTP stream, as far as its first bytes say: no report, no key press. */
VC_RT int vc_call_is_audio(const vc_call *call, const uint8_t *bytes, size_t n);
/* A datagram came and was thrown away unseen. */
VC_RT void vc_call_shed(vc_call *call);
/* Where to send; family 0: not known. It changes only in receive_from and tick. */
VC_RT const vc_address *vc_call_remote(const vc_call *call);
/* Takes in what was pushed. */
VC_RT void vc_call_take_pushed(vc_call *call, int64_t now_ns);
/* Declares losses that are due. */
VC_RT void vc_call_expire(vc_call *call, int64_t now_ns);

/* A VAD window is complete: gives the stream and the window (valid until it is judged). */
VC_RT int vc_call_window(vc_call *call, vc_silero **vad, const float **window);
/* In a silence in which the VAD rests, judges that window without it; 0: the VAD is to be asked. */
VC_RT int vc_call_rest(vc_call *call, int64_t now_ns);
/* The probability of that window: speech events and the barge-in gate. */
VC_RT void vc_call_judge(vc_call *call, float probability, int64_t now_ns);

/* The packet of this tick; whoever sends it counts it as VC_STAT_PACKETS_SENT. *n: room in (at
 * least VC_CALL_MAX_PACKET_BYTES), bytes out; 0 bytes for a pushed call. */
VC_RT vc_status vc_call_tick(vc_call *call, int64_t now_ns, uint8_t *packet, size_t *n);
/* The RTCP packet that is due, to be sent as the RTP is. *n: room in (as for vc_call_tick), bytes
 * out, mostly 0. last: now, with BYE. */
VC_RT vc_status vc_call_report(vc_call *call, int64_t now_ns, int last, uint8_t *packet, size_t *n);
/* Asks the memory for what the call's next datagram or tick will touch (vc_prefetch.h). */
VC_RT void vc_call_prefetch_datagram(const vc_call *call, vc_turns_away turns);
VC_RT void vc_call_prefetch_tick(const vc_call *call, vc_turns_away turns);
VC_RT void vc_call_count(vc_call *call, vc_call_stat stat, uint64_t more);
/* Makes the counters those of now; every tick does. */
VC_RT void vc_call_publish(vc_call *call);
VC_RT void vc_call_post(vc_call *call, vc_event_kind kind, int64_t now_ns);

#endif
