/* vc_stretch: plays audio a little faster or slower at the same pitch, one pitch period removed or
 * inserted at a time, and says exactly where.
 *
 *     vc_stretch *stretch;
 *     vc_status status = vc_stretch_create(&stretch, 8000, NULL);
 *     vc_stretch_change change;
 *     status = vc_stretch_accelerate(stretch, position, in, n_in, out, 0, &change);
 *     // out has change.out_samples = n_in - change.changed_samples
 *
 * `position` is the place of in[0] on the caller's time line of input samples; it never goes back.
 * Only the first vc_stretch_window_samples (30 ms) of `in` are looked at and changed, the rest is
 * copied; `out` must not overlap `in`.
 * VC_OK: changed. VC_IGNORED: refused, out is in; change.refusal says why. VC_NEED_MORE: n_in is
 * less than the window, nothing was written.
 * Refused are: audio whose periods are not alike (normalized correlation 0.9; 0.5 when fast) unless
 * it is quiet, the attack of a sound, and more than 25 %: after a change of c samples at `position`
 * the next window may not start before position + 4 c. */
#ifndef VC_STRETCH_H
#define VC_STRETCH_H

#include "base/vc_base.h"

typedef struct vc_stretch vc_stretch;

typedef enum vc_stretch_refusal {
    VC_STRETCH_DONE = 0,
    VC_STRETCH_TOO_SOON = 1, /* it would be more than 25 % */
    VC_STRETCH_ATTACK = 2,   /* the level rises steeply */
    VC_STRETCH_UNLIKE = 3,   /* no two periods that are alike */
} vc_stretch_refusal;

typedef struct vc_stretch_change {
    size_t out_samples;     /* written to out */
    size_t changed_samples; /* removed or inserted; 0 if refused */
    /* The middle of the cross-fade. Input before it is in out at its own index; input from it on
     * (accelerate: from changed_samples after it on, what is between is gone) is in out
     * changed_samples earlier or later. */
    int64_t position;
    vc_stretch_refusal refusal;
} vc_stretch_change;

/* rate_hz: 8000..48000, a multiple of 50. VC_E_RATE otherwise. */
VC_CHECKED vc_status vc_stretch_create(vc_stretch **out, int rate_hz,
                                       const vc_allocator *allocator);
void vc_stretch_destroy(vc_stretch *stretch);
VC_RT void vc_stretch_reset(vc_stretch *stretch);

/* 30 ms, twice the longest pitch period. */
size_t vc_stretch_window_samples(const vc_stretch *stretch);
/* 15 ms: what one call removes or inserts at most. */
size_t vc_stretch_max_change_samples(const vc_stretch *stretch);

/* What was played before in[0], newest last: a sound that began there is an attack too. Optional;
 * the last call before a change counts, 20 ms are a good length. */
VC_RT void vc_stretch_push_played(vc_stretch *stretch, const int16_t *samples, size_t n);

/* One period removed; fast: as many as fit into 15 ms. The cross-fade is over 15 ms after in[0]:
 * whoever needs 20 ms of output can take it from `out` and go on changed_samples further in. Room
 * for n_in samples. */
VC_RT VC_CHECKED vc_status vc_stretch_accelerate(vc_stretch *stretch, int64_t position,
                                                 const int16_t *in, size_t n_in, int16_t *out,
                                                 int fast, vc_stretch_change *change);

/* One period inserted. Room for n_in + vc_stretch_max_change_samples. */
VC_RT VC_CHECKED vc_status vc_stretch_expand(vc_stretch *stretch, int64_t position,
                                             const int16_t *in, size_t n_in, int16_t *out,
                                             vc_stretch_change *change);

#endif
