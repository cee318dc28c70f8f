/* figures.c: which figures a report has, and what is said about each. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "plots/draw.h"
#include "plots/sections.h"
#include "results/sort.h"

/* About 20 kB each: a report of thousands of rows must stay quick to open. */
enum { FIGURES_MAX = 24 };
/* Tensors whose numbers are listed. */
enum { TENSORS_MAX = 2000 };

enum figure_kind { KIND_SPEED, KIND_CEILING, KIND_SAMPLES };
static const char *const kind_names[] = {"Speed against M", "Share of the measured ceiling", "Samples"};

/* What figures may be drawn of: a facet (one figure over m), or a case (its ceiling and its samples, side by
 * side). */
struct candidate {
    const struct view_family *family;
    const struct view_facet *facet;
    const struct view_case *c; /* NULL for a facet */
    size_t rank;               /* 0 for the most informative of its family */
};

/* ---- choice ---- */

static const struct view_row *row_of(const struct candidate *a)
{
    return (a->c ? a->c : a->facet->cases)->rows[0];
}

static size_t row_count_of(const struct candidate *a)
{
    return a->c ? a->c->count : a->facet->row_count;
}

static size_t figure_count_of(const struct candidate *a)
{
    return a->c ? 2 : 1;
}

/* By family, facets before cases. */
static int compare_kind(const struct candidate *a, const struct candidate *b)
{
    int c = (a->family > b->family) - (a->family < b->family);
    return c ? c : (a->c != NULL) - (b->c != NULL);
}

/* More rows say more; of equals, cold before hot, the larger problem, the smaller m. */
static int by_information(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    const struct row *ra = row_of(a)->r, *rb = row_of(b)->r;
    const double size_a = (double)ra->n * (double)ra->k, size_b = (double)rb->n * (double)rb->k;
    int c = compare_kind(a, b);
    c = c ? c : (row_count_of(a) < row_count_of(b)) - (row_count_of(a) > row_count_of(b));
    c = c ? c : (ra->regime > rb->regime) - (ra->regime < rb->regime);
    c = c ? c : (size_a < size_b) - (size_a > size_b);
    c = c ? c : (ra->m > rb->m) - (ra->m < rb->m);
    c = c ? c : (a->facet > b->facet) - (a->facet < b->facet);
    return c ? c : (a->c > b->c) - (a->c < b->c);
}

/* Families in turn; each curve over m has another shape, while the first case of a family says most of what
 * its others do. */
static int by_turn(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    const size_t turn_a = a->rank * (a->c ? 2 : 1), turn_b = b->rank * (b->c ? 2 : 1);
    int c = (turn_a > turn_b) - (turn_a < turn_b);
    return c ? c : by_information(pa, pb);
}

/* How a reader goes through them. */
static int by_place(const void *pa, const void *pb)
{
    const struct candidate *a = pa, *b = pb;
    int c = compare_kind(a, b);
    return c ? c : (a->rank > b->rank) - (a->rank < b->rank);
}

/* More points than DRAW_POINTS_MAX are no curve: they are of one m, with other seeds. */
static bool can_draw_facet(const struct view_facet *facet)
{
    const struct row *first = facet->cases[0].rows[0]->r;
    return first->m > 0 && facet->shown > 0 && facet->case_count <= DRAW_POINTS_MAX &&
           facet->cases[facet->case_count - 1].rows[0]->r->m > first->m;
}

/* All that could be drawn, in turn. `candidates` has room for all facets and cases. */
static size_t collect(const struct view *v, struct candidate *candidates)
{
    size_t count = 0;
    for (size_t i = 0; i < v->family_count; i++) {
        const struct view_family *family = &v->families[i];
        for (size_t j = 0; j < family->facet_count; j++) {
            const struct view_facet *facet = &family->facets[j];
            if (can_draw_facet(facet))
                candidates[count++] = (struct candidate){family, facet, NULL, 0};
            for (size_t k = 0; k < facet->case_count; k++)
                if (facet->cases[k].fastest && facet->cases[k].shown)
                    candidates[count++] = (struct candidate){family, facet, &facet->cases[k], 0};
        }
    }
    qsort(candidates, count, sizeof candidates[0], by_information);
    for (size_t i = 1; i < count; i++)
        if (compare_kind(&candidates[i], &candidates[i - 1]) == 0)
            candidates[i].rank = candidates[i - 1].rank + 1;
    qsort(candidates, count, sizeof candidates[0], by_turn);
    return count;
}

/* ---- one figure ---- */

static void write_links(FILE *out, const struct view *v, const struct candidate *a)
{
    char anchor[SECTION_ANCHOR];
    if (a->c) {
        fprintf(out, " <a href=\"#%s\">Numbers</a>", section_anchor(v, a->c, anchor));
        return;
    }
    fputs(" Numbers: M", out);
    for (size_t i = 0; i < a->facet->case_count && a->facet->cases[i].shown; i++)
        fprintf(out, "%s <a href=\"#%s\">%" PRIu64 "</a>", i ? "," : "",
                section_anchor(v, &a->facet->cases[i], anchor), a->facet->cases[i].rows[0]->r->m);
}

static void write_caption(FILE *out, const struct view *v, const struct candidate *a, enum figure_kind kind,
                          const struct drawing *d)
{
    static const char *const explanations[] = {
        "Higher is better. Bars: 95 % interval of the median, where wider than the mark.",
        "Whiskers: 95 % interval of the paired ratio.",
        "Each row against its own median; time runs downwards in a band; the box is the middle half."};
    const struct view_row *row = row_of(a);
    char text[VIEW_TEXT], prefix[64];
    html_print(out, "<figcaption><b>%s</b>%s", kind_names[kind], view_describe(row->r, a->c != NULL, text));
    view_name_file(out, v, ", ", row->set);
    fprintf(out, ". %s", explanations[kind]);
    if (kind == KIND_CEILING && row->r->ceiling[0])
        html_print(out, " Ceiling: <i>%s</i>.", row->r->ceiling);
    if (d->prefix_cut)
        fprintf(out, " Names are without <code>%s</code>.", draw_prefix(row->r, prefix));
    if (d->beyond > 0)
        fprintf(out, " %zu sample%s outside the axis, marked at its ends.", d->beyond,
                d->beyond == 1 ? " is" : "s are");
    if (d->shown < d->total)
        fprintf(out, " The fastest %zu of %zu.", d->shown, d->total);
    write_links(out, v, a);
}

/* The caption says what the drawing left out, so it is written after it. */
static void write_figure(FILE *out, const struct view *v, const struct candidate *a, enum figure_kind kind)
{
    char label[VIEW_TEXT + 64], text[VIEW_TEXT], *svg = NULL;
    size_t size = 0;
    FILE *memory = open_memstream(&svg, &size);
    struct drawing d = {.out = memory, .label = label, .family = a->family};
    snprintf(label, sizeof label, "%s: %s", kind_names[kind],
             view_describe(row_of(a)->r, a->c != NULL, text));
    const bool drawn = memory && (kind == KIND_SPEED     ? draw_speed(&d, a->facet)
                                  : kind == KIND_CEILING ? draw_ceiling(&d, a->c)
                                                         : draw_samples(&d, a->c));
    if ((!memory || fclose(memory) != 0 || !svg)) {
        fputs("<p class=\"note\">No memory for a figure.</p>\n", out);
    } else if (drawn) {
        fputs("<figure>", out);
        write_caption(out, v, a, kind, &d);
        fprintf(out, "</figcaption><div class=\"plot\">%s</div></figure>\n", svg);
    }
    free(svg);
}

/* ---- how well NF4 fits the weights ---- */

static int compare_tensor(const void *pa, const void *pb)
{
    const struct row *a = ((const struct view_row *)pa)->r, *b = ((const struct view_row *)pb)->r;
    int c = row_text_order(a->weights, b->weights);
    return c ? c : compare_numbers(a->blocksize, b->blocksize);
}

static int by_fit(const void *pa, const void *pb)
{
    const struct row *a = ((const struct view_row *)pa)->r, *b = ((const struct view_row *)pb)->r;
    int c = (a->weight_sqnr_db > b->weight_sqnr_db) - (a->weight_sqnr_db < b->weight_sqnr_db);
    return c ? c : compare_tensor(pa, pb);
}

/* The first row of each tensor and blocksize, by ascending SQNR. `rows` has room for all rows. */
static size_t collect_fits(const struct view *v, const struct view_row **rows)
{
    size_t row_count = 0, count = 0;
    for (size_t i = 0; i < v->row_count; i++)
        if (isfinite(v->rows[i].r->weight_sqnr_db))
            rows[row_count++] = &v->rows[i];
    sort_pointers(rows, row_count, compare_tensor);
    for (size_t i = 0; i < row_count; i++)
        if (count == 0 || compare_tensor(rows[count - 1], rows[i]) != 0)
            rows[count++] = rows[i];
    sort_pointers(rows, count, by_fit);
    return count;
}

static void write_fits(FILE *out, const struct view_row *const *rows, size_t count)
{
    const struct drawing d = {.out = out, .label = "SQNR of NF4 and int4 per tensor"};
    const size_t shown = count < DRAW_FITS_MAX ? count : DRAW_FITS_MAX;
    fputs("<h3>How well NF4 fits the weights</h3>\n<div class=\"figures\"><figure><figcaption><b>NF4 and "
          "int4 at the same blocksize</b>Signal over quantization noise of each tensor. The number is NF4 "
          "less int4. Absmax int4 is round to nearest: it is not what GPTQ or AWQ reach.",
          out);
    if (shown < count)
        fprintf(out, " The %zu tensors of %zu with the lowest NF4 value.", shown, count);
    fputs("</figcaption><div class=\"plot\">", out);
    draw_fits(&d, rows, shown);
    fputs("</div>", out);
    if (count > TENSORS_MAX)
        fprintf(out,
                "<p class=\"note\">The numbers of %d of %zu tensors are shown, of those with the lowest NF4 "
                "value; <code>nf4bench export</code> has all.</p>\n",
                TENSORS_MAX, count);
    fprintf(out,
            "<details><summary>Numbers of %zu tensor%s</summary><div class=\"box\"><table "
            "class=\"sort\"><thead><tr><th>tensor</th><th>blocksize</th><th>NF4<small>dB</small></"
            "th><th>int4<small>dB</small></th><th>difference<small>dB</small></th></tr></thead>\n<tbody>\n",
            count < TENSORS_MAX ? count : TENSORS_MAX, count == 1 ? "" : "s");
    for (size_t i = 0; i < count && i < TENSORS_MAX; i++) {
        const struct row *r = rows[i]->r;
        html_print(out,
                   "<tr><td class=\"wrap\">%s</td><td>%u</td><td>%.3f</td><td>%.3f</td><td>%.3f</td></tr>\n",
                   r->weights, r->blocksize, r->weight_sqnr_db, r->int4_sqnr_db,
                   r->weight_sqnr_db - r->int4_sqnr_db);
    }
    fputs("</tbody></table></div></details></figure></div>\n", out);
}

/* ---- the section ---- */

static void write_chosen(FILE *out, const struct view *v, const struct candidate *chosen, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct candidate *a = &chosen[i];
        if (i == 0 || a->family != chosen[i - 1].family) {
            fprintf(out, "%s<h3>%s %s", i ? "</div>\n" : "", operation_word(row_of(a)->r->op),
                    type_word(row_of(a)->r->out_type));
            view_name_file(out, v, ", ", row_of(a)->set);
            fputs("</h3>\n<div class=\"figures\">\n", out);
        }
        write_figure(out, v, a, a->c ? KIND_CEILING : KIND_SPEED);
        if (a->c)
            write_figure(out, v, a, KIND_SAMPLES);
    }
    if (count > 0)
        fputs("</div>\n", out);
}

void section_figures(FILE *out, const struct view *v)
{
    struct candidate *candidates = calloc(v->facet_count + v->case_count + 1, sizeof candidates[0]);
    const struct view_row **rows = calloc(v->row_count + 1, sizeof rows[0]);
    if (!candidates || !rows) {
        fputs("<p class=\"note\">No memory for figures.</p>\n", out);
        goto done;
    }
    const size_t total = collect(v, candidates), fit_count = collect_fits(v, rows);
    size_t count = 0, figures = 0, facets = 0, facets_left = 0, cases_left = 0;
    while (count < total && figures + figure_count_of(&candidates[count]) <= FIGURES_MAX)
        figures += figure_count_of(&candidates[count++]);
    for (size_t i = 0; i < total; i++) {
        facets += candidates[i].c == NULL;
        if (i >= count)
            *(candidates[i].c ? &cases_left : &facets_left) += 1;
    }
    if (total == 0 && fit_count == 0)
        goto done;
    qsort(candidates, count, sizeof candidates[0], by_place);

    fputs("<section id=\"figures\"><h2>Figures</h2>\n", out);
    write_chosen(out, v, candidates, count);
    if (fit_count > 0)
        write_fits(out, rows, fit_count);
    if (count < total)
        fprintf(out,
                "<p class=\"muted\">Not drawn, to keep this file small: %zu of %zu curves over M, and "
                "ceiling and samples of %zu of %zu problems. Their numbers are in the tables.</p>\n",
                facets_left, facets, cases_left, total - facets);
    fputs("</section>\n", out);
done:
    free(candidates);
    free(rows);
}
