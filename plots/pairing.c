#include "plots/pairing.h"

#include <math.h>
#include <stdlib.h>

/* ---- pairs ---- */

static bool is_low(const struct view_row *row)
{
    return !(ceiling_share(row) >= PAIRING_SHARE);
}

static void add_pair(struct pairing *h, size_t at, const struct view_row *nf4, const struct view_row *int4,
                     bool isolated)
{
    const struct task *task = &h->tasks->list[at];
    const struct view_row *other = task_paired(task, nf4, int4);
    const bool low = is_low(nf4) || is_low(other);
    const enum track track = isolated && track_of(nf4) == TRACK_CHECKPOINT ? TRACK_ROWS : track_of(other);
    h->pairs[h->pair_count++] = (struct pair){.task = at,
                                              .nf4 = nf4,
                                              .int4 = other,
                                              .ratio = view_ratio(h->tasks->v, other, nf4),
                                              .isolated = isolated,
                                              .track = track,
                                              .low = low,
                                              .out = low && !h->tasks->devices[task->device].gpu};
}

/* The fastest int4 in NF4's own track. What lies in NF4's rows, though no package stores it so, is no rival
 * there. */
static void add_best(struct pairing *h, size_t at, const struct view_row *nf4)
{
    const struct task *task = &h->tasks->list[at];
    for (size_t i = 0; i < task->count; i++) {
        const struct view_row *row = task->rows[i];
        if (weights_of(row) == WEIGHTS_INT4 && track_of(row) == track_of(nf4) && bits_match(nf4, row)) {
            add_pair(h, at, nf4, row, false);
            return;
        }
    }
}

/* Of the skeletons that both formats fill, the one that is fastest for the two together: neither chooses. */
static void add_isolated(struct pairing *h, size_t at, const struct view_row *like)
{
    const struct task *task = &h->tasks->list[at];
    const struct view_row *best[2] = {NULL, NULL};
    double least = INFINITY;
    for (size_t i = 0; i < task->count; i++)
        for (size_t j = 0; j < task->count; j++) {
            const struct view_row *nf4 = task->rows[i], *int4 = task->rows[j];
            if (!kind_equal(kind_of(nf4), kind_of(like)) || track_of(nf4) != track_of(like))
                break;
            const double product = nf4->r->median_us * int4->r->median_us;
            if (weights_of(int4) != WEIGHTS_INT4 || !(product < least) || !same_skeleton(nf4, int4) ||
                !bits_match(nf4, int4) ||
                (track_of(nf4) == TRACK_REPACKED) != (track_of(int4) == TRACK_REPACKED))
                continue;
            least = product;
            best[0] = nf4;
            best[1] = int4;
        }
    if (best[0])
        add_pair(h, at, best[0], best[1], true);
}

static void find_pairs(struct pairing *h)
{
    for (size_t at = 0; at < h->tasks->count; at++) {
        const struct task *task = &h->tasks->list[at];
        if (task->use == USE_NONE || !task_fastest(task, WEIGHTS_INT4))
            continue;
        for (size_t i = 0; i < task->count; i++) {
            if (weights_of(task->rows[i]) != WEIGHTS_NF4 || !task_is_best(task, i))
                continue;
            add_best(h, at, task->rows[i]);
            add_isolated(h, at, task->rows[i]);
        }
    }
}

/* ---- lines ---- */

/* All that a line has in common, but the attribution and the layout. */
static int compare_subject(const struct pairing *h, const struct pair *a, const struct pair *b)
{
    const struct row *ra = a->nf4->r, *rb = b->nf4->r;
    int c = compare_numbers(h->tasks->list[a->task].use, h->tasks->list[b->task].use);
    c = c ? c : compare_numbers(ra->out_type, rb->out_type);
    c = c ? c : compare_numbers(ra->threads, rb->threads);
    c = c ? c : compare_numbers(ra->bias, rb->bias);
    return c ? c : kind_compare(kind_of(a->nf4), kind_of(b->nf4));
}

static int compare_pairs(const struct pairing *h, const struct pair *a, const struct pair *b)
{
    int c = compare_subject(h, a, b);
    c = c ? c : compare_numbers(a->isolated, b->isolated);
    return c ? c : compare_numbers(a->track, b->track);
}

static int by_line(const void *pa, const void *pb, void *context)
{
    return compare_pairs(context, ((const struct line *)pa)->like, ((const struct line *)pb)->like);
}

static void find_lines(struct pairing *h)
{
    for (size_t i = 0; i < h->pair_count; i++) {
        bool known = false;
        for (size_t j = 0; j < h->line_count && !known; j++)
            known = compare_pairs(h, h->lines[j].like, &h->pairs[i]) == 0;
        if (!known)
            h->lines[h->line_count++] = (struct line){&h->pairs[i], h->tasks->list[h->pairs[i].task].use};
    }
    qsort_r(h->lines, h->line_count, sizeof h->lines[0], by_line, h);
}

/* ---- all ---- */

enum status pairing_init(struct pairing *h, const struct tasks *tasks)
{
    const size_t room = 2 * tasks->v->timed_count + 1; /* a row has two pairs at most */
    *h = (struct pairing){.tasks = tasks};
    h->pairs = calloc(room, sizeof h->pairs[0]);
    h->lines = calloc(room, sizeof h->lines[0]);
    h->parts = calloc(room, sizeof h->parts[0]);
    if (!h->pairs || !h->lines || !h->parts) {
        pairing_release(h);
        return status_no_memory("the pairs of %zu tasks", tasks->count);
    }
    for (size_t d = 0; d < tasks->device_count; d++)
        h->both = h->both || (tasks->devices[d].has[WEIGHTS_NF4] && tasks->devices[d].has[WEIGHTS_INT4]);
    find_pairs(h);
    find_lines(h);
    return STATUS_OK;
}

void pairing_release(struct pairing *h)
{
    free(h->pairs);
    free(h->lines);
    free(h->parts);
    *h = (struct pairing){0};
}

struct line_sum pairing_sum(struct pairing *h, const struct line *line, size_t device)
{
    struct line_sum sum = {.int4_bits_lo = INFINITY, .int4_bits_hi = 0};
    double log_bytes = 0, log_nf4 = 0, log_int4 = 0;
    size_t kept = 0;
    for (size_t i = 0; i < h->pair_count; i++) {
        const struct pair *p = &h->pairs[i];
        if (h->tasks->list[p->task].device != device || compare_pairs(h, p, line->like))
            continue;
        const struct row *nf4 = p->nf4->r, *int4 = p->int4->r;
        sum.first = sum.first ? sum.first : p;
        sum.pairs++;
        sum.out += p->out;
        sum.low += p->low && !p->out;
        sum.nf4_bits = nf4->bits_per_weight;
        sum.int4_bits_lo = fmin(sum.int4_bits_lo, int4->bits_per_weight);
        sum.int4_bits_hi = fmax(sum.int4_bits_hi, int4->bits_per_weight);
        if (p->out)
            continue;
        size_t shape = p->task;
        while (shape > 0 && same_shape(h->tasks, shape - 1, p->task))
            shape--;
        h->parts[kept++] = (struct mean_part){shape, p->ratio};
        log_bytes += log(int4->format_bytes / nf4->format_bytes);
        log_nf4 += log(ceiling_share(p->nf4));
        log_int4 += log(ceiling_share(p->int4));
    }
    sum.mean = mean_of(h->parts, kept);
    sum.bytes = exp(log_bytes / (double)kept);
    sum.nf4_share = exp(log_nf4 / (double)kept);
    sum.int4_share = exp(log_int4 / (double)kept);
    return sum;
}

const struct line *pairing_isolated(const struct pairing *h, const struct line *line)
{
    const struct line *found = NULL;
    for (size_t i = 0; i < h->line_count; i++) {
        const struct pair *p = h->lines[i].like;
        if (!p->isolated || compare_subject(h, p, line->like))
            continue;
        if (!found || (p->track == TRACK_REPACKED) == (line->like->track == TRACK_REPACKED))
            found = &h->lines[i];
    }
    return found;
}
