/*
 * reruns: the problem again, for contracts that pin the bits and variants that promise the same bits each
 * time: with other poison, with one thread on a CPU, with operands at other addresses, under the executor with
 * another schedule, on a GPU on another stream beside other kernels. The checks before it call the variant in
 * one way each: an output that depends on any of these, or on what was called before, shows here only.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/verify/check_run.h"

/* Calls the kernel on `o`, operands of the problem, and compares the output with `first`. */
static enum status rerun(struct check_run *c, const struct operands *o, const char *how, const void *first)
{
    struct comparison again = {0};
    bool called;
    TRY(check_prepared_call(c, o, &called));
    if (!called)
        return STATUS_OK;
    size_t count = problem_output_count(&o->problem);
    enum dtype t = op_is_repack(o->problem.op) ? DTYPE_U8 : c->kernel->contract.out;
    char where[160];
    compare_bits(&again, t, o->sets[0].out.data, first, count, 0);
    c->out->compared += again.compared;
    snprintf(where, sizeof where, "the same inputs gave the right bits before; now %s", how);
    if (again.mismatches)
        check_failed(c, &again, where, "", count);
    return STATUS_OK;
}

/* On a CPU each call has a copy of the operands, which lies where it is asked for; for a GPU they are made once more. */
static enum status rerun_elsewhere(struct check_run *c, const void *first)
{
    enum { ELSEWHERE_MAX = 1 << 20 }; /* weights, for operands that are made once more */
    static const char *const how = "a call on operands at other addresses does not";
    const struct operands *o = c->operands;
    if (o->device->kind == DEVICE_CPU) {
        enum status s = STATUS_OK;
        for (c->placement = PLACE_AT_START; c->placement < PLACE_COUNT; c->placement++)
            if (s == STATUS_OK && c->out->verdict == VERDICT_PASS)
                s = rerun(c, o, how, first);
        return s;
    }
    if (device_slow(o->device) || problem_weight_count(&o->problem) > ELSEWHERE_MAX)
        return STATUS_OK;
    struct operands elsewhere;
    enum status s = operands_init(&o->problem, 1, o->device, &elsewhere);
    if (s == STATUS_OK) {
        s = rerun(c, &elsewhere, how, first);
        operands_release(&elsewhere);
    }
    return s;
}

enum status check_reruns(struct check_run *c)
{
    const struct operands *o = c->operands;
    struct device *d = o->device;
    size_t size = o->sets[0].out.size;
    void *first = malloc(size);
    if (!first)
        return status_no_memory("verify");
    memcpy(first, o->sets[0].out.data, size);
    const unsigned threads = d->threads;
    d->threads = 1;
    enum status s = rerun(c, o,
                          d->kind == DEVICE_CPU    ? "another call, with one thread, does not"
                          : d->kind == DEVICE_SIMT ? "another schedule does not"
                                                   : "another launch does not",
                          first);
    d->threads = threads;
    if (s == STATUS_OK && c->out->verdict == VERDICT_PASS && d->kind == DEVICE_CUDA) {
        d->beside = true;
        s = rerun(c, o, "a launch on another stream, beside other kernels, does not", first);
        d->beside = false;
    }
    if (s == STATUS_OK && c->out->verdict == VERDICT_PASS)
        s = rerun_elsewhere(c, first);
    memcpy(o->sets[0].out.data, first, size);
    free(first);
    return s;
}
