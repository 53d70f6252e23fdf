/* vc_pcm_ring: what is held is exact at any index, what is gone is said to be gone, in one thread
 * and in two. Oracle: sample i of the stream is a function of i. */
#include "base/vc_pcm_ring.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "vc_test.h"

static int16_t sample_at(int64_t i)
{
    return (int16_t)(uint16_t)((uint64_t)i * 2654435761u >> 9);
}

static void write_run(vc_pcm_ring *ring, int64_t *end, size_t n)
{
    static int16_t samples[8192];
    for (size_t i = 0; i < n; i++) samples[i] = sample_at(*end + (int64_t)i);
    vc_pcm_ring_write(ring, samples, n);
    *end += (int64_t)n;
}

static int wrong_in(const int16_t *samples, int64_t first, size_t n)
{
    int wrong = 0;
    for (size_t i = 0; i < n; i++) wrong += samples[i] != sample_at(first + (int64_t)i);
    return wrong;
}

VC_TEST(rejects_bad_sizes)
{
    vc_pcm_ring *ring;
    VC_CHECK_EQ(vc_pcm_ring_create(NULL, 8, NULL), VC_E_NULL);
    VC_CHECK_EQ(vc_pcm_ring_create(&ring, 0, NULL), VC_E_RANGE);
    VC_CHECK_EQ(vc_pcm_ring_create(&ring, ((size_t)1 << 26) + 1, NULL), VC_E_RANGE);
    VC_CHECK(ring == NULL);
    vc_pcm_ring_destroy(NULL);
    vc_test_heap heap = {0, 0, 0};
    vc_allocator allocator = vc_test_allocator(&heap);
    VC_CHECK_EQ(vc_pcm_ring_create(&ring, 8, &allocator), VC_E_MEMORY);
    heap.fail_at = -1;
    VC_CHECK_OK(vc_pcm_ring_create(&ring, 8, &allocator));
    vc_pcm_ring_destroy(ring);
    VC_CHECK_EQ(heap.live, 0);
}

VC_TEST(holds_the_newest_at_any_index)
{
    enum { KEPT = 1001 };
    vc_pcm_ring *ring;
    VC_NEED(vc_pcm_ring_create(&ring, KEPT, NULL) == VC_OK);
    static int16_t back[KEPT + 2 * VC_PCM_RING_SLACK];
    size_t capacity;
    const int16_t *storage = vc_pcm_ring_storage(ring, &capacity);
    uint32_t seed = 7;
    int64_t end = 0;
    for (int round = 0; round < 400; round++) {
        write_run(ring, &end, vc_test_random(&seed) % (round % 9 == 0 ? 5000 : 333));
        int64_t begin = vc_pcm_ring_begin(ring);
        VC_CHECK_EQ(vc_pcm_ring_end(ring), end);
        VC_CHECK(begin <= (end > KEPT ? end - KEPT : 0));
        for (int look = 0; look < 20; look++) {
            int64_t first = begin + vc_test_random(&seed) % (uint32_t)(end - begin + 1);
            size_t n = vc_test_random(&seed) % (uint32_t)(end - first + 1);
            VC_CHECK_OK(vc_pcm_ring_copy(ring, first, back, n));
            VC_CHECK_EQ(wrong_in(back, first, n), 0);
            if (n > 0) VC_CHECK_EQ(storage[(size_t)first % capacity], sample_at(first));
        }
        if (begin > 0) VC_CHECK_EQ(vc_pcm_ring_copy(ring, begin - 1, back, 1), VC_LATE);
        VC_CHECK_EQ(vc_pcm_ring_copy(ring, end, back, 1), VC_NEED_MORE);
        VC_CHECK_EQ(vc_pcm_ring_copy(ring, end + 1, back, 0), VC_NEED_MORE);
        VC_CHECK_OK(vc_pcm_ring_copy(ring, end, back, 0));
    }
    vc_pcm_ring_destroy(ring);
}

VC_TEST(slicing_changes_nothing_and_reset_is_new)
{
    enum { TOTAL = 8000 };
    vc_pcm_ring *whole, *sliced;
    VC_NEED(vc_pcm_ring_create(&whole, 900, NULL) == VC_OK);
    VC_NEED(vc_pcm_ring_create(&sliced, 900, NULL) == VC_OK);
    size_t capacity;
    const int16_t *a = vc_pcm_ring_storage(whole, &capacity);
    const int16_t *b = vc_pcm_ring_storage(sliced, &capacity);
    uint32_t seed = 3;
    for (int round = 0; round < 50; round++) {
        int64_t end = 0, other = 0;
        write_run(whole, &end, TOTAL);
        while (other < TOTAL) {
            size_t n = vc_test_random(&seed) % 700, left = (size_t)(TOTAL - other);
            write_run(sliced, &other, n < left ? n : left);
        }
        VC_CHECK_EQ(memcmp(a, b, capacity * sizeof(int16_t)), 0);
        VC_CHECK_EQ(vc_pcm_ring_begin(whole), vc_pcm_ring_begin(sliced));
        vc_pcm_ring_want(sliced, 1);
        vc_pcm_ring_reset(sliced);
        if (round % 2) vc_pcm_ring_reset(whole);
        vc_pcm_ring *fresh;
        VC_NEED(vc_pcm_ring_create(&fresh, 900, NULL) == VC_OK);
        VC_CHECK_EQ(memcmp(vc_pcm_ring_storage(fresh, &capacity), b, capacity * 2), 0);
        int64_t first;
        VC_CHECK_EQ(vc_pcm_ring_unread(sliced, &first), 0);
        VC_CHECK_EQ(first + vc_pcm_ring_end(sliced) + vc_pcm_ring_begin(sliced), 0);
        VC_CHECK_EQ(vc_pcm_ring_dropped(sliced), 0);
        VC_CHECK_EQ(vc_pcm_ring_due(sliced), 0);
        vc_pcm_ring_destroy(fresh);
        if (round % 2) continue;
        vc_pcm_ring_destroy(whole);
        VC_NEED(vc_pcm_ring_create(&whole, 900, NULL) == VC_OK);
        a = vc_pcm_ring_storage(whole, &capacity);
    }
    vc_pcm_ring_destroy(whole);
    vc_pcm_ring_destroy(sliced);
}

VC_TEST(the_reader_gets_runs_and_counts_what_it_missed)
{
    vc_pcm_ring *ring;
    VC_NEED(vc_pcm_ring_create(&ring, 800, NULL) == VC_OK);
    int16_t back[3000];
    int64_t end = 0, first;
    size_t n = 3000;
    VC_CHECK_EQ(vc_pcm_ring_pull(ring, back, &n, &first), VC_NEED_MORE);
    VC_CHECK_EQ(n, 0);
    write_run(ring, &end, 500);
    n = 300;
    VC_CHECK_OK(vc_pcm_ring_pull(ring, back, &n, &first));
    VC_CHECK(n == 300 && first == 0 && wrong_in(back, 0, 300) == 0);
    n = 300;
    VC_CHECK_OK(vc_pcm_ring_pull(ring, back, &n, &first));
    VC_CHECK(n == 200 && first == 300 && wrong_in(back, 300, 200) == 0);
    write_run(ring, &end, 5000);
    /* Said before anything is read: a reader that never comes back is seen too. */
    uint64_t dropped = vc_pcm_ring_dropped(ring);
    VC_CHECK_EQ(dropped, 5000 - (800 + VC_PCM_RING_SLACK));
    n = 3000;
    VC_CHECK_OK(vc_pcm_ring_pull(ring, back, &n, &first));
    VC_CHECK_EQ(first, 500 + (int64_t)dropped);
    VC_CHECK_EQ(n, 800 + VC_PCM_RING_SLACK);
    VC_CHECK_EQ(wrong_in(back, first, n), 0);
    VC_CHECK_EQ(vc_pcm_ring_dropped(ring), dropped);
    /* Taken once is not gone: it can be copied again. */
    VC_CHECK_OK(vc_pcm_ring_copy(ring, first, back, n));
    vc_pcm_ring_destroy(ring);
}

VC_TEST(a_wish_is_told_once)
{
    vc_pcm_ring *ring;
    VC_NEED(vc_pcm_ring_create(&ring, 800, NULL) == VC_OK);
    int64_t end = 0, first;
    VC_CHECK_EQ(vc_pcm_ring_due(ring), 0);
    vc_pcm_ring_want(ring, 400);
    write_run(ring, &end, 399);
    VC_CHECK_EQ(vc_pcm_ring_due(ring), 0);
    write_run(ring, &end, 1);
    VC_CHECK_EQ(vc_pcm_ring_due(ring), 1);
    VC_CHECK_EQ(vc_pcm_ring_due(ring), 0);
    VC_CHECK_EQ(vc_pcm_ring_unread(ring, &first), 400);
    vc_pcm_ring_skip(ring, 300);
    VC_CHECK_EQ(vc_pcm_ring_unread(ring, &first), 100);
    VC_CHECK_EQ(first, 300);
    vc_pcm_ring_want(ring, 100); /* there already: whoever asks late is told too */
    VC_CHECK_EQ(vc_pcm_ring_due(ring), 1);
    vc_pcm_ring_destroy(ring);
}

enum { CROSSED = 4000000 };

typedef struct crossing {
    vc_pcm_ring *ring;
    _Atomic int done;
} crossing;

static void *produce(void *argument)
{
    crossing *shared = argument;
    uint32_t seed = 11;
    for (int64_t end = 0; end < CROSSED;) {
        size_t n = vc_test_random(&seed) % 321, left = (size_t)(CROSSED - end);
        write_run(shared->ring, &end, n < left ? n : left);
        (void)vc_pcm_ring_due(shared->ring);
    }
    atomic_store(&shared->done, 1);
    return NULL;
}

VC_TEST(a_reader_beside_the_writer_never_gets_a_wrong_sample)
{
    crossing shared = {NULL, 0};
    VC_NEED(vc_pcm_ring_create(&shared.ring, 600, NULL) == VC_OK);
    pthread_t writer;
    VC_NEED(pthread_create(&writer, NULL, produce, &shared) == 0);
    int16_t back[2000];
    uint32_t seed = 5;
    uint64_t pulled = 0;
    int wrong = 0, late = 0, last = 0;
    int64_t next = 0, first;
    for (;;) {
        last = atomic_load(&shared.done);
        /* The oldest there is: what the writer takes away next. */
        int64_t begin = vc_pcm_ring_begin(shared.ring);
        size_t held = (size_t)(vc_pcm_ring_end(shared.ring) - begin);
        if (held > 0 && held <= 2000) {
            size_t n = 1 + vc_test_random(&seed) % held;
            vc_status status = vc_pcm_ring_copy(shared.ring, begin, back, n);
            if (status == VC_OK) wrong += wrong_in(back, begin, n);
            late += status == VC_LATE;
        }
        vc_pcm_ring_want(shared.ring, 100);
        size_t n = 1 + vc_test_random(&seed) % 2000;
        if (vc_pcm_ring_pull(shared.ring, back, &n, &first) == VC_OK) {
            wrong += first < next || wrong_in(back, first, n);
            next = first + (int64_t)n;
            pulled += n;
        } else if (last) {
            break;
        }
    }
    pthread_join(writer, NULL);
    VC_CHECK_EQ(wrong, 0);
    VC_CHECK_EQ(pulled + vc_pcm_ring_dropped(shared.ring), CROSSED);
    printf("  (%d copies were overtaken)\n", late);
    vc_pcm_ring_destroy(shared.ring);
}

VC_MAIN(VC_RUN(rejects_bad_sizes) VC_RUN(holds_the_newest_at_any_index)
            VC_RUN(slicing_changes_nothing_and_reset_is_new)
                VC_RUN(the_reader_gets_runs_and_counts_what_it_missed) VC_RUN(a_wish_is_told_once)
                    VC_RUN(a_reader_beside_the_writer_never_gets_a_wrong_sample))
