/*
 * call.h: calls a variant on operands, on their device.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CALL_H
#define NF4BENCH_HARNESS_DEVICE_CALL_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/device/simt/simt.h"
#include "harness/problem/operands.h"
#include "harness/problem/variant.h"

/* What went wrong in a call, beside the bits it wrote. */
struct call_fault {
    bool ours;                    /* the harness failed, not the variant */
    bool skip;                    /* the variant needs more than this device has */
    bool endless;                 /* it did not end within the limit */
    bool crashed;                 /* a signal, or what else ends a process */
    bool sentence;                /* `text` says all of it: "wrote outside of the output: byte 3 of 2" */
    enum status status;           /* not STATUS_OK: the device cannot be used; no further call will succeed */
    char word[24];                /* stable: simt_fault_word(), cuda_fault_word(), "hang", "crash" ... */
    char text[SIMT_REPORT_TEXT];  /* for a person, several lines */
    char device[DEVICE_TEXT_MAX]; /* gives the same launch again */
};

/* Calls k on set i: on a CPU and under the executor on a copy of it (device/cpu/arena.h), on a GPU on the device's copy, which
 * is filled from set i first: set 0. What k wants besides the rows of the weights is there already (operands_prepare_for()).
 * False: *fault says what is wrong. A kernel that once ran into the time limit is not called again by this process: it costs
 * the limit once and not for every case. Memory for operands is the caller's, also after a fault. */
bool call_kernel(const struct operands *o, size_t i, const struct kernel *k, struct call_fault *fault);

#endif
