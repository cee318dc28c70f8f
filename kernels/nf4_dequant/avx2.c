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
 */
#include "kernels/cpu/dequant.h"
#include "kernels/cpu/nf4_avx2.h"

INLINE void store_256(__m256i v, void *out, bool stream)
{
    if (stream)
        _mm256_stream_si256(out, v);
    else
        _mm256_storeu_si256(out, v);
}

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

#define DEQUANT_TYPE(type, element) DEQUANT_NIBBLES(type, avx2, element)
FOR_ELEMENTS(DEQUANT_TYPE)
