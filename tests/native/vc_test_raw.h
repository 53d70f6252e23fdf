/* For tests of raw sockets: whether this process may open one, and the sums of headers. */
#ifndef VC_TEST_RAW_H
#define VC_TEST_RAW_H

#include "vc_test.h"

/* CAP_NET_RAW of this process, by the kernel's own account. */
static inline int vc_test_raw_permitted(void)
{
    char line[256];
    unsigned long long effective = 0;
    FILE *status = fopen("/proc/self/status", "r");
    VC_NEED(status != NULL);
    while (fgets(line, sizeof line, status))
        if (sscanf(line, "CapEff: %llx", &effective) == 1) break;
    fclose(status);
    return (int)(effective >> 13 & 1);
}

/* RFC 1071, 4.1, a byte at a time; over whole data with its checksum it is 0xffff. */
static inline unsigned vc_test_sum(const uint8_t *bytes, size_t n, unsigned sum)
{
    for (size_t i = 0; i < n; i++) sum += i % 2 ? bytes[i] : (unsigned)bytes[i] << 8;
    while (sum >> 16) sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

static inline unsigned vc_test_udp_sum(const uint8_t *packet, size_t n)
{
    unsigned pseudo = vc_test_sum(packet + 12, 8, 17u + (unsigned)n - 20);
    return vc_test_sum(packet + 20, n - 20, pseudo);
}

#endif
