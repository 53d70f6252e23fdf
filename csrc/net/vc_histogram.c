/* vc_histogram: see vc_histogram.h. Forgetting by growing entries instead of shrinking buckets: a
 * push touches one bucket. Weights are scaled back before they leave the range of a float. */
#include "net/vc_histogram.h"

#include <string.h>

#define MAX_ENTRY    1e6f
#define NO_MORE_THAN 1e-7f /* share of the total that is as good as nothing */

void vc_histogram_reset(vc_histogram *histogram, float forgetting)
{
    memset(histogram, 0, sizeof *histogram);
    histogram->entry = 1.0f;
    histogram->growth = forgetting > 0.0f && forgetting < 1.0f ? 1.0f / forgetting : 1.0f;
}

static void scale_back(vc_histogram *h)
{
    float total = 0.0f;
    for (int i = 0; i < h->used; i++) {
        h->weight[i] /= h->entry;
        total += h->weight[i];
    }
    h->total = total;
    h->entry = 1.0f;
    while (h->used > 1 && h->weight[h->used - 1] < NO_MORE_THAN * total)
        h->weight[--h->used] = 0.0f;
}

void vc_histogram_push(vc_histogram *histogram, double delay_ms)
{
    vc_histogram *h = histogram;
    double bucket = delay_ms > 0.0 ? delay_ms / VC_HISTOGRAM_BUCKET_MS : 0.0;
    int last = VC_HISTOGRAM_BUCKETS - 1, index = bucket < last ? (int)bucket : last;
    h->entry *= h->growth;
    h->weight[index] += h->entry;
    h->total += h->entry;
    if (index >= h->used) h->used = index + 1;
    if (h->entries < UINT32_MAX) h->entries++;
    if (h->entry > MAX_ENTRY) scale_back(h);
}

int vc_histogram_tail_ms(const vc_histogram *histogram, float share)
{
    float above = 0.0f, allowed = share * histogram->total;
    int edge = histogram->used;
    while (edge > 1 && above + histogram->weight[edge - 1] <= allowed)
        above += histogram->weight[--edge];
    return (edge > 1 ? edge : 1) * VC_HISTOGRAM_BUCKET_MS;
}

int vc_histogram_cheapest_ms(const vc_histogram *histogram, float least_ms, float factor)
{
    const vc_histogram *h = histogram;
    if (h->used == 0) return VC_HISTOGRAM_BUCKET_MS;
    float above = 0.0f, percent = 100.0f / h->total;
    int best = h->used;
    float least = (float)(h->used * VC_HISTOGRAM_BUCKET_MS);
    for (int edge = h->used - 1; edge >= 1; edge--) {
        above += h->weight[edge];
        float delay_ms = (float)(edge * VC_HISTOGRAM_BUCKET_MS), each_ms = factor * delay_ms;
        float cost = delay_ms + (each_ms > least_ms ? each_ms : least_ms) * percent * above;
        if (cost > least) continue;
        least = cost;
        best = edge;
    }
    return best * VC_HISTOGRAM_BUCKET_MS;
}

void vc_histogram_shift(vc_histogram *histogram, double shift_ms)
{
    vc_histogram *h = histogram;
    double buckets = shift_ms / VC_HISTOGRAM_BUCKET_MS;
    if (!(buckets >= 1.0 && buckets < h->used)) return;
    int by = (int)buckets;
    for (int i = by; i < h->used; i++) {
        float moved = h->weight[i];
        h->weight[i] = 0.0f;
        h->weight[i - by] += moved;
    }
    while (h->used > 1 && h->weight[h->used - 1] == 0.0f) h->used--;
}
