/* Replays the fuzz corpus of the echo canceller, and random steps, without libFuzzer. The target
 * aborts when a promise does not hold. Run from the root of the repository. */
#include <dirent.h>

#include "../fuzz/fuzz_aec.c"
#include "vc_test.h"

static const char corpus[] = "tests/fuzz/corpus/aec";

VC_TEST(the_corpus_holds)
{
    DIR *directory = opendir(corpus);
    VC_NEED(directory != NULL);
    int files = 0;
    static uint8_t bytes[65536];
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.') continue;
        char path[600];
        snprintf(path, sizeof path, "%s/%s", corpus, entry->d_name);
        FILE *file = fopen(path, "rb");
        VC_NEED(file != NULL);
        const size_t n = fread(bytes, 1, sizeof bytes, file);
        fclose(file);
        VC_CHECK_EQ(LLVMFuzzerTestOneInput(bytes, n), 0);
        files++;
    }
    closedir(directory);
    VC_CHECK(files >= 8);
}

/* Long stretches of a few kinds, so that the canceller locks and learns before it is upset. */
VC_TEST(random_steps_hold)
{
    uint32_t seed = 2026;
    for (int round = 0; round < 20; round++) {
        uint8_t bytes[1 + 60 * STEP];
        bytes[0] = (uint8_t)vc_test_random(&seed);
        for (int step = 0; step < 60; step++) {
            uint8_t *to = bytes + 1 + step * STEP;
            for (int i = 0; i < STEP; i++) to[i] = (uint8_t)(vc_test_random(&seed) >> 8);
            if (step % 15) memcpy(to, to - STEP, STEP);
        }
        VC_CHECK_EQ(LLVMFuzzerTestOneInput(bytes, sizeof bytes), 0);
    }
}

VC_MAIN(VC_RUN(the_corpus_holds) VC_RUN(random_steps_hold))
