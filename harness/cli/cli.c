#include "harness/cli/caller.h"
#include "harness/cli/cli.h"

#include <argp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "build_info.h"
#include "git_revision.h"
#include "harness/base/closest.h"
#include "harness/device/caller.h"

static const struct {
    const char *name, *help;
    int (*main)(int argc, char **argv);
} commands[] = {
#define X(name, help) {#name, help, command_##name},
    COMMAND_MAP(X)
#undef X
};
enum { COMMAND_COUNT = sizeof commands / sizeof commands[0] };

static void print_usage(FILE *out)
{
    fprintf(out, "Usage: nf4bench COMMAND [OPTION...] [ARGUMENT...]\n"
                 "Verify 4-bit weight kernels bit for bit, and time them.\n\n");
    for (int i = 0; i < COMMAND_COUNT; i++)
        fprintf(out, "  %-8s %s\n", commands[i].name, commands[i].help);
    fprintf(out, "\n`nf4bench COMMAND --help` shows a command's options.\n");
}

int cli_fail(const char *name, enum status s)
{
    fprintf(stderr, "%s: %s\n", name, status_message());
    return status_exit_code(s);
}

enum status cli_load(const char *const *paths, size_t count, struct result_set **sets)
{
    size_t loaded = 0;
    *sets = calloc(count, sizeof **sets);
    enum status s = *sets ? STATUS_OK : status_no_memory("results files");
    while (s == STATUS_OK && loaded < count) {
        s = result_set_load(paths[loaded], &(*sets)[loaded]);
        loaded += s == STATUS_OK;
    }
    if (s != STATUS_OK) {
        cli_release(*sets, loaded);
        *sets = NULL;
    }
    return s;
}

void cli_release(struct result_set *sets, size_t count)
{
    for (size_t i = 0; sets && i < count; i++)
        result_set_release(&sets[i]);
    free(sets);
}

enum status cli_write(const char *path, bool append, cli_write_fn *write, const void *context)
{
    struct output out;
    TRY(output_begin(path, append, &out));
    return output_end(&out, write(context, out.stream));
}

/* The threads of this process must not spin while a caller, which has the same processors, is at work. libgomp reads how
 * threads wait before main() begins, so the program begins once more, unless a person has said how. */
static void wait_without_spinning(char **argv)
{
    if (getenv("OMP_WAIT_POLICY"))
        return;
    setenv("OMP_WAIT_POLICY", "passive", 1);
    setenv(CALLER_OWN_WAIT_POLICY, "1", 1);
    execv("/proc/self/exe", argv);
}

int cli_main(int argc, char **argv)
{
    signal(SIGXFSZ, SIG_IGN); /* a file size limit is an error of write(2), which is reported */
    argp_err_exit_status = EXIT_USAGE;
    if (is_caller(argc, argv))
        caller_main(argc, argv);
    wait_without_spinning(argv);
    if (argc < 2) {
        print_usage(stderr);
        return EXIT_USAGE;
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0 || strcmp(argv[1], "-?") == 0) {
        print_usage(stdout);
        return 0;
    }
    if (strcmp(argv[1], "--version") == 0 || strcmp(argv[1], "-V") == 0) {
        printf("nf4bench %s (%s%s, %s)\n", NF4BENCH_VERSION, NF4BENCH_GIT_SHORT,
               NF4BENCH_GIT_DIRTY ? ", modified" : "", NF4BENCH_COMPILER);
        return 0;
    }
    const char *names[COMMAND_COUNT];
    for (int i = 0; i < COMMAND_COUNT; i++) {
        names[i] = commands[i].name;
        if (strcmp(argv[1], commands[i].name) != 0)
            continue;
        /* The parser's messages then say "nf4bench run: ..." */
        static char name[64];
        snprintf(name, sizeof name, "nf4bench %s", commands[i].name);
        argv[1] = name;
        int code = commands[i].main(argc - 1, argv + 1);
        if (fflush(stdout) != 0 || ferror(stdout)) {
            perror("nf4bench: standard output");
            code = code ? code : EXIT_USAGE;
        }
        return code;
    }
    const char *near = closest(argv[1], names, COMMAND_COUNT);
    fprintf(stderr, "nf4bench: no command '%s'%s%s%s\n", argv[1], near ? "; did you mean '" : "",
            near ? near : "", near ? "'?" : "");
    print_usage(stderr);
    return EXIT_USAGE;
}
