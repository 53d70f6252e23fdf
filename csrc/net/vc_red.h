/* vc_red: redundant audio in RTP (RFC 2198): the blocks of a payload. Stateless; any thread.
 * The blocks point into the caller's bytes. */
#ifndef VC_RED_H
#define VC_RED_H

#include "base/vc_base.h"

#define VC_RED_MAX_BLOCKS 8

typedef struct vc_red_block {
    uint8_t payload_type;
    uint16_t offset_ticks; /* how far before the packet's timestamp it begins; 0: the primary one */
    const uint8_t *payload;
    size_t payload_bytes;
} vc_red_block;

/* Blocks in the order of the payload: the oldest first as a rule, the primary one last. *n: room
 * in (VC_RED_MAX_BLOCKS always suffices), blocks out. VC_E_PACKET if it is truncated or holds more
 * blocks than that. */
VC_RT vc_status vc_red_parse(const uint8_t *payload, size_t payload_bytes, vc_red_block *blocks,
                             size_t *n);

#endif
