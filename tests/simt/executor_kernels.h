/*
 * executor_kernels.h: arguments and names of the kernels that test the executor (executor_*.cu). Each is
 * compiled as __fast and as __checked.
 */
#ifndef NF4BENCH_TESTS_SIMT_EXECUTOR_KERNELS_H
#define NF4BENCH_TESTS_SIMT_EXECUTOR_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/device/entry.h"

struct probe_args {
    const uint32_t *in;
    uint32_t *out;
    size_t count; /* meaning: the kernel's */
    int mode;
    struct launch launch;
};

static inline struct launch probe_launch(const struct probe_args *a)
{
    return a->launch;
}

#define EXECUTOR_KERNELS(X)                                                                                  \
    X(executor_scan)                                                                                         \
    X(executor_positions)                                                                                    \
    X(executor_divergent_barrier)                                                                            \
    X(executor_early_return)                                                                                 \
    X(executor_barrier_or_shuffle)                                                                           \
    X(executor_shuffles)                                                                                     \
    X(executor_votes)                                                                                        \
    X(executor_masks)                                                                                        \
    X(executor_wrong_lanes)                                                                                  \
    X(executor_staged)                                                                                       \
    X(executor_stage_reused)                                                                                 \
    X(executor_zero_fill)                                                                                    \
    X(executor_copies_left)                                                                                  \
    X(executor_copy_faults)                                                                                  \
    X(executor_prmt)                                                                                         \
    X(executor_mma)                                                                                          \
    X(executor_mma_many)                                                                                     \
    X(executor_ldmatrix)                                                                                     \
    X(executor_order)                                                                                        \
    X(executor_float_order)                                                                                  \
    X(executor_atomics)                                                                                      \
    X(executor_faults)                                                                                       \
    X(executor_shared_limits)                                                                                \
    X(executor_guards)                                                                                       \
    X(executor_poison)                                                                                       \
    X(executor_process)                                                                                      \
    X(executor_expand)

#define X(name) extern const struct entry name##__fast, name##__checked;
#ifdef __cplusplus
extern "C" {
#endif
EXECUTOR_KERNELS(X)
#ifdef __cplusplus
}
#endif
#undef X

#endif
