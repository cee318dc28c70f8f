/*
 * NF4 dequantize with AVX2: the scalar_table step in vectors.
 *
 * What it changes: a block's 16 outputs are computed once; a 16-bit weight is two byte lookups (vpshufb on
 * the table's low and high bytes) and an unpack, an fp32 weight two vpermps and a blend. Why it should be
 * fast: 16 instructions for 64 16-bit weights, against 64 loads and stores of the scalar step.
 *
 *   stream   non-temporal stores: the output is larger than the caches, and an ordinary store would first
 *            read each line from memory
 */
#include "kernels/cpu/nf4_avx2.h"

INLINE void store_256(__m256i v, void *out, bool stream)
{
    if (stream)
        _mm256_stream_si256(out, v);
    else
        _mm256_storeu_si256(out, v);
}

/* `count` elements of one block from element `first`, a multiple of 32. */
INLINE void dequant_block(const struct dequant_args *a, enum element t, float absmax, size_t first,
                          size_t count, bool stream)
{
    const uint8_t *packed = a->w.packed + first / 2;
    char *out = (char *)a->out + first * element_size(t);
    size_t i = 0;
    if (t == ELEMENT_F32) {
        v16 table = nf4_scaled_v16(absmax);
        for (; i + 16 <= count; i += 16) {
            v16 w = nf4_lookup_v16(table, packed + i / 2);
            store_256(_mm256_castps_si256(w.lo), out + i * 4, stream);
            store_256(_mm256_castps_si256(w.hi), out + i * 4 + 32, stream);
        }
    } else {
        struct nf4_planes planes = nf4_planes_256(t, absmax);
        for (; i + 32 <= count; i += 64) {
            /* The last 32 elements of a block or of the tensor are half a step. */
            size_t stores = i + 64 <= count ? 4 : 2;
            uint8_t half[32];
            const uint8_t *from = packed + i / 2;
            if (stores == 2)
                from = memcpy(half, from, 16);
            __m256i words[4];
            nf4_lookup64_words(planes, from, words);
            for (size_t j = 0; j < stores; j++)
                store_256(words[j], out + i * 2 + 32 * j, stream);
        }
        i = count / 32 * 32;
    }
    for (; i < count; i++)
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
    DEQUANT(nf4_dequant_##type##__avx2, element, ABSMAX_PLAIN, false)                                        \
    DEQUANT(nf4_dequant_##type##__avx2_stream, element, ABSMAX_PLAIN, true)                                  \
    DEQUANT(nf4_dequant_##type##_twostep__avx2, element, ABSMAX_TWOSTEP, false)                              \
    DEQUANT(nf4_dequant_##type##_twostep__avx2_stream, element, ABSMAX_TWOSTEP, true)                        \
    DEQUANT(nf4_dequant_##type##_fused__avx2, element, ABSMAX_FUSED, false)                                  \
    DEQUANT(nf4_dequant_##type##_fused__avx2_stream, element, ABSMAX_FUSED, true)

DEQUANT_TYPE(f32, ELEMENT_F32)
DEQUANT_TYPE(f16, ELEMENT_F16)
DEQUANT_TYPE(bf16, ELEMENT_BF16)
