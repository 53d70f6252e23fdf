/* vc_rtcp_session: one side of an RTP session of two: what it reports, when, and what the other
 * side reported (RFC 3550: 6.3 and A.7 interval, 6.4 reports, A.3 loss, A.8 jitter).
 *
 * Loss, highest sequence number and jitter of what is received; loss and jitter that the other side
 * sees; round-trip time from LSR and DLSR. NTP times count from the start of the session, as 6.4.1
 * allows to whom has no clock of the day: no step of the wall clock reaches them. The interval is
 * random by a seed, so a session is a function of what is put in.
 *
 * A plain struct of one thread; time (monotonic ns) comes in with each call.
 */
#ifndef VC_RTCP_SESSION_H
#define VC_RTCP_SESSION_H

#include "net/vc_rtcp.h"
#include "net/vc_rtp.h"

#define VC_RTCP_MAX_CNAME_BYTES 32
/* Longest compound that is built: SR with one block, SDES, BYE. */
#define VC_RTCP_MAX_COMPOUND_BYTES 128

typedef struct vc_rtcp_session_config {
    uint32_t ssrc;                       /* our own */
    int clock_hz;                        /* of RTP timestamps, 8000..48000 */
    int bandwidth_bps;                   /* of the session; RTCP takes 5 %; default 80000 */
    int min_interval_ms;                 /* 100..60000, default 5000 */
    uint32_t seed;                       /* of the interval's randomness */
    char cname[VC_RTCP_MAX_CNAME_BYTES]; /* ends with 0; no name of a person (RFC 7022) */
} vc_rtcp_session_config;

typedef struct vc_rtcp_session_stats {
    uint64_t sent, received; /* compound packets */
    int has_report;          /* 1: the other side has reported on us */
    double remote_loss;      /* 0..1, in the last report's interval */
    int32_t remote_lost;     /* packets in all; negative with duplicates */
    double remote_jitter_ms;
    double round_trip_ms; /* of the last report that had one; 0: none yet */
    int64_t lost;         /* what we report: in all */
    double jitter_ms;
} vc_rtcp_session_stats;

typedef struct vc_rtcp_session {
    vc_rtcp_session_config config;
    int64_t start_ns, last_sent_ns, due_ns, last_heard_ns;
    uint32_t random;
    double average_bytes;
    int initial;
    /* what we send */
    uint32_t packets_sent, bytes_sent, last_timestamp;
    int64_t last_packet_ns;
    /* what we receive */
    int has_source;
    uint32_t source;
    int64_t base_sequence, highest_sequence; /* extended */
    uint64_t packets, packets_before, expected_before;
    double jitter, transit;
    uint32_t last_sr;
    int64_t last_sr_ns;
    int has_last_sr, has_transit;
    vc_rtcp_session_stats stats;
} vc_rtcp_session;

vc_rtcp_session_config vc_rtcp_session_config_default(void);
/* As new: also the way to reset it. VC_E_RANGE. */
VC_CHECKED VC_RT vc_status vc_rtcp_session_init(vc_rtcp_session *session,
                                                const vc_rtcp_session_config *config,
                                                int64_t now_ns);
VC_RT void vc_rtcp_session_sent(vc_rtcp_session *session, uint32_t timestamp, size_t payload_bytes,
                                int64_t now_ns);
/* An accepted packet of the other side. Another SSRC than before begins anew. */
VC_RT void vc_rtcp_session_heard(vc_rtcp_session *session, const vc_rtp_packet *packet,
                                 int64_t now_ns);
/* A compound packet. *bye: 1 when it says BYE for the source that is heard (or for its own sender,
 * when none is). VC_OK or VC_E_PACKET. */
VC_RT vc_status vc_rtcp_session_receive(vc_rtcp_session *session, const uint8_t *bytes, size_t n,
                                        int64_t now_ns, int *bye);
/* The compound packet that is due. *n: room in, bytes out; 0 when none is due. VC_E_LENGTH under
 * VC_RTCP_MAX_COMPOUND_BYTES of room. */
VC_RT vc_status vc_rtcp_session_report(vc_rtcp_session *session, int64_t now_ns, uint8_t *out,
                                       size_t *n);
/* The last one, with BYE; due at once in a session of two (6.3.7). */
VC_RT vc_status vc_rtcp_session_bye(vc_rtcp_session *session, int64_t now_ns, uint8_t *out,
                                    size_t *n);
VC_RT void vc_rtcp_session_get_stats(const vc_rtcp_session *session, vc_rtcp_session_stats *stats);

/* Seconds between reports before they are made random (6.3.1). average_bytes counts UDP and IP. */
VC_RT double vc_rtcp_interval_s(int members, int senders, double rtcp_bytes_per_s, int we_sent,
                                double average_bytes, double min_s, int initial);

#endif
