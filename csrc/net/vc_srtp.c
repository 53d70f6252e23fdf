/* vc_srtp: calls libsrtp2 through pointers that are looked up by name.
 *
 * The declarations below are libsrtp2's binary interface (srtp.h of 2.3 to 2.7; soname
 * libsrtp2.so.1): the layout of srtp_policy_t, the profile numbers and the error numbers. The
 * policy's crypto parts are filled in by libsrtp2 itself, from a profile number. */
#include "net/vc_srtp.h"

#include <dlfcn.h>
#include <string.h>

enum { OK = 0, REPLAY_FAIL = 9, REPLAY_OLD = 10, INDEX_OLD = 26 };
enum { SSRC_SPECIFIC = 1, SSRC_ANY_INBOUND = 2 };
enum { RTP_HEADER_BYTES = 12, RTCP_HEADER_BYTES = 8, WINDOW = 128 };

typedef struct crypto_policy {
    uint32_t cipher_type;
    int cipher_key_len;
    uint32_t auth_type;
    int auth_key_len, auth_tag_len;
    int sec_serv;
} crypto_policy;

typedef struct policy {
    int ssrc_type;
    unsigned int ssrc;
    crypto_policy rtp, rtcp;
    unsigned char *key;
    void **keys;
    unsigned long num_master_keys;
    void *deprecated_ekt;
    unsigned long window_size;
    int allow_repeat_tx;
    int *enc_xtn_hdr;
    int enc_xtn_hdr_count;
    struct policy *next;
} policy;

typedef int transform(void *session, void *packet, int *n);

struct vc_srtp_library {
    void *library;
    vc_allocator allocator;
    int custom_allocator;
    int (*init)(void);
    const char *(*version)(void);
    int (*create)(void **session, const policy *policy);
    int (*dealloc)(void *session);
    int (*rtp_profile)(crypto_policy *policy, int profile);
    int (*rtcp_profile)(crypto_policy *policy, int profile);
    transform *protect, *unprotect, *protect_rtcp, *unprotect_rtcp;
};

struct vc_srtp {
    vc_srtp_library functions; /* a copy: a handle needs no pointer to the library object */
    vc_allocator allocator;
    int custom_allocator;
    void *out, *in; /* libsrtp2's sessions */
    uint32_t sources[VC_SRTP_MAX_SOURCES];
    size_t source_count;
};

#if defined(__APPLE__)
static const char *const NAMES[] = {"libsrtp2.1.dylib", "/opt/homebrew/lib/libsrtp2.1.dylib",
                                    "/usr/local/lib/libsrtp2.1.dylib",
                                    "/opt/local/lib/libsrtp2.1.dylib"};
#else
static const char *const NAMES[] = {"libsrtp2.so.1"};
#endif

/* libsrtp2 keeps tables of its ciphers that unloading would leak; so it stays. */
static void *open_library(const char *path)
{
    int mode = RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE;
    if (path) return dlopen(path, mode);
    void *library = NULL;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES && !library; i++)
        library = dlopen(NAMES[i], mode);
    return library;
}

/* `function` is the address of a function pointer. */
static int look_up(void *library, const char *name, void *function)
{
    void *found = dlsym(library, name);
    memcpy(function, &found, sizeof found);
    return found != NULL;
}

static int look_up_all(vc_srtp_library *s)
{
    void *library = s->library;
    return look_up(library, "srtp_init", &s->init) &&
           look_up(library, "srtp_get_version_string", &s->version) &&
           look_up(library, "srtp_create", &s->create) &&
           look_up(library, "srtp_dealloc", &s->dealloc) &&
           look_up(library, "srtp_crypto_policy_set_from_profile_for_rtp", &s->rtp_profile) &&
           look_up(library, "srtp_crypto_policy_set_from_profile_for_rtcp", &s->rtcp_profile) &&
           look_up(library, "srtp_protect", &s->protect) &&
           look_up(library, "srtp_unprotect", &s->unprotect) &&
           look_up(library, "srtp_protect_rtcp", &s->protect_rtcp) &&
           look_up(library, "srtp_unprotect_rtcp", &s->unprotect_rtcp);
}

vc_status vc_srtp_library_create(vc_srtp_library **out, const char *path,
                                 const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    vc_srtp_library *library = vc_allocate(allocator, sizeof *library);
    if (!library) return VC_E_MEMORY;
    if (allocator) {
        library->allocator = *allocator;
        library->custom_allocator = 1;
    }
    vc_status status = VC_OK;
    library->library = open_library(path);
    if (!library->library || !look_up_all(library))
        status = VC_E_MISSING;
    else if (library->init() != OK)
        status = VC_E_STATE;
    if (status != VC_OK) {
        vc_srtp_library_destroy(library);
        return status;
    }
    *out = library;
    return VC_OK;
}

void vc_srtp_library_destroy(vc_srtp_library *library)
{
    if (!library) return;
    vc_allocator allocator = library->allocator;
    if (library->library) dlclose(library->library);
    vc_release(library->custom_allocator ? &allocator : NULL, library);
}

const char *vc_srtp_library_version(const vc_srtp_library *library)
{
    return library->version();
}

size_t vc_srtp_key_bytes(vc_srtp_suite suite)
{
    switch (suite) {
    case VC_SRTP_AES_CM_128_HMAC_SHA1_80:
    case VC_SRTP_AES_CM_128_HMAC_SHA1_32: return 30;
    case VC_SRTP_AEAD_AES_128_GCM: return 28;
    }
    return 0;
}

void vc_srtp_wipe(void *memory, size_t n)
{
    volatile uint8_t *bytes = memory;
    while (n--) *bytes++ = 0;
}

/* One session. libsrtp2 takes the key through a pointer that is not const. */
static vc_status open_session(const vc_srtp_library *functions, vc_srtp_suite suite, int ssrc_type,
                              uint32_t ssrc, const uint8_t *key, void **session)
{
    uint8_t copy[VC_SRTP_MAX_KEY_BYTES];
    policy p;
    memset(&p, 0, sizeof p);
    memcpy(copy, key, sizeof copy);
    p.ssrc_type = ssrc_type;
    p.ssrc = ssrc;
    p.key = copy;
    p.window_size = WINDOW;
    int error = functions->rtp_profile(&p.rtp, (int)suite);
    if (error == OK) error = functions->rtcp_profile(&p.rtcp, (int)suite);
    if (error == OK) error = functions->create(session, &p);
    vc_srtp_wipe(copy, sizeof copy);
    vc_srtp_wipe(&p, sizeof p);
    if (error != OK) *session = NULL;
    return error == OK ? VC_OK : VC_E_STATE;
}

vc_status vc_srtp_create(vc_srtp **out, const vc_srtp_library *library,
                         const vc_srtp_config *config)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (!library || !config) return VC_E_NULL;
    if (vc_srtp_key_bytes(config->suite) == 0) return VC_E_RANGE;
    vc_srtp *srtp = vc_allocate(config->allocator, sizeof *srtp);
    if (!srtp) return VC_E_MEMORY;
    srtp->functions = *library;
    if (config->allocator) {
        srtp->allocator = *config->allocator;
        srtp->custom_allocator = 1;
    }
    vc_status status = open_session(library, config->suite, SSRC_SPECIFIC, config->send_ssrc,
                                    config->send_key, &srtp->out);
    if (status == VC_OK)
        status = open_session(library, config->suite, SSRC_ANY_INBOUND, 0, config->receive_key,
                              &srtp->in);
    if (status != VC_OK) {
        vc_srtp_destroy(srtp);
        return status;
    }
    *out = srtp;
    return VC_OK;
}

void vc_srtp_destroy(vc_srtp *srtp)
{
    if (!srtp) return;
    vc_allocator allocator = srtp->allocator;
    if (srtp->in) (void)srtp->functions.dealloc(srtp->in);
    if (srtp->out) (void)srtp->functions.dealloc(srtp->out);
    vc_release(srtp->custom_allocator ? &allocator : NULL, srtp);
}

static uint32_t load_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static vc_status protect(void *session, transform *function, uint8_t *packet, size_t *n,
                         size_t room, size_t least_bytes)
{
    if (*n < least_bytes || packet[0] >> 6 != 2) return VC_E_PACKET;
    if (room < VC_SRTP_MAX_TRAILER_BYTES || *n > room - VC_SRTP_MAX_TRAILER_BYTES || *n > 65535)
        return VC_E_LENGTH;
    int length = (int)*n;
    if (function(session, packet, &length) != OK) return VC_E_STATE;
    *n = (size_t)length;
    return VC_OK;
}

vc_status vc_srtp_protect(vc_srtp *srtp, uint8_t *packet, size_t *n, size_t room)
{
    return protect(srtp->out, srtp->functions.protect, packet, n, room, RTP_HEADER_BYTES);
}

vc_status vc_srtp_protect_rtcp(vc_srtp *srtp, uint8_t *packet, size_t *n, size_t room)
{
    return protect(srtp->out, srtp->functions.protect_rtcp, packet, n, room, RTCP_HEADER_BYTES);
}

static int is_known(const vc_srtp *srtp, uint32_t ssrc)
{
    for (size_t i = srtp->source_count; i-- > 0;)
        if (srtp->sources[i] == ssrc) return 1;
    return 0;
}

static vc_status unprotect(vc_srtp *srtp, transform *function, uint8_t *packet, size_t *n,
                           size_t least_bytes, size_t ssrc_at)
{
    if (*n < least_bytes || *n > 65535 || packet[0] >> 6 != 2) return VC_E_PACKET;
    uint32_t ssrc = load_u32(packet + ssrc_at);
    int known = is_known(srtp, ssrc);
    if (!known && srtp->source_count == VC_SRTP_MAX_SOURCES) return VC_FULL;
    int length = (int)*n;
    switch (function(srtp->in, packet, &length)) {
    case OK: break;
    case REPLAY_FAIL: return VC_DUPLICATE;
    case REPLAY_OLD:
    case INDEX_OLD: return VC_LATE;
    default: return VC_E_PACKET;
    }
    if (!known) srtp->sources[srtp->source_count++] = ssrc;
    *n = (size_t)length;
    return VC_OK;
}

vc_status vc_srtp_unprotect(vc_srtp *srtp, uint8_t *packet, size_t *n)
{
    return unprotect(srtp, srtp->functions.unprotect, packet, n, RTP_HEADER_BYTES, 8);
}

vc_status vc_srtp_unprotect_rtcp(vc_srtp *srtp, uint8_t *packet, size_t *n)
{
    /* Header, index and the shortest tag: libsrtp2 takes shorter ones for longer than they are. */
    return unprotect(srtp, srtp->functions.unprotect_rtcp, packet, n, RTCP_HEADER_BYTES + 4 + 10,
                     4);
}
