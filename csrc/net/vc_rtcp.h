/* vc_rtcp: RTCP packets (RFC 3550 section 6): parse with every length checked, and build: sender
 * report, receiver report, SDES CNAME, BYE. Others are stepped over.
 * Stateless, any thread; what is parsed points into the caller's bytes.
 *
 *     if (vc_rtcp_check(bytes, n) == VC_OK)
 *         for (size_t at = 0; vc_rtcp_next(bytes, n, &at, &packet) == VC_OK;) ...
 */
#ifndef VC_RTCP_H
#define VC_RTCP_H

#include "base/vc_base.h"

#define VC_RTCP_MAX_BLOCKS 31

typedef enum vc_rtcp_type {
    VC_RTCP_SR = 200,
    VC_RTCP_RR = 201,
    VC_RTCP_SDES = 202,
    VC_RTCP_BYE = 203,
} vc_rtcp_type;

/* One reception report. */
typedef struct vc_rtcp_block {
    uint32_t ssrc;             /* whose packets it is about */
    uint8_t fraction_lost;     /* of 256, since the report before */
    int32_t lost;              /* in all; 24 bits; negative with duplicates */
    uint32_t highest_sequence; /* cycles in the upper half */
    uint32_t jitter;           /* in ticks of the RTP clock */
    uint32_t last_sr;          /* middle 32 bits of its NTP time; 0: none came */
    uint32_t dlsr;             /* delay since that last SR, in 1/65536 s */
} vc_rtcp_block;

typedef struct vc_rtcp_packet {
    uint8_t type;  /* vc_rtcp_type, or another one of 192..223 */
    uint8_t count; /* blocks (SR, RR), chunks (SDES), SSRCs (BYE): 0..31 */
    uint32_t ssrc; /* of the sender; SDES, BYE: the first one, if count > 0 */
    uint64_t ntp;  /* SR: 32.32 bits of seconds */
    uint32_t rtp_timestamp;
    uint32_t packets_sent, bytes_sent;
    vc_rtcp_block blocks[VC_RTCP_MAX_BLOCKS]; /* SR, RR */
    uint32_t sources[VC_RTCP_MAX_BLOCKS];     /* BYE */
    const uint8_t *text; /* SDES: the first chunk's CNAME; BYE: the reason; NULL if absent */
    size_t text_bytes;   /* 0..255 */
} vc_rtcp_packet;

/* Whether a datagram on a port that carries both is RTCP (RFC 5761 section 4). */
VC_RT int vc_rtcp_is_rtcp(const uint8_t *bytes, size_t n);
/* A whole compound packet (RFC 3550 A.2): it begins with SR or RR, all lengths fit and fill it,
 * only the last is padded. VC_OK or VC_E_PACKET. */
VC_RT vc_status vc_rtcp_check(const uint8_t *bytes, size_t n);
/* The packet at *at, and moves *at behind it; VC_NEED_MORE at the end. VC_E_PACKET: what is in it
 * does not fit; *at stays. */
VC_RT vc_status vc_rtcp_next(const uint8_t *bytes, size_t n, size_t *at, vc_rtcp_packet *out);
/* Writes one packet (SR, RR, SDES with one chunk, BYE). *n: room in, bytes written out. VC_E_LENGTH
 * if it does not fit (then *n = bytes needed), VC_E_RANGE for a field or a type. */
VC_RT vc_status vc_rtcp_build(const vc_rtcp_packet *packet, uint8_t *out, size_t *n);

#endif
