#include "plots/task.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "plots/sections.h"
#include "results/sort.h"

static const double bits_tolerance = 0.02;

/* ---- words ---- */

const struct weights_look weights_looks[] = {
#define X(name, word, label, ink) {word, label, ink},
    WEIGHTS_MAP(X)
#undef X
};

const char *const track_words[] = {
#define X(name, word) word,
    TRACK_MAP(X)
#undef X
};

const char *const use_words[] = {
#define X(name, words, least, most) words,
    USE_MAP(X)
#undef X
};

/* ---- one row ---- */

enum weights weights_of(const struct view_row *row)
{
    const struct row *r = row->r;
    if (!r->format[0])
        return strcmp(r->layout, track_words[TRACK_DENSE]) == 0 ? WEIGHTS_DENSE : WEIGHTS_NF4;
    for (int i = 0; i < WEIGHTS_OTHER; i++)
        if (strcmp(r->format, weights_looks[i].word) == 0)
            return (enum weights)i;
    return WEIGHTS_OTHER;
}

enum track track_of(const struct view_row *row)
{
    for (int i = 0; i < TRACK_COUNT; i++)
        if (strcmp(row->r->layout, track_words[i]) == 0)
            return (enum track)i;
    return weights_of(row) == WEIGHTS_DENSE ? TRACK_DENSE : TRACK_CHECKPOINT;
}

/* Dense weights have no blocks, but older files give a dense product the problem's. */
struct kind kind_of(const struct view_row *row)
{
    const struct row *r = row->r;
    const enum weights format = weights_of(row);
    if (format == WEIGHTS_DENSE)
        return (struct kind){.format = format};
    const bool by_row = (format == WEIGHTS_INT8 || format == WEIGHTS_FP8) && r->blocksize == r->k;
    return (struct kind){format, by_row ? 0 : r->blocksize, r->nested, r->zeros, r->act_order};
}

int kind_compare(struct kind a, struct kind b)
{
    int c = (a.format > b.format) - (a.format < b.format);
    c = c ? c : (a.blocksize > b.blocksize) - (a.blocksize < b.blocksize);
    c = c ? c : a.nested - b.nested;
    c = c ? c : a.zeros - b.zeros;
    return c ? c : a.act_order - b.act_order;
}

bool kind_equal(struct kind a, struct kind b)
{
    return kind_compare(a, b) == 0;
}

const char *kind_text(struct kind kind, char buffer[KIND_TEXT])
{
    char block[24] = "";
    if (kind.blocksize == 0 && kind.format != WEIGHTS_DENSE)
        snprintf(block, sizeof block, " by row");
    else if (kind.format != WEIGHTS_DENSE)
        snprintf(block, sizeof block, " %s%" PRIu32, kind.format == WEIGHTS_NF4 ? "" : "g", kind.blocksize);
    const char *zeros = kind.format != WEIGHTS_INT4 ? "" : kind.zeros ? " asymmetric" : " symmetric";
    snprintf(buffer, KIND_TEXT, "%s%s%s%s%s", weights_looks[kind.format].label, block,
             kind.nested ? " nested" : "", zeros, kind.act_order ? " act-order" : "");
    return buffer;
}

const char *skeleton_of(const struct view_row *row)
{
    const char *name = row->r->variant, *rest = strchr(name, '_');
    if (!rest)
        return NULL;
    const size_t length = (size_t)(rest - name);
    for (int i = 0; i < WEIGHTS_OTHER; i++)
        if (strlen(weights_looks[i].word) == length && memcmp(name, weights_looks[i].word, length) == 0)
            return rest + 1;
    return length == 4 && memcmp(name, "none", 4) == 0 ? rest + 1 : NULL;
}

/* Behind a word on nested scales that stands at p, or p. */
static const char *behind_nested(const char *p)
{
    static const char *const words[] = {"_twostep", "_fused"};
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++) {
        const size_t length = strlen(words[i]);
        if (strncmp(p, words[i], length) == 0 && p[length] == '_')
            return p + length;
    }
    return p;
}

/* The knobs by which NF4 says how it decodes, where other formats have one way, and what these are called
 * there: what the variants of one skeleton do not differ in. */
static const struct {
    const char *operation, *knob, *others;
} decodes[] = {
    {"dequant_", "prmt_scaled", "tiles"}, /* formats_dequant/tiles.cu */
    {"gemm_", "prmt", "rows"},            /* formats_gemm/gemv.cu */
    {"gemm_", "shuffle", "rows"},
};

const char *skeleton_text(const struct view_row *row, char buffer[SKELETON_TEXT])
{
    const char *p = skeleton_of(row), *operation = p, *contract_end = p ? strstr(p, "__") : NULL;
    const char *knobs = contract_end ? strchr(contract_end + 2, '_') : NULL; /* behind the arch */
    size_t used = 0;
    while (p && *p && used < SKELETON_TEXT - 1) {
        if (contract_end && p < contract_end)
            p = behind_nested(p);
        if (knobs && p == knobs + 1)
            break;
        buffer[used++] = *p++;
    }
    buffer[used] = '\0';
    for (size_t i = 0; knobs && i < sizeof decodes / sizeof decodes[0]; i++)
        if (strcmp(knobs + 1, decodes[i].knob) == 0 &&
            strncmp(operation, decodes[i].operation, strlen(decodes[i].operation)) == 0)
            p = decodes[i].others;
    if (knobs)
        snprintf(buffer + used, SKELETON_TEXT - used, "%s", p);
    return buffer;
}

bool same_skeleton(const struct view_row *a, const struct view_row *b)
{
    char text_a[SKELETON_TEXT], text_b[SKELETON_TEXT];
    return skeleton_of(a) && skeleton_of(b) &&
           strcmp(skeleton_text(a, text_a), skeleton_text(b, text_b)) == 0;
}

bool is_package(const struct view_row *row)
{
    static const char *const libraries[] = {"cublas_", "cublaslt_", "openblas_"};
    const char *name = row->r->variant;
    if (view_is_peer(row))
        return true;
    for (size_t i = 0; i < sizeof libraries / sizeof libraries[0]; i++)
        if (strncmp(name, libraries[i], strlen(libraries[i])) == 0)
            return true;
    return false;
}

bool bits_match(const struct view_row *a, const struct view_row *b)
{
    const double x = a->r->bits_per_weight, y = b->r->bits_per_weight;
    return x > 0 && y > 0 && fabs(x - y) <= bits_tolerance * fmin(x, y);
}

double ceiling_share(const struct view_row *row)
{
    const struct row *r = row->r;
    const double memory = r->ceiling_fraction, product = r->flop_per_s / r->gemm_flop_per_s;
    const bool computes = isfinite(product) && product > 0;
    if (!isfinite(memory))
        return computes ? product : NAN;
    return computes ? fmax(memory, product) : memory;
}

/* ---- order ---- */

static int compare_field(const struct view_row *a, const struct view_row *b)
{
    const struct row *ra = a->r, *rb = b->r;
    int c = compare_numbers(a->set, b->set);
    c = c ? c : strcmp(ra->device, rb->device);
    c = c ? c : strcmp(ra->device_uuid, rb->device_uuid);
    c = c ? c : compare_numbers(ra->op, rb->op);
    c = c ? c : compare_numbers(ra->out_type, rb->out_type);
    c = c ? c : compare_numbers(ra->threads, rb->threads);
    return c ? c : compare_numbers(ra->bias, rb->bias);
}

static int compare_shape(const struct view_row *a, const struct view_row *b)
{
    const struct row *ra = a->r, *rb = b->r;
    int c = compare_field(a, b);
    c = c ? c : compare_numbers(ra->n, rb->n);
    c = c ? c : compare_numbers(ra->k, rb->k);
    return c ? c : strcmp(ra->weights, rb->weights);
}

static int compare_task(const struct view_row *a, const struct view_row *b)
{
    int c = compare_shape(a, b);
    return c ? c : compare_numbers(a->r->m, b->r->m);
}

static int by_task(const void *pa, const void *pb)
{
    const struct row *ra = ((const struct view_row *)pa)->r, *rb = ((const struct view_row *)pb)->r;
    int c = compare_task(pa, pb);
    c = c ? c : compare_numbers(ra->regime, rb->regime);
    return c ? c : (ra->median_us > rb->median_us) - (ra->median_us < rb->median_us);
}

bool same_field(const struct tasks *t, size_t a, size_t b)
{
    return compare_field(t->list[a].rows[0], t->list[b].rows[0]) == 0;
}

bool same_shape(const struct tasks *t, size_t a, size_t b)
{
    return compare_shape(t->list[a].rows[0], t->list[b].rows[0]) == 0;
}

/* ---- building ---- */

/* As tasks are. */
static int by_device(const void *pa, const void *pb)
{
    const struct task_device *a = pa, *b = pb;
    int c = compare_numbers(a->set, b->set);
    c = c ? c : strcmp(a->name, b->name);
    return c ? c : strcmp(a->uuid, b->uuid);
}

static size_t find_device(struct tasks *t, const struct view_row *row)
{
    const struct row *r = row->r;
    const char *name = r->device[0] ? r->device : environment_device(t->v, row->set);
    const struct task_device device = {.set = row->set, .name = name, .uuid = r->device_uuid};
    size_t i = 0;
    while (i < t->device_count && by_device(&t->devices[i], &device))
        i++;
    if (i == t->device_count)
        t->devices[t->device_count++] = device;
    struct task_device *d = &t->devices[i];
    d->gpu = d->gpu || row_is_gpu(r);
    d->fake = d->fake || row_is_fake(r);
    return i;
}

/* "NVIDIA H100, b.h5"; NULL without memory. */
static char *device_label(const struct tasks *t, size_t device)
{
    const struct task_device *d = &t->devices[device];
    char *text = NULL, number[64] = "";
    bool twin = false;
    for (size_t i = 0; i < t->device_count && !twin; i++)
        twin = i != device && t->devices[i].set == d->set && strcmp(t->devices[i].name, d->name) == 0;
    if (twin) /* two GPUs of one model */
        snprintf(number, sizeof number, " %.12s", d->uuid);
    if (asprintf(&text, "%s%s%s%s%s", d->name, number, d->fake ? " (a model's times, not a GPU's)" : "",
                 t->v->set_count > 1 ? ", " : "", t->v->set_count > 1 ? view_file(t->v, d->set) : "") < 0)
        return NULL;
    return text;
}

static enum use use_of(const struct row *r)
{
    static const uint64_t ranges[][2] = {
#define X(name, words, least, most) {least, most},
        USE_MAP(X)
#undef X
    };
    if (r->op == TASK_DEQUANT)
        return USE_DEQUANT;
    if (r->op == TASK_GEMMDX)
        return USE_BACKWARD;
    for (int u = USE_M1; r->op == TASK_GEMM && u <= USE_M4096; u++)
        if (r->m >= ranges[u][0] && r->m <= ranges[u][1])
            return (enum use)u;
    return USE_NONE;
}

/* The regime of timing in which all rows of a task are compared: hot, where for one of them the file quotes
 * hot because launching it, or a cache, decides its cold time; cold otherwise. */
static uint8_t quoted_regime(const struct view_row *const *rows, size_t count)
{
    bool cold = false;
    for (size_t i = 0; i < count; i++) {
        const struct row *r = rows[i]->r;
        if (r->regime == REGIME_HOT && r->primary)
            return REGIME_HOT;
        cold = cold || r->regime == REGIME_COLD;
    }
    return cold ? REGIME_COLD : rows[0]->r->regime;
}

/* The rows of one task and all regimes, which end at `next`. */
static void add_task(struct tasks *t, const struct view_row **rows, size_t count)
{
    const uint8_t regime = quoted_regime(rows, count);
    size_t first = 0, kept = 0;
    for (size_t i = 0; i < count; i++) {
        if (rows[i]->r->regime != regime)
            continue;
        first = kept++ ? first : i;
    }
    struct task *task = &t->list[t->count++];
    *task = (struct task){rows + first, kept < TASK_ROWS_MAX ? kept : TASK_ROWS_MAX, find_device(t, rows[0]),
                          use_of(rows[0]->r)};
    t->devices[task->device].other += count - kept;
}

static int compare_group(const void *pa, const void *pb)
{
    const struct view_row *a = pa, *b = pb;
    int c = compare_numbers(a->set, b->set);
    return c ? c : compare_numbers(a->r->group_id, b->r->group_id);
}

static void find_formats(struct tasks *t)
{
    for (size_t i = 0; i < t->count; i++)
        for (size_t j = 0; j < t->list[i].count; j++)
            t->devices[t->list[i].device].has[weights_of(t->list[i].rows[j])] = true;
    for (size_t d = 0; d < t->device_count; d++)
        for (int w = 0; w < WEIGHTS_COUNT; w++)
            t->devices[d].formats += t->devices[d].has[w];
}

enum status tasks_init(struct tasks *t, const struct view *v)
{
    size_t count = 0;
    *t = (struct tasks){.v = v};
    const size_t room = v->timed_count + 1;
    t->rows = calloc(room, sizeof t->rows[0]);
    t->list = calloc(room, sizeof t->list[0]);
    t->devices = calloc(room, sizeof t->devices[0]);
    t->ceilings = calloc(room, sizeof t->ceilings[0]);
    if (!t->rows || !t->list || !t->devices || !t->ceilings) {
        tasks_release(t);
        return status_no_memory("a report of %zu timed rows", v->timed_count);
    }
    for (size_t i = 0; i < v->timed_count; i++) {
        const struct view_row *row = v->timed[i];
        if (view_is_ceiling(row)) {
            t->ceilings[t->ceiling_count++] = row;
            continue;
        }
        const size_t device = find_device(t, row);
        if (view_is_right(row))
            t->rows[count++] = row;
        else
            t->devices[device].wrong++;
    }
    qsort(t->devices, t->device_count, sizeof t->devices[0], by_device);
    sort_pointers(t->ceilings, t->ceiling_count, compare_group);
    sort_pointers(t->rows, count, by_task);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && compare_task(t->rows[i], t->rows[next]) == 0;)
            next++;
        add_task(t, t->rows + i, next - i);
    }
    find_formats(t);
    for (size_t i = 0; i < t->device_count; i++)
        if (!(t->devices[i].label = device_label(t, i))) {
            tasks_release(t);
            return status_no_memory("the name of a device");
        }
    return STATUS_OK;
}

void tasks_release(struct tasks *t)
{
    for (size_t i = 0; i < t->device_count; i++)
        free(t->devices[i].label);
    free(t->rows);
    free(t->list);
    free(t->devices);
    free(t->ceilings);
    *t = (struct tasks){0};
}

/* ---- choice ---- */

const struct view_row *task_paired(const struct task *task, const struct view_row *row,
                                   const struct view_row *like)
{
    const struct row *a = row->r, *l = like->r;
    for (size_t i = 0; i < task->count && a->group_id != 0; i++) {
        const struct row *r = task->rows[i]->r;
        if (r->group_id == a->group_id && strcmp(r->variant, l->variant) == 0 &&
            kind_equal(kind_of(task->rows[i]), kind_of(like)))
            return task->rows[i];
    }
    return like;
}

const struct view_row *task_fastest(const struct task *task, enum weights format)
{
    for (size_t i = 0; i < task->count; i++)
        if (weights_of(task->rows[i]) == format)
            return task->rows[i];
    return NULL;
}

const struct view_row *task_ceiling(const struct tasks *t, const struct view_row *row)
{
    const struct row *r = row->r;
    const size_t prefix = strlen("ceiling_");
    size_t lo = 0, hi = t->ceiling_count;
    while (lo < hi) { /* the first of the row's group */
        const size_t middle = lo + (hi - lo) / 2;
        if (compare_group(t->ceilings[middle], row) < 0)
            lo = middle + 1;
        else
            hi = middle;
    }
    for (; r->group_id != 0 && r->ceiling[0] && lo < t->ceiling_count; lo++) {
        const struct view_row *other = t->ceilings[lo];
        const char *name = other->r->variant;
        if (compare_group(other, row))
            return NULL;
        if (strncmp(name, "ceiling_", prefix) == 0 && strcmp(name + prefix, r->ceiling) == 0)
            return other;
    }
    return NULL;
}

bool task_is_best(const struct task *task, size_t i)
{
    for (size_t j = 0; j < i; j++)
        if (kind_equal(kind_of(task->rows[j]), kind_of(task->rows[i])) &&
            track_of(task->rows[j]) == track_of(task->rows[i]))
            return false;
    return true;
}

const char *field_text(const struct task *task, char buffer[FIELD_TEXT])
{
    const struct row *r = task->rows[0]->r;
    char threads[40] = "";
    if (r->threads > 0)
        snprintf(threads, sizeof threads, ", %" PRIu32 " thread%s", r->threads, r->threads == 1 ? "" : "s");
    snprintf(buffer, FIELD_TEXT, "%s %s%s%s", operation_word(r->op), type_word(r->out_type), threads,
             r->bias ? ", bias" : "");
    return buffer;
}
