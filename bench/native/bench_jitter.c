/* Nanoseconds of one packet through vc_jitter in C, PCMU, 20 ms; run by bench/bench_jitter.py.
 * Prints for each mode and loss the best of the rounds; then, of a vowel over a network that loses
 * 5 % and stalls, the median of the played frames that came as they are, were made up, or
 * stretched. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "codec/vc_g711.h"
#include "net/vc_jitter.h"

enum { PACKETS = 20000, ROUNDS = 30 };

static double now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* A vowel: harmonics of 120 Hz, falling. */
static void make_vowel(uint8_t *codes, size_t n)
{
    const vc_g711 *g711;
    if (vc_g711_get(VC_CPU_AUTO, &g711) != VC_OK) return;
    for (size_t i = 0; i < n; i++) {
        double value = 0.0;
        for (int k = 1; k <= 20; k++)
            value += sin(2.0 * 3.141592653589793 * 120.0 * k * (double)i / 8000.0 + k * k) / k;
        int16_t sample = (int16_t)(2500.0 * value);
        g711->ulaw_encode(&sample, codes + i, 1);
    }
}

static double run(vc_jitter_mode mode, unsigned lost_of_100)
{
    vc_jitter_config config = vc_jitter_config_default();
    config.mode = mode;
    vc_jitter *jitter;
    if (vc_jitter_create(&jitter, &config) != VC_OK) return 0.0;
    static uint8_t vowel[8000]; /* one second: 120 whole periods */
    make_vowel(vowel, sizeof vowel);
    vc_rtp_packet packet = {.ssrc = 1, .payload_bytes = 160};
    int16_t samples[1600];
    vc_frame_info info;
    uint32_t dice = 1;
    double best = 1e18;
    for (int round = 0; round < ROUNDS; round++) {
        double start = now_ns();
        for (int i = 0; i < PACKETS; i++) {
            int64_t at = ((int64_t)round * PACKETS + i) * VC_TICK_NS;
            dice = dice * 1664525u + 1013904223u;
            packet.payload = vowel + (size_t)i % 50 * 160;
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

static int by_size(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return x < y ? -1 : x > y;
}

static void frames(void)
{
    enum { KINDS = 3 };
    static const char *const names[KINDS] = {"as it is", "made up", "stretched"};
    static double times[KINDS][PACKETS];
    static uint8_t vowel[8000];
    size_t count[KINDS] = {0};
    make_vowel(vowel, sizeof vowel);
    vc_jitter_config config = vc_jitter_config_default();
    config.mode = VC_JITTER_PLAY;
    vc_jitter *jitter;
    if (vc_jitter_create(&jitter, &config) != VC_OK) return;
    vc_rtp_packet packet = {.ssrc = 1, .payload_bytes = 160};
    uint32_t dice = 1;
    int64_t arrival_ns = 0;
    for (int tick = 0, next = 0; tick < PACKETS; tick++) {
        int64_t tick_ns = tick * VC_TICK_NS + VC_TICK_NS / 2;
        while (next < PACKETS && arrival_ns <= tick_ns) {
            packet.payload = vowel + (size_t)next % 50 * 160;
            packet.sequence = (uint16_t)next;
            packet.timestamp = 160u * (uint32_t)next;
            if ((dice >> 8) % 20) vc_jitter_put(jitter, &packet, arrival_ns);
            next++;
            dice = dice * 1664525u + 1013904223u;
            /* Every 25 s nothing comes for 300 ms, then all of it at once. */
            int64_t late_ns = next % 1250 < 15 ? (15 - next % 1250) * VC_TICK_NS : 0;
            int64_t due_ns = next * VC_TICK_NS + late_ns;
            arrival_ns = due_ns > arrival_ns ? due_ns : arrival_ns;
        }
        int16_t samples[160];
        vc_frame_info info;
        vc_jitter_stats before, after;
        vc_jitter_get_stats(jitter, &before);
        double start = now_ns();
        vc_status status = vc_jitter_get(jitter, tick_ns, samples, &info);
        double took = now_ns() - start;
        vc_jitter_get_stats(jitter, &after);
        int kind = status == VC_CONCEALED;
        if (after.accelerated_samples != before.accelerated_samples ||
            after.expanded_samples != before.expanded_samples)
            kind = 2;
        if (info.kind != VC_FRAME_SILENCE) times[kind][count[kind]++] = took;
    }
    vc_jitter_destroy(jitter);
    for (int kind = 0; kind < KINDS; kind++) {
        if (count[kind] == 0) continue;
        qsort(times[kind], count[kind], sizeof(double), by_size);
        printf("get, frame %-9s: median %6.0f ns, 99 %% %6.0f ns of %zu\n", names[kind],
               times[kind][count[kind] / 2], times[kind][count[kind] * 99 / 100], count[kind]);
    }
}

int main(void)
{
    for (int mode = 0; mode < 2; mode++)
        for (unsigned loss = 0; loss <= 5; loss = loss ? loss * 5 : 1)
            printf("%s, loss %u %%: %.0f ns a packet, best of %d rounds\n",
                   mode ? "play" : "listen", loss, run((vc_jitter_mode)mode, loss), ROUNDS);
    frames();
    return 0;
}
