/* Replays the fuzz corpus of RTP and jitter buffer, and random bytes, without libFuzzer. The target
 * aborts with file and line when a promise does not hold. Run from the root of the repository. */
#include <dirent.h>

#include "../fuzz/fuzz_rtp_jitter.c"
#include "vc_test.h"

static const char corpus[] = "tests/fuzz/corpus/rtp_jitter";

VC_TEST(the_corpus_holds)
{
    DIR *directory = opendir(corpus);
    VC_NEED(directory != NULL);
    int files = 0;
    static uint8_t data[65536];
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.') continue;
        char path[600];
        snprintf(path, sizeof path, "%s/%s", corpus, entry->d_name);
        FILE *file = fopen(path, "rb");
        VC_NEED(file != NULL);
        size_t n = fread(data, 1, sizeof data, file);
        fclose(file);
        VC_CHECK_EQ(LLVMFuzzerTestOneInput(data, n), 0);
        files++;
    }
    closedir(directory);
    VC_CHECK(files >= 10);
}

/* Steps as the target reads them, so that random inputs come further than random bytes do. */
VC_TEST(random_steps_hold)
{
    static const uint8_t steps[] = {1, 1, 3, 4, 5, 1, 3, 4};
    uint32_t seed = 4733;
    for (int round = 0; round < 400; round++) {
        uint8_t data[1200];
        size_t n = 0;
        data[n++] = (uint8_t)vc_test_random(&seed);
        while (n < sizeof data - 4) {
            uint32_t dice = vc_test_random(&seed);
            int usual = dice % 8 != 0;
            data[n++] = usual ? steps[dice >> 8 & 7] : (uint8_t)(dice >> 16);
            data[n++] = (uint8_t)(usual ? (dice >> 24 & 1) + 1 : dice >> 8);
            if (usual) data[n++] = 40;
            if (usual) data[n++] = 40;
        }
        VC_CHECK_EQ(LLVMFuzzerTestOneInput(data, n), 0);
    }
}

VC_MAIN(VC_RUN(the_corpus_holds) VC_RUN(random_steps_hold))
