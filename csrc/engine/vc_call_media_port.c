/* vc_call: who may speak on the media port, SRTP, RTCP; see vc_call.h. The order: address, tag,
 * SSRC, so that strangers cost least and nothing that was not authenticated teaches us anything. */
#include "engine/vc_call_state.h"

#include <string.h>

static vc_status ignore(vc_call *call, vc_call_stat why)
{
    vc_call_count(call, why, 1);
    return VC_IGNORED;
}

vc_rtcp_session *vc_call_rtcp(vc_call *call, int64_t now_ns)
{
    const vc_call_config *config = &call->config;
    if (!config->rtcp || config->pushed) return NULL;
    if (call->rtcp_begun) return &call->rtcp;
    vc_rtcp_session_config session = vc_rtcp_session_config_default();
    session.ssrc = config->ssrc;
    session.clock_hz = vc_call_codec_clock_hz(&call->codec);
    /* With 40 bytes of IP, UDP and RTP 50 times a second. */
    session.bandwidth_bps = vc_call_codec_bitrate_bps(&call->codec) + 8 * 50 * 40;
    session.seed = config->rtcp_seed;
    memcpy(session.cname, config->rtcp_cname, sizeof session.cname);
    if (vc_rtcp_session_init(&call->rtcp, &session, now_ns) != VC_OK) return NULL;
    call->rtcp_begun = 1;
    return &call->rtcp;
}

const vc_address *vc_call_remote(const vc_call *call)
{
    return &call->guard.remote;
}

void vc_call_take_remotes(vc_call *call, int64_t now_ns)
{
    vc_address remote;
    size_t one = 1;
    while (vc_ring_pull(call->remotes, &remote, &one) == VC_OK)
        vc_source_guard_set_remote(&call->guard, &remote, now_ns);
}

/* A copy in the clear, or the datagram itself without SRTP. */
static vc_status decrypt(vc_call *call, const uint8_t **bytes, size_t *n, uint8_t *plain,
                         vc_status (*unprotect)(vc_srtp *, uint8_t *, size_t *))
{
    if (!call->srtp) return VC_OK;
    if (*n > MAX_DATAGRAM) return ignore(call, VC_STAT_SRTP_REJECTED);
    if (*n > 0) memcpy(plain, *bytes, *n);
    *bytes = plain;
    vc_status status = unprotect(call->srtp, plain, n);
    if (status == VC_OK) return VC_OK;
    int replayed = status == VC_DUPLICATE || status == VC_LATE;
    return ignore(call, replayed ? VC_STAT_SRTP_REPLAYED : VC_STAT_SRTP_REJECTED);
}

static void receive_rtcp(vc_call *call, const vc_address *from, const uint8_t *bytes, size_t n,
                         uint8_t *plain, int64_t now_ns)
{
    int bye;
    vc_rtcp_session *rtcp = vc_call_rtcp(call, now_ns);
    if (!rtcp) {
        vc_call_count(call, VC_STAT_PACKETS_UNKNOWN, 1);
    } else if (!vc_source_guard_is_source(&call->guard, from)) {
        vc_call_count(call, VC_STAT_PACKETS_STRANGE, 1);
    } else if (decrypt(call, &bytes, &n, plain, vc_srtp_unprotect_rtcp) == VC_OK) {
        if (vc_rtcp_session_receive(rtcp, bytes, n, now_ns, &bye) != VC_OK) {
            vc_call_count(call, VC_STAT_RTCP_MALFORMED, 1);
            return;
        }
        vc_call_count(call, VC_STAT_RTCP_RECEIVED, 1);
        if (bye) vc_call_post(call, VC_EVENT_BYE_RECEIVED, now_ns);
    }
}

/* What the jitter buffer and the DTMF receiver would refuse must not teach an address either. */
static int fits(const vc_call *call, const vc_rtp_packet *packet)
{
    if (packet->payload_type == call->config.dtmf_payload_type)
        return packet->payload_bytes >= VC_DTMF_PAYLOAD_BYTES;
    if (packet->payload_type == VC_RTP_PT_CN) return 1;
    return vc_jitter_payload_samples(call->jitter, packet) > 0;
}

vc_status vc_call_admit(vc_call *call, const vc_address *from, const uint8_t *bytes, size_t n,
                        uint8_t *plain, vc_rtp_packet *packet, int64_t now_ns)
{
    const vc_call_config *config = &call->config;
    vc_call_take_remotes(call, now_ns);
    if (!vc_source_guard_may_pass(&call->guard, from, call->srtp != NULL, now_ns))
        return ignore(call, VC_STAT_PACKETS_STRANGE);
    if (vc_rtcp_is_rtcp(bytes, n)) {
        receive_rtcp(call, from, bytes, n, plain, now_ns);
        return VC_IGNORED;
    }
    vc_status status = decrypt(call, &bytes, &n, plain, vc_srtp_unprotect);
    if (status != VC_OK) return status;
    if (vc_rtp_parse(bytes, n, packet) != VC_OK) return ignore(call, VC_STAT_PACKETS_MALFORMED);
    int type = packet->payload_type;
    if (type != config->dtmf_payload_type && type != VC_RTP_PT_CN && type != config->payload_type) {
        /* The caller is there, though not with what was agreed. */
        if (vc_source_guard_is_source(&call->guard, from)) vc_call_heard(call, now_ns);
        return ignore(call, VC_STAT_PACKETS_UNKNOWN);
    }
    if (!fits(call, packet)) return ignore(call, VC_STAT_PACKETS_MALFORMED);
    switch (vc_source_guard_judge(&call->guard, from, packet->ssrc, packet->sequence,
                                  call->srtp != NULL, now_ns)) {
    case VC_SOURCE_STRANGE: return ignore(call, VC_STAT_PACKETS_STRANGE);
    case VC_SOURCE_UNPROVEN: return ignore(call, VC_STAT_PACKETS_UNPROVEN);
    case VC_SOURCE_NEW: vc_call_count(call, VC_STAT_SOURCES, 1); break;
    case VC_SOURCE_TAKEN: break;
    }
    vc_call_heard(call, now_ns);
    vc_rtcp_session *rtcp = vc_call_rtcp(call, now_ns);
    if (rtcp) vc_rtcp_session_heard(rtcp, packet, now_ns);
    return VC_OK;
}

vc_status vc_call_report(vc_call *call, int64_t now_ns, int last, uint8_t *packet, size_t *n)
{
    size_t room = *n;
    vc_rtcp_session *rtcp = vc_call_rtcp(call, now_ns);
    if (!rtcp) {
        *n = 0;
        return VC_OK;
    }
    vc_status status = last ? vc_rtcp_session_bye(rtcp, now_ns, packet, n)
                            : vc_rtcp_session_report(rtcp, now_ns, packet, n);
    if (status == VC_OK && *n > 0 && call->srtp)
        status = vc_srtp_protect_rtcp(call->srtp, packet, n, room);
    if (status != VC_OK)
        *n = 0;
    else if (*n > 0)
        vc_call_count(call, VC_STAT_RTCP_SENT, 1);
    return status;
}
