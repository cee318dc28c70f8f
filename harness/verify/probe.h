/*
 * probe.h: holds a GPU's tensor cores against the models of reference/mma.h, on the paths that the models are
 * not confirmed on as well (mma_evidence, tests/reference/mma.c).
 */
#ifndef NF4BENCH_HARNESS_VERIFY_PROBE_H
#define NF4BENCH_HARNESS_VERIFY_PROBE_H

#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "harness/device/cuda/mma_tile.h"
#include "reference/dtype.h"
#include "reference/mma.h"

/* X(name, word, what the operands are) */
#define PROBE_MAP(X)                                                                                         \
    X(MODERATE, "moderate", "exponents near those of 1")                                                     \
    X(WIDE, "wide", "all exponents of normal numbers; sums may overflow")                                    \
    X(ZEROS, "zeros", "every other term a zero of either sign, some rows all")                               \
    X(DENORMAL_OPERANDS, "denormal operands", "every other element of A a denormal")                         \
    X(DENORMAL_RESULTS, "denormal results", "sums around 2^-126, and below 2^-149")                          \
    X(NOT_FINITE, "not finite", "infinities, NaN and sums past the largest number among the others")

enum probe_class {
#define X(name, word, what) PROBE_##name,
    PROBE_MAP(X)
#undef X
        PROBE_CLASS_COUNT
};
const char *probe_class_word(enum probe_class c);

/* One output that is not what the model says. */
struct probe_mismatch {
    const struct mma_tile *tile; /* the caller's */
    size_t index, row, column;   /* of the tile among the caller's, and of the output in it */
    float expected;
};
struct probe_result {
    size_t outputs;
    size_t equal[MMA_MODEL_COUNT]; /* bit for bit; one NaN is as good as another */
    uint64_t hash;                 /* of the tiles' outputs, so likewise */
};

/* Operands of tile `i`: a function of the arguments alone. t: F16 or BF16. */
void probe_fill(enum probe_class c, enum dtype t, uint64_t seed, uint64_t i, struct mma_tile *tile);
/* Compares d of `count` tiles with both models, and tells of each output that is not what `model` says. */
void probe_compare(enum dtype t, const struct mma_tile *tiles, size_t count, enum mma_model model,
                   void (*tell)(const struct probe_mismatch *m, void *context), void *context,
                   struct probe_result *out);

#endif
