/*
 * recipe.h: how to launch a kernel that came as device code alone: its symbol, its grid over a problem's
 * sizes, and its parameters in order. What a .cu file of ours says in C, as data (provider/manifest.h reads
 * it from a file). Such a kernel runs on GPUs only.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CUDA_RECIPE_H
#define NF4BENCH_HARNESS_DEVICE_CUDA_RECIPE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/expression.h"
#include "harness/problem/operands.h"
#include "kernels/device/entry.h"

/* X(word, type, of): what a parameter can be, under the names of kernel.h: RECIPE_INTEGER (below) or of a
 * type of its own; and which contracts have it. `packed` and `out` are what the operation reads and writes
 * (of repack, unrepack and variants with the knob "repacked" as well). */
#define RECIPE_WORD_MAP(X)                                                                                   \
    X(packed, POINTER, ANY)                                                                                  \
    X(absmax, POINTER, PLAIN)                                                                                \
    X(absmax_code, POINTER, NESTED)                                                                          \
    X(nested_absmax, POINTER, NESTED)                                                                        \
    X(nested_map, POINTER, NESTED)                                                                           \
    X(nested_offset, F32, NESTED)                                                                            \
    X(x, POINTER, PRODUCT)                                                                                   \
    X(bias, POINTER, GEMM)                                                                                   \
    X(y, POINTER, PRODUCT)                                                                                   \
    X(out, POINTER, NO_PRODUCT)                                                                              \
    X(workspace, POINTER, PRODUCT)                                                                           \
    X(m, INTEGER, PRODUCT)                                                                                   \
    X(n, INTEGER, ANY)                                                                                       \
    X(k, INTEGER, ANY)                                                                                       \
    X(count, INTEGER, ANY)  /* n * k */                                                                      \
    X(blocks, INTEGER, ANY) /* ceil(count, blocksize) */                                                     \
    X(blocksize, INTEGER, ANY)
enum recipe_word {
#define X(word, type, of) RECIPE_##word,
    RECIPE_WORD_MAP(X)
#undef X
        RECIPE_WORD_COUNT,
    RECIPE_NUMBER = RECIPE_WORD_COUNT /* a number that stands in the recipe itself */
};

enum recipe_type {
    RECIPE_POINTER, /* 8 bytes */
    RECIPE_F32,
    RECIPE_INTEGER, /* one of those that follow; RECIPE_I32 where none is named */
    RECIPE_I32,
    RECIPE_U32,
    RECIPE_I64,
    RECIPE_U64
};

enum {
    RECIPE_PARAMETERS_MAX = 64,
    RECIPE_ENTRY_MAX = 240,
    RECIPE_GRID_Y_MAX = 65535,
    RECIPE_SIZES = 6,
    RECIPE_TEXT = 256,
};

struct recipe_parameter {
    enum recipe_word word;
    enum recipe_type type; /* never RECIPE_INTEGER */
    uint64_t number;
};

/* Strings are not owned. */
struct recipe {
    const char *entry;   /* the symbol in the device code */
    unsigned threads;    /* per block */
    const char *grid[3]; /* expressions (expression.h) over recipe_sizes(); "1" where there is none */
    const char *shared;  /* the same, in bytes */
    bool takes_args;     /* one parameter: the arguments of kernel.h by value; else: */
    struct recipe_parameter parameters[RECIPE_PARAMETERS_MAX];
    size_t parameter_count;
};

/* A launch on one set of operands. `parameters` point into it. */
struct recipe_launch {
    struct launch launch;
    union kernel_args args;
    uint64_t values[RECIPE_PARAMETERS_MAX];
    void *parameters[RECIPE_PARAMETERS_MAX];
    size_t sizes[RECIPE_PARAMETERS_MAX]; /* of each, in bytes */
    size_t count;
};

/* The names that expressions know, with p's values; m is there, as 0, where there is no product. */
void recipe_sizes(const struct problem *p, struct expression_name names[RECIPE_SIZES]);
/* NULL if a variant of this contract has that operand or size, else why not. */
const char *recipe_word_absent(enum recipe_word word, const struct contract *c);
const char *recipe_word_name(enum recipe_word word);
/* NULL, and *out is the launch on set i of the operands; else what of the recipe has no meaning for this
 * problem, written into `why`. The operands' addresses are passed on, never followed. */
const char *recipe_resolve(const struct recipe *r, const struct operands *o, size_t i, bool repacked,
                           struct recipe_launch *out, char why[RECIPE_TEXT]);

#endif
