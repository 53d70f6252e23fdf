/* vc_srtp: SRTP and SRTCP (RFC 3711, RFC 7714) with keys given, through the machine's libsrtp2,
 * loaded at run time.
 *
 * Nothing is linked: VC_E_MISSING where there is no library (Debian and Ubuntu: libsrtp2-1). The
 * library object is made once a process, before handles, and by one thread: libsrtp2 initialises
 * itself then. It is never unloaded. Handles are independent; one serves one thread at a time.
 * Keys are copied into libsrtp2 at create and wiped here; destroy wipes them there.
 *
 * protect and unprotect work in place and this unit allocates nothing in them; libsrtp2 allocates
 * when a packet of an SSRC that it has not seen is authentic, which is why only VC_SRTP_MAX_SOURCES
 * SSRCs are taken. What its cipher backend does (OpenSSL, NSS, its own) depends on its build.
 *
 *     vc_srtp_library *library;
 *     if (vc_srtp_library_create(&library, NULL, NULL) == VC_E_MISSING) ...
 *     vc_srtp_create(&srtp, library, &config);
 *     n = bytes of the packet;  vc_srtp_protect(srtp, packet, &n, room);
 */
#ifndef VC_SRTP_H
#define VC_SRTP_H

#include "base/vc_base.h"

#define VC_SRTP_MAX_KEY_BYTES 30
/* What protect adds at most: a tag of 16 bytes, and for RTCP the index. */
#define VC_SRTP_MAX_TRAILER_BYTES 20
#define VC_SRTP_MAX_SOURCES       32

typedef enum vc_srtp_suite {
    VC_SRTP_AES_CM_128_HMAC_SHA1_80 = 1, /* RFC 3711; key 16 + salt 14 bytes, tag 10 */
    VC_SRTP_AES_CM_128_HMAC_SHA1_32 = 2, /* tag 4, of SRTCP 10 */
    VC_SRTP_AEAD_AES_128_GCM = 7,        /* RFC 7714; key 16 + salt 12 bytes, tag 16 */
} vc_srtp_suite;

typedef struct vc_srtp_library vc_srtp_library;
typedef struct vc_srtp vc_srtp;

typedef struct vc_srtp_config {
    vc_srtp_suite suite;
    uint8_t send_key[VC_SRTP_MAX_KEY_BYTES]; /* master key, then master salt */
    uint8_t receive_key[VC_SRTP_MAX_KEY_BYTES];
    uint32_t send_ssrc;
    const vc_allocator *allocator;
} vc_srtp_config;

/* path: file name or path of libsrtp2; NULL: the usual names. VC_E_MISSING, VC_E_STATE if its own
 * tests fail. */
VC_CHECKED vc_status vc_srtp_library_create(vc_srtp_library **out, const char *path,
                                            const vc_allocator *allocator);
/* After the last handle. */
void vc_srtp_library_destroy(vc_srtp_library *library);
/* libsrtp2's name and version; lives as long as the process. */
const char *vc_srtp_library_version(const vc_srtp_library *library);

/* Bytes of key and salt together; 0 for no suite. */
size_t vc_srtp_key_bytes(vc_srtp_suite suite);
/* Overwrites keys in a way that no compiler leaves out. */
void vc_srtp_wipe(void *memory, size_t n);

/* VC_E_RANGE for no suite, VC_E_STATE when libsrtp2's build has not got it. The caller wipes its
 * config. */
VC_CHECKED vc_status vc_srtp_create(vc_srtp **out, const vc_srtp_library *library,
                                    const vc_srtp_config *config);
void vc_srtp_destroy(vc_srtp *srtp);

/* In place; *n: bytes in and out. VC_E_LENGTH if room cannot hold VC_SRTP_MAX_TRAILER_BYTES more,
 * VC_E_PACKET for no such packet, VC_E_STATE when libsrtp2 refuses (a sequence number again, or a
 * key that is used up). */
VC_RT vc_status vc_srtp_protect(vc_srtp *srtp, uint8_t *packet, size_t *n, size_t room);
VC_RT vc_status vc_srtp_protect_rtcp(vc_srtp *srtp, uint8_t *packet, size_t *n, size_t room);

/* In place. VC_OK; VC_DUPLICATE for a replay, VC_LATE for a packet older than the replay window
 * (128); VC_E_PACKET for a wrong tag or no SRTP packet; VC_FULL beyond VC_SRTP_MAX_SOURCES SSRCs.
 * Unless VC_OK the bytes are not to be used. */
VC_RT vc_status vc_srtp_unprotect(vc_srtp *srtp, uint8_t *packet, size_t *n);
VC_RT vc_status vc_srtp_unprotect_rtcp(vc_srtp *srtp, uint8_t *packet, size_t *n);

#endif
