/* vc_conceal: makes up audio where packets are missing, and joins real audio without clicks.
 *
 * A gap continues the voice: the last pitch period where there is one, noise of the voice's
 * spectrum where there is none, fading over 90 ms into the line's background noise, which is
 * learned from the pauses of real audio (nothing learned: silence). Real audio after it is faded in
 * over 3 ms against the continued made-up audio, unless it was known when the gap was made
 * (vc_conceal_between). Audio that had no gap before it passes unchanged.
 * No delay. What comes out does not depend on how the calls slice the samples.
 * Every sample that is given out must pass through here once, in order.
 *
 *     vc_conceal_decoded(conceal, frame, 160);   // came: passes through, in place
 *     vc_conceal_fill(conceal, frame, 160);      // lost: made up */
#ifndef VC_CONCEAL_H
#define VC_CONCEAL_H

#include "base/vc_base.h"
#include "base/vc_prefetch.h"

typedef struct vc_conceal vc_conceal;

/* rate_hz: 8000..48000, a multiple of 50. VC_E_RATE otherwise. */
VC_CHECKED vc_status vc_conceal_create(vc_conceal **out, int rate_hz,
                                       const vc_allocator *allocator);
void vc_conceal_destroy(vc_conceal *conceal);
VC_RT void vc_conceal_reset(vc_conceal *conceal);

/* Real audio, joined to what came before it in place. */
VC_RT void vc_conceal_decoded(vc_conceal *conceal, int16_t *samples, size_t n);

/* The next n made-up samples. */
VC_RT void vc_conceal_fill(vc_conceal *conceal, int16_t *samples, size_t n);

/* For callers that know the real audio after a gap. Of the gap, `gap` samples are left; `next` are
 * the first n_next real ones after it. What vc_conceal_fill gives out then leads from one side to
 * the other, and meets `next` without a join. Gaps of 5 to 80 ms and at least 15 ms of `next`, of
 * which vc_conceal_next_samples (20 ms) are used; otherwise, and for a gap that was given already,
 * nothing happens. */
VC_RT void vc_conceal_between(vc_conceal *conceal, size_t gap, const int16_t *next, size_t n_next);
/* Whether it would be of use now. */
VC_RT int vc_conceal_wants_next(const vc_conceal *conceal, size_t gap);
VC_RT size_t vc_conceal_next_samples(const vc_conceal *conceal);

/* Silence: zeros, but for a ramp of 5 ms from the last sample. */
VC_RT void vc_conceal_silence(vc_conceal *conceal, int16_t *samples, size_t n);

/* The real audio that comes next does not continue what came last: join it as after a gap. */
VC_RT void vc_conceal_cut(vc_conceal *conceal);

/* For n real samples: the state (VC_SECOND) and their place (VC_NEXT). */
VC_RT void vc_conceal_prefetch(const vc_conceal *conceal, size_t n, vc_turns_away turns);

#endif
