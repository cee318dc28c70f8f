#include "results/gate_report.h"

#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "results/markdown.h"
#include "results/record.h"

enum {
    ANNOTATIONS = 10,        /* of a kind, GitHub shows no more of a step */
    SUMMARY_BYTES = 1000000, /* GitHub takes 1 MiB of a step's summary, and nothing of a larger one */
    CELL_BYTES = 300,        /* of a text in a table */
    NOTE_BYTES = 2000,       /* and in the lines around it */
    CHANGE_SIZE = 96,        /* of a ratio and its interval, written */
    NUMBER_SIZE = 32
};

static const struct {
    const char *word, *meaning;
} outcomes[GATE_OUTCOME_COUNT] = {
#define X(name, word, meaning) {word, meaning},
    GATE_OUTCOME_MAP(X)
#undef X
};

const char *gate_outcome_word(enum gate_outcome o)
{
    return outcomes[o].word;
}

static bool given(const char *text)
{
    return text && *text;
}

/* ---- what was found, as a whole ---- */

static void count_outcomes(const struct gate_report *r, size_t counts[GATE_OUTCOME_COUNT])
{
    memset(counts, 0, GATE_OUTCOME_COUNT * sizeof *counts);
    for (size_t i = 0; i < r->count; i++)
        counts[r->rows[i].outcome]++;
}

int gate_report_exit_code(const struct gate_report *r)
{
    size_t counts[GATE_OUTCOME_COUNT];
    count_outcomes(r, counts);
    if (counts[GATE_OUTCOME_WRONG])
        return GATE_EXIT_WRONG;
    if (r->advisory)
        return GATE_EXIT_PASS;
    if (given(r->disabled))
        return GATE_EXIT_UNKNOWN;
    if (counts[GATE_OUTCOME_REGRESSED])
        return GATE_EXIT_REGRESSED;
    if (counts[GATE_OUTCOME_INCONCLUSIVE])
        return GATE_EXIT_UNKNOWN;
    return counts[GATE_OUTCOME_SKIPPED] == r->count ? GATE_EXIT_NOTHING : GATE_EXIT_PASS;
}

static const char *exit_meaning(const struct gate_report *r)
{
    switch (gate_report_exit_code(r)) {
    case GATE_EXIT_WRONG:
        return "a variant is wrong";
    case GATE_EXIT_REGRESSED:
        return "a row is slower, in both runs";
    case GATE_EXIT_UNKNOWN:
        return given(r->disabled) ? "no verdict on times" : "the rounds do not say for every row";
    case GATE_EXIT_NOTHING:
        return "no row was compared";
    default:
        return r->advisory ? "advisory, times never fail it" : "nothing is wrong or slower";
    }
}

/* Whether the row makes the gate fail. */
static bool is_failure(const struct gate_report *r, const struct gate_report_row *row)
{
    return row->outcome == GATE_OUTCOME_WRONG ||
           (row->outcome == GATE_OUTCOME_REGRESSED && !r->advisory && !given(r->disabled));
}

static void put_counts(const struct gate_report *r, FILE *out)
{
    size_t counts[GATE_OUTCOME_COUNT];
    count_outcomes(r, counts);
    const char *before = "";
    for (unsigned o = 0; o < GATE_OUTCOME_COUNT; o++)
        if (counts[o]) {
            fprintf(out, "%s%zu %s", before, counts[o], outcomes[o].word);
            before = ", ";
        }
    fputs(r->count ? "" : "no rows", out);
}

/* ---- texts, which may come from plugins, files and the command line ---- */

/* Makes a text valid UTF-8 without control characters, so that XML 1.0 allows all of it: '?' stands for
 * every other byte. */
static void clean(char *text)
{
    text_repair(text, strlen(text) + 1);
    for (unsigned char *at = (unsigned char *)text; *at; at++) {
        bool control = (*at < 0x20 && !strchr("\t\n\r", *at)) || *at == 0x7f;
        bool late_control = at[0] == 0xc2 && at[1] < 0xa0;                   /* U+0080 to U+009F */
        bool no_character = at[0] == 0xef && at[1] == 0xbf && at[2] >= 0xbe; /* U+FFFE, U+FFFF */
        memset(at, '?', no_character ? 3 : late_control ? 2 : control ? 1 : 0);
    }
}

/* A report of clean texts, none of them NULL, and its rows from the worst to the best. */
struct tidy {
    struct gate_report report;
    struct gate_report_row *rows;
    const struct gate_report_row **worst;
    char *texts;
};

static size_t text_size(const char *text)
{
    return text ? strlen(text) + 1 : 1;
}

static const char *add_text(char **end, const char *text)
{
    char *at = *end;
    *end += text_size(text);
    memcpy(at, text ? text : "", text_size(text));
    clean(at);
    return at;
}

static int by_number(double a, double b)
{
    return (a > b) - (a < b);
}

static double row_ratio(const struct gate_report_row *row)
{
    return row->first.rounds && isfinite(row->first.ratio) ? row->first.ratio : -INFINITY;
}

/* By outcome, then the slowest first; what has no ratio comes last, by its reason. */
static int by_weight(const void *a, const void *b)
{
    const struct gate_report_row *x = *(const struct gate_report_row *const *)a,
                                 *y = *(const struct gate_report_row *const *)b;
    int order = by_number(x->outcome, y->outcome);
    order = order ? order : by_number(row_ratio(y), row_ratio(x));
    order = order ? order : strcmp(x->reason, y->reason);
    order = order ? order : strcmp(x->variant, y->variant);
    return order ? order : (x > y) - (x < y);
}

static void tidy_release(struct tidy *t)
{
    free(t->rows);
    free(t->worst);
    free(t->texts);
}

static enum status tidy_init(struct tidy *t, const struct gate_report *r)
{
    *t = (struct tidy){.report = *r};
    const char **const heads[] = {&t->report.suite,     &t->report.device,  &t->report.baseline,
                                  &t->report.candidate, &t->report.command, &t->report.calibration,
                                  &t->report.disabled};
    size_t size = 0;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        size += text_size(*heads[i]);
    for (size_t i = 0; i < r->count; i++)
        size += text_size(r->rows[i].case_key) + text_size(r->rows[i].variant) +
                text_size(r->rows[i].regime) + text_size(r->rows[i].reason) + text_size(r->rows[i].repro);
    t->rows = malloc((r->count + 1) * sizeof *t->rows);
    t->worst = malloc((r->count + 1) * sizeof *t->worst);
    t->texts = malloc(size);
    if (!t->rows || !t->worst || !t->texts) {
        tidy_release(t);
        return status_fail(STATUS_MEMORY, "gate: out of memory for a report of %zu rows", r->count);
    }
    char *end = t->texts;
    for (size_t i = 0; i < sizeof heads / sizeof heads[0]; i++)
        *heads[i] = add_text(&end, *heads[i]);
    for (size_t i = 0; i < r->count; i++) {
        t->rows[i] = r->rows[i];
        t->rows[i].case_key = add_text(&end, r->rows[i].case_key);
        t->rows[i].variant = add_text(&end, r->rows[i].variant);
        t->rows[i].regime = add_text(&end, r->rows[i].regime);
        t->rows[i].reason = add_text(&end, r->rows[i].reason);
        t->rows[i].repro = add_text(&end, r->rows[i].repro);
        t->worst[i] = &t->rows[i];
    }
    t->report.rows = t->rows;
    qsort(t->worst, r->count, sizeof *t->worst, by_weight);
    return STATUS_OK;
}

static enum status finish(FILE *out)
{
    return fflush(out) == 0 && !ferror(out) ? STATUS_OK
                                            : status_fail(STATUS_IO, "gate: cannot write the report");
}

/* How to write a character where it would mean something else; ends with one without a text. */
struct escape {
    char character;
    const char *text;
};
static const struct escape plain_line[] = {{'\n', " "}, {'\r', " "}, {'\t', " "}, {0, NULL}};
/* A newline in an attribute, and a carriage return anywhere, would be read as another character. */
static const struct escape xml[] = {{'<', "&lt;"},   {'>', "&gt;"},   {'&', "&amp;"}, {'"', "&quot;"},
                                    {'\r', "&#13;"}, {'\n', "&#10;"}, {'\t', "&#9;"}, {0, NULL}};
/* docs.github.com, "Workflow commands for GitHub Actions"; the escapes are those of its toolkit. */
static const struct escape message[] = {{'%', "%25"}, {'\r', "%0D"}, {'\n', "%0A"}, {0, NULL}};
static const struct escape property[] = {{'%', "%25"}, {'\r', "%0D"}, {'\n', "%0A"},
                                         {':', "%3A"}, {',', "%2C"},  {0, NULL}};
/* Not every character that can mean something: names have underscores, and a terminal shows the escapes. */
static const struct escape markdown[] = {{'\n', " "},    {'\r', " "},  {'\t', " "},
                                         {'\\', "\\\\"}, {'<', "\\<"}, {'&', "\\&"},
                                         {'`', "\\`"},   {'*', "\\*"}, {0, NULL}};

static void put(const struct escape *how, const char *text, FILE *out)
{
    for (; *text; text++) {
        const struct escape *e = how;
        while (e->text && e->character != *text)
            e++;
        if (e->text)
            fputs(e->text, out);
        else
            fputc(*text, out);
    }
}

/* Of numbers and short words. */
static void say(const struct escape *how, FILE *out, const char *format, ...) PRINTF_LIKE(3, 4);
static void say(const struct escape *how, FILE *out, const char *format, ...)
{
    char text[512];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    put(how, text, out);
}

/* The first `most` bytes or fewer, whole characters, escaped. The caller's; NULL: out of memory. */
static char *escaped(const struct escape *how, const char *text, size_t most)
{
    size_t end = strlen(text), size;
    bool cut = end > most;
    for (end = cut ? most : end; cut && end > 0 && ((unsigned char)text[end] & 0xc0) == 0x80; end--)
        ; /* back to the start of a character */
    char *part = strndup(text, end), *whole = NULL;
    FILE *out = part ? open_memstream(&whole, &size) : NULL;
    if (!out) {
        free(part);
        return NULL;
    }
    put(how, part, out);
    fputs(cut ? "..." : "", out);
    free(part);
    if (fclose(out) != 0) {
        free(whole);
        return NULL;
    }
    return whole;
}

/* "+3.1", in percent; "?" for what is no number. */
static const char *percent(double ratio, char text[NUMBER_SIZE])
{
    double p = 100 * (ratio - 1);
    if (fabs(p) < 0.05)
        p = 0; /* no "-0.0" */
    snprintf(text, NUMBER_SIZE, !isfinite(p) ? "?" : fabs(p) < 1e6 ? "%+.1f" : "%+.2g", p);
    return text;
}

/* "+3.1 % (+2.2 to +4.0)" */
static const char *change_text(const struct gate_estimate *e, char text[CHANGE_SIZE])
{
    char ratio[NUMBER_SIZE], lo[NUMBER_SIZE], hi[NUMBER_SIZE];
    snprintf(text, CHANGE_SIZE, "%.28s %% (%.28s to %.28s)", percent(e->ratio, ratio), percent(e->lo, lo),
             percent(e->hi, hi));
    return text;
}

static const char *share_text(double share, char text[NUMBER_SIZE])
{
    snprintf(text, NUMBER_SIZE, isfinite(share) ? "%.1f %%" : "-", 100 * share);
    return text;
}

static const char *plural(size_t count)
{
    return count == 1 ? "" : "s";
}

/* Equal code that looks faster or slower, or may be, says something of the machine. */
static bool same_code_matters(const struct gate_report_row *row)
{
    return row->code_known && row->same_code &&
           (row->outcome == GATE_OUTCOME_REGRESSED || row->outcome == GATE_OUTCOME_INCONCLUSIVE ||
            row->outcome == GATE_OUTCOME_IMPROVED);
}

static bool has_remark(const struct gate_report_row *row)
{
    return *row->reason || same_code_matters(row);
}

/* What follows the reason. */
static const char *same_code_remark(const struct gate_report_row *row)
{
    return !same_code_matters(row) ? ""
           : *row->reason
               ? "; the machine code of both sides is equal: what differs is where it lies, or the machine"
               : "the machine code of both sides is equal: what differs is where it lies, or the machine";
}

/* One line of what was measured, and why that is the outcome. */
static void put_finding(const struct gate_report_row *row, const struct escape *how, FILE *out)
{
    char text[CHANGE_SIZE];
    if (row->first.rounds)
        say(how, out, "%s in %zu round%s", change_text(&row->first, text), row->first.rounds,
            plural(row->first.rounds));
    if (row->confirmation.rounds)
        say(how, out, ", again %s in %zu round%s", change_text(&row->confirmation, text),
            row->confirmation.rounds, plural(row->confirmation.rounds));
    if (has_remark(row)) {
        say(how, out, "%s", row->first.rounds ? "; " : "");
        put(how, row->reason, out);
        put(how, same_code_remark(row), out);
    } else if (!row->first.rounds) {
        say(how, out, "%s", outcomes[row->outcome].meaning);
    }
}

/* ---- for people ---- */

void gate_report_summary(const struct gate_report *r, FILE *out)
{
    put_counts(r, out);
    fprintf(out, "; exit code %d: %s", gate_report_exit_code(r), exit_meaning(r));
    char *why = given(r->disabled) ? strdup(r->disabled) : NULL;
    if (why) {
        clean(why);
        fputs(gate_report_exit_code(r) == GATE_EXIT_UNKNOWN ? ": " : "; no verdict on times: ", out);
        put(plain_line, why, out);
    }
    free(why);
    fputc('\n', out);
}

static void put_markdown(const char *text, FILE *out)
{
    char *e = escaped(markdown, text, NOTE_BYTES);
    fputs(e ? e : "?", out);
    free(e);
}

/* A code span, between more backticks than there are in a row in the text. */
static void put_code(const char *text, FILE *out)
{
    char *line = escaped(plain_line, text, NOTE_BYTES);
    size_t longest = 0;
    for (const char *at = line; at && *at;) {
        size_t length = strspn(at, "`");
        longest = length > longest ? length : longest;
        at += length ? length : 1;
    }
    for (size_t i = 0; i <= longest; i++)
        fputc('`', out);
    fprintf(out, longest ? " %s " : "%s", line ? line : "?");
    for (size_t i = 0; i <= longest; i++)
        fputc('`', out);
    free(line);
}

static void text_cell(struct markdown_table *t, const char *text)
{
    char *e = escaped(markdown, text, CELL_BYTES);
    t->failed = t->failed || !e;
    markdown_cell(t, "%s", e ? e : "");
    free(e);
}

static void change_cell(struct markdown_table *t, const struct gate_estimate *e)
{
    char text[CHANGE_SIZE];
    markdown_cell(t, "%s", e->rounds ? change_text(e, text) : "-");
}

static enum status put_rows(const struct tidy *t, size_t shown, FILE *out)
{
    bool confirmed = false;
    for (size_t i = 0; i < shown; i++)
        confirmed = confirmed || t->worst[i]->confirmation.rounds;
    const char *const heads[MARKDOWN_COLUMNS_MAX] = {
        "outcome",     "variant", "case",          "regime, threads",
        ">base us",    ">new us", ">change, 95 %", confirmed ? ">again" : ">counts from",
        ">counts from"};
    struct markdown_table table = {.columns = confirmed ? 9 : 8, .heads = heads};
    char number[NUMBER_SIZE], regime[NUMBER_SIZE + CELL_BYTES];
    for (size_t i = 0; i < shown; i++) {
        const struct gate_report_row *row = t->worst[i];
        markdown_cell(&table, "%s", gate_outcome_word(row->outcome));
        text_cell(&table, row->variant);
        text_cell(&table, row->case_key);
        snprintf(regime, sizeof regime, "%.300s, %u", row->regime, row->threads);
        text_cell(&table, regime);
        markdown_cell(&table, isfinite(row->base_us) ? "%.2f" : "-", row->base_us);
        markdown_cell(&table, isfinite(row->candidate_us) ? "%.2f" : "-", row->candidate_us);
        change_cell(&table, &row->first);
        if (confirmed)
            change_cell(&table, &row->confirmation);
        markdown_cell(&table, "%s", row->first.rounds ? share_text(row->threshold, number) : "-");
    }
    return markdown_print(&table, out);
}

/* A line for each row with a remark; one for all that are alike and follow each other. */
static void put_notes(const struct tidy *t, size_t shown, FILE *out)
{
    size_t notes = 0;
    for (size_t i = 0, alike; i < shown; i += alike) {
        const struct gate_report_row *row = t->worst[i];
        for (alike = 1; i + alike < shown && !*row->repro; alike++) {
            const struct gate_report_row *next = t->worst[i + alike];
            if (next->outcome != row->outcome || *next->repro || strcmp(next->reason, row->reason) != 0 ||
                same_code_matters(next) != same_code_matters(row))
                break;
        }
        if (!has_remark(row) && !*row->repro)
            continue;
        notes++;
        fprintf(out, "- %s ", gate_outcome_word(row->outcome));
        if (alike > 1) {
            fprintf(out, "(%zu rows)", alike);
        } else {
            put_markdown(row->variant, out);
            fputs(", ", out);
            put_markdown(row->case_key, out);
            fputs(", ", out);
            put_markdown(row->regime, out);
            fprintf(out, ", %u thread%s", row->threads, plural(row->threads));
        }
        fputs(": ", out);
        put_markdown(row->reason, out);
        fputs(same_code_remark(row), out);
        if (*row->repro) {
            fputs(has_remark(row) ? ". Again: " : "again: ", out);
            put_code(row->repro, out);
        }
        fputc('\n', out);
    }
    fputs(notes ? "\n" : "", out);
}

static void put_calibration(const struct gate_report *r, FILE *out)
{
    double least = INFINITY, most = -INFINITY;
    size_t none = 0;
    if (!*r->calibration) {
        fputs("Not calibrated: how often this gate is wrong on this machine was not measured. "
              "`nf4bench calibrate` does so.\n\n",
              out);
        return;
    }
    for (size_t i = 0; i < r->count; i++) {
        double d = r->rows[i].detectable;
        if (!r->rows[i].first.rounds)
            continue;
        none += !isfinite(d);
        least = isfinite(d) && d < least ? d : least;
        most = isfinite(d) && d > most ? d : most;
    }
    fputs("Calibration: ", out);
    put_markdown(r->calibration, out);
    fputs(".", out);
    if (least < most)
        fprintf(out,
                " Slowdowns that it found in 95 %% of the gates or more: from %.1f %% to %.1f %% on, by row.",
                100 * least, 100 * most);
    else if (isfinite(least))
        fprintf(out, " Slowdowns that it found in 95 %% of the gates or more: from %.1f %% on.", 100 * least);
    if (none)
        fprintf(out, " For %zu row%s it has none.", none, plural(none));
    fputs("\n\n", out);
}

static void put_compared(const struct gate_report *r, FILE *out)
{
    fputs("# Gate: ", out);
    put_counts(r, out);
    fputs("\n\nSuite ", out);
    put_markdown(r->suite, out);
    fputs(" on ", out);
    put_markdown(r->device, out);
    fputs(": candidate ", out);
    put_markdown(r->candidate, out);
    fputs(" against baseline ", out);
    put_markdown(r->baseline, out);
    if (isfinite(r->seconds))
        fprintf(out, ", in %.0f s", r->seconds);
    fprintf(out, ". Exit code %d: %s.\n\n", gate_report_exit_code(r), exit_meaning(r));
    if (*r->disabled) {
        fputs("**No verdict on times:** ", out);
        put_markdown(r->disabled, out);
        fputs("\n\n", out);
    }
    if (r->advisory)
        fputs("**Advisory:** the baseline is recorded history, not measured in turn with the candidate. "
              "A difference is a reason to look; only WRONG rows fail.\n\n",
              out);
}

static enum status put_page(const struct tidy *t, size_t shown, FILE *out)
{
    const struct gate_report *r = &t->report;
    size_t counts[GATE_OUTCOME_COUNT];
    enum status s = STATUS_OK;
    put_compared(r, out);
    count_outcomes(r, counts);
    for (unsigned o = 0; o < GATE_OUTCOME_COUNT; o++)
        if (counts[o])
            fprintf(out, "- %zu %s: %s\n", counts[o], outcomes[o].word, outcomes[o].meaning);
    fputs(r->count ? "\n" : "", out);
    if (shown)
        s = put_rows(t, shown, out);
    if (shown < r->count)
        fprintf(out, "%zu further row%s left out.\n\n", r->count - shown,
                r->count - shown == 1 ? " is" : "s are");
    put_notes(t, shown, out);
    put_calibration(r, out);
    if (*r->command) {
        fputs("The command was ", out);
        put_code(r->command, out);
        fputs("\n", out);
    }
    return s;
}

/* Rows are left out until the page fits, for the columns are as wide as the longest of what is shown. */
enum status gate_report_markdown(const struct gate_report *r, FILE *out)
{
    struct tidy t;
    enum status s = tidy_init(&t, r);
    if (s != STATUS_OK)
        return s;
    for (size_t shown = r->count;;) {
        char *page = NULL;
        size_t size = 0;
        FILE *memory = open_memstream(&page, &size);
        s = memory ? put_page(&t, shown, memory) : STATUS_OK;
        if (!memory || fclose(memory) != 0)
            s = status_fail(STATUS_MEMORY, "gate: out of memory for the report");
        bool fits = size < SUMMARY_BYTES || shown == 0;
        if (s == STATUS_OK && fits)
            fwrite(page, 1, size, out);
        free(page);
        if (s != STATUS_OK || fits)
            break;
        size_t fewer = (size_t)(0.95 * (double)shown * SUMMARY_BYTES / (double)size);
        shown = fewer < shown ? fewer : shown - 1;
    }
    tidy_release(&t);
    return s == STATUS_OK ? finish(out) : s;
}

/* ---- for GitHub ---- */

enum status gate_report_annotations(const struct gate_report *r, FILE *out)
{
    struct tidy t;
    enum status s = tidy_init(&t, r);
    if (s != STATUS_OK)
        return s;
    size_t left = ANNOTATIONS;
    if (*t.report.disabled) {
        fputs("::warning title=No verdict on times::", out);
        put(message, t.report.disabled, out);
        fputc('\n', out);
        left--;
    }
    for (size_t i = 0; i < r->count && left > 0; i++) {
        const struct gate_report_row *row = t.worst[i];
        if (row->outcome > GATE_OUTCOME_INCONCLUSIVE)
            break;
        fprintf(out, "::%s title=%s ", is_failure(&t.report, row) ? "error" : "warning",
                gate_outcome_word(row->outcome));
        put(property, row->variant, out);
        fputs("::", out);
        put(message, row->case_key, out);
        fputs(", ", out);
        put(message, row->regime, out);
        fprintf(out, ", %u thread%s: ", row->threads, plural(row->threads));
        put_finding(row, message, out);
        if (*row->repro) {
            fputs(". Again: ", out);
            put(message, row->repro, out);
        }
        fputc('\n', out);
        left--;
    }
    tidy_release(&t);
    return finish(out);
}

/* ---- JUnit XML ---- */

/* The element that a row's testcase has, or NULL: it passed. */
static const char *junit_element(const struct gate_report *r, const struct gate_report_row *row)
{
    switch (row->outcome) {
    case GATE_OUTCOME_WRONG:
        return "error";
    case GATE_OUTCOME_REGRESSED:
        return is_failure(r, row) ? "failure" : "skipped";
    case GATE_OUTCOME_INCONCLUSIVE:
    case GATE_OUTCOME_SKIPPED:
        return "skipped";
    default:
        return NULL;
    }
}

static void put_attribute(const char *name, const char *value, FILE *out)
{
    fprintf(out, " %s=\"", name);
    put(xml, value, out);
    fputc('"', out);
}

static void put_seconds(double seconds, FILE *out)
{
    if (isfinite(seconds) && seconds >= 0)
        fprintf(out, " time=\"%.9f\"", seconds);
}

static void put_p(const char *before, double p, FILE *out)
{
    if (isfinite(p))
        fprintf(out, "%s%.2g", before, p);
}

static void put_estimate(const char *what, const struct gate_estimate *e, FILE *out)
{
    char text[CHANGE_SIZE];
    if (e->rounds == 0)
        return;
    fprintf(out, "%s: %s in %zu round%s", what, change_text(e, text), e->rounds, plural(e->rounds));
    put_p(", p = ", e->p_slower, out);
    put_p(", by sign flips ", e->p_sign_flip, out);
    fputc('\n', out);
}

/* All that is known of a row, for eyes. */
static void put_diagnosis(const struct gate_report *r, const struct gate_report_row *row, FILE *out)
{
    char text[NUMBER_SIZE];
    fprintf(out, "%s: %s\n", outcomes[row->outcome].word, outcomes[row->outcome].meaning);
    if (*row->reason) {
        put(xml, row->reason, out);
        fputc('\n', out);
    }
    if (isfinite(row->base_us) && isfinite(row->candidate_us))
        fprintf(out, "medians: base %.3f us, candidate %.3f us\n", row->base_us, row->candidate_us);
    put_estimate("change, 95 %", &row->first, out);
    put_estimate("again", &row->confirmation, out);
    if (row->first.rounds) {
        fprintf(out, "counts as slower from %s on\n", share_text(row->threshold, text));
        if (isfinite(row->detectable))
            fprintf(out, "calibration found slowdowns from %s on in 95 %% of the gates or more\n",
                    share_text(row->detectable, text));
    }
    if (row->code_known)
        fprintf(out, "machine code: %s\n", row->same_code ? "equal on both sides" : "not the same");
    if (*row->repro) {
        fputs("this row: ", out);
        put(xml, row->repro, out);
        fputc('\n', out);
    }
    if (*r->command) {
        fputs("the gate: ", out);
        put(xml, r->command, out);
        fputc('\n', out);
    }
}

static void put_testcase(const struct gate_report *r, const struct gate_report_row *row, FILE *out)
{
    const char *element = junit_element(r, row);
    fputs("    <testcase classname=\"", out);
    put(xml, r->suite, out);
    fputc('.', out);
    put(xml, row->regime, out);
    fputs("\" name=\"", out);
    put(xml, row->variant, out);
    fputc(' ', out);
    put(xml, row->case_key, out);
    fprintf(out, " threads=%u\"", row->threads);
    put_seconds(row->candidate_us * 1e-6, out);
    if (element) {
        fprintf(out, ">\n      <%s type=\"%s\" message=\"", element, gate_outcome_word(row->outcome));
        put_finding(row, xml, out);
        fputs("\">", out);
    } else {
        fputs(">\n      <system-out>", out);
    }
    put_diagnosis(r, row, out);
    fprintf(out, "</%s>\n    </testcase>\n", element ? element : "system-out");
}

enum status gate_report_junit(const struct gate_report *r, FILE *out)
{
    struct tidy t;
    enum status s = tidy_init(&t, r);
    if (s != STATUS_OK)
        return s;
    size_t failures = 0, errors = 0, skipped = 0;
    for (size_t i = 0; i < r->count; i++) {
        const char *element = junit_element(&t.report, &t.rows[i]);
        failures += element && strcmp(element, "failure") == 0;
        errors += element && strcmp(element, "error") == 0;
        skipped += element && strcmp(element, "skipped") == 0;
    }
    fputs("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n", out);
    for (int level = 0; level < 2; level++) {
        fputs(level ? "  <testsuite" : "<testsuites", out);
        put_attribute("name", level ? t.report.suite : "nf4bench gate", out);
        fprintf(out, " tests=\"%zu\" failures=\"%zu\" errors=\"%zu\" skipped=\"%zu\"", r->count, failures,
                errors, skipped);
        put_seconds(r->seconds, out);
        fputs(">\n", out);
    }
    const struct {
        const char *name, *value;
    } properties[] = {{"device", t.report.device},
                      {"baseline", t.report.baseline},
                      {"candidate", t.report.candidate},
                      {"command", t.report.command},
                      {"calibration", *t.report.calibration ? t.report.calibration : "none"},
                      {"disabled", t.report.disabled},
                      {"advisory", r->advisory ? "true" : "false"}};
    fputs("    <properties>\n", out);
    for (size_t i = 0; i < sizeof properties / sizeof properties[0]; i++) {
        fputs("      <property", out);
        put_attribute("name", properties[i].name, out);
        put_attribute("value", properties[i].value, out);
        fputs("/>\n", out);
    }
    fputs("    </properties>\n", out);
    for (size_t i = 0; i < r->count; i++)
        put_testcase(&t.report, &t.rows[i], out);
    fputs("  </testsuite>\n</testsuites>\n", out);
    tidy_release(&t);
    return finish(out);
}

/* ---- for programs ---- */

static json_t *number(double v)
{
    return isfinite(v) ? json_real(v) : json_null();
}

static json_t *text_or_null(const char *text)
{
    return *text ? json_string(text) : json_null();
}

static json_t *estimate_json(const struct gate_estimate *e)
{
    if (e->rounds == 0)
        return json_null();
    json_t *differences = e->differences ? json_array() : json_null();
    for (size_t k = 0; e->differences && k < e->rounds; k++)
        json_array_append_new(differences, number(e->differences[k]));
    return json_pack("{s:I, s:o, s:o, s:o, s:o, s:o, s:o}", "rounds", (json_int_t)e->rounds, "ratio",
                     number(e->ratio), "ratio_lo", number(e->lo), "ratio_hi", number(e->hi), "p_slower",
                     number(e->p_slower), "p_sign_flip", number(e->p_sign_flip), "differences", differences);
}

static json_t *row_json(const struct gate_report_row *row)
{
    return json_pack("{s:s, s:s, s:s, s:s, s:I, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "outcome",
                     gate_outcome_word(row->outcome), "variant", row->variant, "case", row->case_key,
                     "regime", row->regime, "threads", (json_int_t)row->threads, "reason",
                     text_or_null(row->reason), "repro", text_or_null(row->repro), "base_median_us",
                     number(row->base_us), "candidate_median_us", number(row->candidate_us), "first",
                     estimate_json(&row->first), "confirmation", estimate_json(&row->confirmation),
                     "threshold", number(row->threshold), "detectable", number(row->detectable), "same_code",
                     row->code_known ? json_boolean(row->same_code) : json_null());
}

static json_t *counts_json(const struct gate_report *r)
{
    size_t counts[GATE_OUTCOME_COUNT];
    json_t *o = json_object();
    count_outcomes(r, counts);
    for (unsigned i = 0; i < GATE_OUTCOME_COUNT; i++)
        if (json_object_set_new(o, outcomes[i].word, json_integer((json_int_t)counts[i])) != 0) {
            json_decref(o);
            return NULL;
        }
    return o;
}

/* Appends to an array and gives that back, or frees it: NULL stays NULL, so that memory is checked once. */
static json_t *append(json_t *array, json_t *item)
{
    if (array && json_array_append_new(array, item) == 0)
        return array;
    if (!array)
        json_decref(item);
    json_decref(array);
    return NULL;
}

/* Takes v. */
static enum status dump(json_t *v, FILE *out)
{
    if (!v)
        return status_fail(STATUS_MEMORY, "gate: out of memory for the JSON");
    bool written =
        json_dumpf(v, out, JSON_INDENT(1) | JSON_REAL_PRECISION(17)) == 0 && fputc('\n', out) != EOF;
    json_decref(v);
    return written ? finish(out) : status_fail(STATUS_IO, "gate: cannot write the JSON");
}

enum status gate_report_json(const struct gate_report *r, FILE *out)
{
    struct tidy t;
    enum status s = tidy_init(&t, r);
    if (s != STATUS_OK)
        return s;
    json_t *rows = json_array();
    for (size_t i = 0; i < r->count; i++)
        rows = append(rows, row_json(&t.rows[i]));
    json_t *whole =
        json_pack("{s:s, s:s, s:s, s:s, s:s, s:o, s:o, s:b, s:o, s:i, s:o, s:o}", "suite", t.report.suite,
                  "device", t.report.device, "baseline", t.report.baseline, "candidate", t.report.candidate,
                  "command", t.report.command, "calibration", text_or_null(t.report.calibration), "disabled",
                  text_or_null(t.report.disabled), "advisory", r->advisory, "seconds", number(r->seconds),
                  "exit_code", gate_report_exit_code(r), "counts", counts_json(r), "rows", rows);
    s = dump(whole, out);
    tidy_release(&t);
    return s;
}

static json_t *history_json(const struct gate_report *r, const struct gate_report_row *row)
{
    char change[CHANGE_SIZE];
    json_t *o = json_object();
    int bad = json_object_set_new(
        o, "name",
        json_sprintf("%s %s %s threads=%u", row->variant, row->case_key, row->regime, row->threads));
    bad |= json_object_set_new(o, "unit", json_string("us"));
    bad |= json_object_set_new(o, "value", json_real(row->candidate_us));
    if (row->first.rounds)
        bad |= json_object_set_new(o, "range",
                                   json_sprintf("%s against the baseline", change_text(&row->first, change)));
    bad |=
        json_object_set_new(o, "extra",
                            json_sprintf("%s\n%s\ncandidate %s\nbaseline %s", gate_outcome_word(row->outcome),
                                         r->device, r->candidate, r->baseline));
    if (!bad)
        return o;
    json_decref(o);
    return NULL;
}

enum status gate_report_smaller_is_better(const struct gate_report *r, FILE *out)
{
    struct tidy t;
    enum status s = tidy_init(&t, r);
    if (s != STATUS_OK)
        return s;
    json_t *list = json_array();
    for (size_t i = 0; i < r->count; i++)
        if (isfinite(t.rows[i].candidate_us) && t.rows[i].outcome != GATE_OUTCOME_WRONG)
            list = append(list, history_json(&t.report, &t.rows[i]));
    s = dump(list, out);
    tidy_release(&t);
    return s;
}
