/* vc_shard_address: a call's address as text, as the system has it and as the guard has it. */
#ifndef VC_SHARD_ADDRESS_H
#define VC_SHARD_ADDRESS_H

#include <sys/socket.h>

#include "engine/vc_source_guard.h"

/* VC_E_RANGE: no numeric IPv4 or IPv6 address, or no port (0 is one). */
VC_CHECKED vc_status vc_shard_address_parse(const char *ip, int port, struct sockaddr_storage *out,
                                            socklen_t *bytes);
/* The text into ip (at least 64 bytes). */
void vc_shard_address_print(const struct sockaddr_storage *from, char *ip, size_t n, int *port);
VC_RT vc_address vc_shard_address_of(const struct sockaddr_storage *from);
/* Returns its length. */
VC_RT socklen_t vc_shard_address_to(const vc_address *from, struct sockaddr_storage *out);

#endif
