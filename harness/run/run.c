/*
 * run.c: plans on their devices, one after the other, or side by side in child processes; their journal, and
 * the results file that is built from it.
 */
#include "harness/run/run.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/base/child.h"
#include "harness/base/machine.h"
#include "harness/base/nvtx.h"
#include "harness/device/open.h"
#include "harness/run/plan_run.h"
#include "harness/run/record.h"
#include "harness/run/workers.h"
#include "results/store.h"

enum { PATH_TEXT_MAX = 4096 };

static void add_summary(struct run_summary *to, const struct run_summary *from)
{
    to->launches += from->launches;
    to->pass += from->pass;
    to->fail += from->fail;
    to->mistrusted += from->mistrusted;
    to->skipped += from->skipped;
    to->crashed += from->crashed;
    to->hung += from->hung;
    to->faults += from->faults;
    to->groups_done += from->groups_done;
}

size_t run_wrong(const struct run_summary *s)
{
    return s->fail + s->faults + s->mistrusted + s->crashed + s->hung;
}

bool run_in_shard(const struct run_options *options, size_t group)
{
    return options->shards == 0 || group % options->shards == options->shard;
}

/* ---- one plan ---- */

/* Runs the batches of a plan that are not recorded. */
static enum status run_batches(struct plan_run *run)
{
    const struct plan *plan = run->plan;
    const uint64_t launches = plan->device->launches;
    double expected_s = 0;
    size_t steps = 0;
    for (size_t i = 0; i < plan->batch_count; i++)
        if (!run->recorded[plan->batches[i].first_group]) {
            expected_s += plan->batches[i].expected_s;
            steps++;
        }
    progress_init(&run->line, expected_s, steps);
    if (run->several_devices)
        run->line.terminal = false; /* several would draw over each other */
    run->verifier = verifier_new();
    enum status s = run->verifier ? STATUS_OK : status_no_memory("run");
    nvtx_push(plan->suite->name);
    for (size_t i = 0; s == STATUS_OK && i < plan->batch_count && !run_stops_early(run); i++)
        if (!run->recorded[plan->batches[i].first_group])
            s = run_batch(run, i);
    nvtx_pop();
    progress_clear(&run->line);
    verifier_free(run->verifier);
    run->summary.launches += plan->device->launches - launches;
    *run->result = run->summary;
    return s;
}

/* In a child process, which stops the device's caller when it ends. */
static enum status run_in_child(void *context)
{
    struct plan_run *run = context;
    enum status s = run_batches(run);
    device_stop(run->plan->device);
    return s;
}

/* Runs [count] plans at the same time, each in a child process. */
static enum status run_in_children(struct plan_run *runs, size_t count)
{
    struct worker *workers = calloc(count, sizeof *workers);
    if (!workers)
        return status_no_memory("run");
    for (size_t i = 0; i < count; i++)
        workers[i] = (struct worker){.name = runs[i].name, .context = &runs[i], .run = run_in_child};
    enum status s = workers_run(workers, count);
    free(workers);
    return s;
}

/* ---- several plans ---- */

static enum status run_all(const struct plan *plans, size_t count, const struct run_options *options,
                           struct journal_writer *journal, bool *recorded, struct run_summary *summary)
{
    struct plan_run *runs = calloc(count, sizeof *runs);
    struct run_summary *results = shared_alloc(count * sizeof *results);
    if (!runs || !results) {
        free(runs);
        return status_no_memory("run");
    }
    const bool several = count > 1 && !options->one_at_a_time;
    /* The process that calls a GPU's variants has a processor for itself. */
    const unsigned each = cpu_available() / (several ? (unsigned)count : 1);
    enum status s = STATUS_OK;
    for (size_t i = 0, first = 0; i < count && s == STATUS_OK; first += plans[i++].group_count) {
        runs[i] = (struct plan_run){.plan = &plans[i],
                                    .options = options,
                                    .first_group = first,
                                    .several_devices = several,
                                    .threads = each > 2 ? each - 1
                                               : each   ? each
                                                        : 1,
                                    .journal = journal,
                                    .recorded = recorded + first,
                                    .result = &results[i]};
        if (several)
            device_format(plans[i].device, runs[i].name);
        if (!several)
            s = run_batches(&runs[i]);
    }
    if (s == STATUS_OK && several)
        s = run_in_children(runs, count);
    for (size_t i = 0; i < count; i++)
        add_summary(summary, &results[i]);
    munmap(results, count * sizeof *results);
    free(runs);
    return s;
}

/* Builds the results file of a run that ended with `s`, and closes the journal, which is locked until then. After an
 * interrupt the journal stays, so that --resume can complete the run. new_file: `output` was not there when the run
 * began. */
static enum status build_results(struct journal_writer *journal, const char *journal_path, const char *output,
                                 bool new_file, enum status s)
{
    if (s == STATUS_OK || s == STATUS_INTERRUPTED) {
        enum status built = journal_flush(journal);
        if (built == STATUS_OK && new_file && access(output, F_OK) == 0)
            built =
                status_fail(STATUS_USAGE,
                            "%s was made by somebody else during the run; the results are kept in %s: move "
                            "that file, then finish with `nf4bench run --resume %s`",
                            output, journal_path, output);
        if (built == STATUS_OK)
            built = store_build(journal_path, output, s == STATUS_INTERRUPTED);
        s = built != STATUS_OK ? built : s;
    } else {
        char why[1024];
        snprintf(why, sizeof why, "%s", status_message());
        s = status_fail(s, "%s\nwhat was measured is in %s; go on with `nf4bench run --resume %s`", why,
                        journal_path, output);
    }
    if (s == STATUS_INTERRUPTED)
        s = status_fail(s, "interrupted: the rows so far are in %s; go on with `nf4bench run --resume %s`",
                        output, output);
    const enum status closed = journal_close(journal);
    return s == STATUS_OK ? closed : s;
}

/* A run that ends without an error has recorded each batch, whatever its processes said. */
static enum status check_complete(const struct plan *plans, size_t count, const bool *recorded)
{
    size_t batches = 0, missing = 0;
    for (size_t i = 0; i < count; recorded += plans[i++].group_count)
        for (size_t b = 0; b < plans[i].batch_count; b++, batches++)
            missing += !recorded[plans[i].batches[b].first_group];
    return missing ? status_fail(STATUS_INTERNAL, "%zu of %zu groups of cases were not recorded", missing,
                                 batches)
                   : STATUS_OK;
}

enum status run_plans(const struct plan *plans, size_t count, const struct run_options *options,
                      struct run_summary *summary)
{
    char journal_path[PATH_TEXT_MAX];
    struct journal_writer *journal = NULL;
    size_t group_count = 0;
    for (size_t i = 0; i < count; i++)
        group_count += plans[i].group_count;
    const bool new_file = options->output && access(options->output, F_OK) != 0;
    bool *recorded = shared_alloc(group_count * sizeof *recorded);
    *summary = (struct run_summary){0};
    if (!recorded)
        return status_no_memory("run");
    enum status s = STATUS_OK;
    if (options->output) {
        if (snprintf(journal_path, sizeof journal_path, "%s.journal", options->output) >=
            (int)sizeof journal_path)
            s = status_fail(STATUS_USAGE, "%s: the path is too long", options->output);
        else
            s = run_journal_open(journal_path, plans, count, options, recorded, &summary->groups_recorded,
                                 &journal);
    }
    for (size_t i = 0; i < group_count; i++)
        recorded[i] = recorded[i] || !run_in_shard(options, i);
    if (s == STATUS_OK)
        s = run_all(plans, count, options, journal, recorded, summary);
    if (s == STATUS_OK && journal && !options->first_failure)
        s = check_complete(plans, count, recorded);
    if (journal)
        s = build_results(journal, journal_path, options->output, new_file, s);
    munmap(recorded, group_count * sizeof *recorded);
    return s;
}
