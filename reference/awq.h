/*
 * awq.h: AWQ's bytes of 4-bit weights (grouped_int4.h), in the two layouts that AutoAWQ writes. Neither has
 * an act-order: group_of is NULL.
 *
 * GEMM:
 *   qweight u32 [k][n / 8]        nibble i of [k][c] is q[8 c + order[i], k], order = 0 2 4 6 1 3 5 7
 *   qzeros  u32 [groups][n / 8]   the zeros, in the same order
 *   scales  f16 [groups][n]
 *
 * GEMV: in the order of W, row by row; zeros and scales are padded to a width that depends on the group
 *   qweight u32 [n][k / 8]        nibble i of [n][c] is q[n, 8 c + i]
 *   qzeros  u32 [n][width]        nibble i of [n][c] is the zero of group 8 c + i; what is left over is 0
 *   scales  f16 [n][8 width]      what is left over is 0
 *   width = ceil(ceil(groups / 8) / f) f,  f = 1, 2, 4 for groups of 128 and more, 64, 32
 *
 * Zeros are stored in four bits: a zero of 16 cannot be stored.
 */
#ifndef NF4BENCH_REFERENCE_AWQ_H
#define NF4BENCH_REFERENCE_AWQ_H

#include "reference/grouped_int4.h"

struct awq_tensors {
    uint32_t *qweight, *qzeros;
    uint16_t *scales;
};

/* n is a multiple of 8 (gemm), k is (gemv), and the group is 32, 64, or a multiple of 128 (gemv). */
bool awq_gemm_fits(const struct grouped_int4 *w);
bool awq_gemv_fits(const struct grouped_int4 *w);
size_t awq_gemv_width(size_t k, size_t group);

/* False where a zero cannot be stored. Every word is written. */
bool awq_gemm_pack(const struct grouped_int4 *w, const struct awq_tensors *out);
void awq_gemm_unpack(const struct awq_tensors *t, struct grouped_int4 *w);
bool awq_gemv_pack(const struct grouped_int4 *w, const struct awq_tensors *out);
void awq_gemv_unpack(const struct awq_tensors *t, struct grouped_int4 *w);

#endif
