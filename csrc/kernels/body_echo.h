/* body_echo: what vc_echo_kernels.h lists. The including file defines VC_ECHO_TABLE, the name of
 * the table of its level. The methods are in vc_echo_filter.c and vc_delay_estimator.c. */
#include "aec/vc_echo_kernels.h"
#include "kernels/vc_lanes.h"

static void predict(const vc_echo_path *path, float *restrict re, float *restrict im,
                    float *restrict variance)
{
    for (size_t k = 0; k < path->bins; k += VC_LANES) {
        vc_lanes yr = vc_lanes_zero(), yi = vc_lanes_zero(), v = vc_lanes_zero();
        for (size_t i = 0; i < path->parts; i++) {
            const size_t at = i * path->bins + k;
            vc_lanes xr = vc_lanes_load_bf16(path->x_re[i] + k);
            vc_lanes xi = vc_lanes_load_bf16(path->x_im[i] + k);
            vc_lanes wr = vc_lanes_load(path->w_re + at), wi = vc_lanes_load(path->w_im + at);
            vc_lanes power = vc_lanes_madd(xr, xr, vc_lanes_mul(xi, xi));
            yr = vc_lanes_nmadd(wi, xi, vc_lanes_madd(wr, xr, yr));
            yi = vc_lanes_madd(wi, xr, vc_lanes_madd(wr, xi, yi));
            v = vc_lanes_madd(power, vc_lanes_load(path->p + at), v);
        }
        vc_lanes_store(re + k, yr);
        vc_lanes_store(im + k, yi);
        vc_lanes_store(variance + k, v);
    }
}

static void learn(const vc_echo_path *path, const float *restrict re, const float *restrict im,
                  const float *restrict step, const vc_echo_rates *rates)
{
    const vc_lanes spend = vc_lanes_fill(rates->spend), gain = vc_lanes_fill(rates->noise_gain),
                   least = vc_lanes_fill(rates->noise_floor), one = vc_lanes_fill(1.0f);
    for (size_t k = 0; k < path->bins; k += VC_LANES) {
        const vc_lanes er = vc_lanes_load(re + k), ei = vc_lanes_load(im + k);
        const vc_lanes per_power = vc_lanes_load(step + k);
        for (size_t i = 0; i < path->parts; i++) {
            const size_t at = i * path->bins + k;
            vc_lanes xr = vc_lanes_load_bf16(path->x_re[i] + k);
            vc_lanes xi = vc_lanes_load_bf16(path->x_im[i] + k);
            vc_lanes wr = vc_lanes_load(path->w_re + at), wi = vc_lanes_load(path->w_im + at);
            vc_lanes p = vc_lanes_load(path->p + at), g = vc_lanes_mul(p, per_power);
            vc_lanes power = vc_lanes_madd(xr, xr, vc_lanes_mul(xi, xi));
            wr = vc_lanes_madd(g, vc_lanes_madd(xr, er, vc_lanes_mul(xi, ei)), wr);
            wi = vc_lanes_madd(g, vc_lanes_nmadd(xi, er, vc_lanes_mul(xr, ei)), wi);
            p = vc_lanes_mul(p, vc_lanes_nmadd(vc_lanes_mul(spend, g), power, one));
            p = vc_lanes_add(p, least);
            p = vc_lanes_madd(gain, vc_lanes_madd(wr, wr, vc_lanes_mul(wi, wi)), p);
            vc_lanes_store(path->w_re + at, wr);
            vc_lanes_store(path->w_im + at, wi);
            vc_lanes_store(path->p + at, p);
        }
    }
}

/* Products and sums apart, in pairs of taps: the same bits at each level. */
static void fir(const float *restrict taps, size_t count, const float *restrict x,
                float *restrict out, size_t n)
{
    for (size_t i = 0; i < n; i += VC_LANES) {
        vc_lanes even = vc_lanes_zero(), odd = vc_lanes_zero();
        for (size_t k = 0; k < count; k += 2) {
            even =
                vc_lanes_add(even, vc_lanes_mul(vc_lanes_fill(taps[k]), vc_lanes_load(x + i + k)));
            odd = vc_lanes_add(
                odd, vc_lanes_mul(vc_lanes_fill(taps[k + 1]), vc_lanes_load(x + i + k + 1)));
        }
        vc_lanes_store(out + i, vc_lanes_add(even, odd));
    }
}

static float correlate(const int8_t *restrict far, const float *restrict near_re,
                       const float *restrict near_im, float keep, uint16_t *restrict to_re,
                       uint16_t *restrict to_im)
{
    const vc_lanes kept = vc_lanes_fill(keep);
    vc_lanes power = vc_lanes_zero();
    for (size_t k = 0; k < VC_ECHO_LAG_BINS; k += VC_LANES) {
        const vc_lanes xr = vc_lanes_load_s8(far + k);
        const vc_lanes xi = vc_lanes_load_s8(far + VC_ECHO_LAG_BINS + k);
        const vc_lanes nr = vc_lanes_load(near_re + k), ni = vc_lanes_load(near_im + k);
        vc_lanes re = vc_lanes_mul(kept, vc_lanes_load_bf16(to_re + k));
        vc_lanes im = vc_lanes_mul(kept, vc_lanes_load_bf16(to_im + k));
        re = vc_lanes_add(vc_lanes_add(re, vc_lanes_mul(nr, xr)), vc_lanes_mul(ni, xi));
        im = vc_lanes_sub(vc_lanes_add(im, vc_lanes_mul(ni, xr)), vc_lanes_mul(nr, xi));
        vc_lanes_store_bf16(to_re + k, re);
        vc_lanes_store_bf16(to_im + k, im);
        power = vc_lanes_add(power, vc_lanes_add(vc_lanes_mul(re, re), vc_lanes_mul(im, im)));
    }
    return vc_lanes_sum(power);
}

const vc_echo_kernels VC_ECHO_TABLE = {predict, learn, fir, correlate};
