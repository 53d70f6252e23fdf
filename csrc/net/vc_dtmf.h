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

/* What a receiver tells. A digit is pressed once and released once, in turn. */
typedef enum vc_dtmf_report_kind {
    VC_DTMF_PRESSED = 1,
    VC_DTMF_RELEASED,
} vc_dtmf_report_kind;

typedef struct vc_dtmf_report {
    vc_dtmf_report_kind kind;
    char digit;
    uint8_t volume_dbm0;
    uint8_t inferred;          /* released: no end packet came, the digit was at least this long */
    uint32_t timestamp;        /* of the digit's start */
    uint32_t duration_samples; /* released: its length; pressed: as much as is known */
} vc_dtmf_report;

#define VC_DTMF_MAX_REPORTS 3

/* Receiver: plain struct, all zero at the start. Packets may come in any order; digits are told in
 * that of their timestamps. A digit none of whose packets comes before one of a later digit is not
 * told: it would be out of turn. */
typedef struct vc_dtmf_receiver {
    int active;         /* 1 while a digit is held */
    uint32_t timestamp; /* names the event: all packets of one event share it */
    uint32_t ssrc;
    int reported;  /* 1 once any digit was reported: timestamp, ssrc and event are set */
    uint8_t event; /* of the newest digit */
    uint8_t volume_dbm0;
    uint8_t ended;             /* its end packet came */
    uint32_t start_timestamp;  /* of its first segment */
    uint32_t duration_samples; /* of its present segment */
    int has_previous;          /* the sender had another SSRC before: */
    uint32_t previous_ssrc, previous_timestamp;
} vc_dtmf_receiver;

/* Feeds one telephone-event packet and tells what it changed, *n reports in their order. VC_OK with
 * at least one; VC_DUPLICATE if it says nothing new (repeats, and what is late), VC_IGNORED for an
 * event that is no digit, VC_E_PACKET. A digit is pressed on whichever of its packets comes first,
 * and released by an end packet or by the next digit. */
VC_RT vc_status vc_dtmf_receiver_push(vc_dtmf_receiver *receiver, const vc_rtp_packet *packet,
                                      vc_dtmf_report reports[VC_DTMF_MAX_REPORTS], size_t *n);
/* Releases a held digit whose end packets are lost: VC_OK and *report once the stream's time is
 * timeout_samples or more beyond the last that was heard of it, else VC_NEED_MORE. timestamp: of
 * the newest packet, of audio too. */
VC_RT vc_status vc_dtmf_receiver_expire(vc_dtmf_receiver *receiver, uint32_t timestamp,
                                        uint32_t timeout_samples, vc_dtmf_report *report);
/* The same as push for who needs no releases: VC_OK and *digit set when a digit is pressed. */
VC_RT vc_status vc_dtmf_receive(vc_dtmf_receiver *receiver, const vc_rtp_packet *packet,
                                char *digit);

/* Sender: fill with vc_dtmf_sender_start, then one vc_dtmf_sender_next per 20 ms. */
typedef struct vc_dtmf_sender {
    int active;
    uint8_t event;
    uint8_t ends_sent;
    uint8_t volume_dbm0;       /* 0..63; 10 unless changed after start */
    uint32_t timestamp;        /* of the packet made last: the event's or its segment's start */
    uint32_t duration_samples; /* so far, in all */
    uint32_t total_samples;
    uint32_t segment_samples; /* duration at which the present segment began */
    uint8_t stopped;
} vc_dtmf_sender;

#define VC_DTMF_HELD UINT32_MAX /* total_samples: until vc_dtmf_sender_stop */

/* total_samples: tone length at the RTP clock, 1.. (320..8000 is usual at 8 kHz), or VC_DTMF_HELD.
 * Tones of more than 65535 go out in segments. VC_E_RANGE for a bad digit or length. */
VC_CHECKED vc_status vc_dtmf_sender_start(vc_dtmf_sender *sender, char digit, uint32_t timestamp,
                                          uint32_t total_samples);
/* Ends the tone where it is; the next packet is the first end packet. */
VC_RT void vc_dtmf_sender_stop(vc_dtmf_sender *sender);
/* The next packet's payload and marker; VC_NEED_MORE when the digit (with its three end packets)
 * is done. step_samples: RTP clock ticks in 20 ms, 1..65535. The last three packets carry the end
 * bit. */
VC_RT vc_status vc_dtmf_sender_next(vc_dtmf_sender *sender, uint32_t step_samples,
                                    uint8_t payload[VC_DTMF_PAYLOAD_BYTES], int *marker);

#endif
