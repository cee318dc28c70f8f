/* draw.c: speed against m. */
#include "plots/draw.h"

#include <math.h>
#include <string.h>

#include "plots/chart.h"

enum { SERIES_MAX = 40, SERIES_LABELLED = 14, NAME_BYTES = 34 };

struct series {
    const struct view_row *points[DRAW_POINTS_MAX]; /* by ascending m */
    size_t count;
    enum ink ink;
};

const char *draw_prefix(const struct row *r, char buffer[64])
{
    snprintf(buffer, 64, "nf4_%s_%s_", operation_word(r->op), type_word(r->out_type));
    return buffer;
}

/* The name without the prefix. Of a long one both ends say more than the beginning alone, which is the contract. */
static void label_text(struct drawing *d, const struct row *r, char *text, size_t size)
{
    char prefix[64];
    const size_t n = strlen(draw_prefix(r, prefix));
    const bool cut = strncmp(r->variant, prefix, n) == 0 && r->variant[n] && r->variant[n] != '_';
    const char *name = r->variant + (cut ? n : 0);
    const int length = (int)strlen(name), tail = NAME_BYTES / 2;
    d->prefix_cut = d->prefix_cut || cut;
    if (length > NAME_BYTES)
        snprintf(text, size, "%.*s\u2026%s", NAME_BYTES - tail - 1, name, name + length - tail);
    else
        snprintf(text, size, "%s", name);
}

static size_t collect_series(struct drawing *d, const struct view_facet *facet,
                             struct series series[SERIES_MAX])
{
    size_t count = 0;
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
                seen = strcmp(series[j].points[0]->r->variant, variant) == 0;
            if (seen)
                continue;
            d->total++;
            struct series next = {.ink = view_ink(d->family, c->rows[place])};
            for (size_t j = 0; j < facet->case_count; j++) {
                const struct view_row *row = view_row_of(&facet->cases[j], variant);
                if (row && row->r->weights_per_s > 0 && isfinite(row->r->weights_per_s))
                    next.points[next.count++] = row;
            }
            if (next.count > 0 && count < SERIES_MAX)
                series[count++] = next;
        }
    }
    return count;
}

static void draw_m_ticks(const struct chart *c, const struct view_facet *facet, double m_lo, double m_hi)
{
    double ticked = 0;
    for (size_t i = 0; i < facet->case_count; i++) {
        const double m = (double)facet->cases[i].rows[0]->r->m;
        char text[24];
        /* Ticks where there are data, but no closer than their digits are wide. */
        if (m < m_lo || m > m_hi || (ticked > 0 && log(m / ticked) < 0.075 * log(m_hi / m_lo)))
            continue;
        snprintf(text, sizeof text, "%.0f", m);
        chart_tick_x(c, m, text);
        ticked = m;
    }
}

static void draw_series(const struct chart *c, const struct series *s, double scale)
{
    double x[DRAW_POINTS_MAX], y[DRAW_POINTS_MAX];
    for (size_t i = 0; i < s->count; i++) {
        const struct row *r = s->points[i]->r;
        x[i] = (double)r->m;
        y[i] = r->weights_per_s;
        /* The interval of the speed is that of the median, inverted. */
        const double weights = r->weights_per_s * r->median_us, lo = weights / r->median_hi_us,
                     hi = weights / r->median_lo_us;
        if (lo > 0 && isfinite(hi))
            chart_segment(c, chart_x(c, x[i]), chart_y(c, lo), chart_x(c, x[i]), chart_y(c, hi), s->ink, 1,
                          NULL);
    }
    chart_line(c, x, y, s->count, s->ink, s->ink == INK_OTHER ? 1 : 2, s->ink == INK_TEXT ? "4 3" : NULL);
    for (size_t i = 0; i < s->count; i++) {
        char words[400];
        snprintf(words, sizeof words, "%s, M %.0f: %.4g \u00b7 10%s weights per second",
                 s->points[i]->r->variant, x[i], y[i] / scale, scale == 1e9 ? "\u2079" : "\u2076");
        chart_series_mark(c, x[i], y[i], s->ink, &(struct mark){s->points[i], NULL, y[i], words});
    }
}

bool draw_speed(struct drawing *d, const struct view_facet *facet)
{
    struct series series[SERIES_MAX];
    struct chart_label labels[SERIES_MAX];
    struct axis x = {INFINITY, 0, true}, y = x;
    const size_t count = collect_series(d, facet, series);
    size_t lines = 0, label_count = 0;
    for (size_t i = 0; i < count; i++) {
        lines += series[i].count > 1;
        for (size_t j = 0; j < series[i].count; j++) {
            const struct row *r = series[i].points[j]->r;
            x = (struct axis){fmin(x.lo, (double)r->m), fmax(x.hi, (double)r->m), true};
            y = (struct axis){fmin(y.lo, r->weights_per_s), fmax(y.hi, r->weights_per_s), true};
        }
    }
    if (lines == 0 || !(x.lo > 0 && x.lo < x.hi))
        return false;
    d->shown = count;
    const double pad = pow(x.hi / x.lo, 0.03), scale = y.hi >= 1.6e9 ? 1e9 : 1e6;
    const struct chart c = {.out = d->out,
                            .height = 390,
                            .margin = {40, 266, 30, 46},
                            .x = {x.lo / pad, x.hi * pad, true},
                            .y = {y.lo / 1.25, y.hi * 1.25, true}};
    chart_begin(&c, d->label);
    chart_ticks_y(&c, scale);
    draw_m_ticks(&c, facet, x.lo, x.hi);
    chart_titles(&c, "M, rows of activations",
                 scale == 1e9 ? "10\u2079 weights per second" : "10\u2076 weights per second");
    for (size_t i = count; i-- > 0;) /* the best last, on top */
        draw_series(&c, &series[i], scale);
    for (size_t i = 0; i < count; i++) {
        const struct row *last = series[i].points[series[i].count - 1]->r;
        struct chart_label *label = &labels[label_count];
        if (series[i].ink == INK_OTHER && count > SERIES_LABELLED)
            continue;
        *label = (struct chart_label){chart_x(&c, (double)last->m), chart_y(&c, last->weights_per_s),
                                      series[i].ink, ""};
        label_text(d, last, label->text, sizeof label->text);
        label_count++;
    }
    chart_labels(&c, labels, label_count);
    chart_end(&c);
    return true;
}
