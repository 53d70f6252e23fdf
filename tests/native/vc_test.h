/* vc_test: the smallest test harness that says file, line and values, and counts what it checked.
 *
 *     VC_TEST(name) { VC_CHECK(a == b); VC_CHECK_EQ(x, y); VC_CHECK_OK(vc_...()); }
 *     VC_MAIN(VC_RUN(name) VC_RUN(other))
 */
#ifndef VC_TEST_H
#define VC_TEST_H

#include <stdio.h>
#include <stdlib.h>

#include "base/vc_base.h"

static int vc_test_checks, vc_test_failures;

#define VC_TEST(name) static void test_##name(void)
#define VC_RUN(name)                                                                               \
    {                                                                                              \
        int before = vc_test_failures;                                                             \
        test_##name();                                                                             \
        printf("  %-40s %s\n", #name, vc_test_failures == before ? "ok" : "FAILED");               \
    }
#define VC_MAIN(runs)                                                                              \
    int main(void)                                                                                 \
    {                                                                                              \
        runs printf("%d checks, %d failures\n", vc_test_checks, vc_test_failures);                 \
        return vc_test_failures != 0 || vc_test_checks == 0;                                       \
    }
#define VC_CHECK(condition)                                                                        \
    do {                                                                                           \
        vc_test_checks++;                                                                          \
        if (!(condition)) {                                                                        \
            vc_test_failures++;                                                                    \
            printf("%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);                       \
        }                                                                                          \
    } while (0)
#define VC_CHECK_EQ(a, b)                                                                          \
    do {                                                                                           \
        long long va_ = (long long)(a), vb_ = (long long)(b);                                      \
        vc_test_checks++;                                                                          \
        if (va_ != vb_) {                                                                          \
            vc_test_failures++;                                                                    \
            printf("%s:%d: %s is %lld, expected %s = %lld\n", __FILE__, __LINE__, #a, va_, #b,     \
                   vb_);                                                                           \
        }                                                                                          \
    } while (0)
#define VC_CHECK_OK(status) VC_CHECK_EQ(status, VC_OK)
/* For set-up that the rest of a test cannot do without. */
#define VC_NEED(condition)                                                                         \
    do {                                                                                           \
        int before_ = vc_test_failures;                                                            \
        VC_CHECK(condition);                                                                       \
        if (vc_test_failures != before_) exit(1);                                                  \
    } while (0)

/* An allocator that counts what lives and can fail the n-th allocation. */
typedef struct vc_test_heap {
    long live, total, fail_at; /* fail_at: 0-based number of the allocation to fail, -1 never */
} vc_test_heap;

static inline void *vc_test_heap_alloc(void *context, size_t bytes)
{
    vc_test_heap *heap = context;
    if (heap->total++ == heap->fail_at) return NULL;
    heap->live++;
    return malloc(bytes);
}

static inline void vc_test_heap_release(void *context, void *memory)
{
    vc_test_heap *heap = context;
    if (memory) heap->live--;
    free(memory);
}

static inline vc_allocator vc_test_allocator(vc_test_heap *heap)
{
    vc_allocator allocator = {vc_test_heap_alloc, vc_test_heap_release, heap};
    return allocator;
}

/* A small deterministic generator (xorshift32): the same numbers on every machine. */
static inline uint32_t vc_test_random(uint32_t *state)
{
    uint32_t x = *state ? *state : 0x9e3779b9u;
    x ^= x << 13;
    x ^= x >> 17;
    x ^= x << 5;
    return *state = x;
}

#endif
