/* vc_emodel. Oracle: values of ITU-T G.107 and G.113 that are in print: the default rating 93.2 is
 * MOS 4.41; categories of annex B; Ie,eff of G.711 by the recommendation's formula, worked out. */
#include "net/vc_emodel.h"

#include <math.h>

#include "vc_test.h"

static vc_emodel_input line(double delay_ms, double loss_percent, double robustness)
{
    return (vc_emodel_input){.delay_ms = delay_ms,
                             .loss_percent = loss_percent,
                             .burst_ratio = 1.0,
                             .robustness = robustness};
}

static int near(double a, double b, double within)
{
    return fabs(a - b) <= within;
}

VC_TEST(a_clean_line_is_the_default)
{
    vc_emodel_input input = line(0.0, 0.0, 25.1);
    VC_CHECK(near(vc_emodel_rating(&input), 93.2, 1e-9));
    VC_CHECK(near(vc_emodel_mos(93.2), 4.41, 0.005));
    input.delay_ms = 100.0;
    VC_CHECK(near(vc_emodel_rating(&input), 93.2, 1e-9));
}

VC_TEST(opinion_of_the_categories)
{
    /* annex B: the lower limits 90, 80, 70, 60, 50 of R and their MOS */
    const double rating[] = {90, 80, 70, 60, 50}, mos[] = {4.34, 4.03, 3.60, 3.10, 2.58};
    for (int i = 0; i < 5; i++) VC_CHECK(near(vc_emodel_mos(rating[i]), mos[i], 0.01));
    VC_CHECK_EQ(vc_emodel_mos(0.0), 1);
    VC_CHECK_EQ(vc_emodel_mos(-5.0), 1);
    VC_CHECK(vc_emodel_mos(1000.0) == 4.5);
    for (double r = 0.0; r < 100.0; r += 0.5) VC_CHECK(vc_emodel_mos(r) >= 1.0);
}

VC_TEST(loss_and_delay)
{
    vc_emodel_input input = line(0.0, 1.0, 4.3); /* 95 / (1 + 4.3) = 17.92 */
    VC_CHECK(near(vc_emodel_rating(&input), 93.2 - 17.9245, 1e-3));
    input = line(0.0, 5.0, 25.1); /* 95 * 5 / 30.1 = 15.78 */
    VC_CHECK(near(vc_emodel_rating(&input), 93.2 - 15.7807, 1e-3));
    input.burst_ratio = 2.0; /* 95 * 5 / 27.6 = 17.21 */
    VC_CHECK(near(vc_emodel_rating(&input), 93.2 - 17.2101, 1e-3));
    input.burst_ratio = 0.1;
    VC_CHECK(near(vc_emodel_rating(&input), 93.2 - 15.7807, 1e-3));
    double before = 93.2;
    for (double ms = 120.0; ms < 1000.0; ms += 20.0) {
        input = line(ms, 0.0, 25.1);
        VC_CHECK(vc_emodel_rating(&input) < before);
        before = vc_emodel_rating(&input);
    }
    input = line(200.0, 0.0, 25.1); /* x = 1: 25 (2^(1/6) - 3 (1 + 3^-6)^(1/6) + 2) = 3.045 */
    VC_CHECK(near(vc_emodel_rating(&input), 93.2 - 3.0445, 1e-3));
}

VC_TEST(any_numbers_are_safe)
{
    vc_emodel_input input = {NAN, NAN, NAN, NAN, NAN};
    VC_CHECK(vc_emodel_rating(&input) >= 0.0);
    input = (vc_emodel_input){1e300, 1e300, -1e300, 1e300, -1e300};
    VC_CHECK(vc_emodel_rating(&input) >= 0.0);
    VC_CHECK(vc_emodel_mos(NAN) == 1.0);
}

VC_MAIN(VC_RUN(a_clean_line_is_the_default) VC_RUN(opinion_of_the_categories) VC_RUN(loss_and_delay)
            VC_RUN(any_numbers_are_safe))
