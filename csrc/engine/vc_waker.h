/* vc_waker: wakes an event loop at most once a period, for all threads that have news for it.
 *
 * Periods lie on an absolute grid of the monotonic clock. The first news of a period wakes the loop
 * at once; what comes after it waits for the next period.
 *
 *     vc_waker_init(&waker, event_fd, 20);
 *     if (news && vc_waker_wake(&waker, now_ns)) news = 0;
 *     else sleep until vc_waker_due_ns(&waker) at most
 */
#ifndef VC_WAKER_H
#define VC_WAKER_H

#include <stdatomic.h>

#include "base/vc_base.h"

typedef struct vc_waker {
    int fd; /* an eventfd */
    int64_t period_ns;
    _Atomic int64_t last; /* period of the last wake-up */
} vc_waker;

/* period_ms 1..1000. */
VC_CHECKED vc_status vc_waker_init(vc_waker *waker, int fd, int period_ms);
/* 1: the loop was woken; 0: it was in this period already. */
VC_RT int vc_waker_wake(vc_waker *waker, int64_t now_ns);
/* From when on it may be woken. */
VC_RT int64_t vc_waker_due_ns(const vc_waker *waker);

#endif
