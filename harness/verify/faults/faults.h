/*
 * faults.h: kernels that must be rejected, and the same code without a fault, which must not. For `nf4bench
 * selftest`.
 */
#ifndef NF4BENCH_HARNESS_VERIFY_FAULTS_FAULTS_H
#define NF4BENCH_HARNESS_VERIFY_FAULTS_FAULTS_H

#include <stddef.h>

#include "harness/problem/variant.h"
#include "results/record.h"

struct fault {
    struct kernel kernel;
    const char *device; /* as --device has it */
    enum verdict verdict;
    const char *check; /* that must decide so */
    const char *word;  /* that must stand in its diagnosis */
    const char *what;  /* is wrong with it */
};
extern const struct fault faults[];
extern const size_t fault_count;

extern const struct kernel right_kernels[];
extern const size_t right_kernel_count;

/* Both, for a caller: kernel_named(FAULTS_TABLE, name). */
#define FAULTS_TABLE "faults"
enum status faults_add_tables(void) WARN_UNUSED_RESULT;

#endif
