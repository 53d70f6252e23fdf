/* vc_rtcp: see vc_rtcp.h. Source: RFC 3550 sections 6.4 to 6.6 and A.2. */
#include "net/vc_rtcp.h"

#include <string.h>

enum { HEADER = 4, SENDER = 20, BLOCK = 24, CNAME = 1 };

static uint32_t load_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static void store_u32(uint8_t *bytes, uint32_t value)
{
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(value >> (24 - 8 * i));
}

static size_t length_of(const uint8_t *packet)
{
    return 4 * ((size_t)packet[2] << 8 | packet[3]) + 4;
}

int vc_rtcp_is_rtcp(const uint8_t *bytes, size_t n)
{
    return n >= HEADER && bytes[0] >> 6 == 2 && bytes[1] >= 192 && bytes[1] <= 223;
}

vc_status vc_rtcp_check(const uint8_t *bytes, size_t n)
{
    if (!bytes) return VC_E_NULL;
    if (n < HEADER + 4 || bytes[0] >> 5 != 4) return VC_E_PACKET; /* version 2, no padding */
    if (bytes[1] != VC_RTCP_SR && bytes[1] != VC_RTCP_RR) return VC_E_PACKET;
    vc_rtcp_packet packet;
    vc_status status;
    size_t at = 0;
    while ((status = vc_rtcp_next(bytes, n, &at, &packet)) == VC_OK) continue;
    return status == VC_NEED_MORE ? VC_OK : VC_E_PACKET;
}

static vc_status parse_reports(const uint8_t *body, size_t n, vc_rtcp_packet *out)
{
    size_t at = 4;
    if (out->type == VC_RTCP_SR) at += SENDER;
    if (n < at + BLOCK * (size_t)out->count) return VC_E_PACKET;
    out->ssrc = load_u32(body);
    if (out->type == VC_RTCP_SR) {
        out->ntp = (uint64_t)load_u32(body + 4) << 32 | load_u32(body + 8);
        out->rtp_timestamp = load_u32(body + 12);
        out->packets_sent = load_u32(body + 16);
        out->bytes_sent = load_u32(body + 20);
    }
    for (int i = 0; i < out->count; i++, at += BLOCK) {
        vc_rtcp_block *block = &out->blocks[i];
        uint32_t lost = load_u32(body + at + 4);
        block->ssrc = load_u32(body + at);
        block->fraction_lost = (uint8_t)(lost >> 24);
        block->lost = (int32_t)(lost & 0x7fffff) - (int32_t)(lost & 0x800000);
        block->highest_sequence = load_u32(body + at + 8);
        block->jitter = load_u32(body + at + 12);
        block->last_sr = load_u32(body + at + 16);
        block->dlsr = load_u32(body + at + 20);
    }
    return VC_OK;
}

/* Chunks: an SSRC, items (type, length, text) and zeros up to the next multiple of 4. */
static vc_status parse_sdes(const uint8_t *body, size_t n, vc_rtcp_packet *out)
{
    size_t at = 0;
    for (int chunk = 0; chunk < out->count; chunk++) {
        if (n - at < 8) return VC_E_PACKET;
        if (chunk == 0) out->ssrc = load_u32(body);
        at += 4;
        while (at < n && body[at] != 0) {
            if (n - at < 2 || n - at - 2 < body[at + 1]) return VC_E_PACKET;
            if (chunk == 0 && body[at] == CNAME && !out->text) {
                out->text = body + at + 2;
                out->text_bytes = body[at + 1];
            }
            at += 2 + (size_t)body[at + 1];
        }
        if (at >= n) return VC_E_PACKET; /* no end of the list */
        at = (at / 4 + 1) * 4;           /* n is a multiple of 4 */
    }
    return VC_OK;
}

static vc_status parse_bye(const uint8_t *body, size_t n, vc_rtcp_packet *out)
{
    size_t at = 4 * (size_t)out->count;
    if (n < at) return VC_E_PACKET;
    for (int i = 0; i < out->count; i++) out->sources[i] = load_u32(body + 4 * i);
    if (out->count > 0) out->ssrc = out->sources[0];
    if (n > at) {
        if (n - at - 1 < body[at]) return VC_E_PACKET;
        out->text = body + at + 1;
        out->text_bytes = body[at];
    }
    return VC_OK;
}

vc_status vc_rtcp_next(const uint8_t *bytes, size_t n, size_t *at, vc_rtcp_packet *out)
{
    if (!bytes || !at || !out) return VC_E_NULL;
    if (*at >= n) return VC_NEED_MORE;
    const uint8_t *packet = bytes + *at;
    size_t left = n - *at;
    if (left < HEADER || packet[0] >> 6 != 2 || packet[1] < 192 || packet[1] > 223)
        return VC_E_PACKET;
    size_t length = length_of(packet), body_bytes = length - HEADER;
    if (length > left) return VC_E_PACKET;
    if (packet[0] >> 5 & 1) {
        size_t padding = length > HEADER ? packet[length - 1] : 0;
        if (length < left || padding == 0 || padding % 4 != 0 || padding > body_bytes)
            return VC_E_PACKET;
        body_bytes -= padding;
    }
    memset(out, 0, sizeof *out);
    out->count = packet[0] & 0x1f;
    out->type = packet[1];
    vc_status status = VC_OK;
    switch (out->type) {
    case VC_RTCP_SR:
    case VC_RTCP_RR: status = parse_reports(packet + HEADER, body_bytes, out); break;
    case VC_RTCP_SDES: status = parse_sdes(packet + HEADER, body_bytes, out); break;
    case VC_RTCP_BYE: status = parse_bye(packet + HEADER, body_bytes, out); break;
    default: break;
    }
    if (status == VC_OK) *at += length;
    return status;
}

static size_t built_bytes(const vc_rtcp_packet *p)
{
    size_t text = p->text ? p->text_bytes + 1 : 0;
    switch (p->type) {
    case VC_RTCP_SR: return HEADER + 4 + SENDER + BLOCK * (size_t)p->count;
    case VC_RTCP_RR: return HEADER + 4 + BLOCK * (size_t)p->count;
    /* SSRC, type, length, text, at least one zero. */
    case VC_RTCP_SDES: return HEADER + (4 + 2 + p->text_bytes + 1 + 3) / 4 * 4;
    case VC_RTCP_BYE: return HEADER + 4 * (size_t)p->count + (text + 3) / 4 * 4;
    default: return 0;
    }
}

static void build_reports(const vc_rtcp_packet *packet, uint8_t *body)
{
    store_u32(body, packet->ssrc);
    uint8_t *at = body + 4;
    if (packet->type == VC_RTCP_SR) {
        store_u32(at, (uint32_t)(packet->ntp >> 32));
        store_u32(at + 4, (uint32_t)packet->ntp);
        store_u32(at + 8, packet->rtp_timestamp);
        store_u32(at + 12, packet->packets_sent);
        store_u32(at + 16, packet->bytes_sent);
        at += SENDER;
    }
    for (int i = 0; i < packet->count; i++, at += BLOCK) {
        const vc_rtcp_block *block = &packet->blocks[i];
        store_u32(at, block->ssrc);
        store_u32(at + 4,
                  (uint32_t)block->fraction_lost << 24 | ((uint32_t)block->lost & 0xffffff));
        store_u32(at + 8, block->highest_sequence);
        store_u32(at + 12, block->jitter);
        store_u32(at + 16, block->last_sr);
        store_u32(at + 20, block->dlsr);
    }
}

vc_status vc_rtcp_build(const vc_rtcp_packet *packet, uint8_t *out, size_t *n)
{
    if (!packet || !n) return VC_E_NULL;
    size_t bytes = built_bytes(packet);
    if (bytes == 0 || packet->count > VC_RTCP_MAX_BLOCKS) return VC_E_RANGE;
    if (packet->text_bytes > 255 || (packet->text_bytes > 0 && !packet->text)) return VC_E_RANGE;
    if (packet->type == VC_RTCP_SDES && packet->count != 1) return VC_E_RANGE;
    if (packet->type == VC_RTCP_SR || packet->type == VC_RTCP_RR)
        for (int i = 0; i < packet->count; i++)
            if (packet->blocks[i].lost < -0x800000 || packet->blocks[i].lost > 0x7fffff)
                return VC_E_RANGE;
    size_t room = *n;
    *n = bytes;
    if (bytes > room) return VC_E_LENGTH;
    if (!out) return VC_E_NULL;
    memset(out, 0, bytes);
    out[0] = (uint8_t)(0x80 | packet->count);
    out[1] = packet->type;
    out[2] = (uint8_t)((bytes / 4 - 1) >> 8);
    out[3] = (uint8_t)(bytes / 4 - 1);
    uint8_t *body = out + HEADER;
    if (packet->type == VC_RTCP_SDES) {
        store_u32(body, packet->ssrc);
        body[4] = CNAME;
        body[5] = (uint8_t)packet->text_bytes;
        if (packet->text_bytes > 0) memcpy(body + 6, packet->text, packet->text_bytes);
    } else if (packet->type == VC_RTCP_BYE) {
        for (int i = 0; i < packet->count; i++) store_u32(body + 4 * i, packet->sources[i]);
        if (packet->text) {
            body += 4 * packet->count;
            body[0] = (uint8_t)packet->text_bytes;
            if (packet->text_bytes > 0) memcpy(body + 1, packet->text, packet->text_bytes);
        }
    } else {
        build_reports(packet, body);
    }
    return VC_OK;
}
