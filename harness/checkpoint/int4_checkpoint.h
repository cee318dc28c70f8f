/*
 * checkpoint/int4_checkpoint.h: layers of 4-bit integers by name from a safetensors file, as GPTQ's and AWQ's packages
 * write them, read by rows.
 *
 * A layer P is P.qweight, P.qzeros, P.scales and, GPTQ's, P.g_idx; reference/gptq.h and awq.h say how their
 * bytes lie. Which of them it is follows from the shapes:
 *
 *   GPTQ       qweight [k/8, n], scales [groups, n], with or without g_idx
 *   AWQ GEMM   qweight [k, n/8], scales [groups, n]
 *   AWQ GEMV   qweight [n, k/8], scales [n, 8 width]; how many of these are groups, from where they become 0
 *
 * GPTQ's two versions store other zero points in the same shapes. Version 2 is what a quantize_config.json,
 * or a config.json with a quantization_config, beside the file calls checkpoint_format "gptq_v2"; else it
 * is 1.
 */
#ifndef NF4BENCH_HARNESS_CHECKPOINT_INT4_CHECKPOINT_H
#define NF4BENCH_HARNESS_CHECKPOINT_INT4_CHECKPOINT_H

#include "harness/checkpoint/checkpoint.h"

/* True if a tensor of this name is the codes of such a layer. */
bool weight_is_int4(const char *name);
/* What is stored under the name of P.qweight: shape, groups, whether there are zero points other than 8 and
 * an act-order. `name` of *out is left alone. */
enum status weight_int4_describe(const struct safetensors *file, const char *name,
                                 struct weight_info *out) WARN_UNUSED_RESULT;
/* The layer itself; *owned is all that *out points to: free(). Zero points only where one is not 8, groups
 * only where they are not in order. */
enum status weight_int4(const struct safetensors *file, const char *name, struct quantized *out,
                        void **owned) WARN_UNUSED_RESULT;

#endif
