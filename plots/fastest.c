/* fastest.c: the summary of the timings: which variant wins where, and by how much. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "plots/sections.h"
#include "results/sort.h"

/* Cases of one family with the same m, regime and form of scales (which not every variant reads): what a
 * dispatch table would choose by. */
struct contest {
    const struct view_case *const *cases; /* each has a fastest row */
    size_t count;
};

static int by_winner(const void *pa, const void *pb)
{
    const struct view_case *a = pa, *b = pb;
    return row_text_order(a->fastest->r->variant, b->fastest->r->variant);
}

/* The variant that wins most cases; of equals, the one that comes first. `scratch` has room for the cases. */
static const struct view_row *most_wins(const struct contest *contest, const struct view_case **scratch,
                                        size_t *wins)
{
    const struct view_case *best = NULL;
    *wins = 0;
    memcpy(scratch, contest->cases, contest->count * sizeof scratch[0]);
    sort_pointers(scratch, contest->count, by_winner);
    for (size_t i = 0, next; i < contest->count; i = next) {
        for (next = i + 1; next < contest->count && by_winner(scratch[i], scratch[next]) == 0;)
            next++;
        if (next - i > *wins || (next - i == *wins && scratch[i] < best)) {
            *wins = next - i;
            best = scratch[i];
        }
    }
    return best->fastest;
}

/* A ratio over the cases of a contest: with its interval for one case, or the range over several. */
struct spread {
    struct paired_ratio only;
    double lo, hi;
    size_t count;
};

static void spread_add(struct spread *s, struct paired_ratio ratio)
{
    if (!isfinite(ratio.ratio))
        return;
    s->only = ratio;
    s->lo = s->count && s->lo < ratio.ratio ? s->lo : ratio.ratio;
    s->hi = s->count && s->hi > ratio.ratio ? s->hi : ratio.ratio;
    s->count++;
}

static void write_spread(FILE *out, const struct spread *s, int decimals)
{
    if (s->count == 0) {
        fputs(DASH, out);
    } else if (s->count == 1) {
        view_write_ratio(out, s->only);
    } else {
        char lo[32], hi[32];
        snprintf(lo, sizeof lo, "%.*f", decimals, s->lo);
        snprintf(hi, sizeof hi, "%.*f", decimals, s->hi);
        fprintf(out, strcmp(lo, hi) ? "%s " DASH " %s" : "%s", lo, hi);
    }
}

/* Medians of the winner, in a unit that suits the smallest. */
static void write_medians(FILE *out, double lo, double hi)
{
    const bool ms = lo >= 10000;
    const double unit = ms ? 1000 : 1;
    const int decimals = html_decimals(lo / unit, 3);
    html_number(out, lo / unit, decimals);
    if (hi > lo)
        html_print(out, " " DASH " %.*f", decimals, hi / unit);
    fputs(ms ? " ms" : " " MICRO "s", out);
}

static void write_contest(FILE *out, const struct view *v, const struct contest *contest,
                          const struct view_case **scratch, bool peers)
{
    size_t wins, tied = 0;
    double median_lo = INFINITY, median_hi = 0;
    struct spread next = {0}, peer = {0}, ceiling = {0};
    const struct view_row *best = most_wins(contest, scratch, &wins);
    const bool single = contest->count == 1, linked = single && contest->cases[0]->shown > 0;
    char anchor[SECTION_ANCHOR];
    for (size_t i = 0; i < contest->count; i++) {
        const struct view_case *c = contest->cases[i];
        const struct view_row *row = view_row_of(c, best->r->variant), *rival = NULL;
        if (!row)
            continue;
        median_lo = fmin(median_lo, row->r->median_us);
        median_hi = fmax(median_hi, row->r->median_us);
        for (size_t j = 0; j < c->count && !rival && view_is_right(c->rows[j]); j++)
            rival = c->rows[j] == row ? NULL : c->rows[j];
        if (rival) {
            struct paired_ratio ratio = view_ratio(v, rival, row);
            tied += view_is_tied(ratio);
            spread_add(&next, ratio);
        }
        if (c->peer && c->peer != row)
            spread_add(&peer, view_ratio(v, c->peer, row));
        spread_add(&ceiling, (struct paired_ratio){row->r->ceiling_fraction,
                                                   {row->r->ceiling_fraction_lo, row->r->ceiling_fraction_hi},
                                                   row->r->sample_count});
    }
    fprintf(out, "<tr><td>%s %s%s</td><td>", operation_word(best->r->op), type_word(best->r->out_type),
            best->r->nested ? ", nested" : "");
    if (best->r->m > 0)
        fprintf(out, "%" PRIu64, best->r->m);
    else
        fputs(DASH, out);
    fprintf(out, "</td><td class=\"l\">%s</td><td class=\"v l\">", regime_word(best->r->regime));
    if (linked)
        fprintf(out, "<a href=\"#%s\">", section_anchor(v, contest->cases[0], anchor));
    html_name(out, best->r->variant);
    fprintf(out, "%s</td><td>%zu of %zu</td><td>", linked ? "</a>" : "", wins, contest->count);
    write_medians(out, median_lo, median_hi);
    fputs("</td><td>", out);
    write_spread(out, &next, 2);
    if (tied > 0 && single)
        fputs(" <small>a tie</small>", out);
    else if (tied > 0)
        fprintf(out, " <small>tied in %zu</small>", tied);
    fputs("</td><td>", out);
    if (peers) {
        write_spread(out, &peer, 2);
        fputs("</td><td>", out);
    }
    write_spread(out, &ceiling, 2);
    fputs("</td></tr>\n", out);
}

static int compare_contest(const void *pa, const void *pb)
{
    const struct view_case *a = pa, *b = pb;
    const struct row *ra = a->rows[0]->r, *rb = b->rows[0]->r;
    int c = (ra->nested > rb->nested) - (ra->nested < rb->nested);
    c = c ? c : (ra->regime > rb->regime) - (ra->regime < rb->regime);
    return c ? c : (ra->m > rb->m) - (ra->m < rb->m);
}

enum { CONTESTS_MAX = 2000 }; /* of a family */

/* `cases` has room for all cases, twice. */
static void write_contests(FILE *out, const struct view *v, const struct view_family *family,
                           const struct view_case **cases, bool peers)
{
    size_t count = 0, contests = 0;
    for (size_t f = 0; f < family->facet_count; f++)
        for (size_t i = 0; i < family->facets[f].case_count; i++)
            if (family->facets[f].cases[i].fastest)
                cases[count++] = &family->facets[f].cases[i];
    sort_pointers(cases, count, compare_contest);
    for (size_t i = 0, next; i < count; i = next) {
        for (next = i + 1; next < count && compare_contest(cases[i], cases[next]) == 0;)
            next++;
        if (++contests <= CONTESTS_MAX)
            write_contest(out, v, &(struct contest){&cases[i], next - i}, cases + count, peers);
    }
    if (contests > CONTESTS_MAX)
        fprintf(out,
                "<tr><td colspan=\"%d\">%d of %zu values of M are shown; nf4bench export has all</td></tr>\n",
                peers ? 9 : 8, CONTESTS_MAX, contests);
}

void section_fastest(FILE *out, const struct view *v)
{
    bool any = false, peers = false;
    for (size_t i = 0; i < v->case_count; i++) {
        any = any || v->cases[i].fastest;
        peers = peers || v->cases[i].peer;
    }
    if (!any)
        return;
    const struct view_case **cases = calloc(2 * v->case_count, sizeof cases[0]);
    if (!cases) {
        fputs("<p class=\"note\">No memory for the table of the fastest variants.</p>\n", out);
        return;
    }
    for (size_t i = 0; i < v->family_count; i++) {
        const unsigned set = v->families[i].facets[0].cases[0].rows[0]->set;
        if (i == 0 || set != v->families[i - 1].facets[0].cases[0].rows[0]->set) {
            fprintf(out, "%s<div class=\"box\"><table class=\"sort\"><caption>The fastest right variant",
                    i ? "</tbody></table></div>\n" : "");
            view_name_file(out, v, ": ", set);
            fputs("<small>Ratios with 95 % interval where one problem decides, else their range over the "
                  "problems; a lead below 1 is a problem where another variant is faster.</small></caption>\n"
                  "<thead><tr><th>operation</th><th>M</th><th class=\"l\">regime</th><th "
                  "class=\"l\">variant</th><th>fastest in<small>problems</small></th><th>median</th><th>lead "
                  "over the<small>best other one, " TIMES "</small></th>",
                  out);
            fputs(peers ? "<th>speed-up over<small>bitsandbytes, " TIMES "</small></th>" : "", out);
            fputs("<th>share of the<small>measured ceiling</small></th></tr></thead>\n<tbody>\n", out);
        }
        write_contests(out, v, &v->families[i], cases, peers);
    }
    fputs("</tbody></table></div>\n", out);
    free(cases);
}
