/*
 * vacuous: an output that is nearly all zero, or has hardly any distinct values, would also come from a kernel
 * that did nothing. The other checks judge the kernel; this one judges the inputs of the problem, and its
 * verdict is MISTRUSTED. It looks at up to 4,096 elements spread over the output that real_data found right.
 */
#include <stdio.h>

#include "harness/verify/check_run.h"

enum status check_vacuous(struct check_run *c)
{
    enum { LOOK = 4096, FEW = 4 };
    const struct operands *o = c->operands;
    enum dtype t = c->kernel->contract.out;
    size_t count = problem_output_count(&o->problem), step = count / LOOK + 1, zeros = 0, looked = 0,
           distinct = 0;
    uint32_t seen[FEW];
    /* Too small to say; what pads a tile says nothing either. */
    if (count < 64 || (op_is_repack(o->problem.op) && problem_weight_count(&o->problem) < 64))
        return STATUS_OK;
    for (size_t i = 0; i < count; i += step, looked++) {
        uint32_t bits = dtype_load_bits(t, o->sets[0].out.data, i);
        zeros += dtype_load(t, o->sets[0].out.data, i) == 0;
        size_t j = 0;
        while (j < distinct && seen[j] != bits)
            j++;
        if (j == distinct && distinct < FEW)
            seen[distinct++] = bits;
    }
    if (zeros * 10 < looked * 9 && distinct == FEW)
        return STATUS_OK;
    c->out->verdict = VERDICT_MISTRUSTED;
    snprintf(c->out->reason, sizeof c->out->reason,
             "the output proves little: %zu of %zu sampled elements are zero, %zu distinct values", zeros,
             looked, distinct);
    return STATUS_OK;
}
