/* vc_rtp: a hand-made packet from RFC 3550's layout, round trips, every truncation, unwrapping. */
#include "net/vc_rtp.h"

#include <string.h>

#include "vc_test.h"

static const uint8_t sample[] = {
    0xb2, 0x88, 0x12, 0x34,             /* V=2, P, X, CC=2; M, PT=8; sequence */
    0xde, 0xad, 0xbe, 0xef,             /* timestamp */
    0x01, 0x02, 0x03, 0x04,             /* SSRC */
    0x11, 0x11, 0x11, 0x11,             /* CSRC */
    0x22, 0x22, 0x22, 0x22,             /* CSRC */
    0xbe, 0xde, 0x00, 0x01,             /* extension profile, one word */
    0x10, 0xff, 0x00, 0x00,             /* its data */
    0xaa, 0xbb, 0xcc, 0x00, 0x00, 0x03, /* payload, 3 bytes of padding */
};

VC_TEST(parses_every_field)
{
    vc_rtp_packet packet;
    VC_CHECK_OK(vc_rtp_parse(sample, sizeof sample, &packet));
    VC_CHECK_EQ(packet.payload_type, 8);
    VC_CHECK_EQ(packet.marker, 1);
    VC_CHECK_EQ(packet.sequence, 0x1234);
    VC_CHECK_EQ(packet.timestamp, 0xdeadbeef);
    VC_CHECK_EQ(packet.ssrc, 0x01020304);
    VC_CHECK_EQ(packet.csrc_count, 2);
    VC_CHECK_EQ(packet.csrc[1], 0x22222222);
    VC_CHECK_EQ(packet.extension_profile, 0xbede);
    VC_CHECK_EQ(packet.extension_bytes, 4);
    VC_CHECK_EQ(packet.extension[0], 0x10);
    VC_CHECK_EQ(packet.payload_bytes, 3);
    VC_CHECK_EQ(packet.payload[2], 0xcc);
}

VC_TEST(builds_what_it_parses)
{
    vc_rtp_packet packet, again;
    VC_NEED(vc_rtp_parse(sample, sizeof sample, &packet) == VC_OK);
    uint8_t bytes[64];
    size_t n = 5;
    VC_CHECK_EQ(vc_rtp_build(&packet, bytes, &n), VC_E_LENGTH);
    VC_CHECK_EQ(n, sizeof sample - 3);
    VC_CHECK_OK(vc_rtp_build(&packet, bytes, &n));
    VC_CHECK_EQ(bytes[0], 0x92);
    VC_CHECK(memcmp(bytes + 1, sample + 1, n - 1) == 0);
    VC_CHECK_OK(vc_rtp_parse(bytes, n, &again));
    VC_CHECK_EQ(again.payload_bytes, 3);
}

VC_TEST(refuses_bad_fields)
{
    uint8_t bytes[64];
    size_t n = sizeof bytes;
    VC_CHECK_EQ(vc_rtp_build(&(vc_rtp_packet){.payload_type = 128}, bytes, &n), VC_E_RANGE);
    VC_CHECK_EQ(vc_rtp_build(&(vc_rtp_packet){.marker = 2}, bytes, &n), VC_E_RANGE);
    VC_CHECK_EQ(vc_rtp_build(&(vc_rtp_packet){.csrc_count = 16}, bytes, &n), VC_E_RANGE);
    vc_rtp_packet odd = {.has_extension = 1, .extension = bytes, .extension_bytes = 3};
    VC_CHECK_EQ(vc_rtp_build(&odd, bytes, &n), VC_E_RANGE);
    VC_CHECK_EQ(vc_rtp_build(&(vc_rtp_packet){.payload_bytes = 1}, bytes, &n), VC_E_NULL);
    VC_CHECK_EQ(n, sizeof bytes);
    VC_CHECK_OK(vc_rtp_build(&(vc_rtp_packet){.sequence = 1}, bytes, &n));
    VC_CHECK_EQ(n, VC_RTP_HEADER_BYTES);
}

/* Each prefix sits in a block of its own size, so that AddressSanitizer sees a read beyond it. */
VC_TEST(every_truncation_is_safe)
{
    for (size_t n = 0; n <= sizeof sample; n++) {
        uint8_t *exact = malloc(n ? n : 1);
        VC_NEED(exact != NULL);
        memcpy(exact, sample, n);
        vc_rtp_packet packet;
        memset(&packet, 0x5a, sizeof packet);
        vc_status status = vc_rtp_parse(exact, n, &packet);
        VC_CHECK(status == VC_OK || status == VC_E_PACKET);
        if (status == VC_E_PACKET) VC_CHECK_EQ(packet.ssrc, 0x5a5a5a5a);
        if (n < 28) VC_CHECK_EQ(status, VC_E_PACKET);
        free(exact);
    }
}

VC_TEST(random_bytes_are_safe)
{
    uint32_t seed = 3550;
    int accepted = 0;
    for (int round = 0; round < 20000; round++) {
        size_t n = vc_test_random(&seed) % 100;
        uint8_t *bytes = malloc(n ? n : 1);
        VC_NEED(bytes != NULL);
        for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)vc_test_random(&seed);
        if (n > 0 && round % 2) bytes[0] = (uint8_t)(0x80 | (bytes[0] & 0x3f));
        vc_rtp_packet packet;
        if (vc_rtp_parse(bytes, n, &packet) == VC_OK) {
            accepted++;
            VC_CHECK(packet.payload >= bytes && packet.payload + packet.payload_bytes <= bytes + n);
        }
        free(bytes);
    }
    VC_CHECK(accepted > 100);
}

VC_TEST(unwraps_to_the_nearest)
{
    VC_CHECK_EQ(vc_rtp_unwrap_sequence(65535, 0), 65536);
    VC_CHECK_EQ(vc_rtp_unwrap_sequence(65536, 65535), 65535);
    VC_CHECK_EQ(vc_rtp_unwrap_sequence(0, 65535), -1);
    VC_CHECK_EQ(vc_rtp_unwrap_sequence(3 * 65536 + 5, 7), 3 * 65536 + 7);
    VC_CHECK_EQ(vc_rtp_unwrap_timestamp(0xffffffffLL, 159), 0x10000009fLL);
    VC_CHECK_EQ(vc_rtp_unwrap_timestamp(0x100000000LL, 0xffffff60u), 0xffffff60LL);
    VC_CHECK_EQ(vc_rtp_unwrap_timestamp(-5, 3), 3);
}

VC_MAIN(VC_RUN(parses_every_field) VC_RUN(builds_what_it_parses) VC_RUN(refuses_bad_fields)
            VC_RUN(every_truncation_is_safe) VC_RUN(random_bytes_are_safe)
                VC_RUN(unwraps_to_the_nearest))
