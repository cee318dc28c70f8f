/*
 * nf4_avx512.h: decode with AVX-512 F, BW, DQ and VL.
 *
 * Four bits: the 16 values scaled by a block's scale (and rounded to the output type) fit one register, so a
 * weight costs a table lookup and nothing else, NF4 or int4: vpermps looks up 16 fp32 entries, vpermw 32
 * entries of 16 bits. Both ignore the index bits that they do not need, so a nibble needs no mask: vpermps
 * reads 4 bits; vpermw reads 5, and a table that is held twice makes the fifth harmless. Eight bits: codes
 * are converted to fp32 and scaled one by one.
 */
#ifndef NF4BENCH_KERNELS_CPU_NF4_AVX512_H
#define NF4BENCH_KERNELS_CPU_NF4_AVX512_H

#include <immintrin.h>

#include "kernels/cpu/nf4.h"

/* The 16 values of a format of four bits. */
INLINE __m512 values_512(enum cpu_format format, unsigned zero)
{
    if (format != INT4)
        return _mm512_load_ps(nf4_codebook);
    const __m512i codes = _mm512_set_epi32(15, 14, 13, 12, 11, 10, 9, 8, 7, 6, 5, 4, 3, 2, 1, 0);
    return _mm512_cvtepi32_ps(_mm512_sub_epi32(codes, _mm512_set1_epi32((int)zero)));
}

/* RN32(value * scale) of these. */
INLINE __m512 scaled_512(enum cpu_format format, struct block b)
{
    return _mm512_mul_ps(values_512(format, b.zero), _mm512_set1_ps(b.scale));
}

/* Nearest even to bf16 in integers: the convert instruction would flush denormals. NaN stays NaN. */
INLINE __m256i bf16_of_ps_512(__m512 x)
{
    __m512i u = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    __m512i rounded = _mm512_add_epi32(_mm512_add_epi32(u, odd), _mm512_set1_epi32(0x7fff));
    __mmask16 nan = _mm512_cmp_ps_mask(x, x, _CMP_UNORD_Q);
    rounded = _mm512_mask_or_epi32(rounded, nan, u, _mm512_set1_epi32(0x400000));
    return _mm512_cvtepi32_epi16(_mm512_srli_epi32(rounded, 16));
}

INLINE __m256i half_of_ps_512(enum element t, __m512 x)
{
    return t == ELEMENT_F16 ? _mm512_cvtps_ph(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)
                            : bf16_of_ps_512(x);
}

INLINE __m512 ps_of_half_512(enum element t, __m256i h)
{
    return t == ELEMENT_F16 ? _mm512_cvtph_ps(h)
                            : _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(h), 16));
}

/* Index for vpermt2w: the upper halves of the dwords of two vectors. */
INLINE __m512i upper_halves(void)
{
    return _mm512_set_epi32(0x3f003d, 0x3b0039, 0x370035, 0x330031, 0x2f002d, 0x2b0029, 0x270025, 0x230021,
                            0x1f001d, 0x1b0019, 0x170015, 0x130011, 0xf000d, 0xb0009, 0x70005, 0x30001);
}

/* Index for vpermw: words 1, 3 .. 31, twice. */
INLINE __m512i upper_halves_twice(void)
{
    return _mm512_set_epi32(0x1f001d, 0x1b0019, 0x170015, 0x130011, 0xf000d, 0xb0009, 0x70005, 0x30001,
                            0x1f001d, 0x1b0019, 0x170015, 0x130011, 0xf000d, 0xb0009, 0x70005, 0x30001);
}

/* To bf16 in the upper halves of dwords, where NaN, if any, has room to be added to. */
INLINE __m512i bf16_upper_512(__m512 x)
{
    __m512i u = _mm512_castps_si512(x);
    __m512i odd = _mm512_and_si512(_mm512_srli_epi32(u, 16), _mm512_set1_epi32(1));
    return _mm512_add_epi32(_mm512_add_epi32(u, _mm512_set1_epi32(0x7fff)), odd);
}

/* Rounded to T and held as fp32. */
INLINE __m512 rounded_512(enum element t, __m512 x)
{
    if (t == ELEMENT_F32)
        return x;
    if (t == ELEMENT_F16)
        return ps_of_half_512(t, half_of_ps_512(t, x));
    /* bf16 in place; a NaN, which is quiet already, is left alone. */
    return _mm512_castsi512_ps(_mm512_mask_and_epi32(_mm512_castps_si512(x),
                                                     _mm512_cmp_ps_mask(x, x, _CMP_ORD_Q), bf16_upper_512(x),
                                                     _mm512_set1_epi32((int)0xffff0000u)));
}

/* The 16 weights of a block, rounded to T and held as fp32. */
INLINE __m512 table_512(enum cpu_format format, enum element t, struct block b)
{
    return rounded_512(t, scaled_512(format, b));
}

INLINE bool scale_is_finite(float scale)
{
    return __builtin_expect((bits_of_float(scale) & 0x7f800000) != 0x7f800000, 1);
}

/* The 16 weights of a block in 16 bits, twice. Finite bf16: round in place, then one vpermw picks the upper
 * halves; a block of NaN takes the long way. */
INLINE __m512i table_words(enum cpu_format format, enum element t, struct block b)
{
    if (t == ELEMENT_BF16 && scale_is_finite(b.scale))
        return _mm512_permutexvar_epi16(upper_halves_twice(), bf16_upper_512(scaled_512(format, b)));
    return _mm512_broadcast_i64x4(half_of_ps_512(t, scaled_512(format, b)));
}

/* 8 packed bytes -> 16 fp32 weights in order. */
INLINE __m512 nf4_lookup16_ps(__m512 table, const uint8_t *packed)
{
    const __m512i spread = _mm512_set_epi32(7, 7, 6, 6, 5, 5, 4, 4, 3, 3, 2, 2, 1, 1, 0, 0);
    const __m512i high_low = _mm512_set1_epi64(4);
    uint64_t eight;
    memcpy(&eight, packed, sizeof eight);
    __m512i bytes = _mm512_shuffle_epi8(_mm512_set1_epi64((long long)eight), spread);
    return _mm512_permutexvar_ps(_mm512_srlv_epi32(bytes, high_low), table);
}

/* 16 packed bytes -> 32 16-bit weights in order: word 2j is byte j's high nibble, word 2j+1 its low one. */
INLINE __m512i nf4_lookup32_words(__m512i table, const uint8_t *packed)
{
    const __m512i spread = _mm512_set_epi32(0x0f0f0f0f, 0x0e0e0e0e, 0x0d0d0d0d, 0x0c0c0c0c, 0x0b0b0b0b,
                                            0x0a0a0a0a, 0x09090909, 0x08080808, 0x07070707, 0x06060606,
                                            0x05050505, 0x04040404, 0x03030303, 0x02020202, 0x01010101, 0);
    const __m512i high_low = _mm512_set1_epi32(4);
    __m512i bytes = _mm512_broadcast_i32x4(_mm_loadu_si128((const __m128i *)packed));
    __m512i index = _mm512_srlv_epi16(_mm512_shuffle_epi8(bytes, spread), high_low);
    return _mm512_permutexvar_epi16(index, table);
}

/* 16 codes of int8 or fp8 -> their values. */
INLINE __m512 bytes16_ps(enum cpu_format format, const uint8_t *codes)
{
    __m128i bytes = _mm_loadu_si128((const __m128i *)codes);
    if (format == INT8)
        return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(bytes));
    /* As fp16 the bits are 2^-8 times as much; that conversion takes denormals as fast as others. */
    __m256i half =
        _mm256_and_si256(_mm256_slli_epi16(_mm256_cvtepi8_epi16(bytes), 7), _mm256_set1_epi16((short)0xbf80));
    __mmask16 nan = _mm_cmpeq_epi8_mask(_mm_or_si128(bytes, _mm_set1_epi8((char)0x80)), _mm_set1_epi8(-1));
    return _mm512_mul_ps(_mm512_cvtph_ps(_mm256_mask_mov_epi16(half, nan, _mm256_set1_epi16(0x7e00))),
                         _mm512_set1_ps(256));
}

/* The 16-lane vector of the chain products. */
typedef struct v16 {
    __m512 v;
} v16;

INLINE v16 v16_zero(void)
{
    return (v16){_mm512_setzero_ps()};
}

INLINE v16 v16_set1(float x)
{
    return (v16){_mm512_set1_ps(x)};
}

INLINE v16 v16_load(const float *p)
{
    return (v16){_mm512_loadu_ps(p)};
}

INLINE void v16_store(float *p, v16 v)
{
    _mm512_storeu_ps(p, v.v);
}

INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
    return (v16){_mm512_fmadd_ps(a.v, b.v, c.v)};
}

/* Lanes of a where the bit of mask is set, of b elsewhere. */
INLINE v16 v16_select(unsigned mask, v16 a, v16 b)
{
    return (v16){_mm512_mask_mov_ps(b.v, (__mmask16)mask, a.v)};
}

/* The halving tree over the lanes. */
INLINE float v16_tree(v16 v)
{
    __m256 by8 = _mm256_add_ps(_mm512_castps512_ps256(v.v), _mm512_extractf32x8_ps(v.v, 1));
    __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
}

/* 16 elements of type t as fp32, and back with one rounding. */
INLINE v16 v16_load_element(enum element t, const void *p)
{
    return t == ELEMENT_F32 ? v16_load(p) : (v16){ps_of_half_512(t, _mm256_loadu_si256(p))};
}

INLINE void v16_store_element(enum element t, void *p, v16 v)
{
    if (t == ELEMENT_F32)
        v16_store(p, v);
    else
        _mm256_storeu_si256(p, half_of_ps_512(t, v.v));
}

/* What decode_v16() needs of a block: of four bits the table of its weights (PER_WEIGHT) or values, of eight
 * the scale. */
INLINE v16 decoder_v16(enum cpu_format format, enum element t, enum scaling scaling, struct block b)
{
    if (!is_nibbles(format))
        return (v16){_mm512_set1_ps(b.scale)};
    return (v16){scaling == PER_WEIGHT ? table_512(format, t, b) : values_512(format, b.zero)};
}

/* 16 codes -> weights, or values, in order. */
INLINE v16 decode_v16(enum cpu_format format, enum element t, enum scaling scaling, v16 decoder,
                      const uint8_t *codes)
{
    if (is_nibbles(format))
        return (v16){nf4_lookup16_ps(decoder.v, codes)};
    if (format == DENSE)
        return v16_load_element(t, codes);
    __m512 values = bytes16_ps(format, codes);
    return (v16){scaling == PER_WEIGHT ? rounded_512(t, _mm512_mul_ps(values, decoder.v)) : values};
}

#endif
