/* matmul_fp64.c: the products in fp64, and how far a right kernel may be from them; see matmul.h. */
#include "reference/matmul.h"

#include <math.h>

#include "reference/arith.h"
#include "reference/matmul_mma.h"

enum {
    ROWS = 16,            /* activation rows side by side, as in matmul_pinned.c */
    COLUMNS = 32,         /* outputs that share one reading of the activations */
    CHUNK = 256,          /* of the reduced index at a time, so that all buffers fit on the stack */
    MMA_BLOCK_UNITS = 10, /* see depth() */
};

/* Weights [first, first + count) of W: quantized_weight(), or the exact value * scale where the block's sum
 * is scaled. */
static void weights_at(const struct contract *c, const struct quantized *w, size_t first, size_t count,
                       double *out)
{
    const bool scaled = c->scale == SCALE_BLOCK;
    const bool flush = c->denormals == DENORMALS_FLUSH && c->accumulation != ACC_DPBF16;
    float value[CHUNK];
    quantized_span(c, w, first, count, scaled, value);
    for (size_t i = 0; i < count; ++i)
        out[i] = (double)value[i];
    float scale = 1;
    for (size_t i = 0, last = SIZE_MAX; scaled && i < count; ++i) {
        const size_t block = quantized_block_of(w, first + i);
        if (block != last) {
            scale = quantized_block_at(w, block, c->nested).scale;
            scale = flush ? arith_flush(scale) : scale;
            last = block;
        }
        out[i] *= (double)scale;
    }
}

/* The activation as the contract's arithmetic reads it. */
static float activation_at(const struct contract *c, const struct matmul *p, size_t i)
{
    float x = dtype_load(c->out, p->a, i);
    return c->denormals == DENORMALS_FLUSH ? arith_flush(x) : x;
}

REFERENCE_CLONES
static void accumulate(size_t count, const float x[][ROWS], const double *w, double sum[ROWS],
                       double magnitude[ROWS])
{
    for (size_t r = 0; r < count; ++r) {
#pragma omp simd
        for (unsigned j = 0; j < ROWS; ++j) {
            double product = (double)x[r][j] * w[r];
            sum[j] += product;
            magnitude[j] += fabs(product);
        }
    }
}

/* Adds the chunk's part to the outputs of up to 16 rows of one column. */
static void add_chunk(const struct matmul *p, size_t outputs, size_t row, size_t col, size_t count,
                      const float x[][ROWS], const double *w, double *value, double *magnitude)
{
    double sum[ROWS] = {0}, size[ROWS] = {0};
    accumulate(count, x, w, sum, size);
    for (size_t j = 0; j < ROWS && row + j < p->m; ++j) {
        if (value)
            value[(row + j) * outputs + col] += sum[j];
        if (magnitude)
            magnitude[(row + j) * outputs + col] += size[j];
    }
}

void matmul_fp64(const struct contract *c, const struct matmul *p, double *value, double *magnitude)
{
    const bool forward = c->op == OP_GEMM;
    const size_t reduced = forward ? p->k : p->n, outputs = forward ? p->n : p->k;

#pragma omp parallel for schedule(dynamic) if (p->m * outputs * reduced >= ARITH_PARALLEL_FROM)
    for (size_t column = 0; column < outputs; column += COLUMNS) {
        const size_t columns = outputs - column < COLUMNS ? outputs - column : COLUMNS;
        double w[COLUMNS][CHUNK];
        float x[CHUNK][ROWS];

        for (size_t row = 0; row < p->m; ++row) {
            for (size_t j = column; j < column + columns; ++j) {
                double bias = forward && p->bias ? (double)dtype_load(c->out, p->bias, j) : 0.0;
                if (value)
                    value[row * outputs + j] = bias;
                if (magnitude)
                    magnitude[row * outputs + j] = fabs(bias);
            }
        }
        for (size_t begin = 0; begin < reduced; begin += CHUNK) {
            const size_t count = reduced - begin < CHUNK ? reduced - begin : CHUNK;
            for (size_t j = 0; forward && j < columns; ++j)
                weights_at(c, p->w, (column + j) * p->k + begin, count, w[j]);
            for (size_t r = 0; !forward && r < count; ++r) {
                double across[COLUMNS];
                weights_at(c, p->w, (begin + r) * p->k + column, columns, across);
                for (size_t j = 0; j < columns; ++j)
                    w[j][r] = across[j];
            }
            for (size_t row = 0; row < p->m; row += ROWS) {
                for (size_t j = 0; j < ROWS; ++j)
                    for (size_t r = 0; r < count; ++r)
                        x[r][j] =
                            row + j < p->m ? activation_at(c, p, (row + j) * reduced + begin + r) : 0.0f;
                for (size_t j = 0; j < columns; ++j)
                    add_chunk(p, outputs, row, column + j, count, x, w[j], value, magnitude);
            }
        }
    }
}

void matmul_fp64_at(const struct contract *c, const struct matmul *p, size_t row, size_t col, double *value,
                    double *magnitude)
{
    const bool forward = c->op == OP_GEMM;
    const size_t reduced = forward ? p->k : p->n;
    const double bias = forward && p->bias ? (double)dtype_load(c->out, p->bias, col) : 0.0;
    double w[CHUNK], sum = 0, size = 0;
    for (size_t begin = 0; begin < reduced; begin += CHUNK) {
        const size_t count = reduced - begin < CHUNK ? reduced - begin : CHUNK;
        if (forward)
            weights_at(c, p->w, col * p->k + begin, count, w);
        for (size_t r = 0; r < count; ++r) {
            if (!forward)
                weights_at(c, p->w, (begin + r) * p->k + col, 1, &w[r]);
            const double product = (double)activation_at(c, p, row * reduced + begin + r) * w[r];
            sum += product;
            size += fabs(product);
        }
    }
    *value = sum + bias;
    *magnitude = size + fabs(bias);
}

/*
 * Roundings of u = 2^-24 that one term of the sum may go through, at most.
 *
 * A block of the mma models, d = c + sum of p_1 .. p_n, counts as 10 of them. E is the largest exponent of a
 * term, so that 2^E is at most the largest term, and at most T = |c| + sum |p_i|. Cutting a term to a
 * multiple of 2^(E - F) costs less than that; a term of exponent E itself costs nothing, as no term has more
 * than F fraction bits: n * 2^-F * T together. Cutting the sum to 24 bits costs less than 2^-23 of it, which
 * is at most T. So |d - exact| <= (n * 2^-F + 2^-23) * T, and that is (8 + 2) * u * T for both models: 8
 * products with F = 24, 16 with F = 25. As T is what an fp32 sum's error is relative to, blocks add up as
 * roundings do.
 */
static size_t depth(const struct contract *c, size_t reduced)
{
    const bool scaled = c->scale == SCALE_BLOCK;
    if (c->accumulation == ACC_ANY) /* product, R sums, bias; a block's scale is a product and a sum more */
        return reduced + (scaled ? 4 : 2);
    /* A chain of r elements: r fmas, and with a scale one more, because every run has an element at least.
     * Then the tree, the splits, the bias. */
    size_t chains = c->chains, splits = c->splits, chain, part = splits ? (reduced + splits - 1) / splits : 0;
    if (accumulation_is_mma(c->accumulation)) {
        const enum mma_model model = matmul_mma_model(c->accumulation);
        return (part + MMA_STEP - 1) / MMA_STEP * (MMA_STEP / mma_models[model].block) * MMA_BLOCK_UNITS +
               (splits - 1) + 1;
    }
    if (c->accumulation == ACC_DPBF16) {
        chain = (reduced + 127) / 128 * 8;
    } else {
        const size_t round = chains * c->width;
        chain = (part + round - 1) / round * c->width;
        chain = chain < reduced ? chain : reduced;
    }
    size_t tree = 0;
    while (((size_t)1 << tree) < chains)
        ++tree;
    return chain + scaled + tree + (splits - 1) + 1;
}

double matmul_bound(const struct contract *c, size_t reduced, double ref, double magnitude)
{
    static const struct {
        double unit, quantum, overflow; /* unit roundoff, smallest denormal, least that rounds to infinity */
    } types[DTYPE_COUNT] = {
        [DTYPE_F32] = {0x1p-24, 0x1p-149, 0x1.ffffffp127},
        [DTYPE_F16] = {0x1p-11, 0x1p-24, 65520.0},
        [DTYPE_BF16] = {0x1p-8, 0x1p-133, 0x1.ffp127},
    };
    const double d = (double)depth(c, reduced);
    const double gamma = d * 0x1p-24 / (1 - d * 0x1p-24);
    /* Each rounding may also underflow (Higham's eta), by half a denormal, or by a whole range when flushed.
     */
    const double underflow = d * (c->denormals == DENORMALS_FLUSH ? 0x1p-126 : 0x1p-149);
    const double error = gamma * magnitude + underflow;
    if (fabs(ref) + error >= types[c->out].overflow)
        return INFINITY; /* an infinity is a right answer */
    return error + types[c->out].unit * (fabs(ref) + error) + types[c->out].quantum;
}
