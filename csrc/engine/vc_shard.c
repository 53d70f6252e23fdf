/* vc_shard: see vc_shard.h. The producer's side. Calls are made and freed on the producer's thread;
 * only pointers cross, through a ring, so the media thread never allocates. */
#define _GNU_SOURCE
#include "engine/vc_shard_state.h"

#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

enum { EVENTS = 8192 };

vc_shard_config vc_shard_config_default(void)
{
    vc_shard_config config = {.max_calls = 4096, .event_fd = -1};
    return config;
}

static vc_status create_parts(vc_shard *shard)
{
    const vc_shard_config *config = &shard->config;
    size_t calls = (size_t)config->max_calls;
    vc_status status;
    shard->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    shard->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    shard->wake_fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if (shard->epoll_fd < 0 || shard->timer_fd < 0 || shard->wake_fd < 0) return VC_E_SYSTEM;
    shard->legs = vc_allocate(config->allocator, 2 * calls * sizeof(vc_leg *));
    if (!shard->legs) return VC_E_MEMORY;
    shard->dirty = shard->legs + calls;
    status = vc_shard_watch(shard, shard->timer_fd, &shard->timer_fd);
    if (status == VC_OK) status = vc_shard_watch(shard, shard->wake_fd, &shard->wake_fd);
    /* Room for an ADD and a REMOVE of every call, and the STOP. */
    if (status == VC_OK)
        status = vc_ring_create(&shard->commands, sizeof(vc_shard_command), 2 * calls + 1,
                                config->allocator);
    if (status == VC_OK)
        status = vc_ring_create(&shard->events, sizeof(vc_event),
                                EVENTS + vc_shard_reserved_events(shard), config->allocator);
    if (status == VC_OK)
        status = vc_bank_create(&shard->bank_8k, config->model_8k, calls, config->allocator);
    if (status == VC_OK)
        status = vc_bank_create(&shard->bank_16k, config->model_16k, calls, config->allocator);
    return status;
}

vc_status vc_shard_create(vc_shard **out, const vc_shard_config *config)
{
    if (!out || !config || !config->model_8k || !config->model_16k) return VC_E_NULL;
    *out = NULL;
    if (config->max_calls < 1 || config->max_calls > 65536) return VC_E_RANGE;
    vc_shard *shard = vc_allocate(config->allocator, sizeof(vc_shard));
    if (!shard) return VC_E_MEMORY;
    shard->config = *config;
    shard->epoll_fd = shard->timer_fd = shard->wake_fd = -1;
    vc_status status = create_parts(shard);
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
    vc_release(shard->config.allocator, shard->legs);
    close_fd(shard->wake_fd);
    close_fd(shard->timer_fd);
    close_fd(shard->epoll_fd);
    vc_release(shard->config.allocator, shard);
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
    if (failed) {
        errno = failed;
        return VC_E_SYSTEM;
    }
    (void)pthread_setname_np(shard->thread, "voicecore-shard");
    shard->started = 1;
    return VC_OK;
}

static vc_status send_command(vc_shard *shard, vc_shard_command_kind kind, vc_leg *leg)
{
    vc_shard_command next = {kind, leg};
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
    while (send_command(shard, VC_SHARD_STOP, NULL) == VC_FULL) vc_shard_write_one(shard->wake_fd);
    pthread_join(shard->thread, NULL);
    shard->started = 0;
}

vc_status vc_shard_open(vc_shard *shard, const vc_leg_config *config, vc_leg **out)
{
    if (!shard || !config || !out) return VC_E_NULL;
    *out = NULL;
    if (!shard->started) return VC_E_STATE;
    if (!config->call.pushed && !config->local_ip) return VC_E_NULL;
    if (shard->open_legs >= (size_t)shard->config.max_calls) return VC_FULL;
    vc_leg *leg = vc_allocate(shard->config.allocator, sizeof(vc_leg));
    if (!leg) return VC_E_MEMORY;
    leg->fd = -1;
    leg->pushed = config->call.pushed;
    leg->rate_hz = config->call.rate_hz;
    vc_call_config call = config->call;
    call.model = leg->rate_hz == 16000 ? shard->config.model_16k : shard->config.model_8k;
    call.sink = (vc_event_sink){vc_shard_post, shard};
    call.allocator = shard->config.allocator;
    vc_status status = vc_call_create(&leg->call, &call);
    if (status == VC_OK && !leg->pushed) status = vc_shard_open_socket(leg, config);
    shard->open_legs++;
    if (status == VC_OK) status = send_command(shard, VC_SHARD_ADD, leg);
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
    return send_command(shard, VC_SHARD_REMOVE, leg);
}

void vc_shard_free(vc_shard *shard, vc_leg *leg)
{
    if (!leg) return;
    close_fd(leg->fd);
    vc_call_destroy(leg->call);
    vc_release(shard->config.allocator, leg);
    shard->open_legs--;
}

vc_call *vc_leg_call(vc_leg *leg)
{
    return leg->call;
}

/* -- events and counters -- */

vc_status vc_shard_next_event(vc_shard *shard, vc_event *event)
{
    size_t one = 1;
    return vc_ring_pull(shard->events, event, &one);
}

void vc_shard_get_stats(const vc_shard *shard, uint64_t *stats)
{
    for (int i = 0; i < VC_SHARD_STAT_COUNT; i++)
        stats[i] = atomic_load_explicit(&shard->stats[i], memory_order_relaxed);
}
