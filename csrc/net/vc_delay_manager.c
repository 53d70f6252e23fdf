/* vc_delay_manager: see vc_delay_manager.h.
 *
 * Sources: the relative delay over a sliding window, the histogram and the cost of delay against
 * loss are ideas of NetEq's (WebRTC, modules/audio_coding/neteq: packet arrival history, underrun
 * and reorder optimizer). Deviations: one entry a packet and not one every 500 ms, so that the
 * share of late packets is what is weighed; and a stall, after which packets come in a burst, is
 * kept apart as a peak, as is a path that became slower: once it is no reason to play everything
 * later, a second time within 30 s it is (the rule of NetEq's former peak detector). */
#include "net/vc_delay_manager.h"

#include <string.h>

#define WINDOW_NS         (500 * VC_NS_PER_MS)
#define FORGET_NS         (VC_DELAY_WINDOWS * WINDOW_NS)
#define FORGETTING        0.999f  /* 20 s of packets of 20 ms */
#define BEHIND_FORGETTING 0.9998f /* 100 s */
#define COST_MS           120.0f  /* what one percent of late packets costs at least, */
#define COST_FACTOR       4.0f    /* or so many times the delay */
#define FEWEST_TARGET     25
#define FEWEST_WAIT       1000
#define WAIT_SHARE        0.0001f /* one packet, remembered for 70 s */
#define LEAST_WAIT_MS     10
#define TARGET_EVERY      5
#define STALL_MS          60.0 /* a transit longer by this than the one before */
#define CATCH_UP_MS       5.0  /* in a burst each transit is shorter by at least this */
#define NEW_PATH_MS       20.0
#define PEAK_APART_NS     (3 * VC_NS_PER_S)
#define PEAK_MEMORY_NS    (30 * VC_NS_PER_S)

void vc_delay_manager_reset(vc_delay_manager *delay)
{
    memset(delay, 0, sizeof *delay);
    vc_histogram_reset(&delay->relative, FORGETTING);
    vc_histogram_reset(&delay->behind, BEHIND_FORGETTING);
    delay->target_ms = VC_DELAY_START_MS;
}

void vc_delay_manager_rebase(vc_delay_manager *delay)
{
    delay->started = delay->past = delay->stall = delay->peaks = 0;
}

double vc_delay_manager_base_ms(const vc_delay_manager *delay)
{
    return delay->started ? delay->base_ms : 0.0;
}

/* Kept as a transit time, so that it holds on a path that becomes slower or faster. A path that
 * becomes slower bit by bit, or after a stall, within PEAK_APART_NS of the peak, is part of it. */
static void record_peak(vc_delay_manager *delay, double transit_ms, int64_t now_ns, int goes_on)
{
    int last = (delay->peaks + VC_DELAY_PEAKS - 1) % VC_DELAY_PEAKS;
    uint64_t since = (uint64_t)now_ns - (uint64_t)delay->peak_ns[last];
    int place = delay->peaks % VC_DELAY_PEAKS;
    if (goes_on && delay->peaks > 0 && since < (uint64_t)PEAK_APART_NS) {
        place = last;
        if (transit_ms < delay->peak_ms[last]) transit_ms = delay->peak_ms[last];
    } else if (++delay->peaks >= 1000 * VC_DELAY_PEAKS) {
        delay->peaks = VC_DELAY_PEAKS;
    }
    delay->peak_ns[place] = now_ns;
    delay->peak_ms[place] = transit_ms;
    delay->since_target = TARGET_EVERY;
}

/* Windows of at least 500 ms; their shortest transit times are kept for about 2 s. */
static void slide(vc_delay_manager *delay, double transit_ms, int64_t now_ns)
{
    /* Unsigned: any two times may come in, and they are in order. */
    uint64_t age = (uint64_t)now_ns - (uint64_t)delay->window_start_ns;
    uint64_t quiet = (uint64_t)now_ns - (uint64_t)delay->last_ns;
    if (delay->started && age < WINDOW_NS) {
        if (transit_ms < delay->shortest_ms) delay->shortest_ms = transit_ms;
    } else {
        if (delay->started && quiet <= FORGET_NS) {
            memmove(delay->past_shortest_ms + 1, delay->past_shortest_ms,
                    (VC_DELAY_WINDOWS - 1) * sizeof(double));
            delay->past_shortest_ms[0] = delay->shortest_ms;
            delay->past += delay->past < VC_DELAY_WINDOWS;
        } else {
            delay->past = 0;
        }
        delay->window_start_ns = now_ns;
        delay->shortest_ms = transit_ms;
    }
    double base_ms = delay->shortest_ms;
    for (int i = 0; i < delay->past; i++)
        if (delay->past_shortest_ms[i] < base_ms) base_ms = delay->past_shortest_ms[i];
    if (!delay->started) {
        delay->last_transit_ms = transit_ms;
    } else if (quiet <= FORGET_NS && base_ms - delay->base_ms >= NEW_PATH_MS) {
        /* A slower path: what came lately was late only against the old one. It may come back. */
        vc_histogram_shift(&delay->relative, base_ms - delay->base_ms);
        record_peak(delay, base_ms, now_ns, 1);
    }
    delay->base_ms = base_ms;
    delay->started = 1;
    delay->last_ns = now_ns;
}

static void enter(vc_delay_manager *delay, double relative_ms)
{
    vc_histogram_push(&delay->relative, relative_ms);
    if (relative_ms > delay->target_ms) delay->since_target = TARGET_EVERY;
}

/* A packet in order. After a stall the packets that waited come at once, each with less delay than
 * the one before; the first of a stall is told by the second. */
static void follow(vc_delay_manager *delay, double transit_ms, double relative_ms, int64_t now_ns)
{
    double longer_ms = transit_ms - delay->last_transit_ms;
    delay->last_transit_ms = transit_ms;
    int catches_up = longer_ms < -CATCH_UP_MS;
    if (delay->stall == 1 && catches_up) {
        delay->stall = 2;
        record_peak(delay, delay->base_ms + delay->stall_ms, now_ns, 0);
    } else if (delay->stall && !catches_up) {
        if (delay->stall == 1 && !delay->stall_counted) enter(delay, delay->stall_ms);
        delay->stall = 0;
    }
    if (delay->stall == 2) {
        if (delay->stall_counted) enter(delay, relative_ms);
    } else if (longer_ms >= STALL_MS) {
        delay->stall = 1;
        delay->stall_ms = relative_ms;
        delay->stall_counted = relative_ms <= delay->target_ms;
        if (delay->stall_counted) enter(delay, relative_ms);
    } else {
        enter(delay, relative_ms);
    }
}

static int peak_target_ms(const vc_delay_manager *delay, int64_t now_ns)
{
    int kept = delay->peaks < VC_DELAY_PEAKS ? delay->peaks : VC_DELAY_PEAKS, recent = 0;
    double highest_ms = 0.0;
    for (int i = 0; i < kept; i++) {
        if ((uint64_t)now_ns - (uint64_t)delay->peak_ns[i] > (uint64_t)PEAK_MEMORY_NS) continue;
        recent++;
        double height_ms = delay->peak_ms[i] - delay->base_ms;
        if (height_ms > highest_ms) highest_ms = height_ms;
    }
    int most_ms = VC_HISTOGRAM_BUCKETS * VC_HISTOGRAM_BUCKET_MS;
    if (recent < 2) return 0;
    return highest_ms < most_ms ? (int)highest_ms + 1 : most_ms;
}

void vc_delay_manager_push(vc_delay_manager *delay, double transit_ms, int64_t now_ns,
                           double behind_ms)
{
    slide(delay, transit_ms, now_ns);
    double relative_ms = transit_ms - vc_delay_manager_base_ms(delay);
    vc_histogram_push(&delay->behind, behind_ms);
    if (behind_ms > 0.0)
        enter(delay, relative_ms);
    else
        follow(delay, transit_ms, relative_ms, now_ns);
    if (++delay->since_target < TARGET_EVERY) return;
    delay->since_target = 0;
    int target_ms = vc_histogram_cheapest_ms(&delay->relative, COST_MS, COST_FACTOR);
    int peak_ms = peak_target_ms(delay, now_ns);
    if (target_ms < VC_DELAY_START_MS && delay->relative.entries < FEWEST_TARGET)
        target_ms = VC_DELAY_START_MS;
    delay->target_ms = target_ms > peak_ms ? target_ms : peak_ms;
}

int vc_delay_manager_target_ms(const vc_delay_manager *delay)
{
    return delay->target_ms;
}

int vc_delay_manager_loss_wait_ms(const vc_delay_manager *delay)
{
    if (delay->behind.entries < FEWEST_WAIT) return -1;
    int wait_ms = vc_histogram_tail_ms(&delay->behind, WAIT_SHARE);
    return wait_ms > LEAST_WAIT_MS ? wait_ms : LEAST_WAIT_MS;
}

void vc_delay_manager_prefetch(const vc_delay_manager *delay)
{
    vc_prefetch(delay->relative.weight, 64);
    vc_prefetch(&delay->relative.total, 64);
    vc_prefetch(delay->behind.weight, 64);
    vc_prefetch(&delay->behind.total, 192);
    vc_prefetch(&delay->peaks, 64);
}
