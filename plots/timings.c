/* timings.c: how fast the variants are, in numbers. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "plots/sections.h"

const char *section_anchor(const struct view *v, const struct view_case *c, char buffer[SECTION_ANCHOR])
{
    snprintf(buffer, SECTION_ANCHOR, "c%zu", (size_t)(c - v->cases));
    return buffer;
}

/* ---- one case ---- */

/* Which columns a table needs, and how its times are written: one unit and one number of decimals, so that a
 * reader compares digits by their place. */
struct layout {
    bool peer, ceiling;
    uint64_t samples;         /* of every row; 0 when they differ */
    const char *ceiling_word; /* of the first row that has one: what fits a row is decided per problem */
    bool milliseconds;
    int time_decimals, byte_decimals, weight_decimals;
};

static double smaller(double a, double b)
{
    return !(b > 0) ? a : !(a > 0) || b < a ? b : a;
}

static struct layout layout_of(const struct view_case *c)
{
    struct layout l = {0};
    double time = 0, bytes = 0, weights = 0;
    for (size_t i = 0; i < c->count; i++) {
        const struct row *r = c->rows[i]->r;
        l.peer = l.peer || (c->peer && c->rows[i] != c->peer && view_is_right(c->rows[i]));
        l.ceiling = l.ceiling || isfinite(r->ceiling_fraction);
        if (!l.ceiling_word && r->ceiling[0])
            l.ceiling_word = r->ceiling;
        l.samples = i == 0 || l.samples == r->sample_count ? r->sample_count : 0;
        if (view_is_ceiling(c->rows[i]) && i > 0) /* has no say in how the variants are written */
            continue;
        time = smaller(time, r->median_us);
        bytes = smaller(bytes, r->bytes_per_s);
        weights = smaller(weights, r->weights_per_s);
    }
    l.milliseconds = time >= 10000;
    l.time_decimals = html_decimals(l.milliseconds ? time / 1000 : time, 4);
    l.byte_decimals = html_decimals(bytes / 1e9, 3);
    l.weight_decimals = html_decimals(weights / 1e9, 3);
    return l;
}

/* From lo to hi; lo alone where there is no hi. */
static void write_times(FILE *out, const struct layout *l, double lo, double hi)
{
    const double unit = l->milliseconds ? 1000 : 1;
    html_print(out, "<td>%.*f", l->time_decimals, lo / unit);
    if (isfinite(lo) && isfinite(hi))
        html_print(out, " " DASH " %.*f", l->time_decimals, hi / unit);
    fputs("</td>", out);
}

static void write_fraction(FILE *out, const struct row *r)
{
    if (!isfinite(r->ceiling_fraction)) {
        fputs("<td>" DASH "</td>", out);
        return;
    }
    html_print(out, "<td class=\"f\" style=\"--f:%.0f%%\">%.3f", 100 * fmin(1, fmax(0, r->ceiling_fraction)),
               r->ceiling_fraction);
    if (isfinite(r->ceiling_fraction_lo) && isfinite(r->ceiling_fraction_hi))
        html_print(out, " <small>[%.3f, %.3f]</small>", r->ceiling_fraction_lo, r->ceiling_fraction_hi);
    fputs("</td>", out);
}

/* Where it holds; gives that back. */
static bool remark(FILE *out, bool *any, bool holds, const char *text)
{
    if (holds)
        fprintf(out, "%s%s", *any ? ", " : "<small>", text);
    *any = *any || holds;
    return holds;
}

/* What a reader must know before believing the numbers: below the name, where it is not scrolled away. */
static void write_remarks(FILE *out, const struct view_row *row, bool tied)
{
    const struct row *r = row->r;
    const double sample_us = r->median_us * (double)r->calls_per_sample;
    bool any = false;
    remark(out, &any, row_is_fake(r), "a model's time, not a GPU's");
    remark(out, &any, view_is_ceiling(row), "measured ceiling, not a variant");
    remark(out, &any, tied, APPROX " fastest");
    remark(out, &any, r->bimodal, "bimodal");
    remark(out, &any, !r->precise, "not precise");
    /* The interval assumes independent samples: it is then too narrow. */
    if (remark(out, &any, r->lag1_autocorrelation > 0.5, "autocorrelated "))
        html_print(out, "%.2f", r->lag1_autocorrelation);
    remark(out, &any, !r->settled, "machine not settled");
    remark(out, &any, r->cold_not_achieved, "cold not achieved");
    remark(out, &any, r->regime == REGIME_COLD && r->overhead_limited, "overhead limited: see hot");
    if (remark(out, &any, r->excluded_count > 0, "excluded samples: "))
        html_print(out, "%'" PRIu64, r->excluded_count);
    if (remark(out, &any, 10 * r->timer_overhead_us > sample_us, "reading the clock is "))
        html_print(out, "%.0f %% of a sample", 100 * r->timer_overhead_us / sample_us);
    fputs(any ? "</small>" : "", out);
}

static void write_timing_row(FILE *out, const struct view *v, const struct view_case *c,
                             const struct layout *l, const struct view_row *row)
{
    const struct row *r = row->r;
    const bool right = view_is_right(row), top = row == c->fastest;
    struct paired_ratio to_fastest = {NAN, {NAN, NAN}, 0};
    if (right)
        to_fastest = view_ratio(v, row, c->fastest);
    fputs(top                    ? "<tr class=\"top\">"
          : view_is_ceiling(row) ? "<tr class=\"ceil\">"
          : right                ? "<tr>"
                                 : "<tr class=\"not\">",
          out);
    fputs("<td class=\"v\">", out);
    html_name(out, r->variant);
    if (!right && !view_is_ceiling(row))
        html_print(out, " <span class=\"w bad\">%s</span>", verdict_word(r->verdict));
    write_remarks(out, row, right && !top && view_is_tied(to_fastest));
    fputs("</td>", out);
    write_times(out, l, r->median_us, NAN);
    write_times(out, l, r->median_lo_us, r->median_hi_us);
    write_times(out, l, r->p10_us, r->p90_us);
    html_print(out, "<td>%.2f</td>", top ? 1 : to_fastest.ratio);
    if (l->peer) {
        fputs("<td>", out);
        if (right)
            view_write_ratio(out, row == c->peer ? (struct paired_ratio){1, {1, 1}, 1}
                                                 : view_ratio(v, c->peer, row));
        else
            fputs(DASH, out);
        fputs("</td>", out);
    }
    if (l->ceiling)
        write_fraction(out, r);
    html_print(out, "<td>%.*f</td><td>%.*f</td><td>%.3f</td>", l->byte_decimals, r->bytes_per_s / 1e9,
               l->weight_decimals, r->weights_per_s / 1e9, view_is_ceiling(row) ? NAN : r->bits_per_weight);
    if (l->samples == 0)
        html_print(out, "<td>%'" PRIu64 "</td>", r->sample_count);
    fputs("</tr>\n", out);
}

static void write_case(FILE *out, const struct view *v, const struct view_case *c, bool folded)
{
    const struct layout l = layout_of(c);
    const char *unit = l.milliseconds ? "ms" : MICRO "s";
    char text[VIEW_TEXT], anchor[SECTION_ANCHOR];
    fprintf(out, "<div class=\"box filter\" id=\"%s\"><table class=\"sort\"><caption>",
            section_anchor(v, c, anchor));
    const struct row *problem = c->rows[0]->r;
    if (!folded)
        html_text(out, view_describe(problem, true, text));
    else if (problem->m > 0) /* the rest stands above the fold */
        html_print(out, "M %" PRIu64, problem->m);
    html_print(out, "<small><code>%s</code>", problem->case_key);
    if (l.samples > 0)
        html_print(out, "; %" PRIu64 " samples a row", l.samples);
    if (l.peer)
        html_print(out, "; bitsandbytes: <code>%s</code>", c->peer->r->variant);
    fputs("</small></caption>\n<thead><tr><th>variant</th>", out);
    html_print(out, "<th>median<small>%s</small></th><th>95 %% interval<small>of the median, %s</small></th>",
               unit, unit);
    html_print(out, "<th>p10 " DASH " p90<small>%s</small></th><th>time<small>" TIMES " fastest</small></th>",
               unit);
    if (l.peer)
        fputs("<th>speed-up over<small>bitsandbytes, " TIMES "</small></th>", out);
    if (l.ceiling) {
        fputs("<th>share of ceiling<small>measured", out);
        if (l.ceiling_word)
            html_print(out, ": %s", l.ceiling_word);
        fputs("</small></th>", out);
    }
    fputs("<th>GB/s</th><th>weights/s<small>10\u2079</small></th><th>bits per<small>weight</small></th>",
          out);
    fputs(l.samples ? "</tr></thead>\n<tbody>\n" : "<th>samples</th></tr></thead>\n<tbody>\n", out);
    for (size_t i = 0; i < c->shown; i++)
        write_timing_row(out, v, c, &l, c->rows[i]);
    fputs("</tbody></table></div>\n", out);
}

/* ---- all cases ---- */

enum { ROWS_OPEN = 100 }; /* more timed rows than this, and facets are folded */

static void write_facet(FILE *out, const struct view *v, const struct view_facet *facet, bool folded)
{
    const struct view_row *row = facet->cases[0].rows[0];
    char text[VIEW_TEXT];
    if (folded) {
        html_print(out, "<details class=\"facet\"><summary>%s<small>", view_describe(row->r, false, text));
        if (row->r->m > 0) {
            fputs("M ", out);
            for (size_t i = 0; i < facet->case_count; i++)
                if (facet->cases[i].shown)
                    fprintf(out, "%s%" PRIu64, i ? ", " : "", facet->cases[i].rows[0]->r->m);
            fputs("; ", out);
        }
        fprintf(out, "%zu rows", facet->shown);
        const struct view_row *winner = facet->cases[0].fastest;
        for (size_t i = 1; i < facet->case_count && winner; i++)
            if (!facet->cases[i].fastest || strcmp(facet->cases[i].fastest->r->variant, winner->r->variant))
                winner = NULL;
        if (winner)
            html_print(out, "; fastest <code>%s</code>", winner->r->variant);
        fputs("</small></summary>\n", out);
    }
    for (size_t i = 0; i < facet->case_count; i++)
        if (facet->cases[i].shown)
            write_case(out, v, &facet->cases[i], folded);
    if (folded)
        fputs("</details>\n", out);
}

void section_timings(FILE *out, const struct view *v)
{
    fputs("<section id=\"timings\"><h2>Timings</h2>\n", out);
    if (v->timed_count == 0) {
        fputs("<p class=\"note\">Nothing was timed.</p></section>\n", out);
        return;
    }
    fputs("<p>Time of one call. The interval is of the median, by order statistics of the samples of this "
          "run: it says nothing about the spread between processes or machines. Ratios are medians of paired "
          "samples, which were taken in alternation; <i>" APPROX
          " fastest</i> marks rows whose interval of that ratio reaches 1. GB/s counts packed weights, "
          "scales, activations and output once each. <i>Cold</i>: operands rotate past the last-level cache; "
          "<i>hot</i>: repeated. The ceiling was measured in the same run. No sample is missing from the "
          "file; those under a slowdown of a GPU are flagged there, and left out here.</p>\n",
          out);
    if (v->shown_count < v->timed_count)
        html_print(out,
                   "<p class=\"note\">%'zu of %'zu timed rows are shown: of each operation and type some "
                   "shapes, evenly picked from the smallest to the largest. All rows count in the summary; "
                   "<code>nf4bench export</code> has all.</p>\n",
                   v->shown_count, v->timed_count);
    const bool folded = v->timed_count > ROWS_OPEN;
    for (size_t i = 0; i < v->family_count; i++) {
        const struct view_family *family = &v->families[i];
        const struct view_row *row = family->facets[0].cases[0].rows[0];
        html_print(out, "<h3>%s %s", operation_word(row->r->op), type_word(row->r->out_type));
        view_name_file(out, v, ", ", row->set);
        fputs("</h3>\n", out);
        for (size_t f = 0; f < family->facet_count; f++)
            if (family->facets[f].shown)
                write_facet(out, v, &family->facets[f], folded);
    }
    fputs("</section>\n", out);
}
