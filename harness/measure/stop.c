#include "harness/measure/stop.h"

#include <string.h>

enum { ROUNDS_PER_LOOK = 8 /* at the intervals */ };

/* Copies the samples that count. */
static size_t copy_samples(const struct measure_row *r, double *out)
{
    size_t count = 0;
    for (size_t i = 0; i < r->sample_count; i++)
        if (!(r->flags[i] & SAMPLE_EXCLUDED))
            out[count++] = r->samples[i];
    if (count > 0)
        return count;
    memcpy(out, r->samples, r->sample_count * sizeof *out);
    return r->sample_count;
}

bool stop_row_precise(const struct measure_row *r, double precision, double *scratch,
                      struct sample_summary *out)
{
    const size_t count = copy_samples(r, scratch);
    summarize(scratch, count, scratch + count, out);
    return out->median_ci.hi - out->median <= precision * out->median &&
           out->median - out->median_ci.lo <= precision * out->median;
}

bool stop_now(const struct measure_settings *settings, const struct measure_group *g, size_t rounds,
              double elapsed_s, double *scratch)
{
    if (rounds >= settings->max_samples)
        return true;
    if (rounds < settings->min_samples)
        return false;
    if (elapsed_s >= settings->max_seconds)
        return true;
    bool precise = rounds % ROUNDS_PER_LOOK == 0;
    struct sample_summary summary;
    for (size_t row = 0; precise && row < g->row_count; row++)
        precise =
            g->rows[row].ended || stop_row_precise(&g->rows[row], settings->precision, scratch, &summary);
    return precise;
}
