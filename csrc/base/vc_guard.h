/* vc_guard: tells that a handle is in use on another thread, without a lock.
 * The bindings enter before they release the GIL and leave after; a second entry is refused. */
#ifndef VC_GUARD_H
#define VC_GUARD_H

static inline int vc_guard_enter(int *busy)
{
    return __atomic_exchange_n(busy, 1, __ATOMIC_ACQUIRE) == 0;
}

static inline void vc_guard_leave(int *busy)
{
    __atomic_store_n(busy, 0, __ATOMIC_RELEASE);
}

#endif
