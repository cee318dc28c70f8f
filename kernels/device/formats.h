/*
 * formats.h: the codes of int4, int8, fp8 and dense weights, by rows (kernel.h), for the skeletons that NF4
 * goes through as well: eight at a time, as fp32 values, or four at a time as 16-bit weights.
 *
 * A value (int4: code - zero point) is exact in fp32 and in both 16-bit types, except int8 in bf16. To get it, a
 * code is put into the fraction of a power of two, and that power plus the zero point is subtracted: there is no
 * lookup and no conversion of an integer.
 *
 * A weight is RN_T(RN32(value * scale)). The product is exact in fp32, as a scale has 11 bits and a value up to 8.
 * It is rounded once, to T.
 *   fp16   one fp16 multiplication
 *   bf16   A scale is split into two bf16: its first 8 bits and its last 3. The product of the last and an int4 value
 *          is exact in bf16, and an fma that adds the product of the first rounds once: two instructions a pair,
 *          where the way through fp32 takes five.
 */
#ifndef NF4BENCH_KERNELS_DEVICE_FORMATS_H
#define NF4BENCH_KERNELS_DEVICE_FORMATS_H

#include "kernels/device/gemm.h"

enum device_format { INT4, INT8, FP8, DENSE };

/* Which nibble of a byte has the even element: by rows the high one, in the words of packages the low one. In
 * PAIRS, a word has the nibbles of two elements at the same place of its halves. */
enum nibbles { HIGH_FIRST, LOW_FIRST, PAIRS };

#define CODE_BITS(f, t) ((f) == INT4 ? 4u : (f) != DENSE ? 8u : (t) == ELEMENT_F32 ? 32u : 16u)

/* ---- blocks ---- */

/* The block of element i, which is in row n: one that is no power of two is a row. */
DEVICE size_t block_of(const struct weights *w, size_t i, size_t n)
{
    return w->blocksize & (w->blocksize - 1) ? n : i >> nf4_block_shift(w);
}

/* What is stored of a block, as it is. */
struct stored_block {
    uint16_t scale;
    uint8_t zero;
};
DEVICE struct stored_block stored_block_load(enum device_format f, const struct weights *w, size_t block)
{
    struct stored_block b = {0, 8};
    if (f != DENSE)
        b.scale = w->scale[block];
    if (f == INT4 && w->zero)
        b.zero = w->zero[block];
    return b;
}

/* What decoding to T takes of it. zero: what is added to a code in its power of two, for int4 and int8. fp32,
 * and 16-bit weights that go through it: scale and zero in fp32. Else pairs of T; of bf16 the scale's first
 * bits and, in `rest`, the others; of fp16 PAIRS `rest` is the zero for nibbles that are high in their byte.
 */
struct ready_block {
    uint32_t scale, zero, rest;
};

#define THROUGH_F32(f, t) ((t) == ELEMENT_F32 || ((t) == ELEMENT_BF16 && (f) != INT4))

/* -(2^23 + zero); int8 codes are used as code + 128. */
DEVICE uint32_t zero_f32(enum device_format f, uint32_t zero)
{
    return f == INT8 ? 0xcb000080u : 0xcb000000u + zero;
}

DEVICE struct ready_block block_ready(enum device_format f, enum device_element t, enum nibbles order,
                                      struct stored_block stored)
{
    struct ready_block b = {0, 0, 0};
    if (THROUGH_F32(f, t)) {
        b.scale = __float_as_uint(f32_of_f16(stored.scale));
        b.zero = zero_f32(f, stored.zero);
    } else if (t == ELEMENT_F16) {
        /* A nibble that is high in its byte is used as 64 + code, whose ulp is 1 / 16. */
        b.scale = stored.scale | (uint32_t)stored.scale << 16;
        if (f == INT8)
            b.zero = 0xe480e480u;
        else if (order == HIGH_FIRST)
            b.zero = 0xe400d400u + stored.zero * 0x00010010u;
        else if (order == LOW_FIRST)
            b.zero = 0xd400e400u + stored.zero * 0x00100001u;
        else
            b.zero = 0xe400e400u + stored.zero * 0x00010001u;
        b.rest = 0xd400d400u + stored.zero * 0x00100010u;
    } else {
        /* `rest` has the scale's sign, also where it is 0, so that a product of 0 has the right one. */
        const float scale = f32_of_f16(stored.scale);
        const uint32_t bits = __float_as_uint(scale);
        float rest = __fadd_rn(scale, -__uint_as_float(bits & 0xffff0000u));
        if ((stored.scale & 0x7c00) == 0x7c00)
            rest = 0.0f;
        b.scale = prmt(bits, bits, 0x3232);
        b.rest = prmt(__float_as_uint(rest) | (bits & 0x80000000u), 0, 0x3232);
        b.zero = 0xc300c300u + stored.zero * 0x00010001u;
    }
    return b;
}

/* ---- codes ---- */

/* Eight codes from element i on, as they lie. */
template <unsigned BITS> struct codes8 {
    uint32_t word[BITS / 4];
};

/* i is a multiple of 8. */
template <unsigned BITS> DEVICE struct codes8<BITS> codes8_load(const uint8_t *packed, size_t i) {
    struct codes8<BITS> c;
    const uint8_t *p = packed + i * BITS / 8;
    if (BITS == 4) {
        c.word[0] = load_stream32(p);
    } else if (BITS == 8) {
        const uint2 v = load_stream64(p);
        c.word[0] = v.x;
        c.word[1] = v.y;
    } else {
        UNROLL
        for (unsigned j = 0; j < BITS / 4; j += 4) {
            const uint4 v = load_stream128(p + 4 * j);
            c.word[j] = v.x;
            c.word[j + 1] = v.y;
            c.word[j + 2] = v.z;
            c.word[j + 3] = v.w;
        }
    }
    return c;
}

/* From any element; `count` (up to 8) exist, and the others' bits are 0. */
template <unsigned BITS>
DEVICE struct codes8<BITS> codes8_load_some(const uint8_t *packed, size_t i, size_t count) {
    struct codes8<BITS> c;
    UNROLL
    for (unsigned j = 0; j < BITS / 4; j++)
        c.word[j] = 0;
    UNROLL
    for (unsigned j = 0; j < 8; j++)
        if (j < count) {
            if (BITS == 4)
                c.word[0] |= nf4_code(packed, i + j) << 4 * (j ^ 1);
            else if (BITS == 8)
                c.word[j / 4] |= (uint32_t)packed[i + j] << 8 * (j % 4);
            else if (BITS == 16)
                c.word[j / 2] |= (uint32_t)((const uint16_t *)packed)[i + j] << 16 * (j % 2);
            else
                c.word[j] = ((const uint32_t *)packed)[i + j];
        }
    return c;
}

/* N values (4 or 8) from codes, before `zero` is added: int4 and int8 are 2^23 more. */
template <enum device_format F, enum device_element T, unsigned N>
DEVICE void values_raw(float (&v)[N], const uint32_t *word, enum nibbles order)
{
    if (F == INT4) {
        const uint32_t low = word[0] & 0x0f0f0f0fu;
        const uint32_t high = word[0] >> 4 & 0x0f0f0f0fu;
        UNROLL
        for (unsigned j = 0; j < N; j++)
            v[j] = __uint_as_float(
                prmt((j % 2 == 0) == (order == HIGH_FIRST) ? high : low, 0x4b000000u, 0x7540u + j / 2));
    } else if (F == INT8) {
        UNROLL
        for (unsigned j = 0; j < N; j++)
            v[j] = __uint_as_float(prmt(word[j / 4] ^ 0x80808080u, 0x4b000000u, 0x7540u + j % 4));
    } else if (F == FP8) {
        UNROLL
        for (unsigned j = 0; j < N; j += 2) {
            const uint32_t pair = f16x2_of_e4m3x2((uint16_t)(word[j / 4] >> 8 * (j % 4)));
            v[j] = low_of_pair(ELEMENT_F16, pair);
            v[j + 1] = high_of_pair(ELEMENT_F16, pair);
        }
    } else if (T == ELEMENT_F32) {
        UNROLL
        for (unsigned j = 0; j < N; j++)
            v[j] = __uint_as_float(word[j]);
    } else {
        UNROLL
        for (unsigned j = 0; j < N; j += 2) {
            v[j] = low_of_pair(T, word[j / 2]);
            v[j + 1] = high_of_pair(T, word[j / 2]);
        }
    }
}
/* zero: as block_ready() has it for fp32. */
template <enum device_format F> DEVICE float value_of_raw(float raw, uint32_t zero)
{
    return F == INT4 || F == INT8 ? __fadd_rn(raw, __uint_as_float(zero)) : raw;
}

/* Four weights of a 16-bit type, elements 0, 1 and elements 2, 3. word: of int4 it has eight, and they are of
 * its low half, or of its high one where `half` is 1. */
template <enum device_format F, enum device_element T>
DEVICE uint2 weights4(uint32_t word, unsigned half, struct ready_block b, enum nibbles order)
{
    const uint32_t none = 0x80008000u; /* added to a product: -0 */
    if (THROUGH_F32(F, T)) {
        float v[4];
        values_raw<F, T>(v, &word, order);
        UNROLL
        for (unsigned j = 0; j < 4; j++)
            v[j] = __fmul_rn(value_of_raw<F>(v[j], b.zero), __uint_as_float(b.scale));
        return make_uint2(pair_of_f32(T, v[0], v[1]), pair_of_f32(T, v[2], v[3]));
    }
    if (F == FP8)
        return make_uint2(fma_f16x2(f16x2_of_e4m3x2((uint16_t)word), b.scale, none),
                          fma_f16x2(f16x2_of_e4m3x2((uint16_t)(word >> 16)), b.scale, none));
    if (F == INT8) {
        const uint32_t biased = word ^ 0x80808080u, one = 0x3c003c00u;
        const uint32_t x = fma_f16x2(prmt(biased, 0x64646464u, 0x4140), one, b.zero);
        const uint32_t y = fma_f16x2(prmt(biased, 0x64646464u, 0x4342), one, b.zero);
        return make_uint2(fma_f16x2(x, b.scale, none), fma_f16x2(y, b.scale, none));
    }
    if (T == ELEMENT_F16) {
        /* A byte in both halves: of one the low nibble is kept, 1024 + code, of the other the high one, 1024
         * + 16 code, which the fma divides by 16. */
        const uint32_t keep = order == HIGH_FIRST ? 0x000f00f0u : 0x00f0000fu;
        const uint32_t times = order == HIGH_FIRST ? 0x3c002c00u : 0x2c003c00u;
        const uint32_t x =
            fma_f16x2(lop3<0xea>(prmt(word, word, 0x0000 + half * 0x2222), keep, 0x64006400u), times, b.zero);
        const uint32_t y =
            fma_f16x2(lop3<0xea>(prmt(word, word, 0x1111 + half * 0x2222), keep, 0x64006400u), times, b.zero);
        return make_uint2(fma_f16x2(x, b.scale, none), fma_f16x2(y, b.scale, none));
    }
    /* 128 + code has room for no other bit in bf16: the high nibbles are moved down. */
    const uint32_t high = word >> 4, one = 0x3f803f80u, keep = 0x000f000fu;
    const uint32_t first = order == HIGH_FIRST ? high : word, second = order == HIGH_FIRST ? word : high;
    const uint32_t x =
        fma_bf16x2(lop3<0xea>(prmt(first, second, 0x4400 + half * 0x2222), keep, 0x43004300u), one, b.zero);
    const uint32_t y =
        fma_bf16x2(lop3<0xea>(prmt(first, second, 0x5511 + half * 0x2222), keep, 0x43004300u), one, b.zero);
    return make_uint2(fma_bf16x2(x, b.scale, fma_bf16x2(x, b.rest, none)),
                      fma_bf16x2(y, b.scale, fma_bf16x2(y, b.rest, none)));
}

/* Two int4 weights whose codes are bits 0 to 3 of the halves of x, or with `high` bits 4 to 7. b: of PAIRS.
 */
template <enum device_element T> DEVICE uint32_t weights2(uint32_t x, bool high, struct ready_block b)
{
    const uint32_t none = 0x80008000u;
    if (T == ELEMENT_F16) {
        const uint32_t code = lop3<0xea>(x, high ? 0x00f000f0u : 0x000f000fu, 0x64006400u);
        return fma_f16x2(fma_f16x2(code, high ? 0x2c002c00u : 0x3c003c00u, high ? b.rest : b.zero), b.scale,
                         none);
    }
    const uint32_t code = lop3<0xea>(high ? x >> 4 : x, 0x000f000fu, 0x43004300u);
    const uint32_t value = fma_bf16x2(code, 0x3f803f80u, b.zero);
    return fma_bf16x2(value, b.scale, fma_bf16x2(value, b.rest, none));
}

/* One int4 weight in fp32, before it is rounded to its type. */
DEVICE float int4_weight(uint32_t code, struct stored_block b)
{
    const float value = value_of_raw<INT4>(__uint_as_float(0x4b000000u | code), zero_f32(INT4, b.zero));
    return __fmul_rn(value, f32_of_f16(b.scale));
}

/* ---- one by one, where nothing is aligned ---- */

template <enum device_format F, enum device_element T>
DEVICE float weight_at(const struct weights *w, size_t i, size_t n)
{
    const struct codes8<CODE_BITS(F, T)> c = codes8_load_some<CODE_BITS(F, T)>(w->packed, i, 1);
    float v[4];
    values_raw<F, T>(v, c.word, HIGH_FIRST);
    if (F == DENSE)
        return v[0];
    const struct stored_block b = stored_block_load(F, w, block_of(w, i, n));
    return __fmul_rn(value_of_raw<F>(v[0], zero_f32(F, b.zero)), f32_of_f16(b.scale));
}

#endif
