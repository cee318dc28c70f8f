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

#include "reference/arith.h"

enum {
    ROWS = MATMUL_ROWS,
    NO_EXPONENT = -1000, /* of a zero: below that of any product with another number */
    NOT_FINITE = 8192,   /* the exponent of an infinity or NaN: any product with it is above EXPONENT_MAX */
    EXPONENT_MAX = 1000,
    SHIFT_MAX = 31,
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
    const struct mma_numbers *m = &mma_models[matmul_mma_model(c->accumulation)];
    return (struct setting){.block = m->block,
                            .fraction_bits = m->fraction_bits,
                            .least_exponent = m->least_exponent,
                            .zero_mask = m->cut_is_positive ? 0 : UINT32_MAX,
                            .product_shift = m->fraction_bits - 2 * type_fraction(c->out),
                            .c_shift = m->fraction_bits - 23};
}

/* x, which must be a number of type t, as frexpf() sees it but with the type's least exponent. */
static int32_t packed(enum dtype t, float x)
{
    const int fraction = type_fraction(t), least = t == DTYPE_F16 ? -14 : -126;
    int exponent = NO_EXPONENT;
    if (!isfinite(x))
        return NOT_FINITE * (1 << 16);
    if (x != 0.0f) {
        (void)frexpf(x, &exponent); /* |x| in [2^(exponent - 1), 2^exponent) */
        exponent = exponent - 1 < least ? least : exponent - 1;
    }
    return exponent * (1 << 16) | (uint16_t)(int16_t)ldexpf(x, fraction - exponent);
}

void matmul_mma_pack(enum dtype t, float *values, size_t count)
{
    for (size_t i = 0; i < count; ++i)
        values[i] = f32_from_bits((uint32_t)packed(t, values[i]));
}

static inline int32_t significand_of(float number)
{
    return (int16_t)f32_bits(number);
}

static inline int32_t exponent_of(float number)
{
    return (int32_t)f32_bits(number) >> 16;
}

/* One block: acc = block(x, w, acc) in every row; `count` may be 0. A row with a number that is not finite, or whose sum
 * becomes infinite, is marked in *spoiled; what follows in it means nothing. */
static inline void rows_block(const struct setting *s, size_t count, const rows *restrict x,
                              const float *restrict w, float *restrict acc, int32_t *restrict spoiled)
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
        const int32_t significand = significand_of(w[i]) * (1 << s->product_shift);
        const int32_t exponent = exponent_of(w[i]);
#pragma omp simd
        for (unsigned j = 0; j < ROWS; ++j) {
            const int32_t e = exponent_of(x[i][j]) + exponent;
            product[i][j] = significand_of(x[i][j]) * significand;
            largest[j] = e > largest[j] ? e : largest[j];
        }
    }
    for (size_t i = 0; i < count; ++i) {
        const int32_t exponent = exponent_of(w[i]);
#pragma omp simd
        for (unsigned j = 0; j < ROWS; ++j) {
            const int32_t sign = product[i][j] >> 31, size = (product[i][j] ^ sign) - sign;
            const int32_t right = largest[j] - exponent - exponent_of(x[i][j]);
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
        spoiled[j] |= !(fabsf(near) <= FLT_MAX) | (largest[j] > EXPONENT_MAX);
    }
}

REFERENCE_CLONES
static void column_sums(const struct setting *s, size_t reduced, size_t splits, const rows *x, const float *w,
                        rows sum, int32_t spoiled[ROWS])
{
    size_t length = (reduced + splits - 1) / splits;
    length = (length + MMA_STEP - 1) / MMA_STEP * MMA_STEP;
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

void matmul_mma_column(const struct contract *c, size_t reduced, const rows *x, const float *w, rows sum,
                       int32_t spoiled[ROWS])
{
    const struct setting setting = setting_of(c);
    column_sums(&setting, reduced, c->splits, x, w, sum, spoiled);
}
