/* vc_dtmf_detector: finds DTMF digits in audio (ITU-T Q.23, Q.24): each is pressed once and
 * released once, with the sample at which it began and ended.
 *
 * Accepted for sure: both tones within 1.5 % + 2 Hz, 0 to -35 dBm0 each, the high one at most 6 dB
 * over or 10 dB under the low one, 40 ms or more, noise 15 dB below, a dial tone up to 5 dB over.
 * Refused for sure: a tone off by 3.5 %, below -45 dBm0, of 23 ms or less. A break of 10 ms is
 * none, one of 40 ms is the end of a digit.
 *
 *     vc_dtmf_detector_process(detector, samples, &n, events, &n_events);
 *
 * How the samples are sliced changes nothing. Detectors are independent; one serves one thread at a
 * time. 0 dBm0 is a sine 3.14 dB below full scale. */
#ifndef VC_DTMF_DETECTOR_H
#define VC_DTMF_DETECTOR_H

#include "base/vc_base.h"

typedef enum vc_dtmf_detector_kind {
    VC_DTMF_DETECTOR_PRESSED = 1,
    VC_DTMF_DETECTOR_RELEASED,
} vc_dtmf_detector_kind;

typedef struct vc_dtmf_detector_event {
    vc_dtmf_detector_kind kind;
    char digit;           /* 0-9 * # A-D */
    float level_dbm0;     /* of both tones together */
    float twist_db;       /* the high tone over the low one */
    int64_t start_sample; /* in the stream, within 2 ms in clean audio */
    int64_t end_sample;   /* pressed: as far as it was heard; released: where it ended */
} vc_dtmf_detector_event;

/* Room that one step may need; process takes no sample that could need more than is left. */
#define VC_DTMF_DETECTOR_MAX_EVENTS 2

typedef struct vc_dtmf_detector vc_dtmf_detector;

/* rate_hz: 8000..48000. VC_E_RATE, VC_E_MEMORY. allocator: NULL for malloc. */
VC_CHECKED vc_status vc_dtmf_detector_create(vc_dtmf_detector **out, int rate_hz,
                                             const vc_allocator *allocator);
void vc_dtmf_detector_destroy(vc_dtmf_detector *detector);
VC_RT void vc_dtmf_detector_reset(vc_dtmf_detector *detector);

/* *n: samples in, samples taken out; *n_events: room in, events out. All samples are taken as long
 * as there is room for 2 events; VC_FULL if some were left. */
VC_RT vc_status vc_dtmf_detector_process(vc_dtmf_detector *detector, const int16_t *samples,
                                         size_t *n, vc_dtmf_detector_event *events,
                                         size_t *n_events);
/* The end of the stream: what the last samples still decide, at most 2 events. As new after it.
 * VC_E_LENGTH, with nothing changed, for room of less than 2. */
VC_RT vc_status vc_dtmf_detector_flush(vc_dtmf_detector *detector, vc_dtmf_detector_event *events,
                                       size_t *n_events);

#endif
