/* vc_rtp: RTP packets (RFC 3550): parse with every length checked, and build.
 * Stateless, any thread; the parsed payload points into the caller's bytes. */
#ifndef VC_RTP_H
#define VC_RTP_H

#include "base/vc_base.h"

#define VC_RTP_HEADER_BYTES 12
#define VC_RTP_MAX_CSRC     15

enum { VC_RTP_PT_PCMU = 0, VC_RTP_PT_PCMA = 8, VC_RTP_PT_CN = 13 };

typedef struct vc_rtp_packet {
    uint8_t payload_type; /* 0..127 */
    uint8_t marker;       /* 0 or 1 */
    uint16_t sequence;
    uint32_t timestamp;
    uint32_t ssrc;
    uint8_t csrc_count; /* 0..15 */
    uint32_t csrc[VC_RTP_MAX_CSRC];
    int has_extension;
    uint16_t extension_profile;
    const uint8_t *extension; /* its data, without the 4-byte header; NULL if absent */
    size_t extension_bytes;
    const uint8_t *payload; /* padding removed; may be empty */
    size_t payload_bytes;
} vc_rtp_packet;

/* VC_E_PACKET if truncated, not version 2, or padded beyond its length; then *out is untouched. */
VC_RT vc_status vc_rtp_parse(const uint8_t *bytes, size_t n, vc_rtp_packet *out);

/* Writes header, CSRCs, extension and payload, no padding. *n: room in, bytes written out.
 * VC_E_LENGTH if it does not fit (then *n = bytes needed), VC_E_RANGE for a bad field. */
VC_RT vc_status vc_rtp_build(const vc_rtp_packet *packet, uint8_t *out, size_t *n);

/* Extends a 16-bit sequence number or a 32-bit timestamp next to a 64-bit reference of the same
 * kind: the one value congruent to `raw` that is nearest to `reference`. */
VC_RT int64_t vc_rtp_unwrap_sequence(int64_t reference, uint16_t raw);
VC_RT int64_t vc_rtp_unwrap_timestamp(int64_t reference, uint32_t raw);

#endif
