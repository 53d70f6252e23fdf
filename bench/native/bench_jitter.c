/* Nanoseconds of one packet through vc_jitter in C, PCMU, 20 ms; run by bench/bench_jitter.py.
 * Prints: mode, loss in percent, best of the rounds. */
#include <stdio.h>
#include <time.h>

#include "net/vc_jitter.h"

enum { PACKETS = 20000, ROUNDS = 30 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static double run(vc_jitter_mode mode, unsigned lost_of_100)
{
    vc_jitter_config config = vc_jitter_config_default();
    config.mode = mode;
    vc_jitter *jitter;
    if (vc_jitter_create(&jitter, &config) != VC_OK) return 0.0;
    uint8_t payload[160];
    for (int i = 0; i < 160; i++) payload[i] = (uint8_t)(i * 7);
    vc_rtp_packet packet = {.ssrc = 1, .payload = payload, .payload_bytes = sizeof payload};
    int16_t samples[1600];
    vc_frame_info info;
    uint32_t dice = 1;
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < PACKETS; i++) {
            int64_t at = ((int64_t)round * PACKETS + i) * VC_TICK_NS;
            dice = dice * 1664525u + 1013904223u;
            if ((dice >> 16) % 100 >= lost_of_100) vc_jitter_put(jitter, &packet, at);
            packet.sequence++;
            packet.timestamp += 160;
            if (mode == VC_JITTER_PLAY) {
                vc_jitter_get(jitter, at + VC_TICK_NS / 2, samples, &info);
            } else {
                size_t n = 1600;
                while (vc_jitter_read(jitter, at, samples, &n, &info) != VC_NEED_MORE) n = 1600;
            }
        }
        double took = (now_ns() - start) / PACKETS;
        best = took < best ? took : best;
    }
    vc_jitter_destroy(jitter);
    return best;
}

int main(void)
{
    for (int mode = 0; mode < 2; mode++)
        for (unsigned loss = 0; loss <= 5; loss = loss ? loss * 5 : 1)
            printf("%s %u %.1f\n", mode ? "play" : "listen", loss, run((vc_jitter_mode)mode, loss));
    return 0;
}
