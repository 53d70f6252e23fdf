/* vc_source_guard: see vc_source_guard.h. */
#include "engine/vc_source_guard.h"

#include <string.h>

#define REFUSED_NS (2 * VC_NS_PER_S)

vc_source_guard_config vc_source_guard_config_default(void)
{
    vc_source_guard_config config = {.learn = 1, .probation_packets = 4, .silence_ms = 100};
    return config;
}

int vc_address_equal(const vc_address *a, const vc_address *b)
{
    size_t bytes = a->family == 4 ? 4 : 16;
    return a->family == b->family && a->port == b->port && memcmp(a->bytes, b->bytes, bytes) == 0;
}

vc_status vc_source_guard_init(vc_source_guard *guard, const vc_source_guard_config *config,
                               const vc_address *remote)
{
    if (!guard || !config) return VC_E_NULL;
    if (config->probation_packets < 1 || config->probation_packets > 100) return VC_E_RANGE;
    if (config->silence_ms < 0 || config->silence_ms > 10000) return VC_E_RANGE;
    memset(guard, 0, sizeof *guard);
    guard->config = *config;
    if (remote) vc_source_guard_set_remote(guard, remote, 0);
    return VC_OK;
}

void vc_source_guard_set_remote(vc_source_guard *guard, const vc_address *remote, int64_t now_ns)
{
    guard->refused.family = 0;
    if (guard->locked && !vc_address_equal(&guard->remote, remote)) {
        guard->refused = guard->remote;
        guard->refused_until_ns = now_ns + REFUSED_NS;
    }
    guard->remote = *remote;
    guard->locked = !guard->config.learn;
    guard->has_ssrc = 0;
    guard->candidate_packets = 0;
}

static int is_silent(const vc_source_guard *guard, int64_t now_ns)
{
    return now_ns - guard->last_ns >= guard->config.silence_ms * VC_NS_PER_MS;
}

int vc_source_guard_may_pass(const vc_source_guard *guard, const vc_address *from,
                             int authenticates, int64_t now_ns)
{
    if (!from) return 1;
    if (!guard->locked) return guard->config.learn;
    if (vc_address_equal(from, &guard->remote)) return 1;
    return guard->config.learn && authenticates && is_silent(guard, now_ns);
}

int vc_source_guard_is_source(const vc_source_guard *guard, const vc_address *from)
{
    return !from || (guard->locked && vc_address_equal(from, &guard->remote));
}

static void take(vc_source_guard *guard, const vc_address *from, uint32_t ssrc, int64_t now_ns)
{
    if (from) {
        guard->remote = *from;
        guard->locked = 1;
    }
    guard->ssrc = ssrc;
    guard->has_ssrc = 1;
    guard->last_ns = now_ns;
    guard->candidate_packets = 0;
}

vc_source_verdict vc_source_guard_judge(vc_source_guard *guard, const vc_address *from,
                                        uint32_t ssrc, uint16_t sequence, int authenticated,
                                        int64_t now_ns)
{
    if (!vc_source_guard_may_pass(guard, from, authenticated, now_ns)) return VC_SOURCE_STRANGE;
    if (!guard->has_ssrc) {
        if (from && guard->refused.family && now_ns < guard->refused_until_ns &&
            vc_address_equal(from, &guard->refused))
            return VC_SOURCE_STRANGE;
        take(guard, from, ssrc, now_ns);
        return VC_SOURCE_NEW;
    }
    int same_address = !from || !guard->locked || vc_address_equal(from, &guard->remote);
    if (same_address && ssrc == guard->ssrc) {
        guard->last_ns = now_ns;
        return VC_SOURCE_TAKEN;
    }
    int goes_on = guard->candidate_packets > 0 && ssrc == guard->candidate_ssrc &&
                  sequence == guard->candidate_next &&
                  (!from || vc_address_equal(from, &guard->candidate));
    if (!goes_on) {
        guard->candidate_packets = 0;
        guard->candidate_ssrc = ssrc;
        if (from) guard->candidate = *from;
    }
    guard->candidate_next = (uint16_t)(sequence + 1);
    if (guard->candidate_packets < guard->config.probation_packets) guard->candidate_packets++;
    if (!is_silent(guard, now_ns) || guard->candidate_packets < guard->config.probation_packets)
        return same_address ? VC_SOURCE_UNPROVEN : VC_SOURCE_STRANGE;
    take(guard, from, ssrc, now_ns);
    return VC_SOURCE_NEW;
}
