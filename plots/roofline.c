/* roofline.c: operations per second against operations per byte, under the ceilings that the same run
 * measured. */
#include <math.h>
#include <string.h>

#include "plots/chart.h"
#include "plots/sections.h"

enum { FIGURES_MAX = 8, TASKS_DRAWN = 120 /* of a figure */ };

/* The ceilings of a device: the fastest of each kind that any row measured; NAN where none did. */
struct ceilings {
    double read, copy; /* bytes per second */
    double flop_per_s;
};

static bool is_on(const struct tasks *t, const struct view_row *row, size_t device)
{
    const struct row *r = row->r;
    const struct task_device *d = &t->devices[device];
    return row->set == d->set && strcmp(r->device_uuid, d->uuid) == 0 &&
           (!r->device[0] || strcmp(r->device, d->name) == 0);
}

static void keep_faster(double *best, double speed)
{
    if (isfinite(speed) && speed > 0)
        *best = fmax(*best, speed);
}

/* Of cold rows where there are some: what is repeated on the same operands measures a cache. */
static struct ceilings ceilings_of(const struct tasks *t, size_t device)
{
    struct ceilings c = {NAN, NAN, NAN};
    for (int regime = REGIME_COLD; regime <= REGIME_HOT && isnan(c.read) && isnan(c.copy); regime++)
        for (size_t i = 0; i < t->ceiling_count; i++) {
            const struct row *r = t->ceilings[i]->r;
            if (r->regime != regime || !is_on(t, t->ceilings[i], device))
                continue;
            if (strcmp(r->variant, "ceiling_read") == 0)
                keep_faster(&c.read, r->bytes_per_s);
            else if (strcmp(r->variant, "ceiling_copy") == 0)
                keep_faster(&c.copy, r->bytes_per_s);
        }
    for (size_t i = 0; i < t->count; i++)
        if (t->list[i].device == device)
            keep_faster(&c.flop_per_s, t->list[i].rows[0]->r->gemm_flop_per_s);
    return c;
}

/* Operations per byte; NAN for what multiplies nothing. */
static double intensity(const struct view_row *row)
{
    const struct row *r = row->r;
    const double flop = 2.0 * (double)r->m * (double)r->n * (double)r->k, value = flop / r->format_bytes;
    return isfinite(value) && value > 0 && isfinite(r->flop_per_s) && r->flop_per_s > 0 ? value : NAN;
}

/* ---- tables ---- */

static void write_ceilings(struct page *p, const struct tasks *t)
{
    static const struct table_column columns[] = {
        COLUMN_DEVICE,
        COLUMN("ceiling", "measured ceiling", NULL, CELL_TEXT, 0),
        COLUMN_SCALED("bytes_per_s", "GB/s", NULL, CELL_NUMBER, -4, 1e9),
        COLUMN_SCALED("gemm_flop_per_s", "Tflop/s", NULL, CELL_NUMBER, -4, 1e12),
    };
    struct table table = TABLE("ceilings", "Measured ceilings", columns);
    for (size_t d = 0; d < t->device_count; d++) {
        const struct ceilings c = ceilings_of(t, d);
        const struct {
            const char *name;
            double bytes_per_s, flop_per_s;
        } rows[] = {{"read", c.read, NAN}, {"copy", c.copy, NAN}, {"dense product", NAN, c.flop_per_s}};
        for (int i = 0; i < 3 && t->devices[d].formats > 1; i++)
            if (isfinite(rows[i].bytes_per_s) || isfinite(rows[i].flop_per_s))
                table_cells(&table, "%s %s %f %f", t->devices[d].label, rows[i].name, rows[i].bytes_per_s,
                            rows[i].flop_per_s);
    }
    page_table(p, &table, PAGE_SHOWN);
}

static void write_points(struct page *p, const struct tasks *t)
{
    static const struct table_column columns[] = {
        COLUMNS_FIELD,
        COLUMNS_SIZE,
        COLUMNS_WEIGHTS,
        COLUMN_VARIANT,
        COLUMN("flop_per_byte", "flop/byte", NULL, CELL_NUMBER, 2),
        COLUMN_SCALED("flop_per_s", "Gflop/s", NULL, CELL_NUMBER, -4, 1e9),
        COLUMN("ceiling_share", "share of the", "nearer ceiling", CELL_NUMBER, 3),
    };
    char kind[KIND_TEXT];
    struct table table = TABLE("roofline", "Roofline", columns);
    for (size_t at = 0; at < t->count; at++) {
        const struct task *task = &t->list[at];
        for (size_t i = 0; t->devices[task->device].formats > 1 && i < task->count; i++) {
            const struct view_row *row = task->rows[i];
            const struct row *r = row->r;
            if (!task_is_best(task, i) || isnan(intensity(row)))
                continue;
            table_cells(&table, "%s %s %s %f %f %f %s %s %s %f %f %f", t->devices[task->device].label,
                        operation_word(r->op), type_word(r->out_type), (double)r->m, (double)r->n,
                        (double)r->k, kind_text(kind_of(row), kind), track_words[track_of(row)], r->variant,
                        intensity(row), r->flop_per_s, ceiling_share(row));
        }
    }
    page_table(p, &table, PAGE_FOLDED);
}

/* ---- the figure ---- */

static void draw_memory(const struct chart *c, double speed, double most_flop, const char *word)
{
    if (!isfinite(speed))
        return;
    const double last = fmin(c->x.hi, isfinite(most_flop) ? most_flop / speed : c->x.hi);
    const double first = fmin(fmax(c->x.lo, c->y.lo / speed), last);
    chart_segment(c, chart_x(c, first), chart_y(c, first * speed), chart_x(c, last), chart_y(c, last * speed),
                  INK_TEXT, 1.2, strcmp(word, "read") ? "4 3" : NULL);
    char text[48];
    snprintf(text, sizeof text, "%s %.4g GB/s", word, speed / 1e9);
    chart_text(c, chart_x(c, first) + 6, chart_y(c, first * speed) + (strcmp(word, "read") ? 14 : -6),
               "start", INK_MUTED, text);
}

static void draw_points(const struct chart *c, const struct task *task)
{
    for (size_t i = 0; i < task->count; i++) {
        const struct view_row *row = task->rows[i];
        const struct row *r = row->r;
        const double x = intensity(row);
        char kind[KIND_TEXT], words[400];
        if (!task_is_best(task, i) || isnan(x))
            continue;
        snprintf(
            words, sizeof words,
            "%s, M %.0f, %.0f \u00d7 %.0f: %.4g Gflop/s at %.4g flop/byte, %.2f of the nearer ceiling; %s",
            kind_text(kind_of(row), kind), (double)r->m, (double)r->n, (double)r->k, r->flop_per_s / 1e9, x,
            ceiling_share(row), r->variant);
        chart_mark(c, x, r->flop_per_s, weights_of(row), &(struct mark){row, NULL, r->flop_per_s, words});
    }
}

/* The tasks first .. first + count of one field. */
static void draw_field(struct page *p, const struct tasks *t, size_t first, size_t count)
{
    const struct task *task = &t->list[first];
    const size_t step = (count + TASKS_DRAWN - 1) / TASKS_DRAWN; /* evenly from all shapes and sizes */
    const struct ceilings ceilings = ceilings_of(t, task->device);
    struct axis x = {INFINITY, 0, true}, y = {INFINITY, 0, true};
    bool seen[WEIGHTS_COUNT] = {false};
    char caption[500], field[FIELD_TEXT], thinned[48] = "";
    for (size_t i = first; i < first + count; i += step)
        for (size_t j = 0; j < t->list[i].count; j++) {
            const struct view_row *row = t->list[i].rows[j];
            if (!task_is_best(&t->list[i], j) || isnan(intensity(row)))
                continue;
            seen[weights_of(row)] = true;
            x = (struct axis){fmin(x.lo, intensity(row)), fmax(x.hi, intensity(row)), true};
            y.lo = fmin(y.lo, row->r->flop_per_s);
            y.hi = fmax(y.hi, row->r->flop_per_s);
        }
    if (!(x.hi > 0))
        return;
    if (isfinite(ceilings.flop_per_s))
        y.hi = fmax(y.hi, ceilings.flop_per_s);
    if (step > 1)
        snprintf(thinned, sizeof thinned, " Drawn: every %zuth size.", step);
    snprintf(caption, sizeof caption,
             "%s: %s. The fastest right variant of each format, layout and size; bytes are the packed "
             "weights, scales, activations and output, each once. Lines: what this run measured.%s",
             t->devices[task->device].label, field_text(task, field), thinned);
    FILE *out = page_figure(p, "Roofline", caption);
    if (!out)
        return;
    const struct chart c = {.out = out,
                            .height = 380,
                            .margin = {54, 14, 44, 46},
                            .x = {x.lo / 1.5, x.hi * 1.5, true},
                            .y = {y.lo / 1.6, y.hi * 1.6, true}};
    const bool tera = c.y.hi > 1e13;
    chart_begin(&c, caption);
    chart_ticks_x(&c, 1);
    chart_ticks_y(&c, tera ? 1e12 : 1e9);
    chart_titles(&c, "flop per byte", tera ? "Tflop/s" : "Gflop/s");
    draw_memory(&c, ceilings.read, ceilings.flop_per_s, "read");
    draw_memory(&c, ceilings.copy, ceilings.flop_per_s, "copy");
    if (isfinite(ceilings.flop_per_s)) {
        char text[48];
        snprintf(text, sizeof text, "dense product %.4g Tflop/s", ceilings.flop_per_s / 1e12);
        chart_segment(&c, c.margin.left, chart_y(&c, ceilings.flop_per_s), CHART_WIDTH - c.margin.right,
                      chart_y(&c, ceilings.flop_per_s), INK_TEXT, 1.2, NULL);
        chart_text(&c, c.margin.left + 6, chart_y(&c, ceilings.flop_per_s) - 6, "start", INK_MUTED, text);
    }
    for (size_t i = first; i < first + count; i += step)
        draw_points(&c, &t->list[i]);
    chart_keys(&c, 28, seen);
    chart_end(&c);
    page_end_figure(p);
}

void section_roofline(struct page *p, const struct tasks *t)
{
    bool any = false;
    int figures = 0;
    for (size_t i = 0, next; i < t->count; i = next) {
        for (next = i + 1; next < t->count && same_field(t, i, next);)
            next++;
        const uint8_t op = t->list[i].rows[0]->r->op;
        if (t->devices[t->list[i].device].formats < 2 || (op != TASK_GEMM && op != TASK_GEMMDX))
            continue;
        if (!any)
            page_section(p, "roofline", "Roofline");
        any = true;
        if (figures++ < FIGURES_MAX)
            draw_field(p, t, i, next - i);
    }
    if (!any)
        return;
    write_ceilings(p, t);
    write_points(p, t);
    page_end_section(p);
}
