/*
 * checkpoint/checkpoint.h: real weights by name from a safetensors file: either dense tensors that the
 * reference quantizes, or checkpoints, read as they are: NF4's as bitsandbytes writes them, GPTQ's and AWQ's
 * (checkpoint/int4_checkpoint.h).
 *
 * An NF4 linear layer P is P.weight (packed), P.weight.absmax, .quant_map, .nested_absmax, .nested_quant_map
 * and .quant_state.bitsandbytes__nf4 (JSON: quant_type, blocksize, dtype, shape, and when nested
 * nested_blocksize, nested_dtype, nested_offset). Everything is checked against everything: a lying shape, a
 * quant_map that is not NF4's, a nested blocksize other than 256 are errors that name tensor and file.
 */
#ifndef NF4BENCH_HARNESS_CHECKPOINT_CHECKPOINT_H
#define NF4BENCH_HARNESS_CHECKPOINT_CHECKPOINT_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/checkpoint/safetensors.h"
#include "reference/quantized.h"
#include "reference/weight_format.h"

/* What a file offers under a name: enough to plan. A dense tensor has rank 2, or is refused with a reason. */
struct weight_info {
    char *name; /* of the dense tensor, or P.weight */
    size_t n, k;
    bool checkpoint;
    struct weight_format format; /* of a checkpoint; of a dense tensor all 0 */
};

/* All tensors of `file` whose name matches one of the globs, sorted by name. With checkpoint: the NF4 layers,
 * and those of GPTQ and AWQ by the name of their qweight; without: dense F32/F16/BF16 matrices. A glob that
 * matches nothing usable is an error that names the closest tensors. The array and its names are owned by the
 * caller: weight_list_free(). */
enum status weight_list(const struct safetensors *file, char *const *globs, size_t glob_count,
                        bool checkpoint, struct weight_info **out, size_t *count) WARN_UNUSED_RESULT;
void weight_list_free(struct weight_info *list, size_t count);

/* Elements [first, first + count) of the dense tensor `name`, widened to fp32 (exact), into the caller's array: weights
 * need not be held whole. */
enum status weight_dense_part(const struct safetensors *file, const char *name, size_t first, size_t count,
                              float *out) WARN_UNUSED_RESULT;

/* A GPTQ or AWQ layer is unpacked into *owned. NF4: points *out at the checkpoint's packed bytes, absmax, map
 * and nested parts. Parts whose alignment in the file is not that of their type are copied into *owned
 * (free() it after use; may be NULL). Also checks the values that the format fixes: quant_map is the NF4
 * codebook. */
enum status weight_checkpoint(const struct safetensors *file, const char *name, struct quantized *out,
                              void **owned) WARN_UNUSED_RESULT;

#endif
