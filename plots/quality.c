/* quality.c: how well a format keeps the weights, beside how fast it is. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plots/chart.h"
#include "plots/sections.h"

#define ONLY "layout and throughput only"

/* What the best right rows of one kind, layout and m of a field are over all tensors. */
struct grade {
    const struct view_row *like; /* the first one */
    const struct task *task;
    size_t tensors, fitted; /* fitted: held against their dense weights */
    double sqnr_db;         /* sums; means once graded */
    double log_us, max_error;
};

/* By field and m. */
static int compare_sizes(const struct tasks *t, const struct grade *a, const struct grade *b)
{
    const size_t task_a = (size_t)(a->task - t->list), task_b = (size_t)(b->task - t->list);
    int c = same_field(t, task_a, task_b) ? 0 : compare_numbers(task_a, task_b);
    return c ? c : compare_numbers(a->like->r->m, b->like->r->m);
}

/* By field, m, kind and layout. */
static int by_grade(const void *pa, const void *pb, void *tasks)
{
    const struct grade *a = pa, *b = pb;
    int c = compare_sizes(tasks, a, b);
    c = c ? c : kind_compare(kind_of(a->like), kind_of(b->like));
    return c ? c : compare_numbers(track_of(a->like), track_of(b->like));
}

static bool is_synthetic(const struct view_row *row)
{
    const char *weights = row->r->weights;
    return !weights[0] || strcmp(weights, "normal") == 0;
}

static void add_row(struct grade *g, const struct view_row *row)
{
    const struct row *r = row->r;
    g->tensors++;
    g->log_us += log(r->median_us);
    if (!isfinite(r->weight_sqnr_db))
        return;
    g->fitted++;
    g->sqnr_db += r->weight_sqnr_db;
    g->max_error = fmax(g->max_error, r->weight_max_abs_error);
}

/* Real weights alone. */
static size_t find_grades(const struct tasks *t, struct grade *grades)
{
    size_t count = 0;
    for (size_t at = 0; at < t->count; at++) {
        const struct task *task = &t->list[at];
        for (size_t i = 0; i < task->count && !is_synthetic(task->rows[0]); i++) {
            const struct grade grade = {.like = task->rows[i], .task = task};
            size_t g = 0;
            if (!task_is_best(task, i))
                continue;
            while (g < count && by_grade(&grades[g], &grade, (void *)t))
                g++;
            if (g == count)
                grades[count++] = grade;
            add_row(&grades[g], task->rows[i]);
        }
    }
    for (size_t g = 0; g < count; g++) {
        grades[g].sqnr_db /= (double)grades[g].fitted; /* NAN where none was */
        grades[g].log_us /= (double)grades[g].tensors;
    }
    qsort_r(grades, count, sizeof grades[0], by_grade, (void *)t);
    return count;
}

/* What a reader must know of a grade's quality; "" for nothing. */
static const char *remark_on(const struct grade *g)
{
    const enum weights format = weights_of(g->like);
    if (format != WEIGHTS_DENSE && g->fitted == 0)
        return "no dense weights to hold it against";
    return format == WEIGHTS_INT4 ? "round to nearest: " ONLY : "";
}

static void write_table(struct page *p, const struct tasks *t, const struct grade *grades, size_t count)
{
    static const struct table_column columns[] = {
        COLUMNS_FIELD,
        COLUMN_M,
        COLUMNS_WEIGHTS,
        COLUMN_BITS,
        COLUMN("weight_sqnr_db", "SQNR", "mean over tensors, dB", CELL_NUMBER, 2),
        COLUMN("weight_max_abs_error", "largest error", "|w - its format(w)|", CELL_NUMBER, -3),
        COLUMN("mean_us", "time", "geometric mean, \u00b5s", CELL_NUMBER, -4),
        COLUMN("tensors", "tensors", NULL, CELL_NUMBER, 0),
        COLUMN("remark", "remark", NULL, CELL_LONG, 0),
    };
    char kind[KIND_TEXT];
    struct table table = TABLE("quality", "Quality beside speed", columns);
    table.note = "Tensors of dense checkpoints alone, which the reference quantized: int4 by rounding to "
                 "nearest, which is not what GPTQ or AWQ reach. The fastest right variant of each.";
    for (size_t i = 0; i < count; i++) {
        const struct grade *g = &grades[i];
        const struct row *r = g->like->r;
        table_cells(&table, "%s %s %s %f %s %s %f %f %f %f %f %s", t->devices[g->task->device].label,
                    operation_word(r->op), type_word(r->out_type), (double)r->m,
                    kind_text(kind_of(g->like), kind), track_words[track_of(g->like)], r->bits_per_weight,
                    g->sqnr_db, g->fitted ? g->max_error : NAN, exp(g->log_us), (double)g->tensors,
                    remark_on(g));
    }
    page_table(p, &table, PAGE_SHOWN);
}

static void draw_grade(const struct chart *c, const struct grade *g)
{
    char kind[KIND_TEXT], words[300];
    snprintf(words, sizeof words, "%s, %s: %.2f dB, %.4g \u00b5s, %.3f bits a weight, %zu tensors",
             kind_text(kind_of(g->like), kind), track_words[track_of(g->like)], g->sqnr_db, exp(g->log_us),
             g->like->r->bits_per_weight, g->tensors);
    chart_mark(c, exp(g->log_us), g->sqnr_db, weights_of(g->like),
               &(struct mark){g->tensors == 1 ? g->like : NULL, NULL, g->sqnr_db, words});
}

/* SQNR against time of the grades of one field and m, where several have one. */
static void draw(struct page *p, const struct tasks *t, const struct grade *grades, size_t count)
{
    double slowest = 0, lo = INFINITY, hi = -INFINITY;
    bool seen[WEIGHTS_COUNT] = {false};
    size_t marks = 0;
    char caption[500], field[FIELD_TEXT], m[40] = "";
    for (size_t i = 0; i < count; i++) {
        if (!isfinite(grades[i].sqnr_db))
            continue;
        marks++;
        seen[weights_of(grades[i].like)] = true;
        slowest = fmax(slowest, exp(grades[i].log_us));
        lo = fmin(lo, grades[i].sqnr_db);
        hi = fmax(hi, grades[i].sqnr_db);
    }
    if (grades->like->r->m > 0)
        snprintf(m, sizeof m, ", M %.0f", (double)grades->like->r->m);
    snprintf(caption, sizeof caption,
             "%s: %s%s. Towards the upper left is better; bits per weight differ, see the numbers. int4 is "
             "rounded to nearest: " ONLY ".",
             t->devices[grades->task->device].label, field_text(grades->task, field), m);
    FILE *out = marks > 1 ? page_figure(p, "Quality against time", caption) : NULL;
    if (!out)
        return;
    const struct chart c = {.out = out,
                            .height = 340,
                            .margin = {50, 14, 54, 46},
                            .x = {0, slowest * 1.1, false},
                            .y = {floor(lo - 1), ceil(hi + 1), false}};
    chart_begin(&c, caption);
    chart_ticks_x(&c, 1);
    chart_ticks_y(&c, 1);
    chart_titles(&c, "time, \u00b5s, geometric mean over tensors", "SQNR of the weights, dB");
    for (size_t i = 0; i < count; i++)
        if (isfinite(grades[i].sqnr_db))
            draw_grade(&c, &grades[i]);
    chart_keys(&c, 34, seen);
    chart_end(&c);
    page_end_figure(p);
}

void section_quality(struct page *p, const struct tasks *t)
{
    enum { FIGURES_MAX = 6 };
    size_t several = 0, synthetic = 0, figures = 0;
    for (size_t i = 0; i < t->count; i++)
        synthetic += is_synthetic(t->list[i].rows[0]);
    for (size_t d = 0; d < t->device_count; d++)
        several += t->devices[d].formats > 1;
    if (several == 0)
        return;
    struct grade *grades = calloc(t->v->timed_count + 1, sizeof grades[0]);
    if (!grades) {
        p->status = status_no_memory("the quality of %zu tasks", t->count);
        return;
    }
    const size_t count = find_grades(t, grades);
    page_section(p, "quality", "Quality beside speed");
    if (synthetic > 0)
        page_say(p, PAGE_NOTE, "%s: their weights are synthetic.",
                 synthetic == t->count ? "All sizes are of " ONLY
                                       : "Sizes without a tensor's name are of " ONLY);
    for (size_t i = 0, next; i < count && figures < FIGURES_MAX; i = next, figures++) {
        for (next = i + 1; next < count && compare_sizes(t, &grades[i], &grades[next]) == 0;)
            next++;
        draw(p, t, grades + i, next - i);
    }
    write_table(p, t, grades, count);
    page_end_section(p);
    free(grades);
}
