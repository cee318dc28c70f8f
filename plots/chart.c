#include "plots/chart.h"

#include <math.h>
#include <stdlib.h>

/* ---- axes ---- */

static double along(const struct axis *a, double value)
{
    double at = a->log ? log(value / a->lo) / log(a->hi / a->lo) : (value - a->lo) / (a->hi - a->lo);
    return fmin(1.02, fmax(-0.02, at)); /* what lies outside is seen at the edge */
}

double chart_x(const struct chart *c, double value)
{
    return c->margin.left + (CHART_WIDTH - c->margin.left - c->margin.right) * along(&c->x, value);
}

double chart_y(const struct chart *c, double value)
{
    return c->height - c->margin.bottom -
           (c->height - c->margin.top - c->margin.bottom) * along(&c->y, value);
}

void chart_begin(const struct chart *c, const char *label)
{
    fprintf(c->out, "<svg viewBox=\"0 0 %d %.0f\" role=\"img\" ", CHART_WIDTH, c->height);
    html_print(c->out, "aria-label=\"%s\">", label);
}

void chart_end(const struct chart *c)
{
    fputs("</svg>", c->out);
}

void chart_text(const struct chart *c, double x, double y, const char *anchor, enum ink ink, const char *text)
{
    fprintf(c->out, "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\" fill=\"var(--%s)\">", x, y, anchor,
            ink_variable(ink));
    html_print(c->out, "%s</text>", text);
}

void chart_segment(const struct chart *c, double x1, double y1, double x2, double y2, enum ink ink,
                   double width, const char *dash)
{
    fprintf(c->out, "<path d=\"M%.1f %.1fL%.1f %.1f\" stroke=\"var(--%s)\" stroke-width=\"%g\"", x1, y1, x2,
            y2, ink_variable(ink), width);
    if (dash)
        fprintf(c->out, " stroke-dasharray=\"%s\"", dash);
    fputs("/>", c->out);
}

void chart_reference(const struct chart *c, double x, const char *word)
{
    const double at = chart_x(c, x);
    chart_segment(c, at, c->margin.top - 6, at, c->height - c->margin.bottom, INK_TEXT, 1.2, "4 3");
    chart_text(c, at, c->margin.top - 10, "middle", INK_TEXT, word);
}

void chart_tick_x(const struct chart *c, double value, const char *text)
{
    const double x = chart_x(c, value), bottom = c->height - c->margin.bottom;
    chart_segment(c, x, c->margin.top, x, bottom, INK_LINE, 0.8, NULL);
    chart_text(c, x, bottom + 15, "middle", INK_MUTED, text);
}

static void tick_y(const struct chart *c, double value, const char *text)
{
    const double y = chart_y(c, value);
    chart_segment(c, c->margin.left, y, CHART_WIDTH - c->margin.right, y, INK_LINE, 0.8, NULL);
    chart_text(c, c->margin.left - 5, y + 4, "end", INK_MUTED, text);
}

static void write_ticks(const struct chart *c, const struct axis *a, double scale,
                        void (*tick)(const struct chart *, double, const char *))
{
    static const int digits[] = {1, 2, 5};
    char text[32];
    if (!a->log) {
        const double rough = (a->hi - a->lo) / 6, power = pow(10, floor(log10(rough)));
        const double step = power * (rough > 5 * power ? 10 : rough > 2 * power ? 5 : rough > power ? 2 : 1);
        for (double at = ceil(a->lo / step) * step; at <= a->hi * (1 + 1e-9); at += step) {
            snprintf(text, sizeof text, "%g", fabs(at) < step / 2 ? 0 : at / scale);
            tick(c, at, text);
        }
        return;
    }
    const int sparse = log10(a->hi / a->lo) > 3.2 ? 1 : 3;
    for (int e = (int)floor(log10(a->lo)); e <= (int)ceil(log10(a->hi)); e++)
        for (int i = 0; i < sparse; i++) {
            const double at = digits[i] * pow(10, e);
            if (at < a->lo || at > a->hi)
                continue;
            snprintf(text, sizeof text, "%g", at / scale);
            tick(c, at, text);
        }
}

void chart_ticks_x(const struct chart *c, double scale)
{
    write_ticks(c, &c->x, scale, chart_tick_x);
}

void chart_ticks_y(const struct chart *c, double scale)
{
    write_ticks(c, &c->y, scale, tick_y);
}

void chart_titles(const struct chart *c, const char *x, const char *y)
{
    chart_text(c, c->margin.left, c->height - 6, "start", INK_MUTED, x);
    if (y)
        chart_text(c, 4, 12, "start", INK_MUTED, y);
}

/* ---- data ---- */

void chart_line(const struct chart *c, const double *x, const double *y, size_t count, enum ink ink,
                double width, const char *dash)
{
    if (count < 2)
        return;
    fputs("<path d=\"", c->out);
    for (size_t i = 0; i < count; i++)
        fprintf(c->out, "%c%.1f %.1f", i ? 'L' : 'M', chart_x(c, x[i]), chart_y(c, y[i]));
    fprintf(c->out, "\" fill=\"none\" stroke=\"var(--%s)\" stroke-width=\"%g\"", ink_variable(ink), width);
    if (dash)
        fprintf(c->out, " stroke-dasharray=\"%s\"", dash);
    fputs("/>", c->out);
}

/* As attributes, then the words; the element is left open for them and closed. */
static void write_data(const struct chart *c, const struct mark *m, const char *element)
{
    fprintf(c->out, " data-value=\"%.17g\"", m->value);
    if (m->row)
        fprintf(c->out, " data-file=\"%u\" data-row=\"%u\" data-us=\"%.17g\"", m->row->set, m->row->number,
                m->row->r->median_us);
    if (m->over)
        fprintf(c->out, " data-over=\"%u\"", m->over->number);
    html_print(c->out, "><title>%s</title></%s>", m->words, element);
}

/* Disc, square, triangle, diamond, ring, cross, small disc: paths around 0,0. */
static const struct {
    const char *path;
    bool hollow;
} forms[] = {{"M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0z", false},
             {"M-3.6-3.6h7.2v7.2h-7.2z", false},
             {"M0-4.6L4.4 3.4H-4.4z", false},
             {"M0-5L5 0L0 5L-5 0z", false},
             {"M-3.6 0a3.6 3.6 0 1 0 7.2 0a3.6 3.6 0 1 0-7.2 0z", true},
             {"M-4-4L4 4M-4 4L4-4", true},
             {"M-1.5 0a1.5 1.5 0 1 0 3 0a1.5 1.5 0 1 0-3 0z", false}};
enum { FORM_DISC = 0, FORM_SMALL = 6 };

/* The tag of a mark at x, y in pixels, left open. */
static void open_mark(const struct chart *c, double x, double y, int form, enum ink ink, const char *class)
{
    fprintf(
        c->out, "<path%s transform=\"translate(%.1f %.1f)\" d=\"%s\" fill=\"var(--%s)\" stroke=\"var(--%s)\"",
        class, x, y, forms[form].path, ink_variable(forms[form].hollow ? INK_BACK : ink), ink_variable(ink));
}

void chart_mark(const struct chart *c, double x, double y, enum weights form, const struct mark *mark)
{
    open_mark(c, chart_x(c, x), chart_y(c, y), (int)form, weights_looks[form].ink, " class=\"mark\"");
    write_data(c, mark, "path");
}

void chart_series_mark(const struct chart *c, double x, double y, enum ink ink, const struct mark *mark)
{
    const int form = ink == INK_OTHER ? FORM_SMALL : ink > INK_S5 ? FORM_DISC : (int)ink;
    open_mark(c, chart_x(c, x), chart_y(c, y), form, ink, " class=\"mark\"");
    write_data(c, mark, "path");
}

void chart_key(const struct chart *c, double x, double y, enum weights form, const char *name)
{
    open_mark(c, x, y, (int)form, weights_looks[form].ink, "");
    fputs("/>", c->out);
    chart_text(c, x + 9, y + 4, "start", INK_TEXT, name);
}

void chart_keys(const struct chart *c, double y, const bool seen[WEIGHTS_COUNT])
{
    double x = 46;
    for (int w = 0; w < WEIGHTS_COUNT; w++)
        if (seen[w]) {
            chart_key(c, x, y, (enum weights)w, weights_looks[w].label);
            x += 70;
        }
}

void chart_bar(const struct chart *c, double lo, double hi, double y, double thick, enum ink ink,
               double opacity, const struct mark *mark)
{
    fprintf(c->out,
            "<rect class=\"mark\" x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" fill=\"var(--%s)\" "
            "fill-opacity=\"%g\"",
            chart_x(c, lo), y - thick / 2, chart_x(c, hi) - chart_x(c, lo), thick, ink_variable(ink),
            opacity);
    write_data(c, mark, "rect");
}

void chart_whisker(const struct chart *c, double lo, double hi, double y)
{
    if (!isfinite(lo) || !isfinite(hi))
        return;
    const double a = chart_x(c, lo), b = chart_x(c, hi);
    fprintf(
        c->out,
        "<path d=\"M%.1f %.1fH%.1fM%.1f %.1fv7M%.1f %.1fv7\" stroke=\"var(--text)\" stroke-width=\"1.2\"/>",
        a, y, b, a, y - 3.5, b, y - 3.5);
}

void chart_dots(const struct chart *c, const double *x, const double *y, size_t count, enum ink ink,
                double width)
{
    if (count == 0)
        return;
    fputs("<path d=\"", c->out);
    for (size_t i = 0; i < count; i++)
        fprintf(c->out, "M%.1f %.1fv1.6", chart_x(c, x[i]), y[i]);
    fprintf(c->out, "\" stroke=\"var(--%s)\" stroke-width=\"%g\"/>", ink_variable(ink), width);
}

/* ---- labels ---- */

static int by_y(const void *pa, const void *pb)
{
    const struct chart_label *a = pa, *b = pb;
    return (a->y > b->y) - (a->y < b->y);
}

void chart_labels(const struct chart *c, struct chart_label *labels, size_t count)
{
    const double gap = 14, x = CHART_WIDTH - c->margin.right + 22;
    double *at = calloc(count ? count : 1, sizeof at[0]);
    if (!at)
        return;
    qsort(labels, count, sizeof labels[0], by_y);
    for (size_t i = 0; i < count; i++)
        at[i] = i && labels[i].y < at[i - 1] + gap ? at[i - 1] + gap : labels[i].y;
    for (size_t i = count; i-- > 0;) /* up again, where they left the frame */
        at[i] = fmin(at[i], i + 1 < count ? at[i + 1] - gap : c->height - c->margin.bottom);
    for (size_t i = 0; i < count; i++) {
        chart_segment(c, labels[i].x + 5, labels[i].y, x - 3, at[i], labels[i].ink, 0.7, NULL);
        chart_text(c, x, at[i] + 4, "start", labels[i].ink == INK_OTHER ? INK_MUTED : INK_TEXT,
                   labels[i].text);
    }
    free(at);
}
