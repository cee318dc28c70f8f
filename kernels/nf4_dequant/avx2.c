/*
 * nf4_dequant/avx2.c: dequantize of NF4 and int4 with AVX2: the scalar_table step in vectors.
 *
 * Run: nf4bench verify suites/smoke.yaml -v '*_dequant_*__avx2*'
 * Ladder (kernels/README.md): before this formats_dequant/scalar.c, after this avx512.c.
 *
 * Changes over scalar.c: the 16 outputs of a block are computed once; a 16-bit weight is two byte lookups
 * (vpshufb on the low and the high bytes of the table) and an unpack, an fp32 weight two vpermps and a
 * blend. Why it should be fast: 16 instructions for 64 16-bit weights, where the scalar step has 64 loads
 * and stores.
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

INLINE void dequant_single(const struct dequant_args *a, enum element t, enum cpu_format format,
                           struct block b, size_t first, size_t count)
{
    for (size_t i = first; i < first + count; i++)
        store_element(t, a->out, i, value_at(&a->w, format, t, i, b.zero) * b.scale);
}

/* `count` elements of one block from element `first`, a multiple of 32. */
INLINE void dequant_block(const struct dequant_args *a, enum element t, enum cpu_format format,
                          struct block b, size_t first, size_t count, bool stream)
{
    const uint8_t *packed = a->w.packed + first / 2;
    char *out = (char *)a->out + first * element_size(t);
    size_t i = 0;
    if (t == ELEMENT_F32) {
        v16 table = scaled_v16(format, b);
        for (; i + 16 <= count; i += 16) {
            v16 w = nf4_lookup_v16(table, packed + i / 2);
            store_256(_mm256_castps_si256(w.lo), out + i * 4, stream);
            store_256(_mm256_castps_si256(w.hi), out + i * 4 + 32, stream);
        }
    } else {
        struct nf4_planes planes = planes_256(format, t, b);
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
    dequant_single(a, t, format, b, first + i, count - i);
}

/* The calling thread's blocks. Only those of NF4, which are powers of two, all begin with a multiple of 32.
 */
INLINE void dequant_share(const struct dequant_args *a, enum element t, enum cpu_format format, bool stream)
{
    const size_t blocksize = a->w.blocksize;
    const struct range mine = thread_range((a->count + blocksize - 1) / blocksize);
    for (size_t i = mine.begin; i < mine.end; i++) {
        size_t first = i * blocksize, count = min_size(blocksize, a->count - first);
        const struct block b = block_at(&a->w, format, i);
        if (count == 64) {
            dequant_block(a, t, format, b, first, 64, stream);
            continue;
        }
        if (count == 128) {
            dequant_block(a, t, format, b, first, 128, stream);
            continue;
        }
        const size_t head = is_nf4(format) ? 0 : min_size(count, -first % 32);
        dequant_single(a, t, format, b, first, head);
        dequant_block(a, t, format, b, first + head, count - head, stream);
    }
    if (stream)
        _mm_sfence();
}

#define DEQUANT(name, element, format, stream)                                                               \
    void name(const struct dequant_args *a)                                                                  \
    {                                                                                                        \
        _Pragma("omp parallel") dequant_share(a, element, format, stream);                                   \
    }
#define DEQUANT_TYPE(type, element)                                                                          \
    DEQUANT(nf4_dequant_##type##__avx2, element, NF4, false)                                                 \
    DEQUANT(nf4_dequant_##type##__avx2_stream, element, NF4, true)                                           \
    DEQUANT(nf4_dequant_##type##_twostep__avx2, element, NF4_TWOSTEP, false)                                 \
    DEQUANT(nf4_dequant_##type##_twostep__avx2_stream, element, NF4_TWOSTEP, true)                           \
    DEQUANT(nf4_dequant_##type##_fused__avx2, element, NF4_FUSED, false)                                     \
    DEQUANT(nf4_dequant_##type##_fused__avx2_stream, element, NF4_FUSED, true)                               \
    DEQUANT(int4_dequant_##type##__avx2, element, INT4, false)                                               \
    DEQUANT(int4_dequant_##type##__avx2_stream, element, INT4, true)

DEQUANT_TYPE(f32, ELEMENT_F32)
DEQUANT_TYPE(f16, ELEMENT_F16)
DEQUANT_TYPE(bf16, ELEMENT_BF16)
