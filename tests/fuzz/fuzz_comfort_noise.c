/* Comfort noise: any payload parses or is empty; what parsed builds to the bytes it came from, as
 * far as they count; the noise made from any sequence of payloads stays near its level; learning
 * from any samples gives a model that can be set and built. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "dsp/vc_comfort_noise.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) abort();                                                                 \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SETTLE = 512, SAMPLES = 4096 };

static void check_payload(const uint8_t *payload, size_t n, const vc_comfort_noise_model *model)
{
    uint8_t again[VC_COMFORT_NOISE_PAYLOAD_BYTES];
    size_t built = sizeof again;
    MUST(vc_comfort_noise_build(model, again, &built) == VC_OK);
    MUST(built == 1 + (size_t)model->order && built <= n);
    MUST(again[0] == (payload[0] & 0x7f));
    MUST(memcmp(again + 1, payload + 1, built - 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size < 2) return 0;
    static int16_t samples[SAMPLES];
    vc_comfort_noise_config config = vc_comfort_noise_config_default();
    config.rate_hz = data[0] & 1 ? 48000 : 8000;
    config.order = data[0] % 25;
    config.seed = data[1];
    vc_comfort_noise *noise;
    MUST(vc_comfort_noise_create(&noise, &config) == VC_OK);
    data += 2;
    size -= 2;
    vc_comfort_noise_model model;
    MUST(vc_comfort_noise_parse(data, 0, &model) == VC_E_PACKET);
    /* Payloads, each behind its length. */
    for (size_t at = 0; at + 1 < size;) {
        size_t n = data[at++] % 32u;
        if (n > size - at) n = size - at;
        if (n == 0) continue;
        uint8_t *payload = malloc(n); /* an exact copy: AddressSanitizer sees a read beyond it */
        MUST(payload);
        memcpy(payload, data + at, n);
        at += n;
        MUST(vc_comfort_noise_parse(payload, n, &model) == VC_OK);
        check_payload(payload, n, &model);
        free(payload);
        MUST(vc_comfort_noise_set_model(noise, &model) == VC_OK);
        vc_comfort_noise_process(noise, samples, SETTLE);
    }
    if (size > 1) {
        /* 50 ms after the last update, 20 dB above the level is beyond chance. */
        vc_comfort_noise_process(noise, samples, SAMPLES);
        vc_comfort_noise_process(noise, samples, SAMPLES);
        double sum = 0.0;
        for (size_t i = 0; i < SAMPLES; i++) sum += (double)samples[i] * samples[i];
        double allowed = 1073741824.0 * pow(10.0, (model.level_dbov + 20.0) / 10.0) + 1.0;
        MUST(size < 4 || sum / SAMPLES < allowed);
    }
    for (size_t at = 0; at + 1 < size; at += 2) {
        int16_t wild[16];
        for (int i = 0; i < 16; i++)
            wild[i] = (int16_t)(uint16_t)(data[at] << 8 ^ data[at + 1] * (i + 1));
        if (at & 2)
            vc_comfort_noise_learn(noise, wild, 16);
        else
            vc_comfort_noise_push(noise, wild, 16);
        if (vc_comfort_noise_get_learned(noise, &model) == VC_OK) {
            uint8_t built[VC_COMFORT_NOISE_PAYLOAD_BYTES];
            size_t n = sizeof built;
            MUST(model.order == config.order);
            MUST(vc_comfort_noise_build(&model, built, &n) == VC_OK);
            MUST(vc_comfort_noise_set_model(noise, &model) == VC_OK);
        }
    }
    vc_comfort_noise_destroy(noise);
    return 0;
}
