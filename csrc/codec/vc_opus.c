/* vc_opus: calls libopus through pointers that are looked up by name.
 *
 * The few declarations and numbers below are libopus' stable binary interface (opus.h and
 * opus_defines.h of release 1.x, unchanged since 1.0; RFC 6716 for the format). Every handle holds
 * a reference to the library, so there is nothing global. Reset initializes anew: libopus' own
 * reset keeps some of what the stream taught it. */
#include "codec/vc_opus.h"

#include <dlfcn.h>
#include <string.h>

enum {
    APPLICATION_VOIP = 2048,
    SET_BITRATE = 4002,
    SET_MAX_BANDWIDTH = 4004,
    SET_COMPLEXITY = 4010,
    SET_INBAND_FEC = 4012,
    SET_PACKET_LOSS_PERCENT = 4014,
    SET_DTX = 4016,
    GET_LOOKAHEAD = 4027,
    BANDWIDTH_BEFORE_NARROWBAND = 1100,
    E_BUFFER_TOO_SMALL = -2,
};

typedef struct functions {
    void *library;
    const char *(*version)(void);
    int (*encoder_size)(int channels);
    int (*encoder_init)(void *state, int32_t rate_hz, int channels, int application);
    int (*encoder_ctl)(void *state, int request, ...);
    int32_t (*encode)(void *state, const int16_t *pcm, int n, uint8_t *out, int32_t room);
    int (*decoder_size)(int channels);
    int (*decoder_init)(void *state, int32_t rate_hz, int channels);
    int (*packet_samples)(const void *state, const uint8_t *packet, int32_t n_bytes);
    int (*decode)(void *state, const uint8_t *packet, int32_t n_bytes, int16_t *pcm, int room,
                  int fec);
} functions;

struct vc_opus_encoder {
    functions opus;
    vc_opus_encoder_config config; /* library and allocator are not used after create */
    vc_allocator allocator;
    int custom_allocator;
    int delay_samples;
    void *state; /* in the same block of memory */
};

struct vc_opus_decoder {
    functions opus;
    vc_allocator allocator;
    int custom_allocator;
    int rate_hz;
    void *state;
};

#define STATE_AT(type) ((sizeof(type) + 63) & ~(size_t)63)

#if defined(__APPLE__)
static const char *const NAMES[] = {"libopus.0.dylib", "/opt/homebrew/lib/libopus.0.dylib",
                                    "/usr/local/lib/libopus.0.dylib",
                                    "/opt/local/lib/libopus.0.dylib"};
#else
static const char *const NAMES[] = {"libopus.so.0"};
#endif

static void *open_library(const char *name)
{
    if (name) return dlopen(name, RTLD_NOW | RTLD_LOCAL);
    void *library = NULL;
    for (size_t i = 0; i < sizeof NAMES / sizeof *NAMES && !library; i++)
        library = dlopen(NAMES[i], RTLD_NOW | RTLD_LOCAL);
    return library;
}

static void close_library(functions *opus)
{
    if (opus->library) dlclose(opus->library);
    opus->library = NULL;
}

/* `function` is the address of a function pointer. */
static int look_up(void *library, const char *name, void *function)
{
    void *found = dlsym(library, name);
    memcpy(function, &found, sizeof found);
    return found != NULL;
}

static vc_status load(functions *opus, const char *name)
{
    void *library = opus->library = open_library(name);
    if (!library) return VC_E_MISSING;
    int complete = look_up(library, "opus_get_version_string", &opus->version) &&
                   look_up(library, "opus_encoder_get_size", &opus->encoder_size) &&
                   look_up(library, "opus_encoder_init", &opus->encoder_init) &&
                   look_up(library, "opus_encoder_ctl", &opus->encoder_ctl) &&
                   look_up(library, "opus_encode", &opus->encode) &&
                   look_up(library, "opus_decoder_get_size", &opus->decoder_size) &&
                   look_up(library, "opus_decoder_init", &opus->decoder_init) &&
                   look_up(library, "opus_decoder_get_nb_samples", &opus->packet_samples) &&
                   look_up(library, "opus_decode", &opus->decode);
    if (complete) return VC_OK;
    close_library(opus);
    return VC_E_MISSING;
}

static int is_rate(int rate_hz)
{
    return rate_hz == 8000 || rate_hz == 12000 || rate_hz == 16000 || rate_hz == 24000 ||
           rate_hz == 48000;
}

vc_status vc_opus_version(const char *library, char *out, size_t room)
{
    if (!out || room == 0) return VC_E_LENGTH;
    functions opus;
    vc_status status = load(&opus, library);
    if (status != VC_OK) return status;
    const char *version = opus.version();
    size_t n = 0;
    for (; n + 1 < room && version[n]; n++) out[n] = version[n];
    out[n] = 0;
    close_library(&opus);
    return VC_OK;
}

vc_opus_encoder_config vc_opus_encoder_config_default(void)
{
    vc_opus_encoder_config config = {.rate_hz = 16000, .complexity = -1};
    return config;
}

static vc_status check_config(const vc_opus_encoder_config *c)
{
    if (!is_rate(c->rate_hz)) return VC_E_RATE;
    int bitrate_known = c->bitrate_bps == 0 || (c->bitrate_bps >= 6000 && c->bitrate_bps <= 510000);
    if (!bitrate_known || c->complexity < -1 || c->complexity > 10) return VC_E_RANGE;
    if (c->packet_loss_percent < 0 || c->packet_loss_percent > 100) return VC_E_RANGE;
    if ((int)c->max_bandwidth < VC_OPUS_BANDWIDTH_ANY || c->max_bandwidth > VC_OPUS_FULLBAND)
        return VC_E_RANGE;
    return VC_OK;
}

vc_status vc_opus_encoder_reset(vc_opus_encoder *encoder)
{
    const vc_opus_encoder_config *c = &encoder->config;
    const functions *opus = &encoder->opus;
    void *state = encoder->state;
    int error = opus->encoder_init(state, c->rate_hz, 1, APPLICATION_VOIP);
    if (!error && c->bitrate_bps) error = opus->encoder_ctl(state, SET_BITRATE, c->bitrate_bps);
    if (!error && c->complexity >= 0)
        error = opus->encoder_ctl(state, SET_COMPLEXITY, c->complexity);
    if (!error) error = opus->encoder_ctl(state, SET_INBAND_FEC, c->fec ? 1 : 0);
    if (!error) error = opus->encoder_ctl(state, SET_DTX, c->dtx ? 1 : 0);
    if (!error) error = opus->encoder_ctl(state, SET_PACKET_LOSS_PERCENT, c->packet_loss_percent);
    if (!error && c->max_bandwidth) {
        int bandwidth = BANDWIDTH_BEFORE_NARROWBAND + (int)c->max_bandwidth;
        error = opus->encoder_ctl(state, SET_MAX_BANDWIDTH, bandwidth);
    }
    int32_t delay_samples = 0;
    if (!error) error = opus->encoder_ctl(state, GET_LOOKAHEAD, &delay_samples);
    encoder->delay_samples = delay_samples;
    return error ? VC_E_STATE : VC_OK;
}

vc_status vc_opus_encoder_create(vc_opus_encoder **out, const vc_opus_encoder_config *config)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (!config) return VC_E_NULL;
    vc_status status = check_config(config);
    if (status != VC_OK) return status;
    functions opus;
    status = load(&opus, config->library);
    if (status != VC_OK) return status;
    size_t at = STATE_AT(vc_opus_encoder);
    vc_opus_encoder *encoder = vc_allocate(config->allocator, at + (size_t)opus.encoder_size(1));
    if (!encoder) {
        close_library(&opus);
        return VC_E_MEMORY;
    }
    encoder->opus = opus;
    encoder->config = *config;
    encoder->state = (unsigned char *)encoder + at;
    if (config->allocator) {
        encoder->allocator = *config->allocator;
        encoder->custom_allocator = 1;
    }
    status = vc_opus_encoder_reset(encoder);
    if (status != VC_OK) {
        vc_opus_encoder_destroy(encoder);
        return status;
    }
    *out = encoder;
    return VC_OK;
}

void vc_opus_encoder_destroy(vc_opus_encoder *encoder)
{
    if (!encoder) return;
    vc_allocator allocator = encoder->allocator;
    close_library(&encoder->opus);
    vc_release(encoder->custom_allocator ? &allocator : NULL, encoder);
}

int vc_opus_encoder_delay_samples(const vc_opus_encoder *encoder)
{
    return encoder->delay_samples;
}

vc_status vc_opus_encode(vc_opus_encoder *encoder, const int16_t *pcm, size_t n, uint8_t *out,
                         size_t *n_bytes)
{
    /* In units of 2.5 ms. */
    size_t unit = (size_t)encoder->config.rate_hz / 400, units = n / unit;
    int is_frame = n % unit == 0 && (units == 1 || units == 2 || units == 4 || units == 8 ||
                                     units == 16 || units == 24);
    if (!is_frame || *n_bytes < 3) return VC_E_LENGTH;
    size_t room = *n_bytes < VC_OPUS_MAX_PACKET_BYTES ? *n_bytes : VC_OPUS_MAX_PACKET_BYTES;
    *n_bytes = 0;
    int32_t written = encoder->opus.encode(encoder->state, pcm, (int)n, out, (int32_t)room);
    if (written == E_BUFFER_TOO_SMALL) return VC_E_LENGTH;
    if (written < 0) return VC_E_STATE;
    *n_bytes = (size_t)written;
    return VC_OK;
}

vc_status vc_opus_decoder_create(vc_opus_decoder **out, int rate_hz, const char *library,
                                 const vc_allocator *allocator)
{
    if (!out) return VC_E_NULL;
    *out = NULL;
    if (!is_rate(rate_hz)) return VC_E_RATE;
    functions opus;
    vc_status status = load(&opus, library);
    if (status != VC_OK) return status;
    size_t at = STATE_AT(vc_opus_decoder);
    vc_opus_decoder *decoder = vc_allocate(allocator, at + (size_t)opus.decoder_size(1));
    if (!decoder) {
        close_library(&opus);
        return VC_E_MEMORY;
    }
    decoder->opus = opus;
    decoder->rate_hz = rate_hz;
    decoder->state = (unsigned char *)decoder + at;
    if (allocator) {
        decoder->allocator = *allocator;
        decoder->custom_allocator = 1;
    }
    status = vc_opus_decoder_reset(decoder);
    if (status != VC_OK) {
        vc_opus_decoder_destroy(decoder);
        return status;
    }
    *out = decoder;
    return VC_OK;
}

void vc_opus_decoder_destroy(vc_opus_decoder *decoder)
{
    if (!decoder) return;
    vc_allocator allocator = decoder->allocator;
    close_library(&decoder->opus);
    vc_release(decoder->custom_allocator ? &allocator : NULL, decoder);
}

vc_status vc_opus_decoder_reset(vc_opus_decoder *decoder)
{
    return decoder->opus.decoder_init(decoder->state, decoder->rate_hz, 1) ? VC_E_STATE : VC_OK;
}

/* Nothing longer can be valid: 48 frames of 1275 bytes and their lengths. */
#define LONGEST_BYTES (48 * (1275 + 2) + 2)

vc_status vc_opus_packet_samples(const vc_opus_decoder *decoder, const uint8_t *packet,
                                 size_t n_bytes, size_t *samples)
{
    *samples = 0;
    if (n_bytes == 0 || n_bytes > LONGEST_BYTES) return VC_E_PACKET;
    int n = decoder->opus.packet_samples(decoder->state, packet, (int32_t)n_bytes);
    if (n <= 0) return VC_E_PACKET;
    *samples = (size_t)n;
    return VC_OK;
}

/* A frame's length in one or two bytes (RFC 6716 3.2.1); returns how many, 0 if they are not there.
 */
static size_t read_length(const uint8_t *bytes, size_t n_bytes, size_t *length)
{
    if (n_bytes == 0) return 0;
    *length = bytes[0];
    if (*length < 252) return 1;
    if (n_bytes < 2) return 0;
    *length += 4 * (size_t)bytes[1];
    return 2;
}

/* Where the first frame begins (RFC 6716 3.2); 0 if there is none, or it is empty. */
static size_t first_frame(const uint8_t *packet, size_t n_bytes)
{
    size_t at = 1, length = 1;
    int code = n_bytes > 0 ? packet[0] & 3 : 0;
    if (code == 2) at += read_length(packet + 1, n_bytes - 1, &length);
    if (code == 3 && n_bytes > 1) {
        int frames = packet[1] & 63, variable = packet[1] & 128;
        at = 2;
        if (packet[1] & 64) /* padding: its length alone stands here */
            while (at < n_bytes && packet[at++] == 255) continue;
        for (int i = 0; variable && i + 1 < frames && at < n_bytes; i++) {
            size_t other;
            at += read_length(packet + at, n_bytes - at, i == 0 ? &length : &other);
        }
    }
    return at < n_bytes && length > 0 ? at : 0;
}

int vc_opus_packet_has_fec(const uint8_t *packet, size_t n_bytes)
{
    size_t at = n_bytes > 0 && packet[0] < 0x80 ? first_frame(packet, n_bytes) : 0; /* no CELT */
    if (at == 0) return 0;
    /* For each 20 ms a flag for voice activity, then the one that is wanted; stereo: twice. */
    int mode = packet[0] >> 3, stereo = packet[0] & 4;
    int frames = mode < 12 && mode % 4 > 1 ? mode % 4 : 1; /* SILK: 10, 20, 40, 60 ms */
    int middle = packet[at] >> (7 - frames) & 1, side = packet[at] >> (6 - 2 * frames) & 1;
    return middle || (stereo && side);
}

static vc_status outcome(int decoded, size_t *n)
{
    *n = decoded > 0 ? (size_t)decoded : 0;
    if (decoded >= 0) return VC_OK;
    return decoded == E_BUFFER_TOO_SMALL ? VC_E_LENGTH : VC_E_PACKET;
}

vc_status vc_opus_decode(vc_opus_decoder *decoder, const uint8_t *packet, size_t n_bytes,
                         int16_t *pcm, size_t *n)
{
    size_t room = *n, samples;
    *n = 0;
    vc_status status = vc_opus_packet_samples(decoder, packet, n_bytes, &samples);
    if (status != VC_OK) return status;
    if (room < samples) return VC_E_LENGTH;
    return outcome(
        decoder->opus.decode(decoder->state, packet, (int32_t)n_bytes, pcm, (int)samples, 0), n);
}

static int is_gap(const vc_opus_decoder *decoder, size_t n)
{
    size_t unit = (size_t)decoder->rate_hz / 400;
    return n > 0 && n % unit == 0 && n <= unit * (VC_OPUS_MAX_PACKET_MS * 2 / 5);
}

vc_status vc_opus_decode_fec(vc_opus_decoder *decoder, const uint8_t *next, size_t n_bytes,
                             int16_t *pcm, size_t n)
{
    size_t samples;
    vc_status status = vc_opus_packet_samples(decoder, next, n_bytes, &samples);
    if (status != VC_OK) return status;
    if (!is_gap(decoder, n)) return VC_E_LENGTH;
    return outcome(decoder->opus.decode(decoder->state, next, (int32_t)n_bytes, pcm, (int)n, 1),
                   &samples);
}

vc_status vc_opus_conceal(vc_opus_decoder *decoder, int16_t *pcm, size_t n)
{
    size_t samples;
    if (!is_gap(decoder, n)) return VC_E_LENGTH;
    return outcome(decoder->opus.decode(decoder->state, NULL, 0, pcm, (int)n, 0), &samples);
}
