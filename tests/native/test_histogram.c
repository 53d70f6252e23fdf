/* vc_histogram. Oracle: the same sums over a list of all entries, in double. */
#include "net/vc_histogram.h"

#include <math.h>

#include "vc_test.h"

enum { MANY = 20000 };

static double list[MANY];

/* Weight above `edge` of the first n entries, as a share. */
static double above(int n, double edge, double forgetting)
{
    double sum = 0.0, total = 0.0, weight = 1.0;
    for (int i = n - 1; i >= 0; i--, weight *= forgetting) {
        total += weight;
        if (list[i] >= edge) sum += weight;
    }
    return total > 0.0 ? sum / total : 0.0;
}

static double cost(int n, double edge, double forgetting)
{
    return edge + fmax(80.0, 1.2 * edge) * 100.0 * above(n, edge, forgetting);
}

VC_TEST(empty_and_odd_numbers)
{
    vc_histogram h;
    vc_histogram_reset(&h, 0.99f);
    VC_CHECK_EQ(vc_histogram_tail_ms(&h, 0.01f), 5);
    VC_CHECK_EQ(vc_histogram_cheapest_ms(&h, 100.0f, 1.0f), 5);
    vc_histogram_push(&h, -1e300);
    vc_histogram_push(&h, NAN);
    vc_histogram_push(&h, 0.0);
    VC_CHECK_EQ(vc_histogram_tail_ms(&h, 0.0f), 5);
    vc_histogram_push(&h, INFINITY);
    VC_CHECK_EQ(vc_histogram_tail_ms(&h, 0.0f), 2000);
    VC_CHECK_EQ(h.entries, 4);
}

VC_TEST(edges_are_exact)
{
    for (int ms = 0; ms < 100; ms++) {
        vc_histogram h;
        vc_histogram_reset(&h, 0.9995f);
        for (int i = 0; i < 50; i++) vc_histogram_push(&h, ms);
        VC_CHECK_EQ(vc_histogram_tail_ms(&h, 0.0f), (ms / 5 + 1) * 5);
        VC_CHECK_EQ(vc_histogram_cheapest_ms(&h, 100.0f, 1.0f), (ms / 5 + 1) * 5);
        VC_CHECK_EQ(vc_histogram_tail_ms(&h, 1.0f), 5);
    }
}

VC_TEST(equals_the_list)
{
    const double forgettings[] = {0.9, 0.99, 0.9995, 1.0};
    for (int f = 0; f < 4; f++) {
        uint32_t seed = 7;
        vc_histogram h;
        vc_histogram_reset(&h, (float)forgettings[f]);
        for (int i = 0; i < MANY; i++) {
            double u = (double)(vc_test_random(&seed) >> 8) / (1 << 24);
            list[i] = -30.0 * log(u + 1e-9); /* exponential, mean 30 ms */
            vc_histogram_push(&h, list[i]);
            if (i % 1999 != 1998) continue;
            /* float weights: the share at the edge may be off by 1e-4 */
            const float shares[] = {0.5f, 0.05f, 0.002f};
            for (int k = 0; k < 3; k++) {
                int edge = vc_histogram_tail_ms(&h, shares[k]);
                VC_CHECK(above(i + 1, edge, forgettings[f]) <= shares[k] + 1e-4);
                VC_CHECK(edge == 5 || above(i + 1, edge - 5, forgettings[f]) >= shares[k] - 1e-4);
            }
            int cheapest = vc_histogram_cheapest_ms(&h, 80.0f, 1.2f);
            double best = cost(i + 1, cheapest, forgettings[f]);
            for (int edge = 5; edge <= 2000; edge += 5)
                VC_CHECK(cost(i + 1, edge, forgettings[f]) >= best - 0.5);
        }
    }
}

VC_TEST(it_forgets)
{
    vc_histogram h;
    vc_histogram_reset(&h, 0.99f);
    for (int i = 0; i < 10; i++) vc_histogram_push(&h, 500.0);
    for (int i = 0; i < 2000; i++) vc_histogram_push(&h, 12.0);
    VC_CHECK_EQ(vc_histogram_tail_ms(&h, 0.001f), 15);
    VC_CHECK(h.used <= 101);
    for (int i = 0; i < 4000; i++) vc_histogram_push(&h, 12.0);
    VC_CHECK_EQ(h.used, 3); /* what is as good as nothing is gone */
}

VC_TEST(a_shift_moves_what_lies_above)
{
    vc_histogram h;
    vc_histogram_reset(&h, 1.0f);
    for (int i = 0; i < 90; i++) vc_histogram_push(&h, 12.0);
    for (int i = 0; i < 10; i++) vc_histogram_push(&h, 212.0);
    vc_histogram_shift(&h, 3.0);
    vc_histogram_shift(&h, 5000.0);
    vc_histogram_shift(&h, NAN);
    VC_CHECK_EQ(vc_histogram_tail_ms(&h, 0.0f), 215);
    vc_histogram_shift(&h, 190.0);
    VC_CHECK_EQ(vc_histogram_tail_ms(&h, 0.0f), 25);
    VC_CHECK_EQ(vc_histogram_tail_ms(&h, 0.1f), 15);
    VC_CHECK(h.weight[2] == 90.0f && h.weight[4] == 10.0f && h.total == 100.0f);
}

VC_MAIN(VC_RUN(empty_and_odd_numbers) VC_RUN(edges_are_exact) VC_RUN(equals_the_list)
            VC_RUN(it_forgets) VC_RUN(a_shift_moves_what_lies_above))
