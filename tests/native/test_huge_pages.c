/* vc_huge_pages: blocks are zero, apart, aligned, and hold what is written to their ends. */
#include "base/vc_huge_pages.h"

#include <string.h>

#include "vc_test.h"

VC_TEST(blocks_of_all_sizes)
{
    static const size_t sizes[] = {1, 4096, (2 << 20) - 64, 2 << 20, VC_HUGE_CHUNK_BYTES, 5 << 20};
    enum { COUNT = sizeof sizes / sizeof *sizes };
    unsigned char *blocks[COUNT];
    for (int i = 0; i < COUNT; i++) {
        blocks[i] = vc_allocate(vc_huge_pages(), sizes[i]);
        VC_NEED(blocks[i] != NULL);
        VC_CHECK_EQ((uintptr_t)blocks[i] % 64, 0);
        VC_CHECK_EQ(blocks[i][0] | blocks[i][sizes[i] - 1], 0);
        memset(blocks[i], i + 1, sizes[i]);
    }
    for (int i = 0; i < COUNT; i++) {
        size_t wrong = 0;
        for (size_t j = 0; j < sizes[i]; j++) wrong += blocks[i][j] != i + 1;
        VC_CHECK_EQ(wrong, 0);
        vc_release(vc_huge_pages(), blocks[i]);
    }
}

VC_TEST(what_no_machine_has_is_refused)
{
    VC_CHECK(vc_allocate(vc_huge_pages(), SIZE_MAX / 2 + 1) == NULL);
    VC_CHECK(vc_allocate(vc_huge_pages(), SIZE_MAX / 4) == NULL);
}

VC_MAIN(VC_RUN(blocks_of_all_sizes) VC_RUN(what_no_machine_has_is_refused))
