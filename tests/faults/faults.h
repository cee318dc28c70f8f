/*
 * faults.h: the kernels of faults.inc, as variants for the table.
 */
#ifndef NF4BENCH_TESTS_FAULTS_H
#define NF4BENCH_TESTS_FAULTS_H

#include "harness/kernel_table.h"

struct fault {
    struct kernel kernel;
    enum verdict_of_fault { FAULT_FAIL, FAULT_MISTRUSTED } verdict;
    const char *check, *what;
};
extern const struct fault faults[];
extern const unsigned fault_count;

/* The same code without a fault: must pass, or the faults prove nothing. */
extern const struct kernel right_dequant, right_gemm, right_acc4w8, right_mma80, right_mma90;

#endif
