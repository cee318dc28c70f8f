/*
 * nf4.h: what all CPU variants share, in plain C: the codebook of NF4, the 16-bit types, the scale of a
 * block, the value of one weight, and the share of a thread in a range.
 *
 * All functions are inlined, and their arguments `element` and `format` are constants. So one body serves
 * every contract, and the formats differ in their decode only.
 */
#ifndef NF4BENCH_KERNELS_CPU_NF4_H
#define NF4BENCH_KERNELS_CPU_NF4_H

#include <math.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __F16C__
#include <immintrin.h>
#endif
#include <omp.h>

#include "kernels/kernel.h"

#define INLINE static inline __attribute__((always_inline))

/* The words of a contract, as constants for inlining. */
enum element { ELEMENT_F32, ELEMENT_F16, ELEMENT_BF16 };
enum cpu_format {
    NF4, /* and how absmax is recovered */
    NF4_TWOSTEP,
    NF4_FUSED,
    INT4,
    INT4_SYMMETRIC, /* whose zero points are all 8, known as a constant */
    INT8,
    FP8,
    DENSE,
};
enum scaling { PER_WEIGHT, PER_BLOCK };

static const float nf4_codebook[16] __attribute__((aligned(64))) = {
    -0x1p+0f,        -0x1.647362p-1f, -0x1.0cd66p-1f, -0x1.94654p-2f, -0x1.23449ap-2f, -0x1.7a6a7ep-3f,
    -0x1.74f0e2p-4f, 0x0p+0f,         0x1.45f5fep-4f, 0x1.4995c6p-3f, 0x1.f809bap-3f,  0x1.5a0674p-2f,
    0x1.c34970p-2f,  0x1.200f56p-1f,  0x1.722766p-1f, 0x1p+0f,
};

INLINE size_t min_size(size_t a, size_t b)
{
    return a < b ? a : b;
}

INLINE size_t round_up(size_t x, size_t multiple)
{
    return (x + multiple - 1) / multiple * multiple;
}

INLINE size_t element_size(enum element t)
{
    return t == ELEMENT_F32 ? 4 : 2;
}

INLINE uint32_t bits_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    return bits;
}

INLINE float float_of_bits(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Nearest even; a NaN stays one (quiet, sign kept, payload truncated). */
INLINE uint16_t bf16_of_float(float x)
{
    uint32_t u = bits_of_float(x);
    if ((u & 0x7fffffffu) > 0x7f800000u)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((u + 0x7fff + (u >> 16 & 1)) >> 16);
}

INLINE float float_of_bf16(uint16_t h)
{
    return float_of_bits((uint32_t)h << 16);
}

INLINE uint16_t f16_of_float(float x)
{
    uint32_t u = bits_of_float(x), sign = u >> 16 & 0x8000, a = u & 0x7fffffff;
    if (a > 0x7f800000)
        return (uint16_t)(sign | 0x7e00 | (a >> 13 & 0x3ff));
    if (a >= 0x477ff000) /* 65520 and above */
        return (uint16_t)(sign | 0x7c00);
    if (a >= 0x38800000) /* normal: rebias the exponent, round off 13 bits */
        return (uint16_t)(sign | ((a - 0x38000000 + 0xfff + (a >> 13 & 1)) >> 13));
    /* Denormal: adding 0.5 leaves the value in units of 2^-24 in the low bits, rounded by the addition. */
    return (uint16_t)(sign | (bits_of_float(float_of_bits(a) + 0.5f) - 0x3f000000));
}

INLINE float float_of_f16(uint16_t h)
{
#ifdef __F16C__
    return _cvtsh_ss(h);
#else
    uint32_t sign = (uint32_t)(h & 0x8000) << 16, a = h & 0x7fff;
    if (a >= 0x7c00)
        return float_of_bits(sign | 0x7f800000 | (a & 0x3ff) << 13 | (a > 0x7c00 ? 0x400000 : 0));
    if (a >= 0x400)
        return float_of_bits(sign | ((a << 13) + 0x38000000));
    return float_of_bits(sign | bits_of_float((float)a * 0x1p-24f));
#endif
}

INLINE float load_element(enum element t, const void *array, size_t i)
{
    if (t == ELEMENT_F32)
        return ((const float *)array)[i];
    uint16_t h = ((const uint16_t *)array)[i];
    return t == ELEMENT_F16 ? float_of_f16(h) : float_of_bf16(h);
}

INLINE void store_element(enum element t, void *array, size_t i, float x)
{
    if (t == ELEMENT_F32)
        ((float *)array)[i] = x;
    else
        ((uint16_t *)array)[i] = t == ELEMENT_F16 ? f16_of_float(x) : bf16_of_float(x);
}

/* RN_T(x), widened back to fp32. */
INLINE float round_element(enum element t, float x)
{
    if (t == ELEMENT_F32)
        return x;
    return t == ELEMENT_F16 ? float_of_f16(f16_of_float(x)) : float_of_bf16(bf16_of_float(x));
}

/* absmax of block b. */
INLINE float nf4_absmax(const struct weights *w, size_t b, enum cpu_format format)
{
    if (format == NF4)
        return w->absmax[b];
    float value = w->nested_map[w->absmax_code[b]], scale = w->nested_absmax[b / 256];
    if (format == NF4_FUSED)
        return fmaf(value, scale, w->nested_offset);
    float product = value * scale;
    return product + w->nested_offset;
}

INLINE unsigned nf4_code(const uint8_t *packed, size_t i)
{
    return packed[i / 2] >> (i % 2 ? 0 : 4) & 15;
}

/* blocksize is a power of two: divide by it without dividing. */
INLINE unsigned nf4_block_shift(const struct weights *w)
{
    return (unsigned)__builtin_ctzll(w->blocksize);
}

/* k >> shift is the block of element k within its row, where rows of `columns` elements begin with a block. A
 * row of one block need not be a power of two: its shift gives block 0. */
INLINE unsigned row_block_shift(const struct weights *w, size_t columns)
{
    return w->blocksize == columns ? 63 : nf4_block_shift(w);
}

/* The number of blocks in such a row, without a division. */
INLINE size_t row_block_count(const struct weights *w, size_t columns)
{
    return w->blocksize == columns ? 1 : columns >> nf4_block_shift(w);
}

INLINE bool is_nf4(enum cpu_format format)
{
    return format == NF4 || format == NF4_TWOSTEP || format == NF4_FUSED;
}

/* Whether a code has four bits: then a block has at most 16 different weights. */
INLINE bool is_nibbles(enum cpu_format format)
{
    return is_nf4(format) || format == INT4 || format == INT4_SYMMETRIC;
}

/* Bytes of `count` codes. Where a code has four bits, `count` is even. */
INLINE size_t code_bytes(enum cpu_format format, enum element t, size_t count)
{
    return is_nibbles(format) ? count / 2 : format == DENSE ? count * element_size(t) : count;
}

/* What the weights of a block share. scale: absmax of NF4; 1 for dense weights. */
struct block {
    float scale;
    unsigned zero; /* int4 */
};
INLINE struct block block_at(const struct weights *w, enum cpu_format format, size_t b)
{
    if (is_nf4(format))
        return (struct block){nf4_absmax(w, b, format), 0};
    if (format == DENSE)
        return (struct block){1, 0};
    return (struct block){float_of_f16(w->scale[b]), format == INT4 && w->zero ? w->zero[b] : 8};
}

/* e4m3. The bits are moved to their places in fp32, and a product with 2^120 makes up for the bias of the
 * exponent; that is right for denormals, too. NaN is a case of its own. */
INLINE float float_of_fp8(uint8_t code)
{
    if ((code & 0x7f) == 0x7f)
        return float_of_bits(0x7fc00000);
    return float_of_bits((uint32_t)(code & 0x80) << 24 | (uint32_t)(code & 0x7f) << 20) * 0x1p+120f;
}

/* The unscaled value of element i of weights in row order. */
INLINE float value_at(const struct weights *w, enum cpu_format format, enum element t, size_t i,
                      unsigned zero)
{
    switch (format) {
    case INT4:
        return (float)((int)nf4_code(w->packed, i) - (int)zero);
    case INT8:
        return (float)(int8_t)w->packed[i];
    case FP8:
        return float_of_fp8(w->packed[i]);
    case DENSE:
        return load_element(t, w->packed, i);
    default:
        return nf4_codebook[nf4_code(w->packed, i)];
    }
}

/* RN_T(RN32(value * scale)), widened to fp32. */
INLINE float weight_at(const struct weights *w, enum cpu_format format, enum element t, size_t i,
                       struct block b)
{
    const float value = value_at(w, format, t, i, b.zero);
    return format == DENSE ? value : round_element(t, value * b.scale);
}

/* Element i: what a kernel in the making, which does not keep what a block's weights share, multiplies with. */
INLINE float nf4_element(const struct weights *w, size_t i, enum element t, enum cpu_format format)
{
    return weight_at(w, format, t, i, block_at(w, format, i / w->blocksize));
}

/* The calling thread's share of `count` items: contiguous ranges, sizes at most one apart. */
struct range {
    size_t begin, end;
};
INLINE struct range thread_range(size_t count)
{
    size_t thread = (size_t)omp_get_thread_num(), threads = (size_t)omp_get_num_threads();
    size_t each = count / threads, more = count % threads;
    size_t begin = thread * each + min_size(thread, more);
    return (struct range){begin, begin + each + (thread < more)};
}

/* X(word of a contract, element) for each type. */
#define FOR_ELEMENTS(X)                                                                                      \
    X(f32, ELEMENT_F32)                                                                                      \
    X(f16, ELEMENT_F16)                                                                                      \
    X(bf16, ELEMENT_BF16)

/* A dequantize: share(args, constants) on every thread. One parallel region per variant: the compiler
 * outlines it with its constants. */
#define DEQUANT(name, share, ...)                                                                            \
    void name(const struct dequant_args *a)                                                                  \
    {                                                                                                        \
        _Pragma("omp parallel") share(a, __VA_ARGS__);                                                       \
    }

#endif
