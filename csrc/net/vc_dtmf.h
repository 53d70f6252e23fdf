/* vc_dtmf: telephone events over RTP (RFC 4733): payload parse and build, a receiver that
 * reports each digit once, and a sender that walks one digit through its packets. */
#ifndef VC_DTMF_H
#define VC_DTMF_H

#include "net/vc_rtp.h"

#define VC_DTMF_PAYLOAD_BYTES 4

typedef struct vc_dtmf_event {
    uint8_t event;       /* 0..15: 0-9 * # A-D; others are other telephone events */
    uint8_t end;         /* 1 on the (three times sent) last packet */
    uint8_t volume_dbm0; /* 0..63: the level below 0 dBm0, sign dropped */
    uint16_t duration_samples;
} vc_dtmf_event;

/* VC_E_PACKET if the payload is shorter than 4 bytes. */
VC_RT vc_status vc_dtmf_parse(const uint8_t *payload, size_t n, vc_dtmf_event *out);
VC_RT vc_status vc_dtmf_build(const vc_dtmf_event *event, uint8_t out[VC_DTMF_PAYLOAD_BYTES]);

/* '0'-'9', '*', '#', 'A'-'D' to 0..15 and back; -1 / 0 for what is no digit. */
int vc_dtmf_event_of(char digit);
char vc_dtmf_digit_of(int event);

/* Receiver: plain struct, all zero at the start. */
typedef struct vc_dtmf_receiver {
    int active;         /* 1 from a digit's first packet to its end packet */
    uint32_t timestamp; /* names the event: all packets of one event share it */
    uint32_t ssrc;
    int reported;  /* 1 once any digit was reported: timestamp, ssrc and event are set */
    uint8_t event; /* of the newest digit */
} vc_dtmf_receiver;

/* Feeds one telephone-event packet. VC_OK and *digit set when a new digit is known (on its first
 * packet that arrives, whichever that is), VC_DUPLICATE for further packets of a reported digit,
 * VC_IGNORED for an event that is no digit. */
VC_RT vc_status vc_dtmf_receive(vc_dtmf_receiver *receiver, const vc_rtp_packet *packet,
                                char *digit);

/* Sender: fill with vc_dtmf_sender_start, then one vc_dtmf_sender_next per 20 ms. */
typedef struct vc_dtmf_sender {
    int active;
    uint8_t event;
    uint8_t ends_sent;
    uint32_t timestamp;        /* of the event's start, used by all of its packets */
    uint32_t duration_samples; /* so far */
    uint32_t total_samples;
} vc_dtmf_sender;

/* total_samples: tone length at the RTP clock, 1..65535 (320..8000 is usual at 8 kHz).
 * VC_E_RANGE for a bad digit or length. */
VC_CHECKED vc_status vc_dtmf_sender_start(vc_dtmf_sender *sender, char digit, uint32_t timestamp,
                                          uint32_t total_samples);
/* The next packet's payload and marker; VC_NEED_MORE when the digit (with its three end packets)
 * is done. step_samples: RTP clock ticks in 20 ms. The last three packets carry the end bit. */
VC_RT vc_status vc_dtmf_sender_next(vc_dtmf_sender *sender, uint32_t step_samples,
                                    uint8_t payload[VC_DTMF_PAYLOAD_BYTES], int *marker);

#endif
