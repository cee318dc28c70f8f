/*
 * nf4_avx2.h: decode with AVX2, FMA and F16C, and the 16-lane vector of the chain products (v16).
 *
 * AVX2 has no 16-entry lookup wider than a byte. 16-bit weights are looked up as two byte planes of the
 * block's table (vpshufb, 16 entries) and joined again; fp32 weights as two halves of 8 (vpermps), picked by
 * the code's upper bit.
 */
#ifndef NF4BENCH_KERNELS_CPU_NF4_AVX2_H
#define NF4BENCH_KERNELS_CPU_NF4_AVX2_H

#include <immintrin.h>

#include "kernels/cpu/nf4.h"

/* 16 fp32 numbers. */
typedef struct v16 {
    __m256 lo, hi;
} v16;

/* The 16 values of a format of four bits. */
INLINE v16 values_v16(enum cpu_format format, unsigned zero)
{
    if (format != INT4)
        return (v16){_mm256_load_ps(nf4_codebook), _mm256_load_ps(nf4_codebook + 8)};
    const __m256i codes =
        _mm256_sub_epi32(_mm256_set_epi32(7, 6, 5, 4, 3, 2, 1, 0), _mm256_set1_epi32((int)zero));
    return (v16){_mm256_cvtepi32_ps(codes),
                 _mm256_cvtepi32_ps(_mm256_add_epi32(codes, _mm256_set1_epi32(8)))};
}

/* RN32(value * scale) of these. */
INLINE v16 scaled_v16(enum cpu_format format, struct block b)
{
    const v16 values = values_v16(format, b.zero);
    const __m256 scale = _mm256_set1_ps(b.scale);
    return (v16){_mm256_mul_ps(values.lo, scale), _mm256_mul_ps(values.hi, scale)};
}

/* Nearest even to bf16 in the upper halves of 8 dwords (the lower halves are not meant); NaN stays NaN. */
INLINE __m256i bf16_upper_256(__m256 x)
{
    __m256i u = _mm256_castps_si256(x);
    __m256i odd = _mm256_and_si256(_mm256_srli_epi32(u, 16), _mm256_set1_epi32(1));
    __m256i rounded = _mm256_add_epi32(_mm256_add_epi32(u, odd), _mm256_set1_epi32(0x7fff));
    __m256i quiet = _mm256_or_si256(u, _mm256_set1_epi32(0x400000));
    return _mm256_blendv_epi8(rounded, quiet, _mm256_castps_si256(_mm256_cmp_ps(x, x, _CMP_UNORD_Q)));
}

/* 16 numbers rounded to 16 bits, in order. */
INLINE __m256i half_of_v16(enum element t, v16 x)
{
    if (t == ELEMENT_F16) {
        enum { NEAREST = _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC };
        return _mm256_set_m128i(_mm256_cvtps_ph(x.hi, NEAREST), _mm256_cvtps_ph(x.lo, NEAREST));
    }
    __m256i lo = _mm256_srli_epi32(bf16_upper_256(x.lo), 16),
            hi = _mm256_srli_epi32(bf16_upper_256(x.hi), 16);
    return _mm256_permute4x64_epi64(_mm256_packus_epi32(lo, hi), 0xd8);
}

INLINE __m256 ps_of_half_256(enum element t, __m128i h)
{
    return t == ELEMENT_F16 ? _mm256_cvtph_ps(h)
                            : _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(h), 16));
}

/* The table of a block as byte planes for vpshufb. */
struct nf4_planes {
    __m256i low, high;
};
INLINE struct nf4_planes planes_256(enum cpu_format format, enum element t, struct block b)
{
    __m256i words = half_of_v16(t, scaled_v16(format, b));
    __m256i bytes =
        _mm256_packus_epi16(_mm256_and_si256(words, _mm256_set1_epi16(0xff)), _mm256_srli_epi16(words, 8));
    bytes = _mm256_permute4x64_epi64(bytes, 0xd8); /* 16 low bytes, 16 high bytes */
    return (struct nf4_planes){_mm256_permute2x128_si256(bytes, bytes, 0x00),
                               _mm256_permute2x128_si256(bytes, bytes, 0x11)};
}

/* 32 packed bytes -> 64 16-bit weights in order. */
INLINE void nf4_lookup64_words(struct nf4_planes planes, const uint8_t *packed, __m256i out[4])
{
    /* Dwords 0 2 4 6 | 1 3 5 7, so that each unpack below leaves neighbours in its two lanes. */
    const __m256i order = _mm256_set_epi32(7, 5, 3, 1, 6, 4, 2, 0), nibble = _mm256_set1_epi8(15);
    __m256i bytes = _mm256_permutevar8x32_epi32(_mm256_loadu_si256((const __m256i *)packed), order);
    __m256i even = _mm256_and_si256(_mm256_srli_epi16(bytes, 4), nibble),
            odd = _mm256_and_si256(bytes, nibble);
    __m256i codes[2] = {_mm256_unpacklo_epi8(even, odd), _mm256_unpackhi_epi8(even, odd)};
    for (int i = 0; i < 2; i++) {
        __m256i low = _mm256_shuffle_epi8(planes.low, codes[i]),
                high = _mm256_shuffle_epi8(planes.high, codes[i]);
        out[2 * i] = _mm256_unpacklo_epi8(low, high);
        out[2 * i + 1] = _mm256_unpackhi_epi8(low, high);
    }
}

/* Rounded to T and held as fp32. */
INLINE v16 rounded_v16(enum element t, v16 x)
{
    if (t == ELEMENT_F32)
        return x;
    if (t == ELEMENT_BF16) {
        const __m256 upper = _mm256_castsi256_ps(_mm256_set1_epi32((int)0xffff0000u));
        return (v16){_mm256_and_ps(_mm256_castsi256_ps(bf16_upper_256(x.lo)), upper),
                     _mm256_and_ps(_mm256_castsi256_ps(bf16_upper_256(x.hi)), upper)};
    }
    __m256i half = half_of_v16(t, x);
    return (v16){ps_of_half_256(t, _mm256_castsi256_si128(half)),
                 ps_of_half_256(t, _mm256_extracti128_si256(half, 1))};
}

/* The entries of codes in bits 0-3; `bit3` has bit 3 of the code as its sign. vpermps reads 3 bits of an
 * index; bit 3 picks the half. */
INLINE __m256 v16_lookup(v16 table, __m256i codes, __m256i bit3)
{
    return _mm256_blendv_ps(_mm256_permutevar8x32_ps(table.lo, codes),
                            _mm256_permutevar8x32_ps(table.hi, codes), _mm256_castsi256_ps(bit3));
}

/* 4 packed bytes -> 8 fp32 weights in order. */
INLINE __m256 nf4_lookup8_ps(v16 table, uint32_t packed)
{
    const __m256i shift = _mm256_set_epi32(24, 28, 16, 20, 8, 12, 0, 4);
    __m256i code = _mm256_srlv_epi32(_mm256_set1_epi32((int)packed), shift);
    return v16_lookup(table, code, _mm256_slli_epi32(code, 28));
}

/* 8 packed bytes -> 16 fp32 weights in order. */
INLINE v16 nf4_lookup_v16(v16 table, const uint8_t *packed)
{
    uint32_t four[2];
    memcpy(four, packed, sizeof four);
    return (v16){nf4_lookup8_ps(table, four[0]), nf4_lookup8_ps(table, four[1])};
}

INLINE v16 v16_zero(void)
{
    return (v16){_mm256_setzero_ps(), _mm256_setzero_ps()};
}

INLINE v16 v16_set1(float x)
{
    return (v16){_mm256_set1_ps(x), _mm256_set1_ps(x)};
}

INLINE v16 v16_load(const float *p)
{
    return (v16){_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}

INLINE void v16_store(float *p, v16 v)
{
    _mm256_storeu_ps(p, v.lo);
    _mm256_storeu_ps(p + 8, v.hi);
}

INLINE v16 v16_fma(v16 a, v16 b, v16 c)
{
    return (v16){_mm256_fmadd_ps(a.lo, b.lo, c.lo), _mm256_fmadd_ps(a.hi, b.hi, c.hi)};
}

/* Lanes of a where the bit of mask is set, of b elsewhere. */
INLINE v16 v16_select(unsigned mask, v16 a, v16 b)
{
    const __m256i bit = _mm256_set_epi32(128, 64, 32, 16, 8, 4, 2, 1);
    __m256i lo = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)mask), bit), bit);
    __m256i hi = _mm256_cmpeq_epi32(_mm256_and_si256(_mm256_set1_epi32((int)(mask >> 8)), bit), bit);
    return (v16){_mm256_blendv_ps(b.lo, a.lo, _mm256_castsi256_ps(lo)),
                 _mm256_blendv_ps(b.hi, a.hi, _mm256_castsi256_ps(hi))};
}

/* The halving tree over the lanes. */
INLINE float v16_tree(v16 v)
{
    __m256 by8 = _mm256_add_ps(v.lo, v.hi);
    __m128 by4 = _mm_add_ps(_mm256_castps256_ps128(by8), _mm256_extractf128_ps(by8, 1));
    __m128 by2 = _mm_add_ps(by4, _mm_movehl_ps(by4, by4));
    return _mm_cvtss_f32(_mm_add_ss(by2, _mm_movehdup_ps(by2)));
}

/* 16 elements of type t as fp32, and back with one rounding. */
INLINE v16 v16_load_element(enum element t, const void *p)
{
    if (t == ELEMENT_F32)
        return v16_load(p);
    const __m128i *half = p;
    return (v16){ps_of_half_256(t, _mm_loadu_si128(half)), ps_of_half_256(t, _mm_loadu_si128(half + 1))};
}

INLINE void v16_store_element(enum element t, void *p, v16 v)
{
    if (t == ELEMENT_F32)
        v16_store(p, v);
    else
        _mm256_storeu_si256(p, half_of_v16(t, v));
}

/* The 16 weights of a block, rounded to T and held as fp32. */
INLINE v16 table_v16(enum cpu_format format, enum element t, struct block b)
{
    return rounded_v16(t, scaled_v16(format, b));
}

/* What decode_v16() needs of a block: the table of its weights (PER_WEIGHT) or values. */
INLINE v16 decoder_v16(enum cpu_format format, enum element t, enum scaling scaling, struct block b)
{
    return scaling == PER_WEIGHT ? table_v16(format, t, b) : values_v16(format, b.zero);
}

/* 16 codes -> weights, or values, in order. Variants with AVX2 have formats of four bits alone. */
INLINE v16 decode_v16(enum cpu_format format, enum element t, enum scaling scaling, v16 decoder,
                      const uint8_t *codes)
{
    (void)format, (void)t, (void)scaling;
    return nf4_lookup_v16(decoder, codes);
}

#endif
