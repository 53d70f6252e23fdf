/* vc_pcm_ring: the last seconds of a stream of samples, readable by sample index.
 *
 * One thread writes and never waits: the newest samples take the place of the oldest. Any thread
 * may copy what is held, from any index; a copy that the writer overtook says so. One reader can
 * also take the samples in order, each once, and ask to be told when so many have come.
 *
 *     vc_pcm_ring_write(ring, samples, n);                    media thread
 *     vc_pcm_ring_pull(ring, samples, &n, &first);            the reader, in order
 *     vc_pcm_ring_copy(ring, first, samples, n);              anybody, once more
 */
#ifndef VC_PCM_RING_H
#define VC_PCM_RING_H

#include "base/vc_base.h"
#include "base/vc_prefetch.h"

/* Beyond what was asked for: so much is given up while it is overwritten. */
#define VC_PCM_RING_SLACK 1024

typedef struct vc_pcm_ring vc_pcm_ring;

/* samples, 1..2^26: so many of the newest can be read at any time. */
VC_CHECKED vc_status vc_pcm_ring_create(vc_pcm_ring **out, size_t samples,
                                        const vc_allocator *allocator);
void vc_pcm_ring_destroy(vc_pcm_ring *ring);
/* Back to just created; only while nobody else is in a call. */
void vc_pcm_ring_reset(vc_pcm_ring *ring);
/* The storage, which never moves: sample i of the stream is at i modulo the capacity. */
const int16_t *vc_pcm_ring_storage(const vc_pcm_ring *ring, size_t *capacity);

/* -- writer -- */
VC_RT void vc_pcm_ring_write(vc_pcm_ring *ring, const int16_t *samples, size_t n);
/* Writer. For a write of n samples: what says where (VC_SECOND), and the place (VC_NEXT). */
VC_RT void vc_pcm_ring_prefetch(const vc_pcm_ring *ring, size_t n, vc_turns_away turns);
/* Whether what the reader wants is there: 1 once for each vc_pcm_ring_want. To be asked after every
 * write, and now and then: a wish in the very moment of a write can be missed by that write. */
VC_RT int vc_pcm_ring_due(vc_pcm_ring *ring);

/* -- any thread -- */
/* Samples written so far: one past the newest. */
VC_RT int64_t vc_pcm_ring_end(const vc_pcm_ring *ring);
/* The oldest that is certain to be held now. What was read in place is right if its first sample is
 * still not older than this afterwards. */
VC_RT int64_t vc_pcm_ring_begin(const vc_pcm_ring *ring);
/* VC_OK; VC_LATE: the first is not held, or no longer was at the end of the copy; VC_NEED_MORE: the
 * last has not come yet. */
VC_RT vc_status vc_pcm_ring_copy(const vc_pcm_ring *ring, int64_t first, int16_t *samples,
                                 size_t n);

/* -- the reader -- */
/* Samples not yet taken, and the first of them; what was overwritten unread is passed over and
 * counted. */
VC_RT size_t vc_pcm_ring_unread(vc_pcm_ring *ring, int64_t *first);
/* Takes n of them without a look. */
VC_RT void vc_pcm_ring_skip(vc_pcm_ring *ring, size_t n);
/* Takes up to *n (room in, samples out), a run without a hole. VC_NEED_MORE if there are none. */
VC_RT vc_status vc_pcm_ring_pull(vc_pcm_ring *ring, int16_t *samples, size_t *n, int64_t *first);
/* Overwritten before they were taken. */
VC_RT uint64_t vc_pcm_ring_dropped(const vc_pcm_ring *ring);
/* Asks that vc_pcm_ring_due says when n are unread. Look again afterwards: they may be there. */
VC_RT void vc_pcm_ring_want(vc_pcm_ring *ring, size_t n);

#endif
