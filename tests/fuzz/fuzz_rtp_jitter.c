/* Fuzz target: bytes drive RTP parsing, the DTMF receiver and a jitter buffer, and every promise of
 * vc_jitter.h that can be checked from outside is checked after each step.
 *
 * Byte 0: mode (bit 0), codec (bits 1-2), rate (bits 3-4), depth (5), wait (6), payload types with
 * comfort noise, events and redundancy instead of the codec (7). Then steps, whose first byte says
 * which:
 *   0 put: length, that many bytes as they are    1 put: sequence, timestamp step, payload, made
 *   2 note: sequence                              3 read: room           4 get
 *   5 time: milliseconds                          6 time: 8 bytes, any   7 reset
 * Built by tools/fuzz.py with libFuzzer; tests/native/test_fuzz_rtp_jitter.c replays the corpus. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/vc_dtmf.h"
#include "net/vc_jitter.h"

#define MUST(condition)                                                                            \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);              \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MAX_SAMPLES = 6000 };

typedef struct bytes {
    const uint8_t *at;
    size_t left;
} bytes;

static uint32_t take(bytes *input, int n)
{
    uint32_t value = 0;
    for (int i = 0; i < n; i++) {
        value = value << 8 | (input->left ? *input->at : 0);
        if (input->left) {
            input->at++;
            input->left--;
        }
    }
    return value;
}

/* Exact copies, so that AddressSanitizer sees any read beyond the packet. */
static void put_raw(vc_jitter *jitter, vc_dtmf_receiver *receiver, bytes *input, int64_t now_ns)
{
    size_t n = take(input, 1);
    n = n < input->left ? n : input->left;
    uint8_t *copy = malloc(n ? n : 1), *again = malloc(n ? n : 1);
    MUST(copy && again);
    if (n) memcpy(copy, input->at, n);
    input->at += n;
    input->left -= n;
    vc_rtp_packet packet;
    vc_status status = vc_rtp_parse(copy, n, &packet);
    MUST(status == VC_OK || status == VC_E_PACKET);
    if (status == VC_OK) {
        size_t built = n;
        MUST(packet.payload >= copy && packet.payload + packet.payload_bytes <= copy + n);
        MUST(vc_rtp_build(&packet, again, &built) == VC_OK);
        MUST(built <= n);
        char digit = 0;
        if (vc_dtmf_receive(receiver, &packet, &digit) == VC_OK) MUST(vc_dtmf_event_of(digit) >= 0);
        status = vc_jitter_put(jitter, &packet, now_ns);
        MUST(status >= 0 || status == VC_E_PACKET);
    }
    free(copy);
    free(again);
}

static void put_made(vc_jitter *jitter, bytes *input, int64_t now_ns, uint16_t *sequence,
                     uint32_t *timestamp)
{
    uint32_t step = take(input, 1), kind = take(input, 1), n = take(input, 1) * 4;
    *sequence = (uint16_t)(*sequence + (int8_t)step);
    *timestamp += kind < 200 ? kind * 4 : (kind - 220) * 8000;
    uint8_t *payload = malloc(n ? n : 1);
    MUST(payload);
    memset(payload, (int)(step * 37), n);
    static const uint8_t types[] = {0, 8, 11, 13, 97, 101, 0, 77};
    /* As redundancy: one block of 4 * (step % 8) bytes, and the rest. */
    if (step % 8 == 4 && n >= 5) {
        payload[0] = 0x80;
        payload[1] = 0;
        payload[2] = (uint8_t)(kind & 0xfc);
        payload[3] = (uint8_t)(kind * 4);
        payload[4] = 8;
    }
    vc_rtp_packet packet = {.payload_type = types[step % 8],
                            .sequence = *sequence,
                            .timestamp = *timestamp,
                            .ssrc = kind == 255 ? step : 1,
                            .payload = payload,
                            .payload_bytes = n};
    vc_status status = vc_jitter_put(jitter, &packet, now_ns);
    MUST(status >= 0 || status == VC_E_PACKET);
    free(payload);
}

static void check_stats(vc_jitter *jitter, const vc_jitter_config *config, uint64_t output,
                        vc_jitter_stats *before)
{
    vc_jitter_stats s;
    vc_jitter_get_stats(jitter, &s);
    MUST(s.received == s.decoded + s.duplicate + s.late + s.discarded + s.rejected + s.held);
    MUST(s.output_samples == output);
    MUST(s.concealed_samples + s.silence_samples + s.comfort_noise_samples <= s.output_samples);
    /* Besides: the rest of a packet that is being read; the queue of what is being played. */
    int queue_ms = config->mode == VC_JITTER_PLAY ? 80 : 20;
    MUST(s.depth_ms >= 0.0 &&
         s.depth_ms <= (config->max_depth_ms > 120 ? config->max_depth_ms : 120) + queue_ms);
    MUST(s.jitter_ms >= 0.0);
    for (vc_jitter_event event; vc_jitter_next_event(jitter, &event) == VC_OK;) {
        MUST(event.samples > 0 && event.position >= 0);
        MUST((uint64_t)event.position <= output + 3u * (uint64_t)config->rate_hz / 50);
    }
    MUST(s.mos >= 1.0 && s.mos <= 4.5);
    MUST(s.decoded >= before->decoded && s.lost >= before->lost && s.late >= before->late);
    if (config->mode == VC_JITTER_PLAY) MUST(s.target_ms >= 5.0 && s.target_ms <= 400.0);
    *before = s;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const int rates[] = {8000, 16000, 44100, 48000};
    bytes input = {data, size};
    uint32_t settings = take(&input, 1);
    vc_jitter_config config = vc_jitter_config_default();
    config.mode = settings & 1 ? VC_JITTER_PLAY : VC_JITTER_LISTEN;
    config.codec = (vc_codec)(settings >> 1 & 3);
    config.rate_hz = config.codec == VC_CODEC_G722 ? 16000 : rates[settings >> 3 & 3];
    static const vc_jitter_payload_type types[] = {{0, VC_CODEC_PCMU}, {8, VC_CODEC_PCMA},
                                                   {11, VC_CODEC_L16}, {13, VC_CODEC_CN},
                                                   {97, VC_CODEC_RED}, {101, VC_CODEC_EVENTS}};
    if (settings & 128) {
        config.payload_types = sizeof types / sizeof types[0];
        memcpy(config.payload_type, types, sizeof types);
    }
    config.max_depth_ms = settings & 32 ? 60 : 400;
    config.loss_wait_ms = settings & 64 ? 0 : 60;
    vc_jitter *jitter;
    MUST(vc_jitter_create(&jitter, &config) == VC_OK);
    vc_dtmf_receiver receiver = {0};
    vc_jitter_stats before = {0};
    int16_t *samples = malloc(MAX_SAMPLES * sizeof(int16_t));
    MUST(samples);
    int64_t now_ns = 0;
    uint64_t output = 0;
    uint16_t sequence = 65530;
    uint32_t timestamp = 0xfffffc00u;
    while (input.left > 0) {
        vc_frame_info info;
        vc_status status;
        size_t n;
        switch (take(&input, 1) & 7) {
        case 0: put_raw(jitter, &receiver, &input, now_ns); break;
        case 1: put_made(jitter, &input, now_ns, &sequence, &timestamp); break;
        case 2: {
            vc_rtp_packet packet = {.sequence = (uint16_t)(sequence + (int8_t)take(&input, 1)),
                                    .ssrc = 1};
            MUST(vc_jitter_note(jitter, &packet, now_ns) >= 0);
            break;
        }
        case 3:
            n = take(&input, 1) * 20;
            samples[n] = 12345;
            status = vc_jitter_read(jitter, now_ns, samples, &n, &info);
            if (config.mode == VC_JITTER_PLAY) {
                MUST(status == VC_E_STATE);
                break;
            }
            MUST(status == VC_OK || status == VC_CONCEALED || status == VC_NEED_MORE ||
                 status == VC_E_LENGTH);
            MUST((n > 0) == (status == VC_OK || status == VC_CONCEALED));
            if (n > 0) {
                MUST(info.position == (int64_t)output);
                MUST((info.kind == VC_FRAME_CONCEALED) == (status == VC_CONCEALED));
                MUST(vc_jitter_deadline_ns(jitter) > INT64_MIN);
            }
            output += n;
            break;
        case 4:
            n = (size_t)config.rate_hz / 50;
            samples[n] = 12345;
            status = vc_jitter_get(jitter, now_ns, samples, &info);
            if (config.mode == VC_JITTER_LISTEN) {
                MUST(status == VC_E_STATE);
                break;
            }
            MUST(status == VC_OK || status == VC_CONCEALED);
            MUST(info.position == (int64_t)output);
            MUST(samples[n] == 12345);
            output += n;
            break;
        case 5: now_ns = (int64_t)((uint64_t)now_ns + take(&input, 1) * 1000000ull); break;
        case 6: now_ns = (int64_t)((uint64_t)take(&input, 4) << 32 | take(&input, 4)); break;
        case 7:
            vc_jitter_reset(jitter);
            output = 0;
            before = (vc_jitter_stats){0};
            break;
        }
        check_stats(jitter, &config, output, &before);
    }
    free(samples);
    vc_jitter_destroy(jitter);
    return 0;
}
