/* vc_packet_buffer: encoded audio that waits for its turn, in the order of the sender's timeline.
 *
 * A packet is kept as one or more parts, each in a slot of fixed size; all memory is taken at
 * create. Positions and indexes are 64-bit: the sender's timestamps (in samples) and sequence
 * numbers, unwrapped. One thread at a time.
 *
 *     vc_packet_buffer_create(&buffer, 46, 160, NULL);
 *     vc_packet_buffer_insert(buffer, &part, bytes);
 *     vc_packet_part *head = vc_packet_buffer_head(buffer);
 *     vc_packet_buffer_remove(buffer, head);
 */
#ifndef VC_PACKET_BUFFER_H
#define VC_PACKET_BUFFER_H

#include "base/vc_base.h"
#include "base/vc_prefetch.h"

typedef struct vc_packet_buffer vc_packet_buffer;

typedef struct vc_packet_part {
    int64_t position; /* of its first sample */
    int64_t index;    /* of its packet */
    int64_t arrival_ns;
    uint32_t timestamp; /* of its first sample */
    uint16_t samples;
    uint16_t bytes;
    uint16_t packet_samples;
    uint8_t codec;
    uint8_t last; /* of its packet */
    int16_t previous, next;
} vc_packet_part;

/* parts: 1..32767; part_bytes: most bytes of a part, 1..65535. VC_E_RANGE otherwise. */
VC_CHECKED vc_status vc_packet_buffer_create(vc_packet_buffer **out, int parts, int part_bytes,
                                             const vc_allocator *allocator);
void vc_packet_buffer_destroy(vc_packet_buffer *buffer);
VC_RT void vc_packet_buffer_reset(vc_packet_buffer *buffer);

/* Puts a copy behind all that begin at its position or before. VC_FULL if no slot is free. */
VC_RT VC_CHECKED vc_status vc_packet_buffer_insert(vc_packet_buffer *buffer,
                                                   const vc_packet_part *fields,
                                                   const uint8_t *bytes);
VC_RT void vc_packet_buffer_remove(vc_packet_buffer *buffer, vc_packet_part *part);

/* The oldest and the youngest part, and the one that follows; NULL if there is none. */
VC_RT vc_packet_part *vc_packet_buffer_head(const vc_packet_buffer *buffer);
VC_RT vc_packet_part *vc_packet_buffer_next(const vc_packet_buffer *buffer,
                                            const vc_packet_part *part);

VC_RT const uint8_t *vc_packet_buffer_bytes(const vc_packet_buffer *buffer,
                                            const vc_packet_part *part);

/* Free slots; samples held; packets held (by their last parts). */
VC_RT int vc_packet_buffer_free_parts(const vc_packet_buffer *buffer);
VC_RT int32_t vc_packet_buffer_samples(const vc_packet_buffer *buffer);
VC_RT int vc_packet_buffer_packets(const vc_packet_buffer *buffer);
/* For a packet that goes in and out (vc_prefetch.h). */
VC_RT void vc_packet_buffer_prefetch(const vc_packet_buffer *buffer);

#endif
