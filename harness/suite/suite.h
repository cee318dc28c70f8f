/*
 * suite.h: a suite file (YAML) as data. The first stage: nothing here knows variants, machines or memory.
 *
 *   suite: smoke                      # name, required: letters, digits, ".", "_", "-"
 *   description: ...                  # optional, for people
 *   measure:                          # optional, all keys optional
 *     min_samples: 30                 # per row
 *     max_samples: 2000
 *     max_seconds: 15                 # per group of rows that are sampled in alternation
 *     precision: 0.005                # stop when the 95 % interval of the median is within +- this share
 *     settle_seconds: 10              # cap on the settling at the start of the run; 0 = do not settle
 *   defaults: {blocksize: 64, ...}    # any case key but op; a case overrides it
 *   cases:                            # required, a list; every case is the cross product of its axes
 *     - op: gemm                      # dequant | gemm | gemmdx
 *       m: [1, 4, 16]                 # products only, where it is required
 *       shapes: [[4096, 4096]]        # [n, k] pairs
 *       models: [Llama-3-8B]          # and/or the layers of models in models.yaml beside the suite
 *       layers: [qkv, o]              # default: all but the parts of a fused layer (q, k, v; gate, up)
 *       blocksize: [64, 128]          # default 64
 *       nested: [false, true]         # default false
 *       formats: ["nf4 blocksize=64 nested=1", "int4 blocksize=128 zeros=1", dense]
 *                                     # weights of several formats, in place of blocksize and nested
 *       bias: false                   # gemm only; default false
 *       regime: [cold, hot]           # default cold
 *       threads: 2                    # or all, the default: all processors of the process
 *       variants: ["nf4_gemm_*", "!*__scalar*"]   # globs; a leading ! removes; default all of the op
 *       weights: model.safetensors    # relative to the suite; then no shapes, no models
 *       tensors: ["*.weight"]         # globs over tensor names; required with weights
 *       checkpoint: true              # layers that are quantized already: they fix the format
 *
 * A format is nf4, int4, int8, fp8 or dense, with blocksize=N (or k: one block a row; default 64) and, for
 * nf4, nested=1, for int4, zeros=1 and actorder=1. The rows of all formats of one product are timed together,
 * sample by sample. Dense tensors of a file (F32, F16, BF16) are quantized by the reference; with checkpoint
 * they are NF4's of bitsandbytes, or GPTQ's and AWQ's by the name of their qweight.
 *
 * A scalar where a list may stand is a list of one. A default that does not fit a case (m for dequant, bias
 * for gemmdx, blocksize for a checkpoint) is left out there; the same key in the case itself is an error. A
 * case that has shapes, models or weights of its own takes none of the three from the defaults. Errors are
 * "file:line:col: what", the offending line, a caret, and the nearest known key or value where there is one.
 *
 * Of YAML: no anchors, aliases, tags or second documents; booleans are true and false; numbers are decimal; a
 * pattern that begins with * or ! stands in quotes. At most 256 KiB a file, 4096 entries a list.
 */
#ifndef NF4BENCH_HARNESS_SUITE_SUITE_H
#define NF4BENCH_HARNESS_SUITE_SUITE_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/status.h"
#include "reference/weight_format.h"

struct measure_settings {
    size_t min_samples, max_samples;
    double max_seconds, precision, settle_seconds;
};
/* The protocol's defaults, in this one place. */
struct measure_settings measure_defaults(void);

struct shape {
    size_t n, k;
    char *label; /* "Llama-3-8B.qkv", or NULL for a bare pair */
};

/* One case: lists to be crossed. Owned by the suite. */
struct suite_case {
    int line; /* in the suite file */
    enum op op;
    size_t *m;
    size_t m_count; /* 1 element, 0, for dequant */
    struct shape *shapes;
    size_t shape_count; /* 0 with weights */
    size_t *blocksize;
    size_t blocksize_count;
    bool *nested;
    size_t nested_count;
    struct weight_format *formats; /* in place of blocksize and nested, or NULL; a blocksize of 0 is k */
    size_t format_count;
    bool *bias;
    size_t bias_count;
    bool cold, hot;
    unsigned *threads; /* 0 = all */
    size_t thread_count;
    char **variants; /* globs, "!" removes; empty = all */
    size_t variant_count;
    char *weights; /* path as opened from the current directory, or NULL */
    char **tensors;
    size_t tensor_count;
    bool checkpoint; /* then blocksize and nested above hold one default value that means nothing */
};

struct suite {
    char *path, *name;
    struct measure_settings measure;
    struct suite_case *cases;
    size_t case_count;
};

/* Limits, so that no product overflows later: m up to 2^20, n and k up to 2^31, n*k up to 2^40. */
enum status suite_load(const char *path, struct suite *out) WARN_UNUSED_RESULT;
/* From memory (`name` stands in messages; models.yaml and weights are looked up beside `name`). */
enum status suite_parse(const char *text, size_t size, const char *name,
                        struct suite *out) WARN_UNUSED_RESULT;
/* Overrides an axis of every case that has it, as --axis m=1,2,4 does: m, blocksize, nested, formats, bias,
 * threads, regime, shape (NxK, comma separated). STATUS_USAGE for an unknown axis, a bad value, or when no
 * case has it. */
enum status suite_override(struct suite *s, const char *assignment) WARN_UNUSED_RESULT;
void suite_release(struct suite *s);

#endif
