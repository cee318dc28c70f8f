/*
 * harness_overhead.c: what the harness itself costs for each sample on the CPU. Not a test: it prints.
 *
 *   cmake --build --preset tests --target harness_overhead && build/tests/tests/harness_overhead
 *
 * A variant that does nothing is sampled as any other. What is timed of it is the pair of clock readings and
 * the dispatch of the call; the rest of a sample's time (poison, the look at the output, the order) is
 * outside of what is timed.
 */
#include <stdio.h>
#include <stdlib.h>

#include "harness/base/clock.h"
#include "harness/cli/caller.h"
#include "harness/measure/measure.h"

static void nothing(const struct dequant_args *args)
{
    (void)args;
}

static const struct kernel k = {.table = "bench",
                                .name = "nothing",
                                .arch = "scalar",
                                .contract = {.format = FORMAT_NF4, .op = OP_DEQUANT, .out = DTYPE_BF16},
                                .k_multiple = 1,
                                .backend = BACKEND_CPU,
                                .built = true,
                                .dequant = nothing};

int main(int argc, char **argv)
{
    enum { SAMPLES = 2000 };
    struct problem p;
    struct operands o;
    if (kernel_add_table(k.table, &k, 1) != STATUS_OK)
        return 1;
    if (is_caller(argc, argv))
        caller_main(argc, argv);
    device_cpu.threads = 1;
    if (problem_parse("dequant bf16 n=1024 k=1024 blocksize=64", &p) != STATUS_OK ||
        operands_init(&p, 4, &device_cpu, &o) != STATUS_OK)
        return 1;
    for (int hot = 0; hot < 2; hot++) {
        const struct measure_settings m = {.min_samples = SAMPLES, .max_samples = SAMPLES, .max_seconds = 60};
        struct measure_state state = {0};
        const struct operands *problem = &o;
        struct measure_group g = {.problems = &problem,
                                  .problem_count = 1,
                                  .regime = hot ? REGIME_HOT : REGIME_COLD,
                                  .no_ceilings = true,
                                  .variant_count = 1,
                                  .rows = calloc(1 + CEILING_COUNT, sizeof *g.rows)};
        g.rows[0].kernel = &k;
        const double start = clock_us();
        if (!g.rows || measure_group(&state, &m, &g, 1, NULL, NULL) != STATUS_OK)
            return 1;
        const double all = clock_us() - start;
        printf("%s: an empty call %.3f us (10th percentile %.3f, 90th %.3f); an empty pair of clock readings "
               "%.3f us; "
               "a sample in all %.2f us beside its %zu calls\n",
               hot ? "hot" : "cold", g.rows[0].summary.median, g.rows[0].summary.p10, g.rows[0].summary.p90,
               state.timer_overhead_us,
               all / SAMPLES - g.rows[0].summary.median * (double)g.rows[0].calls_per_sample,
               g.rows[0].calls_per_sample);
        measure_group_release(&g);
    }
    operands_release(&o);
    return 0;
}
