/*
 * gptq.h: GPTQ's bytes of 4-bit weights (grouped_int4.h), as auto-gptq and gptqmodel write them.
 *
 *   qweight u32 [k / 8][n]        nibble i, the least significant first, of [r][n] is q[n, 8 r + i]
 *   qzeros  u32 [groups][n / 8]   nibble i of [g][c] is the zero of column 8 c + i: less 1 in version 1
 *   scales  f16 [groups][n]
 *   g_idx   i32 [k]               group_of: k / group, or the groups of the act-order
 *
 * Version 1 stores zero - 1 in four bits: a zero of 0 cannot be stored. Version 2 (checkpoint_format "gptq_v2") stores
 * zero: a zero of 16 cannot be stored. With symmetric weights every word of qzeros is 0x77777777 (1) or 0x88888888 (2).
 */
#ifndef NF4BENCH_REFERENCE_GPTQ_H
#define NF4BENCH_REFERENCE_GPTQ_H

#include "reference/grouped_int4.h"

enum gptq_version { GPTQ_V1 = 1, GPTQ_V2 = 2 };

struct gptq_tensors {
    uint32_t *qweight, *qzeros;
    uint16_t *scales;
    uint32_t *g_idx;
};

/* n and k are multiples of 8. */
bool gptq_fits(size_t n, size_t k);
/* Writes every word of the output. False where a zero cannot be stored; the output is then undefined. */
bool gptq_pack(const struct grouped_int4 *w, enum gptq_version version, const struct gptq_tensors *out);
/* Fills w->q, zero and scale. The caller sets w->n, k and group, and may set group_of to t->g_idx. */
void gptq_unpack(const struct gptq_tensors *t, enum gptq_version version, struct grouped_int4 *w);

#endif
