/* vc_red. Oracle: the packet of RFC 2198 section 3 (figure 1) and packets built byte by byte. */
#include "net/vc_red.h"

#include <stdlib.h>
#include <string.h>

#include "vc_test.h"

VC_TEST(blocks_come_apart)
{
    /* one redundant block (type 5, offset 160, 3 bytes) and the primary one (type 0, 4 bytes) */
    const uint8_t packet[] = {0x85, 0x02, 0x80, 0x03, 0x00, 'a', 'b', 'c', 'p', 'q', 'r', 's'};
    vc_red_block blocks[VC_RED_MAX_BLOCKS];
    size_t n = VC_RED_MAX_BLOCKS;
    VC_CHECK_OK(vc_red_parse(packet, sizeof packet, blocks, &n));
    VC_CHECK_EQ(n, 2);
    VC_CHECK_EQ(blocks[0].payload_type, 5);
    VC_CHECK_EQ(blocks[0].offset_ticks, 160);
    VC_CHECK_EQ(blocks[0].payload_bytes, 3);
    VC_CHECK(memcmp(blocks[0].payload, "abc", 3) == 0);
    VC_CHECK_EQ(blocks[1].payload_type, 0);
    VC_CHECK_EQ(blocks[1].offset_ticks, 0);
    VC_CHECK_EQ(blocks[1].payload_bytes, 4);
    VC_CHECK(memcmp(blocks[1].payload, "pqrs", 4) == 0);
    /* the largest offset and length: 14 and 10 bits */
    uint8_t large[5 + 1023 + 1] = {0xff, 0xff, 0xff, 0xff, 0x7f};
    n = 2;
    VC_CHECK_OK(vc_red_parse(large, sizeof large, blocks, &n));
    VC_CHECK_EQ(blocks[0].payload_type, 127);
    VC_CHECK_EQ(blocks[0].offset_ticks, 16383);
    VC_CHECK_EQ(blocks[0].payload_bytes, 1023);
    VC_CHECK_EQ(blocks[1].payload_bytes, 1);
}

VC_TEST(a_primary_block_alone_and_empty_ones)
{
    const uint8_t packet[] = {0x08, 'x'}, empty[] = {0x08}, none[] = {0x85, 0, 0, 0, 0};
    vc_red_block blocks[VC_RED_MAX_BLOCKS];
    size_t n = 1;
    VC_CHECK_OK(vc_red_parse(packet, 2, blocks, &n));
    VC_CHECK(n == 1 && blocks[0].payload_type == 8 && blocks[0].payload_bytes == 1);
    VC_CHECK_OK(vc_red_parse(empty, 1, blocks, &n));
    VC_CHECK(n == 1 && blocks[0].payload_bytes == 0);
    n = 2;
    VC_CHECK_OK(vc_red_parse(none, 5, blocks, &n));
    VC_CHECK(n == 2 && blocks[0].payload_bytes == 0 && blocks[1].payload_bytes == 0);
}

VC_TEST(truncated_and_endless_ones_are_refused)
{
    const uint8_t packet[] = {0x85, 0x02, 0x80, 0x03, 0x00, 'a', 'b', 'c', 'p'};
    vc_red_block blocks[VC_RED_MAX_BLOCKS];
    for (size_t cut = 0; cut < 8; cut++) {
        uint8_t *exact = malloc(cut ? cut : 1); /* AddressSanitizer sees any read beyond it */
        VC_NEED(exact);
        memcpy(exact, packet, cut);
        size_t n = VC_RED_MAX_BLOCKS;
        VC_CHECK_EQ(vc_red_parse(exact, cut, blocks, &n), VC_E_PACKET);
        VC_CHECK_EQ(n, 0);
        free(exact);
    }
    uint8_t many[4 * 8 + 1];
    memset(many, 0, sizeof many);
    for (int i = 0; i < 8; i++) many[4 * i] = 0x80;
    size_t n = 100;
    VC_CHECK_EQ(vc_red_parse(many, sizeof many, blocks, &n), VC_E_PACKET);
    n = VC_RED_MAX_BLOCKS;
    VC_CHECK_OK(vc_red_parse(many + 4, sizeof many - 4, blocks, &n));
    VC_CHECK_EQ(n, VC_RED_MAX_BLOCKS);
    n = 1;
    VC_CHECK_EQ(vc_red_parse(packet, sizeof packet, blocks, &n), VC_E_PACKET);
    VC_CHECK_EQ(vc_red_parse(NULL, 0, blocks, &n), VC_E_NULL);
}

VC_MAIN(VC_RUN(blocks_come_apart) VC_RUN(a_primary_block_alone_and_empty_ones)
            VC_RUN(truncated_and_endless_ones_are_refused))
