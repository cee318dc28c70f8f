/*
 * int4_dequant/avx512_columns.c: int4 dequantize of the layouts of GPTQ and AWQ, to W transposed, with
 * AVX-512.
 *
 * Run: nf4bench verify suites/smoke.yaml -v 'int4_dequant_*__avx512_[ag]*'
 * Ladder (kernels/README.md): before this nf4_dequant/avx512.c, after this none.
 *
 * Changes over avx512.c: a vector has the columns of W side by side, each with a scale and a zero point of
 * its own, so that weights are computed and not looked up: an or, a subtraction (int4_columns.h), a
 * multiplication and a rounding. 8 k and 32 columns are taken at a time, for which scales and zero points
 * are found once. Why it should be fast: about 20 instructions for a line of 32 weights, 10 cycles, less
 * time than memory takes.
 *
 *   stream   non-temporal stores, where rows of the output begin with a line
 */
#include "kernels/cpu/int4_columns.h"

enum { DEPTH = 8, COLUMNS = 32 };

/* 16 columns: what is subtracted of a nibble over the power of its place, and scales. */
struct column_block {
    float offset[PLACES][16] __attribute__((aligned(64)));
    __m512 scale;
    __mmask16 mask;
};

/* AWQ: the nibbles of 16 columns in their lanes, at place 0, as far as the mask says. */
INLINE __m512i awq_nibbles(const uint32_t *words, __mmask16 mask)
{
    const __m512i word = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i shift = _mm512_set_epi32(28, 12, 24, 8, 20, 4, 16, 0, 28, 12, 24, 8, 20, 4, 16, 0);
    __m128i two = _mm_maskz_loadu_epi32(two_words(mask), words);
    return _mm512_srlv_epi32(_mm512_permutexvar_epi32(word, _mm512_castsi128_si512(two)), shift);
}

INLINE void column_block(const struct matrix *w, enum cpu_layout layout, size_t g, size_t c,
                         struct column_block *b)
{
    b->mask = column_mask(w->n, c);
    if (layout == AWQ) {
        const uint32_t *zeros = matrix_words(w, w->parts.zeros) + (g * w->n + c) / 8;
        _mm512_store_ps(b->offset[0], nibble_over_power(words_of(awq_nibbles(zeros, b->mask)), 0));
    } else {
        gptq_offsets(gptq_zeros(w, layout, g, c, b->mask), b->offset);
    }
    /* NaN without a payload, which a rounding could carry out of. */
    const __m512 scale = column_scales(w, g, c, b->mask);
    b->scale = _mm512_mask_mov_ps(scale, _mm512_cmp_ps_mask(scale, scale, _CMP_UNORD_Q),
                                  _mm512_castsi512_ps(_mm512_set1_epi32(0x7fc00000)));
}

INLINE __m512 block_weights(const struct column_block *b, __m512 nibbles, int place)
{
    return _mm512_mul_ps(_mm512_sub_ps(nibbles, _mm512_load_ps(b->offset[place])), b->scale);
}

/* 32 weights of row k of the output, from column c; `whole` ones all exist. */
INLINE void store_weights(const struct dequant_args *a, enum element t, size_t k, size_t c, __m512 low,
                          __m512 high, __mmask32 mask, bool whole, bool stream)
{
    char *out = (char *)a->out + (k * a->n + c) * element_size(t);
    if (t == ELEMENT_F32) {
        if (whole && stream) {
            _mm512_stream_ps((float *)(void *)out, low);
            _mm512_stream_ps((float *)(void *)(out + 64), high);
        } else {
            _mm512_mask_storeu_ps(out, (__mmask16)mask, low);
            _mm512_mask_storeu_ps(out + 64, (__mmask16)(mask >> 16), high);
        }
        return;
    }
    __m512i words =
        t == ELEMENT_BF16
            ? _mm512_permutex2var_epi16(bf16_upper_512(low), upper_halves(), bf16_upper_512(high))
            : _mm512_inserti64x4(_mm512_castsi256_si512(half_of_ps_512(t, low)), half_of_ps_512(t, high), 1);
    if (whole && stream)
        _mm512_stream_si512((__m512i *)(void *)out, words);
    else if (whole)
        _mm512_storeu_si512(out, words);
    else
        _mm512_mask_storeu_epi16(out, mask, words);
}

/* `depth` k from k, of one group, and 32 columns from c. GPTQ: k is a multiple of 8, or depth is 1. */
INLINE void dequant_block(const struct dequant_args *a, const struct matrix *w, enum element t,
                          enum cpu_layout layout, size_t g, size_t k, size_t depth, size_t c, bool whole,
                          bool stream)
{
    struct column_block b[2];
    for (size_t h = 0; h < 2; h++)
        column_block(w, layout, g, c + 16 * h, &b[h]);
    const __mmask32 mask = whole ? ~0u : b[0].mask | (__mmask32)b[1].mask << 16;
    if (layout == AWQ) {
        for (size_t i = 0; i < depth; i++) {
            const uint32_t *words = matrix_words(w, 0) + ((k + i) * w->n + c) / 8;
            __m512 v[2];
            for (int h = 0; h < 2; h++)
                v[h] = block_weights(
                    &b[h],
                    nibble_over_power(words_of(awq_nibbles(words + 2 * h, whole ? 0xffff : b[h].mask)), 0),
                    0);
            store_weights(a, t, k + i, c, v[0], v[1], mask, whole, stream);
        }
        return;
    }
    const uint32_t *codes = matrix_words(w, 0) + k / 8 * w->n + c;
    __m512i v[2];
    for (int h = 0; h < 2; h++)
        v[h] = _mm512_maskz_loadu_epi32(whole ? 0xffff : b[h].mask, codes + 16 * h);
    if (depth < DEPTH) {
        const __m512i shift = _mm512_set1_epi32((int)(4 * (k % 8)));
        __m512 one[2];
        for (int h = 0; h < 2; h++)
            one[h] = block_weights(&b[h], nibble_over_power(words_of(_mm512_srlv_epi32(v[h], shift)), 0), 0);
        store_weights(a, t, k, c, one[0], one[1], mask, whole, stream);
        return;
    }
    const struct words words[2] = {words_of(v[0]), words_of(v[1])};
#pragma GCC unroll 8
    for (int i = 0; i < DEPTH; i++)
        store_weights(
            a, t, k + (size_t)i, c, block_weights(&b[0], nibble_over_power(words[0], i), nibble_place(i)),
            block_weights(&b[1], nibble_over_power(words[1], i), nibble_place(i)), mask, whole, stream);
}

INLINE void dequant_rows(const struct dequant_args *a, const struct matrix *w, enum element t,
                         enum cpu_layout layout, size_t g, size_t k, size_t depth, bool stream)
{
    size_t c = 0;
    for (; c + COLUMNS <= a->n; c += COLUMNS)
        dequant_block(a, w, t, layout, g, k, depth, c, true, stream);
    if (c < a->n)
        dequant_block(a, w, t, layout, g, k, depth, c, false, stream);
}

/* The calling thread's k, in steps of 8, which lie in one group but for an act-order. */
INLINE void dequant_share(const struct dequant_args *a, enum element t, enum cpu_layout layout, bool stream)
{
    const struct matrix w = matrix_of(&a->w, a->prepared, a->n, a->k, layout);
    const struct range mine = thread_range((a->k + DEPTH - 1) / DEPTH);
    stream = stream && a->n * element_size(t) % 64 == 0;
    for (size_t k = mine.begin * DEPTH; k < min_size(a->k, mine.end * DEPTH); k += DEPTH) {
        const size_t g = group_of(&w, layout, k), depth = min_size(DEPTH, a->k - k);
        bool same = true;
        for (size_t i = 1; layout != AWQ && i < depth; i++)
            same &= group_of(&w, layout, k + i) == g;
        if (same)
            dequant_rows(a, &w, t, layout, g, k, depth, stream);
        else
            for (size_t i = 0; i < depth; i++)
                dequant_rows(a, &w, t, layout, group_of(&w, layout, k + i), k + i, 1, stream);
    }
    if (stream)
        _mm_sfence();
}

#define DEQUANT_LAYOUT(type, element, knob, layout)                                                          \
    DEQUANT(int4_dequant_##type##__avx512_##knob, dequant_share, element, layout, false)                     \
    DEQUANT(int4_dequant_##type##__avx512_##knob##_stream, dequant_share, element, layout, true)
#define DEQUANT_TYPE(type, element)                                                                          \
    DEQUANT_LAYOUT(type, element, gptq, GPTQ)                                                                \
    DEQUANT_LAYOUT(type, element, gptqv2, GPTQV2)                                                            \
    DEQUANT_LAYOUT(type, element, awq, AWQ)
FOR_ELEMENTS(DEQUANT_TYPE)
