/* markdown.c: for a terminal, and for GITHUB_STEP_SUMMARY. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "results/gate_report/form.h"
#include "results/markdown.h"

enum {
    SUMMARY_BYTES = 1000000, /* GitHub takes 1 MiB of a step's summary, and nothing of a larger one */
    CELL_BYTES = 300,        /* of a text in a table */
    NOTE_BYTES = 2000        /* and in the lines around it */
};

static void put_markdown(const char *before, const char *text, FILE *out)
{
    fputs(before, out);
    char *e = text_escaped(TEXT_MARKDOWN, text, NOTE_BYTES);
    fputs(e ? e : "?", out);
    free(e);
}

/* A code span, between more backticks than there are in a row in the text. */
static void put_code(const char *text, FILE *out)
{
    char *line = text_escaped(TEXT_LINE, text, NOTE_BYTES);
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
    char *e = text_escaped(TEXT_MARKDOWN, text, CELL_BYTES);
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
    char number[SHARE_SIZE], regime[SHARE_SIZE + CELL_BYTES];
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
            put_markdown("", row->variant, out);
            put_markdown(", ", row->case_key, out);
            put_markdown(", ", row->regime, out);
            fprintf(out, ", %u thread%s", row->threads, plural(row->threads));
        }
        put_markdown(": ", row->reason, out);
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
        fputs("Not calibrated: how often this gate is wrong on this machine was not measured. `nf4bench "
              "calibrate` does so.\n\n",
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
    put_markdown("Calibration: ", r->calibration, out);
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
    put_markdown("\n\nSuite ", r->suite, out);
    put_markdown(" on ", r->device, out);
    put_markdown(": candidate ", r->candidate, out);
    put_markdown(" against baseline ", r->baseline, out);
    if (isfinite(r->seconds))
        fprintf(out, ", in %.0f s", r->seconds);
    fprintf(out, ". Exit code %d: %s.\n\n", gate_report_exit_code(r), exit_meaning(r));
    if (*r->disabled) {
        put_markdown("**No verdict on times:** ", r->disabled, out);
        fputs("\n\n", out);
    }
    if (r->advisory)
        fputs("**Advisory:** the baseline is recorded history, not measured in turn with the candidate. A "
              "difference is a reason to look; only WRONG rows fail.\n\n",
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
            fprintf(out, "- %zu %s: %s\n", counts[o], gate_outcome_word((enum gate_outcome)o),
                    outcome_meaning((enum gate_outcome)o));
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
enum status gate_report_markdown(const struct tidy *t, FILE *out)
{
    for (size_t shown = t->report.count;;) {
        char *page = NULL;
        size_t size = 0;
        FILE *memory = open_memstream(&page, &size);
        enum status s = memory ? put_page(t, shown, memory) : STATUS_OK;
        if (!memory || fclose(memory) != 0)
            s = status_no_memory("gate: the report");
        const bool fits = size < SUMMARY_BYTES || shown == 0;
        if (s == STATUS_OK && fits)
            fwrite(page, 1, size, out);
        free(page);
        if (s != STATUS_OK || fits)
            return s;
        const size_t fewer = (size_t)(0.95 * (double)shown * SUMMARY_BYTES / (double)size);
        shown = fewer < shown ? fewer : shown - 1;
    }
}
