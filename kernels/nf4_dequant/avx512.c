/*
 * NF4 dequantize with AVX-512: one scaled table per block, one table lookup per 32 (16-bit) or 16 (fp32)
 * weights.
 *
 * What it changes over the scalar steps: the codebook times absmax is computed and rounded once per block, in
 * one register, so that no weight is multiplied or converted; 16 packed bytes become a 64-byte store with one
 * byte shuffle, one variable shift and one vpermw.
 * Why it should be fast: about 15 vector instructions per 64 weights, which is less than the stores need.
 *
 *   stream   non-temporal stores: the output is larger than the caches, and an ordinary store would first
 *            read each line from memory
 */
#include "kernels/cpu/nf4_avx512.h"

INLINE void store_512(__m512i v, void *out, bool stream)
{
    if (stream)
        _mm512_stream_si512((__m512i *)out, v);
    else
        _mm512_storeu_si512(out, v);
}

/* `count` elements of one block from element `first`, a multiple of 32. */
INLINE void dequant_block(const struct dequant_args *a, enum element t, float absmax, size_t first,
                          size_t count, bool stream)
{
    const uint8_t *packed = a->w.packed + first / 2;
    char *out = (char *)a->out + first * element_size(t);
    size_t whole = count / 32 * 32;
    if (t == ELEMENT_F32) {
        __m512 table = nf4_scaled_512(absmax);
        for (size_t i = 0; i < whole; i += 32)
            for (size_t j = i; j < i + 32; j += 16)
                store_512(_mm512_castps_si512(nf4_lookup16_ps(table, packed + j / 2)), out + j * 4, stream);
    } else {
        __m512i table = nf4_table_words(t, absmax);
        for (size_t i = 0; i < whole; i += 32)
            store_512(nf4_lookup32_words(table, packed + i / 2), out + i * 2, stream);
    }
    for (size_t i = whole; i < count; i++)
        store_element(t, out, i, nf4_codebook[nf4_code(packed, i)] * absmax);
}

/* The calling thread's blocks. */
INLINE void dequant_share(const struct dequant_args *a, enum element t, enum recovery nested, bool stream)
{
    size_t blocksize = a->w.blocksize;
    struct range mine = thread_range((a->count + blocksize - 1) >> nf4_block_shift(&a->w));
    for (size_t b = mine.begin; b < mine.end; b++) {
        size_t first = b * blocksize, count = min_size(blocksize, a->count - first);
        float absmax = nf4_absmax(&a->w, b, nested);
        if (count == 64)
            dequant_block(a, t, absmax, first, 64, stream);
        else
            dequant_block(a, t, absmax, first, count, stream);
    }
    if (stream)
        _mm_sfence();
}

#define DEQUANT(name, element, nested, stream)                                                               \
    void name(const struct dequant_args *a)                                                                  \
    {                                                                                                        \
        _Pragma("omp parallel") dequant_share(a, element, nested, stream);                                   \
    }
#define DEQUANT_TYPE(type, element)                                                                          \
    DEQUANT(nf4_dequant_##type##__avx512, element, ABSMAX_PLAIN, false)                                      \
    DEQUANT(nf4_dequant_##type##__avx512_stream, element, ABSMAX_PLAIN, true)                                \
    DEQUANT(nf4_dequant_##type##_twostep__avx512, element, ABSMAX_TWOSTEP, false)                            \
    DEQUANT(nf4_dequant_##type##_twostep__avx512_stream, element, ABSMAX_TWOSTEP, true)                      \
    DEQUANT(nf4_dequant_##type##_fused__avx512, element, ABSMAX_FUSED, false)                                \
    DEQUANT(nf4_dequant_##type##_fused__avx512_stream, element, ABSMAX_FUSED, true)

DEQUANT_TYPE(f32, ELEMENT_F32)
DEQUANT_TYPE(f16, ELEMENT_F16)
DEQUANT_TYPE(bf16, ELEMENT_BF16)
