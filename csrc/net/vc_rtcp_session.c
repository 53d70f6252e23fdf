/* vc_rtcp_session: see vc_rtcp_session.h. Deviations from RFC 3550: no list of members beyond the
 * one that is heard; a new source has no probation here, the caller accepts sources. */
#include "net/vc_rtcp_session.h"

#include <string.h>

enum { UDP_IP_BYTES = 28, FIRST_GUESS_BYTES = 100, SILENT_INTERVALS = 5 };
#define COMPENSATION 1.21828 /* e - 3/2: what timer reconsideration takes back, 6.3.1 */

vc_rtcp_session_config vc_rtcp_session_config_default(void)
{
    vc_rtcp_session_config config = {
        .clock_hz = 8000, .bandwidth_bps = 80000, .min_interval_ms = 5000, .seed = 1};
    return config;
}

double vc_rtcp_interval_s(int members, int senders, double rtcp_bytes_per_s, int we_sent,
                          double average_bytes, double min_s, int initial)
{
    double n = members, bandwidth = rtcp_bytes_per_s;
    if (initial) min_s /= 2.0;
    /* A quarter for the senders, as long as they are few. */
    if (senders > 0 && senders <= members * 0.25) {
        bandwidth *= we_sent ? 0.25 : 0.75;
        n = we_sent ? senders : members - senders;
    }
    double interval_s = average_bytes * n / bandwidth;
    return interval_s < min_s ? min_s : interval_s;
}

/* 0.5 <= x < 1.5, xorshift32. */
static double random_factor(vc_rtcp_session *session)
{
    uint32_t x = session->random;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    session->random = x;
    return 0.5 + x / 4294967296.0;
}

static double min_s(const vc_rtcp_session *session)
{
    return session->config.min_interval_ms / 1000.0;
}

static int64_t next_interval_ns(vc_rtcp_session *session, int64_t now_ns)
{
    int64_t quiet_ns = SILENT_INTERVALS * session->config.min_interval_ms * VC_NS_PER_MS;
    int there = session->last_heard_ns && now_ns - session->last_heard_ns < quiet_ns;
    int we_sent = session->last_packet_ns &&
                  now_ns - session->last_packet_ns < quiet_ns * 2 / SILENT_INTERVALS;
    double interval_s = vc_rtcp_interval_s(
        1 + there, we_sent + (there && session->has_source), session->config.bandwidth_bps / 160.0,
        we_sent, session->average_bytes, min_s(session), session->initial);
    return (int64_t)(interval_s * random_factor(session) / COMPENSATION * 1e9);
}

vc_status vc_rtcp_session_init(vc_rtcp_session *session, const vc_rtcp_session_config *config,
                               int64_t now_ns)
{
    if (!session || !config) return VC_E_NULL;
    if (config->clock_hz < 8000 || config->clock_hz > 48000) return VC_E_RANGE;
    if (config->bandwidth_bps < 1000 || config->bandwidth_bps > 100000000) return VC_E_RANGE;
    if (config->min_interval_ms < 100 || config->min_interval_ms > 60000) return VC_E_RANGE;
    if (!memchr(config->cname, 0, sizeof config->cname)) return VC_E_RANGE;
    memset(session, 0, sizeof *session);
    session->config = *config;
    session->random = config->seed ? config->seed : 0x9e3779b9u;
    session->average_bytes = FIRST_GUESS_BYTES + UDP_IP_BYTES;
    session->initial = 1;
    session->start_ns = session->last_sent_ns = now_ns;
    session->due_ns = now_ns + next_interval_ns(session, now_ns);
    return VC_OK;
}

void vc_rtcp_session_sent(vc_rtcp_session *session, uint32_t timestamp, size_t payload_bytes,
                          int64_t now_ns)
{
    session->packets_sent++;
    session->bytes_sent += (uint32_t)payload_bytes;
    session->last_timestamp = timestamp;
    session->last_packet_ns = now_ns;
}

static void begin_source(vc_rtcp_session *session, const vc_rtp_packet *packet)
{
    session->has_source = 1;
    session->source = packet->ssrc;
    session->base_sequence = session->highest_sequence = packet->sequence;
    session->packets = session->packets_before = session->expected_before = 0;
    session->jitter = 0.0;
    session->has_transit = 0;
    session->has_last_sr = 0;
    session->stats.lost = 0;
}

void vc_rtcp_session_heard(vc_rtcp_session *session, const vc_rtp_packet *packet, int64_t now_ns)
{
    if (!session->has_source || packet->ssrc != session->source) begin_source(session, packet);
    int64_t sequence = vc_rtp_unwrap_sequence(session->highest_sequence, packet->sequence);
    int64_t step = sequence - session->highest_sequence;
    if (step > 3000 || step < -1000) { /* the sender began anew, A.1 */
        session->base_sequence = session->highest_sequence = packet->sequence;
        session->packets = session->packets_before = session->expected_before = 0;
        session->has_transit = 0;
    } else if (step > 0) {
        session->highest_sequence = sequence;
    }
    session->packets++;
    session->last_heard_ns = now_ns;
    /* Arrival minus timestamp, in ticks and modulo 2^32 as a signed difference, A.8. */
    double arrival = (double)(now_ns - session->start_ns) * session->config.clock_hz / 1e9;
    double transit = arrival - (double)packet->timestamp;
    if (session->has_transit) {
        double d = transit - session->transit;
        if (d > 2147483648.0) d -= 4294967296.0;
        if (d < -2147483648.0) d += 4294967296.0;
        session->jitter += ((d < 0 ? -d : d) - session->jitter) / 16.0;
    }
    session->transit = transit;
    session->has_transit = 1;
}

/* Seconds since the session began, 32.32. */
static uint64_t ntp_of(const vc_rtcp_session *session, int64_t now_ns)
{
    uint64_t ns = (uint64_t)(now_ns - session->start_ns) + 1000000000u; /* never 0 */
    return (ns / 1000000000u) << 32 | (ns % 1000000000u << 32) / 1000000000u;
}

static void note_report(vc_rtcp_session *session, const vc_rtcp_block *block, int64_t now_ns)
{
    vc_rtcp_session_stats *stats = &session->stats;
    stats->has_report = 1;
    stats->remote_loss = block->fraction_lost / 256.0;
    stats->remote_lost = block->lost;
    stats->remote_jitter_ms = block->jitter * 1000.0 / session->config.clock_hz;
    if (block->last_sr == 0) return;
    uint32_t now = (uint32_t)(ntp_of(session, now_ns) >> 16);
    int32_t round_trip = (int32_t)(now - block->last_sr - block->dlsr);
    /* Coarse clocks can make it a little negative; a lie makes it absurd. */
    if (round_trip < 0 || round_trip > 60 * 65536) return;
    stats->round_trip_ms = round_trip * 1000.0 / 65536.0;
}

static void average(vc_rtcp_session *session, size_t n)
{
    session->average_bytes += ((double)n + UDP_IP_BYTES - session->average_bytes) / 16.0;
}

vc_status vc_rtcp_session_receive(vc_rtcp_session *session, const uint8_t *bytes, size_t n,
                                  int64_t now_ns, int *bye)
{
    vc_rtcp_packet packet;
    *bye = 0;
    if (vc_rtcp_check(bytes, n) != VC_OK) return VC_E_PACKET;
    uint32_t sender = 0;
    average(session, n);
    session->stats.received++;
    session->last_heard_ns = now_ns;
    for (size_t at = 0; vc_rtcp_next(bytes, n, &at, &packet) == VC_OK;) {
        if (packet.type == VC_RTCP_SR || packet.type == VC_RTCP_RR) {
            sender = packet.ssrc;
            for (int i = 0; i < packet.count; i++)
                if (packet.blocks[i].ssrc == session->config.ssrc)
                    note_report(session, &packet.blocks[i], now_ns);
        }
        if (packet.type == VC_RTCP_SR && session->has_source && packet.ssrc == session->source) {
            session->last_sr = (uint32_t)(packet.ntp >> 16);
            session->last_sr_ns = now_ns;
            session->has_last_sr = 1;
        }
        if (packet.type == VC_RTCP_BYE) {
            uint32_t who = session->has_source ? session->source : sender;
            for (int i = 0; i < packet.count; i++) *bye |= packet.sources[i] == who;
        }
    }
    return VC_OK;
}

static int64_t lost_now(const vc_rtcp_session *session)
{
    return session->highest_sequence - session->base_sequence + 1 - (int64_t)session->packets;
}

/* A.3. */
static vc_rtcp_block block_now(vc_rtcp_session *session, int64_t now_ns)
{
    int64_t lost = lost_now(session);
    session->stats.lost = lost;
    uint64_t expected = (uint64_t)(session->highest_sequence - session->base_sequence + 1);
    int64_t expected_since = (int64_t)(expected - session->expected_before);
    int64_t lost_since = expected_since - (int64_t)(session->packets - session->packets_before);
    session->expected_before = expected;
    session->packets_before = session->packets;
    vc_rtcp_block block = {
        .ssrc = session->source,
        .lost = (int32_t)(lost > 0x7fffff    ? 0x7fffff
                          : lost < -0x800000 ? -0x800000
                                             : lost),
        .highest_sequence = (uint32_t)session->highest_sequence,
        .jitter = (uint32_t)session->jitter,
    };
    if (expected_since > 0 && lost_since > 0) {
        int64_t fraction = lost_since * 256 / expected_since;
        block.fraction_lost = (uint8_t)(fraction > 255 ? 255 : fraction);
    }
    if (session->has_last_sr) {
        block.last_sr = session->last_sr;
        block.dlsr = (uint32_t)((double)(now_ns - session->last_sr_ns) * 65536.0 / 1e9);
    }
    return block;
}

static vc_status append(const vc_rtcp_packet *packet, uint8_t *out, size_t room, size_t *used)
{
    size_t n = room - *used;
    vc_status status = vc_rtcp_build(packet, out + *used, &n);
    if (status == VC_OK) *used += n;
    return status;
}

static vc_status compound(vc_rtcp_session *session, int64_t now_ns, int bye, uint8_t *out,
                          size_t *n)
{
    size_t room = *n, used = 0;
    *n = 0;
    if (room < VC_RTCP_MAX_COMPOUND_BYTES) return VC_E_LENGTH;
    vc_rtcp_packet packet;
    memset(&packet, 0, sizeof packet);
    packet.type = VC_RTCP_RR;
    packet.ssrc = session->config.ssrc;
    if (session->packets_sent > 0) {
        packet.type = VC_RTCP_SR;
        packet.ntp = ntp_of(session, now_ns);
        double since = (double)(now_ns - session->last_packet_ns) * session->config.clock_hz / 1e9;
        packet.rtp_timestamp = session->last_timestamp + (uint32_t)since;
        packet.packets_sent = session->packets_sent;
        packet.bytes_sent = session->bytes_sent;
    }
    if (session->has_source) packet.blocks[packet.count++] = block_now(session, now_ns);
    vc_status status = append(&packet, out, room, &used);
    packet.type = VC_RTCP_SDES;
    packet.count = 1;
    packet.text = (const uint8_t *)session->config.cname;
    packet.text_bytes = strlen(session->config.cname);
    if (status == VC_OK) status = append(&packet, out, room, &used);
    if (bye) {
        packet.type = VC_RTCP_BYE;
        packet.sources[0] = session->config.ssrc;
        packet.text = NULL;
        packet.text_bytes = 0;
        if (status == VC_OK) status = append(&packet, out, room, &used);
    }
    if (status != VC_OK) return status;
    session->stats.sent++;
    average(session, used);
    *n = used;
    return VC_OK;
}

vc_status vc_rtcp_session_report(vc_rtcp_session *session, int64_t now_ns, uint8_t *out, size_t *n)
{
    if (now_ns < session->due_ns) {
        *n = 0;
        return VC_OK;
    }
    /* Timer reconsideration, 6.3.6: drawn again; if that is later, it is sent then. */
    int64_t again_ns = session->last_sent_ns + next_interval_ns(session, now_ns);
    if (again_ns > now_ns) {
        session->due_ns = again_ns;
        *n = 0;
        return VC_OK;
    }
    vc_status status = compound(session, now_ns, 0, out, n);
    if (status != VC_OK) return status;
    session->initial = 0;
    session->last_sent_ns = now_ns;
    session->due_ns = now_ns + next_interval_ns(session, now_ns);
    return VC_OK;
}

vc_status vc_rtcp_session_bye(vc_rtcp_session *session, int64_t now_ns, uint8_t *out, size_t *n)
{
    return compound(session, now_ns, 1, out, n);
}

void vc_rtcp_session_get_stats(const vc_rtcp_session *session, vc_rtcp_session_stats *stats)
{
    *stats = session->stats;
    stats->jitter_ms = session->jitter * 1000.0 / session->config.clock_hz;
    if (session->has_source) stats->lost = lost_now(session);
}
