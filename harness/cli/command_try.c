/*
 * command_try.c: `nf4bench try FILE.cu`: compiles one file of the dialect (kernels/device/cuda.h) for the
 * executor and verifies its entries, first fast, then checked, without a build of this program.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "build_info.h"
#include "harness/base/child.h"
#include "harness/base/clock.h"
#include "harness/base/embedded.h"
#include "harness/base/interrupt.h"
#include "harness/cli/cli.h"
#include "harness/cli/options.h"
#include "harness/provider/plugins.h"
#include "harness/provider/try.h"
#include "harness/run/run.h"
#include "harness/suite/plan.h"
#include "harness/suite/suite.h"

extern char **environ;

enum { ENTRIES_MAX = 128, AXES_MAX = 16, FOLDER_MAX = 1024, PATH_TEXT_MAX = FOLDER_MAX + 256 };

/* Of one launch: the suite's take milliseconds. */
#define TRY_LIMIT_S 10.0

struct try_arguments {
    const char *file, *suite, *compiler;
    struct cli_list axes;
    uint64_t seed;
    bool verbose, fast_only, checked_only, first_failure;
};

/* ---- compiling ---- */

static enum status make_folder(const struct try_arguments *a, char folder[FOLDER_MAX])
{
    const char *base = getenv("TMPDIR");
    if (snprintf(folder, FOLDER_MAX, "%s/nf4bench-try-XXXXXX", base && *base ? base : "/tmp") >= FOLDER_MAX)
        return status_fail(STATUS_USAGE, "TMPDIR is longer than %d characters", FOLDER_MAX);
    const char *missing = access(a->file, R_OK) != 0 ? a->file : !mkdtemp(folder) ? folder : NULL;
    return missing ? status_fail(STATUS_USAGE, "%s: %s", missing, strerror(errno)) : STATUS_OK;
}

static enum status write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    bool written = f && fputs(text, f) != EOF;
    if (f && fclose(f) != 0)
        written = false;
    return written ? STATUS_OK : status_fail(STATUS_INPUT, "%s: %s", path, strerror(errno));
}

/* The dialect's headers, into `folder`. */
static enum status write_dialect(const char *folder)
{
    char path[PATH_TEXT_MAX];
    enum status s = STATUS_OK;
    for (const struct embedded_file *f = embedded_files; f->path && s == STATUS_OK; f++) {
        snprintf(path, sizeof path, "%s/%s", folder, f->path);
        for (char *slash = path + strlen(folder) + 1; (slash = strchr(slash, '/')); *slash++ = '/') {
            *slash = 0;
            if (mkdir(path, 0700) != 0 && errno != EEXIST)
                return status_fail(STATUS_INPUT, "%s: %s", path, strerror(errno));
        }
        s = write_file(path, f->text);
    }
    return s;
}

/* A library's own functions are its own: the program exports the dialect's inline ones too, from other
 * builds. */
#define OWN_SYMBOLS "-Wl,-Bsymbolic"

static enum status spawn(const struct try_arguments *a, const char *const argv[], pid_t *child)
{
    int error = posix_spawnp(child, a->compiler, NULL, NULL, (char **)argv, environ);
    return !error ? STATUS_OK
                  : status_fail(STATUS_USAGE, "%s: %s; a C++ compiler is needed (--compiler names one)",
                                a->compiler, strerror(error));
}

static enum status start_compiler(const struct try_arguments *a, const char *folder, enum entry_build build,
                                  pid_t *child)
{
    char include[PATH_TEXT_MAX], output[PATH_TEXT_MAX];
    snprintf(include, sizeof include, "-I%s", folder);
    snprintf(output, sizeof output, "%s/%s", folder, build == ENTRY_CHECKED ? "checked.o" : TRY_FAST);
    static const char *const fast[] = {"-shared", "-O2", OWN_SYMBOLS, NULL};
    /* The hooks are this program's: the sanitizer's own library stays out, and so nothing is linked yet. */
    static const char *const checked[] = {
        "-O1",      "-fno-omit-frame-pointer",       "-fsanitize=thread,alignment,bounds",
        "-include", "harness/device/simt/checked.h", "-c",
        NULL};
    const char *argv[32] = {
        a->compiler,       "-x",    "c++",   "-std=c++17", "-g1",  "-fPIC", "-ffp-contract=off",
        "-fno-math-errno", "-Wall", include, "-DSIMT_TRY", a->file};
    size_t count = 12;
#ifdef __x86_64__
    if (__builtin_cpu_supports("ssse3"))
        argv[count++] = "-mssse3"; /* prmt in one instruction */
#endif
    for (const char *const *word = build == ENTRY_CHECKED ? checked : fast; *word; word++)
        argv[count++] = *word;
    /* clang else leaves a read out when a write to the place follows. */
    if (build == ENTRY_CHECKED && strstr(a->compiler, "clang")) {
        argv[count++] = "-mllvm";
        argv[count++] = "-tsan-instrument-read-before-write";
    }
    argv[count++] = "-o";
    argv[count++] = output;
    return spawn(a, argv, child);
}

static enum status wait_compiler(const struct try_arguments *a, pid_t child)
{
    int status;
    if (!process_wait(child, &status))
        return status_fail(STATUS_INTERNAL, "waitpid: %s", strerror(errno));
    return status ? status_fail(STATUS_INPUT, "%s does not compile", a->file) : STATUS_OK;
}

static enum status link_checked(const struct try_arguments *a, const char *folder)
{
    char object[PATH_TEXT_MAX], output[PATH_TEXT_MAX];
    snprintf(object, sizeof object, "%s/checked.o", folder);
    snprintf(output, sizeof output, "%s/%s", folder, TRY_CHECKED);
    const char *argv[] = {a->compiler, "-shared", OWN_SYMBOLS, object, "-o", output, NULL};
    pid_t child;
    TRY(spawn(a, argv, &child));
    return wait_compiler(a, child);
}

static enum status compile(const struct try_arguments *a, const char *folder)
{
    pid_t child[ENTRY_BUILDS];
    unsigned builds = NF4BENCH_SIMT_CHECKED && !a->fast_only ? ENTRY_BUILDS : 1, started = 0;
    enum status s = write_dialect(folder);
    for (; started < builds && s == STATUS_OK; started++)
        s = start_compiler(a, folder, (enum entry_build)started, &child[started]);
    for (unsigned b = 0; b < started; b++) {
        enum status ended = wait_compiler(a, child[b]);
        s = s == STATUS_OK ? ended : s;
    }
    if (s == STATUS_OK && builds > 1)
        s = link_checked(a, folder);
    return s;
}

/* ---- verifying ---- */

static bool has_checked(void)
{
    const size_t first = kernel_table_count();
    return kernel_count() > first && kernel_code(kernel_at(first)) & CODE_CHECKED;
}

static enum status verify_device(const struct try_arguments *a, const char *device_text,
                                 struct run_summary *summary)
{
    static const char path[] = "suites/try.yaml";
    struct device device;
    const char *names[ENTRIES_MAX];
    size_t count = 0;
    struct suite suite;
    struct plan plan;
    const char *text = embedded_text(path);
    /* The file's, as they were added. */
    for (size_t i = kernel_table_count(); i < kernel_count() && count < ENTRIES_MAX; i++)
        names[count++] = kernel_at(i)->name;
    enum status s = device_parse(device_text, &device);
    device.limit_s = TRY_LIMIT_S;
    if (s == STATUS_OK)
        s = a->suite ? suite_load(a->suite, &suite) : suite_parse(text, strlen(text), path, &suite);
    if (s != STATUS_OK)
        return s;
    for (size_t i = 0; i < a->axes.count && s == STATUS_OK; i++)
        s = suite_override(&suite, a->axes.items[i]);
    struct plan_options options = {
        .variants = names, .variant_count = count, .seed = a->seed, .device = &device};
    if (s == STATUS_OK)
        s = plan_make(&suite, &options, &plan);
    if (s == STATUS_OK) {
        struct run_options run = {
            .list_rows = a->verbose, .quiet = true, .no_repro_line = true, .first_failure = a->first_failure};
        char counts[RUN_SUMMARY_TEXT_MAX];
        double start = clock_s();
        s = run_plans(&plan, 1, &run, summary);
        if (s == STATUS_OK)
            printf("%s: %s, %.1f s\n", device_text, run_summary_text(summary, counts), clock_s() - start);
        plan_release(&plan);
    }
    suite_release(&suite);
    return s;
}

/* The checker's run, in a process of its own beside the fast one's. What it says comes after the other's. */
struct checked_run {
    pid_t child;
    FILE *said;
    int result; /* its end of the pipe that brings the summary */
};

static enum status start_checked(const struct try_arguments *a, struct checked_run *run)
{
    int fd[2];
    run->child = -1;
    run->said = tmpfile();
    if (!run->said || pipe(fd) != 0)
        return status_fail(STATUS_INPUT, "%s: %s", run->said ? "pipe" : "temporary file", strerror(errno));
    fflush(NULL);
    run->result = fd[0];
    run->child = fork();
    if (run->child != 0) {
        close(fd[1]);
        return run->child > 0 ? STATUS_OK : status_fail(STATUS_INPUT, "fork: %s", strerror(errno));
    }
    close(fd[0]);
    struct run_summary summary = {0};
    bool told = dup2(fileno(run->said), STDOUT_FILENO) >= 0;
    enum status s = told ? verify_device(a, "simt:checked", &summary) : STATUS_INPUT;
    if (s != STATUS_OK)
        fprintf(stderr, "%s\n", status_message());
    fflush(NULL);
    _exit(s == STATUS_OK && write(fd[1], &summary, sizeof summary) == sizeof summary ? 0 : 1);
}

static enum status end_checked(struct checked_run *run, struct run_summary *summary)
{
    bool whole = read(run->result, summary, sizeof *summary) == sizeof *summary;
    int c;
    (void)process_wait(run->child, NULL);
    rewind(run->said);
    while ((c = getc(run->said)) != EOF)
        putchar(c);
    return whole ? STATUS_OK : status_fail(STATUS_INTERNAL, "the checked build's run broke off");
}

/* ---- the command ---- */

#define CLI_ARGUMENTS struct try_arguments
static const struct cli_option options[] = {
    {"suite", 0, "FILE", "verify on this suite (default: suites/try.yaml, built in)", CLI_TEXT(suite)},
    {"axis", 'a', "AXIS=V,V", "override an axis of the suite, as `nf4bench verify` does", CLI_LIST(axes),
     .most = AXES_MAX, .too_many = "--axis is repeated more than %d times"},
    {"compiler", 0, "CXX", "g++ or clang++ (default: $CXX, else c++)", CLI_TEXT(compiler)},
    {"seed", 0, "N", "seed of the inputs (default 1)", CLI_SEED(seed)},
    {"first", 0, NULL, "stop at the first row that is wrong", CLI_FLAG(first_failure)},
    {"fast", 0, NULL, "leave out the checked build", CLI_FLAG(fast_only)},
    {"checked", 0, NULL, "leave out the fast build's run", CLI_FLAG(checked_only)},
    {"verbose", 'V', NULL, "print a line for every row, not only for those that fail", CLI_FLAG(verbose)},
    {0}};

static void check(struct argp_state *state, const void *arguments)
{
    const struct try_arguments *a = arguments;
    if (a->fast_only && a->checked_only)
        argp_error(state, "--fast and --checked leave nothing to run");
    if (a->checked_only && !NF4BENCH_SIMT_CHECKED)
        argp_error(state, "--checked: this program has no checker");
}

int command_try(int argc, char **argv)
{
    static const struct cli_command command = {
        .usage = "FILE.cu",
        .help = "Compile one file of CUDA kernels for the executor and verify each of its entries against "
                "the contract in its name: bits first, then races, bounds and the like. Needs a C++ "
                "compiler, no GPU and no CUDA.",
        .options = options,
        .argument = {"file", CLI_ONE(file)},
        .missing = "give a .cu file",
        .check = check};
    struct try_arguments a = {.seed = 1, .compiler = getenv("CXX")};
    if (!a.compiler || !*a.compiler)
        a.compiler = "c++";
    cli_parse(&command, &a, argc, argv);
    interrupt_install();

    char folder[FOLDER_MAX];
    struct run_summary fast = {0}, checked = {0};
    double start = clock_s();
    enum status s = make_folder(&a, folder);
    if (s != STATUS_OK)
        return cli_fail(argv[0], s);
    s = compile(&a, folder);
    if (s == STATUS_OK && provider_add("--try", folder, NULL) != STATUS_OK)
        s = status_fail(STATUS_INPUT, "%s: %s", a.file, status_message());
    /* What the checker finds in a kernel that is already wrong is worth knowing too. */
    bool run_checked = s == STATUS_OK && has_checked();
    struct checked_run run;
    if (run_checked)
        s = start_checked(&a, &run);
    if (s == STATUS_OK && !a.checked_only)
        s = verify_device(&a, "simt:fast", &fast);
    if (run_checked && run.child > 0) {
        enum status ended = end_checked(&run, &checked);
        s = s == STATUS_OK ? ended : s;
    }
    remove_tree(folder);
    if (s != STATUS_OK)
        return cli_fail(argv[0], s);
    bool wrong = run_wrong(&fast) + run_wrong(&checked) > 0;
    printf("%s: %s%s, %zu entries, %.1f s\n", a.file, wrong ? "WRONG" : "PASS",
           a.checked_only  ? " (checked build only)"
           : has_checked() ? ""
           : a.fast_only   ? " (fast build only)"
                           : " (fast build only: this program has no checker)",
           kernel_count() - kernel_table_count(), clock_s() - start);
    return wrong ? EXIT_WRONG : fast.pass + checked.pass ? 0 : EXIT_NOTHING_RAN;
}
