/* body_echo: the two passes of vc_echo_kernels.h over all partitions of the echo path. The
 * including file defines VC_ECHO_TABLE, the name of the table of its level. The method is in
 * vc_echo_filter.c. */
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

const vc_echo_kernels VC_ECHO_TABLE = {predict, learn};
