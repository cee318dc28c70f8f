#include "harness/measure/settle.h"

#include <math.h>
#include <stdlib.h>

#include "harness/base/stats.h"

enum { WINDOW_MAX = 100000, CALLS_MIN = 5 };
static const double window_s = 0.25, least_s = 1, tolerance = 0.005;

bool settle_init(struct settle *s, double now_s, double cap_s)
{
    *s = (struct settle){.start_s = now_s, .window_s = now_s, .cap_s = cap_s, .mhz = NAN, .before = NAN};
    s->us = malloc(3 * WINDOW_MAX * sizeof *s->us);
    s->clocks = s->us + WINDOW_MAX;
    s->scratch = s->clocks + WINDOW_MAX;
    return s->us != NULL;
}

static double median(const struct settle *s, const double *values)
{
    struct sample_summary summary;
    summarize(values, s->count, s->scratch, &summary);
    return summary.median;
}

/* The median clock and not a single reading is what samples are held against later: one reading may be off by
 * more than the 3 % that count as a slowdown. */
static bool end_window(struct settle *s)
{
    bool clocks = true;
    for (size_t i = 0; i < s->count; i++)
        clocks = clocks && s->clocks[i] > 0;
    s->mhz = clocks ? median(s, s->clocks) : NAN;
    double speed = clocks ? s->mhz : median(s, s->us);
    bool steady = fabs(speed - s->before) < tolerance * speed;
    s->before = speed;
    s->count = 0;
    return steady;
}

bool settle_add(struct settle *s, double now_s, double us, double mhz)
{
    s->us[s->count] = us;
    s->clocks[s->count++] = mhz;
    s->seconds = now_s - s->start_s;
    bool whole = s->count == WINDOW_MAX || (s->count >= CALLS_MIN && now_s - s->window_s >= window_s);
    if (whole) {
        bool alike = end_window(s);
        s->window_s = now_s;
        s->steady = alike && s->seconds >= least_s;
    } else if (s->seconds >= s->cap_s && isnan(s->mhz) && s->count >= CALLS_MIN) {
        (void)end_window(s); /* a cap under a window: better than no clock */
    }
    return !s->steady && s->seconds < s->cap_s;
}

void settle_release(struct settle *s)
{
    free(s->us);
    s->us = NULL;
}
