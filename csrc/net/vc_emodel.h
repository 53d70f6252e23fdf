/* vc_emodel: what a listener would say of a connection: the E-model of ITU-T G.107.
 *
 * Of its inputs the delay and the loss of packets are given here, all others are the default values
 * of the recommendation (a clean line without echo). Stateless; any thread. */
#ifndef VC_EMODEL_H
#define VC_EMODEL_H

#include "base/vc_base.h"

typedef struct vc_emodel_input {
    double delay_ms;     /* mouth to ear, one way */
    double loss_percent; /* packets lost or late, 0..100 */
    double burst_ratio;  /* mean length of a loss over that of random loss; below 1 counts as 1 */
    double impairment;   /* Ie of the codec without loss: 0 for G.711 (G.113, appendix I) */
    double robustness;   /* Bpl: 4.3 for G.711, 25.1 with concealment (G.113, appendix I) */
} vc_emodel_input;

/* Rating R, 0..93.2. Numbers out of range count as the nearest one in it. */
VC_RT double vc_emodel_rating(const vc_emodel_input *input);

/* Mean opinion score 1..4.5 of a rating (G.107, annex B). */
VC_RT double vc_emodel_mos(double rating);

#endif
