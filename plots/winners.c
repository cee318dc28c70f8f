/* winners.c: which format is fastest where: a map of shapes and M. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plots/sections.h"

enum { SIZES_MAX = 12 /* columns of a map; more are further maps */ };

/* The fastest right row of another format than the winner's; NULL when there is none. */
static const struct view_row *runner_up(const struct task *task)
{
    for (size_t i = 1; i < task->count; i++)
        if (weights_of(task->rows[i]) != weights_of(task->rows[0]))
            return task->rows[i];
    return NULL;
}

static struct paired_ratio lead_of(const struct tasks *t, const struct task *task)
{
    const struct view_row *second = runner_up(task);
    if (!second)
        return (struct paired_ratio){NAN, {NAN, NAN}, 0};
    return view_ratio(t->v, task_paired(task, task->rows[0], second), task->rows[0]);
}

static void write_list(struct page *p, const struct tasks *t)
{
    static const struct table_column columns[] = {
        COLUMNS_FIELD,
        COLUMNS_SIZE,
        COLUMN("weights_kind", "fastest", NULL, CELL_TEXT, 0),
        COLUMN_LAYOUT,
        COLUMNS_VARIANT,
        COLUMN("second_kind", "best of another", "format", CELL_TEXT, 0),
        COLUMN("second_variant", "its variant", NULL, CELL_NAME, 0),
        COLUMN("second_median_us", "its median", "\u00b5s", CELL_NUMBER, -4),
        COLUMN("lead", "lead", "its time / the fastest", CELL_RATIO, 3),
    };
    char kind[KIND_TEXT];
    struct table table = TABLE("winners", "The fastest right row of all formats", columns);
    for (size_t i = 0; i < t->count; i++) {
        const struct task *task = &t->list[i];
        const struct row *r = task->rows[0]->r;
        const struct view_row *second = runner_up(task);
        const struct paired_ratio lead = lead_of(t, task);
        if (!second)
            continue;
        table_cells(&table, "%s %s %s %f %f %f %s %s %s %f %f", t->devices[task->device].label,
                    operation_word(r->op), type_word(r->out_type), (double)r->m, (double)r->n, (double)r->k,
                    kind_text(kind_of(task->rows[0]), kind), track_words[track_of(task->rows[0])], r->variant,
                    r->bits_per_weight, r->median_us);
        table_cells(&table, "%s %s %f", kind_text(kind_of(second), kind), second->r->variant,
                    second->r->median_us);
        table_ratio(&table, lead.ratio, lead.ci.lo, lead.ci.hi, lead.count > 0 ? NULL : "unpaired");
    }
    page_table(p, &table, PAGE_FOLDED);
}

/* ---- the map ---- */

static int by_size(const void *pa, const void *pb)
{
    return compare_numbers(*(const uint64_t *)pa, *(const uint64_t *)pb);
}

/* The values of m among tasks first .. first + count, each once, ascending. */
static size_t sizes_of(const struct tasks *t, size_t first, size_t count, uint64_t *sizes)
{
    size_t size_count = 0;
    for (size_t i = first; i < first + count; i++)
        sizes[size_count++] = t->list[i].rows[0]->r->m;
    qsort(sizes, size_count, sizeof sizes[0], by_size);
    size_t kept = 0;
    for (size_t i = 0; i < size_count; i++)
        if (kept == 0 || sizes[kept - 1] != sizes[i])
            sizes[kept++] = sizes[i];
    return kept;
}

static void add_winner(struct table *table, const struct tasks *t, const struct task *task)
{
    char kind[KIND_TEXT], other[KIND_TEXT];
    const struct view_row *row = task->rows[0], *second = runner_up(task);
    const char *name = row->r->variant, *knobs = strstr(name, "__");
    kind_text(kind_of(row), kind);
    if (second)
        table_text(table, "%s, %.2f \u00d7 as fast as %s (%s)", kind, lead_of(t, task).ratio,
                   kind_text(kind_of(second), other), knobs ? knobs + 2 : name);
    else
        table_text(table, "%s, alone (%s)", kind, knobs ? knobs + 2 : name);
    table_tint(table, weights_looks[weights_of(row)].ink);
}

/* Tasks first .. first + count of one field, at the sizes given: a row per shape. */
static void write_map(struct page *p, const struct tasks *t, size_t first, size_t count,
                      const uint64_t *sizes, size_t size_count)
{
    struct table_column columns[1 + SIZES_MAX] = {
        COLUMN("shape", "N \u00d7 K", NULL, CELL_TEXT, 0),
    };
    char heads[SIZES_MAX][32], field[FIELD_TEXT], title[FIELD_TEXT + 32];
    for (size_t s = 0; s < size_count; s++) {
        snprintf(heads[s], sizeof heads[s], sizes[s] ? "M %" PRIu64 : "all of it", sizes[s]);
        columns[1 + s] = (struct table_column)COLUMN(heads[s], heads[s], NULL, CELL_TEXT, 0);
    }
    snprintf(title, sizeof title, "The fastest format: %s", field_text(&t->list[first], field));
    struct table table = table_of("map", title, columns, 1 + size_count);
    table.note = "Of all right variants and layouts, whatever their bits per weight.";
    for (size_t i = first, next; i < first + count; i = next) {
        const struct row *r = t->list[i].rows[0]->r;
        for (next = i + 1; next < first + count && same_shape(t, i, next);)
            next++;
        table_text(&table, "%" PRIu64 " \u00d7 %" PRIu64 "%s%s", r->n, r->k,
                   r->weights[0] && strcmp(r->weights, "normal") ? ", " : "",
                   strcmp(r->weights, "normal") ? r->weights : "");
        for (size_t s = 0; s < size_count; s++) {
            size_t at = i;
            while (at < next && t->list[at].rows[0]->r->m != sizes[s])
                at++;
            if (at < next)
                add_winner(&table, t, &t->list[at]);
            else
                table_text(&table, "\u2013");
        }
    }
    page_table(p, &table, PAGE_SHOWN);
}

static void write_field(struct page *p, const struct tasks *t, size_t first, size_t count)
{
    uint64_t *sizes = calloc(count, sizeof sizes[0]);
    if (!sizes) {
        p->status = status_no_memory("a map of %zu sizes", count);
        return;
    }
    const size_t size_count = sizes_of(t, first, count, sizes);
    for (size_t s = 0; s < size_count; s += SIZES_MAX)
        write_map(p, t, first, count, sizes + s, size_count - s < SIZES_MAX ? size_count - s : SIZES_MAX);
    free(sizes);
}

void section_winners(struct page *p, const struct tasks *t)
{
    bool any = false;
    size_t device = SIZE_MAX;
    for (size_t i = 0, next; i < t->count; i = next) {
        bool rivals = false;
        for (next = i; next < t->count && same_field(t, i, next); next++)
            rivals = rivals || runner_up(&t->list[next]);
        if (!rivals)
            continue;
        if (!any)
            page_section(p, "winners", "Which format is fastest where");
        any = true;
        if (t->list[i].device != device)
            page_say(p, PAGE_HEADING, "%s", t->devices[t->list[i].device].label);
        device = t->list[i].device;
        if (p->form != OUTPUT_CSV)
            write_field(p, t, i, next - i);
    }
    if (!any)
        return;
    write_list(p, t);
    page_end_section(p);
}
