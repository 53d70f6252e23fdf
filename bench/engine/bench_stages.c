/* A call's 20 ms by stage, without sockets, beside the same work through the units alone; built and
 * run by stages.py.
 *
 *     bench_stages CALLS SECONDS CONTENT WEIGHTS_8K
 *
 * CONTENT is raw PCMU. Both sides see the same packets and hold as many objects, so the caches are
 * as cold for one as for the other; they take turns tick by tick. Prints microseconds of thread CPU
 * time a call and tick: stage, engine, units.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/vc_convert.h"
#include "codec/vc_g711.h"
#include "engine/vc_bank.h"

enum { FRAME = 160, WINDOW = 256, HEADER = 12, MAX_CALLS = 4096 };
enum { TAKE, JUDGE, RENDER, STAGES };

static uint8_t *content;
static size_t frames;
static double engine_us[STAGES], units_us[STAGES];

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

static size_t make_packet(uint8_t *packet, size_t call, size_t tick)
{
    vc_rtp_packet header = {
        .sequence = (uint16_t)tick,
        .timestamp = (uint32_t)(tick * FRAME),
        .ssrc = 7,
        .payload = content + (call * 37 + tick) % frames * FRAME,
        .payload_bytes = FRAME,
    };
    size_t n = HEADER + FRAME;
    need(vc_rtp_build(&header, packet, &n) == VC_OK, "building a packet");
    return n;
}

/* -- the engine's side -- */

static vc_call *calls[MAX_CALLS];
static vc_bank *bank;

static void engine_tick(size_t n, size_t tick, const uint8_t (*packets)[HEADER + FRAME])
{
    static int16_t queued[FRAME];
    uint8_t out[VC_CALL_MAX_PACKET_BYTES];
    int64_t now_ns = (int64_t)(tick + 1) * VC_TICK_NS;
    for (size_t i = 0; i < n; i++) {
        size_t room = FRAME;
        (void)vc_playout_push(vc_call_playout(calls[i]), queued, &room);
    }
    double t0 = now_us();
    for (size_t i = 0; i < n; i++) {
        (void)vc_call_receive(calls[i], packets[i], HEADER + FRAME, now_ns);
        (void)vc_bank_note(bank, calls[i]);
    }
    double t1 = now_us();
    (void)vc_bank_run(bank, now_ns);
    double t2 = now_us();
    for (size_t i = 0; i < n; i++) {
        size_t bytes = sizeof out;
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
static const vc_g711 *g711;
static float windows[MAX_CALLS][WINDOW];
static size_t filled[MAX_CALLS];

static void units_tick(size_t n, size_t tick, const uint8_t (*packets)[HEADER + FRAME])
{
    static int16_t queued[FRAME], heard[MAX_CALLS][FRAME];
    static float probabilities[MAX_CALLS];
    static vc_silero *ready[MAX_CALLS];
    static const float *full[MAX_CALLS];
    uint8_t out[HEADER + FRAME], payload[FRAME];
    int64_t now_ns = (int64_t)(tick + 1) * VC_TICK_NS;
    for (size_t i = 0; i < n; i++) {
        size_t room = FRAME;
        (void)vc_playout_push(playouts[i], queued, &room);
    }
    double t0 = now_us();
    for (size_t i = 0; i < n; i++) {
        vc_rtp_packet packet;
        vc_frame_info info;
        size_t room = FRAME;
        (void)vc_rtp_parse(packets[i], HEADER + FRAME, &packet);
        (void)vc_jitter_put(jitters[i], &packet, now_ns);
        (void)vc_jitter_read(jitters[i], now_ns, heard[i], &room, &info);
    }
    double t1 = now_us();
    size_t judged = 0;
    for (size_t i = 0; i < n; i++) {
        /* As if the window before had been judged when it was full. */
        size_t most = WINDOW - filled[i], first = most < FRAME ? most : FRAME;
        vc_convert_s16_to_f32(heard[i], windows[i] + filled[i], first);
        filled[i] += first;
        if (filled[i] == WINDOW) {
            ready[judged] = vads[i];
            full[judged++] = windows[i];
        }
    }
    (void)vc_silero_batch_process(batch, ready, full, judged, probabilities);
    for (size_t i = 0; i < n; i++) {
        if (filled[i] < WINDOW) continue;
        size_t before = tick * FRAME % WINDOW, rest = before + FRAME - WINDOW;
        vc_convert_s16_to_f32(heard[i] + FRAME - rest, windows[i], rest);
        filled[i] = rest;
    }
    double t2 = now_us();
    for (size_t i = 0; i < n; i++) {
        int16_t samples[FRAME];
        size_t bytes = sizeof out;
        (void)vc_playout_render(playouts[i], now_ns, samples);
        g711->ulaw_encode(samples, payload, FRAME);
        vc_rtp_packet header = {.sequence = (uint16_t)tick,
                                .timestamp = (uint32_t)(tick * FRAME),
                                .payload = payload,
                                .payload_bytes = FRAME};
        (void)vc_rtp_build(&header, out, &bytes);
    }
    double t3 = now_us();
    units_us[TAKE] += t1 - t0;
    units_us[JUDGE] += t2 - t1;
    units_us[RENDER] += t3 - t2;
}

int main(int argc, char **argv)
{
    need(argc == 5, "usage: bench_stages CALLS SECONDS CONTENT WEIGHTS_8K;");
    size_t n = (size_t)atol(argv[1]), ticks = (size_t)(atof(argv[2]) * 50.0), bytes;
    need(n >= 1 && n <= MAX_CALLS, "CALLS 1 to 4096:");
    content = read_file(argv[3], &bytes);
    frames = bytes / FRAME;
    vc_silero_model_config model = vc_silero_model_config_default();
    model.rate_hz = 8000;
    model.weights = read_file(argv[4], &bytes);
    model.weights_bytes = bytes;
    vc_silero_model *vad;
    need(vc_silero_model_create(&vad, &model) == VC_OK, "the model");
    need(vc_g711_get(VC_CPU_AUTO, &g711) == VC_OK, "G.711");
    need(vc_bank_create(&bank, vad, n, NULL) == VC_OK, "the bank");
    need(vc_silero_batch_create(&batch, vad, NULL) == VC_OK, "the batch");
    for (size_t i = 0; i < n; i++) {
        vc_call_config call = vc_call_config_default();
        call.play_hz = 8000;
        call.play_buffer_ms = 500;
        call.receive_buffer_ms = 4000;
        call.barge_in_min_speech_ms = 0;
        call.model = vad;
        call.sink = (vc_event_sink){ignore, NULL};
        need(vc_call_create(&calls[i], &call) == VC_OK, "a call");
        vc_jitter_config jitter = vc_jitter_config_default();
        jitter.mode = VC_JITTER_LISTEN;
        jitter.codec = VC_CODEC_PCMU;
        jitter.rate_hz = 8000;
        jitter.loss_wait_ms = call.loss_wait_ms;
        jitter.max_depth_ms = call.max_jitter_ms;
        need(vc_jitter_create(&jitters[i], &jitter) == VC_OK, "a jitter buffer");
        need(vc_silero_create(&vads[i], vad, NULL) == VC_OK, "a VAD");
        vc_playout_config playout = vc_playout_config_default();
        playout.play_hz = 8000;
        playout.buffer_ms = 500;
        playout.sink = call.sink;
        need(vc_playout_create(&playouts[i], &playout) == VC_OK, "a playout");
    }
    uint8_t(*packets)[HEADER + FRAME] = malloc(n * sizeof *packets);
    need(packets != NULL, "memory");
    for (size_t tick = 0; tick < ticks; tick++) {
        for (size_t i = 0; i < n; i++) (void)make_packet(packets[i], i, tick);
        if (tick % 2) {
            engine_tick(n, tick, packets);
            units_tick(n, tick, packets);
        } else {
            units_tick(n, tick, packets);
            engine_tick(n, tick, packets);
        }
    }
    static const char *names[STAGES] = {"take", "judge", "render"};
    for (int i = 0; i < STAGES; i++)
        printf("%s %.4f %.4f\n", names[i], engine_us[i] / (double)(n * ticks),
               units_us[i] / (double)(n * ticks));
    return 0;
}
