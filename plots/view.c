#include "plots/view.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/sort.h"

/* ---- words ---- */

const char *view_describe(const struct row *r, bool with_m, char buffer[VIEW_TEXT])
{
    char m[40] = "", threads[40] = "", weights[sizeof((struct record *)0)->weights + 16] = "";
    if (with_m && r->m > 0)
        snprintf(m, sizeof m, ", M %" PRIu64, r->m);
    if (r->threads > 0)
        snprintf(threads, sizeof threads, ", %" PRIu32 " thread%s", r->threads, r->threads == 1 ? "" : "s");
    if (r->weights[0] && strcmp(r->weights, "normal"))
        snprintf(weights, sizeof weights, ", %s", r->weights);
    snprintf(buffer, VIEW_TEXT, "%s %s%s, %" PRIu64 " \u00d7 %" PRIu64 ", blocksize %" PRIu32 "%s%s%s%s%s%s",
             operation_word(r->op), type_word(r->out_type), m, r->n, r->k, r->blocksize,
             r->nested ? ", nested" : "", r->bias ? ", bias" : "", threads, weights, r->regime ? ", " : "",
             r->regime ? regime_word(r->regime) : "");
    return buffer;
}

const char *view_file(const struct view *v, unsigned set)
{
    const char *path = v->sets[set].path ? v->sets[set].path : "(no name)";
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

void view_name_file(FILE *out, const struct view *v, const char *before, unsigned set)
{
    if (v->set_count > 1)
        html_print(out, "%s%s", before, view_file(v, set));
}

/* ---- classes of rows ---- */

static bool is_timed(const struct view_row *row)
{
    return isfinite(row->r->median_us) && row->r->median_us > 0;
}

bool view_is_right(const struct view_row *row)
{
    return row->r->verdict == VERDICT_PASS && is_timed(row);
}

bool view_is_ceiling(const struct view_row *row)
{
    return row->r->verdict == VERDICT_NONE;
}

bool view_is_peer(const struct view_row *row)
{
    return strncmp(row->r->variant, "bitsandbytes_", strlen("bitsandbytes_")) == 0;
}

const struct view_row *view_row_of(const struct view_case *c, const char *variant)
{
    for (size_t i = 0; i < c->count && view_is_right(c->rows[i]); i++)
        if (row_text_order(c->rows[i]->r->variant, variant) == 0)
            return c->rows[i];
    return NULL;
}

int view_gravity(uint8_t verdict)
{
    static const uint8_t order[] = {VERDICT_NONE,     VERDICT_SKIPPED, VERDICT_PASS,
                                    VERDICT_UNSTABLE, VERDICT_SUSPECT, VERDICT_MISTRUSTED,
                                    VERDICT_TIMEOUT,  VERDICT_CRASHED, VERDICT_FAIL};
    _Static_assert(VIEW_GRAVITY_PASS == 2, "the place of PASS in order[]");
    _Static_assert(VIEW_GRAVITY_UNKNOWN == sizeof order, "graver than any that we know");
    for (int i = 0; i < VIEW_GRAVITY_UNKNOWN; i++)
        if (order[i] == verdict)
            return i;
    return VIEW_GRAVITY_UNKNOWN;
}

struct paired_ratio view_ratio(const struct view *v, const struct view_row *a, const struct view_row *b)
{
    struct paired_ratio ratio = {a->r->median_us / b->r->median_us, {NAN, NAN}, 0};
    if (a->set == b->set && a->r->group_id == b->r->group_id && a->r->group_id != 0 && a->samples &&
        b->samples) {
        /* Behind the rounds, which both have, stand the samples that were taken again, all excluded. */
        uint64_t count = a->r->sample_count < b->r->sample_count ? a->r->sample_count : b->r->sample_count;
        struct paired_ratio paired;
        paired_ratio(a->kept, b->kept, (size_t)count, v->scratch, &paired);
        ratio = paired.count > 0 ? paired : ratio;
    }
    return ratio;
}

bool view_is_tied(struct paired_ratio ratio)
{
    return ratio.count > 0 && ratio.ci.lo <= 1 && ratio.ci.hi >= 1;
}

void view_write_ratio(FILE *out, struct paired_ratio ratio)
{
    const int decimals = ratio.ratio < 10 ? 2 : 1;
    html_number(out, ratio.ratio, decimals);
    if (isfinite(ratio.ratio) && ratio.count == 0)
        fputs(" <small>unpaired</small>", out);
    else if (isfinite(ratio.ratio))
        html_print(out, " <small>[%.*f, %.*f]</small>", decimals, ratio.ci.lo, decimals, ratio.ci.hi);
}

enum ink view_ink(const struct view_family *family, const struct view_row *row)
{
    if (view_is_peer(row))
        return INK_TEXT;
    for (int i = 0; i < INK_SERIES; i++)
        if (family->palette[i] && strcmp(family->palette[i], row->r->variant) == 0)
            return (enum ink)(INK_S0 + i);
    return INK_OTHER;
}

/* ---- order ---- */

static int compare_family(const struct view_row *a, const struct view_row *b)
{
    int c = compare_numbers(a->set, b->set);
    c = c ? c : compare_numbers(a->r->op, b->r->op);
    return c ? c : compare_numbers(a->r->out_type, b->r->out_type);
}

/* Everything that a case may differ in, but m. */
static int compare_facet(const struct view_row *a, const struct view_row *b)
{
    int c = compare_family(a, b);
    c = c ? c : compare_numbers(a->r->n, b->r->n);
    c = c ? c : compare_numbers(a->r->k, b->r->k);
    c = c ? c : compare_numbers(a->r->blocksize, b->r->blocksize);
    c = c ? c : compare_numbers(a->r->nested, b->r->nested);
    c = c ? c : compare_numbers(a->r->bias, b->r->bias);
    c = c ? c : compare_numbers(a->r->threads, b->r->threads);
    c = c ? c : row_text_order(a->r->weights, b->r->weights);
    return c ? c : compare_numbers(a->r->regime, b->r->regime);
}

static int compare_case(const struct view_row *a, const struct view_row *b)
{
    int c = compare_facet(a, b);
    c = c ? c : compare_numbers(a->r->m, b->r->m);
    return c ? c : row_text_order(a->r->case_key, b->r->case_key);
}

static int place_in_case(const struct view_row *row)
{
    return view_is_right(row) ? 0 : view_is_ceiling(row) ? 2 : 1;
}

static int by_case(const void *pa, const void *pb)
{
    const struct view_row *a = pa, *b = pb;
    int c = compare_case(a, b);
    c = c ? c : place_in_case(a) - place_in_case(b);
    return c ? c : (a->r->median_us > b->r->median_us) - (a->r->median_us < b->r->median_us);
}

static int compare_check(const void *pa, const void *pb)
{
    const struct view_row *a = pa, *b = pb;
    int c = compare_numbers(a->set, b->set);
    c = c ? c : row_text_order(a->r->variant, b->r->variant);
    c = c ? c : row_text_order(a->r->case_key, b->r->case_key);
    return c ? c : compare_numbers(a->r->threads, b->r->threads);
}

/* ---- building ---- */

static void point_to_rows(struct view *v)
{
    struct view_row *row = v->rows;
    for (size_t s = 0; s < v->set_count; s++) {
        const struct result_set *set = &v->sets[s];
        for (size_t i = 0; i < set->row_count; i++, row++) {
            row->r = &set->rows[i];
            row->set = (uint32_t)s;
            row->number = (uint32_t)i;
            const uint64_t start = row->r->sample_start, count = row->r->sample_count;
            if (set->samples && start <= set->sample_count && count <= set->sample_count - start && count > 0)
                row->samples = set->samples + start, row->kept = result_set_kept(set) + start;
        }
    }
}

static void find_cases(struct view *v)
{
    for (size_t i = 0; i < v->timed_count; i++) {
        const struct view_row *row = v->timed[i], *before = i ? v->timed[i - 1] : NULL;
        if (!before || compare_family(before, row))
            v->families[v->family_count++].facets = &v->facets[v->facet_count];
        struct view_family *family = &v->families[v->family_count - 1];
        if (!before || compare_facet(before, row)) {
            v->facets[v->facet_count++].cases = &v->cases[v->case_count];
            family->facet_count++;
        }
        struct view_facet *facet = &v->facets[v->facet_count - 1];
        if (!before || compare_case(before, row)) {
            v->cases[v->case_count++].rows = &v->timed[i];
            facet->case_count++;
        }
        struct view_case *c = &v->cases[v->case_count - 1];
        c->count++;
        facet->row_count++;
        if (!c->fastest && view_is_right(row))
            c->fastest = row;
        if (!c->peer && view_is_right(row) && view_is_peer(row))
            c->peer = row;
    }
}

static void find_checks(struct view *v, const struct view_row **order)
{
    size_t count = 0;
    for (size_t i = 0; i < v->row_count; i++)
        if (!view_is_ceiling(&v->rows[i]))
            order[count++] = &v->rows[i];
    sort_pointers(order, count, compare_check);
    for (size_t i = 0; i < count; i++) {
        const struct view_row *row = order[i];
        if (i == 0 || compare_check(order[i - 1], row))
            v->checks[v->check_count++] = (struct view_check){row, row};
        struct view_check *check = &v->checks[v->check_count - 1];
        if (view_gravity(row->r->verdict) > view_gravity(check->worst->r->verdict))
            check->worst = row;
        if (row->r->compared_count > check->verified->r->compared_count)
            check->verified = row;
    }
}

/* The variants worth a colour: those that win cases, then those that come closest. */
struct standing {
    const char *variant;
    size_t wins, cases;
    double log_gap; /* sum of ln(median / fastest) */
};

static int by_standing(const void *pa, const void *pb)
{
    const struct standing *a = pa, *b = pb;
    if (a->wins != b->wins)
        return a->wins < b->wins ? 1 : -1;
    double ga = a->log_gap / (double)a->cases, gb = b->log_gap / (double)b->cases;
    return ga != gb ? (ga > gb) - (ga < gb) : strcmp(a->variant, b->variant);
}

static int by_variant(const void *pa, const void *pb)
{
    return row_text_order(((const struct standing *)pa)->variant, ((const struct standing *)pb)->variant);
}

/* `standings` has room for one of each row. */
static void choose_palette(struct view_family *family, struct standing *standings)
{
    size_t rows = 0, count = 0;
    for (size_t f = 0; f < family->facet_count; f++)
        for (size_t i = 0; i < family->facets[f].case_count; i++) {
            const struct view_case *c = &family->facets[f].cases[i];
            for (size_t j = 0; j < c->count && view_is_right(c->rows[j]); j++) {
                const struct view_row *row = c->rows[j];
                if (!view_is_peer(row))
                    standings[rows++] = (struct standing){row->r->variant, row == c->fastest, 1,
                                                          log(row->r->median_us / c->fastest->r->median_us)};
            }
        }
    qsort(standings, rows, sizeof standings[0], by_variant);
    for (size_t i = 0; i < rows; i++) {
        if (count == 0 || by_variant(&standings[count - 1], &standings[i]) != 0) {
            standings[count++] = standings[i];
            continue;
        }
        standings[count - 1].wins += standings[i].wins;
        standings[count - 1].cases++;
        standings[count - 1].log_gap += standings[i].log_gap;
    }
    qsort(standings, count, sizeof standings[0], by_standing);
    for (size_t i = 0; i < count && i < INK_SERIES; i++)
        family->palette[i] = standings[i].variant;
}

/* Gives room in tables to rows of a family, `share` of them at most: to facets at even distances, so that
 * small and large problems have some, and in these to all cases while there is room. */
static void show_family(struct view *v, const struct view_family *family, size_t share)
{
    size_t rows = 0, left = share;
    for (size_t i = 0; i < family->facet_count; i++)
        rows += family->facets[i].row_count;
    const size_t step = rows > share && share > 0 ? (rows + share - 1) / share : 1;
    for (size_t i = 0; i < family->facet_count; i += step) {
        struct view_facet *facet = &v->facets[&family->facets[i] - v->facets];
        struct view_case *cases = &v->cases[facet->cases - v->cases];
        for (size_t j = 0; j < facet->case_count; j++) {
            cases[j].shown = cases[j].count < left ? cases[j].count : left;
            left -= cases[j].shown;
            facet->shown += cases[j].shown;
        }
        v->shown_count += facet->shown;
    }
}

enum status view_init(struct view *v, const struct result_set *sets, size_t set_count)
{
    enum status s = STATUS_OK;
    const struct view_row **order = NULL;
    struct standing *standings = NULL;
    size_t most_samples = 0; /* of a file */
    *v = (struct view){.sets = sets, .set_count = set_count};
    for (size_t i = 0; i < set_count; i++) {
        v->row_count += sets[i].row_count;
        most_samples = sets[i].sample_count > most_samples ? sets[i].sample_count : most_samples;
    }

    const size_t n = v->row_count;
    v->rows = calloc(n + 1, sizeof v->rows[0]);
    v->timed = calloc(n + 1, sizeof v->timed[0]);
    v->cases = calloc(n + 1, sizeof v->cases[0]);
    v->facets = calloc(n + 1, sizeof v->facets[0]);
    v->families = calloc(n + 1, sizeof v->families[0]);
    v->checks = calloc(n + 1, sizeof v->checks[0]);
    v->scratch = calloc(most_samples + 1, sizeof v->scratch[0]);
    order = calloc(n + 1, sizeof order[0]);
    standings = calloc(n + 1, sizeof standings[0]);
    if (!v->rows || !v->timed || !v->cases || !v->facets || !v->families || !v->checks || !v->scratch ||
        !order || !standings) {
        s = status_no_memory("a report of %zu rows", n);
        goto done;
    }
    point_to_rows(v);
    for (size_t i = 0; i < n; i++)
        if (is_timed(&v->rows[i]))
            v->timed[v->timed_count++] = &v->rows[i];
    sort_pointers(v->timed, v->timed_count, by_case);
    find_cases(v);
    find_checks(v, order);
    for (size_t i = 0; i < v->family_count; i++) {
        choose_palette(&v->families[i], standings);
        show_family(v, &v->families[i], (VIEW_SHOWN_MAX - v->shown_count) / (v->family_count - i));
    }
done:
    free(order);
    free(standings);
    if (s != STATUS_OK)
        view_release(v);
    return s;
}

void view_release(struct view *v)
{
    free(v->rows);
    free(v->timed);
    free(v->cases);
    free(v->facets);
    free(v->families);
    free(v->checks);
    free(v->scratch);
    *v = (struct view){0};
}
