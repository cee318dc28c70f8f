/*
 * formats.h: single weights of int4, int8, fp8 and dense, wherever a layout has them (kernels/layouts.h).
 *
 * All functions are inlined with constant `format`, `layout` and `element` arguments, so that one body serves
 * every variant.
 */
#ifndef NF4BENCH_KERNELS_CPU_FORMATS_H
#define NF4BENCH_KERNELS_CPU_FORMATS_H

#include "kernels/cpu/nf4.h"

enum cpu_layout { BY_ROWS, GPTQ, GPTQV2, AWQ, AWQGEMV, MARLIN };

/* W[n,k] of a variant, whatever its operation. */
struct matrix {
    const struct weights *w;
    const uint8_t *prepared;
    size_t n, k, groups;
    struct int4_parts parts;
};

INLINE struct matrix matrix_of(const struct weights *w, const void *prepared, size_t n, size_t k,
                               enum cpu_layout layout)
{
    struct matrix m = {.w = w, .prepared = prepared, .n = n, .k = k, .groups = k / w->blocksize};
    if (layout == GPTQ || layout == GPTQV2)
        m.parts = int4_gptq_parts(n, k, m.groups);
    else if (layout == AWQ)
        m.parts = int4_awq_parts(n, k, m.groups);
    else if (layout == AWQGEMV)
        m.parts = int4_awqgemv_parts(n, k, w->blocksize);
    else if (layout == MARLIN)
        m.parts = int4_marlin_parts(n, k, m.groups);
    return m;
}

INLINE const uint32_t *matrix_words(const struct matrix *m, size_t offset)
{
    return (const uint32_t *)(const void *)(m->prepared + offset);
}
INLINE const uint16_t *matrix_halves(const struct matrix *m, size_t offset)
{
    return (const uint16_t *)(const void *)(m->prepared + offset);
}

INLINE unsigned nibble(uint32_t word, size_t i)
{
    return word >> 4 * i & 15;
}

/* The nibble of an AWQ word that has column n % 8. */
INLINE size_t awq_place(size_t n)
{
    return n % 2 * 4 + n % 8 / 2;
}

/* The word of Marlin's layout that has W[n,k], and its nibble. */
INLINE unsigned marlin_code(const struct matrix *m, size_t n, size_t k)
{
    static const unsigned char nibble_of_value[8] = {0, 4, 1, 5, 2, 6, 3, 7};
    const size_t tile = k / 16 * (m->n / 64) + n / 64, row = n % 64, column = k % 16;
    const size_t thread = row % 8 * 4 + column % 8 / 2, part = row / 16;
    const size_t value = row % 16 / 8 * 4 + column / 8 * 2 + column % 2;
    return nibble(matrix_words(m, 0)[(tile * 32 + thread) * 4 + part], nibble_of_value[value]);
}

INLINE unsigned int4_code(const struct matrix *m, enum cpu_layout layout, size_t n, size_t k)
{
    switch (layout) {
    case GPTQ:
    case GPTQV2:
        return nibble(matrix_words(m, 0)[k / 8 * m->n + n], k % 8);
    case AWQ:
        return nibble(matrix_words(m, 0)[k * (m->n / 8) + n / 8], awq_place(n));
    case AWQGEMV:
        return nibble(matrix_words(m, 0)[n * (m->k / 8) + k / 8], k % 8);
    case MARLIN:
        return marlin_code(m, n, k);
    default:
        return nf4_code(m->w->packed, n * m->k + k);
    }
}

/* The block of W[n,k] within its row. */
INLINE size_t group_of(const struct matrix *m, enum cpu_layout layout, size_t k)
{
    return layout == GPTQ || layout == GPTQV2 ? matrix_words(m, m->parts.g_idx)[k] : k / m->w->blocksize;
}

INLINE unsigned int4_zero(const struct matrix *m, enum cpu_layout layout, size_t n, size_t g)
{
    switch (layout) {
    case GPTQ:
    case GPTQV2:
        return nibble(matrix_words(m, m->parts.zeros)[g * (m->n / 8) + n / 8], n % 8) + (layout == GPTQ);
    case AWQ:
        return nibble(matrix_words(m, m->parts.zeros)[g * (m->n / 8) + n / 8], awq_place(n));
    case AWQGEMV:
        return nibble(matrix_words(m, m->parts.zeros)[n * int4_awqgemv_width(m->k, m->w->blocksize) + g / 8],
                      g % 8);
    case MARLIN:
        return m->prepared[m->parts.zeros + g * m->n + n];
    default:
        return m->w->zero ? m->w->zero[n * m->groups + g] : 8;
    }
}

/* Scale of block g of row n; 1 for dense weights. */
INLINE float matrix_scale(const struct matrix *m, enum cpu_format format, enum cpu_layout layout, size_t n,
                          size_t g)
{
    if (format == DENSE)
        return 1.0f;
    if (layout == BY_ROWS)
        return float_of_f16(m->w->scale[n * m->groups + g]);
    const uint16_t *scales = matrix_halves(m, m->parts.scales);
    if (layout == AWQGEMV)
        return float_of_f16(scales[n * 8 * int4_awqgemv_width(m->k, m->w->blocksize) + g]);
    return float_of_f16(scales[g * m->n + n]);
}

/* The unscaled value of W[n,k]; `zero` of its block, of int4. */
INLINE float matrix_value(const struct matrix *m, enum cpu_format format, enum cpu_layout layout,
                          enum element t, size_t n, size_t k, unsigned zero)
{
    if (layout != BY_ROWS)
        return (float)((int)int4_code(m, layout, n, k) - (int)zero);
    return value_at(m->w, format, t, n * m->k + k, zero);
}

/* RN_T(RN32(value * scale)) of W[n,k], widened to fp32. */
INLINE float matrix_weight(const struct matrix *m, enum cpu_format format, enum cpu_layout layout,
                           enum element t, size_t n, size_t k)
{
    const size_t g = group_of(m, layout, k);
    const unsigned zero = format == INT4 ? int4_zero(m, layout, n, g) : 0;
    const float value = matrix_value(m, format, layout, t, n, k, zero);
    return format == DENSE ? value : round_element(t, value * matrix_scale(m, format, layout, n, g));
}

#endif
