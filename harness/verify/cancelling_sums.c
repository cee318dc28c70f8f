/*
 * cancelling_sums: forward products with 16-bit output and a pinned order. Rounding a sum to 16 bits hides
 * nearly every difference in the order of the additions, from real_data as well. With a bias of minus the
 * rounded sum, what is left is the sum's low bits, and every difference shows.
 */
#include <stdlib.h>
#include <string.h>

#include "harness/verify/check_run.h"

/* Both references are of one activation row: all rows of the problem are made equal, so that one bias fits
 * all. */
static bool make_bias(const struct contract *contract, struct operands *o, void *want)
{
    const struct problem *p = &o->problem;
    struct quantized w = operands_tensor(o, 0);
    struct matmul one = {.m = 1, .n = p->n, .k = p->k, .a = o->sets[0].x.data, .w = &w};
    void *bias = o->sets[0].bias.data;
    if (!matmul_pinned(contract, &one, want))
        return false;
    for (size_t j = 0; j < p->n; j++)
        dtype_store(p->out, bias, j, -dtype_load(p->out, want, j));
    one.bias = bias;
    return matmul_pinned(contract, &one, want);
}

enum status check_cancelling_sums(struct check_run *c)
{
    const struct contract *contract = &c->kernel->contract;
    struct operands o;
    TRY(first_weights(c, true, &o));
    enum status s = STATUS_OK;
    const struct problem *p = &o.problem;
    size_t size = dtype_size(p->out), row = p->k * size;
    for (size_t i = 0; i < p->m; i++)
        memcpy((char *)o.sets[0].x.data + i * row, c->operands->sets[0].x.data, row);
    void *want = malloc(p->n * size);
    bool called = false;
    if (!want || !make_bias(contract, &o, want))
        s = status_no_memory("verify");
    operands_rehash(&o);
    if (s == STATUS_OK)
        s = check_prepared_call(c, &o, &called);
    if (called) {
        struct comparison cmp = {0};
        for (size_t i = 0; i < p->m; i++)
            compare_bits(&cmp, p->out, (char *)o.sets[0].out.data + i * p->n * size, want, p->n, i * p->n);
        check_product(c, &cmp, p->m, p->n,
                      ", a sum less its own rounding: the order of summation, or a rounding inside "
                      "it, is not the contract's");
    }
    free(want);
    operands_release(&o);
    return s;
}
