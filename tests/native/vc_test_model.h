/* Loads a Silero model from the package's data for tests that need a real one. */
#ifndef VC_TEST_MODEL_H
#define VC_TEST_MODEL_H

#include "vad/vc_silero.h"
#include "vc_test.h"

static inline vc_silero_model *vc_test_model(int rate_hz)
{
    const char *path = rate_hz == 8000 ? "voicecore/media/data/silero_v6_8k.bin"
                                       : "voicecore/media/data/silero_v6_16k.bin";
    FILE *file = fopen(path, "rb");
    if (!file) {
        printf("missing %s: run from the repository's root\n", path);
        exit(1);
    }
    static unsigned char weights[4 << 20];
    vc_silero_model_config config = vc_silero_model_config_default();
    config.rate_hz = rate_hz;
    config.weights = weights;
    config.weights_bytes = fread(weights, 1, sizeof weights, file);
    fclose(file);
    vc_silero_model *model = NULL;
    VC_NEED(vc_silero_model_create(&model, &config) == VC_OK);
    return model;
}

#endif
