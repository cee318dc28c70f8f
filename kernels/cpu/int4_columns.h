/*
 * int4_columns.h: the decode of GPTQ and AWQ with AVX-512. In these layouts the columns of the stored matrix,
 * which are the rows n of W, lie side by side.
 *
 * A nibble becomes a float without a shift and without a conversion. P is the power of two whose last
 * mantissa bit lies where the nibble begins.
 *     bits of P | nibble in place     is the float P + q
 *     (P + q) - (P + zero)            is q - zero, and exact
 * Nibbles 0 to 4 of a word fit into a mantissa where they lie. Nibbles 5, 6 and 7 fit after one shift of the
 * word by 12.
 *
 * One step takes a vector of 16 words:
 *     GPTQ   16 columns of 8 k
 *     AWQ    128 columns of one k; nibble i of lane l is column 8 l + 0 2 4 6 1 3 5 7 [i]
 * The words of zero points of AWQ have the order of its codes, so P + zero is made as P + q is.
 */
#ifndef NF4BENCH_KERNELS_CPU_INT4_COLUMNS_H
#define NF4BENCH_KERNELS_CPU_INT4_COLUMNS_H

#include "kernels/cpu/formats.h"
#include "kernels/cpu/nf4_avx512.h"

enum { PLACES = 5 }; /* at which a nibble fits into a mantissa */

/* The place of nibble i, after the shift of nibbles 5, 6 and 7. */
INLINE int nibble_place(int i)
{
    return i < PLACES ? i : i - 3;
}

/* The bits of the power of two that has its last place at 4 `place`. */
INLINE __m512i place_power(int place)
{
    return _mm512_set1_epi32((127 + 23 - 4 * place) << 23);
}

/* The words of a step: low as they are, high shifted by 12 bits. */
struct words {
    __m512i low, high;
};
INLINE struct words words_of(__m512i v)
{
    return (struct words){v, _mm512_srli_epi32(v, 12)};
}

/* P + q of nibble i. */
INLINE __m512 nibble_over_power(struct words w, int i)
{
    const int place = nibble_place(i);
    return _mm512_castsi512_ps(_mm512_ternarylogic_epi32(i < PLACES ? w.low : w.high,
                                                         _mm512_set1_epi32(15 << 4 * place),
                                                         place_power(place), 0xea)); /* a & b | c */
}

/* The columns from c on that exist, of 16. */
INLINE __mmask16 column_mask(size_t n, size_t c)
{
    return (__mmask16)(c < n ? (1u << min_size(16, n - c)) - 1 : 0);
}

/* 16 columns are two words: which of them exist. */
INLINE __mmask8 two_words(__mmask16 columns)
{
    return (__mmask8)((columns & 1) | (columns >> 8 & 1) << 1);
}

/* GPTQ: the zero points of group g for those of columns c to c + 15 that the mask names. */
INLINE __m512i gptq_zeros(const struct matrix *w, enum cpu_layout layout, size_t g, size_t c, __mmask16 mask)
{
    const __m512i word = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i shift = _mm512_set_epi32(28, 24, 20, 16, 12, 8, 4, 0, 28, 24, 20, 16, 12, 8, 4, 0);
    const uint32_t *zeros = matrix_words(w, w->parts.zeros) + (g * w->n + c) / 8;
    __m128i two = _mm_maskz_loadu_epi32(two_words(mask), zeros);
    __m512i z = _mm512_srlv_epi32(_mm512_permutexvar_epi32(word, _mm512_castsi128_si512(two)), shift);
    z = _mm512_and_si512(z, _mm512_set1_epi32(15));
    return layout == GPTQ ? _mm512_add_epi32(z, _mm512_set1_epi32(1)) : z;
}

/* P + zero at each place. */
INLINE void gptq_offsets(__m512i zeros, float offset[PLACES][16])
{
    for (int p = 0; p < PLACES; p++)
        _mm512_store_si512(offset[p],
                           _mm512_add_epi32(_mm512_slli_epi32(zeros, (unsigned)(4 * p)), place_power(p)));
}

INLINE __m512 column_scales(const struct matrix *w, size_t g, size_t c, __mmask16 mask)
{
    return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, matrix_halves(w, w->parts.scales) + g * w->n + c));
}

/* AWQ: the words of columns c to c + 127 that exist. */
INLINE __mmask16 awq_words(size_t n, size_t c)
{
    return (__mmask16)((1u << min_size(16, (n - c) / 8)) - 1);
}

/* AWQ: of columns c to c + 127 the zero points and scales of group g, in the order of the nibbles. */
INLINE void awq_offsets(const struct matrix *w, size_t g, size_t c, float offset[8][16])
{
    const struct words z = words_of(
        _mm512_maskz_loadu_epi32(awq_words(w->n, c), matrix_words(w, w->parts.zeros) + (g * w->n + c) / 8));
    for (int i = 0; i < 8; i++)
        _mm512_store_ps(offset[i], nibble_over_power(z, i));
}
INLINE void awq_scales(const struct matrix *w, size_t g, size_t c, __m512 scale[8])
{
    /* Pairs of columns 2j, 2j + 1 of each 8 are dwords: dword j of all, for nibbles j (even) and j + 4. */
    const __m512i by_pair = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    const uint16_t *halves = matrix_halves(w, w->parts.scales) + g * w->n + c;
    __m512i v[4];
    for (size_t i = 0; i < 4; i++) {
        size_t left = w->n - c > 32 * i ? min_size(32, w->n - c - 32 * i) : 0;
        v[i] = _mm512_maskz_loadu_epi16((__mmask32)((1ull << left) - 1), halves + 32 * i);
        v[i] = _mm512_permutexvar_epi32(by_pair, v[i]);
    }
    __m512i a = _mm512_shuffle_i64x2(v[0], v[1], 0x44), b = _mm512_shuffle_i64x2(v[2], v[3], 0x44);
    __m512i c2 = _mm512_shuffle_i64x2(v[0], v[1], 0xee), d = _mm512_shuffle_i64x2(v[2], v[3], 0xee);
    v[0] = _mm512_shuffle_i64x2(a, b, 0x88);
    v[1] = _mm512_shuffle_i64x2(a, b, 0xdd);
    v[2] = _mm512_shuffle_i64x2(c2, d, 0x88);
    v[3] = _mm512_shuffle_i64x2(c2, d, 0xdd);
    for (int j = 0; j < 4; j++) {
        scale[j] = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(v[j]));
        scale[j + 4] = _mm512_cvtph_ps(_mm512_cvtepi32_epi16(_mm512_srli_epi32(v[j], 16)));
    }
}

#endif
