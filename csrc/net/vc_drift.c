/* vc_drift: see vc_drift.h. Least squares over the window minima; a rate is believed when it is
 * four times its standard error and more than 8 ppm. */
#include "net/vc_drift.h"

#include <math.h>
#include <string.h>

#define WINDOW_NS    (2 * VC_NS_PER_S)
#define FEWEST       15
#define STEP_MS      8.0
#define LEAST_PPM    8.0
#define CERTAINTY    4.0
#define MIN_ERROR_MS 0.05 /* a window's minimum is no better than this */
#define MS_PER_S_PPM 1000.0

void vc_drift_reset(vc_drift *drift)
{
    memset(drift, 0, sizeof *drift);
}

void vc_drift_rebase(vc_drift *drift)
{
    drift->started = drift->points = drift->next = 0;
}

typedef struct line {
    double slope, at_s, transit_ms; /* through the point (at_s, transit_ms) */
    double slope_error, rest_ms;    /* standard errors of the slope and of a point */
} line;

static line fit(const vc_drift *drift)
{
    int n = drift->points;
    line found = {0};
    for (int i = 0; i < n; i++) {
        found.at_s += drift->at_s[i] / n;
        found.transit_ms += drift->transit_ms[i] / n;
    }
    double xx = 0.0, xy = 0.0, rest = 0.0;
    for (int i = 0; i < n; i++) {
        double x = drift->at_s[i] - found.at_s;
        xx += x * x;
        xy += x * (drift->transit_ms[i] - found.transit_ms);
    }
    found.slope = xx > 0.0 ? xy / xx : 0.0;
    for (int i = 0; i < n; i++) {
        double off =
            drift->transit_ms[i] - found.transit_ms - found.slope * (drift->at_s[i] - found.at_s);
        rest += off * off;
    }
    found.rest_ms = sqrt(rest / (n > 2 ? n - 2 : 1)) + MIN_ERROR_MS;
    found.slope_error = xx > 0.0 ? found.rest_ms / sqrt(xx) : INFINITY;
    return found;
}

static void close_window(vc_drift *drift)
{
    double transit_ms = drift->shortest_ms, at_s = drift->shortest_at_s;
    if (drift->points >= FEWEST) {
        line before = fit(drift);
        double off = transit_ms - before.transit_ms - before.slope * (at_s - before.at_s);
        if (fabs(off) > STEP_MS + 5.0 * before.rest_ms) drift->points = drift->next = 0;
    } else if (drift->points > 0) {
        int last = (drift->next + VC_DRIFT_POINTS - 1) % VC_DRIFT_POINTS;
        double off = transit_ms - drift->transit_ms[last];
        if (fabs(off) > 2.0 * STEP_MS) drift->points = drift->next = 0;
    }
    drift->at_s[drift->next] = at_s;
    drift->transit_ms[drift->next] = transit_ms;
    drift->next = (drift->next + 1) % VC_DRIFT_POINTS;
    drift->points += drift->points < VC_DRIFT_POINTS;
    if (drift->points < FEWEST) return;
    line now = fit(drift);
    double ppm = -now.slope * MS_PER_S_PPM, error_ppm = now.slope_error * MS_PER_S_PPM;
    if (fabs(ppm) > VC_DRIFT_MAX_PPM) return; /* no clock is that wrong: a path that changes */
    if (fabs(ppm) < LEAST_PPM || fabs(ppm) < CERTAINTY * error_ppm) {
        if (error_ppm < LEAST_PPM) drift->ppm = 0.0;
        return;
    }
    drift->ppm = ppm;
}

void vc_drift_push(vc_drift *drift, double transit_ms, int64_t now_ns)
{
    if (!(fabs(transit_ms) < 1e12)) return;
    if (!drift->started) {
        drift->started = 1;
        if (drift->points == 0) drift->first_ns = now_ns;
    } else {
        /* Unsigned: any two times may come in, and they are in order. */
        uint64_t age = (uint64_t)now_ns - (uint64_t)drift->window_start_ns;
        if (age < WINDOW_NS) {
            if (transit_ms >= drift->shortest_ms) return;
            drift->shortest_ms = transit_ms;
            drift->shortest_at_s =
                (double)((uint64_t)now_ns - (uint64_t)drift->first_ns) / VC_NS_PER_S;
            return;
        }
        close_window(drift);
    }
    drift->window_start_ns = now_ns;
    drift->shortest_ms = transit_ms;
    drift->shortest_at_s = (double)((uint64_t)now_ns - (uint64_t)drift->first_ns) / VC_NS_PER_S;
}

double vc_drift_ppm(const vc_drift *drift)
{
    return drift->ppm;
}
