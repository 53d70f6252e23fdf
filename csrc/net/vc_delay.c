/* vc_delay: see vc_delay.h. */
#include "net/vc_delay.h"

#include <string.h>

#define WINDOW_NS  (500 * VC_NS_PER_MS)
#define FORGET_NS  (VC_DELAY_WINDOWS * WINDOW_NS)
#define FORGETTING 0.983
#define QUANTILE   0.95

void vc_delay_reset(vc_delay *delay)
{
    memset(delay, 0, sizeof *delay);
}

static void add_to_histogram(vc_delay *delay, double excess_ms)
{
    double bucket = excess_ms / VC_DELAY_BUCKET_MS;
    int index = bucket >= VC_DELAY_BUCKETS - 1 ? VC_DELAY_BUCKETS - 1 : (int)bucket;
    delay->entries += delay->entries < 1000000;
    double keep = 1.0 - 2.0 / (delay->entries + 1);
    keep = keep < FORGETTING ? keep : FORGETTING;
    for (int i = 0; i < VC_DELAY_BUCKETS; i++) delay->weight[i] *= keep;
    delay->weight[index] += 1.0 - keep;
}

static void close_window(vc_delay *delay)
{
    double shortest = delay->shortest_ms;
    for (int i = 0; i < delay->past; i++)
        if (delay->past_shortest_ms[i] < shortest) shortest = delay->past_shortest_ms[i];
    add_to_histogram(delay, delay->longest_ms - shortest);
    memmove(delay->past_shortest_ms + 1, delay->past_shortest_ms,
            (VC_DELAY_WINDOWS - 1) * sizeof(double));
    delay->past_shortest_ms[0] = delay->shortest_ms;
    delay->past += delay->past < VC_DELAY_WINDOWS;
}

void vc_delay_push(vc_delay *delay, double transit_ms, int64_t now_ns)
{
    /* Unsigned: any two times may come in, and they are in order. */
    uint64_t quiet = (uint64_t)now_ns - (uint64_t)delay->last_ns;
    uint64_t age = (uint64_t)now_ns - (uint64_t)delay->window_start_ns;
    int opens = !delay->started;
    if (delay->started && age >= WINDOW_NS) {
        close_window(delay);
        opens = 1;
        if (quiet > FORGET_NS) delay->past = 0;
    }
    if (opens) {
        delay->started = 1;
        delay->window_start_ns = now_ns;
        delay->shortest_ms = delay->longest_ms = transit_ms;
    }
    delay->last_ns = now_ns;
    if (transit_ms < delay->shortest_ms) delay->shortest_ms = transit_ms;
    if (transit_ms > delay->longest_ms) delay->longest_ms = transit_ms;
}

int vc_delay_target_ms(const vc_delay *delay)
{
    if (delay->entries == 0) return VC_DELAY_START_MS;
    double reached = 0.0;
    int bucket = 0;
    for (; bucket < VC_DELAY_BUCKETS - 1; bucket++) {
        reached += delay->weight[bucket];
        if (reached >= QUANTILE) break;
    }
    return (bucket + 1) * VC_DELAY_BUCKET_MS;
}
