/* vc_echo_align: by how much an echo comes later than it was foretold, to a fraction of a sample.
 *
 * Samples are f32. Nothing is kept.
 */
#ifndef VC_ECHO_ALIGN_H
#define VC_ECHO_ALIGN_H

#include "base/vc_base.h"

enum { VC_ECHO_ALIGN_MAX = 1920 };

typedef struct vc_echo_lag {
    float samples; /* by which near is later than echo; within +-most */
    float match;   /* 0..1: their correlation there */
} vc_echo_lag;

/* n samples of each, at most VC_ECHO_ALIGN_MAX and more than 2 most + 2. Silence has match 0. */
VC_RT vc_echo_lag vc_echo_align(const float *near, const float *echo, size_t n, size_t most);

#endif
