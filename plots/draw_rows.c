/* draw_rows.c: the figures that have a row per variant or tensor: its name above, its numbers at the right.
 */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plots/draw.h"

enum { BARS_MAX = 16, BANDS_MAX = 8, FITS_MAX = 24, NAME_CHARACTERS = 62 };
enum { LEFT = 8, BOTTOM = 48, TOP = 26 };

/* Rows from the top down, at y = 0 .. count; only the x axis is drawn. */
static void set_rows(struct figure *f, size_t count, double x_lo, double x_hi, int right, const char *x_title)
{
    FILE *s = f->script;
    draw_frame(f, LEFT, right, TOP, BOTTOM);
    fprintf(
        s,
        "set border 1\nunset ytics\nset grid noytics xtics\nset xrange [%.17g:%.17g]\nset yrange [%zu:0]\n",
        x_lo, x_hi, count);
    draw_axis_title(f, LEFT, 8, x_title);
}

static void set_name(struct figure *f, int text, double y)
{
    fprintf(f->script, "set label '~%d~' at graph 0,first %.4f left front font ',11' tc rgb '#%06x'\n", text,
            y, figure_ink(INK_TEXT));
}

/* `value` is ours: numbers and units, no text from a file. */
static void set_value(struct figure *f, const char *value, double y)
{
    fprintf(f->script, "set label '%s' at graph 1,first %.4f offset 1.4,0 left font ',11' tc rgb '#%06x'\n",
            value, y, figure_ink(INK_TEXT));
}

/* ---- share of the ceiling ---- */

static int by_fraction(const void *pa, const void *pb)
{
    const struct row *a = (*(const struct view_row *const *)pa)->r,
                     *b = (*(const struct view_row *const *)pb)->r;
    int c = (a->ceiling_fraction < b->ceiling_fraction) - (a->ceiling_fraction > b->ceiling_fraction);
    return c ? c : strcmp(a->variant, b->variant);
}

bool draw_ceiling(struct figure *f, const struct view_family *family, const struct view_case *c,
                  struct drawn *d)
{
    enum { ROW = 36 };
    const struct view_row *rows[BARS_MAX];
    size_t count = 0;
    double widest = 1;
    /* Rows are in the order of speed, so a limit drops the slow ones. */
    for (size_t i = 0; i < c->count && view_is_right(c->rows[i]); i++) {
        const double fraction = c->rows[i]->r->ceiling_fraction;
        if (!(fraction > 0) || !isfinite(fraction))
            continue;
        d->total++;
        if (count < BARS_MAX)
            rows[count++] = c->rows[i];
    }
    if (count == 0 || !figure_init(f, TOP + BOTTOM + ROW * (int)count))
        return false;
    d->shown = count;
    qsort(rows, count, sizeof rows[0], by_fraction);
    for (size_t i = 0; i < count; i++)
        widest = fmax(widest, fmax(rows[i]->r->ceiling_fraction, rows[i]->r->ceiling_fraction_hi));

    FILE *s = f->script;
    set_rows(f, count, 0, widest * 1.02, 136, "share of the measured ceiling");
    fprintf(s, "set arrow from 1,graph 0 to 1,graph 1 nohead front lw 1.2 dt 2 lc rgb '#%06x'\n",
            figure_ink(INK_TEXT));
    fprintf(s, "set label 'ceiling' at 1,graph 1 offset 0,0.6 center font ',11' tc rgb '#%06x'\n",
            figure_ink(INK_TEXT));
    for (size_t i = 0; i < count; i++) {
        const struct row *r = rows[i]->r;
        char value[64];
        const bool interval = isfinite(r->ceiling_fraction_lo) && isfinite(r->ceiling_fraction_hi);
        snprintf(value, sizeof value, interval ? "%.3f [%.3f, %.3f]" : "%.3f", r->ceiling_fraction,
                 r->ceiling_fraction_lo, r->ceiling_fraction_hi);
        set_name(f, figure_text(f, r->variant, NAME_CHARACTERS), (double)i + 0.28);
        set_value(f, value, (double)i + 0.68);
    }
    fputs("$bars << EOD\n", s);
    for (size_t i = 0; i < count; i++) {
        const struct row *r = rows[i]->r;
        const double fraction = r->ceiling_fraction;
        fprintf(s, "%.2f %.10g %.10g %.10g %u\n", (double)i + 0.68, fraction,
                isfinite(r->ceiling_fraction_lo) ? r->ceiling_fraction_lo : fraction,
                isfinite(r->ceiling_fraction_hi) ? r->ceiling_fraction_hi : fraction,
                figure_ink(view_ink(family, rows[i])));
    }
    fprintf(s,
            "EOD\nset style fill solid 0.75 noborder\n"
            "plot $bars using ($2/2):1:($2/2):(0.17):5 with boxxyerror lc rgb variable notitle, "
            "$bars using 3:1:($4-$3):(0) with vectors heads size screen 0.006,90 fixed lw 1.2 lc rgb '#%06x' "
            "notitle\n",
            figure_ink(INK_TEXT));
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

static int by_value(const void *pa, const void *pb)
{
    const double a = *(const double *)pa, b = *(const double *)pb;
    return (a > b) - (a < b);
}

/* False when the row has too few samples, or some that are not times. */
static bool make_band(const struct view_row *row, struct band *band)
{
    const size_t all = (size_t)row->r->sample_count;
    size_t n = 0;
    if (!row->samples || all < BAND_SAMPLES_MIN)
        return false;
    double *sorted = malloc(all * sizeof sorted[0]);
    if (!sorted)
        return false;
    for (size_t i = 0; i < all; i++) {
        if (!isfinite(row->samples[i]) || row->samples[i] <= 0) {
            free(sorted);
            return false;
        }
        if (!isnan(row->kept[i]))
            sorted[n++] = row->kept[i];
    }
    if (n < BAND_SAMPLES_MIN) {
        free(sorted);
        return false;
    }
    qsort(sorted, n, sizeof sorted[0], by_value);
    *band = (struct band){row,
                          deviation(row, quantile_sorted(sorted, n, 0.1)),
                          deviation(row, quantile_sorted(sorted, n, 0.25)),
                          deviation(row, quantile_sorted(sorted, n, 0.75)),
                          deviation(row, quantile_sorted(sorted, n, 0.9)),
                          deviation(row, sorted[0]),
                          deviation(row, sorted[n - 1])};
    free(sorted);
    return true;
}

/* The samples of a band as short strokes, time running downwards; a long run is thinned evenly in time, but
 * what lies outside the axis always stays. */
static void write_strokes(FILE *s, const struct band *band, size_t place, double lo, double hi, bool outside,
                          size_t *beyond)
{
    const size_t n = (size_t)band->row->r->sample_count;
    const unsigned ink = figure_ink(outside ? INK_BAD : INK_TEXT);
    size_t written = 0;
    for (size_t i = 0; i < n; i++) {
        if (isnan(band->row->kept[i]))
            continue;
        const double x = deviation(band->row, band->row->kept[i]);
        const bool is_outside = x < lo || x > hi;
        const bool thinned = n > BAND_SAMPLES && i * BAND_SAMPLES / n == (i + 1) * BAND_SAMPLES / n;
        if (outside != is_outside || (!is_outside && thinned))
            continue;
        *beyond += is_outside;
        if (written++ < 2 * BAND_SAMPLES)
            fprintf(s, "%.4g %.4f %u\n", fmin(hi, fmax(lo, x)),
                    (double)place + 0.40 + 0.54 * (double)i / (double)n, ink);
    }
}

bool draw_samples(struct figure *f, const struct view_family *family, const struct view_case *c,
                  struct drawn *d)
{
    enum { ROW = 54 };
    struct band bands[BANDS_MAX];
    size_t count = 0;
    double lo = 0, hi = 0, least = 0, most = 0;
    for (size_t i = 0; i < c->count && view_is_right(c->rows[i]); i++) {
        d->total++;
        if (count < BANDS_MAX && make_band(c->rows[i], &bands[count]))
            count++;
    }
    if (count == 0 || !figure_init(f, TOP + BOTTOM + ROW * (int)count))
        return false;
    d->shown = count;
    for (size_t i = 0; i < count; i++) {
        lo = fmin(lo, bands[i].lo);
        hi = fmax(hi, bands[i].hi);
        least = fmin(least, bands[i].least);
        most = fmax(most, bands[i].most);
    }
    /* Wide enough for the bulk of the noisiest row; one far outlier must not flatten all others. */
    lo = fmin(-0.5, fmax(least, 2.5 * lo)) * 1.03;
    hi = fmax(0.5, fmin(most, 2.5 * hi)) * 1.03;

    FILE *s = f->script;
    set_rows(f, count, lo, hi, 106, "deviation from the median of the row, %");
    fputs("$box << EOD\n", s);
    for (size_t i = 0; i < count; i++)
        fprintf(s, "%.4g %.2f %.4g %.4g %u\n", (bands[i].q1 + bands[i].q3) / 2, (double)i + 0.67, bands[i].q1,
                bands[i].q3, figure_ink(view_ink(family, bands[i].row)));
    fputs("EOD\n$in << EOD\n", s);
    for (size_t i = 0; i < count; i++)
        write_strokes(s, &bands[i], i, lo, hi, false, &d->beyond);
    fputs("EOD\n$out << EOD\n", s);
    for (size_t i = 0; i < count; i++)
        write_strokes(s, &bands[i], i, lo, hi, true, &d->beyond);
    fputs("EOD\n", s);
    const bool ms = bands[0].row->r->median_us >= 10000; /* one unit, as in the tables: the fastest row's */
    for (size_t i = 0; i < count; i++) {
        const struct row *r = bands[i].row->r;
        const double value = ms ? r->median_us / 1000 : r->median_us;
        char text[64];
        set_name(f, figure_text(f, r->variant, NAME_CHARACTERS), (double)i + 0.22);
        snprintf(text, sizeof text, "%.*f %s", html_decimals(value, 4), value, ms ? "ms" : "\xc2\xb5s");
        set_value(f, text, (double)i + 0.55);
        snprintf(text, sizeof text, "IQR %.2g %%", bands[i].q3 - bands[i].q1);
        set_value(f, text, (double)i + 0.83);
    }
    fprintf(s, "set label 'median' at 0,graph 1 offset 0,0.6 center font ',11' tc rgb '#%06x'\n",
            figure_ink(INK_TEXT));
    fprintf(s,
            "set style fill solid 0.45 noborder\n"
            "plot $box using 1:2:3:4:($2-0.29):($2+0.29):5 with boxxyerror lc rgb variable notitle, "
            "$box using (0):($2-0.29):(0):(0.58) with vectors nohead lw 1.2 lc rgb '#%06x' notitle, "
            "$in using 1:2:(0):(0.03):3 with vectors nohead lw 2 lc rgb variable notitle",
            figure_ink(INK_TEXT));
    fputs(d->beyond ? ", $out using 1:2:(0):(0.03):3 with vectors nohead lw 3 lc rgb variable notitle\n"
                    : "\n",
          s);
    return true;
}

/* ---- NF4 against int4 ---- */

bool draw_fits(struct figure *f, const struct tensor_fit *fits, size_t count, struct drawn *d)
{
    enum { ROW = 32 };
    double lo = INFINITY, hi = -INFINITY;
    d->total = count;
    d->shown = count < FITS_MAX ? count : FITS_MAX;
    if (count == 0 || !figure_init(f, TOP + BOTTOM + ROW * (int)d->shown))
        return false;
    for (size_t i = 0; i < d->shown; i++) {
        lo = fmin(lo, fmin(fits[i].nf4_db, fits[i].int4_db));
        hi = fmax(hi, fmax(fits[i].nf4_db, fits[i].int4_db));
    }
    FILE *s = f->script;
    set_rows(f, d->shown, floor(lo - 0.5), ceil(hi + 0.5), 100, "SQNR of the weights, dB (higher is better)");
    fprintf(s,
            "set label 'NF4' at screen 0.02,%.5f left point pt 7 ps 0.8 lc rgb '#%06x' offset 1,0 font ',11' "
            "tc rgb '#%06x'\n",
            1 - 12.0 / f->height, figure_ink(INK_S0), figure_ink(INK_TEXT));
    fprintf(s,
            "set label 'absmax int4' at screen 0.12,%.5f left point pt 5 ps 0.7 lc rgb '#%06x' offset 1,0 "
            "font ',11' "
            "tc rgb '#%06x'\n",
            1 - 12.0 / f->height, figure_ink(INK_S1), figure_ink(INK_TEXT));
    for (size_t i = 0; i < d->shown; i++) {
        char value[64];
        set_name(f, figure_text(f, fits[i].name, NAME_CHARACTERS), (double)i + 0.30);
        if (isfinite(fits[i].int4_db))
            snprintf(value, sizeof value, "%+.2f dB", fits[i].nf4_db - fits[i].int4_db);
        else
            snprintf(value, sizeof value, "%.2f dB", fits[i].nf4_db);
        set_value(f, value, (double)i + 0.72);
    }
    bool any_int4 = false;
    fputs("$fits << EOD\n", s);
    for (size_t i = 0; i < d->shown; i++) {
        const bool both = isfinite(fits[i].int4_db);
        any_int4 = any_int4 || both;
        if (both)
            fprintf(s, "%.2f %.10g %.10g\n", (double)i + 0.72, fits[i].nf4_db, fits[i].int4_db);
        else
            fprintf(s, "%.2f %.10g NaN\n", (double)i + 0.72, fits[i].nf4_db);
    }
    fputs("EOD\nplot ", s);
    if (any_int4) {
        fprintf(s, "$fits using 2:1:($3-$2):(0) with vectors nohead lw 1.2 lc rgb '#%06x' notitle, ",
                figure_ink(INK_OTHER));
        fprintf(s, "$fits using 3:1 with points pt 5 ps 0.7 lc rgb '#%06x' notitle, ", figure_ink(INK_S1));
    }
    fprintf(s, "$fits using 2:1 with points pt 7 ps 0.8 lc rgb '#%06x' notitle\n", figure_ink(INK_S0));
    return true;
}
