/*
 * gptq.h: GPTQ's bytes of 4-bit weights (grouped_int4.h), as auto-gptq and gptqmodel write them.
 *
 *   qweight u32 [k / 8][n]        nibble i, the least significant first, of [r][n] is q[n, 8 r + i]
 *   qzeros  u32 [groups][n / 8]   nibble i of [g][c] is the zero of column 8 c + i: less 1 in version 1
 *   scales  f16 [groups][n]
 *   g_idx   i32 [k]               group_of: k / group, or the act-order's
 *
 * Version 1 stores zero - 1 in four bits, so a zero of 0 cannot be stored; version 2 (checkpoint_format
 * "gptq_v2") stores it as it is, so one of 16 cannot. Symmetric: every word of qzeros is 0x77777777, or
 * 0x88888888.
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
/* False where a zero cannot be stored: nothing is promised of the output then. Every word is written. */
bool gptq_pack(const struct grouped_int4 *w, enum gptq_version version, const struct gptq_tensors *out);
/* w->n, k, group are set; group_of is left alone: g_idx is what it may be set to. */
void gptq_unpack(const struct gptq_tensors *t, enum gptq_version version, struct grouped_int4 *w);

#endif
