/* vc_lpc: see vc_lpc.h. Autocorrelation method with the Levinson-Durbin recursion (Makhoul, "Linear
 * prediction: a tutorial review", Proc. IEEE 63(4), 1975). White noise 40 dB down and a bandwidth
 * widened by 0.995 per tap keep the filter well inside of stable. */
#include "dsp/vc_lpc.h"

#include <string.h>

#define WHITE 1e-4f
#define WIDEN 0.995f
#define LANES 8

float vc_lpc_dot(const float *a, const float *b, size_t n)
{
    float sum[LANES] = {0.0f};
    size_t i = 0;
    for (; i + LANES <= n; i += LANES)
        for (size_t j = 0; j < LANES; j++) sum[j] += a[i + j] * b[i + j];
    for (size_t j = 0; i < n; i++, j++) sum[j] += a[i] * b[i];
    return ((sum[0] + sum[4]) + (sum[1] + sum[5])) + ((sum[2] + sum[6]) + (sum[3] + sum[7]));
}

void vc_lpc_analyze(const float *windowed, size_t n, vc_lpc *lpc)
{
    float r[VC_LPC_ORDER + 1];
    for (size_t k = 0; k <= VC_LPC_ORDER; k++)
        r[k] = k < n ? vc_lpc_dot(windowed + k, windowed, n - k) : 0.0f;
    memset(lpc->a, 0, sizeof lpc->a);
    lpc->gain = 1.0f;
    if (r[0] < (float)n) return; /* below one step of s16 there is nothing to predict */
    float error = r[0] * (1.0f + WHITE), all = error;
    for (int k = 0; k < VC_LPC_ORDER; k++) {
        float sum = r[k + 1], before[VC_LPC_ORDER];
        for (int j = 0; j < k; j++) sum -= lpc->a[j] * r[k - j];
        float reflection = sum / error;
        if (reflection >= 1.0f || reflection <= -1.0f) break; /* rounding; the rest stays 0 */
        memcpy(before, lpc->a, sizeof before);
        for (int j = 0; j < k; j++) lpc->a[j] = before[j] - reflection * before[k - 1 - j];
        lpc->a[k] = reflection;
        error *= 1.0f - reflection * reflection;
    }
    lpc->gain = all / error;
    float widen = WIDEN;
    for (int k = 0; k < VC_LPC_ORDER; k++, widen *= WIDEN) lpc->a[k] *= widen;
}

void vc_lpc_residual(const vc_lpc *lpc, const float *x, size_t n, float *residual)
{
    memcpy(residual, x, n * sizeof *x);
    for (size_t k = 0; k < VC_LPC_ORDER; k++) {
        const float *before = x - 1 - k;
        for (size_t i = 0; i < n; i++) residual[i] -= lpc->a[k] * before[i];
    }
}

void vc_lpc_synthesize(const vc_lpc *lpc, float *y, size_t n)
{
    /* The newest sample last: only its product waits for the sample before. */
    for (float *end = y + n; y < end; y++) {
        float sum = *y;
        for (int k = VC_LPC_ORDER - 1; k >= 0; k--) sum += lpc->a[k] * y[-1 - k];
        *y = sum;
    }
}
