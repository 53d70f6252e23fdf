/* vc_rtp: see vc_rtp.h. Source: RFC 3550 sections 5.1 and 5.3.1. */
#include "net/vc_rtp.h"

#include <string.h>

#define EXTENSION_HEADER_BYTES 4u
#define MAX_EXTENSION_BYTES    (65535u * 4u)

static inline uint32_t load_u16(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 8 | bytes[1];
}

static inline uint32_t load_u32(const uint8_t *bytes)
{
    return load_u16(bytes) << 16 | load_u16(bytes + 2);
}

static inline void store_u16(uint8_t *bytes, uint32_t value)
{
    bytes[0] = (uint8_t)(value >> 8);
    bytes[1] = (uint8_t)value;
}

static inline void store_u32(uint8_t *bytes, uint32_t value)
{
    store_u16(bytes, value >> 16);
    store_u16(bytes + 2, value);
}

vc_status vc_rtp_parse(const uint8_t *bytes, size_t n, vc_rtp_packet *out)
{
    if (!bytes || !out) return VC_E_NULL;
    if (n < VC_RTP_HEADER_BYTES || bytes[0] >> 6 != 2) return VC_E_PACKET;
    size_t csrc_count = bytes[0] & 0x0fu;
    size_t at = VC_RTP_HEADER_BYTES + 4 * csrc_count;
    if (at > n) return VC_E_PACKET;

    int has_extension = bytes[0] >> 4 & 1;
    size_t extension_at = 0, extension_bytes = 0;
    uint16_t profile = 0;
    if (has_extension) {
        if (n - at < EXTENSION_HEADER_BYTES) return VC_E_PACKET;
        profile = (uint16_t)load_u16(bytes + at);
        extension_bytes = 4 * (size_t)load_u16(bytes + at + 2);
        extension_at = at + EXTENSION_HEADER_BYTES;
        if (extension_bytes > n - extension_at) return VC_E_PACKET;
        at = extension_at + extension_bytes;
    }

    size_t padding = 0;
    if (bytes[0] >> 5 & 1) {
        padding = bytes[n - 1];
        if (padding == 0 || padding > n - at) return VC_E_PACKET;
    }

    out->payload_type = bytes[1] & 0x7fu;
    out->marker = bytes[1] >> 7;
    out->sequence = (uint16_t)load_u16(bytes + 2);
    out->timestamp = load_u32(bytes + 4);
    out->ssrc = load_u32(bytes + 8);
    out->csrc_count = (uint8_t)csrc_count;
    for (size_t i = 0; i < csrc_count; i++)
        out->csrc[i] = load_u32(bytes + VC_RTP_HEADER_BYTES + 4 * i);
    out->has_extension = has_extension;
    out->extension_profile = profile;
    out->extension = has_extension ? bytes + extension_at : NULL;
    out->extension_bytes = extension_bytes;
    out->payload = bytes + at;
    out->payload_bytes = n - at - padding;
    return VC_OK;
}

vc_status vc_rtp_build(const vc_rtp_packet *packet, uint8_t *out, size_t *n)
{
    if (!packet || !n) return VC_E_NULL;
    if (packet->payload_type > 127 || packet->marker > 1) return VC_E_RANGE;
    if (packet->csrc_count > VC_RTP_MAX_CSRC) return VC_E_RANGE;
    size_t extension = 0;
    if (packet->has_extension) {
        if (packet->extension_bytes % 4 != 0) return VC_E_RANGE;
        if (packet->extension_bytes > MAX_EXTENSION_BYTES) return VC_E_RANGE;
        if (packet->extension_bytes > 0 && !packet->extension) return VC_E_NULL;
        extension = EXTENSION_HEADER_BYTES + packet->extension_bytes;
    }
    if (packet->payload_bytes > 0 && !packet->payload) return VC_E_NULL;
    size_t header = VC_RTP_HEADER_BYTES + 4 * (size_t)packet->csrc_count + extension;
    if (packet->payload_bytes > SIZE_MAX - header) return VC_E_RANGE;
    size_t room = *n;
    *n = header + packet->payload_bytes;
    if (*n > room) return VC_E_LENGTH;
    if (!out) return VC_E_NULL;

    out[0] = (uint8_t)(0x80 | (packet->has_extension ? 0x10 : 0) | packet->csrc_count);
    out[1] = (uint8_t)(packet->marker << 7 | packet->payload_type);
    store_u16(out + 2, packet->sequence);
    store_u32(out + 4, packet->timestamp);
    store_u32(out + 8, packet->ssrc);
    uint8_t *at = out + VC_RTP_HEADER_BYTES;
    for (size_t i = 0; i < packet->csrc_count; i++, at += 4) store_u32(at, packet->csrc[i]);
    if (packet->has_extension) {
        store_u16(at, packet->extension_profile);
        store_u16(at + 2, (uint32_t)(packet->extension_bytes / 4));
        if (packet->extension_bytes > 0)
            memcpy(at + EXTENSION_HEADER_BYTES, packet->extension, packet->extension_bytes);
        at += extension;
    }
    if (packet->payload_bytes > 0) memcpy(at, packet->payload, packet->payload_bytes);
    return VC_OK;
}

/* The difference modulo 2^16 (2^32), read as signed, is the way to the nearest such value. */
int64_t vc_rtp_unwrap_sequence(int64_t reference, uint16_t raw)
{
    int64_t step = (int16_t)(uint16_t)(raw - (uint16_t)(uint64_t)reference);
    return (int64_t)((uint64_t)reference + (uint64_t)step);
}

int64_t vc_rtp_unwrap_timestamp(int64_t reference, uint32_t raw)
{
    int64_t step = (int32_t)(raw - (uint32_t)(uint64_t)reference);
    return (int64_t)((uint64_t)reference + (uint64_t)step);
}
