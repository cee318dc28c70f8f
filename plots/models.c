/* models.c: what the measured products add up to in published models: a block, and all blocks. Nothing is
 * guessed: a model of which one projection was not measured has no total, and the projection is named. */
#include <stdlib.h>
#include <string.h>

#include "harness/base/embedded.h"
#include "harness/base/models.h"
#include "plots/sections.h"

#define MODELS "suites/models.yaml"

enum { WORDS_MAX = 640 };

/* One format in one layout at one m of a field: tasks[first .. first + count) are the field's. */
struct subject {
    size_t first, count;
    const struct view_row *like;
};

/* Of a block. */
struct total {
    double us, lo_us, hi_us;
    double bytes; /* of all weights that it holds */
    size_t projections, missing;
    char variants[WORDS_MAX], measured[WORDS_MAX], absent[WORDS_MAX];
};

static void append(char *text, const char *separator, const char *word, const char *rest)
{
    const size_t used = strlen(text);
    snprintf(text + used, WORDS_MAX - used, "%s%s%s", used ? separator : "", word, rest);
}

/* The fastest right row of the subject's kind and layout at a shape; NULL when there is none. */
static const struct view_row *row_at(const struct tasks *t, const struct subject *s, size_t n, size_t k)
{
    const struct view_row *best = NULL;
    for (size_t i = s->first; i < s->first + s->count; i++) {
        const struct task *task = &t->list[i];
        const struct row *r = task->rows[0]->r;
        if (r->n != n || r->k != k || r->m != s->like->r->m)
            continue;
        for (size_t j = 0; j < task->count; j++) {
            const struct view_row *row = task->rows[j];
            if (!kind_equal(kind_of(row), kind_of(s->like)) || track_of(row) != track_of(s->like))
                continue;
            if (!best || row->r->median_us < best->r->median_us)
                best = row;
            break; /* the first is the fastest */
        }
    }
    return best;
}

/* Adds a projection that each token runs `used` times, of `held`. False when it was not measured. */
static bool add_layer(struct total *sum, const struct tasks *t, const struct subject *s,
                      const struct model_layer *layer, double used, double held)
{
    const struct view_row *row = row_at(t, s, layer->n, layer->k);
    if (!row)
        return false;
    const struct row *r = row->r;
    const char *knobs = strstr(r->variant, "__");
    sum->us += used * r->median_us;
    sum->lo_us += used * r->median_lo_us;
    sum->hi_us += used * r->median_hi_us;
    sum->bytes += held * (double)layer->n * (double)layer->k * r->bits_per_weight / 8;
    append(sum->variants, "; ", layer->name, ": ");
    append(sum->variants, "", knobs ? knobs + 2 : r->variant, "");
    append(sum->measured, ", ", layer->name, "");
    return true;
}

/* The parts of a fused layer, where all of them were measured. */
static bool add_parts(struct total *sum, const struct tasks *t, const struct subject *s,
                      const struct model *m, const struct model_layer *whole, double used, double held)
{
    struct total with = *sum;
    size_t parts = 0;
    for (size_t i = 0; i < m->layer_count; i++) {
        const char *of = model_layer_whole(m->layers[i].name);
        if (!of || strcmp(of, whole->name))
            continue;
        parts++;
        if (!add_layer(&with, t, s, &m->layers[i], used, held))
            return false;
    }
    if (parts > 0)
        *sum = with;
    return parts > 0;
}

static void add_up(const struct tasks *t, const struct subject *s, const struct model *m, struct total *sum)
{
    *sum = (struct total){0};
    for (size_t i = 0; i < m->layer_count; i++) {
        const struct model_layer *layer = &m->layers[i];
        const bool expert =
            m->experts_held > 0 && (strcmp(layer->name, "gate_up") == 0 || strcmp(layer->name, "down") == 0);
        const double used = expert ? (double)m->experts_used : 1, held = expert ? (double)m->experts_held : 1;
        if (layer->part)
            continue;
        sum->projections++;
        if (add_layer(sum, t, s, layer, used, held) || add_parts(sum, t, s, m, layer, used, held))
            continue;
        sum->missing++;
        append(sum->absent, ", ", layer->name, "");
    }
}

/* Why a model whose projections were all measured has no total at this m; NULL when it has one. */
static const char *refusal(const struct model *m, uint64_t rows)
{
    for (size_t i = 0; i < m->layer_count; i++)
        if (strncmp(m->layers[i].name, "dense_", 6) == 0)
            return "its blocks are of two sorts, dense ones and ones of experts, one of them shared";
    if (m->experts_held > 0 && rows > 1)
        return "which experts the tokens go to decides the M of each product";
    return m->blocks == 0 ? "its number of blocks is not known" : NULL;
}

/* ---- tables ---- */

static const struct table_column total_columns[] = {
    COLUMN_DEVICE,
    COLUMN_TYPE,
    COLUMN_M,
    COLUMN("model", "model", NULL, CELL_TEXT, 0),
    COLUMNS_WEIGHTS,
    COLUMN_SCALED("block_us", "a block", "ms", CELL_RATIO, -4, 1e3),
    COLUMN("blocks", "blocks", NULL, CELL_NUMBER, 0),
    COLUMN_SCALED("all_blocks_us", "all blocks", "M tokens, ms", CELL_RATIO, -4, 1e3),
    COLUMN_SCALED("token_us", "a token", "ms", CELL_NUMBER, -4, 1e3),
    COLUMN_SCALED("weight_bytes", "weights", "all blocks, GB", CELL_NUMBER, -3, 1e9),
    COLUMN("counted", "counted", NULL, CELL_LONG, 0),
    {"variants", "variants", NULL, CELL_LONG, .apart = true},
};
static const struct table_column absent_columns[] = {
    COLUMN_DEVICE,
    COLUMN_TYPE,
    COLUMN_M,
    COLUMN("model", "model", NULL, CELL_TEXT, 0),
    COLUMNS_WEIGHTS,
    COLUMN("measured", "measured", NULL, CELL_LONG, 0),
    COLUMN("missing", "missing", NULL, CELL_LONG, 0),
};

static void begin_row(struct table *table, const struct tasks *t, const struct subject *s,
                      const struct model *m)
{
    char kind[KIND_TEXT];
    table_cells(table, "%s %s %f %s %s %s", t->devices[t->list[s->first].device].label,
                type_word(s->like->r->out_type), (double)s->like->r->m, m->name,
                kind_text(kind_of(s->like), kind), track_words[track_of(s->like)]);
}

static void add_model(struct table *totals, struct table *absent, const struct tasks *t,
                      const struct subject *s, const struct model *m)
{
    struct total sum;
    add_up(t, s, m, &sum);
    const uint64_t rows = s->like->r->m;
    const char *why = refusal(m, rows);
    /* One square matrix is in many models: half of a model is the least that is worth a line. */
    if (2 * sum.missing > sum.projections)
        return;
    if (sum.missing > 0 || why) {
        begin_row(absent, t, s, m);
        table_text(absent, "%s", sum.measured);
        table_text(absent, "%s", sum.missing ? sum.absent : why);
        return;
    }
    begin_row(totals, t, s, m);
    const double blocks = (double)m->blocks;
    table_ratio(totals, sum.us, sum.lo_us, sum.hi_us, NULL);
    table_number(totals, blocks);
    table_ratio(totals, blocks * sum.us, blocks * sum.lo_us, blocks * sum.hi_us, NULL);
    table_number(totals, blocks * sum.us / (double)rows);
    table_number(totals, blocks * sum.bytes);
    if (m->experts_held > 0)
        table_text(totals, "%s; %zu of %zu experts run, all of them held", sum.measured, m->experts_used,
                   m->experts_held);
    else
        table_text(totals, "%s", sum.measured);
    table_text(totals, "%s", sum.variants);
}

/* By m and kind, then by layout. */
static int by_subject(const void *pa, const void *pb)
{
    const struct view_row *a = ((const struct subject *)pa)->like, *b = ((const struct subject *)pb)->like;
    int c = compare_numbers(a->r->m, b->r->m);
    c = c ? c : kind_compare(kind_of(a), kind_of(b));
    return c ? c : compare_numbers(track_of(a), track_of(b));
}

/* The tasks first .. first + count of one field. `subjects` has room for all their rows. */
static void add_field(struct table *totals, struct table *absent, const struct tasks *t,
                      const struct models *models, size_t first, size_t count, struct subject *subjects)
{
    size_t subject_count = 0;
    for (size_t i = first; i < first + count; i++)
        for (size_t j = 0; j < t->list[i].count; j++)
            if (task_is_best(&t->list[i], j))
                subjects[subject_count++] = (struct subject){first, count, t->list[i].rows[j]};
    qsort(subjects, subject_count, sizeof subjects[0], by_subject);
    size_t kept = 0;
    for (size_t i = 0; i < subject_count; i++)
        if (i == 0 || by_subject(&subjects[i - 1], &subjects[i]))
            subjects[kept++] = subjects[i];
    for (size_t m = 0; m < models->model_count; m++)
        for (size_t i = 0; i < kept; i++)
            add_model(totals, absent, t, &subjects[i], &models->models[m]);
}

/* The claim of the QLoRA paper, which is one of bytes. */
static void say_bytes(struct page *p, const struct models *models)
{
    static const double nested_bits = 4 + 8.0 / 64 + 32.0 / (64 * 256);
    const struct model *m = models_find(models, "LLaMA-65B");
    double weights = 0;
    for (size_t i = 0; m && i < m->layer_count; i++)
        weights +=
            m->layers[i].part ? 0 : (double)m->layers[i].n * (double)m->layers[i].k * (double)m->blocks;
    if (weights > 0)
        page_say(p, PAGE_PARAGRAPH,
                 "LLaMA-65B's projections, all %zu blocks: %.1f GB as NF4 of blocksize 64 with nested scales "
                 "(%.3f bits a weight), %.1f GB in 16 bits; the QLoRA paper fine-tunes it on a GPU of 48 GB. "
                 "These are bytes, computed from the shapes alone: no time is claimed by them.",
                 m->blocks, weights * nested_bits / 8e9, nested_bits, weights * 16 / 8e9);
}

void section_models(struct page *p, const struct tasks *t)
{
    const char *text = embedded_text(MODELS);
    struct models models;
    struct table totals = TABLE("models", "Time and bytes of the linear layers", total_columns);
    struct table absent = TABLE("models_incomplete",
                                "No total: something was not measured, or does not add up", absent_columns);
    struct subject *subjects = calloc(t->v->timed_count + 1, sizeof subjects[0]);
    enum status s = models_parse(text, strlen(text), MODELS, &models);
    if (s == STATUS_OK && !subjects)
        s = status_no_memory("the models");
    if (s != STATUS_OK)
        p->status = s;
    for (size_t i = 0, next; s == STATUS_OK && i < t->count; i = next) {
        for (next = i + 1; next < t->count && same_field(t, i, next);)
            next++;
        if (t->list[i].rows[0]->r->op == TASK_GEMM)
            add_field(&totals, &absent, t, &models, i, next - i, subjects);
    }
    if (totals.count + absent.count > 0) {
        page_section(p, "models", "Models");
        page_say(p, PAGE_PARAGRAPH,
                 "Sums of measured medians: the fastest right variant of each projection in one format and "
                 "layout. Not counted: attention itself, norms, embeddings, the head, and what lies between "
                 "kernels. The interval is the sum of the medians' intervals.");
        say_bytes(p, &models);
    }
    page_table(p, &totals, PAGE_SHOWN);
    page_table(p, &absent, PAGE_FOLDED);
    page_end_section(p);
    models_release(&models);
    free(subjects);
}
