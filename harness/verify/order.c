/*
 * verify/order.c: cancelling sums. Rounding a sum to 16 bits hides nearly every difference in the order of
 * the additions. With a bias of minus the rounded sum, what is left is the sum's low bits, and every
 * difference shows.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/verify/internal.h"

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

enum status check_cancelling_sums(struct check *c)
{
    const struct contract *contract = &c->kernel->contract;
    struct operands o;
    enum status s = first_weights(c, true, &o);
    if (s != STATUS_OK)
        return s;
    const struct problem *p = &o.problem;
    size_t size = dtype_size(p->out), row = p->k * size;
    for (size_t i = 0; i < p->m; i++)
        memcpy((char *)o.sets[0].x.data + i * row, c->operands->sets[0].x.data, row);
    void *want = malloc(p->n * size), *prepared = NULL;
    if (!want || !make_bias(contract, &o, want))
        s = status_no_memory("verify");
    operands_rehash(&o);
    if (s == STATUS_OK)
        s = operands_prepare_for(&o, 0, c->kernel, &prepared);
    if (s == STATUS_OK && check_call(c, &o, prepared)) {
        struct comparison cmp;
        comparison_init(&cmp);
        for (size_t i = 0; i < p->m; i++)
            compare_bits(&cmp, p->out, (char *)o.sets[0].out.data + i * p->n * size, want, p->n, i * p->n);
        c->out->compared += cmp.compared;
        if (cmp.mismatches) {
            char where[192];
            snprintf(where, sizeof where,
                     "output row %zu column %zu of %zu x %zu, a sum less its own rounding: the order of "
                     "summation, or a "
                     "rounding inside it, is not the contract's",
                     cmp.first / p->n, cmp.first % p->n, p->m, p->n);
            check_failed(c, &cmp, where, "", p->m * p->n);
        }
    }
    if (c->kernel->unprepare)
        c->kernel->unprepare(prepared);
    free(want);
    operands_release(&o);
    return s;
}
