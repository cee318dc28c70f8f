/* speedup.c: how much faster than the dense product a product on packed weights is, against M. */
#include <math.h>
#include <stdlib.h>

#include "plots/chart.h"
#include "plots/sections.h"

enum { FIGURES_MAX = 4 /* of a device */, LINES_MAX = 12, POINTS_MAX = 64 };

/* The fastest row of one kind and track in a task, and the dense one. */
struct gain {
    const struct task *task;
    const struct view_row *row, *dense;
    struct paired_ratio ratio; /* dense time over the row's */
    double ideal;
};

struct gains {
    struct gain *list; /* in the order of tasks */
    size_t count;
};

/* Time in which the bytes and the operations of a row could be done. */
static double least_time(const struct view_row *row, double bytes_per_s, double flop_per_s)
{
    const struct row *r = row->r;
    const double flop = 2.0 * (double)r->m * (double)r->n * (double)r->k;
    return fmax(r->format_bytes / bytes_per_s, flop_per_s > 0 ? flop / flop_per_s : 0);
}

/* What the bytes allow at the speed of memory that was measured beside the rows; less, where a dense
 * product's flops bind both. A product in another type may be no ceiling: what the rows themselves reached is
 * possible. */
static double ideal_gain(const struct tasks *t, const struct view_row *row, const struct view_row *dense)
{
    const struct row *a = row->r, *b = dense->r;
    const struct view_row *ceiling = task_ceiling(t, row);
    const double speed = ceiling ? ceiling->r->bytes_per_s : NAN;
    double flop = a->gemm_flop_per_s;
    if (!(speed > 0))
        return b->bits_per_weight / a->bits_per_weight;
    if (flop > 0)
        flop = fmax(flop, fmax(a->flop_per_s, b->flop_per_s));
    return least_time(dense, speed, flop) / least_time(row, speed, flop);
}

static struct gains find_gains(const struct tasks *t)
{
    struct gains g = {calloc(t->v->timed_count + 1, sizeof(struct gain)), 0};
    for (size_t i = 0; g.list && i < t->count; i++) {
        const struct task *task = &t->list[i];
        const struct view_row *dense = task_fastest(task, WEIGHTS_DENSE);
        if (!dense || dense->r->op != TASK_GEMM)
            continue;
        for (size_t j = 0; j < task->count; j++) {
            const struct view_row *row = task->rows[j];
            if (weights_of(row) == WEIGHTS_DENSE || !task_is_best(task, j))
                continue;
            const struct view_row *other = task_paired(task, row, dense);
            g.list[g.count++] =
                (struct gain){task, row, other, view_ratio(t->v, other, row), ideal_gain(t, row, other)};
        }
    }
    return g;
}

/* ---- the table ---- */

static void write_table(struct page *p, const struct tasks *t, const struct gains *g)
{
    static const struct table_column columns[] = {
        COLUMN_DEVICE,
        COLUMN_TYPE,
        COLUMNS_SIZE,
        COLUMNS_WEIGHTS,
        COLUMNS_VARIANT,
        COLUMN("dense_variant", "dense", "fastest", CELL_NAME, 0),
        COLUMN("dense_median_us", "median", "of dense, \u00b5s", CELL_NUMBER, -4),
        COLUMN("speedup_over_dense", "speed-up", "over dense", CELL_RATIO, 2),
        COLUMN("ideal_speedup", "ideal", NULL, CELL_NUMBER, 2),
    };
    char kind[KIND_TEXT];
    struct table table = TABLE("speedup", "Speed-up over the fastest dense product", columns);
    for (size_t i = 0; i < g->count; i++) {
        const struct gain *gain = &g->list[i];
        const struct row *r = gain->row->r, *dense = gain->dense->r;
        const struct paired_ratio *q = &gain->ratio;
        table_cells(&table, "%s %s %f %f %f %s %s %s %f %f %s %f", t->devices[gain->task->device].label,
                    type_word(r->out_type), (double)r->m, (double)r->n, (double)r->k,
                    kind_text(kind_of(gain->row), kind), track_words[track_of(gain->row)], r->variant,
                    r->bits_per_weight, r->median_us, dense->variant, dense->median_us);
        table_ratio(&table, q->ratio, q->ci.lo, q->ci.hi, q->count > 0 ? NULL : "unpaired");
        table_number(&table, gain->ideal);
    }
    page_table(p, &table, PAGE_FOLDED);
}

/* ---- figures ---- */

/* The gains of one shape: list[first .. first + count). */
struct speedup_panel {
    size_t first, count, sizes; /* sizes: different m */
};

static struct speedup_panel panel_from(const struct tasks *t, const struct gains *g, size_t first)
{
    struct speedup_panel panel = {first, 0, 0};
    const size_t task = (size_t)(g->list[first].task - t->list);
    for (size_t i = first; i < g->count; i++) {
        if (!same_shape(t, task, (size_t)(g->list[i].task - t->list)))
            break;
        panel.sizes += i == first || g->list[i].task != g->list[i - 1].task;
        panel.count++;
    }
    return panel;
}

static bool same_line(const struct gain *a, const struct gain *b)
{
    return kind_equal(kind_of(a->row), kind_of(b->row)) && track_of(a->row) == track_of(b->row);
}

static void draw_gain_line(const struct chart *c, const struct gain *gains, size_t count, size_t first,
                           struct chart_label *label)
{
    double x[POINTS_MAX], y[POINTS_MAX], ideal[POINTS_MAX];
    const struct gain *points[POINTS_MAX];
    size_t n = 0;
    char kind[KIND_TEXT], words[400];
    for (size_t i = first; i < count && n < POINTS_MAX; i++) {
        if (!same_line(&gains[i], &gains[first]))
            continue;
        x[n] = (double)gains[i].row->r->m;
        y[n] = gains[i].ratio.ratio;
        ideal[n] = gains[i].ideal;
        points[n++] = &gains[i];
    }
    const enum weights format = weights_of(gains[first].row);
    const enum ink ink = weights_looks[format].ink;
    const char *layout =
        track_of(gains[first].row) == TRACK_CHECKPOINT ? "" : track_words[track_of(gains[first].row)];
    kind_text(kind_of(gains[first].row), kind);
    chart_line(c, x, ideal, n, ink, 1.2, "2 4");
    chart_line(c, x, y, n, ink, 2, NULL);
    for (size_t i = 0; i < n; i++) {
        const struct row *r = points[i]->row->r;
        const struct paired_ratio *q = &points[i]->ratio;
        snprintf(words, sizeof words, "%s %s, M %.0f: %.3g times dense%s, ideal %.3g; %s", kind, layout, x[i],
                 q->ratio, q->count > 0 ? "" : " (unpaired)", ideal[i], r->variant);
        chart_mark(c, x[i], y[i], format, &(struct mark){points[i]->row, points[i]->dense, q->ratio, words});
    }
    *label = (struct chart_label){.x = chart_x(c, x[n - 1]), .y = chart_y(c, y[n - 1]), .ink = ink};
    snprintf(label->text, sizeof label->text, "%.28s%s%s", kind, layout[0] ? ", " : "", layout);
}

static void draw_panel(struct page *p, const struct tasks *t, const struct gains *g,
                       const struct speedup_panel *panel)
{
    const struct gain *gains = g->list + panel->first;
    const struct row *r = gains[0].row->r;
    const double m_lo = (double)r->m, m_hi = (double)gains[panel->count - 1].row->r->m;
    struct chart_label labels[LINES_MAX];
    char caption[400], field[FIELD_TEXT];
    size_t label_count = 0;
    double most = 1;
    for (size_t i = 0; i < panel->count; i++)
        most = fmax(most, fmax(gains[i].ratio.ratio, gains[i].ideal));
    snprintf(caption, sizeof caption,
             "%s: %s, N %.0f, K %.0f. The fastest right variant of each format at each M. Dotted: the ideal, "
             "bytes over bytes at the measured speed of memory, until a dense product's flops bind.",
             t->devices[gains[0].task->device].label, field_text(gains[0].task, field), (double)r->n,
             (double)r->k);
    FILE *out = page_figure(p, "Speed-up over dense against M", caption);
    if (!out)
        return;
    const struct chart c = {.out = out,
                            .height = 360,
                            .margin = {34, 250, 32, 46},
                            .x = {m_lo / 1.1, m_hi * 1.1, true},
                            .y = {0, most * 1.08, false}};
    chart_begin(&c, caption);
    chart_ticks_y(&c, 1);
    for (size_t i = 0; i < panel->count; i++) {
        const double m = (double)gains[i].row->r->m;
        char text[24];
        snprintf(text, sizeof text, "%.0f", m);
        if (i == 0 || gains[i].task != gains[i - 1].task)
            chart_tick_x(&c, m, text);
    }
    chart_segment(&c, c.margin.left, chart_y(&c, 1), CHART_WIDTH - c.margin.right, chart_y(&c, 1), INK_TEXT,
                  1.2, "4 3");
    chart_text(&c, c.margin.left + 4, chart_y(&c, 1) - 4, "start", INK_TEXT, "dense");
    chart_titles(&c, "M, rows of activations", "times as fast as dense");
    for (size_t i = 0; i < panel->count && label_count < LINES_MAX; i++) {
        bool drawn = false;
        for (size_t j = 0; j < i && !drawn; j++)
            drawn = same_line(&gains[j], &gains[i]);
        if (!drawn)
            draw_gain_line(&c, gains, panel->count, i, &labels[label_count++]);
    }
    chart_labels(&c, labels, label_count);
    chart_end(&c);
    page_end_figure(p);
}

/* The shapes with the most gains, those of a device in turn. */
static void draw_panels(struct page *p, const struct tasks *t, const struct gains *g, size_t device)
{
    struct speedup_panel last = {0, SIZE_MAX, 0};
    for (int figures = 0; figures < FIGURES_MAX; figures++) {
        struct speedup_panel most = {0, 0, 0}; /* of those that come after the last one */
        for (size_t i = 0; i < g->count;) {
            const struct speedup_panel panel = panel_from(t, g, i);
            const bool after = panel.count == last.count ? i > last.first : panel.count < last.count;
            if (g->list[i].task->device == device && panel.sizes > 1 && after && panel.count > most.count)
                most = panel;
            i += panel.count;
        }
        if (most.count == 0)
            return;
        draw_panel(p, t, g, &most);
        last = most;
    }
}

void section_speedup(struct page *p, const struct tasks *t)
{
    struct gains g = find_gains(t);
    if (!g.list) {
        p->status = status_no_memory("the speed-ups");
        return;
    }
    if (g.count > 0) {
        page_section(p, "speedup", "Speed-up over dense");
        for (size_t d = 0; d < t->device_count; d++)
            draw_panels(p, t, &g, d);
        write_table(p, t, &g);
        page_end_section(p);
    }
    free(g.list);
}
