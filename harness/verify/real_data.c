/*
 * real_data: the problem itself, bitwise against the reference in the contract's order, or within the derived
 * bound where the contract promises no order. The only check on the real weights, shape and activations: an
 * error that depends on them shows here and nowhere else. A bound passes most products that are dropped:
 * exact_sums catches those.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "harness/verify/check_run.h"
#include "reference/matmul.h"
#include "reference/repack.h"

enum {
    PINNED_MAX = 64,
    EXACT_MAX = 16,
    STATISTICS_OPERATIONS = 1 << 26, /* products that the fp64 statistics look at, at most */
};

/* The result of all variants of one contract. */
struct pinned_result {
    struct contract contract;
    void *y;
};

/* fp64 results of the first rows of the problem, for statistics and bounds. */
struct exact_result {
    struct contract contract; /* as exact_key() makes it */
    size_t rows;              /* rows of W (gemm), or columns of W (gemmdx), covered */
    double *value, *magnitude;
};

struct references {
    struct pinned_result pinned[PINNED_MAX];
    size_t pinned_count;
    struct exact_result exact[EXACT_MAX];
    size_t exact_count;
};

void references_free(struct references *r)
{
    for (size_t i = 0; r && i < r->pinned_count; i++)
        free(r->pinned[i].y);
    for (size_t i = 0; r && i < r->exact_count; i++) {
        free(r->exact[i].value);
        free(r->exact[i].magnitude);
    }
    free(r);
}

static void error_finish(const struct error_sums *e, struct verification *out)
{
    if (e->count == 0)
        return;
    out->max_abs_error = e->max;
    out->mean_error = e->error / (double)e->count;
    out->relative_frobenius_error = e->squared_value > 0 ? sqrt(e->squared_error / e->squared_value) : 0;
    out->output_sqnr_db = 10 * log10(e->squared_value / e->squared_error); /* infinite without an error */
}

static enum status real_dequant(struct check_run *c)
{
    struct error_sums errors = {0};
    bool called;
    TRY(check_prepared_call(c, c->operands, &called));
    if (!called)
        return STATUS_OK;
    const enum status s = check_dequantized(c, c->operands, &c->out->real, &errors);
    error_finish(&errors, c->out);
    return s;
}

/* Codes that are moved: of real weights all sixteen occur, so that a wrong place shows. */
static enum status real_repack(struct check_run *c)
{
    const struct operands *o = c->operands;
    const struct problem *p = &o->problem;
    size_t count = problem_output_count(p);
    uint8_t *want = malloc(count);
    enum status s = want ? operands_prepare_for(o, 0, c->kernel) : status_no_memory("verify");
    struct operands same = *o; /* the buffers are as writable as they were */
    bool called = false;
    if (s == STATUS_OK)
        s = check_calls_on_other_codes(c, &same, &called);
    if (called) {
        struct comparison *real = &c->out->real;
        if (p->op == OP_REPACK)
            nf4_repack(o->sets[0].packed.data, p->n, p->k, want);
        else
            nf4_unrepack(o->sets[0].stored[LAYOUT_FRAGMENTS].data, p->n, p->k, want);
        compare_bits(real, DTYPE_U8, o->sets[0].out.data, want, count, 0);
        c->out->compared += real->compared;
        if (real->mismatches) {
            char where[128];
            size_t first = real->first;
            if (p->op == OP_REPACK)
                snprintf(where, sizeof where, "tile %zu, lane %zu, byte %zu", first / REPACKED_TILE_BYTES,
                         first % REPACKED_TILE_BYTES / REPACKED_LANE_BYTES, first % REPACKED_LANE_BYTES);
            else
                snprintf(where, sizeof where, "weights %zu and %zu of %zu x %zu", 2 * first, 2 * first + 1,
                         p->n, p->k);
            check_failed(c, real, where, "", count);
        }
    }
    free(want);
    return s;
}

static enum status references_pinned(struct references *r, const struct contract *contract,
                                     const struct operands *o, const struct matmul *p, const void **y)
{
    for (size_t i = 0; i < r->pinned_count; i++)
        if (contract_equal(&r->pinned[i].contract, contract)) {
            *y = r->pinned[i].y;
            return STATUS_OK;
        }
    if (r->pinned_count == PINNED_MAX)
        return status_fail(STATUS_INTERNAL, "verify: more than %d contracts in one group", PINNED_MAX);
    void *made = malloc(problem_output_count(&o->problem) * dtype_size(contract->out));
    if (!made)
        return status_no_memory("verify");
    if (!matmul_pinned(contract, p, made)) {
        char c_name[CONTRACT_NAME_MAX] = "a contract";
        contract_format(contract, c_name, sizeof c_name);
        free(made);
        return status_fail(STATUS_INTERNAL, "verify: %s has no reference", c_name);
    }
    r->pinned[r->pinned_count++] = (struct pinned_result){*contract, made};
    *y = made;
    return STATUS_OK;
}

/* fp64 results do not depend on the order of the sum. */
static struct contract exact_key(const struct contract *contract)
{
    struct contract key = *contract;
    if (key.accumulation != ACC_ANY)
        key.accumulation = ACC_CHAINS;
    key.chains = key.width = key.splits = 0;
    return key;
}

/* fp64 results of as many rows of W (gemm) as the budget allows; of all of them for ACC_ANY, which is compared
 * with them. */
static enum status references_exact(struct references *r, const struct contract *contract,
                                    const struct operands *o, const struct matmul *p,
                                    const struct exact_result **out)
{
    struct contract key = exact_key(contract);
    for (size_t i = 0; i < r->exact_count; i++)
        if (contract_equal(&r->exact[i].contract, &key)) {
            *out = &r->exact[i];
            return STATUS_OK;
        }
    if (r->exact_count == EXACT_MAX)
        return status_fail(STATUS_INTERNAL, "verify: more than %d kinds of weights in one group", EXACT_MAX);
    struct matmul part = *p;
    struct quantized w = *p->w;
    if (o->problem.op == OP_GEMM && contract->accumulation != ACC_ANY) {
        size_t rows = STATISTICS_OPERATIONS / (p->m * p->k);
        part.n = rows < 1 ? 1 : rows < p->n ? rows : p->n;
        w.count = part.n * p->k;
        part.w = &w;
    }
    size_t columns = o->problem.op == OP_GEMM ? part.n : p->k, count = p->m * columns;
    double *value = malloc(count * sizeof *value), *magnitude = malloc(count * sizeof *magnitude);
    if (!value || !magnitude) {
        free(value);
        free(magnitude);
        return status_no_memory("verify");
    }
    matmul_fp64(contract, &part, value, magnitude);
    r->exact[r->exact_count] = (struct exact_result){key, columns, value, magnitude};
    *out = &r->exact[r->exact_count++];
    return STATUS_OK;
}

static enum status real_product(struct check_run *c)
{
    const struct operands *o = c->operands;
    const struct problem *p = &o->problem;
    const struct contract *contract = &c->kernel->contract;
    struct quantized w = operands_tensor(o, 0);
    struct matmul product = {.m = p->m,
                             .n = p->n,
                             .k = p->k,
                             .a = o->sets[0].x.data,
                             .bias = p->bias ? o->sets[0].bias.data : NULL,
                             .w = &w};
    struct comparison *real = &c->out->real;
    size_t row_length = p->op == OP_GEMM ? p->n : p->k, count = p->m * row_length;
    const void *want = NULL, *got = o->sets[0].out.data;
    const struct exact_result *exact = NULL;
    struct references **references = &c->verifier->references;
    if (!*references && !(*references = calloc(1, sizeof **references)))
        return status_no_memory("verify");
    bool called;
    if (contract->accumulation != ACC_ANY)
        TRY(references_pinned(*references, contract, o, &product, &want));
    TRY(references_exact(*references, contract, o, &product, &exact));
    TRY(check_prepared_call(c, o, &called));
    if (!called)
        return STATUS_OK;

    struct error_sums errors = {0};
    double margin = 0, margin_bound = NAN;
    for (size_t i = 0; i < p->m; i++) {
        for (size_t j = 0; j < exact->rows; j++) {
            size_t at = i * row_length + j;
            double value = exact->value[i * exact->rows + j],
                   magnitude = exact->magnitude[i * exact->rows + j];
            double y = dtype_load(contract->out, got, at);
            error_sums_add(&errors, y, value);
            if (contract->accumulation != ACC_ANY)
                continue;
            double bound = matmul_bound(contract, p->op == OP_GEMM ? p->k : p->n, value, magnitude) +
                           c->kernel->extra_unit * magnitude;
            double error = fabs(y - value);
            if (!(error / bound <= margin)) {
                margin = error / bound;
                margin_bound = bound;
            }
            compare_one(real, contract->out, dtype_load_bits(contract->out, got, at),
                        dtype_value_bits(contract->out, (float)value), !isfinite(value) || error <= bound,
                        at);
        }
    }
    error_finish(&errors, c->out);
    if (contract->accumulation == ACC_ANY) {
        c->out->bound_margin = margin;
        c->out->bound = margin_bound;
    } else
        compare_bits(real, contract->out, got, want, count, 0);
    check_product(c, real, p->m, row_length, "");
    return STATUS_OK;
}

enum status check_real_data(struct check_run *c)
{
    const struct buffer *out = &c->operands->sets[0].out;
    const enum op op = c->kernel->contract.op;
    enum status s = op_is_repack(op) ? real_repack(c) : op == OP_DEQUANT ? real_dequant(c) : real_product(c);
    if (s == STATUS_OK && c->out->verdict == VERDICT_PASS)
        c->out->output_hash = bytes_hash(out->data, out->size);
    return s;
}
