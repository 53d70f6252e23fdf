/* vc_shard_address: see vc_shard_address.h. */
#include "engine/vc_shard_address.h"

#include <arpa/inet.h>
#include <string.h>

vc_status vc_shard_address_parse(const char *ip, int port, struct sockaddr_storage *out,
                                 socklen_t *bytes)
{
    memset(out, 0, sizeof *out);
    if (port < 0 || port > 65535) return VC_E_RANGE;
    struct sockaddr_in *v4 = (struct sockaddr_in *)out;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)out;
    if (inet_pton(AF_INET, ip, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        v4->sin_port = htons((uint16_t)port);
        *bytes = sizeof *v4;
        return VC_OK;
    }
    if (inet_pton(AF_INET6, ip, &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons((uint16_t)port);
        *bytes = sizeof *v6;
        return VC_OK;
    }
    return VC_E_RANGE;
}

void vc_shard_address_print(const struct sockaddr_storage *from, char *ip, size_t n, int *port)
{
    const struct sockaddr_in *v4 = (const void *)from;
    const struct sockaddr_in6 *v6 = (const void *)from;
    if (from->ss_family == AF_INET) {
        (void)inet_ntop(AF_INET, &v4->sin_addr, ip, (socklen_t)n);
        *port = ntohs(v4->sin_port);
    } else {
        (void)inet_ntop(AF_INET6, &v6->sin6_addr, ip, (socklen_t)n);
        *port = ntohs(v6->sin6_port);
    }
}

vc_address vc_shard_address_of(const struct sockaddr_storage *from)
{
    vc_address address = {0};
    if (from->ss_family == AF_INET) {
        const struct sockaddr_in *v4 = (const void *)from;
        address.family = 4;
        address.port = ntohs(v4->sin_port);
        memcpy(address.bytes, &v4->sin_addr, 4);
    } else {
        const struct sockaddr_in6 *v6 = (const void *)from;
        address.family = 6;
        address.port = ntohs(v6->sin6_port);
        memcpy(address.bytes, &v6->sin6_addr, 16);
    }
    return address;
}

socklen_t vc_shard_address_to(const vc_address *from, struct sockaddr_storage *out)
{
    memset(out, 0, sizeof *out);
    if (from->family == 4) {
        struct sockaddr_in *v4 = (void *)out;
        v4->sin_family = AF_INET;
        v4->sin_port = htons(from->port);
        memcpy(&v4->sin_addr, from->bytes, 4);
        return sizeof *v4;
    }
    struct sockaddr_in6 *v6 = (void *)out;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(from->port);
    memcpy(&v6->sin6_addr, from->bytes, 16);
    return sizeof *v6;
}
