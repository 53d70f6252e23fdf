/* vc_shard: see vc_shard.h. The producer's side. Calls are made and freed on the producer's thread;
 * only pointers cross, through a ring, so the media thread never allocates. */
#define _GNU_SOURCE
#include "engine/vc_shard_state.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { EVENTS = 8192 };

vc_shard_config vc_shard_config_default(void)
{
    vc_shard_config config = {
        .max_calls = 4096, .cpu = -1, .max_load = 0.9, .max_lateness_ms = 10.0};
    return config;
}

static const vc_allocator *allocator_of(const vc_shard *shard)
{
    return shard->pool ? vc_pool_allocator(shard->pool) : shard->config.allocator;
}

static vc_status create_parts(vc_shard *shard)
{
    const vc_shard_config *config = &shard->config;
    size_t calls = (size_t)config->max_calls;
    vc_status status;
    if (!config->allocator) {
        status = vc_pool_create(&shard->pool, VC_HUGE_CHUNK_BYTES, vc_huge_pages());
        if (status != VC_OK) return status;
    }
    const vc_allocator *allocator = allocator_of(shard);
    shard->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    shard->sockets_fd = epoll_create1(EPOLL_CLOEXEC);
    shard->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    shard->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (shard->epoll_fd < 0 || shard->sockets_fd < 0 || shard->timer_fd < 0 || shard->wake_fd < 0)
        return VC_E_SYSTEM;
    if (config->raw_send) {
        status = vc_shard_raw_create(&shard->raw, VC_SHARD_TOS, allocator);
        if (status != VC_OK) return status;
    }
    if (config->port_ip) {
        status = vc_shard_port_create(&shard->port, config->port_ip, config->port, VC_SHARD_TOS,
                                      calls, allocator);
        if (status == VC_OK) status = vc_port_table_create(&shard->claims, calls, allocator);
        if (status == VC_OK)
            status = vc_shard_watch(shard->sockets_fd, vc_shard_port_fd(shard->port), shard->port);
        if (status != VC_OK) return status;
    }
    shard->dirty = vc_allocate(allocator, calls * sizeof(vc_leg *));
    if (!shard->dirty) return VC_E_MEMORY;
    status = vc_shard_watch(shard->epoll_fd, shard->timer_fd, &shard->timer_fd);
    if (status == VC_OK) status = vc_shard_watch(shard->epoll_fd, shard->wake_fd, &shard->wake_fd);
    if (status == VC_OK)
        status = vc_shard_watch(shard->epoll_fd, shard->sockets_fd, &shard->sockets_fd);
    /* Room for an ADD, a MOVE and a REMOVE of every call, and the STOP. */
    if (status == VC_OK)
        status =
            vc_ring_create(&shard->commands, sizeof(vc_shard_command), 3 * calls + 1, allocator);
    if (status == VC_OK)
        status = vc_ring_create(&shard->events, sizeof(vc_event),
                                EVENTS + vc_shard_reserved_events(shard), allocator);
    if (status == VC_OK)
        status = vc_bank_create(&shard->bank_8k, config->model_8k, calls, allocator);
    if (status == VC_OK)
        status = vc_bank_create(&shard->bank_16k, config->model_16k, calls, allocator);
    return status;
}

vc_status vc_shard_create(vc_shard **out, const vc_shard_config *config)
{
    if (!out || !config || !config->model_8k || !config->model_16k) return VC_E_NULL;
    *out = NULL;
    if (config->priority < 0 || config->priority > 99 || config->cpu < -1) return VC_E_RANGE;
    if (!(config->max_load >= 0.0 && config->max_load <= 1.0)) return VC_E_RANGE;
    if (!(config->max_lateness_ms >= 0.0)) return VC_E_RANGE;
    if (config->raw_send < 0 || config->raw_send > 1) return VC_E_RANGE;
    if (config->raw_send && config->port_ip) return VC_E_RANGE;
    if (config->max_calls < 1 || config->max_calls > 65536) return VC_E_RANGE;
    vc_shard *shard = vc_allocate(config->allocator, sizeof(vc_shard));
    if (!shard) return VC_E_MEMORY;
    shard->config = *config;
    shard->epoll_fd = shard->sockets_fd = shard->timer_fd = shard->wake_fd = -1;
    vc_status status = create_parts(shard);
    shard->config.port_ip = NULL;
    if (status != VC_OK) {
        int saved = errno;
        vc_shard_destroy(shard);
        errno = saved;
        return status;
    }
    *out = shard;
    return VC_OK;
}

static void close_fd(int fd)
{
    if (fd >= 0) close(fd);
}

void vc_shard_destroy(vc_shard *shard)
{
    if (!shard) return;
    vc_shard_stop(shard);
    vc_bank_destroy(shard->bank_16k);
    vc_bank_destroy(shard->bank_8k);
    vc_ring_destroy(shard->events);
    vc_ring_destroy(shard->commands);
    vc_release(allocator_of(shard), shard->dirty);
    vc_port_table_destroy(shard->claims);
    vc_shard_port_destroy(shard->port);
    vc_shard_raw_destroy(shard->raw);
    vc_pool_destroy(shard->pool);
    close_fd(shard->wake_fd);
    close_fd(shard->timer_fd);
    close_fd(shard->sockets_fd);
    close_fd(shard->epoll_fd);
    vc_release(shard->config.allocator, shard);
}

void vc_shard_abandon(vc_shard *shard)
{
    close_fd(shard->wake_fd);
    close_fd(shard->timer_fd);
    close_fd(shard->sockets_fd);
    close_fd(shard->epoll_fd);
    vc_shard_raw_abandon(shard->raw);
    vc_shard_port_abandon(shard->port);
    shard->started = 0;
}

void vc_leg_abandon(vc_leg *leg)
{
    if (!leg->port) close_fd(leg->fd);
    leg->fd = -1;
}

/* 0 or an errno. */
static int place_thread(const vc_shard *shard)
{
    const vc_shard_config *config = &shard->config;
    if (config->cpu >= 0) {
        cpu_set_t set;
        CPU_ZERO(&set);
        if (config->cpu >= CPU_SETSIZE) return EINVAL;
        CPU_SET((size_t)config->cpu, &set);
        int failed = pthread_setaffinity_np(shard->thread, sizeof set, &set);
        if (failed) return failed;
    }
    if (config->priority == 0) return 0;
    struct sched_param scheduling = {.sched_priority = config->priority};
    return pthread_setschedparam(shard->thread, SCHED_FIFO, &scheduling);
}

vc_status vc_shard_start(vc_shard *shard)
{
    if (shard->started) return VC_E_STATE;
    /* Signals belong to the embedding program's threads. */
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int failed = pthread_create(&shard->thread, NULL, vc_shard_run, shard);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!failed) {
        (void)pthread_setname_np(shard->thread, "voicecore-shard");
        shard->started = 1;
        failed = place_thread(shard);
        if (failed) vc_shard_stop(shard);
    }
    errno = failed;
    return failed ? VC_E_SYSTEM : VC_OK;
}

static vc_status send_command(vc_shard *shard, vc_shard_command_kind kind, vc_leg *leg,
                              vc_shard *to)
{
    vc_shard_command next = {kind, leg, to};
    size_t one = 1;
    vc_status status = vc_ring_push(shard->commands, &next, &one);
    if (status == VC_OK) vc_shard_write_one(shard->wake_fd);
    return status;
}

void vc_shard_wake(vc_shard *shard)
{
    vc_shard_write_one(shard->wake_fd);
}

void vc_shard_stop(vc_shard *shard)
{
    if (!shard->started) return;
    while (send_command(shard, VC_SHARD_STOP, NULL, NULL) == VC_FULL)
        vc_shard_write_one(shard->wake_fd);
    pthread_join(shard->thread, NULL);
    shard->started = 0;
}

vc_status vc_shard_open(vc_shard *shard, const vc_leg_config *config, vc_leg **out)
{
    if (!shard || !config || !out) return VC_E_NULL;
    *out = NULL;
    if (!shard->started) return VC_E_STATE;
    if (!config->call.pushed && !shard->port && !config->local_ip) return VC_E_NULL;
    if (shard->open_legs >= (size_t)shard->config.max_calls) return VC_FULL;
    double expected_us = vc_shard_expected_us(&config->call);
    if (!vc_shard_admits(shard, expected_us)) return VC_FULL;
    const vc_allocator *allocator = allocator_of(shard);
    vc_leg *leg = vc_allocate(allocator, sizeof(vc_leg));
    if (!leg) return VC_E_MEMORY;
    leg->allocator = allocator;
    leg->fd = -1;
    leg->pushed = config->call.pushed;
    leg->rate_hz = config->call.rate_hz;
    leg->expected_us = expected_us;
    vc_call_config call = config->call;
    call.model = leg->rate_hz == 16000 ? shard->config.model_16k : shard->config.model_8k;
    call.sink = (vc_event_sink){vc_shard_post, leg};
    call.allocator = allocator;
    vc_status status = vc_call_create(&leg->call, &call);
    if (status == VC_OK && !leg->pushed)
        status = shard->port ? vc_shard_open_on_port(shard, leg, config)
                             : vc_shard_open_socket(leg, config);
    shard->open_legs++;
    shard->expected_us += expected_us;
    if (status == VC_OK) status = send_command(shard, VC_SHARD_ADD, leg, NULL);
    if (status != VC_OK) {
        int saved = errno;
        vc_shard_free(shard, leg);
        errno = saved;
        return status;
    }
    *out = leg;
    return VC_OK;
}

vc_status vc_shard_close(vc_shard *shard, vc_leg *leg)
{
    if (!shard || !leg) return VC_E_NULL;
    if (leg->closing || !shard->started) return VC_E_STATE;
    leg->closing = 1;
    /* Its address may be opened again: the thread removes it first. */
    vc_shard_release_claim(shard, leg);
    return send_command(shard, VC_SHARD_REMOVE, leg, NULL);
}

vc_status vc_shard_move(vc_shard *shard, vc_leg *leg, vc_shard *to)
{
    if (!shard || !leg || !to) return VC_E_NULL;
    if (leg->closing || !shard->started || !to->started) return VC_E_STATE;
    if (atomic_load_explicit(&leg->owner, memory_order_acquire) != shard) return VC_E_STATE;
    if (shard == to) return VC_OK;
    if (leg->fd >= 0 && (leg->port || to->port)) return VC_E_STATE;
    if (to->open_legs >= (size_t)to->config.max_calls) return VC_FULL;
    vc_status status = send_command(shard, VC_SHARD_MOVE, leg, to);
    if (status != VC_OK) return status;
    shard->open_legs--;
    shard->expected_us -= leg->expected_us;
    to->open_legs++;
    to->expected_us += leg->expected_us;
    return VC_OK;
}

void vc_shard_free(vc_shard *shard, vc_leg *leg)
{
    if (!leg) return;
    if (leg->port)
        vc_shard_release_claim(shard, leg);
    else
        close_fd(leg->fd);
    vc_call_destroy(leg->call);
    shard->open_legs--;
    shard->expected_us -= leg->expected_us;
    vc_release(leg->allocator, leg);
}

vc_call *vc_leg_call(vc_leg *leg)
{
    return leg->call;
}

/* -- events -- */

void vc_shard_write_one(int fd)
{
    uint64_t one = 1;
    /* A full counter already means "awake"; nothing else can fail here. */
    if (fd >= 0 && write(fd, &one, sizeof one) < 0) return;
}

vc_status vc_shard_next_event(vc_shard *shard, vc_event *event)
{
    size_t one = 1;
    return vc_ring_pull(shard->events, event, &one);
}
