/*
 * matmul_pinned.c: the products in every pinned order, fast enough for whole layers; see matmul.h.
 *
 * Each output is a sum of its own, so 16 rows of the activations are carried side by side: every step of the
 * definition becomes a loop over those rows, which the compiler turns into vector instructions without
 * touching the order within any sum. matmul_at.c has the same definition for one element, written separately.
 * The sums of the mma contracts are in matmul_mma.c.
 */
#include "reference/matmul.h"

#include <omp.h>
#include <stdlib.h>

#include "reference/arith.h"
#include "reference/matmul_mma.h"

enum {
    ROWS = MATMUL_ROWS,
    COLUMNS = 16, /* weight rows (backward: columns) decoded together, so that a panel is read from cache */
    CHAINS_MAX = 64, /* contract.h */
    LANES = 16,      /* of dpbf16 */
    GROUP = 8,       /* consecutive k of one lane of dpbf16 */
};

static const rows zero_rows;

/* acc = fma(x, w, acc) for every row. */
static inline void rows_fma(float *restrict acc, const float *restrict x, float w)
{
#pragma omp simd
    for (unsigned j = 0; j < ROWS; ++j)
        acc[j] = fmaf(x[j], w, acc[j]);
}

static inline void rows_fma_flush(float *restrict acc, const float *restrict x, float w)
{
#pragma omp simd
    for (unsigned j = 0; j < ROWS; ++j)
        acc[j] = arith_fma_flush(x[j], w, acc[j]);
}

static inline void rows_step(bool flush, float *restrict acc, const float *restrict x, float w)
{
    if (flush)
        rows_fma_flush(acc, x, w);
    else
        rows_fma(acc, x, w);
}

static inline void rows_pair_fma(float *restrict acc, const float *restrict x, float w)
{
#pragma omp simd
    for (unsigned j = 0; j < ROWS; ++j)
        acc[j] = arith_pair_fma(x[j], w, acc[j]);
}

static inline void rows_add(float *restrict acc, const float *restrict x)
{
#pragma omp simd
    for (unsigned j = 0; j < ROWS; ++j)
        acc[j] = acc[j] + x[j];
}

static inline void rows_clear(float *acc)
{
#pragma omp simd
    for (unsigned j = 0; j < ROWS; ++j)
        acc[j] = 0.0f;
}

static inline void halving_tree(rows *acc, unsigned chains)
{
    for (unsigned h = chains / 2; h >= 1; h /= 2)
        for (unsigned i = 0; i < h; ++i)
            rows_add(acc[i], acc[i + h]);
}

/* What a column's sum needs: x[r] are the activations of 16 rows, w[r] the weights (unscaled for
 * SCALE_BLOCK). */
struct output_column {
    const struct contract *c;
    const struct quantized *tensor;
    size_t reduced;
    size_t first; /* element of the tensor at r = 0, forward */
    const rows *x;
    const float *w;
};

/* End of the run that holds r: the elements of its block that follow it, at most to `end`. Also the block's
 * scale. */
static size_t run_end(const struct output_column *q, size_t r, size_t end, float *scale)
{
    const struct quantized *w = q->tensor;
    const size_t block = quantized_block_of(w, q->first + r);
    *scale = quantized_block_at(w, block, q->c->nested).scale;
    if (!w->group_of) {
        const size_t block_end = (block + 1) * w->blocksize - q->first;
        return block_end < end ? block_end : end;
    }
    while (r < end && quantized_block_of(w, q->first + r) == block)
        ++r;
    return r;
}

static unsigned log2_of(unsigned power)
{
    unsigned log2 = 0;
    while (power >> log2 > 1)
        ++log2;
    return log2;
}

/* The sum of one split, r in [begin, end). Turn i is the W elements that chain i mod L takes. */
REFERENCE_CLONES
static void split_chains(const struct output_column *q, size_t begin, size_t end, rows sum)
{
    const unsigned chains = q->c->chains, width_log2 = log2_of(q->c->width);
    const bool flush = q->c->denormals == DENORMALS_FLUSH;
    rows acc[CHAINS_MAX];
    for (unsigned l = 0; l < chains; ++l)
        rows_clear(acc[l]);

    /* With SCALE_WEIGHT the whole split goes into acc; else one block's part of it into t, which is then scaled. */
    const bool scaled = q->c->scale == SCALE_BLOCK;
    for (size_t run = begin, next; run < end; run = next) {
        float scale = 0.0f;
        next = scaled ? run_end(q, run, end, &scale) : end;
        /* The chains with an element in the run are those of its first turns. */
        size_t turn = (run - begin) >> width_log2, turns = ((next - 1 - begin) >> width_log2) - turn + 1;
        turns = turns < chains ? turns : chains;
        rows t[CHAINS_MAX], *into = scaled ? t : acc;
        for (size_t i = turn; scaled && i < turn + turns; ++i)
            rows_clear(t[i & (chains - 1)]);
        for (size_t r = run; r < next; ++r)
            rows_step(flush, into[(r - begin) >> width_log2 & (chains - 1)], q->x[r], q->w[r]);
        for (size_t i = turn; scaled && i < turn + turns; ++i)
            rows_step(flush, acc[i & (chains - 1)], t[i & (chains - 1)], scale);
    }
    halving_tree(acc, chains);
    for (unsigned j = 0; j < ROWS; ++j)
        sum[j] = acc[0][j];
}

static void column_chains(const struct output_column *q, rows sum)
{
    const size_t round = (size_t)q->c->chains * q->c->width;
    size_t length = (q->reduced + q->c->splits - 1) / q->c->splits;
    length = (length + round - 1) / round * round;
    for (unsigned s = 0; s < q->c->splits; ++s) {
        size_t begin = s * length < q->reduced ? s * length : q->reduced;
        size_t end = q->reduced - begin < length ? q->reduced : begin + length;
        if (s == 0) {
            split_chains(q, begin, end, sum);
        } else {
            rows partial;
            split_chains(q, begin, end, partial);
            rows_add(sum, partial);
        }
    }
}

REFERENCE_CLONES
static void column_dpbf16(const struct output_column *q, rows sum)
{
    rows acc[LANES];
    for (unsigned i = 0; i < LANES; ++i)
        rows_clear(acc[i]);

    for (size_t group = 0; group < q->reduced; group += GROUP) {
        float *lane = acc[group / GROUP % LANES];
        size_t group_end = q->reduced - group < GROUP ? q->reduced : group + GROUP;
        for (size_t range = group; range < group_end;) {
            /* With SCALE_WEIGHT the whole group goes into the lane; else one block's part of it into t. */
            bool scaled = q->c->scale == SCALE_BLOCK;
            float scale = 0.0f;
            size_t next = scaled ? run_end(q, range, group_end, &scale) : group_end;
            rows t;
            rows_clear(t);
            float *into = scaled ? t : lane;
            for (unsigned p = 0; p < GROUP / 2; ++p) {
                size_t odd = group + p + GROUP / 2, even = group + p;
                bool has_odd = odd >= range && odd < next, has_even = even >= range && even < next;
                rows_pair_fma(into, has_odd ? q->x[odd] : zero_rows, has_odd ? q->w[odd] : 0.0f);
                rows_pair_fma(into, has_even ? q->x[even] : zero_rows, has_even ? q->w[even] : 0.0f);
            }
            if (scaled)
                rows_fma(lane, t, scale);
            range = next;
        }
    }
    halving_tree(acc, LANES);
    for (unsigned j = 0; j < ROWS; ++j)
        sum[j] = acc[0][j];
}

/* Activations as panels of 16 rows, panel[r][row]; rows past m are zero. */
static void fill_panel(const struct contract *c, const struct matmul *p, size_t reduced, size_t first_row,
                       rows *x)
{
    for (unsigned j = 0; j < ROWS; ++j)
        for (size_t r = 0; r < reduced; ++r)
            x[r][j] = first_row + j < p->m ? dtype_load(c->out, p->a, (first_row + j) * reduced + r) : 0.0f;
}

/* The weights of `columns` backward columns from `column` on, w[j*n + r] = W[r, column + j]. */
static void decode_columns(const struct contract *c, const struct matmul *p, size_t column, size_t columns,
                           float *w)
{
    for (size_t r = 0; r < p->n; ++r) {
        for (size_t j = 0; j < columns; ++j) {
            w[j * p->n + r] = quantized_weight_at(c, p->w, r * p->k + column + j);
        }
    }
}

bool matmul_pinned(const struct contract *c, const struct matmul *p, void *y)
{
    if (contract_invalid(c) || c->accumulation == ACC_NONE || c->accumulation == ACC_ANY)
        return false;
    const bool forward = c->op == OP_GEMM, mma = accumulation_is_mma(c->accumulation);
    const size_t reduced = forward ? p->k : p->n, outputs = forward ? p->n : p->k;
    const size_t panels = (p->m + ROWS - 1) / ROWS, tiles = (outputs + COLUMNS - 1) / COLUMNS;
    const size_t tile_floats = COLUMNS * reduced;

    bool ok = false;
    rows *x = calloc(panels * reduced + 1, sizeof *x);
    float *weights = calloc((size_t)omp_get_max_threads() * tile_floats + 1, sizeof *weights);
    if (!x || !weights)
        goto cleanup;

#pragma omp parallel if (p->m * outputs * reduced >= ARITH_PARALLEL_FROM)
    {
        float *w = weights + (size_t)omp_get_thread_num() * tile_floats;
#pragma omp for schedule(static)
        for (size_t panel = 0; panel < panels; ++panel) {
            fill_panel(c, p, reduced, panel * ROWS, x + panel * reduced);
            if (mma)
                matmul_mma_pack(c->out, x[panel * reduced], ROWS * reduced);
        }

#pragma omp for schedule(dynamic)
        for (size_t tile = 0; tile < tiles; ++tile) {
            size_t column = tile * COLUMNS;
            size_t columns = outputs - column < COLUMNS ? outputs - column : COLUMNS;
            if (forward)
                for (size_t j = 0; j < columns; ++j)
                    quantized_span(c, p->w, (column + j) * p->k, p->k, c->scale == SCALE_BLOCK,
                                   w + j * reduced);
            else
                decode_columns(c, p, column, columns, w);
            if (mma)
                matmul_mma_pack(c->out, w, columns * reduced);

            for (size_t panel = 0; panel < panels; ++panel) {
                for (size_t j = 0; j < columns; ++j) {
                    struct output_column q = {
                        .c = c,
                        .tensor = p->w,
                        .reduced = reduced,
                        .first = (column + j) * reduced,
                        .x = (const rows *)(x + panel * reduced),
                        .w = w + j * reduced,
                    };
                    rows sum;
                    int32_t spoiled[ROWS] = {0};
                    if (mma)
                        matmul_mma_column(c, reduced, q.x, q.w, sum, spoiled);
                    else if (c->accumulation == ACC_CHAINS)
                        column_chains(&q, sum);
                    else
                        column_dpbf16(&q, sum);
                    for (size_t i = 0; i < ROWS && panel * ROWS + i < p->m; ++i) {
                        float value = sum[i];
                        if (forward && p->bias)
                            value = value + dtype_load(c->out, p->bias, column + j);
                        if (spoiled[i])
                            value = matmul_pinned_at(c, p, panel * ROWS + i, column + j);
                        dtype_store(c->out, y, (panel * ROWS + i) * outputs + column + j,
                                    arith_one_nan(value));
                    }
                }
            }
        }
    }
    ok = true;

cleanup:
    free(x);
    free(weights);
    return ok;
}
