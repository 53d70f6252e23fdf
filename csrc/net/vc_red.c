/* vc_red: see vc_red.h. Source: RFC 2198 section 3: headers of 4 bytes (1 bit more to come, 7 bits
 * payload type, 14 bits timestamp offset, 10 bits length), the last one of 1 byte, then the data in
 * the same order. */
#include "net/vc_red.h"

#define MORE         0x80u
#define HEADER_BYTES 4

vc_status vc_red_parse(const uint8_t *payload, size_t payload_bytes, vc_red_block *blocks,
                       size_t *n)
{
    if (!payload || !blocks || !n) return VC_E_NULL;
    size_t room = *n < VC_RED_MAX_BLOCKS ? *n : VC_RED_MAX_BLOCKS, count = 0, at = 0, data = 0;
    *n = 0;
    for (;;) {
        if (at >= payload_bytes || count == room) return VC_E_PACKET;
        const uint8_t *header = payload + at;
        vc_red_block *block = &blocks[count++];
        block->payload_type = header[0] & 0x7f;
        if (!(header[0] & MORE)) {
            at++;
            break;
        }
        if (payload_bytes - at < HEADER_BYTES) return VC_E_PACKET;
        block->offset_ticks = (uint16_t)(header[1] << 6 | header[2] >> 2);
        block->payload_bytes = (size_t)(header[2] & 3) << 8 | header[3];
        data += block->payload_bytes;
        at += HEADER_BYTES;
    }
    if (data > payload_bytes - at) return VC_E_PACKET;
    blocks[count - 1].offset_ticks = 0;
    blocks[count - 1].payload_bytes = payload_bytes - at - data;
    for (size_t i = 0; i < count; i++) {
        blocks[i].payload = payload + at;
        at += blocks[i].payload_bytes;
    }
    *n = count;
    return VC_OK;
}
