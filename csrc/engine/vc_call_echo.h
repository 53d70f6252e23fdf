/* vc_call_echo: the echo canceller of a call. It pairs what was sent with what was received and
 * runs vc_aec in blocks of 10 ms.
 *
 * Both are counted in samples from 0 at the call's rate: received sample i is paired with sent
 * sample i + offset, never by arrival time, so bursts and late packets change nothing. The offset
 * is set with the first received audio so that the sent samples are there when they are needed, and
 * is moved only when they are not, or in a pause of the agent; vc_aec is told. Where the receive
 * timeline itself breaks (another stream, timestamps that jump), the offset is set anew.
 *
 *     vc_call_echo_sent(echo, frame, 160);                       each tick
 *     n = vc_call_echo_process(echo, packet, 160, 1, clean, &first);
 *
 * The output is some 10 ms behind; sample indices stay those of the receive timeline. One thread at
 * a time; handles are independent.
 */
#ifndef VC_CALL_ECHO_H
#define VC_CALL_ECHO_H

#include "base/vc_base.h"

typedef struct vc_call_echo vc_call_echo;

/* Output room beyond n that vc_call_echo_process needs: a block at 16 kHz. */
#define VC_CALL_ECHO_EXTRA 160

typedef struct vc_call_echo_config {
    int rate_hz;                   /* 8000 or 16000 */
    int tail_ms;                   /* length of the echo path, 64..256 */
    int max_jitter_ms;             /* a packet that is earlier by more: the timeline jumped */
    const vc_allocator *allocator; /* NULL: malloc */
} vc_call_echo_config;

typedef struct vc_call_echo_stats {
    double erle_db;
    double delay_samples; /* from received sample index to sent: echo of sent sample s is in
                             received sample s + this; valid if found */
    int found;
    double drift_ppm;
    uint64_t blocks, run_blocks; /* of 10 ms in all, and with something sent in the last second */
    uint64_t moves;              /* times that the offset was moved or set anew */
} vc_call_echo_stats;

VC_CHECKED vc_status vc_call_echo_create(vc_call_echo **out, const vc_call_echo_config *config);
void vc_call_echo_destroy(vc_call_echo *echo);
VC_RT void vc_call_echo_reset(vc_call_echo *echo);
/* Bytes that the handle holds in all. */
size_t vc_call_echo_bytes(const vc_call_echo *echo);

/* The next sent samples, as the caller's side decodes them; NULL for silence. */
VC_RT void vc_call_echo_sent(vc_call_echo *echo, const int16_t *samples, size_t n);
/* The next received samples. decoded: they came from a packet, so their time says something.
 * out: room for n + VC_CALL_ECHO_EXTRA; not near. Returns how many were written; *first: the index
 * of the first. */
VC_RT size_t vc_call_echo_process(vc_call_echo *echo, const int16_t *near, size_t n, int decoded,
                                  int16_t *out, int64_t *first);
/* The receive timeline broke: received audio from now on is another stream's. */
VC_RT void vc_call_echo_restarted(vc_call_echo *echo);

/* Mean over n output samples from `first` on, among the last second: 0..1, how much may be echo. */
VC_RT float vc_call_echo_likelihood(const vc_call_echo *echo, int64_t first, size_t n);
VC_RT void vc_call_echo_get_stats(const vc_call_echo *echo, vc_call_echo_stats *stats);

#endif
