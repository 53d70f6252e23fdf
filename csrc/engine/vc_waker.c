/* vc_waker: see vc_waker.h. Whoever moves `last` to the present period writes. */
#include "engine/vc_waker.h"

#include <unistd.h>

vc_status vc_waker_init(vc_waker *waker, int fd, int period_ms)
{
    if (!waker) return VC_E_NULL;
    if (period_ms < 1 || period_ms > 1000) return VC_E_RANGE;
    waker->fd = fd;
    waker->period_ns = period_ms * VC_NS_PER_MS;
    atomic_store_explicit(&waker->last, -1, memory_order_relaxed);
    return VC_OK;
}

int vc_waker_wake(vc_waker *waker, int64_t now_ns)
{
    int64_t period = now_ns / waker->period_ns;
    int64_t last = atomic_load_explicit(&waker->last, memory_order_relaxed);
    do
        if (last >= period) return 0;
    while (!atomic_compare_exchange_weak_explicit(&waker->last, &last, period, memory_order_relaxed,
                                                  memory_order_relaxed));
    uint64_t one = 1;
    /* A full counter already means "awake"; nothing else can fail here. */
    if (write(waker->fd, &one, sizeof one) < 0) return 1;
    return 1;
}

int64_t vc_waker_due_ns(const vc_waker *waker)
{
    return (atomic_load_explicit(&waker->last, memory_order_relaxed) + 1) * waker->period_ns;
}
