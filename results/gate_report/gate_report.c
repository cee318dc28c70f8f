#include "results/gate_report/gate_report.h"

#include <stdlib.h>
#include <string.h>

#include "results/gate_report/form.h"

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

const char *outcome_meaning(enum gate_outcome o)
{
    return outcomes[o].meaning;
}

static bool given(const char *text)
{
    return text && *text;
}

void count_outcomes(const struct gate_report *r, size_t counts[GATE_OUTCOME_COUNT])
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

const char *exit_meaning(const struct gate_report *r)
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

bool is_failure(const struct gate_report *r, const struct gate_report_row *row)
{
    return row->outcome == GATE_OUTCOME_WRONG ||
           (row->outcome == GATE_OUTCOME_REGRESSED && !r->advisory && !given(r->disabled));
}

void put_counts(const struct gate_report *r, FILE *out)
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

void gate_report_summary(const struct gate_report *r, FILE *out)
{
    put_counts(r, out);
    fprintf(out, "; exit code %d: %s", gate_report_exit_code(r), exit_meaning(r));
    char *why = given(r->disabled) ? strdup(r->disabled) : NULL;
    if (why) {
        form_clean(why);
        fputs(gate_report_exit_code(r) == GATE_EXIT_UNKNOWN ? ": " : "; no verdict on times: ", out);
        text_put(TEXT_LINE, why, out);
    }
    free(why);
    fputc('\n', out);
}
