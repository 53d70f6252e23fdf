/* RTCP: any bytes parse or are refused; what parsed builds, and parses again to the same. */
#include <stdlib.h>
#include <string.h>

#include "net/vc_rtcp.h"
#include "net/vc_rtcp_session.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vc_rtcp_packet packet, again;
    size_t at = 0, before = 0;
    int complete = vc_rtcp_check(data, size) == VC_OK;
    while (vc_rtcp_next(data, size, &at, &packet) == VC_OK) {
        if (at <= before || at > size) abort();
        before = at;
        uint8_t built[1024];
        size_t n = sizeof built, end = 0;
        if (packet.type > VC_RTCP_BYE || packet.type < VC_RTCP_SR) continue;
        if (packet.type == VC_RTCP_SDES && packet.count != 1) continue;
        if (vc_rtcp_build(&packet, built, &n) != VC_OK) abort();
        if (vc_rtcp_next(built, n, &end, &again) != VC_OK || end != n) abort();
        if (again.count != packet.count || again.ssrc != packet.ssrc) abort();
        if (again.text_bytes != packet.text_bytes) abort();
        if (memcmp(again.blocks, packet.blocks, sizeof packet.blocks) != 0) abort();
        if (memcmp(again.sources, packet.sources, sizeof packet.sources) != 0) abort();
    }
    if (complete && at != size) abort();

    vc_rtcp_session session;
    vc_rtcp_session_config config = vc_rtcp_session_config_default();
    int bye;
    config.ssrc = 0x11223344;
    if (vc_rtcp_session_init(&session, &config, 1) != VC_OK) abort();
    vc_status status = vc_rtcp_session_receive(&session, data, size, VC_NS_PER_S, &bye);
    if ((status == VC_OK) != complete) abort();
    vc_rtcp_session_stats stats;
    vc_rtcp_session_get_stats(&session, &stats);
    if (!(stats.round_trip_ms >= 0 && stats.round_trip_ms <= 60000)) abort();
    return 0;
}
