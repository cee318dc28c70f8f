/*
 * console.c: what a run prints: the progress of a batch, a line for a row, the summary.
 */
#include "harness/run/plan_run.h"

#include <stdio.h>
#include <string.h>

#include "harness/base/text.h"

void console_begin_batch(struct plan_run *run, const struct plan_batch *batch)
{
    char text[PROBLEM_TEXT_MAX], label[PROBLEM_TEXT_MAX + sizeof run->name + 64], more[64] = "";
    problem_format(&batch->groups[0].problem, text, sizeof text);
    if (batch->count > 1)
        snprintf(more, sizeof more, ", and in %zu other formats", batch->count - 1);
    snprintf(label, sizeof label, "%s%s%s%s", run->name, *run->name ? ": " : "", text, more);
    progress_step(&run->line, batch->expected_s, label);
}

static void print_repro_line(const struct plan_run *run, const struct plan_group *g, const struct kernel *k,
                             const char *problem)
{
    char device[DEVICE_TEXT_MAX], threads[32] = "";
    device_format(run->plan->device, device);
    const bool cpu = strcmp(device, "cpu") == 0;
    if (run->plan->device->kind != DEVICE_CUDA)
        snprintf(threads, sizeof threads, " --axis threads=%u", g->threads);
    printf("           reproduce: nf4bench verify --case '%s' --variant %s%s%s%s%s%s\n", problem, k->name,
           threads, cpu ? "" : " --device ", cpu ? "" : device, k->option ? " " : "",
           k->option ? k->option : "");
}

void console_row(struct plan_run *run, const struct plan_group *g, size_t row, enum verdict verdict,
                 const char *reason, const char *detail)
{
    const bool wrong = verdict != VERDICT_PASS && verdict != VERDICT_SKIPPED;
    if (!wrong && !run->options->list_rows)
        return;
    const struct kernel *k = g->rows[row].kernel;
    char problem[PROBLEM_TEXT_MAX];
    problem_format(&g->problem, problem, sizeof problem);
    progress_clear(&run->line);
    printf("%-10s %-48s %s%s%s\n", verdict_word((uint8_t)verdict), k->name, problem,
           *reason ? "\n           " : "", reason);
    text_put_lines("           ", detail, stdout);
    if (wrong && !run->options->no_repro_line)
        print_repro_line(run, g, k, problem);
    fflush(stdout);
}

void console_end_batch(struct plan_run *run, size_t pass, size_t wrong, double seconds)
{
    char text[128];
    snprintf(text, sizeof text, "%zu pass, %zu fail, %.1f s", pass, wrong, seconds);
    progress_step_done(&run->line, run->options->quiet ? NULL : text);
}

const char *run_summary_text(const struct run_summary *s, char text[RUN_SUMMARY_TEXT_MAX])
{
    int n = snprintf(text, RUN_SUMMARY_TEXT_MAX, "%zu pass, %zu fail, %zu mistrusted, %zu skipped", s->pass,
                     s->fail + s->faults, s->mistrusted, s->skipped);
    if (s->crashed + s->hung)
        snprintf(text + n, RUN_SUMMARY_TEXT_MAX - (size_t)n, ", %zu crashed and %zu hung, which is wrong",
                 s->crashed, s->hung);
    return text;
}
