/* vc_call_codec: see vc_call_codec.h. */
#include "engine/vc_call_codec.h"

#include <string.h>

#include "codec/vc_l16.h"

#define TICKS_PER_S 50

vc_call_codec_config vc_call_codec_config_default(void)
{
    vc_call_codec_config config = {.codec = VC_CODEC_PCMU, .rate_hz = 8000, .complexity = -1};
    return config;
}

vc_status vc_call_codec_check(vc_codec codec, int rate_hz)
{
    int narrow = rate_hz == 8000, wide = rate_hz == 16000;
    switch (codec) {
    case VC_CODEC_PCMU:
    case VC_CODEC_PCMA: return narrow ? VC_OK : VC_E_RATE;
    case VC_CODEC_G722: return wide ? VC_OK : VC_E_RATE;
    case VC_CODEC_L16:
    case VC_CODEC_OPUS: return narrow || wide ? VC_OK : VC_E_RATE;
    default: return VC_E_RANGE;
    }
}

vc_status vc_call_codec_init(vc_call_codec *codec, const vc_call_codec_config *config)
{
    memset(codec, 0, sizeof *codec);
    vc_status status = vc_call_codec_check(config->codec, config->rate_hz);
    if (status != VC_OK) return status;
    codec->codec = config->codec;
    codec->rate_hz = config->rate_hz;
    codec->bitrate_bps = config->bitrate_bps;
    codec->reference = config->reference;
    status = vc_g711_get(VC_CPU_AUTO, &codec->g711);
    if (status == VC_OK && config->codec == VC_CODEC_G722)
        status = vc_g722_create(&codec->g722, config->allocator);
    if (status == VC_OK && config->codec == VC_CODEC_OPUS) {
        vc_opus_encoder_config opus = vc_opus_encoder_config_default();
        opus.rate_hz = config->rate_hz;
        opus.bitrate_bps = config->bitrate_bps;
        opus.complexity = config->complexity;
        opus.packet_loss_percent = config->packet_loss_percent;
        opus.fec = config->packet_loss_percent > 0;
        opus.library = config->library;
        opus.allocator = config->allocator;
        status = vc_opus_encoder_create(&codec->opus, &opus);
        if (status == VC_OK && config->reference)
            status = vc_opus_decoder_create(&codec->opus_heard, config->rate_hz, config->library,
                                            config->allocator);
        if (status != VC_OK) vc_call_codec_release(codec);
    }
    return status;
}

void vc_call_codec_release(vc_call_codec *codec)
{
    vc_g722_destroy(codec->g722);
    codec->g722 = NULL;
    vc_opus_encoder_destroy(codec->opus);
    codec->opus = NULL;
    vc_opus_decoder_destroy(codec->opus_heard);
    codec->opus_heard = NULL;
}

vc_status vc_call_codec_reset(vc_call_codec *codec)
{
    if (codec->g722) vc_g722_reset(codec->g722);
    vc_status status = codec->opus ? vc_opus_encoder_reset(codec->opus) : VC_OK;
    if (status == VC_OK && codec->opus_heard) status = vc_opus_decoder_reset(codec->opus_heard);
    return status;
}

int vc_call_codec_clock_hz(const vc_call_codec *codec)
{
    return vc_jitter_rtp_clock_hz(codec->codec, codec->rate_hz);
}

int vc_call_codec_bitrate_bps(const vc_call_codec *codec)
{
    switch (codec->codec) {
    case VC_CODEC_L16: return 16 * codec->rate_hz;
    case VC_CODEC_OPUS:
        /* What libopus chooses for mono: a bit a sample and 60 a packet. */
        return codec->bitrate_bps ? codec->bitrate_bps : codec->rate_hz + 60 * TICKS_PER_S;
    default: return 64000;
    }
}

vc_status vc_call_codec_encode(vc_call_codec *codec, const int16_t *samples, uint8_t *payload,
                               size_t *n_bytes)
{
    size_t n = (size_t)codec->rate_hz / TICKS_PER_S;
    *n_bytes = n;
    switch (codec->codec) {
    case VC_CODEC_PCMU: codec->g711->ulaw_encode(samples, payload, n); return VC_OK;
    case VC_CODEC_PCMA: codec->g711->alaw_encode(samples, payload, n); return VC_OK;
    case VC_CODEC_G722: *n_bytes = n / 2; return vc_g722_encode(codec->g722, samples, n, payload);
    case VC_CODEC_OPUS:
        *n_bytes = VC_CALL_MAX_PAYLOAD_BYTES;
        return vc_opus_encode(codec->opus, samples, n, payload, n_bytes);
    default: /* init allows no other */
        *n_bytes = 2 * n;
        vc_l16_encode(samples, payload, n);
        return VC_OK;
    }
}

vc_status vc_call_codec_reference(vc_call_codec *codec, const int16_t *samples,
                                  const uint8_t *payload, size_t n_bytes, int16_t *heard)
{
    size_t n = (size_t)codec->rate_hz / TICKS_PER_S;
    vc_status status = codec->reference ? VC_OK : VC_E_STATE;
    if (status == VC_OK) switch (codec->codec) {
        case VC_CODEC_PCMU: codec->g711->ulaw_decode(payload, heard, n); return VC_OK;
        case VC_CODEC_PCMA: codec->g711->alaw_decode(payload, heard, n); return VC_OK;
        case VC_CODEC_G722: vc_g722_decode(codec->g722, payload, n_bytes, heard); return VC_OK;
        case VC_CODEC_OPUS:
            status = vc_opus_decode(codec->opus_heard, payload, n_bytes, heard, &n);
            if (status == VC_OK) return VC_OK;
            break;
        default: break;
        }
    memcpy(heard, samples, (size_t)codec->rate_hz / TICKS_PER_S * sizeof *heard);
    return status;
}
