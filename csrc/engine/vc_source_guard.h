/* vc_source_guard: from whom a media port takes packets.
 *
 * The address is given (from SDP) or learnt once, from the first valid packet: symmetric RTP (RFC
 * 4961) and latching (RFC 7362); then it is locked, and what comes from elsewhere is a stranger's.
 * An SSRC other than the accepted one is taken after probation_packets packets in a row by sequence
 * number (RFC 3550 A.1 asks for two), once the accepted one has been silent for silence_ms: a
 * stream that still runs cannot be pushed aside. A learnt address moves by the same rule, but only
 * on packets that were authenticated (SRTP) and came in that silence: a port number alone proves
 * nothing (RFC 7362, 5).
 *
 * A plain struct of one thread, usable by value; no time but what is handed in.
 */
#ifndef VC_SOURCE_GUARD_H
#define VC_SOURCE_GUARD_H

#include "base/vc_base.h"

typedef struct vc_address {
    uint8_t family; /* 4, 6; 0: none */
    uint8_t bytes[16];
    uint16_t port;
} vc_address;

typedef enum vc_source_verdict {
    VC_SOURCE_TAKEN = 0,
    VC_SOURCE_NEW = 1,      /* taken; with this packet the accepted source became another one */
    VC_SOURCE_STRANGE = 2,  /* not the caller's address */
    VC_SOURCE_UNPROVEN = 3, /* the caller's address, but an SSRC on probation */
} vc_source_verdict;

typedef struct vc_source_guard_config {
    int learn;             /* 1: lock the first valid packet's address; 0: only the given one */
    int probation_packets; /* 1..100, default 4 */
    int silence_ms;        /* 0..10000, default 100 */
} vc_source_guard_config;

typedef struct vc_source_guard {
    vc_source_guard_config config;
    vc_address remote; /* where to send; family 0: not known yet */
    int locked;        /* remote is the only address that is heard */
    int has_ssrc;
    uint32_t ssrc;
    int64_t last_ns;    /* of the accepted source */
    vc_address refused; /* left by set_remote: not learnt again at once */
    int64_t refused_until_ns;
    vc_address candidate;
    uint32_t candidate_ssrc;
    uint16_t candidate_next;
    int candidate_packets;
} vc_source_guard;

vc_source_guard_config vc_source_guard_config_default(void);
/* As new: also the way to reset it. remote: NULL or where to send from the start. VC_E_RANGE. */
VC_CHECKED VC_RT vc_status vc_source_guard_init(vc_source_guard *guard,
                                                const vc_source_guard_config *config,
                                                const vc_address *remote);
/* Another address was agreed (a new offer): the next valid packet is the source; what still comes
 * from the old address is a stranger's, for 2 s at least. */
VC_RT void vc_source_guard_set_remote(vc_source_guard *guard, const vc_address *remote,
                                      int64_t now_ns);

/* Before anything costs much: 0 when no packet of that address could be taken. While the accepted
 * source is heard, no tag is looked at for anyone else: a copy that overtakes the original would
 * make a replay of it. */
VC_RT int vc_source_guard_may_pass(const vc_source_guard *guard, const vc_address *from,
                                   int authenticates, int64_t now_ns);
/* Whether it is the accepted source's address (RTCP on the same port comes from there). */
VC_RT int vc_source_guard_is_source(const vc_source_guard *guard, const vc_address *from);
/* Judges a packet that parsed and whose payload type was agreed; authenticated: its tag was right.
 * from NULL: the address is not known here and counts as the right one. */
VC_RT vc_source_verdict vc_source_guard_judge(vc_source_guard *guard, const vc_address *from,
                                              uint32_t ssrc, uint16_t sequence, int authenticated,
                                              int64_t now_ns);
VC_RT int vc_address_equal(const vc_address *a, const vc_address *b);

#endif
