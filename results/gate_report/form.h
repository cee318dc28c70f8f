/*
 * form.h: what the forms of a gate's report have in common: clean texts, the order of rows, and numbers in words.
 */
#ifndef NF4BENCH_RESULTS_GATE_REPORT_FORM_H
#define NF4BENCH_RESULTS_GATE_REPORT_FORM_H

#include "harness/base/text.h"
#include "results/gate_report/gate_report.h"

/* A report of clean texts, none of them NULL, and its rows from the worst to the best. */
struct tidy {
    struct gate_report report;
    struct gate_report_row *rows; /* in the order given */
    const struct gate_report_row **worst;
    char **texts; /* of both */
    size_t text_count;
};

/* Makes a text valid UTF-8 without control characters, so that XML 1.0 allows all of it: '?' stands for
 * every other byte. */
void form_clean(char *text);

const char *outcome_meaning(enum gate_outcome o);
void count_outcomes(const struct gate_report *r, size_t counts[GATE_OUTCOME_COUNT]);
/* Whether the row makes the gate fail. */
bool is_failure(const struct gate_report *r, const struct gate_report_row *row);
/* "1 REGRESSED, 11 SAME" */
void put_counts(const struct gate_report *r, FILE *out);
const char *exit_meaning(const struct gate_report *r);

/* Writes `before`, and the text in the form. */
void put_text(const char *before, const char *text, enum text_form form, FILE *out);

/* "+3.1 % (+2.2 to +4.0)" */
enum { CHANGE_SIZE = 96, SHARE_SIZE = 32 };
const char *change_text(const struct gate_estimate *e, char text[CHANGE_SIZE]);
/* "1.5 %"; "-" for what is no number. */
const char *share_text(double share, char text[SHARE_SIZE]);
/* The "s" of a noun after a count, or "". */
const char *plural(size_t count);

/* Equal code that looks faster or slower, or may be, says something of the machine. */
bool same_code_matters(const struct gate_report_row *row);
/* Whether there is a reason, or something to say of equal code. */
bool has_remark(const struct gate_report_row *row);
/* What follows the reason; "" for nothing. */
const char *same_code_remark(const struct gate_report_row *row);
/* One line of what was measured, and why that is the outcome. */
void put_finding(const struct gate_report_row *row, enum text_form form, FILE *out);

#endif
