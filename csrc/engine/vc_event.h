/* vc_event: what a call reports, as one flat struct that fits a ring. */
#ifndef VC_EVENT_H
#define VC_EVENT_H

#include "base/vc_base.h"

typedef enum vc_event_kind {
    VC_EVENT_SPEECH_STARTED = 1, /* a: sample, b: arrival of that sample (ns) */
    VC_EVENT_SPEECH_STOPPED,     /* a: sample, b: arrival of that sample (ns) */
    VC_EVENT_BARGED_IN,          /* a: sample, b: arrival (ns), c: play sample */
    VC_EVENT_PLAYOUT_STARTED,    /* a: play sample, b: time of the packet (ns), c: sent sample */
    VC_EVENT_PLAYOUT_DRAINED,    /* a: play sample, b: 1 if it was an underrun */
    VC_EVENT_MARK_REACHED,       /* a: mark id, b: play sample, c: 1 if flushed */
    VC_EVENT_DTMF_RECEIVED,      /* a: the digit's character, b: sample */
    VC_EVENT_RTP_TIMED_OUT,
    VC_EVENT_ROOM,        /* the playout queue has room again */
    VC_EVENT_EVENTS_LOST, /* a: how many; of the shard, no call */
    VC_EVENT_CLOSED,
    VC_EVENT_BYE_RECEIVED, /* RTCP: the other side has left; packets may still come */
    VC_EVENT_AUDIO,        /* as much received audio is unread as vc_pcm_ring_want asked for */
    VC_EVENT_DUCKED,       /* a: first play sample of the ramp */
    VC_EVENT_UNDUCKED,     /* likewise */
    VC_EVENT_REPLACED,     /* a: first play sample dropped, b: first of the new source */
    VC_EVENT_PAUSED,       /* a: play sample where agent audio stopped */
    VC_EVENT_FLUSHED,      /* a: first play sample dropped, b: where the timeline goes on */
    VC_EVENT_WORD_REACHED, /* a: word's number, b: its first play sample */
} vc_event_kind;

typedef struct vc_event {
    uint32_t kind;
    uint32_t call; /* the caller's number for the call */
    int64_t stamp_ns;
    int64_t a, b, c;
} vc_event;

/* Where events go; post must be callable from the media thread. */
typedef struct vc_event_sink {
    void (*post)(void *context, const vc_event *event);
    void *context;
} vc_event_sink;

#endif
