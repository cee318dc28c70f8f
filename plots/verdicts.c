/* verdicts.c: whether the variants are right. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "harness/base/text.h"
#include "plots/sections.h"
#include "results/sort.h"

/* Class of a verdict's badge. */
static const char *tone(uint8_t verdict)
{
    int gravity = view_gravity(verdict);
    if (gravity < VIEW_GRAVITY_PASS)
        return "none";
    if (gravity == VIEW_GRAVITY_PASS)
        return "good";
    return verdict == VERDICT_UNSTABLE || verdict == VERDICT_SUSPECT ? "warn" : "bad";
}

/* The verdicts that are counted, the gravest first. */
static size_t list_verdicts(const size_t counts[UINT8_MAX + 1], uint8_t list[UINT8_MAX + 1])
{
    size_t count = 0;
    for (int gravity = UINT8_MAX; gravity >= 0; gravity--)
        for (unsigned verdict = 0; verdict <= UINT8_MAX; verdict++)
            if (counts[verdict] > 0 && view_gravity((uint8_t)verdict) == gravity)
                list[count++] = (uint8_t)verdict;
    return count;
}

void section_tally(FILE *out, const struct view *v)
{
    size_t counts[UINT8_MAX + 1] = {0};
    uint8_t verdicts[UINT8_MAX + 1];
    for (size_t i = 0; i < v->check_count; i++)
        counts[v->checks[i].worst->r->verdict]++;
    const size_t count = list_verdicts(counts, verdicts);
    fputs("<ul class=\"tally\">", out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "<li class=\"%s\"><a href=\"#%s\"><b>%zu</b> %s</a></li>", tone(verdicts[i]),
                view_gravity(verdicts[i]) > VIEW_GRAVITY_PASS ? "failures" : "verdicts", counts[verdicts[i]],
                verdict_word(verdicts[i]));
    if (v->check_count == 0)
        fputs("<li class=\"warn\"><b>0</b> variants checked</li>", out);
    fputs("</ul>\n", out);
}

/* ---- failures ---- */

enum { FAULTS_OPEN = 12, FAULTS_MAX = 1000 };

static const char *reason_of(const struct row *r)
{
    return r->reason[0] ? r->reason : "(no reason was recorded)";
}

/* As the run printed it. */
static void write_repro(FILE *out, const struct row *r)
{
    char *problem = text_escaped(TEXT_SHELL, r->case_key, SIZE_MAX);
    char *variant = text_escaped(TEXT_SHELL, r->variant, SIZE_MAX);
    if (problem && variant) {
        html_print(out, "<pre>nf4bench verify --case %s --variant %s", problem, variant);
        if (r->threads > 0)
            html_print(out, " --axis threads=%u", r->threads);
        fputs("</pre>\n", out);
    }
    free(problem);
    free(variant);
}

static void write_fault(FILE *out, const struct view *v, const struct view_row *row)
{
    const struct row *r = row->r;
    char text[VIEW_TEXT];
    fprintf(out, "<div class=\"fault\"><p><span class=\"w %s\">%s</span> <span class=\"v\">",
            tone(r->verdict), verdict_word(r->verdict));
    html_name(out, r->variant);
    html_print(out, "</span></p>\n<p>%s", view_describe(r, true, text));
    view_name_file(out, v, ", from ", row->set);
    html_print(out, "<br/><span class=\"muted\">problem</span> <code>%s</code>", r->case_key);
    if (r->check[0])
        html_print(out, " <span class=\"muted\">check</span> <code>%s</code>", r->check);
    if (r->mismatch_count > 0)
        html_print(out, "<br/>%'" PRIu64 " of %'" PRIu64 " elements wrong", r->mismatch_count,
                   r->compared_count);
    if (r->mismatch_count > 0 && r->first_mismatch >= 0)
        fprintf(out, ", the first at index %" PRId64, r->first_mismatch);
    html_print(out, "</p>\n<pre>%s</pre>\n", reason_of(r));
    if (view_gravity(r->verdict) > VIEW_GRAVITY_PASS && r->case_key[0])
        write_repro(out, r);
    fputs("</div>\n", out);
}

void section_failures(FILE *out, const struct view *v)
{
    size_t count = 0, written = 0;
    for (size_t i = 0; i < v->check_count; i++)
        count += view_gravity(v->checks[i].worst->r->verdict) > VIEW_GRAVITY_PASS;
    if (count == 0)
        return;
    fprintf(out, "<section class=\"alarm\" id=\"failures\"><h2>%zu not passed</h2>\n", count);
    const size_t shown = count < FAULTS_MAX ? count : FAULTS_MAX;
    if (shown < count)
        fprintf(out,
                "<p class=\"note\">%zu of %zu are shown, the gravest; <code>nf4bench explain</code> "
                "lists all, and says of each row why.</p>\n",
                shown, count);
    /* The order takes no memory, for want of which failures could be left out. */
    for (int gravity = VIEW_GRAVITY_UNKNOWN; gravity > VIEW_GRAVITY_PASS; gravity--)
        for (size_t i = 0; i < v->check_count && written < shown; i++) {
            if (view_gravity(v->checks[i].worst->r->verdict) != gravity)
                continue;
            if (written == FAULTS_OPEN)
                fprintf(out, "<details><summary>%zu more</summary>\n", shown - written);
            write_fault(out, v, v->checks[i].worst);
            written++;
        }
    fputs(count > FAULTS_OPEN ? "</details></section>\n" : "</section>\n", out);
}

/* ---- the table ---- */

/* What the checks of one variant add up to. */
struct verdict_sum {
    size_t cases, counts[UINT8_MAX + 1];
    const struct view_row *worst;
    uint64_t compared, mismatches, elements, exact;
    uint32_t max_ulp;
    double bound_margin, relative_error, verify_s;
};

static void add_check(struct verdict_sum *sum, const struct view_check *check)
{
    const struct row *r = check->verified->r;
    sum->cases++;
    sum->counts[check->worst->r->verdict]++;
    if (!sum->worst || view_gravity(check->worst->r->verdict) > view_gravity(sum->worst->r->verdict))
        sum->worst = check->worst;
    sum->compared += r->compared_count;
    const struct row *worst = check->worst->r;
    sum->mismatches += worst->mismatch_count > r->mismatch_count ? worst->mismatch_count : r->mismatch_count;
    sum->max_ulp = worst->max_ulp > sum->max_ulp ? worst->max_ulp : sum->max_ulp;
    sum->exact += r->ulp_0;
    sum->elements += r->ulp_0 + r->ulp_1 + r->ulp_2 + r->ulp_4 + r->ulp_8 + r->ulp_16 + r->ulp_more;
    sum->max_ulp = r->max_ulp > sum->max_ulp ? r->max_ulp : sum->max_ulp;
    sum->bound_margin = fmax(sum->bound_margin, r->bound_margin);
    sum->relative_error = fmax(sum->relative_error, r->relative_frobenius_error);
    sum->verify_s = fmax(0, sum->verify_s) + fmax(0, r->verify_s);
}

static void write_verdict_row(FILE *out, const struct verdict_sum *sum)
{
    const struct row *worst = sum->worst->r;
    uint8_t verdicts[UINT8_MAX + 1];
    const size_t count = list_verdicts(sum->counts, verdicts);
    char error[32] = DASH;
    fputs("<tr><td class=\"v\">", out);
    html_name(out, worst->variant);
    fputs("</td><td class=\"l\">", out);
    for (size_t i = 0; i < count; i++)
        fprintf(out, "%s<span class=\"w %s\">%s</span> %zu", i ? " &#183; " : "", tone(verdicts[i]),
                verdict_word(verdicts[i]), sum->counts[verdicts[i]]);
    html_print(out, "</td><td class=\"l\">%s</td><td>%'" PRIu64 "</td><td>%'" PRIu64 "</td>",
               worst->check[0] ? worst->check : DASH, sum->compared, sum->mismatches);
    if (sum->elements > 0) /* 100.00 only when every element is exact */
        html_print(out, "<td>%'u</td><td>%.2f</td>", sum->max_ulp,
                   floor(1e4 * ((double)sum->exact / (double)sum->elements)) / 100);
    else
        fputs("<td>" DASH "</td><td>" DASH "</td>", out);
    if (isfinite(sum->relative_error))
        snprintf(error, sizeof error, sum->relative_error == 0 ? "0" : "%.2e", sum->relative_error);
    html_print(out, "<td>%.3f</td><td>%s</td><td>%.2f</td></tr>\n", sum->bound_margin, error, sum->verify_s);
}

enum { VARIANTS_MAX = 2000 }; /* rows of a table */

static void write_left_out(FILE *out, size_t count)
{
    if (count > VARIANTS_MAX)
        fprintf(out,
                "<p class=\"note\">%d of %zu rows are shown; <code>nf4bench export</code> has all that is in "
                "the file.</p>\n",
                VARIANTS_MAX, count);
}

/* Rows of the variants that have a fault, or of those that have none; *count is of all such rows so far. */
static void write_verdict_rows(FILE *out, const struct view *v, unsigned set, bool faulty, bool *bounded,
                               size_t *count)
{
    for (size_t i = 0; i < v->check_count;) {
        struct verdict_sum sum = {.bound_margin = NAN, .relative_error = NAN, .verify_s = NAN};
        const struct view_check *first = &v->checks[i];
        const char *variant = first->worst->r->variant;
        for (; i < v->check_count && v->checks[i].worst->set == first->worst->set &&
               row_text_order(v->checks[i].worst->r->variant, variant) == 0;
             i++)
            if (v->checks[i].worst->r->verdict != VERDICT_SKIPPED)
                add_check(&sum, &v->checks[i]);
        if (first->worst->set != set || sum.cases == 0 ||
            (view_gravity(sum.worst->r->verdict) > VIEW_GRAVITY_PASS) != faulty)
            continue;
        *bounded = *bounded || isfinite(sum.bound_margin);
        if (++*count <= VARIANTS_MAX)
            write_verdict_row(out, &sum);
    }
}

static void write_verdict_table(FILE *out, const struct view *v, unsigned set)
{
    bool bounded = false, any = false;
    size_t rows = 0;
    for (size_t i = 0; i < v->check_count && !any; i++)
        any = v->checks[i].worst->set == set && v->checks[i].worst->r->verdict != VERDICT_SKIPPED;
    if (!any)
        return;
    fputs("<div class=\"box filter\"><table class=\"sort\"><caption>Verified", out);
    view_name_file(out, v, ": ", set);
    fputs("<small>A row per variant, faulty ones first; counts are of distinct "
          "problems.</small></caption>\n<thead><tr><th>variant</th><th class=\"l\">problems</th><th "
          "class=\"l\">deciding "
          "check</th><th>elements<small>compared</small></th><th>elements<small>wrong</small></th><th>max "
          "ULP</th><th>exact<small>%</small></th><th>largest<small>error / bound</small></th><th>rel. "
          "error<small>Frobenius</small></th><th>took<small>s</small></th></tr></thead>\n<tbody>\n",
          out);
    write_verdict_rows(out, v, set, true, &bounded, &rows);
    write_verdict_rows(out, v, set, false, &bounded, &rows);
    fputs("</tbody></table></div>\n", out);
    write_left_out(out, rows);
    if (bounded)
        fputs("<p class=\"muted\">The bound alone cannot see one dropped product in a long sum; the one-hot "
              "and exact-sum checks, which are bitwise, do.</p>\n",
              out);
}

static int by_reason(const void *pa, const void *pb)
{
    const struct view_row *a = ((const struct view_check *)pa)->worst,
                          *b = ((const struct view_check *)pb)->worst;
    int c = row_text_order(a->r->reason, b->r->reason);
    return c ? c : row_text_order(a->r->variant, b->r->variant);
}

static void write_skipped(FILE *out, const struct view *v)
{
    size_t count = 0;
    const struct view_check **skipped = calloc(v->check_count ? v->check_count : 1, sizeof skipped[0]);
    if (!skipped) {
        fputs("<p class=\"note\">No memory for the table of skipped variants.</p>\n", out);
        return;
    }
    for (size_t i = 0; i < v->check_count; i++)
        if (v->checks[i].worst->r->verdict == VERDICT_SKIPPED)
            skipped[count++] = &v->checks[i];
    if (count > 0) {
        sort_pointers(skipped, count, by_reason);
        fprintf(out,
                "<details><summary>%zu skipped, with reasons</summary>\n<div class=\"box filter\"><table "
                "class=\"sort\"><thead><tr><th>variant</th><th>problems</th><th "
                "class=\"l\">reason</th></tr></thead>\n<tbody>\n",
                count);
        size_t rows = 0;
        for (size_t i = 0, next; i < count; i = next) {
            const struct row *r = skipped[i]->worst->r;
            for (next = i + 1; next < count && by_reason(skipped[next], skipped[i]) == 0;)
                next++;
            if (++rows > VARIANTS_MAX)
                continue;
            fputs("<tr><td class=\"v\">", out);
            html_name(out, r->variant);
            html_print(out, "</td><td>%zu</td><td class=\"l wrap\">%s</td></tr>\n", next - i, reason_of(r));
        }
        fputs("</tbody></table></div>", out);
        write_left_out(out, rows);
        fputs("</details>\n", out);
    }
    free(skipped);
}

void section_verdicts(FILE *out, const struct view *v)
{
    fputs("<section id=\"verdicts\"><h2>Verdicts</h2>\n<div id=\"filter-place\"></div>\n", out);
    if (v->check_count == 0)
        fputs("<p class=\"note\">The file holds no variant.</p>\n", out);
    for (unsigned set = 0; set < v->set_count; set++)
        write_verdict_table(out, v, set);
    write_skipped(out, v);
    fputs("</section>\n", out);
}
