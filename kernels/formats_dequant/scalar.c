/*
 * formats_dequant/scalar.c: int4, int8 and fp8 dequantize in portable C: the definition, one weight at a
 * time, in every layout.
 *
 * Run: nf4bench verify suites/smoke.yaml -v 'int4_dequant_*__scalar*'
 * Ladder (kernels/README.md): before this nf4_dequant/scalar.c, after this nf4_dequant/avx2.c.
 *
 * Threads share the output in its own order: rows of W, or rows of its transpose where the packages of a
 * layout give that.
 */
#include "kernels/cpu/formats.h"

INLINE void dequant_share(const struct dequant_args *a, enum element t, enum cpu_format format,
                          enum cpu_layout layout)
{
    const struct matrix m = matrix_of(&a->w, a->prepared, a->n, a->k, layout);
    const bool transposed = layout == GPTQ || layout == GPTQV2 || layout == AWQ;
    const struct range mine = thread_range(transposed ? a->k : a->n);
    for (size_t row = mine.begin; row < mine.end; row++)
        for (size_t j = 0; j < (transposed ? a->n : a->k); j++)
            store_element(t, a->out, row * (transposed ? a->n : a->k) + j,
                          transposed ? matrix_weight(&m, format, layout, t, j, row)
                                     : matrix_weight(&m, format, layout, t, row, j));
}

#define DEQUANT_TYPE(type, element)                                                                          \
    DEQUANT(int4_dequant_##type##__scalar, dequant_share, element, INT4, BY_ROWS)                            \
    DEQUANT(int8_dequant_##type##__scalar, dequant_share, element, INT8, BY_ROWS)                            \
    DEQUANT(fp8_dequant_##type##__scalar, dequant_share, element, FP8, BY_ROWS)
FOR_ELEMENTS(DEQUANT_TYPE)

DEQUANT(int4_dequant_bf16__scalar_gptq, dequant_share, ELEMENT_BF16, INT4, GPTQ)
DEQUANT(int4_dequant_bf16__scalar_gptqv2, dequant_share, ELEMENT_BF16, INT4, GPTQV2)
DEQUANT(int4_dequant_bf16__scalar_awq, dequant_share, ELEMENT_BF16, INT4, AWQ)
DEQUANT(int4_dequant_bf16__scalar_awqgemv, dequant_share, ELEMENT_BF16, INT4, AWQGEMV)
DEQUANT(int4_dequant_bf16__scalar_marlin, dequant_share, ELEMENT_BF16, INT4, MARLIN)
