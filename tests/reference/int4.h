/* int4.h: int4 weights read element by element, which the program never does; the tests hold its layouts to it. */
#ifndef NF4BENCH_TESTS_REFERENCE_INT4_H
#define NF4BENCH_TESTS_REFERENCE_INT4_H

#include <stddef.h>
#include <stdint.h>

#include "reference/dtype.h"
#include "reference/grouped_int4.h"

static inline float int4_value(const struct grouped_int4 *w, size_t n, size_t k)
{
    const size_t at = n * int4_group_count(w->k, w->group) + int4_group_of(w, k);
    return f16_to_f32(w->scale[at]) * (float)((int)w->q[n * w->k + k] - (int)w->zero[at]);
}

/* out[n * k], row-major, of type t. */
static inline void int4_dequantize(const struct grouped_int4 *w, enum dtype t, void *out)
{
    for (size_t n = 0; n < w->n; n++)
        for (size_t k = 0; k < w->k; k++)
            dtype_store(t, out, n * w->k + k, int4_value(w, n, k));
}

/* The inverse of marlin_repack(), found the other way: goes through W, to where each of its codes is. */
static inline void marlin_unrepack(const uint32_t *words, size_t n, size_t k, uint8_t *q)
{
    const size_t across = n / 64;
    for (size_t row = 0; row < n; row++)
        for (size_t column = 0; column < k; column++) {
            const size_t tile = column / 16 * across + row / 64;
            const size_t part = row % 64 / 16, within = column % 8;
            const size_t thread = row % 8 * 4 + within / 2;
            const size_t value = 4 * (row % 16 / 8) + 2 * (column % 16 / 8) + within % 2;
            const size_t place = value / 2 + 4 * (value % 2);
            q[row * k + column] =
                (uint8_t)(words[(tile * 32 + thread) * 4 + part] >> (4 * place) & 15);
        }
}

#endif
