/* vc_call: the packet of a tick; see vc_call.h. */
#include "engine/vc_call_state.h"

static void publish_echo(vc_call *call)
{
    vc_call_echo_stats echo;
    vc_call_echo_get_stats(call->echo, &echo);
    int64_t delay_ns = vc_call_received_start_ns(call) - vc_call_sent_start_ns(call) +
                       (int64_t)(echo.delay_samples * 1e9 / call->config.rate_hz);
    int64_t drift_ppb = (int64_t)(echo.drift_ppm * 1e3);
    double erle_db = echo.erle_db > 0.0 ? echo.erle_db : 0.0;
    vc_call_set_stat(call, VC_STAT_ECHO_ERLE_MDB, (uint64_t)(erle_db * 1e3));
    vc_call_set_stat(call, VC_STAT_ECHO_DELAY_US,
                     echo.found && delay_ns > 0 ? (uint64_t)(delay_ns / 1000) : 0);
    vc_call_set_stat(call, VC_STAT_ECHO_DRIFT_PPB, (uint64_t)drift_ppb);
    vc_call_set_stat(call, VC_STAT_ECHO_BLOCKS, echo.blocks);
    vc_call_set_stat(call, VC_STAT_ECHO_RUN_BLOCKS, echo.run_blocks);
    vc_call_set_stat(call, VC_STAT_ECHO_BYTES, vc_call_echo_bytes(call->echo));
}

/* The reference is what the caller's side decodes, the codec's own noise included. */
static void take_reference(vc_call *call, const int16_t *samples, size_t n, const uint8_t *payload,
                           size_t n_bytes)
{
    int16_t heard[MAX_FRAME];
    (void)vc_call_codec_reference(&call->codec, samples, payload, n_bytes, heard);
    vc_call_echo_sent(call->echo, heard, n);
}

void vc_call_publish(vc_call *call)
{
    if (call->echo) publish_echo(call);
    if (call->rtcp_begun) {
        vc_rtcp_session_stats rtcp;
        vc_rtcp_session_get_stats(&call->rtcp, &rtcp);
        vc_call_set_stat(call, VC_STAT_REMOTE_LOST,
                         rtcp.remote_lost > 0 ? (uint64_t)rtcp.remote_lost : 0);
        vc_call_set_stat(call, VC_STAT_REMOTE_LOSS_PPM, (uint64_t)(rtcp.remote_loss * 1e6));
        vc_call_set_stat(call, VC_STAT_REMOTE_JITTER_US, (uint64_t)(rtcp.remote_jitter_ms * 1e3));
        vc_call_set_stat(call, VC_STAT_ROUND_TRIP_US, (uint64_t)(rtcp.round_trip_ms * 1e3));
    }
    vc_playout_stats playout;
    vc_playout_get_stats(call->playout, &playout);
    vc_call_set_stat(call, VC_STAT_UNDERRUNS, playout.underruns);
    vc_call_set_stat(call, VC_STAT_UNDERRUN_SAMPLES, playout.underrun_samples);
    vc_call_set_stat(call, VC_STAT_QUEUE_LOWEST_SAMPLES, (uint64_t)playout.lowest_samples);
    vc_call_set_stat(call, VC_STAT_QUEUE_BUFFERING, (uint64_t)playout.buffering);
    if (!call->jitter) return;
    vc_jitter_stats stats;
    vc_jitter_get_counters(call->jitter, &stats);
    vc_call_set_stat(call, VC_STAT_LOST, stats.lost);
    vc_call_set_stat(call, VC_STAT_LATE, stats.late);
    vc_call_set_stat(call, VC_STAT_DUPLICATE, stats.duplicate);
    vc_call_set_stat(call, VC_STAT_REORDERED, stats.reordered);
    vc_call_set_stat(call, VC_STAT_RESETS, stats.resets);
    if (call->echo && stats.resets != call->echo_resets) vc_call_echo_restarted(call->echo);
    call->echo_resets = stats.resets;
    vc_call_set_stat(call, VC_STAT_CONCEALED_SAMPLES, stats.concealed_samples);
    vc_call_set_stat(call, VC_STAT_SILENCE_SAMPLES, stats.silence_samples);
    vc_call_set_stat(call, VC_STAT_PACKETS_DECODED, stats.decoded);
    vc_call_set_stat(call, VC_STAT_PACKETS_HELD, stats.held);
    vc_call_set_stat(call, VC_STAT_PACKETS_DISCARDED, stats.discarded);
    vc_call_set_stat(call, VC_STAT_RECOVERED, stats.recovered);
    vc_call_set_stat(call, VC_STAT_JITTER_US, (uint64_t)(stats.jitter_ms * 1000.0));
}

static void check_timeout(vc_call *call, int64_t now_ns)
{
    if (call->started_ns == 0) call->started_ns = now_ns;
    if (call->config.rtp_timeout_ms == 0 || call->timed_out) return;
    int64_t since = call->last_packet_ns ? call->last_packet_ns : call->started_ns;
    if (now_ns - since < call->config.rtp_timeout_ms * VC_NS_PER_MS) return;
    call->timed_out = 1;
    vc_call_post(call, VC_EVENT_RTP_TIMED_OUT, now_ns);
}

/* The next telephone-event payload, if a digit is being sent. */
static int next_dtmf(vc_call *call, uint32_t step, uint8_t *payload, int *marker)
{
    digit entry;
    size_t one = 1;
    if (!call->dtmf_out.active && vc_ring_pull(call->digits, &entry, &one) == VC_OK &&
        vc_dtmf_sender_start(&call->dtmf_out, entry.character, call->timestamp,
                             (uint32_t)entry.ticks) != VC_OK)
        return 0;
    if (!call->dtmf_out.active) return 0;
    return vc_dtmf_sender_next(&call->dtmf_out, step, payload, marker) == VC_OK;
}

vc_status vc_call_tick(vc_call *call, int64_t now_ns, uint8_t *packet, size_t *n)
{
    int16_t samples[MAX_FRAME];
    uint8_t payload[VC_CALL_MAX_PAYLOAD_BYTES];
    size_t frame = (size_t)call->config.rate_hz / 50, room = *n;
    *n = 0;
    if (room < VC_CALL_MAX_PACKET_BYTES) return VC_E_LENGTH;

    vc_call_take_remotes(call, now_ns);
    (void)vc_playout_render(call->playout, now_ns, samples);
    /* The tick that was least late says best when sample 0 was due. */
    int64_t start_ns = now_ns - vc_call_samples_to_ns(call, call->sent_end);
    if (call->sent_end == 0 || start_ns < vc_call_sent_start_ns(call))
        atomic_store_explicit(&call->sent_start_ns, start_ns, memory_order_relaxed);
    if (call->sent) vc_pcm_ring_write(call->sent, samples, frame);
    vc_call_announce(call, now_ns);
    call->sent_end += (int64_t)frame;
    check_timeout(call, now_ns);
    vc_call_publish(call);
    if (call->config.pushed) {
        if (call->echo) vc_call_echo_sent(call->echo, samples, frame);
        return VC_OK;
    }

    uint32_t step = (uint32_t)vc_call_codec_clock_hz(&call->codec) / 50;
    int marker = !call->sent_any;
    vc_status status = VC_OK;
    vc_rtp_packet header = {
        .payload_type = (uint8_t)call->config.payload_type,
        .sequence = call->sequence,
        .timestamp = call->timestamp,
        .ssrc = call->config.ssrc,
        .payload = payload,
    };
    if (next_dtmf(call, step, payload, &marker)) {
        header.payload_type = (uint8_t)call->config.dtmf_payload_type;
        header.timestamp = call->dtmf_out.timestamp;
        header.payload_bytes = VC_DTMF_PAYLOAD_BYTES;
        if (call->echo) vc_call_echo_sent(call->echo, NULL, frame);
    } else {
        status = vc_call_codec_encode(&call->codec, samples, payload, &header.payload_bytes);
        if (call->echo) take_reference(call, samples, frame, payload, header.payload_bytes);
    }
    header.marker = (uint8_t)(marker != 0);
    call->sequence++;
    call->timestamp += step;
    call->sent_any = 1;
    *n = room;
    if (status == VC_OK) status = vc_rtp_build(&header, packet, n);
    vc_rtcp_session *rtcp = vc_call_rtcp(call, now_ns);
    if (rtcp && status == VC_OK)
        vc_rtcp_session_sent(rtcp, header.timestamp, header.payload_bytes, now_ns);
    if (status == VC_OK && call->srtp) status = vc_srtp_protect(call->srtp, packet, n, room);
    if (status == VC_OK) return VC_OK;
    /* Never in the clear. */
    *n = 0;
    vc_call_count(call, VC_STAT_SEND_ERRORS, 1);
    return VC_OK;
}
