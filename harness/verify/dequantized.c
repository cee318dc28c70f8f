/*
 * dequantized.c: the comparison of dequantized weights with the reference, a piece at a time, for
 * exhaustive_decode and real_data.
 */
#include <stdlib.h>

#include "harness/verify/check_run.h"

enum { PIECE = 4096 * 256 * 2 };

/* Elements that the reference dequantizes at a time: whole blocks and nested groups; of formats whose blocks begin with
 * a row, whole rows, an even number of them. */
static size_t piece_length(const struct quantized *w)
{
    if (w->format == FORMAT_NF4)
        return PIECE;
    return (w->columns < PIECE / 2 ? PIECE / w->columns / 2 * 2 : 2) * w->columns;
}

/* A piece of the weights that starts at element `first`, a multiple of piece_length(). */
static struct quantized tensor_piece(const struct quantized *w, size_t first, size_t count)
{
    struct quantized t = *w;
    size_t block = first / w->blocksize;
    t.count = count;
    t.packed += first * format_code_bits(w->format, DTYPE_F32) / 8; /* dense weights are not dequantized */
    if (t.absmax)
        t.absmax += block;
    if (t.scale)
        t.scale += block;
    if (t.zero)
        t.zero += block;
    if (t.nested.codes) {
        t.nested.codes += block;
        t.nested.nested_absmax += block / NESTED_BLOCKSIZE;
    }
    return t;
}

/* Compares the dequantized elements [first, first + count) with `want`, by their place in W. */
static void compare_dequantized(const struct check_run *c, const struct operands *o, size_t first,
                                size_t count, const void *want, void *scratch, struct comparison *out)
{
    const enum dtype t = c->kernel->contract.out;
    const struct problem *p = &o->problem;
    const char *got = o->sets[0].out.data;
    if (!layout_transposed(kernel_layout(c->kernel))) {
        compare_bits(out, t, got + first * dtype_size(t), want, count, first);
        return;
    }
    for (size_t i = 0; i < count; i++)
        dtype_store(t, scratch, i, dtype_load(t, got, (first + i) % p->k * p->n + (first + i) / p->k));
    compare_bits(out, t, scratch, want, count, first);
}

static size_t same_element(const void *context, size_t index)
{
    (void)context;
    return index;
}

enum status check_dequantized(struct check_run *c, const struct operands *o, struct comparison *cmp,
                              struct error_sums *errors)
{
    const struct contract *contract = &c->kernel->contract;
    const struct contract plain = {.format = contract->format, .op = OP_DEQUANT, .out = DTYPE_F32};
    const struct quantized w = operands_tensor(o, 0);
    const size_t step = piece_length(&w), longest = w.count < step ? w.count : step;
    void *want = malloc(longest * dtype_size(contract->out)),
         *scratch = malloc(longest * dtype_size(contract->out));
    enum status s = want && scratch ? STATUS_OK : status_no_memory("verify");
    for (size_t first = 0; s == STATUS_OK && first < w.count; first += step) {
        const size_t count = w.count - first < step ? w.count - first : step;
        const struct quantized piece = tensor_piece(&w, first, count);
        quantized_dequantize(contract, &piece, want);
        compare_dequantized(c, o, first, count, want, scratch, cmp);
        for (size_t i = 0; errors && first == 0 && i < count; i++) {
            const struct quantized_block b =
                quantized_block_at(&piece, quantized_block_of(&piece, i), contract->nested);
            const size_t at = layout_transposed(kernel_layout(c->kernel))
                                  ? i % o->problem.k * o->problem.n + i / o->problem.k
                                  : i;
            error_sums_add(errors, dtype_load(contract->out, o->sets[0].out.data, at),
                           (double)quantized_decode(&plain, quantized_code_at(&plain, &piece, i), b.zero) *
                               (double)b.scale);
        }
    }
    free(want);
    free(scratch);
    c->out->compared += cmp->compared;
    if (s == STATUS_OK && cmp->mismatches) {
        const struct diagnose_weights d = {contract, &w, o->problem.k, same_element, NULL, NULL};
        char where[256];
        describe_weight(contract, &w, o->problem.k, cmp->first, where, sizeof where);
        check_failed(c, cmp, where, diagnose_weights(cmp, &d), w.count);
    }
    return s;
}
