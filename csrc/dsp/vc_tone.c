/* vc_tone: see vc_tone.h. Each sine is a vector that turns by one rotation a sample, in double:
 * after a minute it is still right to 1e-8, and no libm is called on the way. */
#include "dsp/vc_tone.h"

#include <math.h>
#include <string.h>

#include "kernels/body_convert.h"

#define PI 3.14159265358979323846

vc_tone_config vc_tone_dtmf(char digit, int rate_hz)
{
    static const char keys[] = "123A456B789C*0#D";
    static const float low_hz[] = {697.0f, 770.0f, 852.0f, 941.0f};
    static const float high_hz[] = {1209.0f, 1336.0f, 1477.0f, 1633.0f};
    const char *found = digit ? strchr(keys, digit) : NULL;
    if (!found || rate_hz <= 0) return (vc_tone_config){0};
    size_t place = (size_t)(found - keys);
    uint32_t rate = (uint32_t)rate_hz;
    return (vc_tone_config){.rate_hz = rate_hz,
                            .hz = {low_hz[place / 4], high_hz[place % 4]},
                            .level_dbm0 = {-10.0f, -8.0f},
                            .on_samples = rate / 10,
                            .off_samples = rate / 10,
                            .edge_samples = rate / 500};
}

vc_status vc_tone_start(vc_tone *tone, const vc_tone_config *config)
{
    if (!tone || !config) return VC_E_NULL;
    if (config->rate_hz < 8000 || config->rate_hz > 48000) return VC_E_RATE;
    if (config->edge_samples > config->on_samples / 2) return VC_E_RANGE;
    for (int i = 0; i < VC_TONE_PARTS; i++) {
        float hz = config->hz[i], level = config->level_dbm0[i];
        if (!(hz >= 0.0f && hz <= 0.5f * (float)config->rate_hz)) return VC_E_RANGE;
        if (!(level >= VC_TONE_OFF_DBM0 && level <= 3.0f)) return VC_E_RANGE;
    }
    *tone = (vc_tone){.config = *config};
    for (int i = 0; i < VC_TONE_PARTS; i++) {
        double level = (double)config->level_dbm0[i];
        double angle = 2 * PI * (double)config->hz[i] / config->rate_hz;
        tone->re[i] = config->level_dbm0[i] <= VC_TONE_OFF_DBM0
                          ? 0.0
                          : VC_TONE_PEAK_0DBM0 * pow(10.0, level / 20.0);
        tone->turn_re[i] = cos(angle);
        tone->turn_im[i] = sin(angle);
    }
    return VC_OK;
}

/* The height of the edge, `place` samples from the tone's nearer end. */
static double edge(const vc_tone *tone, uint64_t place)
{
    double width = tone->config.edge_samples;
    return 0.5 - 0.5 * cos(PI * ((double)place + 0.5) / width);
}

static int16_t next_sample(vc_tone *tone)
{
    double sum = 0.0;
    for (int i = 0; i < VC_TONE_PARTS; i++) {
        double re = tone->re[i], im = tone->im[i];
        sum += im;
        tone->re[i] = re * tone->turn_re[i] - im * tone->turn_im[i];
        tone->im[i] = re * tone->turn_im[i] + im * tone->turn_re[i];
    }
    uint64_t left = tone->config.on_samples - 1 - tone->at;
    uint64_t place = tone->at < left ? tone->at : left;
    if (place < tone->config.edge_samples) sum *= edge(tone, place);
    return vc_round_s16((float)sum);
}

vc_status vc_tone_process(vc_tone *tone, int16_t *out, size_t *n)
{
    if (!tone || !n || (*n && !out)) return VC_E_NULL;
    uint64_t end = (uint64_t)tone->config.on_samples + tone->config.off_samples;
    size_t room = *n, made = 0;
    for (; made < room && tone->at < end; made++, tone->at++)
        out[made] = tone->at < tone->config.on_samples ? next_sample(tone) : 0;
    *n = made;
    return made || room == 0 ? VC_OK : VC_NEED_MORE;
}
