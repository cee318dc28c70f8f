/*
 * problem/variant.h: every variant the program knows: the rows of kernels/<folder>/rows.inc, then those that providers
 * and tests add at run time.
 */
#ifndef NF4BENCH_HARNESS_PROBLEM_VARIANT_H
#define NF4BENCH_HARNESS_PROBLEM_VARIANT_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/base/status.h"
#include "harness/problem/device.h"
#include "harness/problem/layout.h"
#include "harness/problem/problem.h"
#include "kernels/device/entry.h"
#include "kernels/kernel.h"
#include "reference/contract.h"

enum { KERNEL_REASON_MAX = 160 };

/* Host builds of a CUDA variant. */
enum entry_build { ENTRY_FAST, ENTRY_CHECKED, ENTRY_BUILDS };

/* What of a product a BLAS library does: cuBLAS or cuBLASLt on a GPU (provider/cublas.h), OpenBLAS on a CPU
 * (provider/openblas.h). */
enum blas_use {
    BLAS_NONE,
    BLAS_DENSE, /* all: its weights were dequantized outside of timing */
    BLAS_WHOLE, /* the product of weights that are dequantized first */
    BLAS_SLAB,  /* the same for a slab of rows of W at a time; OpenBLAS alone */
};

/* Which function of the bitsandbytes package's CUDA library (provider/bitsandbytes_cuda.h). */
enum bitsandbytes_use { BITSANDBYTES_NONE, BITSANDBYTES_DEQUANT, BITSANDBYTES_GEMV, BITSANDBYTES_GEMM };

/* What there is of a variant where it is called. */
enum { CODE_FAST = 1, CODE_CHECKED = 2, CODE_GPU = 4, CODE_PREPARES = 8 };

struct recipe;

struct kernel {
    const char *name;
    const char *table;  /* that it is in, and known by its name in; NULL: in the program's */
    const char *source; /* relative to kernels/, or the library or the device code it came from */
    const char *arch;   /* first word after "__" */
    /* Of the source file and of its machine code (kernels/hashes.h); NULL: not known. What a GPU runs has
     * another hash (problem/image.h). */
    const char *source_hash, *code_hash;
    unsigned library;   /* of others, that it is from: caller_loads_apart(); 0: none */
    const char *option; /* that a command line needs to have it, "--manifest FILE"; NULL: none */
    struct contract contract;
    size_t m_max;      /* 0: any */
    size_t k_multiple; /* 1: any */
    enum backend backend;
    unsigned cpu_features; /* BACKEND_CPU: needed at run time */
    unsigned min_sm;       /* BACKEND_CUDA: least compute capability, 75 for 7.5 */
    bool built;            /* false: this build has no code for it */
    bool peer;             /* a provider's: not ours, names outside the grammar */
    /* A peer whose API takes the scales of whole blocks per row only, or whole multiples of n. 0: any. */
    size_t n_multiple;
    bool whole_blocks;  /* k must be a multiple of blocksize */
    bool no_bias;       /* has no bias argument */
    bool deterministic; /* with ACC_ANY, which promises no order: gives the same inputs the same bits all the
                           same */
    bool only_by_name;  /* planned only where its own name is asked for: no pattern takes it, nor "all" */
    double extra_unit; /* peers with ACC_ANY: relative error of one weight beyond the contract's (a scale kept
                         in bf16, say); 0 for none */
    unsigned
        code; /* of one that is called in another process only (variant_data.h): kernel_code() there, and all that
                      follows but k->dequantize is NULL */
    dequant_fn *dequant; /* BACKEND_CPU: the one that contract.op selects is set when built */
    /* In place of dequant, for a peer whose API takes the shape of W[n,k], of which dequant_args has the
     * product only. */
    void (*dequant_rows)(const struct dequant_args *args, size_t n, size_t k);
    gemm_fn *gemm; /* gemm and gemmdx */
    /* In place of gemm, for one that needs to know of k->dequantize. */
    void (*product)(const struct kernel *k, const struct gemm_args *args);
    const struct entry *entries[ENTRY_BUILDS]; /* BACKEND_CUDA: NULL where this build has none */
    enum bitsandbytes_use bitsandbytes;        /* not BITSANDBYTES_NONE: no entries of its own */
    enum blas_use blas;                        /* not BLAS_NONE: no entries of its own */
    bool blas_lt;                              /* with blas, on a GPU: by cuBLASLt */
    const struct kernel *dequantize;           /* with blas: what makes the dense weights */
    const struct recipe *recipe; /* device code alone, launched so (device/cuda/recipe.h): no entries */
    /* Peers with a layout of their own, dense weights, or room for them: makes gemm_args.prepared from the
     * operands, once per operand set and outside of all timing. NULL for none. */
    enum status (*prepare)(const struct kernel *k, const struct gemm_args *args, void **prepared);
    void (*unprepare)(void *prepared);
};

/* The rows of the table come first. */
size_t kernel_table_count(void);
/* All variants, or, after kernel_table_replace(), only those. */
size_t kernel_count(void);
const struct kernel *kernel_at(size_t i);
const struct kernel *kernel_find(const char *name); /* NULL if there is none */
/* Adds a copy of *k (its strings are kept by pointer). A name that is taken is refused. */
enum status kernel_add(const struct kernel *k) WARN_UNUSED_RESULT;
size_t kernel_room(void); /* how many more can be added */
/* Adds a table of variants that are not planned, all of whose `table` is `name`; both are kept by pointer. */
enum status kernel_add_table(const char *name, const struct kernel *kernels, size_t count) WARN_UNUSED_RESULT;
/* The variant of a table, of the program's where that is "". NULL if there is none. */
const struct kernel *kernel_named(const char *table, const char *name);
/* Those of a table, or, where its name is "", what was added to the program's. */
const struct kernel *kernels_added(const char *table, size_t *count);
/* From now on the table is `kernels`, which must stay, and nothing can be added; NULL: what it was. */
void kernel_table_replace(const struct kernel *kernels, size_t count);

/* Sets k->arch, the first word of `arch`, and adds what it needs where the program knows it (kernels/arch.inc).
 * STATUS_INPUT: it is not of k->backend. */
enum status kernel_set_arch(struct kernel *k, const char *arch) WARN_UNUSED_RESULT;

/* CODE_FAST, CODE_CHECKED: host builds of a CUDA variant; CODE_GPU: device code, and how it is launched; CODE_PREPARES: it makes
 * something of its own of the weights. */
unsigned kernel_code(const struct kernel *k);

/* In which bytes k takes W: by a knob of its name. A peer, whose name has none, by rows. */
enum layout kernel_layout(const struct kernel *k);

/* Whether k is for this kind of device, be it available there or not. */
bool kernel_belongs(const struct kernel *k, const struct device *device);
/* NULL if `device` can run k on this machine, else the reason, written into `reason`. */
const char *kernel_unavailable(const struct kernel *k, const struct device *device,
                               char reason[KERNEL_REASON_MAX]);
/* True if k is for this problem's operation, output type and kind of scales. */
bool kernel_matches(const struct kernel *k, const struct problem *p);
/* NULL if k takes this problem (which it matches), else the reason, written into `reason`. */
const char *kernel_inapplicable(const struct kernel *k, const struct problem *p,
                                char reason[KERNEL_REASON_MAX]);

#endif
