/* vc_waker: once a period, whoever asks, and nothing is forgotten. Oracle: the grid itself. The
 * descriptor is a pipe: every wake-up leaves eight bytes. */
#include "engine/vc_waker.h"

#include <fcntl.h>
#include <pthread.h>
#include <unistd.h>

#include "vc_test.h"

#define MS VC_NS_PER_MS

static int ends[2];

static int wakes(void)
{
    uint64_t one;
    int n = 0;
    while (read(ends[0], &one, sizeof one) == (ssize_t)sizeof one) n++;
    return n;
}

VC_TEST(rejects_bad_periods)
{
    vc_waker waker;
    VC_CHECK_EQ(vc_waker_init(NULL, 0, 20), VC_E_NULL);
    VC_CHECK_EQ(vc_waker_init(&waker, 0, 0), VC_E_RANGE);
    VC_CHECK_EQ(vc_waker_init(&waker, 0, 1001), VC_E_RANGE);
}

VC_TEST(the_first_news_of_a_period_wakes_at_once)
{
    vc_waker waker;
    VC_CHECK_OK(vc_waker_init(&waker, ends[1], 20));
    VC_CHECK_EQ(vc_waker_wake(&waker, 1007 * MS), 1);
    for (int64_t t = 1007; t < 1020; t++) VC_CHECK_EQ(vc_waker_wake(&waker, t * MS), 0);
    VC_CHECK_EQ(wakes(), 1);
    VC_CHECK_EQ(vc_waker_due_ns(&waker), 1020 * MS);
    VC_CHECK_EQ(vc_waker_wake(&waker, 1020 * MS - 1), 0);
    VC_CHECK_EQ(vc_waker_wake(&waker, vc_waker_due_ns(&waker)), 1);
    VC_CHECK_EQ(vc_waker_wake(&waker, 1079 * MS), 1);
    /* A thread whose look at the clock is old. */
    VC_CHECK_EQ(vc_waker_wake(&waker, 1059 * MS), 0);
    VC_CHECK_EQ(wakes(), 2);
}

enum { THREADS = 3, PERIODS = 20000 };

static _Atomic int woken;

static void *ask(void *argument)
{
    vc_waker *waker = argument;
    for (int64_t t = 0; t < PERIODS * 4; t++)
        if (vc_waker_wake(waker, t * MS / 4)) atomic_fetch_add(&woken, 1);
    return NULL;
}

VC_TEST(threads_share_one_wake_up_a_period)
{
    vc_waker waker;
    VC_CHECK_OK(vc_waker_init(&waker, ends[1], 1));
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++) VC_NEED(pthread_create(&threads[i], NULL, ask, &waker) == 0);
    int seen = 0;
    while (atomic_load(&waker.last) < PERIODS - 1) seen += wakes();
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    seen += wakes();
    /* No period twice; one is left out only when a thread behind comes after one ahead. */
    VC_CHECK(seen <= PERIODS);
    VC_CHECK_EQ(atomic_load(&waker.last), PERIODS - 1);
    VC_CHECK_EQ(atomic_load(&woken), seen);
}

int main(void)
{
    VC_NEED(pipe(ends) == 0);
    VC_NEED(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0);
    VC_RUN(rejects_bad_periods)
    VC_RUN(the_first_news_of_a_period_wakes_at_once)
    VC_RUN(threads_share_one_wake_up_a_period)
    printf("%d checks, %d failures\n", vc_test_checks, vc_test_failures);
    return vc_test_failures != 0;
}
