/* A call's 20 ms by stage, without sockets, beside the same work through the units alone; built and
 * run by stages.py.
 *
 *     bench_stages CALLS SECONDS CONTENT WEIGHTS CODEC RATE_HZ COMPLEXITY ECHO
 *
 * CONTENT is a file of content.py, CODEC the number of enum vc_codec. Both sides see the same
 * packets and hold as many objects, so the caches are as cold for one as for the other; they take
 * turns tick by tick. The agent says what the caller says. Prints microseconds of thread CPU time a
 * call and tick: stage, engine, units; and of the units' the share of the codec alone: "encode" in
 * render, "decode" in take (measured once more, with decoders of their own). "memory": bytes that a
 * call holds, and those of its ring of received audio in them.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/vc_convert.h"
#include "bench_content.h"
#include "codec/vc_l16.h"
#include "engine/vc_bank.h"

enum { MAX_FRAME = 320, MAX_WINDOW = 512, HEADER = 12, MAX_CALLS = 4096 };
enum { TAKE, JUDGE, RENDER, STAGES };

static bench_content content;
static size_t frame, window;
static double engine_us[STAGES], units_us[STAGES], encode_us, decode_us;

typedef struct datagram {
    size_t n;
    uint8_t bytes[HEADER + CONTENT_MOST_BYTES];
} datagram;

static void need(int fine, const char *what)
{
    if (fine) return;
    fprintf(stderr, "bench_stages: %s failed\n", what);
    exit(1);
}

static double now_us(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e6 + (double)t.tv_nsec * 1e-3;
}

static void *read_file(const char *path, size_t *bytes)
{
    FILE *file = fopen(path, "rb");
    need(file && fseek(file, 0, SEEK_END) == 0, path);
    *bytes = (size_t)ftell(file);
    rewind(file);
    void *data = malloc(*bytes);
    need(data && fread(data, 1, *bytes, file) == *bytes, path);
    fclose(file);
    return data;
}

static void ignore(void *context, const vc_event *event)
{
    (void)context;
    (void)event;
}

static void make_packet(datagram *out, size_t call, size_t tick)
{
    const bench_packet *packet = &content.packets[(call * 37 + tick) % content.count];
    vc_rtp_packet header = {
        .payload_type = (uint8_t)content.payload_type,
        .sequence = (uint16_t)tick,
        .timestamp = (uint32_t)tick * content.ticks,
        .ssrc = 7,
        .payload = packet->bytes,
        .payload_bytes = packet->n,
    };
    out->n = sizeof out->bytes;
    need(vc_rtp_build(&header, out->bytes, &out->n) == VC_OK, "building a packet");
}

/* -- the engine's side -- */

static size_t held_bytes; /* by the calls */

static void *hold(void *context, size_t bytes)
{
    (void)context;
    held_bytes += bytes;
    return malloc(bytes);
}

static void let_go(void *context, void *memory)
{
    (void)context;
    free(memory);
}

static const vc_allocator counted = {hold, let_go, NULL};

static vc_call *calls[MAX_CALLS];
/* What the callers said, and what the agents do: what the callers said before. */
static int16_t heard[MAX_CALLS][MAX_FRAME], said[MAX_CALLS][MAX_FRAME];
static vc_bank *bank;

static void engine_tick(size_t n, size_t tick, const datagram *packets)
{
    uint8_t out[VC_CALL_MAX_PACKET_BYTES];
    int64_t now_ns = (int64_t)(tick + 1) * VC_TICK_NS;
    for (size_t i = 0; i < n; i++) {
        size_t room = frame;
        (void)vc_playout_push(vc_call_playout(calls[i]), said[i], &room);
    }
    double t0 = now_us();
    for (size_t i = 0; i < n; i++) {
        for (size_t turns = VC_FOURTH; turns >= VC_NEXT; turns--)
            if (i + turns < n) vc_call_prefetch_datagram(calls[i + turns], (vc_turns_away)turns);
        (void)vc_call_receive(calls[i], packets[i].bytes, packets[i].n, now_ns);
        (void)vc_bank_note(bank, calls[i]);
    }
    double t1 = now_us();
    (void)vc_bank_run(bank, now_ns);
    double t2 = now_us();
    for (size_t i = 0; i < n; i++) {
        size_t bytes = sizeof out;
        for (size_t turns = VC_FOURTH; turns >= VC_NEXT; turns--)
            if (i + turns < n) vc_call_prefetch_tick(calls[i + turns], (vc_turns_away)turns);
        (void)vc_call_tick(calls[i], now_ns, out, &bytes);
    }
    double t3 = now_us();
    engine_us[TAKE] += t1 - t0;
    engine_us[JUDGE] += t2 - t1;
    engine_us[RENDER] += t3 - t2;
}

/* -- the units' side -- */

static vc_jitter *jitters[MAX_CALLS];
static vc_silero *vads[MAX_CALLS];
static vc_playout *playouts[MAX_CALLS];
static vc_silero_batch *batch;
static vc_call_codec codecs[MAX_CALLS];
static float windows[MAX_CALLS][MAX_WINDOW];
static size_t filled[MAX_CALLS];

static void units_tick(size_t n, size_t tick, const datagram *packets)
{
    static int16_t samples[MAX_CALLS][MAX_FRAME];
    static uint8_t payloads[MAX_CALLS][VC_CALL_MAX_PAYLOAD_BYTES];
    static size_t payload_bytes[MAX_CALLS];
    static float probabilities[MAX_CALLS];
    static vc_silero *ready[MAX_CALLS];
    static const float *full[MAX_CALLS];
    uint8_t out[HEADER + VC_CALL_MAX_PAYLOAD_BYTES];
    int64_t now_ns = (int64_t)(tick + 1) * VC_TICK_NS;
    for (size_t i = 0; i < n; i++) {
        size_t room = frame;
        (void)vc_playout_push(playouts[i], said[i], &room);
    }
    double t0 = now_us();
    for (size_t i = 0; i < n; i++) {
        vc_rtp_packet packet;
        vc_frame_info info;
        size_t room = frame;
        (void)vc_rtp_parse(packets[i].bytes, packets[i].n, &packet);
        (void)vc_jitter_put(jitters[i], &packet, now_ns);
        (void)vc_jitter_read(jitters[i], now_ns, heard[i], &room, &info);
    }
    double t1 = now_us();
    size_t judged = 0;
    for (size_t i = 0; i < n; i++) {
        /* As if the window before had been judged when it was full. */
        size_t most = window - filled[i], first = most < frame ? most : frame;
        vc_convert_s16_to_f32(heard[i], windows[i] + filled[i], first);
        filled[i] += first;
        if (filled[i] == window) {
            ready[judged] = vads[i];
            full[judged++] = windows[i];
        }
    }
    (void)vc_silero_batch_process(batch, ready, full, judged, probabilities);
    for (size_t i = 0; i < n; i++) {
        if (filled[i] < window) continue;
        size_t before = tick * frame % window, rest = before + frame - window;
        vc_convert_s16_to_f32(heard[i] + frame - rest, windows[i], rest);
        filled[i] = rest;
    }
    double t2 = now_us();
    for (size_t i = 0; i < n; i++) (void)vc_playout_render(playouts[i], now_ns, samples[i]);
    double t3 = now_us();
    for (size_t i = 0; i < n; i++)
        need(vc_call_codec_encode(&codecs[i], samples[i], payloads[i], &payload_bytes[i]) == VC_OK,
             "encoding");
    double t4 = now_us();
    for (size_t i = 0; i < n; i++) {
        size_t bytes = sizeof out;
        vc_rtp_packet header = {.sequence = (uint16_t)tick,
                                .timestamp = (uint32_t)tick * content.ticks,
                                .payload = payloads[i],
                                .payload_bytes = payload_bytes[i]};
        (void)vc_rtp_build(&header, out, &bytes);
    }
    double t5 = now_us();
    units_us[TAKE] += t1 - t0;
    units_us[JUDGE] += t2 - t1;
    units_us[RENDER] += t5 - t2;
    encode_us += t4 - t3;
}

/* -- the decoders alone -- */

static const vc_g711 *g711;
static vc_g722 *g722s[MAX_CALLS];
static vc_opus_decoder *opuses[MAX_CALLS];

static void decode_tick(size_t n, const datagram *packets)
{
    int16_t out[MAX_FRAME];
    double t0 = now_us();
    for (size_t i = 0; i < n; i++) {
        const uint8_t *payload = packets[i].bytes + HEADER;
        size_t bytes = packets[i].n - HEADER, room = MAX_FRAME;
        switch (codecs[i].codec) {
        case VC_CODEC_G722: vc_g722_decode(g722s[i], payload, bytes, out); break;
        case VC_CODEC_OPUS:
            need(vc_opus_decode(opuses[i], payload, bytes, out, &room) == VC_OK, "decoding");
            break;
        case VC_CODEC_L16: vc_l16_decode(payload, out, bytes / 2); break;
        default: g711->ulaw_decode(payload, out, bytes); break;
        }
    }
    decode_us += now_us() - t0;
}

int main(int argc, char **argv)
{
    need(argc == 9, "usage: bench_stages CALLS SECONDS CONTENT WEIGHTS CODEC RATE_HZ COMPLEXITY "
                    "ECHO;");
    size_t n = (size_t)atol(argv[1]), ticks = (size_t)(atof(argv[2]) * 50.0), bytes;
    int rate_hz = atoi(argv[6]), complexity = atoi(argv[7]);
    vc_codec codec = (vc_codec)atoi(argv[5]);
    need(n >= 1 && n <= MAX_CALLS, "CALLS 1 to 4096:");
    need(bench_content_read(&content, argv[3]), argv[3]);
    vc_silero_model_config model = vc_silero_model_config_default();
    model.rate_hz = rate_hz;
    model.weights = read_file(argv[4], &bytes);
    model.weights_bytes = bytes;
    vc_silero_model *vad;
    need(vc_silero_model_create(&vad, &model) == VC_OK, "the model");
    frame = (size_t)rate_hz / 50;
    window = vc_silero_model_window_samples(vad);
    need(vc_g711_get(VC_CPU_AUTO, &g711) == VC_OK, "G.711");
    need(vc_bank_create(&bank, vad, n, NULL) == VC_OK, "the bank");
    need(vc_silero_batch_create(&batch, vad, NULL) == VC_OK, "the batch");
    for (size_t i = 0; i < n; i++) {
        vc_call_config call = vc_call_config_default();
        call.codec = codec;
        call.rate_hz = rate_hz;
        call.play_hz = rate_hz;
        call.payload_type = (int)content.payload_type;
        call.opus_complexity = complexity;
        call.play_buffer_ms = 500;
        call.receive_buffer_ms = 4000;
        call.echo = atoi(argv[8]);
        call.gate.states[VC_GATE_SPEAKING].action = VC_GATE_NONE; /* both sides play on */
        call.model = vad;
        call.allocator = &counted;
        call.sink = (vc_event_sink){ignore, NULL};
        need(vc_call_create(&calls[i], &call) == VC_OK, "a call");
        vc_jitter_config jitter = vc_jitter_config_default();
        jitter.mode = VC_JITTER_LISTEN;
        jitter.codec = codec;
        jitter.rate_hz = rate_hz;
        jitter.loss_wait_ms = call.loss_wait_ms;
        jitter.max_depth_ms = call.max_jitter_ms;
        need(vc_jitter_create(&jitters[i], &jitter) == VC_OK, "a jitter buffer");
        need(vc_silero_create(&vads[i], vad, NULL) == VC_OK, "a VAD");
        vc_playout_config playout = vc_playout_config_default();
        playout.play_hz = rate_hz;
        playout.rate_hz = rate_hz;
        playout.buffer_ms = 500;
        playout.sink = call.sink;
        need(vc_playout_create(&playouts[i], &playout) == VC_OK, "a playout");
        vc_call_codec_config alone = vc_call_codec_config_default();
        alone.codec = codec;
        alone.rate_hz = rate_hz;
        alone.complexity = complexity;
        need(vc_call_codec_init(&codecs[i], &alone) == VC_OK, "a codec (libopus?)");
        if (codec == VC_CODEC_G722) need(vc_g722_create(&g722s[i], NULL) == VC_OK, "G.722");
        if (codec == VC_CODEC_OPUS)
            need(vc_opus_decoder_create(&opuses[i], rate_hz, NULL, NULL) == VC_OK, "a decoder");
    }
    datagram *packets = malloc(n * sizeof *packets);
    need(packets != NULL, "memory");
    for (size_t tick = 0; tick < ticks; tick++) {
        for (size_t i = 0; i < n; i++) make_packet(&packets[i], i, tick);
        if (tick % 2) {
            engine_tick(n, tick, packets);
            decode_tick(n, packets);
            units_tick(n, tick, packets);
        } else {
            units_tick(n, tick, packets);
            decode_tick(n, packets);
            engine_tick(n, tick, packets);
        }
        memcpy(said, heard, n * sizeof *heard);
    }
    static const char *names[STAGES] = {"take", "judge", "render"};
    double all = (double)(n * ticks);
    for (int i = 0; i < STAGES; i++)
        printf("%s %.4f %.4f\n", names[i], engine_us[i] / all, units_us[i] / all);
    size_t ring_samples;
    (void)vc_pcm_ring_storage(vc_call_received(calls[0]), &ring_samples);
    printf("memory %zu %zu\n", held_bytes / n, ring_samples * sizeof(int16_t));
    printf("encode nan %.4f\ndecode nan %.4f\n", encode_us / all, decode_us / all);
    return 0;
}
