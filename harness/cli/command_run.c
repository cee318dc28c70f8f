/*
 * command_run.c: `nf4bench verify` and `nf4bench run`, which share their options: both plan a suite, or one
 * case, and take it through the stages; run times and records as well.
 */
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/base/interrupt.h"
#include "harness/base/output.h"
#include "harness/cli/cli.h"
#include "harness/cli/options.h"
#include "harness/device/open.h"
#include "harness/run/run.h"
#include "harness/suite/plan.h"
#include "harness/suite/suite.h"
#include "harness/verify/checks.h"
#include "results/journal.h"

enum { SHARDS_MAX = 100000 };

struct run_arguments {
    bool measure; /* the command is `run` */
    const char *suite, *one_case, *output, *resume, *profile;
    struct cli_list variants, axes, settings;
    struct provider_options providers;
    struct device device; /* as asked for */
    uint64_t seed;
    size_t shard, shards; /* as in struct run_options */
    bool list_checks, dry_run, verbose, quiet, force, one_at_a_time, salvage;
};

static void read_shard(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    (void)o;
    struct run_arguments *a = to;
    int end = 0;
    if (sscanf(value, "%zu/%zu%n", &a->shard, &a->shards, &end) != 2 || value[end] || a->shard < 1 ||
        a->shard > a->shards || a->shards > SHARDS_MAX)
        argp_error(state, "--shard %s: not I/N with I from 1 to N, N at most %d", value, SHARDS_MAX);
    a->shard--;
}

#define CLI_ARGUMENTS struct run_arguments
/* The first RUN_ONLY options are those of `run`; `verify` takes the rest. */
static const struct cli_option all_options[] = {
    {"resume", 0, "FILE", "complete the run that FILE's journal holds, with the options it was begun with",
     CLI_TEXT(resume)},
    {"salvage", 0, NULL,
     "with --resume: leave out what is damaged in the journal, and keep that as it is beside it",
     CLI_FLAG(salvage)},
    {"measure", 0, "KEY=V",
     "override a measure setting of the suite: min_samples, max_samples, max_seconds, precision, "
     "settle_seconds",
     CLI_LIST(settings)},
    {"variant", 'v', "GLOB",
     "only variants that match; !GLOB leaves out, also of a run that is resumed (may be repeated)",
     CLI_LIST(variants)},
    {"axis", 'a', "AXIS=V,V",
     "override an axis of the suite: m, shape (NxK), blocksize, nested, bias, threads, regime",
     CLI_LIST(axes)},
    {"case", 0, "TEXT", "one case in its text form, instead of a suite", CLI_TEXT(one_case)},
    {"seed", 0, "N", "seed of the inputs (default 1)", CLI_SEED(seed)},
    {"dry-run", 0, NULL, "say what would run and about how long, and stop", CLI_FLAG(dry_run)},
    {"device", 0, "DEVICE",
     "cpu (the default), with ,limit=SECONDS for a call; cuda, the first GPU, or cuda:N, cuda:UUID or "
     "cuda:NAME, with ,limit=SECONDS for a launch; all, every GPU; or the executor for CUDA variants: "
     "simt:fast or simt:checked, with ,schedule=N and ,async=deferred|eager|random",
     CLI_DEVICE(device)},
    {"shard", 0, "I/N",
     "only the I-th of N parts of the cases; `nf4bench merge` puts the files of all parts together",
     .read = read_shard},
    {"one-gpu-at-a-time", 0, NULL, "with --device all: not at the same time", CLI_FLAG(one_at_a_time)},
    {"profile", 0, "VARIANT",
     "launch the first row of this variant once, in an NVTX range, and say how to start a profiler on it",
     CLI_TEXT(profile)},
    {"list-checks", 0, NULL, "print the checks: name, operations, what each catches, in order; and stop",
     CLI_FLAG(list_checks)},
    {"quiet", 'q', NULL, "no line for each case", CLI_FLAG(quiet)},
    {"verbose", 'V', NULL, "print a line for every row, not only for those that fail", CLI_FLAG(verbose)},
    {"output", 'o', "FILE", "write the results to this HDF5 file", CLI_TEXT(output)},
    {"force", 0, NULL,
     "replace the output file; of a run that is resumed: go on though another build or machine began it",
     CLI_FLAG(force)},
    {0}};
enum { RUN_ONLY = 3 };

static void check(struct argp_state *state, const void *arguments)
{
    const struct run_arguments *a = arguments;
    size_t beside_resume = (size_t)a->salvage + a->force;
    for (size_t i = 0; i < a->variants.count; i++)
        beside_resume += a->variants.items[i][0] == '!';
    if (a->resume && cli_options_given(state) > 1 + beside_resume)
        argp_error(state,
                   "--resume goes on with the options that the run was begun with, and takes no other than "
                   "-v '!GLOB', --salvage and --force");
    if (a->salvage && !a->resume)
        argp_error(state, "--salvage is for --resume");
    if (a->list_checks)
        return;
    if (!a->suite + !a->one_case + !a->resume != 2)
        argp_error(state, "give a suite file, or --case%s", a->measure ? ", or --resume" : "");
    if (a->measure && !a->output && !a->resume && !a->dry_run && !a->profile)
        argp_error(state, "say where the results go: -o FILE.h5");
}

/* KEY=VALUE, of a suite's `measure`. */
static enum status override_setting(struct measure_settings *m, const char *text)
{
    const struct {
        const char *key;
        size_t *count;
        double *number;
    } keys[] = {{"min_samples", &m->min_samples, NULL},
                {"max_samples", &m->max_samples, NULL},
                {"max_seconds", NULL, &m->max_seconds},
                {"precision", NULL, &m->precision},
                {"settle_seconds", NULL, &m->settle_seconds}};
    const char *equals = strchr(text, '=');
    const size_t length = equals ? (size_t)(equals - text) : 0;
    char *end = NULL;
    const double value = equals ? strtod(equals + 1, &end) : -1;
    const bool fits = end && end != equals + 1 && !*end && value >= 0 && value <= 1e6;
    for (size_t k = 0; fits && k < sizeof keys / sizeof keys[0]; k++) {
        if (strlen(keys[k].key) != length || strncmp(text, keys[k].key, length) != 0)
            continue;
        if (keys[k].number)
            *keys[k].number = value;
        else if (value >= 1 && value == (double)(size_t)value)
            *keys[k].count = (size_t)value;
        else
            break;
        return STATUS_OK;
    }
    return status_fail(STATUS_USAGE, "--measure %s: not KEY=VALUE with a known key and a value that fits",
                       text);
}

/* `first`: the number of its first group, over all plans. */
static void print_plan(const struct plan *plan, const struct run_options *options, size_t first)
{
    size_t rows = 0, groups = 0, skipped = 0;
    double expected_s = 0;
    for (size_t b = 0; b < plan->batch_count; b++) {
        const struct plan_batch *batch = &plan->batches[b];
        if (!run_in_shard(options, first + batch->first_group))
            continue;
        for (size_t i = 0; i < batch->count; i++) {
            const struct plan_group *g = &batch->groups[i];
            char text[PROBLEM_TEXT_MAX];
            problem_format(&g->problem, text, sizeof text);
            printf("%s%s%s  threads=%u  about %.1f s%s\n", text, g->cold ? "  cold" : "",
                   g->hot ? "  hot" : "", g->threads, g->expected_s,
                   i == 0 ? "" : "  timed with the one before");
            for (size_t r = 0; r < g->row_count; r++) {
                printf("    %-52s %s%s\n", g->rows[r].kernel->name, g->rows[r].skip ? "skipped: " : "",
                       g->rows[r].skip ? g->rows[r].skip : "");
                skipped += g->rows[r].skip != NULL;
            }
        }
        rows += batch->row_count;
        groups += batch->count;
        expected_s += batch->expected_s;
    }
    printf("%zu rows in %zu groups, %zu of them skipped; about %.0f s\n", rows, groups, skipped, expected_s);
}

/* What a run is made of. */
struct work {
    struct suite suite;
    bool has_suite;
    struct device *devices;
    struct plan *plans; /* [device_count], of which plan_count are made */
    size_t device_count, plan_count;
};

static void work_release(struct work *w)
{
    for (size_t i = 0; i < w->plan_count; i++)
        plan_release(&w->plans[i]);
    free(w->plans);
    device_close(w->devices, w->device_count);
    if (w->has_suite)
        suite_release(&w->suite);
    *w = (struct work){0};
}

/* Reads the suite, or what stands for it beside one case. */
static enum status read_suite(const struct run_arguments *a, struct work *w)
{
    static const char none[] = "suite: case\ncases: [{op: dequant, shapes: [[1, 1]]}]\n";
    TRY(a->one_case ? suite_parse(none, sizeof none - 1, "--case", &w->suite)
                    : suite_load(a->suite, &w->suite));
    w->has_suite = true;
    for (size_t i = 0; i < a->axes.count; i++)
        TRY(suite_override(&w->suite, a->axes.items[i]));
    struct measure_settings *m = &w->suite.measure;
    for (size_t i = 0; i < a->settings.count; i++)
        TRY(override_setting(m, a->settings.items[i]));
    if (m->min_samples > m->max_samples)
        return status_fail(STATUS_USAGE, "measure: min_samples %zu is more than max_samples %zu",
                           m->min_samples, m->max_samples);
    return STATUS_OK;
}

static enum status make_plan(const struct run_arguments *a, const struct suite *suite, struct device *device,
                             struct plan *plan)
{
    /* Times under the executor mean nothing: they are not taken. */
    struct plan_options options = {.variants = a->variants.items,
                                   .variant_count = a->variants.count,
                                   .seed = a->seed,
                                   .measure = a->measure && device->kind != DEVICE_SIMT,
                                   .device = device};
    if (!a->one_case)
        return plan_make(suite, &options, plan);
    struct plan_group g = {.threads = suite->cases[0].threads[0],
                           .cold = options.measure && suite->cases[0].cold,
                           .hot = options.measure && suite->cases[0].hot};
    TRY(problem_parse(a->one_case, &g.problem));
    return plan_one(suite, &g, &options, plan);
}

/* Suite, devices, and a plan for each; work_release() whatever is returned. */
static enum status prepare_work(const struct run_arguments *a, struct work *w)
{
    TRY(read_suite(a, w));
    const enum status opened = device_open(&a->device, &w->devices, &w->device_count);
    if (opened == STATUS_ABSENT && a->dry_run) {
        /* What would run on a GPU can be said without one. */
        w->devices = calloc(1, sizeof *w->devices);
        if (!w->devices)
            return status_no_memory("run");
        *w->devices = a->device;
        w->device_count = 1;
    } else if (opened != STATUS_OK) {
        return opened;
    }
    w->plans = calloc(w->device_count, sizeof *w->plans);
    if (!w->plans)
        return status_no_memory("run");
    for (; w->plan_count < w->device_count; w->plan_count++)
        TRY(make_plan(a, &w->suite, &w->devices[w->plan_count], &w->plans[w->plan_count]));
    return STATUS_OK;
}

static enum status check_output(const struct run_arguments *a)
{
    char journal[PATH_MAX];
    snprintf(journal, sizeof journal, "%s.journal", a->output);
    if (journal_is_being_written(journal))
        return status_fail(STATUS_USAGE, "%s: another nf4bench is writing these results now", a->output);
    if (access(journal, F_OK) == 0)
        return status_fail(STATUS_USAGE,
                           "%s: a run was broken off; complete it with --resume %s, or remove the journal",
                           journal, a->output);
    return output_allowed(a->output, OUTPUT_HDF5, a->force);
}

static void print_summary(const struct run_arguments *a, const struct work *w,
                          const struct run_summary *summary)
{
    size_t groups = 0;
    for (size_t i = 0; i < w->plan_count; i++)
        groups += w->plans[i].group_count;
    char text[RUN_SUMMARY_TEXT_MAX];
    printf("%s", run_summary_text(summary, text));
    if (summary->groups_recorded)
        printf(" (%zu of %zu groups were already recorded)", summary->groups_recorded, groups);
    if (a->device.kind != DEVICE_CPU)
        printf("; %llu launches", (unsigned long long)summary->launches);
    printf("\n");
}

/* resumed: the arguments that came with --resume; NULL: a new run. */
static int run_arguments(struct run_arguments *a, const struct run_arguments *resumed, int argc, char **argv)
{
    struct work w = {0};
    struct run_summary summary = {0};
    json_t *environment = NULL;
    struct run_options options = {.output = a->output,
                                  .resume = resumed != NULL,
                                  .other_build = resumed && resumed->force,
                                  .list_rows = a->verbose,
                                  .quiet = a->quiet,
                                  .shard = a->shard,
                                  .shards = a->shards,
                                  .one_at_a_time = a->one_at_a_time};
    size_t refused;
    if (a->list_checks) {
        checks_print(stdout);
        return 0;
    }
    enum status s = providers_load(argv[0], &a->providers, &refused);
    if (s == STATUS_OK && a->output && !resumed && !a->dry_run && !a->profile)
        s = check_output(a);
    if (s == STATUS_OK)
        s = prepare_work(a, &w);
    for (size_t i = 0; resumed && i < w.plan_count && s == STATUS_OK; i++)
        s = plan_leave_out(&w.plans[i], resumed->variants.items, resumed->variants.count);
    if (s != STATUS_OK)
        goto done;
    if (a->dry_run) {
        for (size_t i = 0, first = 0; i < w.plan_count; first += w.plans[i++].group_count)
            print_plan(&w.plans[i], &options, first);
        goto done;
    }
    if (a->profile) {
        s = profile_row(&w.plans[0], a->profile);
        goto done;
    }
    interrupt_install();
    if (a->output && !(environment = environment_json(w.devices, w.device_count, argc, argv))) {
        s = status_no_memory("run");
        goto done;
    }
    if (environment && a->shards) {
        char shard[48];
        snprintf(shard, sizeof shard, "%zu/%zu", a->shard + 1, a->shards);
        json_object_set_new(environment, "shard", json_string(shard));
    }
    options.environment = environment;
    s = run_plans(w.plans, w.plan_count, &options, &summary);
    print_summary(a, &w, &summary);
    if (refused)
        fprintf(stderr, "%s: %zu of the plugins and manifests that were asked for %s refused, see above\n",
                argv[0], refused, refused == 1 ? "was" : "were");
    if (s == STATUS_OK && a->output)
        printf("results: %s\nreport:  nf4bench report %s -o report.html\n", a->output, a->output);

done:
    json_decref(environment);
    work_release(&w);
    if (s != STATUS_OK)
        return cli_fail(argv[0], s);
    bool only_asked = a->dry_run || a->profile;
    if (!only_asked && run_wrong(&summary))
        return EXIT_WRONG;
    if (refused)
        return EXIT_USAGE;
    if (only_asked)
        return 0;
    bool empty_shard = a->shards && summary.pass + summary.skipped == 0;
    return summary.pass == 0 && summary.groups_recorded == 0 && !empty_shard ? EXIT_NOTHING_RAN : 0;
}

static struct run_arguments parse_arguments(bool measure, int argc, char **argv)
{
    struct run_arguments a = {.measure = measure, .seed = 1, .device = {.kind = DEVICE_CPU}};
    const struct cli_command command = {
        .usage = "SUITE",
        .help = measure ? "Verify the variants of a suite, time those that are right, and write every "
                          "sample to an HDF5 file."
                        : "Verify the variants of a suite, or of one case, bit for bit.",
        .options = all_options + (measure ? 0 : RUN_ONLY),
        .argument = {"suite", CLI_ONE(suite)},
        .shared = provider_option_table,
        .shared_offset = offsetof(struct run_arguments, providers),
        .check = check};
    cli_parse(&command, &a, argc, argv);
    return a;
}

int command_verify(int argc, char **argv)
{
    struct run_arguments a = parse_arguments(false, argc, argv);
    return run_arguments(&a, NULL, argc, argv);
}

/* The command line that a journal's header holds, as an argv whose [0] is ours; NULL if it holds none. */
static char **stored_arguments(const json_t *header, char *name, int *argc)
{
    const json_t *list = json_object_get(header, "argv");
    size_t count = json_array_size(list);
    char **argv = count ? calloc(count + 1, sizeof *argv) : NULL;
    if (!argv)
        return NULL;
    argv[0] = name;
    for (size_t i = 1; i < count; i++) {
        const char *word = json_string_value(json_array_get(list, i));
        argv[i] = word ? strdup(word) : NULL;
        if (!argv[i])
            return NULL; /* the process ends with an error: nothing to tidy */
    }
    *argc = (int)count;
    return argv;
}

static enum status read_journal(const char *path, bool salvage, struct journal *out)
{
    size_t left_out = 0;
    if (salvage)
        TRY(journal_salvage(path, &left_out));
    if (left_out)
        fprintf(stderr, "%s: %zu damaged bytes are left out; %s.damaged is the file as it was\n", path,
                left_out, path);
    return journal_read(path, out);
}

static int resume(const struct run_arguments *asked, char **argv)
{
    const char *path = asked->resume;
    char journal_path[PATH_MAX], output[PATH_MAX], directory[PATH_MAX];
    struct journal journal;
    snprintf(journal_path, sizeof journal_path, "%s.journal", path);
    enum status s = read_journal(journal_path, asked->salvage, &journal);
    if (s != STATUS_OK)
        return cli_fail(argv[0], s);
    /* The run's own paths are relative to where it was begun. */
    if (path[0] == '/' || !getcwd(directory, sizeof directory))
        snprintf(output, sizeof output, "%s", path);
    else if (snprintf(output, sizeof output, "%s/%s", directory, path) >= (int)sizeof output)
        return cli_fail(argv[0], status_fail(STATUS_USAGE, "%s: the path is too long", path));
    json_t *header = json_loads(journal.header_json, 0, NULL);
    const char *begun_in = json_string_value(json_object_get(header, "directory"));
    int argc = 0, code;
    char **arguments = stored_arguments(header, argv[0], &argc);
    if (!arguments || !begun_in || chdir(begun_in) != 0) {
        s = status_fail(STATUS_INPUT, "%s: %s", journal_path,
                        arguments && begun_in ? "the folder in which the run was begun is gone"
                                              : "its header has no command line to go on with");
        code = cli_fail(argv[0], s);
    } else {
        struct run_arguments a = parse_arguments(true, argc, arguments);
        a.output = output;
        code = run_arguments(&a, asked, argc, arguments);
    }
    json_decref(header);
    journal_release(&journal);
    for (int i = 1; i < argc; i++)
        free(arguments[i]);
    free(arguments);
    return code;
}

int command_run(int argc, char **argv)
{
    struct run_arguments a = parse_arguments(true, argc, argv);
    return a.resume ? resume(&a, argv) : run_arguments(&a, NULL, argc, argv);
}
