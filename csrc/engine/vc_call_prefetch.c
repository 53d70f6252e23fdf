/* vc_call: what the next datagram or tick of a call will touch; see vc_prefetch.h. Only for speed:
 * nothing changes. */
#include "engine/vc_call_state.h"

/* Pointers and small state are in front of the window, the rest behind the arrivals. */
static void prefetch_call(const vc_call *call)
{
    vc_prefetch(call, offsetof(vc_call, rtcp));
    vc_prefetch(&call->rtcp_begun, offsetof(vc_call, window) - offsetof(vc_call, rtcp_begun));
    vc_prefetch(&call->arrival_count, sizeof *call - offsetof(vc_call, arrival_count));
}

void vc_call_prefetch_datagram(const vc_call *call, vc_turns_away turns)
{
    if (turns == VC_FOURTH) {
        prefetch_call(call);
        return;
    }
    size_t frame = (size_t)call->config.rate_hz / 50;
    if (call->jitter) vc_jitter_prefetch(call->jitter, turns);
    switch (turns) {
    case VC_FOURTH: break;
    case VC_THIRD: vc_prefetch(call->window + call->window_fill, frame * sizeof(float)); break;
    case VC_SECOND:
        vc_ring_prefetch(call->unjudged, 1, turns);
        vc_prefetch(&call->arrivals[call->arrival_count % ARRIVALS], sizeof(arrival));
        vc_pcm_ring_prefetch(call->received, frame, turns);
        break;
    case VC_NEXT: vc_pcm_ring_prefetch(call->received, frame, turns); break;
    }
}

void vc_call_prefetch_tick(const vc_call *call, vc_turns_away turns)
{
    if (turns == VC_FOURTH) {
        prefetch_call(call);
        return;
    }
    vc_playout_prefetch(call->playout, turns);
    if (turns != VC_SECOND) return;
    if (call->jitter) vc_jitter_prefetch_counters(call->jitter);
    vc_ring_prefetch(call->remotes, 1, turns);
    vc_ring_prefetch(call->digits, 1, turns);
    vc_pcm_ring_prefetch(call->received, 1, turns);
}
