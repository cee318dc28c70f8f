#include "harness/device/simt/tensor_core.h"

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "reference/dtype.h"
#include "reference/mma.h"

/* As in reference/arith.h: sanitizers instrument the resolver of clones before they are set up. */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(NF4BENCH_SANITIZED)
#define TENSOR_CORE_CLONES __attribute__((target_clones("avx512f", "arch=haswell", "default")))
#else
#define TENSOR_CORE_CLONES
#endif

enum {
    COLUMNS = 8,
    /* The exponent of a zero: below that of any product or accumulator (-252), also when another exponent is
     * added to it. */
    ZERO_EXPONENT = -1000,
};

/* A number is magnitude * 2^(exponent - fraction bits of its type); magnitude has the leading one, but for
 * denormals, which have the least exponent of the type. sign is 0 or -1. */
struct decoded {
    int32_t exponent, magnitude, sign;
    int32_t special; /* infinity or NaN */
};

struct format {
    int fraction_bits, bias, exponent_max;
};
static const struct format formats[] = {
    [TENSOR_CORE_F16] = {10, 15, 31},
    [TENSOR_CORE_BF16] = {7, 127, 255},
};
static const struct format format_f32 = {23, 127, 255};

/* Products of a block. */
static const int core_blocks[] = {[SIMT_TENSOR_CORE_80] = 8, [SIMT_TENSOR_CORE_90] = 16};
/* The least exponent that terms are aligned to. 90: and a sum that is cut to zero is +0. 80: below all there
 * are. */
enum { LEAST_EXPONENT_80 = -300, LEAST_EXPONENT_90 = -133 };

static inline __attribute__((always_inline)) struct decoded decode(uint32_t bits, struct format f,
                                                                   int sign_bit)
{
    int32_t exponent = (int32_t)(bits >> f.fraction_bits) & f.exponent_max;
    int32_t fraction = (int32_t)(bits & ((UINT32_C(1) << f.fraction_bits) - 1));
    struct decoded d;
    d.sign = -(int32_t)(bits >> sign_bit & 1);
    d.special = exponent == f.exponent_max;
    d.magnitude = exponent ? fraction | INT32_C(1) << f.fraction_bits : fraction;
    d.exponent = d.magnitude ? (exponent ? exponent : 1) - f.bias : ZERO_EXPONENT;
    return d;
}

/* ---- numbers ---- */

struct decoded_b {
    int32_t exponent[16][COLUMNS], magnitude[16][COLUMNS], sign[16][COLUMNS];
};

/* One block of products of a row with all columns, added to d. The lanes of the loops over j are the columns;
 * there are no branches, so that they become vector instructions. */
static inline __attribute__((always_inline)) void row_block(const struct decoded *a,
                                                            const struct decoded_b *b, int first, int count,
                                                            int fraction_bits, int F, int least, float *d)
{
    int32_t largest[COLUMNS], sum[COLUMNS], c_exponent[COLUMNS], c_magnitude[COLUMNS], c_sign[COLUMNS];
    for (int j = 0; j < COLUMNS; j++) {
        struct decoded c = decode(f32_bits(d[j]), format_f32, 31);
        c_exponent[j] = c.exponent;
        c_magnitude[j] = c.magnitude;
        c_sign[j] = c.sign;
        largest[j] = c.exponent > least ? c.exponent : least;
        sum[j] = 0;
    }
    for (int k = first; k < first + count; k++)
        for (int j = 0; j < COLUMNS; j++) {
            int32_t e = a[k].exponent + b->exponent[k][j];
            largest[j] = e > largest[j] ? e : largest[j];
        }
    /* A product has 2 * fraction_bits fraction bits and less than 2^2: with F of them less than 2^(F + 2), so
     * that 16 of them fit into 31 bits (65,504^2 leaves room: they are at most 2^31 - 2^21). */
    const int up = F - 2 * fraction_bits;
    for (int k = first; k < first + count; k++) {
        const int32_t exponent = a[k].exponent, magnitude = a[k].magnitude << up, sign = a[k].sign;
        for (int j = 0; j < COLUMNS; j++) {
            int32_t down = largest[j] - (exponent + b->exponent[k][j]);
            down = down < 31 ? down : 31;
            int32_t product = magnitude * b->magnitude[k][j] >> down;
            int32_t s = sign ^ b->sign[k][j];
            sum[j] += (product ^ s) - s;
        }
    }
    for (int j = 0; j < COLUMNS; j++) {
        int32_t down = largest[j] - c_exponent[j];
        down = down < 31 ? down : 31;
        int32_t c = c_magnitude[j] << (F - format_f32.fraction_bits) >> down;
        c = (c ^ c_sign[j]) - c_sign[j];
        /* Below 2^53: exact, and so is the scaling. */
        uint64_t scale_bits = (uint64_t)(largest[j] - F + 1023) << 52;
        double scale, value;
        memcpy(&scale, &scale_bits, 8);
        value = ((double)sum[j] + (double)c) * scale;
        /* To nearest, then back where that went away from zero. 2^128 and above stays an infinity. */
        double size = __builtin_fabs(value);
        float nearest = (float)value;
        uint32_t bits = f32_bits(nearest);
        bits -= (__builtin_fabs((double)nearest) > size) & (size < 0x1p128);
        if (least == LEAST_EXPONENT_90)
            bits = bits << 1 ? bits : 0;
        d[j] = f32_from_bits(bits);
    }
}

/* Whether a sum came out infinite. */
static inline __attribute__((always_inline)) bool rows(const struct decoded (*a)[16],
                                                       const struct decoded_b *b, int row_count, int end,
                                                       int fraction_bits, int F, int least, int block,
                                                       float (*d)[COLUMNS])
{
    uint32_t largest = 0;
    for (int i = 0; i < row_count; i++)
        for (int first = 0; first < end; first += block) {
            row_block(a[i], b, first, block, fraction_bits, F, least, d[i]);
            for (int j = 0; j < COLUMNS; j++) {
                uint32_t size = f32_bits(d[i][j]) & 0x7fffffff;
                largest = size > largest ? size : largest;
            }
        }
    return largest >= 0x7f800000;
}

/* Products 0 .. end - 1 of the first row_count rows. Each case with its own constants. */
TENSOR_CORE_CLONES static bool all_rows(enum simt_tensor_core core, enum tensor_core_type type,
                                        const struct decoded (*a)[16], const struct decoded_b *b,
                                        int row_count, int end, float (*d)[COLUMNS])
{
    if (core == SIMT_TENSOR_CORE_90)
        return type == TENSOR_CORE_F16 ? rows(a, b, row_count, end, 10, 25, LEAST_EXPONENT_90, 16, d)
                                       : rows(a, b, row_count, end, 7, 25, LEAST_EXPONENT_90, 16, d);
    return type == TENSOR_CORE_F16 ? rows(a, b, row_count, end, 10, 24, LEAST_EXPONENT_80, 8, d)
                                   : rows(a, b, row_count, end, 7, 24, LEAST_EXPONENT_80, 8, d);
}

/* ---- the two ways in ---- */

float tensor_core_dot(enum simt_tensor_core core, enum tensor_core_type type, const uint16_t *a,
                      const uint16_t *b, float c)
{
    const struct format f = formats[type];
    const int count = core_blocks[core];
    struct decoded da[1][16];
    struct decoded_b columns; /* all the same: only one is looked at */
    bool special = decode(f32_bits(c), format_f32, 31).special;
    for (int k = 0; k < count; k++) {
        da[0][k] = decode(a[k], f, 15);
        const struct decoded db = decode(b[k], f, 15);
        special |= da[0][k].special | db.special;
        for (int j = 0; j < COLUMNS; j++) {
            columns.exponent[k][j] = db.exponent;
            columns.magnitude[k][j] = db.magnitude;
            columns.sign[k][j] = db.sign;
        }
    }
    if (special) { /* rare: as the reference has it, but for the NaN of GPUs */
        const float sum = mma_dot(core == SIMT_TENSOR_CORE_90 ? MMA_90 : MMA_80,
                                  type == TENSOR_CORE_F16 ? DTYPE_F16 : DTYPE_BF16, (size_t)count, a, b, c);
        return isnan(sum) ? f32_from_bits(0x7fffffff) : sum;
    }
    float d[1][COLUMNS];
    for (int j = 0; j < COLUMNS; j++)
        d[0][j] = c;
    all_rows(core, type, (const struct decoded(*)[16])da, &columns, 1, count, d);
    return d[0][0];
}

/* Element after element, for tiles with an infinity or NaN, or where one comes up between two blocks. */
static void special_tile(enum simt_tensor_core core, enum tensor_core_type type,
                         struct tensor_core_tile *tile)
{
    for (int j = 0; j < COLUMNS; j++) {
        uint16_t b[16];
        for (int k = 0; k < 16; k++)
            b[k] = tile->b[k][j];
        for (int i = 0; i < 16; i++)
            for (int first = 0; first < 16; first += core_blocks[core])
                tile->d[i][j] = tensor_core_dot(core, type, tile->a[i] + first, b + first, tile->d[i][j]);
    }
}

void tensor_core_mma(enum simt_tensor_core core, enum tensor_core_type type, struct tensor_core_tile *tile)
{
    const struct format f = formats[type];
    struct decoded a[16][16];
    struct decoded_b b;
    int special = 0;
    for (int i = 0; i < 16; i++)
        for (int k = 0; k < 16; k++) {
            a[i][k] = decode(tile->a[i][k], f, 15);
            special |= a[i][k].special;
        }
    for (int k = 0; k < 16; k++)
        for (int j = 0; j < COLUMNS; j++) {
            struct decoded d = decode(tile->b[k][j], f, 15);
            b.exponent[k][j] = d.exponent;
            b.magnitude[k][j] = d.magnitude;
            b.sign[k][j] = d.sign;
            special |= d.special;
        }
    for (int i = 0; i < 16; i++)
        for (int j = 0; j < COLUMNS; j++)
            special |= (f32_bits(tile->d[i][j]) & 0x7fffffff) >= 0x7f800000;
    if (!special) {
        float d[16][COLUMNS];
        memcpy(d, tile->d, sizeof d);
        if (!all_rows(core, type, (const struct decoded(*)[16])a, &b, 16, 16, d)) {
            memcpy(tile->d, d, sizeof d);
            return;
        }
    }
    special_tile(core, type, tile);
}
