/* vc_shard: histograms, time by stage, load and admission.
 *
 * Load is the thread's own CPU time over 20 ms, so other programs do not count; lateness is where
 * they show. Both are smoothed with a time constant of SMOOTHED_TURNS * 20 ms. The cost of a call
 * is load / calls, both smoothed alike, so that a burst of new calls does not make them look cheap;
 * PRIOR_CALLS calls of what the open ones may cost stand in for what was not measured yet.
 */
#include "engine/vc_shard_state.h"

enum { SAMPLED_EVERY = 17, SMOOTHED_TURNS = 50, PRIOR_CALLS = 8, USUAL_US = 10 };

static void add(_Atomic uint64_t *to, uint64_t more)
{
    uint64_t value = atomic_load_explicit(to, memory_order_relaxed);
    atomic_store_explicit(to, value + more, memory_order_relaxed);
}

static uint64_t get(const _Atomic uint64_t *from)
{
    return atomic_load_explicit(from, memory_order_relaxed);
}

static void set(_Atomic uint64_t *to, double value)
{
    atomic_store_explicit(to, value > 0.0 ? (uint64_t)value : 0, memory_order_relaxed);
}

void vc_shard_add_stat(vc_shard *shard, vc_shard_stat stat, uint64_t more)
{
    add(&shard->stats[stat], more);
}

static void raise_stat(vc_shard *shard, vc_shard_stat stat, uint64_t value)
{
    if (value > get(&shard->stats[stat]))
        atomic_store_explicit(&shard->stats[stat], value, memory_order_relaxed);
}

void vc_shard_meter_start(vc_shard *shard)
{
    /* The least of some: what a look at the clock costs when nothing comes between. */
    int64_t least_ns = VC_NS_PER_MS;
    for (int i = 0; i < 100; i++) {
        int64_t before_ns = vc_shard_now_ns(), took_ns = vc_shard_now_ns() - before_ns;
        if (took_ns < least_ns) least_ns = took_ns;
    }
    set(&shard->meter.clock_ns, (double)least_ns);
    shard->meter.turn_ns = vc_shard_now_ns();
    shard->meter.turn_cpu_ns = vc_shard_cpu_ns();
}

void vc_shard_meter_round(vc_shard *shard)
{
    vc_shard_add_stat(shard, VC_SHARD_WAKEUPS, 1);
    shard->meter.sampled = ++shard->meter.rounds % SAMPLED_EVERY == 0;
    if (shard->meter.sampled) shard->meter.mark_ns = vc_shard_now_ns();
}

void vc_shard_lap_sampled(vc_shard *shard, vc_shard_stage stage, size_t units)
{
    vc_shard_meter *meter = &shard->meter;
    int64_t now_ns = vc_shard_now_ns();
    int64_t took_ns = now_ns - meter->mark_ns - (int64_t)get(&meter->clock_ns);
    if (took_ns > 0) add(&meter->stage_ns[stage], (uint64_t)took_ns);
    add(&meter->stage_units[stage], units);
    meter->mark_ns = now_ns;
}

static size_t bucket_of(uint64_t ns)
{
    size_t bucket = 0;
    for (uint64_t us = ns / 1000; us > 0 && bucket < VC_SHARD_BUCKETS - 1; us >>= 1) bucket++;
    return bucket;
}

void vc_shard_meter_tick(vc_shard *shard, uint64_t late_ns, uint64_t work_ns)
{
    vc_shard_meter *meter = &shard->meter;
    vc_shard_add_stat(shard, VC_SHARD_TICKS, 1);
    raise_stat(shard, VC_SHARD_MAX_LATENESS_NS, late_ns);
    if (late_ns > 1 * VC_NS_PER_MS) vc_shard_add_stat(shard, VC_SHARD_LATE_TICKS_1MS, 1);
    if (late_ns > 5 * VC_NS_PER_MS) vc_shard_add_stat(shard, VC_SHARD_LATE_TICKS_5MS, 1);
    if (late_ns > 20 * VC_NS_PER_MS) vc_shard_add_stat(shard, VC_SHARD_LATE_TICKS_20MS, 1);
    vc_shard_add_stat(shard, VC_SHARD_TICK_WORK_NS, work_ns);
    raise_stat(shard, VC_SHARD_MAX_TICK_WORK_NS, work_ns);
    add(&meter->lateness[bucket_of(late_ns)], 1);
    add(&meter->work[bucket_of(work_ns)], 1);
    if (late_ns > meter->turn_lateness_ns) meter->turn_lateness_ns = late_ns;
}

void vc_shard_meter_turn(vc_shard *shard, int64_t now_ns)
{
    vc_shard_meter *meter = &shard->meter;
    int64_t cpu_ns = vc_shard_cpu_ns(), passed_ns = now_ns - meter->turn_ns;
    if (passed_ns <= 0) return;
    /* Turns that were caught up in a row are one turn. */
    double weight = (double)passed_ns / (double)(SMOOTHED_TURNS * VC_TICK_NS);
    if (weight > 1.0) weight = 1.0;
    double load = (double)(cpu_ns - meter->turn_cpu_ns) / (double)passed_ns;
    meter->load += weight * (load - meter->load);
    meter->calls += weight * ((double)shard->leg_count - meter->calls);
    meter->late_ns += weight * ((double)meter->turn_lateness_ns - meter->late_ns);
    set(&meter->load_ppm, meter->load * 1e6);
    set(&meter->calls_milli, meter->calls * 1e3);
    set(&meter->lateness_ns, meter->late_ns);
    meter->turn_ns = now_ns;
    meter->turn_cpu_ns = cpu_ns;
    meter->turn_lateness_ns = 0;
}

void vc_shard_get_stats(const vc_shard *shard, uint64_t *stats)
{
    for (int i = 0; i < VC_SHARD_STAT_COUNT; i++) stats[i] = get(&shard->stats[i]);
    stats[VC_SHARD_EVENTS_WAITING] = vc_ring_level(shard->events);
}

void vc_shard_get_profile(const vc_shard *shard, vc_shard_profile *profile)
{
    const vc_shard_meter *meter = &shard->meter;
    for (int i = 0; i < VC_STAGE_COUNT; i++) {
        profile->ns[i] = get(&meter->stage_ns[i]);
        profile->units[i] = get(&meter->stage_units[i]);
    }
    for (int i = 0; i < VC_SHARD_BUCKETS; i++) {
        profile->lateness[i] = get(&meter->lateness[i]);
        profile->work[i] = get(&meter->work[i]);
    }
    profile->clock_ns = get(&meter->clock_ns);
}

void vc_shard_get_estimate(const vc_shard *shard, vc_shard_estimate *estimate)
{
    const vc_shard_meter *meter = &shard->meter;
    const double tick_us = VC_TICK_MS * 1000.0;
    double load = (double)get(&meter->load_ppm) / 1e6;
    double measured = (double)get(&meter->calls_milli) / 1e3;
    double most = shard->config.max_load > 0.0 ? shard->config.max_load : 1.0;
    double usual_us = shard->open_legs ? shard->expected_us / (double)shard->open_legs : USUAL_US;
    double us = (load * tick_us + PRIOR_CALLS * usual_us) / (measured + PRIOR_CALLS);
    estimate->calls = (int)shard->open_legs;
    estimate->load = load;
    estimate->us_per_call = us;
    estimate->projected_load = us * (double)(shard->open_legs + 1) / tick_us;
    estimate->lateness_ms = (double)get(&meter->lateness_ns) / (double)VC_NS_PER_MS;
    estimate->capacity_calls = most * tick_us / us;
    if (estimate->capacity_calls > (double)shard->config.max_calls)
        estimate->capacity_calls = (double)shard->config.max_calls;
}

/* bench/engine/capacity.py. Opus is by far the dearest, by its complexity (libopus' own is 9). */
double vc_shard_expected_us(const vc_call_config *call)
{
    if (call->pushed) return USUAL_US;
    int complexity = call->opus_complexity < 0 ? 9 : call->opus_complexity;
    double opus_us = (80.0 + 25.0 * complexity) * call->rate_hz / 16000.0;
    return call->codec == VC_CODEC_OPUS ? opus_us : call->codec == VC_CODEC_G722 ? 30.0 : USUAL_US;
}

int vc_shard_admits(const vc_shard *shard, double expected_us)
{
    const vc_shard_config *config = &shard->config;
    if (shard->open_legs < VC_SHARD_ALWAYS_ADMITTED) return 1;
    vc_shard_estimate estimate;
    vc_shard_get_estimate(shard, &estimate);
    /* Whatever the mean says, a dear one is one. */
    double more_us = expected_us - estimate.us_per_call;
    if (more_us > 0.0) estimate.projected_load += more_us / (VC_TICK_MS * 1000.0);
    if (config->max_load > 0.0 && estimate.projected_load > config->max_load) return 0;
    return config->max_lateness_ms <= 0.0 || estimate.lateness_ms <= config->max_lateness_ms;
}
