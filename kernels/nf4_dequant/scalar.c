/*
 * nf4_dequant/scalar.c: NF4 dequantize in portable C: the definition, and a table for each block.
 *
 * Run: nf4bench verify suites/smoke.yaml -v 'nf4_dequant_*__scalar*'
 * Ladder (kernels/README.md): before this none, after this formats_dequant/scalar.c.
 *
 * nf4_dequant_*__scalar is the definition: look the code up, multiply by absmax, round. A byte has two
 * weights. nf4_dequant_*__scalar_table changes the order: the 16 possible outputs of a block are computed
 * once, and a weight is then one lookup. It should be fast because a block of 64 needs 16 multiplies and
 * roundings, not 64. The SIMD variants do the same in one register.
 */
#include "kernels/cpu/nf4.h"

INLINE void dequant_share(const struct dequant_args *a, enum element t, enum cpu_format format)
{
    unsigned shift = nf4_block_shift(&a->w);
    struct range mine = thread_range((a->count + a->w.blocksize - 1) >> shift);
    for (size_t b = mine.begin; b < mine.end; b++) {
        float absmax = nf4_absmax(&a->w, b, format);
        size_t end = min_size(a->count, (b + 1) << shift);
        for (size_t i = b << shift; i < end; i++)
            store_element(t, a->out, i, nf4_codebook[nf4_code(a->w.packed, i)] * absmax);
    }
}

/* The 16 outputs of a block as bits, and a copy loop for one width. */
#define TABLE_COPY(word, bits)                                                                               \
    {                                                                                                        \
        word table[16];                                                                                      \
        for (int c = 0; c < 16; c++)                                                                         \
            table[c] = (word)(bits);                                                                         \
        word *out = (word *)a->out + first;                                                                  \
        for (size_t j = 0; j < count / 2; j++) {                                                             \
            out[2 * j] = table[packed[j] >> 4];                                                              \
            out[2 * j + 1] = table[packed[j] & 15];                                                          \
        }                                                                                                    \
        if (count % 2)                                                                                       \
            out[count - 1] = table[packed[count / 2] >> 4];                                                  \
    }

INLINE void dequant_table_share(const struct dequant_args *a, enum element t, enum cpu_format format)
{
    size_t blocksize = a->w.blocksize;
    struct range mine = thread_range((a->count + blocksize - 1) >> nf4_block_shift(&a->w));
    for (size_t b = mine.begin; b < mine.end; b++) {
        size_t first = b * blocksize, count = min_size(blocksize, a->count - first);
        const uint8_t *packed = a->w.packed + first / 2;
        float absmax = nf4_absmax(&a->w, b, format);
        if (t == ELEMENT_F32)
            TABLE_COPY(uint32_t, bits_of_float(nf4_codebook[c] * absmax))
        else if (t == ELEMENT_F16)
            TABLE_COPY(uint16_t, f16_of_float(nf4_codebook[c] * absmax))
        else
            TABLE_COPY(uint16_t, bf16_of_float(nf4_codebook[c] * absmax))
    }
}

#define DEQUANT_TYPE(type, element)                                                                          \
    DEQUANT(nf4_dequant_##type##__scalar, dequant_share, element, NF4)                                       \
    DEQUANT(nf4_dequant_##type##__scalar_table, dequant_table_share, element, NF4)                           \
    DEQUANT(nf4_dequant_##type##_twostep__scalar, dequant_share, element, NF4_TWOSTEP)                       \
    DEQUANT(nf4_dequant_##type##_twostep__scalar_table, dequant_table_share, element, NF4_TWOSTEP)           \
    DEQUANT(nf4_dequant_##type##_fused__scalar, dequant_share, element, NF4_FUSED)                           \
    DEQUANT(nf4_dequant_##type##_fused__scalar_table, dequant_table_share, element, NF4_FUSED)
FOR_ELEMENTS(DEQUANT_TYPE)
