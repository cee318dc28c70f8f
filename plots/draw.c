#include "plots/draw.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SERIES_MAX = 40, SERIES_LABELLED = 14 };

const char *draw_prefix(const struct row *r, char buffer[64])
{
    snprintf(buffer, 64, "nf4_%s_%s_", view_op(r), view_type(r));
    return buffer;
}

int draw_label(struct figure *f, const struct row *r, int longest, struct drawn *d)
{
    char prefix[64], text[sizeof((struct record *)0)->variant + 8];
    const size_t n = strlen(draw_prefix(r, prefix));
    const bool cut = strncmp(r->variant, prefix, n) == 0 && r->variant[n] && r->variant[n] != '_';
    const char *name = r->variant + (cut ? n : 0);
    const int length = (int)strlen(name), tail = longest / 2;
    d->prefix_cut = d->prefix_cut || cut;
    /* Too long: both ends tell more than the beginning alone, which is the contract. */
    if (length > longest) {
        snprintf(text, sizeof text, "%.*s\xe2\x80\xa6%s", longest - tail - 1, name, name + length - tail);
        name = text;
    }
    return figure_text(f, name, 0);
}

void draw_frame(struct figure *f, int left, int right, int top, int bottom)
{
    FILE *s = f->script;
    const double w = FIGURE_WIDTH, h = f->height;
    fprintf(s, "set lmargin at screen %.5f\nset rmargin at screen %.5f\n", left / w, 1 - right / w);
    fprintf(s, "set tmargin at screen %.5f\nset bmargin at screen %.5f\n", 1 - top / h, bottom / h);
    fprintf(s, "set key off\nset border 3 lw 0.8 lc rgb '#%06x'\n", figure_ink(INK_OTHER));
    fprintf(s, "set tics out nomirror scale 0.4 tc rgb '#%06x'\n", figure_ink(INK_MUTED));
    fprintf(s, "set grid lt 1 lw 0.7 lc rgb '#%06x'\n", figure_ink(INK_LINE));
}

void draw_axis_title(struct figure *f, double x, double y, const char *title)
{
    fprintf(f->script, "set label '%s' at screen %.5f,%.5f left tc rgb '#%06x'\n", title, x / FIGURE_WIDTH,
            y / f->height, figure_ink(INK_MUTED));
}

/* Ticks of a log axis at 1, 2, 5 times powers of ten, or at the powers alone where that would be too many. */
static void set_log_tics(FILE *s, double lo, double hi, double scale)
{
    const bool sparse = log10(hi / lo) > 3.2;
    static const int digits[] = {1, 2, 5};
    const char *comma = "";
    fputs("set ytics (", s);
    for (int e = (int)floor(log10(lo)); e <= (int)ceil(log10(hi)); e++)
        for (int i = 0; i < (sparse ? 1 : 3); i++) {
            double at = digits[i] * pow(10, e);
            if (at < lo || at > hi)
                continue;
            fprintf(s, "%s'%g' %.17g", comma, at / scale, at);
            comma = ", ";
        }
    fputs(")\n", s);
}

/* ---- speed against m ---- */

struct series {
    const struct view_row *first, *last;
    size_t points;
    enum ink ink;
    double label_y; /* pixels from the bottom */
    bool labelled;
};

static const struct view_row *row_of(const struct view_case *c, const char *variant)
{
    for (size_t i = 0; i < c->count && view_is_right(c->rows[i]); i++)
        if (strcmp(c->rows[i]->r->variant, variant) == 0)
            return c->rows[i]->r->weights_per_s > 0 && isfinite(c->rows[i]->r->weights_per_s) ? c->rows[i]
                                                                                              : NULL;
    return NULL;
}

static size_t collect_series(const struct view_family *family, const struct view_facet *facet,
                             struct series series[SERIES_MAX], size_t *total)
{
    size_t count = 0;
    *total = 0;
    /* By place within a case: the fast ones first, so that a limit drops the slow ones. */
    for (size_t place = 0, more = 1; more; place++) {
        more = 0;
        for (size_t i = 0; i < facet->case_count; i++) {
            const struct view_case *c = &facet->cases[i];
            if (place >= c->count || !view_is_right(c->rows[place]))
                continue;
            more = 1;
            const char *variant = c->rows[place]->r->variant;
            bool seen = false;
            for (size_t j = 0; j < count && !seen; j++)
                seen = strcmp(series[j].first->r->variant, variant) == 0;
            if (seen)
                continue;
            ++*total;
            struct series next = {.ink = view_ink(family, c->rows[place])};
            for (size_t j = 0; j < facet->case_count; j++) {
                const struct view_row *row = row_of(&facet->cases[j], variant);
                if (!row)
                    continue;
                next.first = next.first ? next.first : row;
                next.last = row;
                next.points++;
            }
            if (next.points > 0 && count < SERIES_MAX)
                series[count++] = next;
        }
    }
    return count;
}

static int by_label_y(const void *pa, const void *pb)
{
    const struct series *a = *(const struct series *const *)pa, *b = *(const struct series *const *)pb;
    return (a->label_y < b->label_y) - (a->label_y > b->label_y);
}

/* Moves labels apart, from the top down, then up again where they would leave the frame. */
static void spread_labels(struct series *const *labels, size_t count, double bottom, double top)
{
    const double gap = 15;
    for (size_t i = 0; i < count; i++) {
        const double limit = i ? labels[i - 1]->label_y - gap : top;
        labels[i]->label_y = fmin(labels[i]->label_y, limit);
    }
    for (size_t i = count; i-- > 0;) {
        const double limit = i + 1 < count ? labels[i + 1]->label_y + gap : bottom;
        labels[i]->label_y = fmax(labels[i]->label_y, limit);
    }
}

bool draw_speed(struct figure *f, const struct view_family *family, const struct view_facet *facet,
                struct drawn *d)
{
    enum { HEIGHT = 390, LEFT = 40, RIGHT = 244, TOP = 30, BOTTOM = 50 };
    static const int point_types[] = {7, 5, 9, 13, 11, 6}; /* disc, square, triangle, diamond, ..., ring */
    struct series series[SERIES_MAX], *labels[SERIES_MAX];
    double lo = INFINITY, hi = 0;
    uint64_t m_lo = UINT64_MAX, m_hi = 0;
    size_t label_count = 0, lines = 0;
    const size_t count = collect_series(family, facet, series, &d->total);
    for (size_t i = 0; i < count; i++) {
        lines += series[i].points > 1;
        for (size_t j = 0; j < facet->case_count; j++) {
            const struct view_row *row = row_of(&facet->cases[j], series[i].first->r->variant);
            if (!row)
                continue;
            lo = fmin(lo, row->r->weights_per_s);
            hi = fmax(hi, row->r->weights_per_s);
            m_lo = row->r->m < m_lo ? row->r->m : m_lo;
            m_hi = row->r->m > m_hi ? row->r->m : m_hi;
        }
    }
    if (lines == 0 || m_lo == 0 || m_lo >= m_hi || !figure_init(f, HEIGHT))
        return false;
    d->shown = count;
    lo /= 1.25;
    hi *= 1.25;

    FILE *s = f->script;
    draw_frame(f, LEFT, RIGHT, TOP, BOTTOM);
    const double pad = pow((double)m_hi / (double)m_lo, 0.03), scale = hi >= 2e9 ? 1e9 : 1e6;
    fprintf(s, "set logscale xy\nset xrange [%.17g:%.17g]\nset yrange [%.17g:%.17g]\n", (double)m_lo / pad,
            (double)m_hi * pad, lo, hi);
    draw_axis_title(f, LEFT, 8, "M, rows of activations");
    draw_axis_title(f, 4, HEIGHT - 12,
                    scale == 1e9 ? "10\xe2\x81\xb9 weights per second" : "10\xe2\x81\xb6 weights per second");
    set_log_tics(s, lo, hi, scale);
    fputs("set xtics (", s);
    uint64_t ticked = 0;
    for (size_t i = 0; i < facet->case_count; i++) {
        const uint64_t m = facet->cases[i].rows[0]->r->m;
        /* Ticks where there are data, but no closer than their digits are wide. */
        if (m < m_lo || m > m_hi ||
            (ticked && log((double)m / (double)ticked) < 0.075 * log((double)m_hi / (double)m_lo)))
            continue;
        fprintf(s, "%s'%" PRIu64 "' %" PRIu64, ticked ? ", " : "", m, m);
        ticked = m;
    }
    fputs(")\n", s);

    const double plot_top = HEIGHT - TOP, plot_height = HEIGHT - TOP - BOTTOM;
    for (size_t i = 0; i < count; i++) {
        series[i].labelled = series[i].ink != INK_OTHER || count <= SERIES_LABELLED;
        series[i].label_y = BOTTOM + plot_height * log(series[i].last->r->weights_per_s / lo) / log(hi / lo);
        if (series[i].labelled)
            labels[label_count++] = &series[i];
    }
    qsort(labels, label_count, sizeof labels[0], by_label_y);
    spread_labels(labels, label_count, BOTTOM + 4, plot_top - 4);
    const double label_x = FIGURE_WIDTH - RIGHT + 24;
    for (size_t i = 0; i < label_count; i++) {
        const struct series *l = labels[i];
        const double y = l->label_y / HEIGHT;
        fprintf(s, "set label '~%d~' at screen %.5f,%.5f left font ',10.5' tc rgb '#%06x'\n",
                draw_label(f, l->last->r, 34, d), label_x / FIGURE_WIDTH, y,
                figure_ink(l->ink == INK_OTHER ? INK_MUTED : INK_TEXT));
        fprintf(
            s, "set arrow from first %" PRIu64 ",%.17g to screen %.5f,%.5f nohead lw 0.7 lc rgb '#%06x'\n",
            l->last->r->m, l->last->r->weights_per_s, (label_x - 4) / FIGURE_WIDTH, y, figure_ink(l->ink));
    }
    for (size_t i = 0; i < count; i++) {
        fprintf(s, "$s%zu << EOD\n", i);
        for (size_t j = 0; j < facet->case_count; j++) {
            const struct view_row *row = row_of(&facet->cases[j], series[i].first->r->variant);
            if (!row)
                continue;
            /* The interval of the speed is that of the median, inverted. */
            const double weights = row->r->weights_per_s * row->r->median_us;
            const double worst = weights / row->r->median_hi_us, best = weights / row->r->median_lo_us;
            fprintf(s, "%" PRIu64 " %.10g %.10g %.10g\n", row->r->m, row->r->weights_per_s,
                    worst > 0 && isfinite(worst) ? worst : row->r->weights_per_s,
                    best > 0 && isfinite(best) ? best : row->r->weights_per_s);
        }
        fputs("EOD\n", s);
    }
    fputs("plot ", s);
    for (size_t k = count; k-- > 0;) { /* the best last, on top */
        const struct series *l = &series[k];
        const bool coloured = l->ink != INK_OTHER;
        const int point = (int)l->ink < INK_SERIES ? point_types[l->ink] : 7;
        fprintf(s, "$s%zu using 1:3:(0):($4-$3) with vectors nohead lw 1 lc rgb '#%06x' title '~%d~', ", k,
                figure_ink(l->ink), figure_text(f, l->first->r->variant, 0));
        fprintf(s, "$s%zu using 1:2 with linespoints lw %s%s pt %d ps %s lc rgb '#%06x' notitle%s", k,
                coloured ? "2" : "1", l->ink == INK_TEXT ? " dt 2" : "", point, coloured ? "0.55" : "0.25",
                figure_ink(l->ink), k ? ", " : "\n");
    }
    return true;
}
