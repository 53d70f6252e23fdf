/* vc_emodel: ITU-T G.107 (06/2015), equations 7-27 (delay), 7-29 (loss) and B-4 (opinion). */
#include "net/vc_emodel.h"

#include <math.h>

#define BEST_RATING 93.2 /* all inputs at their defaults */

static double within(double value, double low, double high)
{
    return value >= low ? (value <= high ? value : high) : low; /* NaN: low */
}

/* Idd: nothing up to 100 ms. */
static double delay_impairment(double delay_ms)
{
    if (delay_ms <= 100.0) return 0.0;
    double x = log2(delay_ms / 100.0);
    return 25.0 * (pow(1.0 + pow(x, 6), 1.0 / 6) - 3.0 * pow(1.0 + pow(x / 3.0, 6), 1.0 / 6) + 2.0);
}

double vc_emodel_rating(const vc_emodel_input *input)
{
    double loss = within(input->loss_percent, 0.0, 100.0);
    double burst = within(input->burst_ratio, 1.0, 1e6);
    double codec = within(input->impairment, 0.0, 95.0);
    double robust = within(input->robustness, 1.0, 1e6);
    double equipment = codec + (95.0 - codec) * loss / (loss / burst + robust);
    double delay = delay_impairment(within(input->delay_ms, 0.0, 1e6));
    return within(BEST_RATING - delay - equipment, 0.0, BEST_RATING);
}

double vc_emodel_mos(double rating)
{
    double r = within(rating, 0.0, 100.0);
    return within(1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6, 1.0, 4.5);
}
