/*
 * one_hot_run.c: products whose outputs are single weights, for one_hot and exhaustive_decode: each row of
 * activations has a single 1.
 */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/verify/check_run.h"

static float flush(float x)
{
    return fpclassify(x) == FP_SUBNORMAL ? copysignf(0, x) : x;
}

/* The fp32 value of a weight in a sum, before anything else is added. */
static float weight_in_sum(const struct contract *c, uint32_t code, struct quantized_block b)
{
    if (c->scale == SCALE_WEIGHT)
        return quantized_weight(c, code, b);
    return quantized_decode(c, code, b.zero) * b.scale; /* 1 * c summed, then scaled: one rounding */
}

float one_hot_of(const struct contract *c, uint32_t code, struct quantized_block b, float bias)
{
    float v = weight_in_sum(c, code, b);
    /* The pair dot flushes what it sums (weights), not the IEEE fma that scales a block's sum. */
    if (c->denormals == DENORMALS_FLUSH && (c->accumulation == ACC_CHAINS || c->scale == SCALE_WEIGHT))
        v = flush(v);
    v += 0.0f; /* sums start at +0: a -0 is lost */
    return dtype_round(c->out, v + bias);
}

float one_hot_value(const struct contract *c, const struct quantized *w, size_t element, float bias)
{
    return one_hot_of(c, quantized_code_at(c, w, element),
                      quantized_block_at(w, quantized_block_of(w, element), c->nested), bias);
}

/* Whether 0 * (any weight of a block with this scale) is 0. Dense weights are finite here. */
static bool block_finite(const struct contract *c, float scale)
{
    if (c->format == FORMAT_DENSE)
        return true;
    return isfinite(c->scale == SCALE_WEIGHT ? dtype_round(c->out, format_value_max(c->format) * scale)
                                             : scale);
}

/* An activation matrix with `one` in each row, at positions[i]. */
static void set_one_hot(struct operands *o, float one, const size_t *positions)
{
    size_t extent = o->problem.op == OP_GEMM ? o->problem.k : o->problem.n;
    memset(o->sets[0].x.data, 0, o->sets[0].x.size);
    for (size_t i = 0; i < o->problem.m; i++)
        dtype_store(o->problem.out, o->sets[0].x.data, i * extent + positions[i], one);
}

/* Which sums are free of weights that are not finite: one flag per row (gemm) or column (gemmdx) of W. */
static bool *finite_sums(const struct contract *c, const struct problem *p, const struct quantized *w)
{
    const size_t outputs = c->op == OP_GEMM ? p->n : p->k;
    bool *finite = malloc(outputs);
    if (!finite)
        return NULL;
    memset(finite, 1, outputs);
    for (size_t i = 0, last = SIZE_MAX, good = true; i < w->count; i++) {
        const size_t block = quantized_block_of(w, i);
        if (block != last)
            good = block_finite(c, quantized_block_at(w, block, c->nested).scale);
        last = block;
        if (!good)
            finite[c->op == OP_GEMM ? i / p->k : i % p->k] = false;
    }
    return finite;
}

/* What the outputs of a one-hot run show, for a diagnosis. */
struct shown {
    const struct problem *problem;
    const size_t *positions; /* of what is not zero in each activation row */
    const void *bias;        /* or NULL */
};

static size_t shown_element(const void *context, size_t index)
{
    const struct shown *s = context;
    const struct problem *p = s->problem;
    size_t outputs = p->op == OP_GEMM ? p->n : p->k, i = index / outputs, j = index % outputs;
    return p->op == OP_GEMM ? j * p->k + s->positions[i] : s->positions[i] * p->k + j;
}

static float shown_bias(const void *context, size_t index)
{
    const struct shown *s = context;
    return s->bias ? dtype_load(s->problem->out, s->bias, index % s->problem->n) : 0.0f;
}

enum status one_hot_run(struct check_run *c, struct operands *o, float one, const size_t *positions,
                        size_t position_count)
{
    const struct problem *p = &o->problem;
    const struct contract *contract = &c->kernel->contract;
    struct quantized w = operands_tensor(o, 0);
    size_t outputs = p->op == OP_GEMM ? p->n : p->k;
    const void *bias = p->bias ? o->sets[0].bias.data : NULL;
    struct matmul product = {.m = p->m, .n = p->n, .k = p->k, .a = o->sets[0].x.data, .bias = bias, .w = &w};
    size_t *now = malloc(p->m * sizeof *now);
    bool *finite = finite_sums(contract, p, &w);
    enum status s = now && finite ? STATUS_OK : status_no_memory("verify");
    if (s == STATUS_OK)
        s = operands_prepare_for(o, 0, c->kernel);
    for (size_t first = 0; first < position_count && s == STATUS_OK; first += p->m) {
        for (size_t i = 0; i < p->m; i++)
            now[i] = positions[(first + i) % position_count];
        set_one_hot(o, one, now);
        operands_rehash(o);
        if (!check_call(c, o))
            break;
        struct comparison all = {0};
#pragma omp parallel
        {
            struct comparison mine = {0};
#pragma omp for schedule(static) nowait
            for (size_t j = 0; j < outputs; j++) {
                /* A sum spoiled by a non-finite weight is NaN or infinite by the contract's order; costly to
                 * follow, so one of 16 is, another one each time. */
                if (!finite[j] && (contract->accumulation == ACC_ANY || (j + j / 16) % 16))
                    continue;
                for (size_t i = 0; i < p->m; i++) {
                    size_t element = p->op == OP_GEMM ? j * p->k + now[i] : now[i] * p->k + j;
                    float want =
                        finite[j] && one == 1
                            ? one_hot_value(contract, &w, element, bias ? dtype_load(p->out, bias, j) : 0.0f)
                            : matmul_pinned_at(contract, &product, i, j);
                    uint32_t bits = dtype_value_bits(p->out, want);
                    uint32_t got = dtype_load_bits(p->out, o->sets[0].out.data, i * outputs + j);
                    compare_one(&mine, p->out, got, bits, dtype_bits_equal(p->out, got, bits),
                                i * outputs + j);
                }
            }
#pragma omp critical(one_hot)
            comparison_merge(&all, &mine);
        }
        c->out->compared += all.compared;
        if (all.mismatches) {
            const struct shown shown = {p, now, bias};
            const struct diagnose_weights d = {contract, &w, p->k, shown_element, shown_bias, &shown};
            size_t i = all.first / outputs;
            char where[320], weight[256];
            describe_weight(contract, &w, p->k, shown_element(&shown, all.first), weight, sizeof weight);
            snprintf(where, sizeof where, "activation row %zu is %g at %zu only; %s", i, (double)one, now[i],
                     weight);
            check_failed(c, &all, where, one == 1 ? diagnose_weights(&all, &d) : "", p->m * outputs);
            break;
        }
    }
    free(finite);
    free(now);
    return s;
}
