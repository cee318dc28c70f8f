/* decode.c: what the decode of each format costs: variants of one skeleton, in which nothing else differs. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plots/chart.h"
#include "plots/mean.h"
#include "plots/sections.h"

enum { BARS_MAX = 24 /* of a figure */, FIGURES_MAX = 8 };

/* A row and the one that it is held against, of one skeleton and task. */
struct swap {
    size_t task;
    const struct view_row *row, *base;
    struct paired_ratio ratio; /* of times: row over base */
};

/* Swaps of one skeleton, use and pair of kinds on one device: a bar. */
struct bar {
    const struct swap *like;
    struct mean mean;
};

struct swaps {
    const struct tasks *t;
    struct swap *list;
    size_t count;
    struct bar *bars;
    size_t bar_count;
};

/* NF4 of as many bits, or else with the smallest blocks; where there is no NF4, dense weights. */
static bool is_better_base(const struct view_row *row, const struct view_row *a, const struct view_row *b)
{
    if (!b)
        return true;
    const bool nf4_a = weights_of(a) == WEIGHTS_NF4, nf4_b = weights_of(b) == WEIGHTS_NF4;
    if (nf4_a != nf4_b)
        return nf4_a;
    if (bits_match(row, a) != bits_match(row, b))
        return bits_match(row, a);
    return kind_compare(kind_of(a), kind_of(b)) < 0;
}

/* The base of the skeleton of row i, or NULL. */
static const struct view_row *base_of(const struct task *task, size_t i)
{
    const struct view_row *base = NULL;
    for (size_t j = 0; j < task->count; j++) {
        const enum weights format = weights_of(task->rows[j]);
        if ((format == WEIGHTS_NF4 || format == WEIGHTS_DENSE) &&
            same_skeleton(task->rows[i], task->rows[j]) && is_better_base(task->rows[i], task->rows[j], base))
            base = task->rows[j];
    }
    return base;
}

static bool is_repeated(const struct task *task, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (strcmp(task->rows[j]->r->variant, task->rows[i]->r->variant) == 0 &&
            kind_equal(kind_of(task->rows[j]), kind_of(task->rows[i])))
            return true;
    return false;
}

static void find_swaps(struct swaps *s)
{
    const struct tasks *t = s->t;
    for (size_t at = 0; at < t->count; at++) {
        const struct task *task = &t->list[at];
        for (size_t i = 0; task->use != USE_NONE && i < task->count; i++) {
            const struct view_row *row = task->rows[i];
            if (!skeleton_of(row) || is_repeated(task, i))
                continue;
            const struct view_row *base = base_of(task, i);
            if (!base || weights_of(base) == weights_of(row))
                continue;
            base = task_paired(task, row, base);
            s->list[s->count++] = (struct swap){at, row, base, view_ratio(t->v, row, base)};
        }
    }
}

/* By figure (device, field and kind of the base), skeleton and use; then by kind: one bar. */
static int compare_bars(const struct swaps *s, const struct swap *a, const struct swap *b)
{
    char text_a[SKELETON_TEXT], text_b[SKELETON_TEXT];
    const struct task *ta = &s->t->list[a->task], *tb = &s->t->list[b->task];
    const struct row *ra = a->row->r, *rb = b->row->r;
    int c = compare_numbers(ta->device, tb->device);
    c = c ? c : compare_numbers(ra->op, rb->op);
    c = c ? c : compare_numbers(ra->out_type, rb->out_type);
    c = c ? c : compare_numbers(ra->threads, rb->threads);
    c = c ? c : compare_numbers(ra->bias, rb->bias);
    c = c ? c : kind_compare(kind_of(a->base), kind_of(b->base));
    c = c ? c : strcmp(skeleton_text(a->row, text_a), skeleton_text(b->row, text_b));
    c = c ? c : compare_numbers(ta->use, tb->use);
    return c ? c : kind_compare(kind_of(a->row), kind_of(b->row));
}

static int by_bar(const void *pa, const void *pb, void *context)
{
    const struct swap *a = pa, *b = pb;
    int c = compare_bars(context, a, b);
    return c ? c : compare_numbers(a->task, b->task);
}

static bool find_bars(struct swaps *s)
{
    struct mean_part *parts = calloc(s->count + 1, sizeof parts[0]);
    if (!parts)
        return false;
    qsort_r(s->list, s->count, sizeof s->list[0], by_bar, s);
    for (size_t i = 0, next; i < s->count; i = next) {
        for (next = i; next < s->count && compare_bars(s, &s->list[i], &s->list[next]) == 0; next++) {
            size_t shape = s->list[next].task;
            while (shape > 0 && same_shape(s->t, shape - 1, s->list[next].task))
                shape--;
            parts[next - i] = (struct mean_part){shape, s->list[next].ratio};
        }
        s->bars[s->bar_count++] = (struct bar){&s->list[i], mean_of(parts, next - i)};
    }
    free(parts);
    return true;
}

/* ---- writing ---- */

static void write_table(struct page *p, const struct swaps *s)
{
    static const struct table_column columns[] = {
        COLUMN_DEVICE,
        COLUMN("skeleton", "skeleton", NULL, CELL_NAME, 0),
        COLUMN_USE,
        COLUMN_WEIGHTS,
        COLUMN_BITS,
        COLUMN("base_kind", "held against", NULL, CELL_TEXT, 0),
        COLUMN("base_bits_per_weight", "its bits per", "weight", CELL_NUMBER, 3),
        COLUMN("time_over_base", "time", "over the base's", CELL_RATIO, 3),
        COLUMN("shapes", "shapes", NULL, CELL_NUMBER, 0),
        COLUMN("sizes", "sizes", NULL, CELL_NUMBER, 0),
    };
    char kind[KIND_TEXT], skeleton[SKELETON_TEXT];
    struct table t = TABLE("decode", "Isolated decode", columns);
    for (size_t i = 0; i < s->bar_count; i++) {
        const struct bar *b = &s->bars[i];
        const struct task *task = &s->t->list[b->like->task];
        table_cells(&t, "%s %s %s %s %f", s->t->devices[task->device].label,
                    skeleton_text(b->like->row, skeleton), use_words[task->use],
                    kind_text(kind_of(b->like->row), kind), b->like->row->r->bits_per_weight);
        table_text(&t, "%s", kind_text(kind_of(b->like->base), kind));
        table_number(&t, b->like->base->r->bits_per_weight);
        table_ratio(&t, b->mean.ratio, b->mean.lo, b->mean.hi, isfinite(b->mean.lo) ? NULL : "no interval");
        table_number(&t, (double)b->mean.shapes);
        table_number(&t, (double)b->mean.parts);
    }
    page_table(p, &t, PAGE_FOLDED);
}

static void draw_bar(const struct chart *c, const struct swaps *s, const struct bar *b, double y)
{
    const struct task *task = &s->t->list[b->like->task];
    char kind[KIND_TEXT], base[KIND_TEXT], skeleton[SKELETON_TEXT], name[400], value[64], words[500];
    const bool one = b->mean.parts == 1;
    skeleton_text(b->like->row, skeleton);
    kind_text(kind_of(b->like->row), kind);
    snprintf(name, sizeof name, "%s, %s: %.56s", kind, use_words[task->use], skeleton);
    snprintf(value, sizeof value, isfinite(b->mean.lo) ? "%.3f [%.3f, %.3f]" : "%.3f", b->mean.ratio,
             b->mean.lo, b->mean.hi);
    snprintf(words, sizeof words, "%s: %s times as long as %s, %zu size%s", name, value,
             kind_text(kind_of(b->like->base), base), b->mean.parts, one ? "" : "s");
    chart_text(c, c->margin.left, y - 6, "start", INK_TEXT, name);
    chart_text(c, CHART_WIDTH - 4, y + 11, "end", INK_TEXT, value);
    chart_bar(c, 0, b->mean.ratio, y + 7, 11, weights_looks[weights_of(b->like->row)].ink, 0.75,
              &(struct mark){one ? b->like->row : NULL, one ? b->like->base : NULL, b->mean.ratio, words});
    chart_whisker(c, b->mean.lo, b->mean.hi, y + 7);
}

static void draw_bars(struct page *p, const struct swaps *s, size_t first, size_t count)
{
    enum { ROW = 36, TOP = 24, BOTTOM = 42 };
    const size_t shown = count < BARS_MAX ? count : BARS_MAX;
    const struct bar *bars = s->bars + first;
    const struct task *task = &s->t->list[bars[0].like->task];
    char caption[500], field[FIELD_TEXT], cut[64] = "", base[KIND_TEXT];
    double most = 1.1;
    for (size_t i = 0; i < shown; i++)
        most = fmax(most, isfinite(bars[i].mean.hi) ? fmin(bars[i].mean.hi, 2 * bars[i].mean.ratio)
                                                    : bars[i].mean.ratio);
    if (shown < count)
        snprintf(cut, sizeof cut, " The first %zu of %zu.", shown, count);
    snprintf(caption, sizeof caption,
             "%s: %s. Time of each format in one skeleton over that of %s; below 1 is faster. Their bits per "
             "weight differ: see the numbers.%s",
             s->t->devices[task->device].label, field_text(task, field),
             kind_text(kind_of(bars[0].like->base), base), cut);
    FILE *out = page_figure(p, "Isolated decode", caption);
    if (!out)
        return;
    const struct chart c = {.out = out,
                            .height = TOP + BOTTOM + ROW * (double)shown,
                            .margin = {8, 140, TOP, BOTTOM},
                            .x = {0, most * 1.05, false},
                            .y = {0, 1, false}};
    chart_begin(&c, caption);
    chart_ticks_x(&c, 1);
    for (size_t i = 0; i < shown; i++)
        draw_bar(&c, s, &bars[i], TOP + ROW * ((double)i + 0.45));
    chart_reference(&c, 1, base);
    chart_titles(&c, "time over that of the base", NULL);
    chart_end(&c);
    page_end_figure(p);
}

static bool same_figure(const struct swaps *s, const struct bar *a, const struct bar *b)
{
    return same_field(s->t, a->like->task, b->like->task) &&
           kind_equal(kind_of(a->like->base), kind_of(b->like->base));
}

void section_decode(struct page *p, const struct tasks *t)
{
    const size_t room = t->v->timed_count + 1;
    int figures = 0;
    struct swaps s = {.t = t, .list = calloc(room, sizeof s.list[0]), .bars = calloc(room, sizeof s.bars[0])};
    if (s.list && s.bars)
        find_swaps(&s);
    if (!s.list || !s.bars || !find_bars(&s)) {
        p->status = status_no_memory("the isolated decodes");
        goto done;
    }
    if (s.bar_count == 0)
        goto done;
    page_section(p, "decode", "Isolated decode");
    page_say(p, PAGE_PARAGRAPH,
             "Variants whose names are equal but for the format are one kernel in which only the decode is "
             "swapped.");
    for (size_t i = 0, next; i < s.bar_count && figures < FIGURES_MAX; i = next, figures++) {
        for (next = i + 1; next < s.bar_count && same_figure(&s, &s.bars[i], &s.bars[next]);)
            next++;
        draw_bars(p, &s, i, next - i);
    }
    write_table(p, &s);
    page_end_section(p);
done:
    free(s.list);
    free(s.bars);
}
