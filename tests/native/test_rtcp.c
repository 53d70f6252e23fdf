/* vc_rtcp. Oracle: packets written by hand after the drawings of RFC 3550 section 6; the fuzz
 * target replayed. aiortc's packets: tests/engine/test_media_port.py. */
#include "net/vc_rtcp.h"

#include <string.h>

#include "vc_test.h"

#define main fuzz_main
#include "../fuzz/fuzz_rtcp.c"
#undef main

/* SR with one block, SDES with CNAME "ab@c" and a NOTE, BYE with a reason, APP. */
static const uint8_t HAND[] = {
    0x81, 200,  0,    12,   0x11, 0x22, 0x33, 0x44,                 /* SR, 1 block, 13 words */
    0xe0, 0,    0,    1,    0x80, 0,    0,    0,                    /* NTP .5 */
    0,    0,    1,    0,    0,    0,    0,    9,    0,   0,   5, 0, /* timestamp, packets, bytes */
    0xaa, 0xbb, 0xcc, 0xdd, 64,   0xff, 0xff, 0xfe,                 /* a quarter; -2 in all */
    0,    1,    0,    7,    0,    0,    0,    80,                   /* one cycle, 7; jitter */
    0,    1,    0x80, 0,    0,    0,    0x80, 0,                    /* LSR, DLSR half a second */
    0x81, 202,  0,    5,    0x11, 0x22, 0x33, 0x44,                 /* SDES */
    7,    2,    'h',  'i',  1,    4,    'a',  'b',  '@', 'c', 0, 0, /* NOTE, CNAME */
    0,    0,    0,    0,                                            /* more zeros than needed */
    0x82, 203,  0,    4,    0x11, 0x22, 0x33, 0x44, 0,   0,   0, 5, 3,   'e', 'n', 'd',
    0,    0,    0,    0,    0x80, 204,  0,    2,    0,   0,   0, 1, 't', 'e', 's', 't',
};

VC_TEST(a_compound_by_hand)
{
    vc_rtcp_packet p;
    size_t at = 0, n = sizeof HAND;
    VC_CHECK_OK(vc_rtcp_check(HAND, n));
    VC_CHECK_OK(vc_rtcp_next(HAND, n, &at, &p));
    VC_CHECK_EQ(p.type, VC_RTCP_SR);
    VC_CHECK_EQ(p.ssrc, 0x11223344);
    VC_CHECK(p.ntp == 0xe000000180000000u);
    VC_CHECK(p.rtp_timestamp == 256 && p.packets_sent == 9 && p.bytes_sent == 1280);
    VC_CHECK_EQ(p.count, 1);
    VC_CHECK_EQ(p.blocks[0].ssrc, 0xaabbccdd);
    VC_CHECK_EQ(p.blocks[0].fraction_lost, 64);
    VC_CHECK_EQ(p.blocks[0].lost, -2);
    VC_CHECK_EQ(p.blocks[0].highest_sequence, 65536 + 7);
    VC_CHECK_EQ(p.blocks[0].jitter, 80);
    VC_CHECK_EQ(p.blocks[0].last_sr, 0x18000);
    VC_CHECK_EQ(p.blocks[0].dlsr, 32768);
    VC_CHECK_OK(vc_rtcp_next(HAND, n, &at, &p));
    VC_CHECK(p.type == VC_RTCP_SDES && p.ssrc == 0x11223344);
    VC_CHECK(p.text_bytes == 4 && memcmp(p.text, "ab@c", 4) == 0);
    VC_CHECK_OK(vc_rtcp_next(HAND, n, &at, &p));
    VC_CHECK(p.type == VC_RTCP_BYE && p.count == 2 && p.sources[1] == 5);
    VC_CHECK(p.text_bytes == 3 && memcmp(p.text, "end", 3) == 0);
    VC_CHECK_OK(vc_rtcp_next(HAND, n, &at, &p));
    VC_CHECK_EQ(p.type, 204);
    VC_CHECK_EQ(vc_rtcp_next(HAND, n, &at, &p), VC_NEED_MORE);
    VC_CHECK_EQ(at, n);
}

VC_TEST(what_is_built_is_what_the_hand_wrote)
{
    vc_rtcp_packet p;
    uint8_t out[64];
    size_t at = 0, n = sizeof out;
    VC_CHECK_OK(vc_rtcp_next(HAND, sizeof HAND, &at, &p));
    VC_CHECK_OK(vc_rtcp_build(&p, out, &n));
    VC_CHECK(n == 52 && memcmp(out, HAND, n) == 0);
    n = 51;
    VC_CHECK_EQ(vc_rtcp_build(&p, out, &n), VC_E_LENGTH);
    VC_CHECK_EQ(n, 52);
    /* Every length of a CNAME ends in at least one zero, on a multiple of four. */
    for (size_t length = 0; length < 8; length++) {
        vc_rtcp_packet sdes = {.type = VC_RTCP_SDES, .count = 1, .ssrc = 7, .text_bytes = length};
        sdes.text = (const uint8_t *)"12345678";
        n = sizeof out;
        VC_CHECK_OK(vc_rtcp_build(&sdes, out, &n));
        VC_CHECK(n % 4 == 0 && out[n - 1] == 0 && n == (4 + 4 + 2 + length) / 4 * 4 + 4);
        vc_rtcp_packet back;
        at = 0;
        VC_CHECK_OK(vc_rtcp_next(out, n, &at, &back));
        VC_CHECK_EQ(back.text_bytes, length);
    }
    vc_rtcp_packet wrong = {.type = 204};
    n = sizeof out;
    VC_CHECK_EQ(vc_rtcp_build(&wrong, out, &n), VC_E_RANGE);
    p.blocks[0].lost = 0x800000;
    VC_CHECK_EQ(vc_rtcp_build(&p, out, &n), VC_E_RANGE);
    VC_CHECK_EQ(vc_rtcp_build(NULL, out, &n), VC_E_NULL);
}

VC_TEST(what_is_not_a_compound_is_refused)
{
    uint8_t bytes[sizeof HAND];
    for (size_t n = 0; n < sizeof HAND; n++) {
        /* Only cuts between packets are whole. */
        int whole = n == 52 || n == 76 || n == 96;
        VC_CHECK_EQ(vc_rtcp_check(HAND, n), whole ? VC_OK : VC_E_PACKET);
    }
    struct {
        size_t at;
        uint8_t value;
    } damage[] = {
        {0, 0x41},  {0, 0xa1}, {0, 0x83}, {1, 202},   {1, 72},   {3, 11},   {3, 200},
        {52, 0x41}, {55, 2},   {61, 200}, {76, 0xa2}, {77, 100}, {88, 200},
    };
    for (size_t i = 0; i < sizeof damage / sizeof *damage; i++) {
        memcpy(bytes, HAND, sizeof HAND);
        bytes[damage[i].at] = damage[i].value;
        VC_CHECK_EQ(vc_rtcp_check(bytes, sizeof HAND), VC_E_PACKET);
    }
    /* Padding is for the last one, whole words of it. */
    uint8_t padded[] = {0x80, 201, 0, 1, 0, 0, 0, 7, 0xa1, 203, 0, 2, 0, 0, 0, 7, 0, 0, 0, 4};
    VC_CHECK_OK(vc_rtcp_check(padded, sizeof padded));
    for (int wrong = 0; wrong < 13; wrong++)
        if (wrong != 4 && wrong != 8) {
            padded[19] = (uint8_t)wrong;
            VC_CHECK_EQ(vc_rtcp_check(padded, sizeof padded), VC_E_PACKET);
        }
    VC_CHECK_EQ(vc_rtcp_check(NULL, 8), VC_E_NULL);
}

VC_TEST(one_port_for_both)
{
    uint8_t bytes[4] = {0x80, 0, 0, 0};
    for (int type = 0; type < 256; type++) {
        bytes[1] = (uint8_t)type;
        VC_CHECK_EQ(vc_rtcp_is_rtcp(bytes, 4), type >= 192 && type <= 223);
    }
    VC_CHECK(!vc_rtcp_is_rtcp(HAND, 3));
}

VC_TEST(damaged_bytes_hurt_nobody)
{
    uint32_t seed = 11;
    for (int round = 0; round < 200000; round++) {
        uint8_t bytes[sizeof HAND];
        memcpy(bytes, HAND, sizeof HAND);
        for (int i = 0; i < 3; i++)
            bytes[vc_test_random(&seed) % sizeof HAND] = (uint8_t)vc_test_random(&seed);
        size_t n = vc_test_random(&seed) % (sizeof HAND + 1);
        uint8_t *exact = malloc(n ? n : 1); /* so that the sanitizer sees its end */
        VC_NEED(exact != NULL);
        memcpy(exact, bytes, n);
        (void)LLVMFuzzerTestOneInput(exact, n);
        free(exact);
    }
    VC_CHECK(seed != 11);
}

VC_MAIN(VC_RUN(a_compound_by_hand) VC_RUN(what_is_built_is_what_the_hand_wrote)
            VC_RUN(what_is_not_a_compound_is_refused) VC_RUN(one_port_for_both)
                VC_RUN(damaged_bytes_hurt_nobody))
