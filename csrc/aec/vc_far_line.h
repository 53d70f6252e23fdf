/* vc_far_line: what was sent, to be read again at any delay up to a second, to a fraction of a
 * sample. A plain struct over a ring that the caller owns.
 *
 * Windowed-sinc interpolation (24 taps, Kaiser; 64 phases, linear between them): flat within
 * 0.1 dB to 0.8 of Nyquist.
 */
#ifndef VC_FAR_LINE_H
#define VC_FAR_LINE_H

#include "aec/vc_echo_kernels.h"

#define VC_FAR_LINE_MAX_BLOCK 160
/* The least delay: the taps to the right of the sample. */
#define VC_FAR_LINE_MIN_DELAY 12

typedef struct vc_far_line {
    int16_t *ring;
    size_t mask;
    uint64_t end;
    const vc_echo_kernels *kernels;
} vc_far_line;

/* ring: n samples, a power of two. */
VC_RT void vc_far_line_init(vc_far_line *line, int16_t *ring, size_t n,
                            const vc_echo_kernels *kernels);
VC_RT void vc_far_line_push(vc_far_line *line, const int16_t *samples, size_t n);
/* The longest delay that can be read. */
VC_RT double vc_far_line_max_delay_samples(const vc_far_line *line);
/* The newest n (up to VC_FAR_LINE_MAX_BLOCK) samples as they were so many samples ago; the delay
 * grows by `stretch` over them. delay_samples: between VC_FAR_LINE_MIN_DELAY and the longest, or 0;
 * f32 out. */
VC_RT void vc_far_line_read(const vc_far_line *line, double delay_samples, double stretch,
                            float *out, size_t n);

#endif
