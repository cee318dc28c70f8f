/*
 * nf4_dequant/avx512.c: dequantize of every format with AVX-512: of four bits one scaled table a block, and
 * one lookup in it for 32 weights (16-bit) or 16 (fp32).
 *
 * Run: nf4bench verify suites/smoke.yaml -v '*_dequant_*__avx512*'
 * Ladder (kernels/README.md): before this avx2.c, after this int4_dequant/avx512_columns.c.
 *
 * Changes over avx2.c: the 16 values times the scale are computed and rounded once a block, in one register,
 * so that no weight is multiplied or converted. 16 packed bytes become a 64-byte store by one byte shuffle,
 * one variable shift and one vpermw. NF4 and int4 differ in the table alone. Of eight bits each weight is
 * converted, multiplied and rounded; one vpermt2w picks the upper halves of two vectors of bf16. Why it
 * should be fast: about 15 vector instructions for 64 weights of four bits, 40 for 64 of eight, which is
 * less than the stores need.
 */
#include "kernels/cpu/dequant.h"
#include "kernels/cpu/nf4_avx512.h"

INLINE void store_512(__m512i v, void *out, bool stream)
{
    if (stream)
        _mm512_stream_si512((__m512i *)out, v);
    else
        _mm512_storeu_si512(out, v);
}

/* 32 codes of eight bits -> weights of 16. */
INLINE __m512i bytes32_words(enum cpu_format format, enum element t, float scale, const uint8_t *codes)
{
    const __m512 by = _mm512_set1_ps(scale);
    __m512 low = _mm512_mul_ps(bytes16_ps(format, codes), by),
           high = _mm512_mul_ps(bytes16_ps(format, codes + 16), by);
    if (t == ELEMENT_BF16 && scale_is_finite(scale))
        return _mm512_permutex2var_epi16(bf16_upper_512(low), upper_halves(), bf16_upper_512(high));
    return _mm512_inserti64x4(_mm512_castsi256_si512(half_of_ps_512(t, low)), half_of_ps_512(t, high), 1);
}

INLINE void dequant_block(const struct dequant_args *a, enum element t, enum cpu_format format,
                          struct block b, size_t first, size_t count, bool stream)
{
    const uint8_t *codes = a->w.packed + code_bytes(format, t, first);
    char *out = (char *)a->out + first * element_size(t);
    if (t == ELEMENT_F32) {
        v16 decoder = decoder_v16(format, t, PER_WEIGHT, b);
        for (size_t i = 0; i + 32 <= count; i += 32)
            for (size_t j = i; j < i + 32; j += 16)
                store_512(_mm512_castps_si512(
                              decode_v16(format, t, PER_WEIGHT, decoder, codes + code_bytes(format, t, j)).v),
                          out + j * 4, stream);
    } else if (is_nibbles(format)) {
        __m512i table = table_words(format, t, b);
        for (size_t i = 0; i + 32 <= count; i += 32)
            store_512(nf4_lookup32_words(table, codes + i / 2), out + i * 2, stream);
    } else {
        for (size_t i = 0; i + 32 <= count; i += 32)
            store_512(bytes32_words(format, t, b.scale, codes + i), out + i * 2, stream);
    }
    dequant_single(a, t, format, b, first + count / 32 * 32, count % 32);
}

#define DEQUANT_TYPE(type, element)                                                                          \
    DEQUANT_NIBBLES(type, avx512, element)                                                                   \
    DEQUANT_STREAMS(int8_dequant_##type, avx512, element, INT8)                                              \
    DEQUANT_STREAMS(fp8_dequant_##type, avx512, element, FP8)
FOR_ELEMENTS(DEQUANT_TYPE)
