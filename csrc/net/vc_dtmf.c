/* vc_dtmf: see vc_dtmf.h. Source: RFC 4733 sections 2.3 to 2.6. */
#include "net/vc_dtmf.h"

#include <string.h>

#define DIGITS       16
#define END_PACKETS  3
#define VOLUME_DBM0  10
#define MAX_DURATION 65535u
/* An older timestamp within this is a reordered packet; further back the sender has restarted. */
#define MAX_REORDER_TICKS 96000

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

vc_status vc_dtmf_receive(vc_dtmf_receiver *receiver, const vc_rtp_packet *packet, char *digit)
{
    if (!receiver || !packet || !digit) return VC_E_NULL;
    vc_dtmf_event event;
    if (packet->payload_bytes < VC_DTMF_PAYLOAD_BYTES) return VC_E_PACKET;
    vc_status status = vc_dtmf_parse(packet->payload, packet->payload_bytes, &event);
    if (status != VC_OK) return status;
    char known = vc_dtmf_digit_of(event.event);
    if (!known) return VC_IGNORED;
    if (receiver->reported && packet->ssrc == receiver->ssrc) {
        uint32_t ahead = packet->timestamp - receiver->timestamp;
        if (ahead == 0) {
            if (event.end) receiver->active = 0;
            return VC_DUPLICATE;
        }
        if ((uint32_t)-ahead <= MAX_REORDER_TICKS) return VC_DUPLICATE;
        if (receiver->active && event.event == receiver->event && ahead == MAX_DURATION) {
            receiver->timestamp = packet->timestamp; /* the next segment of a long tone */
            receiver->active = !event.end;
            return VC_DUPLICATE;
        }
    }
    receiver->active = !event.end;
    receiver->timestamp = packet->timestamp;
    receiver->ssrc = packet->ssrc;
    receiver->event = event.event;
    receiver->reported = 1;
    *digit = known;
    return VC_OK;
}

vc_status vc_dtmf_sender_start(vc_dtmf_sender *sender, char digit, uint32_t timestamp,
                               uint32_t total_samples)
{
    if (!sender) return VC_E_NULL;
    int event = vc_dtmf_event_of(digit);
    if (event < 0 || total_samples == 0 || total_samples > MAX_DURATION) return VC_E_RANGE;
    *sender = (vc_dtmf_sender){.active = 1,
                               .event = (uint8_t)event,
                               .timestamp = timestamp,
                               .total_samples = total_samples};
    return VC_OK;
}

vc_status vc_dtmf_sender_next(vc_dtmf_sender *sender, uint32_t step_samples,
                              uint8_t payload[VC_DTMF_PAYLOAD_BYTES], int *marker)
{
    if (!sender || !payload || !marker) return VC_E_NULL;
    if (sender->active && sender->ends_sent == END_PACKETS) sender->active = 0;
    if (!sender->active) return VC_NEED_MORE;
    *marker = sender->duration_samples == 0;
    uint32_t left = sender->total_samples - sender->duration_samples;
    sender->duration_samples += step_samples < left ? step_samples : left;
    int end = sender->duration_samples == sender->total_samples;
    sender->ends_sent = (uint8_t)(sender->ends_sent + end);
    vc_dtmf_event event = {.event = sender->event,
                           .end = (uint8_t)end,
                           .volume_dbm0 = VOLUME_DBM0,
                           .duration_samples = (uint16_t)sender->duration_samples};
    return vc_dtmf_build(&event, payload);
}
