/* vc_packet_buffer. Oracle: a plain array kept in order. */
#include "net/vc_packet_buffer.h"

#include <string.h>

#include "vc_test.h"

enum { PARTS = 12, BYTES = 8 };

static vc_packet_part part_at(int64_t position, int number)
{
    return (vc_packet_part){.position = position,
                            .index = number,
                            .samples = (uint16_t)(1 + number % 50),
                            .bytes = (uint16_t)(number % (BYTES + 1)),
                            .last = number % 3 != 0};
}

static void check(vc_packet_buffer *buffer, const vc_packet_part *model, int n)
{
    int samples = 0, packets = 0, i = 0;
    vc_packet_part *part = vc_packet_buffer_head(buffer);
    for (; part && i < n; part = vc_packet_buffer_next(buffer, part), i++) {
        uint8_t expected[BYTES];
        memset(expected, (int)(model[i].index % 251), sizeof expected);
        VC_CHECK_EQ(part->position, model[i].position);
        VC_CHECK_EQ(part->index, model[i].index);
        VC_CHECK(memcmp(vc_packet_buffer_bytes(buffer, part), expected, part->bytes) == 0);
        samples += model[i].samples;
        packets += model[i].last;
    }
    VC_CHECK(i == n && part == NULL);
    VC_CHECK_EQ(vc_packet_buffer_samples(buffer), samples);
    VC_CHECK_EQ(vc_packet_buffer_packets(buffer), packets);
    VC_CHECK_EQ(vc_packet_buffer_free_parts(buffer), PARTS - n);
}

VC_TEST(equals_the_array)
{
    vc_packet_buffer *buffer;
    vc_packet_part model[PARTS];
    uint32_t seed = 9;
    int n = 0;
    VC_NEED(vc_packet_buffer_create(&buffer, PARTS, BYTES, NULL) == VC_OK);
    for (int i = 0; i < 20000; i++) {
        uint32_t dice = vc_test_random(&seed);
        if (dice % 5 < 3) {
            vc_packet_part part = part_at((int64_t)(dice >> 8) % 100 - 50, i);
            uint8_t bytes[BYTES];
            memset(bytes, i % 251, sizeof bytes);
            vc_status status = vc_packet_buffer_insert(buffer, &part, bytes);
            VC_CHECK_EQ(status, n == PARTS ? VC_FULL : VC_OK);
            if (status != VC_OK) continue;
            int at = n++;
            for (; at > 0 && model[at - 1].position > part.position; at--)
                model[at] = model[at - 1];
            model[at] = part;
        } else if (n > 0) {
            int at = (int)((dice >> 8) % (uint32_t)n);
            vc_packet_part *part = vc_packet_buffer_head(buffer);
            for (int k = 0; k < at; k++) part = vc_packet_buffer_next(buffer, part);
            vc_packet_buffer_remove(buffer, part);
            memmove(model + at, model + at + 1, (size_t)(--n - at) * sizeof *model);
        }
        check(buffer, model, n);
    }
    vc_packet_buffer_reset(buffer);
    check(buffer, model, 0);
    vc_packet_buffer_destroy(buffer);
}

VC_TEST(bad_sizes_and_no_memory)
{
    vc_packet_buffer *buffer;
    VC_CHECK_EQ(vc_packet_buffer_create(NULL, 1, 1, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_packet_buffer_create(&buffer, 0, 1, NULL), VC_E_RANGE);
    VC_CHECK_EQ(vc_packet_buffer_create(&buffer, 32768, 1, NULL), VC_E_RANGE);
    VC_CHECK_EQ(vc_packet_buffer_create(&buffer, 1, 65536, NULL), VC_E_RANGE);
    vc_test_heap heap = {0, 0, 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    VC_CHECK_EQ(vc_packet_buffer_create(&buffer, PARTS, BYTES, &allocator), VC_E_MEMORY);
    heap.fail_at = -1;
    VC_NEED(vc_packet_buffer_create(&buffer, PARTS, BYTES, &allocator) == VC_OK);
    vc_packet_part part = {.bytes = BYTES + 1};
    VC_CHECK_EQ(vc_packet_buffer_insert(buffer, &part, (const uint8_t *)"123456789"), VC_E_LENGTH);
    vc_packet_buffer_destroy(buffer);
    vc_packet_buffer_destroy(NULL);
    VC_CHECK_EQ(heap.live, 0);
}

VC_MAIN(VC_RUN(equals_the_array) VC_RUN(bad_sizes_and_no_memory))
