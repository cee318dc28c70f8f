/* draw_rows.c: the figures that have a row per variant or tensor: its name above, its numbers at the right. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"
#include "plots/chart.h"
#include "plots/draw.h"

enum { BARS_MAX = 16, BANDS_MAX = 8, NAME_BYTES = 62 };
enum { TOP = 26, BOTTOM = 46 };

/* Rows from the top down, at y = 0 .. count; only the x axis is drawn. */
static struct chart begin_rows(const struct drawing *d, size_t count, double row_height, double right,
                               double lo, double hi, const char *title)
{
    const struct chart c = {.out = d->out,
                            .height = TOP + BOTTOM + row_height * (double)count,
                            .margin = {8, right, TOP, BOTTOM},
                            .x = {lo, hi, false},
                            .y = {(double)count, 0, false}};
    chart_begin(&c, d->label);
    chart_ticks_x(&c, 1);
    chart_titles(&c, title, NULL);
    return c;
}

static void draw_name(const struct chart *c, double y, const char *name)
{
    char text[NAME_BYTES + 4];
    snprintf(text, sizeof text, "%.*s%s", (int)text_prefix(name, NAME_BYTES), name,
             strlen(name) > NAME_BYTES ? "\u2026" : "");
    chart_text(c, c->margin.left, chart_y(c, y) + 4, "start", INK_TEXT, text);
}

static void draw_value(const struct chart *c, double y, const char *value)
{
    chart_text(c, CHART_WIDTH - c->margin.right + 10, chart_y(c, y) + 4, "start", INK_TEXT, value);
}

/* ---- share of the ceiling ---- */

static int by_fraction(const void *pa, const void *pb)
{
    const struct row *a = (*(const struct view_row *const *)pa)->r,
                     *b = (*(const struct view_row *const *)pb)->r;
    int c = (a->ceiling_fraction < b->ceiling_fraction) - (a->ceiling_fraction > b->ceiling_fraction);
    return c ? c : strcmp(a->variant, b->variant);
}

bool draw_ceiling(struct drawing *d, const struct view_case *c)
{
    const struct view_row *rows[BARS_MAX];
    double widest = 1;
    /* Rows are in the order of speed, so a limit drops the slow ones. */
    for (size_t i = 0; i < c->count && view_is_right(c->rows[i]); i++) {
        const double fraction = c->rows[i]->r->ceiling_fraction;
        if (!(fraction > 0) || !isfinite(fraction))
            continue;
        d->total++;
        if (d->shown < BARS_MAX)
            rows[d->shown++] = c->rows[i];
    }
    if (d->shown == 0)
        return false;
    qsort(rows, d->shown, sizeof rows[0], by_fraction);
    for (size_t i = 0; i < d->shown; i++)
        widest = fmax(widest, fmax(rows[i]->r->ceiling_fraction, rows[i]->r->ceiling_fraction_hi));

    const struct chart chart =
        begin_rows(d, d->shown, 36, 136, 0, widest * 1.02, "share of the measured ceiling");
    chart_reference(&chart, 1, "ceiling");
    for (size_t i = 0; i < d->shown; i++) {
        const struct row *r = rows[i]->r;
        const double at = (double)i + 0.68, y = chart_y(&chart, at);
        char value[64], words[400];
        const bool interval = isfinite(r->ceiling_fraction_lo) && isfinite(r->ceiling_fraction_hi);
        snprintf(value, sizeof value, interval ? "%.3f [%.3f, %.3f]" : "%.3f", r->ceiling_fraction,
                 r->ceiling_fraction_lo, r->ceiling_fraction_hi);
        snprintf(words, sizeof words, "%s: %s of the measured ceiling", r->variant, value);
        draw_name(&chart, (double)i + 0.28, r->variant);
        draw_value(&chart, at, value);
        chart_bar(&chart, 0, r->ceiling_fraction, y, 12, view_ink(d->family, rows[i]), 0.75,
                  &(struct mark){rows[i], NULL, r->ceiling_fraction, words});
        chart_whisker(&chart, r->ceiling_fraction_lo, r->ceiling_fraction_hi, y);
    }
    chart_end(&chart);
    return true;
}

/* ---- samples ---- */

enum { BAND_SAMPLES = 160, BAND_SAMPLES_MIN = 10 };

struct band {
    const struct view_row *row;
    double lo, q1, q3, hi; /* deviations from the median, percent: quantiles 0.1, 0.25, 0.75, 0.9 */
    double least, most;
};

static double deviation(const struct view_row *row, double us)
{
    return 100 * (us / row->r->median_us - 1);
}

/* False when the row has too few samples, or some that are not times. */
static bool make_band(const struct view_row *row, struct band *band)
{
    const size_t all = (size_t)row->r->sample_count;
    size_t n = 0;
    if (!row->samples || all < BAND_SAMPLES_MIN)
        return false;
    double *sorted = malloc(all * sizeof sorted[0]);
    bool times = sorted != NULL;
    for (size_t i = 0; times && i < all; i++) {
        times = isfinite(row->samples[i]) && row->samples[i] > 0;
        if (!isnan(row->kept[i]))
            sorted[n++] = row->kept[i];
    }
    if (times && n >= BAND_SAMPLES_MIN) {
        const double p10 = quantile(sorted, n, 0.1); /* sorts them */
        *band = (struct band){row,
                              deviation(row, p10),
                              deviation(row, quantile_sorted(sorted, n, 0.25)),
                              deviation(row, quantile_sorted(sorted, n, 0.75)),
                              deviation(row, quantile_sorted(sorted, n, 0.9)),
                              deviation(row, sorted[0]),
                              deviation(row, sorted[n - 1])};
    }
    free(sorted);
    return times && n >= BAND_SAMPLES_MIN;
}

/* The samples of a band as dots, time running downwards. A long run is thinned evenly in time, but what lies
 * outside the axis always stays, at its ends. */
static void draw_dots(struct drawing *d, const struct chart *c, const struct band *band, double place)
{
    enum { DOTS = 2 * BAND_SAMPLES };
    double x[2][DOTS], y[2][DOTS]; /* inside the axis, outside */
    size_t counts[2] = {0, 0};
    const size_t n = (size_t)band->row->r->sample_count;
    for (size_t i = 0; i < n; i++) {
        if (isnan(band->row->kept[i]))
            continue;
        const double at = deviation(band->row, band->row->kept[i]);
        const bool outside = at < c->x.lo || at > c->x.hi;
        const bool thinned = n > BAND_SAMPLES && i * BAND_SAMPLES / n == (i + 1) * BAND_SAMPLES / n;
        d->beyond += outside;
        if (counts[outside] == DOTS || (thinned && !outside))
            continue;
        x[outside][counts[outside]] = fmin(c->x.hi, fmax(c->x.lo, at));
        y[outside][counts[outside]++] = chart_y(c, place + 0.40 + 0.54 * (double)i / (double)n);
    }
    chart_dots(c, x[0], y[0], counts[0], INK_TEXT, 2);
    chart_dots(c, x[1], y[1], counts[1], INK_BAD, 3);
}

static void draw_band(struct drawing *d, const struct chart *c, const struct band *band, double place,
                      bool ms)
{
    const struct row *r = band->row->r;
    const double us = ms ? r->median_us / 1000 : r->median_us, y = chart_y(c, place + 0.67);
    const double half = chart_y(c, place + 0.96) - y;
    char median[48], range[32], words[400];
    snprintf(median, sizeof median, "%.*f %s", html_decimals(us, 4), us, ms ? "ms" : "\u00b5s");
    snprintf(range, sizeof range, "IQR %.2g %%", band->q3 - band->q1);
    snprintf(words, sizeof words, "%s: median %s, %s", r->variant, median, range);
    draw_name(c, place + 0.22, r->variant);
    draw_value(c, place + 0.55, median);
    draw_value(c, place + 0.83, range);
    chart_bar(c, band->q1, band->q3, y, 2 * half, view_ink(d->family, band->row), 0.45,
              &(struct mark){band->row, NULL, r->median_us, words});
    chart_segment(c, chart_x(c, 0), y - half, chart_x(c, 0), y + half, INK_TEXT, 1.2, NULL);
    draw_dots(d, c, band, place);
}

bool draw_samples(struct drawing *d, const struct view_case *c)
{
    struct band bands[BANDS_MAX];
    double lo = 0, hi = 0, least = 0, most = 0;
    for (size_t i = 0; i < c->count && view_is_right(c->rows[i]); i++) {
        d->total++;
        if (d->shown < BANDS_MAX && make_band(c->rows[i], &bands[d->shown]))
            d->shown++;
    }
    if (d->shown == 0)
        return false;
    for (size_t i = 0; i < d->shown; i++) {
        lo = fmin(lo, bands[i].lo);
        hi = fmax(hi, bands[i].hi);
        least = fmin(least, bands[i].least);
        most = fmax(most, bands[i].most);
    }
    /* Wide enough for the bulk of the noisiest row; one far outlier must not flatten all others. */
    lo = fmin(-0.5, fmax(least, 2.5 * lo)) * 1.03;
    hi = fmax(0.5, fmin(most, 2.5 * hi)) * 1.03;
    const struct chart chart =
        begin_rows(d, d->shown, 54, 106, lo, hi, "deviation from the median of the row, %");
    chart_text(&chart, chart_x(&chart, 0), TOP - 10, "middle", INK_TEXT, "median");
    const bool ms = bands[0].row->r->median_us >= 10000; /* one unit, as in the tables: the fastest row's */
    for (size_t i = 0; i < d->shown; i++)
        draw_band(d, &chart, &bands[i], (double)i, ms);
    chart_end(&chart);
    return true;
}

/* ---- NF4 against int4 ---- */

void draw_fits(const struct drawing *d, const struct view_row *const *rows, size_t count)
{
    double lo = INFINITY, hi = -INFINITY;
    for (size_t i = 0; i < count; i++) {
        lo = fmin(lo, fmin(rows[i]->r->weight_sqnr_db, rows[i]->r->int4_sqnr_db));
        hi = fmax(hi, fmax(rows[i]->r->weight_sqnr_db, rows[i]->r->int4_sqnr_db));
    }
    const struct chart c = begin_rows(d, count, 32, 100, floor(lo - 0.5), ceil(hi + 0.5),
                                      "SQNR of the weights, dB (higher is better)");
    chart_key(&c, 14, 11, WEIGHTS_NF4, "NF4");
    chart_key(&c, 74, 11, WEIGHTS_INT4, "absmax int4");
    for (size_t i = 0; i < count; i++) {
        const struct row *r = rows[i]->r;
        const double at = (double)i + 0.72, y = chart_y(&c, at), nf4 = r->weight_sqnr_db,
                     int4 = r->int4_sqnr_db;
        char value[64], words[400];
        snprintf(value, sizeof value, isfinite(int4) ? "%+.2f dB" : "%.2f dB",
                 isfinite(int4) ? nf4 - int4 : nf4);
        draw_name(&c, (double)i + 0.30, r->weights);
        draw_value(&c, at, value);
        if (isfinite(int4)) {
            chart_segment(&c, chart_x(&c, int4), y, chart_x(&c, nf4), y, INK_OTHER, 1.2, NULL);
            snprintf(words, sizeof words, "%.300s, blocksize %" PRIu32 ": absmax int4 %.2f dB", r->weights,
                     r->blocksize, int4);
            chart_mark(&c, int4, at, WEIGHTS_INT4, &(struct mark){rows[i], NULL, int4, words});
        }
        snprintf(words, sizeof words, "%.300s, blocksize %" PRIu32 ": NF4 %.2f dB", r->weights, r->blocksize,
                 nf4);
        chart_mark(&c, nf4, at, WEIGHTS_NF4, &(struct mark){rows[i], NULL, nf4, words});
    }
    chart_end(&c);
}
