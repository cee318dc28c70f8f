/* headline.c: NF4 as a fraction of the best int4 at equal bits per weight, and where the gap comes from. */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "harness/base/text.h"
#include "plots/chart.h"
#include "plots/pairing.h"
#include "plots/sections.h"

enum { LINES_DRAWN = 24, NAMES_MAX = 6, DEVICES_ABREAST = 6 };

/* ---- words ---- */

static const char *attribution(const struct pair *p)
{
    return p->isolated ? "isolated decode" : "best in class";
}

/* "3 shapes"; why there is no number. Returns buffer. */
static const char *count_text(const struct line_sum *sum, char buffer[64])
{
    if (sum->mean.shapes == 0)
        snprintf(buffer, 64, "left out: %zu of %zu", sum->out, sum->pairs);
    else
        snprintf(buffer, 64, "%zu shape%s%s", sum->mean.shapes, sum->mean.shapes == 1 ? "" : "s",
                 sum->low ? " *" : "");
    return buffer;
}

static const char *type_text(const struct pair *p, char buffer[64])
{
    const struct row *r = p->nf4->r;
    char threads[24] = "";
    if (r->threads > 0)
        snprintf(threads, sizeof threads, ", %" PRIu32 " threads", r->threads);
    snprintf(buffer, 64, "%s%s%s", type_word(r->out_type), threads, r->bias ? ", bias" : "");
    return buffer;
}

/* ---- who the opponents are ---- */

static void list_packages(const struct tasks *t, size_t device, enum weights format, char *text, size_t size)
{
    text[0] = '\0';
    for (size_t i = 0; i < t->count; i++)
        for (size_t j = 0; t->list[i].device == device && j < t->list[i].count; j++) {
            const struct view_row *row = t->list[i].rows[j];
            if (weights_of(row) == format && is_package(row))
                text_list_add(text, size, row->r->variant, NAMES_MAX);
        }
}

static bool has_marlin_rows(const struct tasks *t, size_t device)
{
    for (size_t i = 0; i < t->count; i++)
        for (size_t j = 0; t->list[i].device == device && j < t->list[i].count; j++)
            if (t->devices[device].gpu && weights_of(t->list[i].rows[j]) == WEIGHTS_INT4 &&
                track_of(t->list[i].rows[j]) == TRACK_REPACKED &&
                strstr(t->list[i].rows[j]->r->variant, "marlin"))
                return true;
    return false;
}

static void say_opponents(struct page *p, const struct tasks *t, size_t device)
{
    char packages[NAMES_MAX * 130 + 8], nf4[NAMES_MAX * 130 + 8];
    list_packages(t, device, WEIGHTS_INT4, packages, sizeof packages);
    list_packages(t, device, WEIGHTS_NF4, nf4, sizeof nf4);
    page_say(p, PAGE_PARAGRAPH,
             "%s. Opponents that were real packages, by their names: int4 %s; NF4 %s. All others are of this "
             "project or were loaded into it. %s",
             t->devices[device].label, packages[0] ? packages : "none", nf4[0] ? nf4 : "none",
             has_marlin_rows(t, device) ? "No Marlin-class kernel of a package ran on this device: rows "
                                          "named marlin are among these others."
                                        : "No Marlin-class opponent ran on this device.");
}

/* What stands in no number of the headline, each with its reason. */
static void say_exclusions(struct page *p, const struct pairing *h, size_t device)
{
    const struct task_device *d = &h->tasks->devices[device];
    size_t out = 0, low = 0, nowhere = 0;
    for (size_t i = 0; i < h->pair_count; i++)
        if (h->tasks->list[h->pairs[i].task].device == device) {
            out += h->pairs[i].out;
            low += h->pairs[i].low && !h->pairs[i].out;
        }
    for (size_t i = 0; i < h->tasks->count; i++)
        nowhere += h->tasks->list[i].device == device && h->tasks->list[i].use == USE_NONE;
    if (out > 0)
        page_say(p, PAGE_NOTE,
                 "%zu pair%s left out of the headline: a row reached less than %.2f of its measured ceiling, "
                 "or had none, and would say more about a kernel than about a format. The numbers below have "
                 "them, with their shares.",
                 out, out == 1 ? " is" : "s are", PAIRING_SHARE);
    if (low > 0)
        page_say(p, PAGE_NOTE, "* %zu pair%s a row under %.2f of its measured ceiling.", low,
                 low == 1 ? " has" : "s have", PAIRING_SHARE);
    page_say(p, PAGE_PARAGRAPH,
             "Not compared: %zu timed row%s that did not pass, %zu of the regime of timing (cold or hot) "
             "that is not quoted, %zu size%s outside the regimes of use, and all int4 whose bits per weight "
             "differ from NF4's by more than 2 %%.",
             d->wrong, d->wrong == 1 ? "" : "s", d->other, nowhere, nowhere == 1 ? "" : "s");
}

/* ---- sentences ---- */

/* The line of a use and attribution with the most shapes; of equals, the first. */
static const struct line *widest_line(struct pairing *h, size_t device, enum use use, bool isolated)
{
    const struct line *best = NULL;
    size_t most = 0;
    for (size_t i = 0; i < h->line_count; i++) {
        if (h->lines[i].use != use || h->lines[i].like->isolated != isolated)
            continue;
        const struct line_sum sum = pairing_sum(h, &h->lines[i], device);
        if (sum.mean.shapes > most) {
            most = sum.mean.shapes;
            best = &h->lines[i];
        }
    }
    return best;
}

static const char *interval_text(const struct mean *m, char buffer[64])
{
    const bool interval = isfinite(m->lo) && isfinite(m->hi);
    snprintf(buffer, 64, interval ? "%.3f [%.3f, %.3f]" : "%.3f (no interval)", m->ratio, m->lo, m->hi);
    return buffer;
}

static void say_line(struct page *p, struct pairing *h, size_t device, const struct line *line)
{
    const struct pair *like = line->like;
    const struct line_sum sum = pairing_sum(h, line, device);
    char subject[400], number[64], bits[32], alone[160] = "", kind[KIND_TEXT], type[64];
    const char *plural = sum.mean.shapes == 1 ? "" : "s";
    snprintf(subject, sizeof subject, "%s, %s, %s: %s (%.3f bits a weight)", h->tasks->devices[device].label,
             use_words[line->use], type_text(like, type), kind_text(kind_of(like->nf4), kind), sum.nf4_bits);
    interval_text(&sum.mean, number);
    snprintf(bits, sizeof bits, sum.int4_bits_hi - sum.int4_bits_lo < 0.0005 ? "%.3f" : "%.3f to %.3f",
             sum.int4_bits_lo, sum.int4_bits_hi);
    if (like->isolated) {
        page_say(p, PAGE_PARAGRAPH,
                 "%s runs at %s of the speed of int4 (%s bits) in one kernel with nothing but the decode "
                 "swapped, %zu shape%s. No pair of best kernels is in the headline.",
                 subject, number, bits, sum.mean.shapes, plural);
        return;
    }
    const struct line *isolated = pairing_isolated(h, line);
    if (isolated) {
        const struct line_sum one = pairing_sum(h, isolated, device);
        char text[64];
        if (one.mean.shapes > 0)
            snprintf(alone, sizeof alone, "; with nothing but the decode swapped, at %s",
                     interval_text(&one.mean, text));
    }
    page_say(p, PAGE_PARAGRAPH,
             "%s runs at %s of the speed of the best int4 (%s bits), %s bytes, %zu shape%s%s.", subject,
             number, bits, track_words[like->track], sum.mean.shapes, plural, alone);
}

static void say_result(struct page *p, struct pairing *h, size_t device)
{
    bool any = false;
    for (int u = 0; u < USE_COUNT; u++) {
        const struct line *line = widest_line(h, device, (enum use)u, false);
        line = line ? line : widest_line(h, device, (enum use)u, true);
        if (line)
            say_line(p, h, device, line);
        any = any || line;
    }
    if (!any)
        page_say(p, PAGE_PARAGRAPH, "%s: no number for the headline; the reasons stand below.",
                 h->tasks->devices[device].label);
}

/* ---- tables ---- */

/* Of the devices first .. first + count. */
static void write_lines(struct page *p, struct pairing *h, size_t first, size_t count)
{
    static const struct table_column fixed[] = {
        COLUMN_USE,
        COLUMN("type", "type", NULL, CELL_TEXT, 0),
        COLUMN("nf4", "NF4", NULL, CELL_TEXT, 0),
        COLUMN("attribution", "attribution", NULL, CELL_TEXT, 0),
        COLUMN_LAYOUT,
    };
    enum { FIXED = sizeof fixed / sizeof fixed[0] };
    struct table_column columns[FIXED + DEVICES_ABREAST];
    char kind[KIND_TEXT], type[64], beside[64];
    memcpy(columns, fixed, sizeof fixed);
    for (size_t d = 0; d < count; d++) {
        const char *label = h->tasks->devices[first + d].label;
        columns[FIXED + d] = (struct table_column)COLUMN(label, label, "int4 time / NF4 time", CELL_RATIO, 3);
    }
    struct table t = table_of("headline", "NF4's speed as a fraction of int4's at equal bits per weight",
                              columns, FIXED + count);
    t.note = "Above 1, NF4 is faster. Geometric mean over shapes, with a 95 % interval: Student's t over "
             "four shapes or more; of fewer, from the lowest to the highest end of those of their paired "
             "samples. Isolated decode: one skeleton, only the decode swapped; its rows are in NF4's own "
             "order. Best in class: the fastest right variant of each format.";
    for (size_t i = 0; i < h->line_count; i++) {
        const struct line *line = &h->lines[i];
        table_cells(&t, "%s %s %s %s %s", use_words[line->use], type_text(line->like, type),
                    kind_text(kind_of(line->like->nf4), kind), attribution(line->like),
                    track_words[line->like->track]);
        for (size_t d = 0; d < count; d++) {
            const struct line_sum sum = pairing_sum(h, line, first + d);
            if (sum.first)
                table_ratio(&t, sum.mean.ratio, sum.mean.lo, sum.mean.hi, count_text(&sum, beside));
            else
                table_number(&t, NAN);
        }
    }
    page_table(p, &t, PAGE_SHOWN);
}

/* The same with a row per device, for programs. */
static void write_long_lines(struct page *p, struct pairing *h)
{
    static const struct table_column columns[] = {
        COLUMNS_USE,
        COLUMN("threads", "threads", NULL, CELL_NUMBER, 0),
        COLUMN("nf4", "NF4", NULL, CELL_TEXT, 0),
        COLUMN("attribution", "attribution", NULL, CELL_TEXT, 0),
        COLUMN_LAYOUT,
        COLUMN("nf4_bits_per_weight", "NF4 bits", NULL, CELL_NUMBER, 3),
        COLUMN("int4_bits_per_weight_min", "int4 bits, least", NULL, CELL_NUMBER, 3),
        COLUMN("int4_bits_per_weight_max", "int4 bits, most", NULL, CELL_NUMBER, 3),
        COLUMN("nf4_speed_over_int4", "NF4 over int4", NULL, CELL_RATIO, 3),
        COLUMN("shapes", "shapes", NULL, CELL_NUMBER, 0),
        COLUMN("pairs", "pairs", NULL, CELL_NUMBER, 0),
        COLUMN("left_out", "left out", NULL, CELL_NUMBER, 0),
        COLUMN("flagged", "flagged", NULL, CELL_NUMBER, 0),
    };
    char kind[KIND_TEXT];
    struct table t = TABLE("headline", "", columns); /* CSV has no titles */
    for (size_t d = 0; d < h->tasks->device_count; d++)
        for (size_t i = 0; i < h->line_count; i++) {
            const struct line *line = &h->lines[i];
            const struct line_sum sum = pairing_sum(h, line, d);
            if (!sum.first)
                continue;
            table_cells(&t, "%s %s %s %f %s %s %s %f %f %f", h->tasks->devices[d].label, use_words[line->use],
                        type_word(line->like->nf4->r->out_type), (double)line->like->nf4->r->threads,
                        kind_text(kind_of(line->like->nf4), kind), attribution(line->like),
                        track_words[line->like->track], sum.nf4_bits, sum.int4_bits_lo, sum.int4_bits_hi);
            table_ratio(&t, sum.mean.ratio, sum.mean.lo, sum.mean.hi, NULL);
            table_cells(&t, "%f %f %f %f", (double)sum.mean.shapes, (double)sum.pairs, (double)sum.out,
                        (double)sum.low);
        }
    page_table(p, &t, PAGE_SHOWN);
}

static void add_side(struct table *t, const struct view_row *row)
{
    const struct row *r = row->r;
    char kind[KIND_TEXT];
    table_cells(t, "%s %s %f %f %f", kind_text(kind_of(row), kind), r->variant, r->bits_per_weight,
                r->median_us, ceiling_share(row));
}

static void write_pairs(struct page *p, const struct pairing *h)
{
    static const struct table_column columns[] = {
        COLUMNS_USE,
        COLUMNS_SIZE,
        COLUMN("regime", "timing", NULL, CELL_TEXT, 0),
        COLUMN("attribution", "attribution", NULL, CELL_TEXT, 0),
        COLUMN_LAYOUT,
        COLUMN("nf4", "NF4", NULL, CELL_TEXT, 0),
        COLUMN("nf4_variant", "variant", "of NF4", CELL_NAME, 0),
        COLUMN("nf4_bits_per_weight", "bits", "of NF4", CELL_NUMBER, 3),
        COLUMN("nf4_median_us", "median", "of NF4, \u00b5s", CELL_NUMBER, -4),
        COLUMN("nf4_share", "share of ceiling", "of NF4", CELL_NUMBER, 3),
        COLUMN("int4", "int4", NULL, CELL_TEXT, 0),
        COLUMN("int4_variant", "variant", "of int4", CELL_NAME, 0),
        COLUMN("int4_bits_per_weight", "bits", "of int4", CELL_NUMBER, 3),
        COLUMN("int4_median_us", "median", "of int4, \u00b5s", CELL_NUMBER, -4),
        COLUMN("int4_share", "share of ceiling", "of int4", CELL_NUMBER, 3),
        COLUMN("nf4_speed_over_int4", "NF4 over int4", "int4 time / NF4 time", CELL_RATIO, 3),
        COLUMN("in_headline", "in the headline", NULL, CELL_TEXT, 0),
    };
    struct table t = TABLE("pairs", "Every pair at equal bits", columns);
    t.note = "The share is that of the measured ceiling which is nearer: memory, or a dense product.";
    for (size_t i = 0; i < h->pair_count; i++) {
        const struct pair *pair = &h->pairs[i];
        const struct row *r = pair->nf4->r;
        const struct task *task = &h->tasks->list[pair->task];
        const struct paired_ratio *q = &pair->ratio;
        table_cells(&t, "%s %s %s %f %f %f %s %s %s", h->tasks->devices[task->device].label,
                    use_words[task->use], type_word(r->out_type), (double)r->m, (double)r->n, (double)r->k,
                    regime_word(r->regime), attribution(pair), track_words[pair->track]);
        add_side(&t, pair->nf4);
        add_side(&t, pair->int4);
        table_ratio(&t, q->ratio, q->ci.lo, q->ci.hi, q->count > 0 ? NULL : "unpaired");
        table_text(&t, "%s", pair->out ? "no: under 0.8 of its ceiling" : pair->low ? "yes, flagged" : "yes");
    }
    page_table(p, &t, PAGE_FOLDED);
}

/* ---- why ---- */

static void append_part(char *text, size_t size, const char *what, double ratio)
{
    const double percent = 100 * (ratio - 1);
    const size_t used = strlen(text);
    if (isfinite(percent))
        snprintf(text + used, size - used, "%s%s %s%.1f %%", used ? "; " : "", what,
                 percent < 0 ? MINUS : "+", fabs(percent));
}

static void write_causes(struct page *p, struct pairing *h)
{
    static const struct table_column columns[] = {
        COLUMNS_USE,
        COLUMN("nf4", "NF4", NULL, CELL_TEXT, 0),
        COLUMN_LAYOUT,
        COLUMN("best_in_class", "best in class", NULL, CELL_NUMBER, 3),
        COLUMN("isolated_decode", "isolated decode", NULL, CELL_NUMBER, 3),
        COLUMN("bytes_ratio", "bytes moved", "int4 / NF4", CELL_NUMBER, 3),
        COLUMN("nf4_share", "share of ceiling", "of NF4", CELL_NUMBER, 3),
        COLUMN("int4_share", "share of ceiling", "of int4", CELL_NUMBER, 3),
        COLUMN("why", "so the gap is", NULL, CELL_LONG, 0),
    };
    struct table t = TABLE("causes", "Where the gap comes from", columns);
    t.note = "What waits for memory alone would run at the ratio of the bytes. The isolated decode is what "
             "the codebook costs in one and the same kernel; what the best kernels differ in beyond that is "
             "the rest: how well each is built.";
    for (size_t d = 0; d < h->tasks->device_count; d++)
        for (size_t i = 0; i < h->line_count; i++) {
            const struct line *line = &h->lines[i], *isolated;
            const struct line_sum best = pairing_sum(h, line, d);
            char kind[KIND_TEXT], why[256] = "";
            double alone = NAN;
            if (line->like->isolated || best.mean.shapes == 0)
                continue;
            if ((isolated = pairing_isolated(h, line)) != NULL)
                alone = pairing_sum(h, isolated, d).mean.ratio;
            append_part(why, sizeof why, "decode", alone);
            append_part(why, sizeof why, "kernels", best.mean.ratio / alone);
            append_part(why, sizeof why, "bytes alone would give", best.bytes);
            table_cells(&t, "%s %s %s %s %s %f %f %f %f %f %s", h->tasks->devices[d].label,
                        use_words[line->use], type_word(line->like->nf4->r->out_type),
                        kind_text(kind_of(line->like->nf4), kind), track_words[line->like->track],
                        best.mean.ratio, alone, best.bytes, best.nf4_share, best.int4_share,
                        isfinite(alone) ? why : "not to be split: no skeleton ran in both formats");
        }
    page_table(p, &t, PAGE_SHOWN);
}

/* ---- the figure ---- */

static void draw_line(const struct chart *c, const struct line *line, const struct line_sum *sum, double y)
{
    char kind[KIND_TEXT], type[64], name[256], number[64], words[400];
    snprintf(name, sizeof name, "%s, %s, %s: %s, %s", use_words[line->use], type_text(line->like, type),
             kind_text(kind_of(line->like->nf4), kind), attribution(line->like),
             track_words[line->like->track]);
    interval_text(&sum->mean, number);
    snprintf(words, sizeof words, "%s: %s, %zu shapes", name, number, sum->mean.shapes);
    chart_text(c, c->margin.left, y - 8, "start", INK_TEXT, name);
    chart_text(c, CHART_WIDTH - 4, y + 8, "end", INK_TEXT, number);
    chart_whisker(c, sum->mean.lo, sum->mean.hi, y + 4);
    /* chart_mark() takes values: the axis runs from the bottom up, in pixels. */
    chart_mark(c, sum->mean.ratio, c->height - c->margin.bottom - y - 4,
               line->like->isolated ? WEIGHTS_INT8 : WEIGHTS_NF4,
               &(struct mark){.value = sum->mean.ratio, .words = words});
}

static void draw_device(struct page *p, struct pairing *h, size_t device)
{
    enum { ROW = 34, TOP = 22, BOTTOM = 42 };
    double lo = 0.8, hi = 1.25;
    size_t count = 0, shown;
    for (size_t i = 0; i < h->line_count; i++) {
        const struct line_sum sum = pairing_sum(h, &h->lines[i], device);
        if (sum.mean.shapes == 0 || count++ >= LINES_DRAWN)
            continue;
        lo = fmin(lo, isfinite(sum.mean.lo) ? fmax(sum.mean.lo, sum.mean.ratio / 2) : sum.mean.ratio);
        hi = fmax(hi, isfinite(sum.mean.hi) ? fmin(sum.mean.hi, sum.mean.ratio * 2) : sum.mean.ratio);
    }
    FILE *out =
        count ? page_figure(p, "NF4 against int4 at equal bits", h->tasks->devices[device].label) : NULL;
    if (!out)
        return;
    shown = count < LINES_DRAWN ? count : LINES_DRAWN;
    struct chart c = {.out = out,
                      .height = TOP + BOTTOM + ROW * (double)shown,
                      .margin = {8, 150, TOP, BOTTOM},
                      .x = {lo / 1.03, hi * 1.03, hi / lo > 4},
                      .y = {0, ROW * (double)shown, false}};
    size_t at = 0;
    chart_begin(&c, "NF4's speed as a fraction of int4's, per regime of use");
    chart_ticks_x(&c, 1);
    chart_reference(&c, 1, "equal");
    chart_titles(&c, "NF4's speed / int4's speed; disc: best in class, triangle: isolated decode", NULL);
    for (size_t i = 0; i < h->line_count && at < shown; i++) {
        const struct line_sum sum = pairing_sum(h, &h->lines[i], device);
        if (sum.mean.shapes > 0)
            draw_line(&c, &h->lines[i], &sum, TOP + ROW * ((double)at++ + 0.55));
    }
    chart_end(&c);
    page_end_figure(p);
}

/* ---- the section ---- */

static void write_all(struct page *p, struct pairing *h)
{
    const struct tasks *t = h->tasks;
    page_section(p, "headline", "NF4 against int4 at equal bits");
    if (h->pair_count == 0) {
        page_say(p, PAGE_NOTE,
                 "No NF4 row has an int4 row of the same size whose weights take as many bits, within 2 %%: "
                 "nothing can be said at equal bits.");
        return;
    }
    for (size_t d = 0; d < t->device_count; d++) {
        if (t->devices[d].fake)
            page_say(p, PAGE_NOTE, "%s: no ratio of these times says anything about a GPU.",
                     t->devices[d].label);
        say_result(p, h, d);
    }
    if (p->form == OUTPUT_CSV)
        write_long_lines(p, h);
    for (size_t d = 0; p->form != OUTPUT_CSV && d < t->device_count; d += DEVICES_ABREAST)
        write_lines(p, h, d, t->device_count - d < DEVICES_ABREAST ? t->device_count - d : DEVICES_ABREAST);
    for (size_t d = 0; d < t->device_count; d++)
        draw_device(p, h, d);
    write_causes(p, h);
    for (size_t d = 0; d < t->device_count; d++) {
        say_opponents(p, t, d);
        say_exclusions(p, h, d);
    }
    write_pairs(p, h);
}

void section_headline(struct page *p, const struct tasks *t)
{
    struct pairing h;
    enum status s = pairing_init(&h, t);
    if (s != STATUS_OK) {
        p->status = s;
        return;
    }
    if (h.both)
        write_all(p, &h);
    pairing_release(&h);
    page_end_section(p);
}
