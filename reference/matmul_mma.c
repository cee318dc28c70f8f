/*
 * matmul_mma.c: the products of the mma contracts, fast enough for whole layers; see matmul.h and mma.h.
 *
 * 16 rows of the activations are carried side by side, as in matmul_pinned.c: every step of the model becomes
 * a loop over those rows that the compiler turns into vector instructions. It shares nothing with the model
 * in mma.c but its numbers; the tests hold the two against each other. Infinities and NaN do not fit in here:
 * an output whose operands or partial sums are not all finite is taken from matmul_pinned_at().
 */
#include "reference/matmul_mma.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>

#include "reference/arith.h"

enum {
    ROWS = 16,           /* activation rows side by side */
    COLUMNS = 16,        /* weight rows decoded together, so that a panel is read from cache */
    NO_EXPONENT = -1000, /* of a zero: below that of any product with another number */
    SHIFT_MAX = 31,
};

/* A finite 16-bit number: significand * 2^(exponent - fraction bits of the type), the significand with its
 * sign. */
struct number {
    int16_t significand, exponent;
};

/* The same for the 16 rows. */
struct rows {
    int16_t significand[ROWS], exponent[ROWS];
};

/* A type and a model, as a block needs them. */
struct setting {
    size_t block;
    int fraction_bits, least_exponent;
    uint32_t zero_mask; /* of the bits of a sum that is cut to zero */
    int product_shift;  /* from the fraction bits of a product to those of the model; likewise for c */
    int c_shift;
};

static int type_fraction(enum dtype t)
{
    return t == DTYPE_F16 ? 10 : 7;
}

static struct setting setting_of(const struct contract *c)
{
    const enum mma_model model = matmul_mma_model(c->accumulation);
    const int f = mma_fraction_bits(model);
    return (struct setting){.block = mma_block(model),
                            .fraction_bits = f,
                            .least_exponent = mma_least_exponent(model),
                            .zero_mask = mma_cut_to_zero_is_positive(model) ? 0 : UINT32_MAX,
                            .product_shift = f - 2 * type_fraction(c->out),
                            .c_shift = f - 23};
}

/* x, which must be a number of type t, as frexpf() sees it but with the type's least exponent. */
static struct number number_of(enum dtype t, float x)
{
    const int fraction = type_fraction(t), least = t == DTYPE_F16 ? -14 : -126;
    if (!isfinite(x) || x == 0.0f)
        return (struct number){0, NO_EXPONENT};
    int exponent;
    (void)frexpf(x, &exponent); /* |x| in [2^(exponent - 1), 2^exponent) */
    exponent = exponent - 1 < least ? least : exponent - 1;
    return (struct number){(int16_t)ldexpf(x, fraction - exponent), (int16_t)exponent};
}

/* One block: acc = block(x, w, acc) in every row; `count` may be 0. A row whose sum becomes infinite is
 * marked in *spoiled; what follows in it means nothing. */
static inline void rows_block(const struct setting *s, size_t count, const struct rows *restrict x,
                              const struct number *restrict w, float *restrict acc, int32_t *restrict spoiled)
{
    int32_t largest[ROWS], c_size[ROWS], c_exponent[ROWS], product[MMA_STEP][ROWS], sum[ROWS];
#pragma omp simd
    for (unsigned j = 0; j < ROWS; ++j) {
        const int32_t bits = (int32_t)f32_bits(acc[j]), stored = bits >> 23 & 255;
        c_size[j] = (bits & 0x7fffff) | (stored ? 1 << 23 : 0);
        c_exponent[j] = c_size[j] ? (stored ? stored : 1) - 127 : s->least_exponent;
        largest[j] = c_exponent[j];
        sum[j] = 0;
    }
    for (size_t i = 0; i < count; ++i) {
        const int32_t significand = w[i].significand * (1 << s->product_shift), exponent = w[i].exponent;
#pragma omp simd
        for (unsigned j = 0; j < ROWS; ++j) {
            const int32_t e = x[i].exponent[j] + exponent;
            product[i][j] = x[i].significand[j] * significand;
            largest[j] = e > largest[j] ? e : largest[j];
        }
    }
    for (size_t i = 0; i < count; ++i) {
        const int32_t exponent = w[i].exponent;
#pragma omp simd
        for (unsigned j = 0; j < ROWS; ++j) {
            const int32_t sign = product[i][j] >> 31, size = (product[i][j] ^ sign) - sign;
            const int32_t right = largest[j] - exponent - x[i].exponent[j];
            sum[j] += ((size >> (right < SHIFT_MAX ? right : SHIFT_MAX)) ^ sign) - sign;
        }
    }
    /* 16 products fit in 32 bits: 2047^2 * 2^5 each at most for fp16, 255^2 * 2^11 for bf16. With c, in
     * double, where every step is exact. */
#pragma omp simd
    for (unsigned j = 0; j < ROWS; ++j) {
        const int32_t right = largest[j] - c_exponent[j], sign = (int32_t)f32_bits(acc[j]) >> 31;
        const int32_t size = (c_size[j] << s->c_shift) >> (right < SHIFT_MAX ? right : SHIFT_MAX);
        double total = (double)sum[j] + (double)((size ^ sign) - sign);
        uint64_t bits;
        memcpy(&bits, &total, sizeof bits);
        bits &= ~UINT64_C(0x1fffffff); /* 24 bits are left */
        memcpy(&total, &bits, sizeof total);
        const uint64_t scale_bits = (uint64_t)(int64_t)(largest[j] - s->fraction_bits + 1023) << 52;
        double scale;
        memcpy(&scale, &scale_bits, sizeof scale);
        total *= scale;
        /* Exact but for denormals, which come out rounded to nearest: one step back where that was away from
         * zero. */
        const float near = (float)total;
        const uint32_t away = fabs((double)near) > fabs(total);
        const uint32_t cut = f32_bits(near) - away;
        acc[j] = f32_from_bits(cut << 1 ? cut : cut & s->zero_mask);
        spoiled[j] |= !(fabsf(near) <= FLT_MAX);
    }
}

/* The sums of one column for 16 rows, splits and all. */
REFERENCE_CLONES
static void column_sums(const struct setting *s, size_t reduced, size_t splits, const struct rows *x,
                        const struct number *w, float sum[ROWS], int32_t spoiled[ROWS])
{
    size_t length = (reduced + splits - 1) / splits;
    length = (length + MMA_STEP - 1) / MMA_STEP * MMA_STEP;
    for (unsigned j = 0; j < ROWS; ++j)
        spoiled[j] = 0;
    for (size_t split = 0; split < splits; ++split) {
        const size_t begin = split * length < reduced ? split * length : reduced;
        const size_t end = reduced - begin < length ? reduced : begin + length;
        float acc[ROWS] = {0};
        for (size_t k = begin; k < end; k += MMA_STEP)
            for (size_t first = k; first < k + MMA_STEP; first += s->block) {
                const size_t left = first < end ? end - first : 0;
                const size_t count = left < s->block ? left : s->block;
                rows_block(s, count, x + (count ? first : 0), w + (count ? first : 0), acc, spoiled);
            }
        for (unsigned j = 0; j < ROWS; ++j)
            sum[j] = split == 0 ? acc[j] : sum[j] + acc[j];
    }
}

/* Rows first_row .. of the activations; *finite is cleared in rows that are not. Rows past m are zero. */
static void fill_panel(const struct contract *c, const struct matmul *p, size_t reduced, size_t first_row,
                       struct rows *x, bool finite[ROWS])
{
    for (unsigned j = 0; j < ROWS; ++j) {
        finite[j] = true;
        for (size_t r = 0; r < reduced; ++r) {
            float value =
                first_row + j < p->m ? dtype_load(c->out, p->a, (first_row + j) * reduced + r) : 0.0f;
            struct number number = number_of(c->out, value);
            x[r].significand[j] = number.significand;
            x[r].exponent[j] = number.exponent;
            finite[j] = finite[j] && isfinite(value);
        }
    }
}

/* The weights of forward column `column`, row `column` of W; false if not all of them are finite. */
static bool decode_row(const struct contract *c, const struct matmul *p, size_t column, struct number *w)
{
    enum { SPAN = 256 };
    bool finite = true;
    for (size_t k = 0; k < p->k; k += SPAN) {
        const size_t count = p->k - k < SPAN ? p->k - k : SPAN;
        float value[SPAN];
        quantized_span(c, p->w, column * p->k + k, count, false, value);
        for (size_t i = 0; i < count; ++i) {
            w[k + i] = number_of(c->out, value[i]);
            finite = finite && isfinite(value[i]);
        }
    }
    return finite;
}

/* The same of `columns` backward columns, which are columns of W, w[j*n + r] = W[r, column + j]. */
static void decode_columns(const struct contract *c, const struct matmul *p, size_t column, size_t columns,
                           struct number *w, bool finite[COLUMNS])
{
    for (size_t j = 0; j < columns; ++j)
        finite[j] = true;
    for (size_t r = 0; r < p->n; ++r) {
        for (size_t j = 0; j < columns; ++j) {
            const float value = quantized_weight_at(c, p->w, r * p->k + column + j);
            w[j * p->n + r] = number_of(c->out, value);
            finite[j] = finite[j] && isfinite(value);
        }
    }
}

bool matmul_mma(const struct contract *c, const struct matmul *p, void *y)
{
    const bool forward = c->op == OP_GEMM;
    const size_t reduced = forward ? p->k : p->n, outputs = forward ? p->n : p->k;
    const size_t panels = (p->m + ROWS - 1) / ROWS, tiles = (outputs + COLUMNS - 1) / COLUMNS;
    const struct setting setting = setting_of(c);

    bool ok = false;
    struct rows *x = calloc(panels * reduced + 1, sizeof *x);
    bool(*finite)[ROWS] = calloc(panels + 1, sizeof *finite);
    struct number *weights = calloc((size_t)omp_get_max_threads() * COLUMNS * reduced + 1, sizeof *weights);
    if (!x || !finite || !weights)
        goto cleanup;

#pragma omp parallel if (p->m * outputs * reduced >= ARITH_PARALLEL_FROM)
    {
        struct number *w = weights + (size_t)omp_get_thread_num() * COLUMNS * reduced;
#pragma omp for schedule(static)
        for (size_t panel = 0; panel < panels; ++panel)
            fill_panel(c, p, reduced, panel * ROWS, x + panel * reduced, finite[panel]);

#pragma omp for schedule(dynamic)
        for (size_t tile = 0; tile < tiles; ++tile) {
            const size_t column = tile * COLUMNS;
            const size_t columns = outputs - column < COLUMNS ? outputs - column : COLUMNS;
            bool finite_column[COLUMNS];
            if (forward)
                for (size_t j = 0; j < columns; ++j)
                    finite_column[j] = decode_row(c, p, column + j, w + j * reduced);
            else
                decode_columns(c, p, column, columns, w, finite_column);

            for (size_t panel = 0; panel < panels; ++panel) {
                for (size_t j = 0; j < columns; ++j) {
                    float sum[ROWS];
                    int32_t spoiled[ROWS];
                    column_sums(&setting, reduced, c->splits, x + panel * reduced, w + j * reduced, sum,
                                spoiled);
                    for (size_t i = 0; i < ROWS && panel * ROWS + i < p->m; ++i) {
                        const size_t row = panel * ROWS + i, col = column + j;
                        float value = sum[i];
                        if (forward && p->bias)
                            value = value + dtype_load(c->out, p->bias, col);
                        if (spoiled[i] || !finite_column[j] || !finite[panel][i])
                            value = matmul_pinned_at(c, p, row, col);
                        dtype_store(c->out, y, row * outputs + col, arith_one_nan(value));
                    }
                }
            }
        }
    }
    ok = true;

cleanup:
    free(x);
    free(finite);
    free(weights);
    return ok;
}
