/*
 * command_selftest.c: `nf4bench selftest`: the harness attacks itself. Kernels that are wrong in one way each
 * (harness/verify/faults/) must be rejected, and by the check that was meant to; the same code without a fault must
 * not.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include <omp.h>

#include "harness/base/child.h"
#include "harness/base/clock.h"
#include "harness/base/interrupt.h"
#include "harness/base/progress.h"
#include "harness/base/text.h"
#include "harness/cli/cli.h"
#include "harness/cli/options.h"
#include "harness/device/caller.h"
#include "harness/device/open.h"
#include "harness/measure/measure.h"
#include "harness/verify/checks.h"
#include "harness/verify/faults/faults.h"
#include "harness/verify/verify.h"

enum { SEEDS_MAX = 1000 };

/* Of a launch under the executor: a kernel that never ends costs this once. */
#define SELFTEST_LIMIT_S 8.0
#define JUDGE_LIMIT_S    600.0 /* of all checks of one kernel */

struct selftest_arguments {
    unsigned seeds;
    bool verbose;
};

/* On these every fault can be seen: rows straddle blocks, counts are odd. Right code must pass on all. The
 * first one of an operation is what faults are held to. */
static const char *const shapes[] = {
    "dequant n=65 k=65 blocksize=64",
    "dequant n=3 k=257 blocksize=32",
    "dequant n=1 k=8191 blocksize=4096",
    "dequant n=64 k=128 blocksize=128",
    "gemm m=3 n=48 k=1027 blocksize=64",
    "gemm m=1 n=17 k=192 blocksize=32",
    "gemm m=17 n=40 k=256 blocksize=128",
    "dequant n=24 k=128 format=int4 blocksize=32 zeros=1 actorder=1",
    "dequant n=24 k=104 format=int4 blocksize=104 zeros=1",
};
enum { SHAPE_COUNT = sizeof shapes / sizeof shapes[0] };

/* One judgement: what of, and in memory that both processes share what came of it. */
struct judgement {
    const struct kernel *kernel;
    const char *device, *check;
    const struct problem *problem;
    struct verification *verification;
};

/* Whether k is for a shape; sets the problem then. */
static bool shape_problem(const char *shape, const struct kernel *k, uint64_t seed, struct problem *p)
{
    char text[128];
    const char *op = op_word(k->contract.op);
    size_t length = strlen(op);
    if (strncmp(shape, op, length) != 0 || shape[length] != ' ')
        return false;
    bool bias = k->contract.op == OP_GEMM;
    snprintf(text, sizeof text, "%s %s%s%s", op, dtype_word(k->contract.out), shape + length,
             bias ? " bias=1" : "");
    char reason[KERNEL_REASON_MAX];
    bool ok =
        problem_parse(text, p) == STATUS_OK && kernel_matches(k, p) && !kernel_inapplicable(k, p, reason);
    p->seed = seed;
    return ok;
}

/* Times it, for what is only wrong when it is timed. */
static enum status judge_timed(const struct kernel *k, const struct operands *o, struct verification *v)
{
    static const struct measure_settings quick = {
        .min_samples = 40, .max_samples = 40, .max_seconds = 5, .precision = 1e-9, .settle_seconds = 0};
    struct measure_state state = {0};
    struct measure_group g = {.problems = &o, .problem_count = 1, .regime = REGIME_COLD, .variant_count = 1};
    g.rows = calloc(1 + CEILING_COUNT, sizeof *g.rows);
    if (!g.rows)
        return status_no_memory("selftest");
    g.rows[0] = (struct measure_row){.kernel = k, .output_hash = v->output_hash};
    enum status s = measure_group(&state, &quick, &g, 1, NULL, NULL);
    if (g.rows[0].fault[0]) {
        v->verdict = VERDICT_FAIL;
        snprintf(v->check, sizeof v->check, "timed_output");
        snprintf(v->reason, sizeof v->reason, "%s", g.rows[0].fault);
    }
    measure_group_release(&g);
    return s;
}

/* Called in a process that ends with it. */
static enum status judge(void *context)
{
    const struct judgement *j = context;
    struct verification *v = j->verification;
    struct device device;
    struct operands o;
    TRY(device_parse(j->device, &device));
    device.limit_s = SELFTEST_LIMIT_S;
    /* One fault shows with one thread only, after more were used. */
    device.threads = 2;
    omp_set_num_threads(device.kind == DEVICE_CPU ? 2 : 1);
    TRY(operands_init(j->problem, 1, &device, &o));
    if (strcmp(j->check, "vacuous") == 0) { /* nothing but the inputs can make a right output prove nothing */
        memset(o.sets[0].x.data, 0, o.sets[0].x.size);
        memset(o.sets[0].bias.data, 0, o.sets[0].bias.size);
        operands_rehash(&o);
    }
    struct verifier *verifier = verifier_new();
    enum status s = verifier ? verify(verifier, j->kernel, &o, v) : status_no_memory("selftest");
    if (s == STATUS_OK && v->verdict == VERDICT_PASS && strcmp(j->check, "timed_output") == 0)
        s = judge_timed(j->kernel, &o, v);
    operands_release(&o);
    verifier_free(verifier);
    device_release(&device);
    return s;
}

/* In a process of its own: some faults remember calls, and one could end the process. */
static enum status judge_apart(const struct kernel *k, const char *device, const struct problem *p,
                               const char *check, struct verification *v)
{
    struct verification *shared = shared_alloc(sizeof *shared);
    if (!shared)
        return status_no_memory("selftest");
    struct judgement j = {k, device, check, p, shared};
    enum status s = process_try(judge, &j, JUDGE_LIMIT_S);
    if (s != STATUS_OK)
        s = status_fail(s, "selftest: judging %s on %s: %s", k->name, device, status_message());
    *v = *shared;
    munmap(shared, sizeof *shared);
    return s;
}

static void print_detail(const struct verification *v)
{
    if (*v->reason)
        printf("      %s\n", v->reason);
    text_put_lines("      ", v->detail, stdout);
}

/* *caught counts those that the intended check caught. */
static enum status run_faults(const struct selftest_arguments *a, struct progress *progress, size_t *ran,
                              size_t *caught)
{
    for (size_t i = 0; i < fault_count; i++) {
        const struct fault *f = &faults[i];
        struct verification v;
        struct problem p;
        progress_step(progress, 1, f->kernel.name);
        if (strcmp(f->device, "simt:checked") == 0 && !(kernel_code(&f->kernel) & CODE_CHECKED)) {
            progress_clear(progress);
            printf("skipped   %-28s %-13s this program has no checker\n", f->kernel.name, f->device);
            continue;
        }
        size_t shape = 0;
        while (shape < SHAPE_COUNT && !shape_problem(shapes[shape], &f->kernel, 7, &p))
            shape++;
        if (shape == SHAPE_COUNT)
            return status_fail(STATUS_INTERNAL, "selftest: no shape for %s", f->kernel.name);
        if (interrupt_pending())
            return status_fail(STATUS_INTERRUPTED, "interrupted");
        TRY(judge_apart(&f->kernel, f->device, &p, f->check, &v));
        bool right = v.verdict == f->verdict && strcmp(v.check, f->check) == 0 &&
                     (strstr(v.reason, f->word) || strstr(v.detail, f->word));
        ++*ran;
        *caught += right;
        progress_clear(progress);
        printf("%-9s %-28s %-13s %-10s by %-18s %s\n", right ? "caught" : "NOT SO", f->kernel.name, f->device,
               verdict_word((uint8_t)v.verdict), *v.check ? v.check : "nothing", f->what);
        if (!right)
            printf("      meant: %s by %s%s%s\n", verdict_word((uint8_t)f->verdict), f->check,
                   *f->word ? ", naming " : "", f->word);
        if (!right || a->verbose)
            print_detail(&v);
        fflush(stdout);
    }
    return STATUS_OK;
}

/* Each right kernel on each device, shape and seed. */
static enum status run_right(const struct selftest_arguments *a, struct progress *progress, size_t *ran,
                             size_t *passed)
{
    static const char *const devices[] = {"cpu", "simt:fast", "simt:checked"};
    for (size_t i = 0; i < right_kernel_count; i++) {
        const struct kernel *k = &right_kernels[i];
        progress_step(progress, 1, k->name);
        for (size_t d = 0; d < sizeof devices / sizeof devices[0]; d++) {
            if ((d == 0) != (k->backend == BACKEND_CPU) || (d == 2 && !(kernel_code(k) & CODE_CHECKED)))
                continue;
            for (size_t shape = 0; shape < SHAPE_COUNT; shape++)
                for (uint64_t seed = 1; seed <= a->seeds; seed++) {
                    struct verification v;
                    struct problem p;
                    if (!shape_problem(shapes[shape], k, seed, &p))
                        continue;
                    if (interrupt_pending())
                        return status_fail(STATUS_INTERRUPTED, "interrupted");
                    TRY(judge_apart(k, devices[d], &p, "", &v));
                    ++*ran;
                    *passed += v.verdict == VERDICT_PASS;
                    if (v.verdict == VERDICT_PASS)
                        continue;
                    progress_clear(progress);
                    printf("FALSE     %-28s %-13s %-10s by %s: %s, seed %llu\n", k->name, devices[d],
                           verdict_word((uint8_t)v.verdict), v.check, shapes[shape],
                           (unsigned long long)seed);
                    print_detail(&v);
                }
        }
    }
    return STATUS_OK;
}

/* "meant for them: exhaustive_decode 30, one_hot 4 ..." */
static void print_checks(void)
{
    const char *separator = "meant for them: ";
    for (size_t i = 0; i < check_count; i++) {
        size_t count = 0;
        for (size_t j = 0; j < fault_count; j++)
            count += strcmp(checks[i].name, faults[j].check) == 0;
        if (count) {
            printf("%s%s %zu", separator, checks[i].name, count);
            separator = ", ";
        }
    }
    printf("\n");
}

static void read_seeds(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    (void)o;
    char *end;
    const unsigned long seeds = strtoul(value, &end, 10);
    if (end == value || *end || seeds < 1 || seeds > SEEDS_MAX)
        argp_error(state, "--seeds %s: from 1 to %d", value, SEEDS_MAX);
    *(unsigned *)to = (unsigned)seeds;
}

static void refuse_argument(struct argp_state *state, const struct cli_option *o, void *to, char *value)
{
    (void)o, (void)to;
    argp_error(state, "takes no arguments, but '%s' was given", value);
}

#define CLI_ARGUMENTS struct selftest_arguments
static const struct cli_option options[] = {
    {"seeds", 's', "N", "seeds for the code without faults (default 2)", .read = read_seeds,
     .offset = offsetof(struct selftest_arguments, seeds)},
    {"verbose", 'V', NULL, "show the diagnosis of each fault", CLI_FLAG(verbose)},
    {0}};

int command_selftest(int argc, char **argv)
{
    static const struct cli_command command = {
        .help = "Verify kernels that are wrong in one way each, on the CPU and under the executor, and say "
                "whether each is rejected by the check that was meant to; then the same code without faults, "
                "which must pass.",
        .options = options,
        .argument = {.read = refuse_argument}};
    struct selftest_arguments a = {.seeds = 2};
    cli_parse(&command, &a, argc, argv);
    interrupt_install();
    caller_loads("--faults", "");
    struct progress progress;
    size_t ran = 0, caught = 0, right_ran = 0, right_passed = 0;
    double start = clock_s();
    progress_init(&progress, (double)(fault_count + right_kernel_count), fault_count + right_kernel_count);
    enum status s = run_faults(&a, &progress, &ran, &caught);
    if (s == STATUS_OK)
        s = run_right(&a, &progress, &right_ran, &right_passed);
    progress_clear(&progress);
    if (s != STATUS_OK)
        return cli_fail(argv[0], s);
    printf("%zu of %zu faults caught, each by the check that was meant to; ", caught, ran);
    print_checks();
    printf(
        "%zu of %zu runs of right code passed (variant x device x shape x seed), %zu false alarms; %.0f s\n",
        right_passed, right_ran, right_ran - right_passed, clock_s() - start);
    return caught == ran && right_passed == right_ran ? 0 : EXIT_WRONG;
}
