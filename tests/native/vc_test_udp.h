/* For tests of what goes over UDP: plain sockets on loopback, and a system that can be made to
 * refuse to send. */
#ifndef VC_TEST_UDP_H
#define VC_TEST_UDP_H

#include <arpa/inet.h>
#include <errno.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "engine/vc_shard_address.h"
#include "vc_test.h"

/* Before call k sends, vc_test_plan[k]: > 0: so many packets at most; < 0: that errno; 0: all. */
static int vc_test_plan[8];
static _Atomic int vc_test_planned, vc_test_made, vc_test_always_fails;

int sendmmsg(int fd, struct mmsghdr *messages, unsigned n, int flags)
{
    int k = vc_test_made++, order = k < vc_test_planned ? vc_test_plan[k] : -vc_test_always_fails;
    if (order < 0) {
        errno = -order;
        return -1;
    }
    if (order > 0 && (unsigned)order < n) n = (unsigned)order;
    return (int)syscall(SYS_sendmmsg, fd, messages, n, flags);
}

static inline struct sockaddr_in vc_test_at(const char *ip, int port)
{
    struct sockaddr_in found = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    VC_NEED(inet_pton(AF_INET, ip, &found.sin_addr) == 1);
    return found;
}

static inline struct sockaddr_storage vc_test_general(const struct sockaddr_in *from)
{
    struct sockaddr_storage found = {0};
    memcpy(&found, from, sizeof *from);
    return found;
}

/* A UDP socket on loopback; *local is where. */
static inline int vc_test_bound(struct sockaddr_in *local)
{
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    socklen_t bytes = sizeof *local;
    *local = vc_test_at("127.0.0.1", 0);
    VC_NEED(fd >= 0 && bind(fd, (struct sockaddr *)local, sizeof *local) == 0);
    VC_NEED(getsockname(fd, (struct sockaddr *)local, &bytes) == 0);
    return fd;
}

static inline vc_address vc_test_key(const struct sockaddr_in *from)
{
    struct sockaddr_storage storage = vc_test_general(from);
    return vc_shard_address_of(&storage);
}

static inline int vc_test_lowest_fd(void)
{
    int fd = dup(0);
    close(fd);
    return fd;
}

#endif
