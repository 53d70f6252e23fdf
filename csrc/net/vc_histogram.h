/* vc_histogram: a histogram of delays that forgets; for what share of the packets is so long
 * enough?
 *
 * Buckets of 5 ms from 0 to 2 s; what is longer counts in the last one. Every entry weighs
 * 1/forgetting times the one before, so the sum is that of the last 1 / (1 - forgetting) entries.
 * Plain struct, no memory of its own, no failure; one thread at a time. */
#ifndef VC_HISTOGRAM_H
#define VC_HISTOGRAM_H

#include "base/vc_base.h"

#define VC_HISTOGRAM_BUCKETS   400
#define VC_HISTOGRAM_BUCKET_MS 5

typedef struct vc_histogram {
    float weight[VC_HISTOGRAM_BUCKETS];
    float total, entry; /* sum of the weights; weight of the next entry */
    float growth;       /* 1 / forgetting */
    int used;           /* buckets from here on are empty */
    uint32_t entries;   /* stops at UINT32_MAX */
} vc_histogram;

/* forgetting: 0 < forgetting <= 1; 0.999 remembers about 1000 entries. */
VC_RT void vc_histogram_reset(vc_histogram *histogram, float forgetting);

/* Any number; below 0 and NaN count as 0. */
VC_RT void vc_histogram_push(vc_histogram *histogram, double delay_ms);

/* The least bucket edge (a multiple of 5 ms, at least 5) above which no more than `share` (0..1) of
 * the weight lies; 5 while it is empty. */
VC_RT int vc_histogram_tail_ms(const vc_histogram *histogram, float share);

/* The bucket edge for which delay + cost * (percent of the weight above it) is the least; the
 * shortest of equals; 5 while it is empty. A percent costs as much as the delay itself times
 * `factor`, and `least_ms` at least. */
VC_RT int vc_histogram_cheapest_ms(const vc_histogram *histogram, float least_ms, float factor);

/* All that lies at or above shift_ms is taken for that much less: the zero of the delays moved. */
VC_RT void vc_histogram_shift(vc_histogram *histogram, double shift_ms);

#endif
