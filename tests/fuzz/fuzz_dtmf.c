/* Telephone events: any sequence of packets gives presses and releases in turn, of digits only, and
 * vc_dtmf_receive agrees. 8 bytes a step: timestamp step, event, end and volume, duration, marker
 * and SSRC, expiry, long step. */
#include <stdlib.h>

#include "net/vc_dtmf.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) abort();                                                                 \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

typedef struct held {
    char digit; /* 0: none */
    uint32_t timestamp;
} held;

static void check(held *now, const vc_dtmf_report *report)
{
    MUST(vc_dtmf_event_of(report->digit) >= 0);
    if (report->kind == VC_DTMF_PRESSED) {
        MUST(!now->digit && !report->inferred);
        *now = (held){report->digit, report->timestamp};
        return;
    }
    MUST(report->kind == VC_DTMF_RELEASED);
    MUST(now->digit == report->digit && now->timestamp == report->timestamp);
    now->digit = 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    vc_dtmf_receiver receiver = {0}, plain = {0};
    held now = {0, 0};
    uint32_t timestamp = 0xffffff00u;
    for (; size >= 8; data += 8, size -= 8) {
        int step = (int8_t)data[0];
        timestamp += data[7] & 1 ? (uint32_t)(step * 65535) : (uint32_t)(step * 80);
        uint8_t payload[VC_DTMF_PAYLOAD_BYTES] = {data[1] % 18, data[2], data[3], data[4]};
        vc_rtp_packet packet = {.timestamp = timestamp,
                                .ssrc = data[5] > 250,
                                .marker = data[5] & 1,
                                .payload = payload,
                                .payload_bytes = sizeof payload};
        vc_dtmf_report reports[VC_DTMF_MAX_REPORTS];
        size_t n;
        vc_status status = vc_dtmf_receiver_push(&receiver, &packet, reports, &n);
        MUST(n <= VC_DTMF_MAX_REPORTS && (n > 0) == (status == VC_OK));
        int pressed = 0;
        for (size_t i = 0; i < n; i++) {
            check(&now, &reports[i]);
            pressed |= reports[i].kind == VC_DTMF_PRESSED;
        }
        char digit = 0;
        MUST((vc_dtmf_receive(&plain, &packet, &digit) == VC_OK) == pressed);
        if (data[6] > 200 &&
            vc_dtmf_receiver_expire(&receiver, timestamp + data[6] * 20u, 800, reports) == VC_OK) {
            check(&now, reports);
            plain.active = 0;
        }
        MUST(receiver.active == (now.digit != 0));
    }
    return 0;
}
