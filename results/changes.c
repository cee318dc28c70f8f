#include "results/changes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/output.h"
#include "harness/base/text.h"
#include "results/markdown.h"
#include "results/sort.h"
#include "results/unlike.h"
#include "results/values.h"

#define SAME_WITHIN 0.01 /* of a ratio: less is not worth a look between two processes */

static const struct {
    const char *word, *meaning;
} kinds[CHANGE_COUNT] = {
#define X(name, word, meaning) {word, meaning},
    CHANGE_MAP(X)
#undef X
};

const char *change_word(enum change_kind kind)
{
    return kinds[kind].word;
}

/* ---- the join ---- */

/* The regime, which is none for what was not timed, comes last: by_key(). */
static int compare_keys(const struct row *a, const struct row *b)
{
    int order = row_key_order(a, b);
    return order ? order : by_number(a->device_number, b->device_number);
}

static int by_key(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    int order = compare_keys(x, y);
    return order ? order : by_number(x->regime, y->regime);
}

static bool is_of_variant(const struct row *r)
{
    return r->verdict != VERDICT_NONE;
}

static bool is_right(const struct row *r)
{
    return r->verdict == VERDICT_PASS;
}

static bool is_wrong(const struct row *r)
{
    return r->verdict == VERDICT_FAIL || r->verdict == VERDICT_CRASHED || r->verdict == VERDICT_TIMEOUT ||
           r->verdict == VERDICT_MISTRUSTED;
}

static struct change change_of(const struct row *base, const struct row *now)
{
    struct change c = {.kind = CHANGE_UNTIMED, .base = base, .now = now, .ratio = NAN, .lo = NAN, .hi = NAN};
    if (base->sample_count && now->sample_count && base->median_us > 0 && now->median_us > 0) {
        c.ratio = now->median_us / base->median_us;
        c.lo = now->median_lo_us / base->median_hi_us;
        c.hi = now->median_hi_us / base->median_lo_us;
        bool apart = c.lo > 1 || c.hi < 1;
        c.kind = fabs(c.ratio - 1) <= SAME_WITHIN ? CHANGE_SAME
                 : !apart                         ? CHANGE_UNSURE
                 : c.ratio > 1                    ? CHANGE_SLOWER
                                                  : CHANGE_FASTER;
    }
    if (is_right(base) && is_wrong(now))
        c.kind = CHANGE_BROKEN;
    else if (is_wrong(base) && is_right(now))
        c.kind = CHANGE_MENDED;
    return c;
}

static int by_weight(const void *a, const void *b)
{
    const struct change *x = a, *y = b;
    if (x->kind != y->kind)
        return (x->kind > y->kind) - (x->kind < y->kind);
    double xs = isnan(x->ratio) ? 0 : fabs(log(x->ratio)), ys = isnan(y->ratio) ? 0 : fabs(log(y->ratio));
    return xs == ys ? compare_keys(x->base, y->base) : by_number(ys, xs);
}

static void add_to_mean(struct changes *c, const struct change *one)
{
    size_t i = 0;
    while (i < c->mean_count && (c->means[i].op != one->base->op || c->means[i].regime != one->base->regime))
        i++;
    if (i == CHANGE_MEANS_MAX)
        return;
    if (i == c->mean_count)
        c->means[c->mean_count++] = (struct change_mean){.op = one->base->op, .regime = one->base->regime};
    c->means[i].count++;
    c->means[i].ratio += log(one->ratio);
}

/* How many rows from the first on have its key. */
static size_t key_length(const struct row *const *rows, size_t count)
{
    size_t n = 0;
    while (n < count && compare_keys(rows[0], rows[n]) == 0)
        n++;
    return n;
}

/* Joins the rows of one key by regime. Where one side was not timed, because it is wrong or nobody asked, its
 * row without a regime stands for all of the other's. */
static void join_key(struct changes *c, const struct row *const *base, size_t base_count,
                     const struct row *const *now, size_t now_count)
{
    if (base[0]->regime == REGIME_NONE || now[0]->regime == REGIME_NONE) {
        c->list[c->count++] = change_of(base[0], now[0]);
        return;
    }
    for (size_t b = 0, n = 0; b < base_count || n < now_count;) {
        int order = b == base_count ? 1 : n == now_count ? -1 : by_number(base[b]->regime, now[n]->regime);
        if (order == 0)
            c->list[c->count++] = change_of(base[b], now[n]);
        c->base_only += order < 0;
        c->now_only += order > 0;
        b += order <= 0;
        n += order >= 0;
    }
}

static enum status join(struct changes *c)
{
    size_t base_count, now_count, b = 0, n = 0;
    const struct row **base = sorted_rows(c->base, is_of_variant, by_key, &base_count),
                     **now = sorted_rows(c->now, is_of_variant, by_key, &now_count);
    c->list = malloc(((base_count < now_count ? base_count : now_count) + 1) * sizeof *c->list);
    enum status s = base && now && c->list ? STATUS_OK : status_no_memory("compare");
    while (s == STATUS_OK && (b < base_count || n < now_count)) {
        int order = b == base_count ? 1 : n == now_count ? -1 : compare_keys(base[b], now[n]);
        size_t base_rows = order <= 0 ? key_length(base + b, base_count - b) : 0;
        size_t now_rows = order >= 0 ? key_length(now + n, now_count - n) : 0;
        if (order == 0)
            join_key(c, base + b, base_rows, now + n, now_rows);
        c->base_only += order < 0 ? base_rows : 0;
        c->now_only += order > 0 ? now_rows : 0;
        b += base_rows;
        n += now_rows;
    }
    free(base);
    free(now);
    if (s != STATUS_OK)
        return s;
    qsort(c->list, c->count, sizeof *c->list, by_weight);
    for (size_t i = 0; i < c->count; i++) {
        c->kinds[c->list[i].kind]++;
        if (!isnan(c->list[i].ratio))
            add_to_mean(c, &c->list[i]);
    }
    for (size_t i = 0; i < c->mean_count; i++)
        c->means[i].ratio = exp(c->means[i].ratio / (double)c->means[i].count);
    return STATUS_OK;
}

/* ---- the environments ---- */

static enum status check_files(const struct result_set *base, const struct result_set *now)
{
    if (output_is(base->path, now->path))
        return status_fail(STATUS_USAGE,
                           "%s and %s are one file: name the file of the base and that of the change",
                           base->path, now->path);
    const char *first = unlike_timed_device(base, NULL), *other = unlike_timed_device(now, NULL);
    if (first && other && !unlike_timed_device(now, first))
        return status_fail(STATUS_USAGE,
                           "%s was timed on '%s', %s on '%s': no verdict is called between devices; "
                           "`nf4bench report` shows both side by side",
                           base->path, first, now->path, other);
    return STATUS_OK;
}

enum status changes_find(const struct result_set *base, const struct result_set *now, struct changes *out)
{
    *out = (struct changes){.base = base, .now = now};
    enum status s = check_files(base, now);
    if (s == STATUS_OK)
        s = join(out);
    if (s == STATUS_OK && out->count == 0)
        s = status_fail(
            STATUS_USAGE,
            "%s and %s have no row in common: case, variant, regime, threads and device must agree",
            base->path, now->path);
    /* Files without any times can be compared by their verdicts. */
    if (s == STATUS_OK && out->kinds[CHANGE_UNTIMED] == out->count &&
        (unlike_timed_device(base, NULL) || unlike_timed_device(now, NULL)))
        s = status_fail(STATUS_USAGE, "no row has times in both %s and %s (no samples, or no medians)",
                        base->path, now->path);
    if (s == STATUS_OK && !(out->unlike = unlike_text(base, now)))
        s = status_no_memory("compare");
    if (s != STATUS_OK)
        changes_release(out);
    return s;
}

void changes_release(struct changes *c)
{
    free(c->list);
    free(c->unlike);
    c->list = NULL;
    c->unlike = NULL;
    c->count = 0;
}

/* ---- for people ---- */

static enum status put_means(const struct changes *c, FILE *out)
{
    static const char *const heads[] = {"operation", "regime", ">rows", ">new / base, geometric mean"};
    struct markdown_table t = {.columns = 4, .heads = heads};
    for (size_t i = 0; i < c->mean_count; i++) {
        markdown_cell(&t, "%s", operation_word(c->means[i].op));
        markdown_cell(&t, "%s", regime_word(c->means[i].regime));
        markdown_cell(&t, "%zu", c->means[i].count);
        markdown_cell(&t, "%.4f", c->means[i].ratio);
    }
    return markdown_print(&t, out);
}

static enum status put_rows(const struct changes *c, FILE *out)
{
    static const char *const heads[] = {"change",   "variant", "case",   "regime",
                                        ">base us", ">new us", ">ratio", ">95 %"};
    struct markdown_table t = {.columns = 8, .heads = heads};
    const size_t all = c->count - c->kinds[CHANGE_UNTIMED]; /* which are the last */
    const size_t shown = all < CHANGES_SHOWN ? all : CHANGES_SHOWN;
    if (shown < all)
        fprintf(out, "%zu of %zu rows are shown, those that matter most; `--json` has all.\n\n", shown, all);
    for (size_t i = 0; i < shown; i++) {
        const struct change *one = &c->list[i];
        bool timed = !isnan(one->ratio);
        if (one->kind == CHANGE_BROKEN || one->kind == CHANGE_MENDED)
            markdown_cell(&t, "%s: %s, then %s", change_word(one->kind), verdict_word(one->base->verdict),
                          verdict_word(one->now->verdict));
        else
            markdown_cell(&t, "%s", change_word(one->kind));
        markdown_cell(&t, "%s", one->base->variant);
        markdown_cell(&t, "%s", one->base->case_key);
        markdown_cell(&t, "%s", regime_word(one->base->regime));
        markdown_cell(&t, timed ? "%.2f" : "", one->base->median_us);
        markdown_cell(&t, timed ? "%.2f" : "", one->now->median_us);
        markdown_cell(&t, timed ? "%.4f" : "", one->ratio);
        markdown_cell(&t, timed ? "%.4f to %.4f" : "", one->lo, one->hi);
    }
    return markdown_print(&t, out);
}

enum status changes_markdown(const struct changes *c, FILE *out)
{
    const char *base = result_set_attribute(c->base, "git_revision"),
               *now = result_set_attribute(c->now, "git_revision");
    fprintf(out, "# %s against %s\n\n", c->now->path, c->base->path);
    fprintf(out,
            "Revision %s, then %s. %zu rows in common, %zu in the base alone, %zu in the new one alone.\n\n",
            base ? base : "unknown", now ? now : "unknown", c->count, c->base_only, c->now_only);
    if (*c->unlike) {
        fputs("**The environments differ:** times may have changed for that alone.\n\n", out);
        text_put_lines("- ", c->unlike, out);
        fputs("\n", out);
    }
    for (unsigned k = 0; k < CHANGE_COUNT; k++)
        if (c->kinds[k])
            fprintf(out, "- %zu %s: %s\n", c->kinds[k], change_word(k), kinds[k].meaning);
    fputs("\nOne run each: the intervals know of the spread within a run, not of that between processes.\n\n",
          out);
    enum status s = c->mean_count ? put_means(c, out) : STATUS_OK;
    return s == STATUS_OK ? put_rows(c, out) : s;
}

/* ---- for programs ---- */

static void put_text_member(const char *before, const char *text, FILE *out)
{
    fputs_unlocked(before, out);
    text_put(TEXT_JSON, text, out);
}

/* A path may hold any bytes, JSON may not. */
static void put_path_member(const char *before, const char *path, FILE *out)
{
    char *text = strdup(path);
    if (text)
        text_repair(text, strlen(text) + 1);
    put_text_member(before, text ? text : "", out);
    free(text);
}

static void put_number_member(const char *before, double value, FILE *out)
{
    fputs_unlocked(before, out);
    value_put_json_double(value, out);
}

static void put_json_change(const struct change *one, FILE *out)
{
    char threads[VALUE_TEXT];
    put_text_member("{\"change\": ", change_word(one->kind), out);
    put_text_member(", \"variant\": ", one->base->variant, out);
    put_text_member(", \"case\": ", one->base->case_key, out);
    put_text_member(", \"regime\": ", regime_word(one->base->regime), out);
    fputs_unlocked(", \"threads\": ", out);
    fputs_unlocked(value_of_uint(one->base->threads, threads), out);
    put_text_member(", \"device\": ", one->base->device, out);
    put_text_member(", \"base_verdict\": ", verdict_word(one->base->verdict), out);
    put_text_member(", \"new_verdict\": ", verdict_word(one->now->verdict), out);
    put_number_member(", \"base_median_us\": ", one->base->median_us, out);
    put_number_member(", \"new_median_us\": ", one->now->median_us, out);
    put_number_member(", \"ratio\": ", one->ratio, out);
    put_number_member(", \"ratio_lo\": ", one->lo, out);
    put_number_member(", \"ratio_hi\": ", one->hi, out);
    fputs_unlocked("}", out);
}

/* By hand: a tree of all rows would take many times the memory of the rows. */
enum status changes_json(const struct changes *c, FILE *out)
{
    put_path_member("{\n \"base\": ", c->base->path, out);
    put_path_member(",\n \"new\": ", c->now->path, out);
    fprintf(out, ",\n \"base_only\": %zu,\n \"new_only\": %zu", c->base_only, c->now_only);
    put_text_member(",\n \"unlike\": ", c->unlike, out);
    fputs(",\n \"means\": [", out);
    for (size_t i = 0; i < c->mean_count; i++) {
        put_text_member(i ? ",\n  {\"op\": " : "\n  {\"op\": ", operation_word(c->means[i].op), out);
        put_text_member(", \"regime\": ", regime_word(c->means[i].regime), out);
        fprintf(out, ", \"rows\": %zu", c->means[i].count);
        put_number_member(", \"ratio\": ", c->means[i].ratio, out);
        fputs("}", out);
    }
    fputs("],\n \"rows\": [", out);
    for (size_t i = 0; i < c->count; i++) {
        fputs_unlocked(i ? ",\n  " : "\n  ", out);
        put_json_change(&c->list[i], out);
    }
    fputs("]\n}\n", out);
    return ferror(out) ? status_fail(STATUS_IO, "compare: cannot write the JSON") : STATUS_OK;
}
