/* vc_dtmf: see vc_dtmf.h. Source: RFC 4733 sections 2.3 to 2.6; long events 2.5.1.3 and 2.5.2.3.
 * Not read: a second event in the same packet (2.5.1.5), which must follow the first without a
 * pause and so is no second digit. */
#include "net/vc_dtmf.h"

#include <string.h>

#define DIGITS       16
#define END_PACKETS  3
#define VOLUME_DBM0  10
#define MAX_DURATION 65535u
/* An older timestamp within this is a reordered packet; further back the sender has restarted. */
#define MAX_REORDER_TICKS 96000
/* A long tone is found again after the loss of up to this many whole segments. */
#define MAX_SEGMENTS 4

static const char digits[] = "0123456789*#ABCD";

vc_status vc_dtmf_parse(const uint8_t *payload, size_t n, vc_dtmf_event *out)
{
    if (!payload || !out) return VC_E_NULL;
    if (n < VC_DTMF_PAYLOAD_BYTES) return VC_E_PACKET;
    out->event = payload[0];
    out->end = payload[1] >> 7;
    out->volume_dbm0 = payload[1] & 0x3fu;
    out->duration_samples = (uint16_t)(payload[2] << 8 | payload[3]);
    return VC_OK;
}

vc_status vc_dtmf_build(const vc_dtmf_event *event, uint8_t out[VC_DTMF_PAYLOAD_BYTES])
{
    if (!event || !out) return VC_E_NULL;
    if (event->end > 1 || event->volume_dbm0 > 63) return VC_E_RANGE;
    out[0] = event->event;
    out[1] = (uint8_t)(event->end << 7 | event->volume_dbm0);
    out[2] = (uint8_t)(event->duration_samples >> 8);
    out[3] = (uint8_t)event->duration_samples;
    return VC_OK;
}

int vc_dtmf_event_of(char digit)
{
    const char *found = digit ? strchr(digits, digit) : NULL;
    return found ? (int)(found - digits) : -1;
}

char vc_dtmf_digit_of(int event)
{
    return event >= 0 && event < DIGITS ? digits[event] : 0;
}

static vc_dtmf_report report_of(const vc_dtmf_receiver *receiver, vc_dtmf_report_kind kind)
{
    uint32_t before = receiver->timestamp - receiver->start_timestamp;
    return (vc_dtmf_report){.kind = kind,
                            .digit = vc_dtmf_digit_of(receiver->event),
                            .volume_dbm0 = receiver->volume_dbm0,
                            .inferred = kind == VC_DTMF_RELEASED && !receiver->ended,
                            .timestamp = receiver->start_timestamp,
                            .duration_samples = before + receiver->duration_samples};
}

static int is_next_segment(const vc_dtmf_receiver *receiver, const vc_rtp_packet *packet,
                           const vc_dtmf_event *event, uint32_t ahead)
{
    return !receiver->ended && event->event == receiver->event && !packet->marker &&
           ahead % MAX_DURATION == 0 && ahead / MAX_DURATION <= MAX_SEGMENTS;
}

/* A further packet of the newest digit. */
static vc_status update(vc_dtmf_receiver *receiver, const vc_dtmf_event *event,
                        vc_dtmf_report *reports, size_t *n)
{
    if (event->event != receiver->event) return VC_DUPLICATE;
    if (event->duration_samples > receiver->duration_samples)
        receiver->duration_samples = event->duration_samples;
    if (!event->end) return VC_DUPLICATE;
    receiver->ended = 1;
    if (!receiver->active) return VC_DUPLICATE;
    receiver->active = 0;
    reports[(*n)++] = report_of(receiver, VC_DTMF_RELEASED);
    return VC_OK;
}

vc_status vc_dtmf_receiver_push(vc_dtmf_receiver *receiver, const vc_rtp_packet *packet,
                                vc_dtmf_report reports[VC_DTMF_MAX_REPORTS], size_t *n)
{
    if (!receiver || !packet || !reports || !n) return VC_E_NULL;
    *n = 0;
    vc_dtmf_event event;
    if (packet->payload_bytes < VC_DTMF_PAYLOAD_BYTES) return VC_E_PACKET;
    vc_status status = vc_dtmf_parse(packet->payload, packet->payload_bytes, &event);
    if (status != VC_OK) return status;
    if (!vc_dtmf_digit_of(event.event)) return VC_IGNORED;
    if (receiver->reported && packet->ssrc == receiver->ssrc) {
        uint32_t ahead = packet->timestamp - receiver->timestamp;
        if (ahead == 0) return update(receiver, &event, reports, n);
        if ((uint32_t)-ahead <= MAX_REORDER_TICKS) return VC_DUPLICATE;
        if (is_next_segment(receiver, packet, &event, ahead)) {
            receiver->timestamp = packet->timestamp;
            receiver->duration_samples = 0;
            return update(receiver, &event, reports, n);
        }
    } else if (receiver->has_previous && packet->ssrc == receiver->previous_ssrc &&
               receiver->previous_timestamp - packet->timestamp <= MAX_REORDER_TICKS) {
        return VC_DUPLICATE; /* a straggler from before the sender changed its SSRC */
    }
    if (receiver->active) reports[(*n)++] = report_of(receiver, VC_DTMF_RELEASED);
    if (receiver->reported && packet->ssrc != receiver->ssrc) {
        receiver->has_previous = 1;
        receiver->previous_ssrc = receiver->ssrc;
        receiver->previous_timestamp = receiver->timestamp;
    }
    receiver->active = !event.end;
    receiver->ended = event.end;
    receiver->timestamp = receiver->start_timestamp = packet->timestamp;
    receiver->ssrc = packet->ssrc;
    receiver->event = event.event;
    receiver->volume_dbm0 = event.volume_dbm0;
    receiver->duration_samples = event.duration_samples;
    receiver->reported = 1;
    reports[(*n)++] = report_of(receiver, VC_DTMF_PRESSED);
    if (event.end) reports[(*n)++] = report_of(receiver, VC_DTMF_RELEASED);
    return VC_OK;
}

vc_status vc_dtmf_receiver_expire(vc_dtmf_receiver *receiver, uint32_t timestamp,
                                  uint32_t timeout_samples, vc_dtmf_report *report)
{
    if (!receiver || !report) return VC_E_NULL;
    if (!receiver->active) return VC_NEED_MORE;
    uint32_t beyond = timestamp - receiver->timestamp - receiver->duration_samples;
    if (beyond > UINT32_MAX / 2 || beyond < timeout_samples) return VC_NEED_MORE;
    receiver->active = 0;
    *report = report_of(receiver, VC_DTMF_RELEASED);
    return VC_OK;
}

vc_status vc_dtmf_receive(vc_dtmf_receiver *receiver, const vc_rtp_packet *packet, char *digit)
{
    if (!digit) return VC_E_NULL;
    vc_dtmf_report reports[VC_DTMF_MAX_REPORTS];
    size_t n;
    vc_status status = vc_dtmf_receiver_push(receiver, packet, reports, &n);
    if (status != VC_OK) return status;
    for (size_t i = 0; i < n; i++) {
        if (reports[i].kind != VC_DTMF_PRESSED) continue;
        *digit = reports[i].digit;
        return VC_OK;
    }
    return VC_DUPLICATE;
}

vc_status vc_dtmf_sender_start(vc_dtmf_sender *sender, char digit, uint32_t timestamp,
                               uint32_t total_samples)
{
    if (!sender) return VC_E_NULL;
    int event = vc_dtmf_event_of(digit);
    if (event < 0 || total_samples == 0) return VC_E_RANGE;
    *sender = (vc_dtmf_sender){.active = 1,
                               .event = (uint8_t)event,
                               .volume_dbm0 = VOLUME_DBM0,
                               .timestamp = timestamp,
                               .total_samples = total_samples};
    return VC_OK;
}

void vc_dtmf_sender_stop(vc_dtmf_sender *sender)
{
    if (sender) sender->stopped = 1;
}

vc_status vc_dtmf_sender_next(vc_dtmf_sender *sender, uint32_t step_samples,
                              uint8_t payload[VC_DTMF_PAYLOAD_BYTES], int *marker)
{
    if (!sender || !payload || !marker) return VC_E_NULL;
    if (step_samples == 0 || step_samples > MAX_DURATION) return VC_E_RANGE;
    if (sender->active && sender->ends_sent == END_PACKETS) sender->active = 0;
    if (!sender->active) return VC_NEED_MORE;
    *marker = sender->duration_samples == 0;
    if (sender->stopped && sender->ends_sent == 0) {
        uint32_t least = *marker ? step_samples : sender->duration_samples;
        if (least < sender->total_samples) sender->total_samples = least;
    }
    uint32_t full = sender->segment_samples + MAX_DURATION;
    if (sender->duration_samples > full ||
        (sender->duration_samples == full && sender->total_samples > full)) {
        sender->segment_samples = full;
        sender->timestamp += MAX_DURATION;
    }
    uint32_t left = sender->total_samples - sender->duration_samples;
    sender->duration_samples += step_samples < left ? step_samples : left;
    uint32_t duration = sender->duration_samples - sender->segment_samples;
    int fits = duration <= MAX_DURATION;
    int end = sender->duration_samples == sender->total_samples && fits;
    sender->ends_sent = (uint8_t)(sender->ends_sent + end);
    vc_dtmf_event event = {.event = sender->event,
                           .end = (uint8_t)end,
                           .volume_dbm0 = sender->volume_dbm0,
                           .duration_samples = (uint16_t)(fits ? duration : MAX_DURATION)};
    return vc_dtmf_build(&event, payload);
}
