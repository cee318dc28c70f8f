/*
 * matmul_at.c: one output of a product in the order of its contract, straight from the definition in matmul.h
 * and nothing else: one element at a time, chain by chain. It shares no loop with matmul_pinned.c; the tests
 * hold the two against each other.
 */
#include "reference/matmul.h"

#include "reference/arith.h"
#include "reference/matmul_mma.h"

/* One output, as its sum sees it. */
struct dot {
    const struct contract *c;
    const struct matmul *p;
    size_t row, col;
    size_t reduced; /* R */
};

static size_t element_of(const struct dot *d, size_t r)
{
    return d->c->op == OP_GEMM ? d->col * d->p->k + r : r * d->p->k + d->col;
}

static size_t block_of(const struct dot *d, size_t r)
{
    return quantized_block_of(d->p->w, element_of(d, r));
}

static float scale_of(const struct dot *d, size_t r)
{
    return quantized_block_at(d->p->w, block_of(d, r), d->c->nested).scale;
}

/* The activation at r. */
static float x_at(const struct dot *d, size_t r)
{
    return dtype_load(d->c->out, d->p->a, d->row * d->reduced + r);
}

/* What it is multiplied by at r: the weight, or the unscaled code where the block's sum is scaled. */
static float w_at(const struct dot *d, size_t r)
{
    return d->c->scale == SCALE_BLOCK ? quantized_decode_at(d->c, d->p->w, element_of(d, r))
                                      : quantized_weight_at(d->c, d->p->w, element_of(d, r));
}

static float halving_tree(float *acc, unsigned chains)
{
    for (unsigned h = chains / 2; h >= 1; h /= 2)
        for (unsigned i = 0; i < h; ++i)
            acc[i] = acc[i] + acc[i + h];
    return acc[0];
}

static float chain_step(const struct dot *d, float a, float b, float acc)
{
    return d->c->denormals == DENORMALS_FLUSH ? arith_fma_flush(a, b, acc) : fmaf(a, b, acc);
}

/* The element after r in its chain: the next of its W, else the first of W in the chain's next turn. */
static size_t chain_next(const struct dot *d, size_t begin, size_t r)
{
    const size_t chains = d->c->chains, width = d->c->width;
    ++r;
    return (r - begin) % width != 0 ? r : r + (chains - 1) * width;
}

/* Chain l of the split that covers [begin, end). */
static float chain(const struct dot *d, size_t begin, size_t end, size_t l)
{
    float acc = 0.0f;
    size_t r = begin + l * d->c->width;
    while (r < end) {
        if (d->c->scale == SCALE_WEIGHT) {
            acc = chain_step(d, x_at(d, r), w_at(d, r), acc);
            r = chain_next(d, begin, r);
            continue;
        }
        const size_t first = r;
        float t = 0.0f;
        for (; r < end && block_of(d, r) == block_of(d, first); r = chain_next(d, begin, r))
            t = chain_step(d, x_at(d, r), w_at(d, r), t);
        acc = chain_step(d, t, scale_of(d, first), acc);
    }
    return acc;
}

static float split_chains(const struct dot *d, size_t begin, size_t end)
{
    float acc[64];
    acc[0] = chain(d, begin, end, 0);
    for (size_t l = 1; l < d->c->chains; ++l)
        acc[l] = chain(d, begin, end, l);
    return halving_tree(acc, d->c->chains);
}

static float split_mma(const struct dot *d, size_t begin, size_t end)
{
    float acc = 0.0f;
    for (size_t k = begin; k < end; k += MMA_STEP) {
        uint16_t x[MMA_STEP] = {0}, w[MMA_STEP] = {0};
        for (size_t i = 0; i < MMA_STEP && k + i < end; ++i) {
            dtype_store(d->c->out, x, i, x_at(d, k + i));
            dtype_store(d->c->out, w, i, w_at(d, k + i));
        }
        acc = mma_dot(matmul_mma_model(d->c->accumulation), d->c->out, MMA_STEP, x, w, acc);
    }
    return acc;
}

/* The splits' sums, in order; each split but the last is a multiple of `round` long. */
static float sum_splits(const struct dot *d, size_t round, float (*split)(const struct dot *, size_t, size_t))
{
    const size_t splits = d->c->splits;
    size_t length = d->reduced / splits + (d->reduced % splits != 0); /* Q */
    while (length % round != 0)
        ++length;

    float sum = 0.0f;
    for (size_t s = 0; s < splits; ++s) {
        size_t begin = s * length, end = (s + 1) * length;
        if (end > d->reduced)
            end = d->reduced;
        float partial = split(d, begin, end);
        sum = s == 0 ? partial : sum + partial;
    }
    return sum;
}

/* The pair dot of r1 (odd, first) and r0: an element outside [begin, end) is x = +0, w = +0. */
static float pair_dot(const struct dot *d, float acc, size_t r1, size_t r0, size_t begin, size_t end)
{
    bool in1 = begin <= r1 && r1 < end, in0 = begin <= r0 && r0 < end;
    acc = arith_pair_fma(in1 ? x_at(d, r1) : 0.0f, in1 ? w_at(d, r1) : 0.0f, acc);
    return arith_pair_fma(in0 ? x_at(d, r0) : 0.0f, in0 ? w_at(d, r0) : 0.0f, acc);
}

static float sum_dpbf16(const struct dot *d)
{
    float acc[16];
    for (size_t i = 0; i < 16; ++i) {
        acc[i] = 0.0f;
        for (size_t g = 8 * i; g < d->reduced; g += 8 * 16) {
            size_t end = g + 8 < d->reduced ? g + 8 : d->reduced;
            if (d->c->scale == SCALE_WEIGHT) {
                for (size_t p = 0; p < 4; ++p)
                    acc[i] = pair_dot(d, acc[i], g + p + 4, g + p, g, end);
                continue;
            }
            for (size_t from = g, to; from < end; from = to) {
                to = from + 1;
                while (to < end && block_of(d, to) == block_of(d, from))
                    ++to;
                float t = 0.0f;
                for (size_t p = 0; p < 4; ++p)
                    t = pair_dot(d, t, g + p + 4, g + p, from, to);
                acc[i] = fmaf(t, scale_of(d, from), acc[i]);
            }
        }
    }
    return halving_tree(acc, 16);
}

float matmul_pinned_at(const struct contract *c, const struct matmul *p, size_t row, size_t col)
{
    struct dot d = {.c = c, .p = p, .row = row, .col = col, .reduced = c->op == OP_GEMM ? p->k : p->n};
    float sum = c->accumulation == ACC_CHAINS ? sum_splits(&d, (size_t)c->chains * c->width, split_chains)
                : accumulation_is_mma(c->accumulation) ? sum_splits(&d, MMA_STEP, split_mma)
                : c->accumulation == ACC_DPBF16        ? sum_dpbf16(&d)
                                                       : NAN;
    if (c->op == OP_GEMM && p->bias)
        sum = sum + dtype_load(c->out, p->bias, col);
    return dtype_round(c->out, arith_one_nan(sum));
}
