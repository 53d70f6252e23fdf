/* vc_call_codec: a call's codec on the send side, 20 ms at a time, and the numbers of its stream.
 *
 *     codec  rate        RTP clock  a packet's payload
 *     PCMU   8000        8000       160 bytes             RFC 3551
 *     PCMA   8000        8000       160 bytes             RFC 3551
 *     L16    8000/16000  the rate   320 or 640 bytes      RFC 3551
 *     G.722  16000       8000       160 bytes             RFC 3551 4.5.2
 *     Opus   8000/16000  48000      up to 1275 bytes      RFC 7587
 *
 * A plain struct of one thread. All memory comes from the allocator in init; libopus, which is
 * loaded there, works in it.
 */
#ifndef VC_CALL_CODEC_H
#define VC_CALL_CODEC_H

#include "codec/vc_g711.h"
#include "codec/vc_g722.h"
#include "codec/vc_opus.h"
#include "net/vc_jitter.h"

#define VC_CALL_MAX_PAYLOAD_BYTES VC_OPUS_MAX_PACKET_BYTES

typedef struct vc_call_codec_config {
    vc_codec codec; /* PCMU .. OPUS */
    int rate_hz;
    int reference; /* 1: vc_call_codec_reference is wanted */
    /* Opus */
    int bitrate_bps;               /* 6000..510000; 0: libopus chooses (default) */
    int complexity;                /* 0..10; -1: libopus' own (default) */
    int packet_loss_percent;       /* 0..100 expected; above 0 packets carry FEC; default 0 */
    const char *library;           /* libopus; NULL: the usual names; read by init only */
    const vc_allocator *allocator; /* NULL: malloc */
} vc_call_codec_config;

typedef struct vc_call_codec {
    vc_codec codec;
    int rate_hz, bitrate_bps, reference;
    const vc_g711 *g711;
    vc_g722 *g722;
    vc_opus_encoder *opus;
    vc_opus_decoder *opus_heard; /* with reference */
} vc_call_codec;

vc_call_codec_config vc_call_codec_config_default(void);
/* Whether the codec runs at the rate: VC_OK, VC_E_RATE, VC_E_RANGE for what is no audio codec. */
VC_CHECKED vc_status vc_call_codec_check(vc_codec codec, int rate_hz);
/* VC_E_RATE, VC_E_RANGE, VC_E_MEMORY; VC_E_MISSING: no libopus. After a failure nothing is held. */
VC_CHECKED vc_status vc_call_codec_init(vc_call_codec *codec, const vc_call_codec_config *config);
/* Of one that is all zero too. */
void vc_call_codec_release(vc_call_codec *codec);
/* As new. */
VC_CHECKED vc_status vc_call_codec_reset(vc_call_codec *codec);

/* RTP ticks a second: of the audio, and of the telephone events beside it (RFC 4733 2.1). */
VC_RT int vc_call_codec_clock_hz(const vc_call_codec *codec);
/* Of the payloads: exact, or for Opus what is aimed at. */
VC_RT int vc_call_codec_bitrate_bps(const vc_call_codec *codec);
/* 20 ms: rate_hz / 50 samples into VC_CALL_MAX_PAYLOAD_BYTES of room. VC_E_STATE, *n_bytes 0, if
 * libopus fails. */
VC_RT VC_CHECKED vc_status vc_call_codec_encode(vc_call_codec *codec, const int16_t *samples,
                                                uint8_t *payload, size_t *n_bytes);
/* What the other side hears of them if nothing is lost, for an echo canceller: the payload decoded,
 * with the coder's noise and delay. Each payload once, in order. VC_E_STATE without
 * config.reference; then, and if libopus fails, the samples themselves. */
VC_RT vc_status vc_call_codec_reference(vc_call_codec *codec, const int16_t *samples,
                                        const uint8_t *payload, size_t n_bytes, int16_t *heard);

#endif
