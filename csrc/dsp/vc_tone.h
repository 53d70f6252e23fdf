/* vc_tone: one or two sines for a time, then a pause: DTMF digits and call progress tones.
 *
 *     vc_tone_start(&tone, &config);
 *     while (vc_tone_process(&tone, out, &n) == VC_OK) ...;
 *
 * A plain struct, copied as one likes. How the samples are sliced changes nothing.
 * Levels are in dBm0; 0 dBm0 is a sine 3.14 dB below full scale (the A-law overload point). */
#ifndef VC_TONE_H
#define VC_TONE_H

#include "base/vc_base.h"

#define VC_TONE_PARTS      2
#define VC_TONE_OFF_DBM0   -100.0f
#define VC_TONE_PEAK_0DBM0 22827.0 /* of a sine at 0 dBm0: 32768 * 10^(-3.14 / 20) */

typedef struct vc_tone_config {
    int rate_hz;                     /* 8000..48000 */
    float hz[VC_TONE_PARTS];         /* 0 up to half the rate */
    float level_dbm0[VC_TONE_PARTS]; /* -100 (off)..3 */
    uint32_t on_samples, off_samples;
    uint32_t edge_samples; /* raised cosine at either end, within on_samples */
} vc_tone_config;

typedef struct vc_tone {
    vc_tone_config config;
    double re[VC_TONE_PARTS], im[VC_TONE_PARTS];           /* peak times cosine and sine */
    double turn_re[VC_TONE_PARTS], turn_im[VC_TONE_PARTS]; /* by one sample */
    uint64_t at;                                           /* samples made */
} vc_tone;

/* The two tones of '0'-'9', '*', '#', 'A'-'D' (ITU-T Q.23) at -10 and -8 dBm0, 100 ms on, 100 ms
 * off, edges of 2 ms. All zero for what is no digit, which vc_tone_start refuses. */
vc_tone_config vc_tone_dtmf(char digit, int rate_hz);
/* VC_E_RATE, VC_E_RANGE. */
VC_CHECKED vc_status vc_tone_start(vc_tone *tone, const vc_tone_config *config);
/* Fills up to *n samples; *n is how many were made. VC_NEED_MORE with 0 when the pause is over. */
VC_RT vc_status vc_tone_process(vc_tone *tone, int16_t *out, size_t *n);

#endif
