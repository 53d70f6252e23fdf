/* vc_srtp. Oracles: the reference packet of libsrtp's own validation (key, salt and packet of RFC
 * 3711's tests), the other direction, and the tag. Other implementations: tests/engine/
 * test_srtp.py. Where libsrtp2 is not installed only its absence is tested; where it is expected
 * (CI is set) that is a failure. */
#include "net/vc_srtp.h"

#include <stdlib.h>
#include <string.h>

#include "vc_test.h"

static vc_srtp_library *library;

static const uint8_t KEY[30] = {0xe1, 0xf9, 0x7a, 0x0d, 0x3e, 0x01, 0x8b, 0xe0, 0xd6, 0x4f,
                                0xa3, 0x2c, 0x06, 0xde, 0x41, 0x39, 0x0e, 0xc6, 0x75, 0xad,
                                0x49, 0x8a, 0xfe, 0xeb, 0xb6, 0x96, 0x0b, 0x3a, 0xab, 0xe6};
static const uint8_t PLAIN[28] = {0x80, 0x0f, 0x12, 0x34, 0xde, 0xca, 0xfb, 0xad, 0xca, 0xfe,
                                  0xba, 0xbe, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab,
                                  0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab, 0xab};
static const uint8_t SECRET[38] = {0x80, 0x0f, 0x12, 0x34, 0xde, 0xca, 0xfb, 0xad, 0xca, 0xfe,
                                   0xba, 0xbe, 0x4e, 0x55, 0xdc, 0x4c, 0xe7, 0x99, 0x78, 0xd8,
                                   0x8c, 0xa4, 0xd2, 0x15, 0x94, 0x9d, 0x24, 0x02, 0xb7, 0x8d,
                                   0x6a, 0xcc, 0x99, 0xea, 0x17, 0x9b, 0x8d, 0xbb};
#define SSRC 0xcafebabeu

/* Both directions have one key, so what a handle sends another can take. */
static vc_srtp *create(vc_srtp_suite suite, const vc_allocator *allocator)
{
    vc_srtp_config config = {.suite = suite, .send_ssrc = SSRC, .allocator = allocator};
    memcpy(config.send_key, KEY, sizeof KEY);
    memcpy(config.receive_key, KEY, sizeof KEY);
    vc_srtp *srtp = NULL;
    VC_NEED(vc_srtp_create(&srtp, library, &config) == VC_OK);
    return srtp;
}

VC_TEST(the_reference_packet)
{
    vc_srtp *srtp = create(VC_SRTP_AES_CM_128_HMAC_SHA1_80, NULL);
    uint8_t packet[64];
    size_t n = sizeof PLAIN;
    memcpy(packet, PLAIN, n);
    VC_CHECK_OK(vc_srtp_protect(srtp, packet, &n, sizeof packet));
    VC_CHECK(n == sizeof SECRET && memcmp(packet, SECRET, n) == 0);
    VC_CHECK_OK(vc_srtp_unprotect(srtp, packet, &n));
    VC_CHECK(n == sizeof PLAIN && memcmp(packet, PLAIN, n) == 0);
    vc_srtp_destroy(srtp);
}

static size_t numbered(uint8_t *packet, int sequence, uint8_t ssrc)
{
    memcpy(packet, PLAIN, sizeof PLAIN);
    packet[2] = (uint8_t)(sequence >> 8);
    packet[3] = (uint8_t)sequence;
    packet[11] = ssrc;
    return sizeof PLAIN;
}

static const struct {
    vc_srtp_suite suite;
    size_t rtp_tag, rtcp_trailer;
} SUITES[] = {{VC_SRTP_AES_CM_128_HMAC_SHA1_80, 10, 14},
              {VC_SRTP_AES_CM_128_HMAC_SHA1_32, 4, 14},
              {VC_SRTP_AEAD_AES_128_GCM, 16, 20}};
#define EACH_SUITE(s) for (size_t s = 0; s < sizeof SUITES / sizeof *SUITES; s++)

VC_TEST(replayed_and_tampered_packets)
{
    EACH_SUITE(s)
    {
        vc_srtp *a = create(SUITES[s].suite, NULL), *b = create(SUITES[s].suite, NULL);
        uint8_t sent[300][64], packet[64];
        size_t n = 0;
        /* Across the wrap of the sequence number: the rollover counter is in the cipher. */
        for (int i = 0; i < 300; i++) {
            n = numbered(sent[i], 65400 + i, 0xbe);
            VC_CHECK_OK(vc_srtp_protect(a, sent[i], &n, 64));
            VC_CHECK_EQ(n, sizeof PLAIN + SUITES[s].rtp_tag);
        }
        size_t length = n;
        for (int i = 0; i < 300; i++) {
            if (i == 250) continue;
            n = length;
            memcpy(packet, sent[i], n);
            packet[(size_t)i % n] ^= (uint8_t)(1 << i % 8);
            VC_CHECK(vc_srtp_unprotect(b, packet, &n) != VC_OK);
            n = length;
            memcpy(packet, sent[i], n);
            VC_CHECK_OK(vc_srtp_unprotect(b, packet, &n));
            uint8_t plain[64];
            VC_CHECK_EQ(n, numbered(plain, 65400 + i, 0xbe));
            VC_CHECK_EQ(memcmp(packet, plain, n), 0);
            n = length;
            memcpy(packet, sent[i], n);
            VC_CHECK_EQ(vc_srtp_unprotect(b, packet, &n), VC_DUPLICATE);
        }
        n = length;
        VC_CHECK_OK(vc_srtp_unprotect(b, sent[250], &n)); /* late, but within the window */
        n = length;
        VC_CHECK_EQ(vc_srtp_unprotect(b, sent[100], &n), VC_LATE);
        vc_srtp_destroy(a);
        vc_srtp_destroy(b);
    }
}

VC_TEST(rtcp_there_and_back)
{
    EACH_SUITE(s)
    {
        vc_srtp *a = create(SUITES[s].suite, NULL), *b = create(SUITES[s].suite, NULL);
        for (int i = 0; i < 5; i++) {
            uint8_t report[64] = {0x80, 201, 0, 1, 0xca, 0xfe, 0xba, 0xbe}, copy[64];
            size_t n = 8;
            VC_CHECK_OK(vc_srtp_protect_rtcp(a, report, &n, sizeof report));
            VC_CHECK_EQ(n, 8 + SUITES[s].rtcp_trailer);
            memcpy(copy, report, n);
            copy[9] ^= 1; /* the last bytes are the index with GCM */
            size_t m = n;
            VC_CHECK_EQ(vc_srtp_unprotect_rtcp(b, copy, &m), VC_E_PACKET);
            memcpy(copy, report, n);
            VC_CHECK_OK(vc_srtp_unprotect_rtcp(b, report, &n));
            VC_CHECK(n == 8 && report[1] == 201);
            n = 8 + SUITES[s].rtcp_trailer;
            VC_CHECK_EQ(vc_srtp_unprotect_rtcp(b, copy, &n), VC_DUPLICATE);
        }
        vc_srtp_destroy(a);
        vc_srtp_destroy(b);
    }
}

VC_TEST(so_many_sources_and_no_more)
{
    vc_srtp *b = create(VC_SRTP_AES_CM_128_HMAC_SHA1_80, NULL);
    vc_srtp_config config = {.suite = VC_SRTP_AES_CM_128_HMAC_SHA1_80};
    memcpy(config.send_key, KEY, sizeof KEY);
    for (int i = 0; i <= VC_SRTP_MAX_SOURCES; i++) {
        vc_srtp *a;
        uint8_t packet[64];
        config.send_ssrc = (SSRC & ~0xffu) | (uint32_t)i;
        VC_NEED(vc_srtp_create(&a, library, &config) == VC_OK);
        size_t n = numbered(packet, 5, (uint8_t)i);
        VC_CHECK_OK(vc_srtp_protect(a, packet, &n, sizeof packet));
        VC_CHECK_EQ(vc_srtp_unprotect(b, packet, &n), i < VC_SRTP_MAX_SOURCES ? VC_OK : VC_FULL);
        vc_srtp_destroy(a);
    }
    vc_srtp_destroy(b);
}

VC_TEST(any_bytes_are_refused)
{
    uint32_t seed = 5;
    vc_srtp *srtp = create(VC_SRTP_AEAD_AES_128_GCM, NULL);
    for (int round = 0; round < 20000; round++) {
        size_t n = vc_test_random(&seed) % 100;
        uint8_t *bytes = malloc(n ? n : 1);
        VC_NEED(bytes != NULL);
        for (size_t i = 0; i < n; i++) bytes[i] = (uint8_t)vc_test_random(&seed);
        if (n > 0) bytes[0] = (uint8_t)(0x80 | (bytes[0] & 0x3f));
        size_t m = n;
        VC_CHECK(vc_srtp_unprotect(srtp, bytes, &m) < 0);
        m = n;
        VC_CHECK(vc_srtp_unprotect_rtcp(srtp, bytes, &m) < 0);
        free(bytes);
    }
    vc_srtp_destroy(srtp);
}

VC_TEST(arguments_memory_and_keys)
{
    vc_srtp *srtp;
    vc_srtp_config config = {.suite = (vc_srtp_suite)3};
    VC_CHECK_EQ(vc_srtp_create(&srtp, library, &config), VC_E_RANGE);
    VC_CHECK_EQ(vc_srtp_create(NULL, library, &config), VC_E_NULL);
    VC_CHECK_EQ(vc_srtp_create(&srtp, NULL, &config), VC_E_NULL);
    VC_CHECK_EQ(vc_srtp_key_bytes(VC_SRTP_AEAD_AES_128_GCM), 28);
    vc_test_heap heap = {0, 0, 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    config.suite = VC_SRTP_AES_CM_128_HMAC_SHA1_80;
    config.allocator = &allocator;
    VC_CHECK_EQ(vc_srtp_create(&srtp, library, &config), VC_E_MEMORY);
    heap.fail_at = -1;
    srtp = create(VC_SRTP_AES_CM_128_HMAC_SHA1_80, &allocator);
    /* Our own block holds no key. */
    for (size_t i = 0; i + 16 <= 256; i++)
        if (memcmp((const uint8_t *)srtp + i, KEY, 16) == 0) VC_CHECK(!"a key was kept");
    long before = heap.total;
    uint8_t packet[64];
    size_t n = numbered(packet, 1, 0xbe);
    VC_CHECK_EQ(vc_srtp_protect(srtp, packet, &n, n + VC_SRTP_MAX_TRAILER_BYTES - 1), VC_E_LENGTH);
    VC_CHECK_OK(vc_srtp_protect(srtp, packet, &n, sizeof packet));
    n = numbered(packet, 1, 0xbe);
    VC_CHECK_EQ(vc_srtp_protect(srtp, packet, &n, sizeof packet), VC_E_STATE); /* one key stream */
    n = 11;
    VC_CHECK_EQ(vc_srtp_protect(srtp, packet, &n, sizeof packet), VC_E_PACKET);
    VC_CHECK_EQ(heap.total, before);
    vc_srtp_destroy(srtp);
    VC_CHECK_EQ(heap.live, 0);
    uint8_t wiped[7] = {1, 2, 3, 4, 5, 6, 7};
    vc_srtp_wipe(wiped, 6);
    VC_CHECK(wiped[0] == 0 && wiped[5] == 0 && wiped[6] == 7);
}

VC_TEST(absence)
{
    vc_srtp_library *none = library;
    VC_CHECK_EQ(vc_srtp_library_create(&none, "libsrtp2-of-nobody.so", NULL), VC_E_MISSING);
    VC_CHECK(none == NULL);
    VC_CHECK_EQ(vc_srtp_library_create(NULL, NULL, NULL), VC_E_NULL);
}

int main(void)
{
    VC_RUN(absence)
    vc_status status = vc_srtp_library_create(&library, NULL, NULL);
    if (status == VC_E_MISSING && !getenv("CI")) {
        printf("libsrtp2 is not here: only its absence was tested\n");
        return vc_test_failures != 0;
    }
    VC_NEED(status == VC_OK);
    printf("  %s\n", vc_srtp_library_version(library));
    VC_RUN(the_reference_packet)
    VC_RUN(replayed_and_tampered_packets)
    VC_RUN(rtcp_there_and_back)
    VC_RUN(so_many_sources_and_no_more)
    VC_RUN(any_bytes_are_refused)
    VC_RUN(arguments_memory_and_keys)
    vc_srtp_library_destroy(library);
    printf("%d checks, %d failures\n", vc_test_checks, vc_test_failures);
    return vc_test_failures != 0;
}
