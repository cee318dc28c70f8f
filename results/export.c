/*
 * export.c: CSV and JSON Lines for programs, Markdown for people.
 */
#include "results/export.h"

#include <errno.h>
#include <fnmatch.h>
#include <inttypes.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/stats.h"
#include "harness/base/text.h"
#include "results/markdown.h"
#include "results/sort.h"
#include "results/values.h"

static enum status finish(const struct result_set *s, FILE *out)
{
    if (fflush(out) != 0 || ferror(out))
        return status_fail(STATUS_IO, "%s: cannot write the export: %s", s->path ? s->path : "results",
                           errno != 0 ? strerror(errno) : "output error");
    return STATUS_OK;
}

/* ---- values for programs ---- */

static double get_double(const struct row *r, const struct column *c)
{
    double value;
    memcpy(&value, (const char *)r + c->row_offset, sizeof value);
    return value;
}

/* The text of a column that is not a double. */
static const char *value_text(const struct row *r, const struct column *c, char number[VALUE_TEXT])
{
    const char *at = (const char *)r + c->row_offset, *text;
    uint64_t u64 = 0;
    int64_t i64;
    switch (c->kind) {
    case COLUMN_TEXT:
        memcpy(&text, at, sizeof text);
        return text;
    case COLUMN_ENUM:
        text = c->word(*(const uint8_t *)at);
        return text ? text : "?";
    case COLUMN_I64:
        memcpy(&i64, at, sizeof i64);
        snprintf(number, VALUE_TEXT, "%" PRId64, i64);
        return number;
    case COLUMN_F64:
        return value_of_double(get_double(r, c), number);
    case COLUMN_U8:
    case COLUMN_U32:
    case COLUMN_U64:
        memcpy(&u64, at, c->size); /* little-endian */
        return value_of_uint(u64, number);
    }
    return "?";
}

static bool is_number(const struct column *c)
{
    return c->kind != COLUMN_TEXT && c->kind != COLUMN_ENUM;
}

enum status export_csv(const struct result_set *s, FILE *out)
{
    char number[VALUE_TEXT];
    errno = 0;
    for (unsigned i = 0; i < record_column_count; i++) {
        fputs(i > 0 ? "," : "", out);
        fputs(record_columns[i].name, out);
    }
    fputc('\n', out);
    for (size_t row = 0; row < s->row_count; row++) {
        for (unsigned i = 0; i < record_column_count; i++) {
            const struct column *c = &record_columns[i];
            if (i > 0)
                fputc_unlocked(',', out);
            if (c->kind == COLUMN_F64 && isnan(get_double(&s->rows[row], c)))
                continue;
            const char *text = value_text(&s->rows[row], c, number);
            if (is_number(c))
                fputs_unlocked(text, out);
            else
                text_put(TEXT_CSV, text, out);
        }
        fputc_unlocked('\n', out);
    }
    return finish(s, out);
}

enum status export_jsonl(const struct result_set *s, FILE *out)
{
    char number[VALUE_TEXT];
    errno = 0;
    for (size_t row = 0; row < s->row_count; row++) {
        const struct row *r = &s->rows[row];
        for (unsigned i = 0; i < record_column_count; i++) {
            const struct column *c = &record_columns[i];
            fputs_unlocked(i > 0 ? ", \"" : "{\"", out);
            fputs_unlocked(c->name, out);
            fputs_unlocked("\": ", out);
            if (c->kind == COLUMN_F64)
                value_put_json_double(get_double(r, c), out);
            else if (is_number(c))
                fputs_unlocked(value_text(r, c, number), out);
            else
                text_put(TEXT_JSON, value_text(r, c, number), out);
        }
        fputs(", \"samples_us\": [", out);
        for (uint64_t i = 0; i < r->sample_count; i++) {
            fputs(i > 0 ? ", " : "", out);
            value_put_json_double(s->samples[r->sample_start + i], out);
        }
        bool flagged = false;
        for (uint64_t i = 0; s->flags && i < r->sample_count; i++)
            flagged = flagged || s->flags[r->sample_start + i];
        for (uint64_t i = 0; flagged && i < r->sample_count; i++)
            fprintf(out, "%s%u", i > 0 ? ", " : "], \"sample_flags\": [", s->flags[r->sample_start + i]);
        fputs("]}\n", out);
    }
    return finish(s, out);
}

/* ---- Markdown ---- */

static enum status environment(const struct result_set *s, FILE *out)
{
    static const char *const heads[] = {"key", "value"};
    enum { SHOWN = 100 };
    struct markdown_table t = {.columns = 2, .heads = heads};
    for (size_t i = 0; i < s->attribute_count; i++) {
        const char *value = s->attributes[i].value;
        const size_t end = text_prefix(value, SHOWN);
        markdown_cell(&t, "%s", s->attributes[i].name);
        markdown_cell(&t, "%.*s%s", (int)end, value, value[end] ? "..." : "");
    }
    fputs("## Environment\n\n", out);
    return markdown_print(&t, out);
}

static enum status verdict_counts(const struct result_set *s, FILE *out)
{
    static const char *const heads[] = {"verdict", ">rows"};
    struct markdown_table t = {.columns = 2, .heads = heads};
    size_t counts[UINT8_MAX + 1] = {0};
    for (size_t i = 0; i < s->row_count; i++)
        counts[s->rows[i].verdict]++;
    for (unsigned v = 0; v <= UINT8_MAX; v++) {
        if (counts[v] == 0)
            continue;
        markdown_cell(&t, "%s", v == VERDICT_NONE ? "NONE (ceilings)" : verdict_word((uint8_t)v));
        markdown_cell(&t, "%zu", counts[v]);
    }
    fputs("## Verdicts\n\n", out);
    return markdown_print(&t, out);
}

/* Everything a reader must look at, the worst first. */
static enum status failures(const struct result_set *s, FILE *out)
{
    static const char *const heads[] = {"verdict", "variant",     "case",  "regime",
                                        "check",   ">mismatches", "reason"};
    static const uint8_t order[] = {VERDICT_FAIL,       VERDICT_CRASHED, VERDICT_TIMEOUT,
                                    VERDICT_MISTRUSTED, VERDICT_SUSPECT, VERDICT_UNSTABLE};
    struct markdown_table t = {.columns = 7, .heads = heads};
    for (size_t v = 0; v < sizeof order / sizeof order[0]; v++) {
        for (size_t i = 0; i < s->row_count; i++) {
            const struct row *r = &s->rows[i];
            if (r->verdict != order[v])
                continue;
            markdown_cell(&t, "%s", verdict_word(r->verdict));
            markdown_cell(&t, "%s", r->variant);
            markdown_cell(&t, "%s", r->case_key);
            markdown_cell(&t, "%s", regime_word(r->regime));
            markdown_cell(&t, "%s", r->check);
            markdown_cell(&t, r->compared_count > 0 ? "%" PRIu64 " of %" PRIu64 : "-", r->mismatch_count,
                          r->compared_count);
            markdown_cell(&t, "%s", r->reason);
        }
    }
    if (t.count == 0 && !t.failed)
        return STATUS_OK;
    fputs("## Failures\n\n", out);
    return markdown_print(&t, out);
}

static int by_reason(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return row_text_order(x->reason, y->reason);
}

static int by_group(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return (x->group_id > y->group_id) - (x->group_id < y->group_id);
}

static int by_case(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    return row_text_order(x->case_key, y->case_key);
}

/* Cold before hot before not timed, then the fastest first. */
static int by_time(const void *a, const void *b)
{
    const struct row *x = a, *y = b;
    const uint8_t r = (uint8_t)(x->regime - 1), q = (uint8_t)(y->regime - 1);
    const double t = x->median_us, u = y->median_us;
    int order = (r > q) - (r < q);
    order = order ? order : (isnan(t) != 0) - (isnan(u) != 0);
    return order ? order : (t > u) - (t < u);
}

/* Skipped rows are many and alike: one line a reason. */
static enum status skips(const struct result_set *s, const struct row **rows, FILE *out)
{
    static const char *const heads[] = {">rows", "reason"};
    struct markdown_table t = {.columns = 2, .heads = heads};
    sort_pointers(rows, s->row_count, by_reason);
    size_t count = 0;
    for (size_t i = 0; i < s->row_count; i++) {
        count += rows[i]->verdict == VERDICT_SKIPPED;
        bool last = i + 1 == s->row_count || row_text_order(rows[i]->reason, rows[i + 1]->reason) != 0;
        if (last && count > 0) {
            markdown_cell(&t, "%zu", count);
            markdown_cell(&t, "%s", rows[i]->reason);
        }
        if (last)
            count = 0;
    }
    if (t.count == 0 && !t.failed)
        return STATUS_OK;
    fputs("## Skipped\n\n", out);
    return markdown_print(&t, out);
}

/* Decimals that make four digits: equal widths let the eye compare. */
static int decimals(double value)
{
    return value < 10 ? 3 : value < 100 ? 2 : value < 1000 ? 1 : 0;
}

/* The median and its interval, in the unit of the median: the eye compares digits. */
static void add_times(struct markdown_table *t, double us, double lo, double hi)
{
    const double scale = us < 1 ? 1e3 : us < 1e3 ? 1 : us < 1e6 ? 1e-3 : 1e-6;
    const char *unit = us < 1 ? "ns" : us < 1e3 ? "us" : us < 1e6 ? "ms" : "s";
    const int digits = decimals(us * scale);
    const bool interval = isfinite(lo) && isfinite(hi) && isfinite(us);
    markdown_cell(t, isfinite(us) ? "%.*f %s" : "-", digits, us * scale, unit);
    markdown_cell(t, interval ? "%.*f to %.*f" : "-", digits, lo * scale, digits, hi * scale);
}

static void add_fraction(struct markdown_table *t, const struct row *r)
{
    if (!isfinite(r->ceiling_fraction))
        markdown_cell(t, "-");
    else if (!isfinite(r->ceiling_fraction_lo) || !isfinite(r->ceiling_fraction_hi))
        markdown_cell(t, "%.1f %% %s", 100 * r->ceiling_fraction, r->ceiling);
    else
        markdown_cell(t, "%.1f %% (%.1f to %.1f) %s", 100 * r->ceiling_fraction, 100 * r->ceiling_fraction_lo,
                      100 * r->ceiling_fraction_hi, r->ceiling);
}

static enum status add_ratio(struct markdown_table *t, const struct result_set *s, const struct row *r,
                             const struct row *base)
{
    struct paired_ratio p;
    if (!base || r->sample_count == 0) {
        markdown_cell(t, "-");
        return STATUS_OK;
    }
    /* Sample i of one is paired with sample i of the other: a longer rest has no partner. */
    size_t count = r->sample_count < base->sample_count ? r->sample_count : base->sample_count;
    double *scratch = malloc(count * sizeof *scratch);
    if (!scratch)
        return status_no_memory("%zu paired samples", count);
    paired_ratio(result_set_kept(s) + base->sample_start, result_set_kept(s) + r->sample_start, count,
                 scratch, &p);
    free(scratch);
    markdown_cell(t, isfinite(p.ratio) ? "%.3fx (%.3f to %.3f)" : "-", p.ratio, p.ci.lo, p.ci.hi);
    return STATUS_OK;
}

static enum status timing_table(const struct result_set *s, const struct row **rows, size_t count,
                                const struct row *const *bases, const char *against, FILE *out)
{
    char ratio_head[160];
    snprintf(ratio_head, sizeof ratio_head, ">speed against %.120s", against ? against : "");
    const char *const heads[MARKDOWN_COLUMNS_MAX] = {
        "variant", "verdict",         "regime", ">median", ">95 % interval",
        ">GB/s",   ">of the ceiling", ">n",     ratio_head};
    struct markdown_table t = {.columns = against ? 9 : 8, .heads = heads};
    enum status status = STATUS_OK;
    size_t shown = 0;
    sort_pointers(rows, count, by_time);
    for (size_t i = 0; status == STATUS_OK && i < count; i++) {
        const struct row *r = rows[i];
        if (r->verdict == VERDICT_SKIPPED)
            continue;
        if (shown++ == 0)
            fprintf(out, "### %s\n\n", r->case_key);
        markdown_cell(&t, "%s", r->variant);
        markdown_cell(&t, "%s", r->verdict == VERDICT_NONE ? "-" : verdict_word(r->verdict));
        markdown_cell(&t, "%s", r->regime == REGIME_NONE ? "-" : regime_word(r->regime));
        add_times(&t, r->median_us, r->median_lo_us, r->median_hi_us);
        markdown_cell(&t, isfinite(r->bytes_per_s) ? "%.*f" : "-", decimals(r->bytes_per_s * 1e-9),
                      r->bytes_per_s * 1e-9);
        add_fraction(&t, r);
        markdown_cell(&t, "%" PRIu64 "%s%s%s%s", r->sample_count, r->bimodal ? " bimodal" : "",
                      r->sample_count > 0 && !r->precise ? " imprecise" : "",
                      r->cold_not_achieved ? " cold-not-achieved" : "",
                      r->regime == REGIME_COLD && r->overhead_limited ? " overhead-limited" : "");
        if (against)
            status = add_ratio(&t, s, r, bases[r - s->rows]);
    }
    if (shown == 0)
        return STATUS_OK;
    enum status printed = markdown_print(&t, out);
    return status != STATUS_OK ? status : printed;
}

/* bases[i]: the row that row i is held against, or NULL. */
static enum status find_bases(const struct result_set *s, const struct row **rows, const char *against,
                              const struct row **bases)
{
    size_t matches = 0;
    sort_pointers(rows, s->row_count, by_group);
    for (size_t start = 0, end; start < s->row_count; start = end) {
        const struct row *base = NULL;
        for (end = start; end < s->row_count && rows[end]->group_id == rows[start]->group_id; end++)
            if (!base && rows[end]->sample_count > 0 && fnmatch(against, rows[end]->variant, 0) == 0)
                base = rows[end];
        matches += base != NULL;
        for (size_t i = start; i < end; i++)
            bases[rows[i] - s->rows] = base;
    }
    if (matches == 0)
        return status_fail(STATUS_USAGE, "%s: no timed variant matches \"%s\"", s->path, against);
    return STATUS_OK;
}

/* The rows of a case, in the order of the file. */
struct case_rows {
    const struct row **rows, *first;
    size_t count;
};

static int by_first(const void *a, const void *b)
{
    const struct case_rows *x = a, *y = b;
    return (x->first > y->first) - (x->first < y->first);
}

/* Cases in the order in which they first appear in the file. */
static enum status timings(const struct result_set *s, const struct row **rows,
                           const struct row *const *bases, const char *against, FILE *out)
{
    enum status status = STATUS_OK;
    struct case_rows *cases = malloc((s->row_count + 1) * sizeof *cases);
    size_t case_count = 0;
    if (!cases)
        return status_no_memory("%s", s->path);
    sort_pointers(rows, s->row_count, by_case);
    for (size_t i = 0; i < s->row_count; i++) {
        if (i == 0 || row_text_order(rows[i]->case_key, rows[i - 1]->case_key) != 0)
            cases[case_count++] = (struct case_rows){rows + i, rows[i], 0};
        cases[case_count - 1].count++;
    }
    qsort(cases, case_count, sizeof *cases, by_first);
    fputs("## Timings\n\n", out);
    for (size_t i = 0; i < s->row_count; i++)
        if (row_is_fake(&s->rows[i])) {
            fputs(
                "**Not a GPU's times**: made on the fake driver of the tests, they are those of a model.\n\n",
                out);
            break;
        }
    for (size_t i = 0; status == STATUS_OK && i < case_count; i++)
        status = timing_table(s, cases[i].rows, cases[i].count, bases, against, out);
    free(cases);
    return status;
}

static enum status put_markdown(const struct result_set *s, const struct row **rows, const struct row **bases,
                                const char *against, FILE *out)
{
    if (against)
        TRY(find_bases(s, rows, against, bases)); /* before anything is written */
    fprintf(out, "# %s\n\n", s->path);
    TRY(environment(s, out));
    TRY(verdict_counts(s, out));
    TRY(failures(s, out));
    TRY(skips(s, rows, out));
    TRY(timings(s, rows, bases, against, out));
    return finish(s, out);
}

enum status export_markdown(const struct result_set *s, const char *against, FILE *out)
{
    size_t count;
    const struct row **rows = sorted_rows(s, NULL, NULL, &count),
                     **bases = calloc(s->row_count + 1, sizeof *bases);
    errno = 0;
    enum status status = rows && bases ? put_markdown(s, rows, bases, against, out)
                                       : status_no_memory("%s: %zu rows", s->path, s->row_count);
    free(bases);
    free(rows);
    return status;
}

enum status export_columns(FILE *out)
{
    static const char *const kinds[] = {
        [COLUMN_TEXT] = "text",  [COLUMN_ENUM] = "enum", [COLUMN_U8] = "uint8",    [COLUMN_U32] = "uint32",
        [COLUMN_U64] = "uint64", [COLUMN_I64] = "int64", [COLUMN_F64] = "float64",
    };
    fprintf(out, "| column | type | unit | meaning |\n| --- | --- | --- | --- |\n");
    for (unsigned i = 0; i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        fprintf(out, "| %s | %s | %s | %s |\n", c->name, kinds[c->kind], c->unit, c->doc);
    }
    return ferror(out) ? status_fail(STATUS_IO, "the columns could not be written") : STATUS_OK;
}
