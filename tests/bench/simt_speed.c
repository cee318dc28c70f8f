/*
 * simt_speed.c: how long the executor takes for one launch of a CUDA variant, and how much memory: seconds of
 * this CPU, which say nothing about a GPU.
 *
 *   simt_speed [ROUNDS [N K]]     (default 5 rounds of 4096 x 4096)
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "harness/base/clock.h"
#include "harness/device/call.h"

static const struct {
    const char *name;
    size_t m;
} rows[] = {
    {"nf4_dequant_bf16__sm75_lut_shared", 0},       {"nf4_dequant_bf16__sm75_prmt", 0},
    {"nf4_dequant_bf16__sm75_prmt_scaled", 0},      {"nf4_dequant_f32__sm75_lut_shared", 0},
    {"nf4_gemm_bf16_sblk_acc32w8__sm75_prmt", 1},   {"nf4_gemm_bf16_mma80__sm80_mma_64x32x64", 16},
    {"nf4_gemm_bf16_mma90__sm80_mma_64x32x64", 16}, {"nf4_gemmdx_bf16_acc1__sm75_columns", 16},
};

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* Median seconds of a launch; negative after a fault. */
static double median_launch(const struct operands *o, const struct kernel *k, size_t rounds)
{
    static struct call_fault fault;
    double *seconds = calloc(rounds, sizeof *seconds), median;
    for (size_t i = 0; i < rounds; i++) {
        double start = clock_s();
        if (!call_kernel(o, 0, k, &fault)) {
            fprintf(stderr, "%s: %s\n%s\n", k->name, fault.word, fault.text);
            free(seconds);
            return -1;
        }
        seconds[i] = clock_s() - start;
    }
    qsort(seconds, rounds, sizeof *seconds, by_value);
    median = seconds[rounds / 2];
    free(seconds);
    return median;
}

int main(int argc, char **argv)
{
    size_t rounds = argc > 1 ? strtoull(argv[1], NULL, 10) : 5,
           n = argc > 3 ? strtoull(argv[2], NULL, 10) : 4096,
           k = argc > 3 ? strtoull(argv[3], NULL, 10) : 4096;
    if (rounds == 0 || n == 0 || k == 0) {
        fprintf(stderr, "usage: %s [ROUNDS [N K]]\n", argv[0]);
        return 2;
    }
    printf("%-44s %4s %10s %10s\n", "executor, median seconds of a launch", "m", "fast", "checked");
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct kernel *kernel = kernel_find(rows[i].name);
        if (!kernel) {
            fprintf(stderr, "no variant %s\n", rows[i].name);
            return 2;
        }
        double seconds[ENTRY_BUILDS] = {0};
        for (int build = 0; build < ENTRY_BUILDS; build++) {
            struct problem p = {.op = kernel->contract.op,
                                .out = kernel->contract.out,
                                .m = rows[i].m,
                                .n = n,
                                .k = k,
                                .format.blocksize = 64,
                                .seed = 1,
                                .weights = "normal"};
            struct device device = {.kind = DEVICE_SIMT, .checked = build == ENTRY_CHECKED};
            struct operands o;
            if (!kernel->entries[build])
                continue;
            if (operands_init(&p, 1, &device, &o) != STATUS_OK) {
                fprintf(stderr, "%s\n", status_message());
                return 2;
            }
            seconds[build] = median_launch(&o, kernel, rounds);
            operands_release(&o);
        }
        printf("%-44s %4zu %8.3f s %8.3f s\n", rows[i].name, rows[i].m, seconds[ENTRY_FAST],
               seconds[ENTRY_CHECKED]);
    }
    struct rusage usage;
    getrusage(RUSAGE_CHILDREN, &usage);
    printf("largest child: %ld MiB resident, operands included\n", usage.ru_maxrss / 1024);
    return 0;
}
