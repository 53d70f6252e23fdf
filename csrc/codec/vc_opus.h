/* vc_opus: Opus (RFC 6716), mono, through the machine's libopus, loaded at run time.
 *
 * Nothing is linked: create loads the library and returns VC_E_MISSING where there is none (Debian
 * and Ubuntu: libopus0; Homebrew: opus). Loading and freeing take locks, so create and destroy
 * stay off the media thread; encode and decode do not allocate.
 * Ownership: the caller owns the buffers; a handle's memory, libopus' state included, is one
 * allocation. Threading: a handle serves one thread at a time.
 *
 *     vc_opus_encoder_config config = vc_opus_encoder_config_default();
 *     config.rate_hz = 16000;
 *     vc_opus_encoder *encoder;
 *     if (vc_opus_encoder_create(&encoder, &config) == VC_E_MISSING) ...
 *     size_t n_bytes = sizeof packet;
 *     vc_opus_encode(encoder, pcm, 320, packet, &n_bytes);
 */
#ifndef VC_OPUS_H
#define VC_OPUS_H

#include "base/vc_base.h"

#define VC_OPUS_MAX_PACKET_BYTES 1275 /* of one frame, which is all that encode makes */
#define VC_OPUS_MAX_PACKET_MS    120  /* of audio, which decode may find in a packet */

typedef enum vc_opus_bandwidth {
    VC_OPUS_BANDWIDTH_ANY = 0,
    VC_OPUS_NARROWBAND = 1,    /* 4 kHz of audio */
    VC_OPUS_MEDIUMBAND = 2,    /* 6 kHz */
    VC_OPUS_WIDEBAND = 3,      /* 8 kHz */
    VC_OPUS_SUPERWIDEBAND = 4, /* 12 kHz */
    VC_OPUS_FULLBAND = 5,      /* 20 kHz */
} vc_opus_bandwidth;

typedef struct vc_opus_encoder vc_opus_encoder;
typedef struct vc_opus_decoder vc_opus_decoder;

typedef struct vc_opus_encoder_config {
    int rate_hz;                     /* 8000, 12000, 16000, 24000, 48000 */
    int bitrate_bps;                 /* 6000..510000; 0: libopus chooses (default) */
    int complexity;                  /* 0..10; -1: libopus' own (default) */
    int fec;                         /* default 0; 1: packets carry the one before, coarsely */
    int dtx;                         /* default 0; 1: silence is hardly sent */
    int packet_loss_percent;         /* 0..100 expected, default 0; FEC needs some */
    vc_opus_bandwidth max_bandwidth; /* default any */
    const char *library;             /* file name or path of libopus; NULL: the usual names */
    const vc_allocator *allocator;   /* NULL: malloc */
} vc_opus_encoder_config;

/* Writes libopus' name and version, cut to `room` bytes with the final 0. VC_E_MISSING. */
VC_CHECKED vc_status vc_opus_version(const char *library, char *out, size_t room);

vc_opus_encoder_config vc_opus_encoder_config_default(void);
VC_CHECKED vc_status vc_opus_encoder_create(vc_opus_encoder **out,
                                            const vc_opus_encoder_config *config);
void vc_opus_encoder_destroy(vc_opus_encoder *encoder);
/* As new, with the same settings. */
VC_CHECKED vc_status vc_opus_encoder_reset(vc_opus_encoder *encoder);
/* What the encoder delays audio by (look-ahead); the decoder adds nothing. */
int vc_opus_encoder_delay_samples(const vc_opus_encoder *encoder);
/* One packet of n samples: 2.5, 5, 10, 20, 40 or 60 ms, else VC_E_LENGTH. *n_bytes: room in (at
 * least 3; VC_OPUS_MAX_PACKET_BYTES never limits), written out. With DTX a packet of at most 2
 * bytes need not be sent. */
VC_CHECKED vc_status vc_opus_encode(vc_opus_encoder *encoder, const int16_t *pcm, size_t n,
                                    uint8_t *out, size_t *n_bytes);

VC_CHECKED vc_status vc_opus_decoder_create(vc_opus_decoder **out, int rate_hz, const char *library,
                                            const vc_allocator *allocator);
void vc_opus_decoder_destroy(vc_opus_decoder *decoder);
VC_CHECKED vc_status vc_opus_decoder_reset(vc_opus_decoder *decoder);
/* The samples that a packet holds, at the decoder's rate. VC_E_PACKET. */
VC_CHECKED vc_status vc_opus_packet_samples(const vc_opus_decoder *decoder, const uint8_t *packet,
                                            size_t n_bytes, size_t *samples);
/* *n: room in (vc_opus_packet_samples at least, else VC_E_LENGTH), samples out. VC_E_PACKET leaves
 * a decoder that can go on. */
VC_CHECKED vc_status vc_opus_decode(vc_opus_decoder *decoder, const uint8_t *packet, size_t n_bytes,
                                    int16_t *pcm, size_t *n);
/* Whether the packet carries the one before it (its first frame's LBRR flag, RFC 6716 4.2.4). */
int vc_opus_packet_has_fec(const uint8_t *packet, size_t n_bytes);
/* The n samples before `next` was sent, from what it carries of them; concealed where it carries
 * nothing. `next` itself is decoded afterwards. n as for conceal. */
VC_CHECKED vc_status vc_opus_decode_fec(vc_opus_decoder *decoder, const uint8_t *next,
                                        size_t n_bytes, int16_t *pcm, size_t n);
/* Makes up the next n samples: a multiple of 2.5 ms, up to 120 ms, else VC_E_LENGTH. */
VC_CHECKED vc_status vc_opus_conceal(vc_opus_decoder *decoder, int16_t *pcm, size_t n);

#endif
