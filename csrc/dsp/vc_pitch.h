/* vc_pitch: the pitch period of a piece of audio, 2.5 to 15 ms (400 to 67 Hz), by normalized
 * correlation of the piece with what comes before it. Shared by vc_stretch and vc_conceal.
 *
 * The handle is work space; nothing is carried from one call to the next. The arithmetic is on
 * integers: the same result at every CPU level and on every machine. */
#ifndef VC_PITCH_H
#define VC_PITCH_H

#include "base/vc_base.h"

typedef struct vc_pitch vc_pitch;

typedef struct vc_pitch_match {
    int lag_samples;
    float correlation; /* -1..1; 0 where there is nothing to compare */
} vc_pitch_match;

/* rate_hz: 8000..48000, a multiple of 50. VC_E_RATE otherwise. */
VC_CHECKED vc_status vc_pitch_create(vc_pitch **out, int rate_hz, const vc_allocator *allocator);
void vc_pitch_destroy(vc_pitch *pitch);

/* 15 ms: how much of what comes before is compared. */
size_t vc_pitch_max_lag_samples(const vc_pitch *pitch);
/* 20 ms: the longest window. */
size_t vc_pitch_max_window_samples(const vc_pitch *pitch);

/* The lag at which x[0..window) is most like x[-lag..window-lag). Reads from x[-max_lag] on;
 * 5 ms <= window <= max_window. Offset (DC) and level do not count. */
VC_RT vc_pitch_match vc_pitch_find(vc_pitch *pitch, const int16_t *x, size_t window);

/* The same with lags up to max_lag_samples (5 to 15 ms), and reads from there on. */
VC_RT vc_pitch_match vc_pitch_find_within(vc_pitch *pitch, const int16_t *x, size_t window,
                                          size_t max_lag_samples);

/* The best lag from low to high (within 2.5 ms to the longest lag) for what the last vc_pitch_find
 * looked at. */
VC_RT vc_pitch_match vc_pitch_find_near(vc_pitch *pitch, int low_samples, int high_samples);

#endif
