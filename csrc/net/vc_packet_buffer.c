/* vc_packet_buffer: a doubly linked list in an array, and a list of free slots. */
#include "net/vc_packet_buffer.h"

#include <string.h>

#define NONE (-1)

struct vc_packet_buffer {
    int count, part_bytes;
    int16_t head, tail, free_list;
    int free_parts, packets;
    int32_t samples;
    vc_packet_part *parts;
    uint8_t *bytes; /* count * part_bytes */
    vc_allocator allocator;
    int custom_allocator;
};

static size_t round_up(size_t bytes)
{
    return (bytes + 63) & ~(size_t)63;
}

vc_status vc_packet_buffer_create(vc_packet_buffer **out, int parts, int part_bytes,
                                  const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (parts < 1 || parts > INT16_MAX || part_bytes < 1 || part_bytes > UINT16_MAX)
        return VC_E_RANGE;
    size_t own = round_up(sizeof(vc_packet_buffer));
    size_t list = round_up((size_t)parts * sizeof(vc_packet_part));
    unsigned char *memory = vc_allocate(allocator, own + list + (size_t)parts * (size_t)part_bytes);
    if (!memory) return VC_E_MEMORY;
    vc_packet_buffer *buffer = (vc_packet_buffer *)(void *)memory;
    buffer->count = parts;
    buffer->part_bytes = part_bytes;
    buffer->parts = (vc_packet_part *)(void *)(memory + own);
    buffer->bytes = memory + own + list;
    if (allocator) {
        buffer->allocator = *allocator;
        buffer->custom_allocator = 1;
    }
    vc_packet_buffer_reset(buffer);
    *out = buffer;
    return VC_OK;
}

void vc_packet_buffer_destroy(vc_packet_buffer *buffer)
{
    if (!buffer) return;
    vc_allocator allocator = buffer->allocator;
    vc_release(buffer->custom_allocator ? &allocator : NULL, buffer);
}

void vc_packet_buffer_reset(vc_packet_buffer *buffer)
{
    buffer->head = buffer->tail = NONE;
    buffer->free_list = 0;
    buffer->free_parts = buffer->count;
    buffer->packets = 0;
    buffer->samples = 0;
    for (int i = 0; i < buffer->count; i++)
        buffer->parts[i].next = (int16_t)(i + 1 < buffer->count ? i + 1 : NONE);
}

vc_status vc_packet_buffer_insert(vc_packet_buffer *buffer, const vc_packet_part *fields,
                                  const uint8_t *bytes)
{
    if (fields->bytes > buffer->part_bytes) return VC_E_LENGTH;
    int16_t slot = buffer->free_list, before = buffer->tail;
    if (slot == NONE) return VC_FULL;
    vc_packet_part *parts = buffer->parts, *part = &parts[slot];
    buffer->free_list = part->next;
    buffer->free_parts--;
    *part = *fields;
    memcpy(buffer->bytes + (size_t)slot * (size_t)buffer->part_bytes, bytes, part->bytes);
    while (before != NONE && parts[before].position > part->position)
        before = parts[before].previous;
    part->previous = before;
    part->next = before == NONE ? buffer->head : parts[before].next;
    if (before == NONE)
        buffer->head = slot;
    else
        parts[before].next = slot;
    if (part->next == NONE)
        buffer->tail = slot;
    else
        parts[part->next].previous = slot;
    buffer->samples += part->samples;
    buffer->packets += part->last;
    return VC_OK;
}

void vc_packet_buffer_remove(vc_packet_buffer *buffer, vc_packet_part *part)
{
    int16_t slot = (int16_t)(part - buffer->parts);
    if (part->previous == NONE)
        buffer->head = part->next;
    else
        buffer->parts[part->previous].next = part->next;
    if (part->next == NONE)
        buffer->tail = part->previous;
    else
        buffer->parts[part->next].previous = part->previous;
    buffer->samples -= part->samples;
    buffer->packets -= part->last;
    part->next = buffer->free_list;
    buffer->free_list = slot;
    buffer->free_parts++;
}

vc_packet_part *vc_packet_buffer_head(const vc_packet_buffer *buffer)
{
    return buffer->head == NONE ? NULL : &buffer->parts[buffer->head];
}

vc_packet_part *vc_packet_buffer_next(const vc_packet_buffer *buffer, const vc_packet_part *part)
{
    return part->next == NONE ? NULL : &buffer->parts[part->next];
}

const uint8_t *vc_packet_buffer_bytes(const vc_packet_buffer *buffer, const vc_packet_part *part)
{
    return buffer->bytes + (size_t)(part - buffer->parts) * (size_t)buffer->part_bytes;
}

int vc_packet_buffer_free_parts(const vc_packet_buffer *buffer)
{
    return buffer->free_parts;
}

int32_t vc_packet_buffer_samples(const vc_packet_buffer *buffer)
{
    return buffer->samples;
}

int vc_packet_buffer_packets(const vc_packet_buffer *buffer)
{
    return buffer->packets;
}

void vc_packet_buffer_prefetch(const vc_packet_buffer *buffer)
{
    /* One that is mostly empty uses the first part again and again. */
    vc_prefetch(buffer, round_up(sizeof *buffer) + sizeof(vc_packet_part));
}
