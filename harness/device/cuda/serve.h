/*
 * cuda/serve.h: the caller for a GPU: what serve.c, serve_memory.c, serve_launch.c and serve_time.c share. Private to
 * harness/device/cuda/.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CUDA_SERVE_H
#define NF4BENCH_HARNESS_DEVICE_CUDA_SERVE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "harness/device/cuda/bitsandbytes.h"
#include "harness/device/cuda/cublas.h"
#include "harness/device/cuda/driver.h"
#include "harness/device/cuda/nvml.h"
#include "harness/device/cuda/recipe.h"
#include "harness/device/serve.h"
#include "harness/problem/operands.h"

/* The kernels of support.cu, which says what each does. */
#define CUDA_SUPPORT_MAP(X)                                                                                  \
    X(fill)                                                                                                  \
    X(read)                                                                                                  \
    X(copy)                                                                                                  \
    X(copy_shares)                                                                                           \
    X(poison)                                                                                                \
    X(hash)                                                                                                  \
    X(discard)                                                                                               \
    X(add)                                                                                                   \
    X(block)                                                                                                 \
    X(mma)
enum support {
#define X(name) SUPPORT_##name,
    CUDA_SUPPORT_MAP(X)
#undef X
        SUPPORT_COUNT
};

enum { SERVE_MODULES_MAX = 1024, SERVE_CHAIN_MAX = 2 };

/* What cuBLAS asks for itself on sm_90 (documentation of cublasSetWorkspace). */
enum { SERVE_BLAS_WORKSPACE_BYTES = 32 << 20 };

/* A variant that can be launched: one kernel, or several that follow each other. `own` is the variant that these
 * kernels are of: with cuBLAS the one that dequantizes. */
struct serve_kernel {
    const struct kernel *variant, *own;
    struct cuda_function *function[SERVE_CHAIN_MAX];
    const struct entry *entry[SERVE_CHAIN_MAX];
    size_t count;
};

/* A row of the group that is timed. */
struct serve_row {
    bool used;
    struct serve_kernel kernel; /* or: */
    enum ceiling ceiling;
    uint64_t hash;                  /* of its right output */
    bool pinned;                    /* every output must have that hash */
    size_t calls;                   /* of a hot sample */
    struct cuda_graph_exec *repeat; /* these calls; NULL: a loop */
};

/* A product as cuBLAS has it, matrices by columns: c[m,n] = a[m,k] b[k,n] of one type, a as its transpose
 * a[k,m] with transpose_a. All of it but where the matrices lie. */
struct blas_shape {
    int transpose_a, type, m, n, k, lda, ldb, ldc;
};
struct blas_product {
    struct blas_shape shape;
    uint64_t a, b, c;
};

/* How cuBLASLt computes products of a shape. */
struct cublaslt_plan {
    struct blas_shape shape;
    struct cublaslt_operation *operation;
    struct cublaslt_layout *a, *b, *c;
    struct cublaslt_algorithm algorithm;
};

/* What libraries have beside a slot's operands, in the GPU's memory, for as long as these are bound; 0: not
 * yet asked for. */
struct serve_extra {
    uint64_t scratch; /* dense weights for cuBLAS, made within a call */
    uint64_t *copies; /* and made before */
    size_t count;
    uint64_t offset; /* nested_offset, fp32 */
    uint64_t absmax; /* recovered from nested scales within a call, fp32 */
};

struct serve {
    struct channel *channel;
    int error; /* the driver's number of it; 0 where it was none of the driver's */
    struct cuda_driver cu;
    struct nvml nvml;
    struct gpu gpu;
    struct cuda_context *context;        /* the GPU's primary one, which is current */
    struct cuda_stream *stream, *beside; /* beside: NULL until it is asked for */
    struct cuda_event *begin, *end;
    struct {
        const char *source;
        struct cuda_module *module;
    } modules[SERVE_MODULES_MAX];
    size_t module_count;
    struct cuda_function *support[SUPPORT_COUNT];

    /* The operands as the GPU sees them: `data` of each buffer is an address in its memory, never to be
     * followed here, `allocation` the start of the first canary. Buffers of size 0 have none. */
    struct operands operands;
    struct serve_extra extra;
    /* What the other slots have; the present one's is above. */
    struct {
        struct operands operands;
        struct serve_extra extra;
    } slots[CHANNEL_SLOTS];
    size_t slot;

    /* Products that cuBLAS computes; the addresses are in the GPU's memory. */
    struct {
        struct cublas library;
        struct cublas_handle *handle; /* NULL: not yet asked for */
        uint64_t workspace;
        struct cublaslt_handle *lt; /* NULL: not yet asked for */
        struct cublaslt_preference *preference;
        struct cublaslt_plan *plans;
        size_t plan_count;
    } blas;

    /* The bitsandbytes package's CUDA library. */
    struct {
        struct bitsandbytes_cuda library;
        uint64_t code; /* the fp32 codebook, in the GPU's memory */
        bool context_known;
    } bitsandbytes;

    /* Timing: */
    struct serve_row rows[CHANNEL_ROWS_MAX];
    uint64_t flush; /* memory that is written to put everything else out of the L2 cache */
    size_t flush_bytes;
    uint64_t words;     /* on the GPU: [0] a hash, [1] a sink */
    volatile int *gate; /* in both memories: [0] open, [1] the blocking kernel gave up */
    uint64_t gate_address;
    size_t next_set;
};

/* Makes the operands of a slot the present ones. */
void serve_select(struct serve *s, size_t slot);

/* False, and the answer says so, if `code` is an error; `what` was being done: "cuMemAlloc of 3 MiB". */
bool serve_ok(struct serve *s, int code, const char *what);
/* The same for errors that are not the driver's. Returns false. */
#define SERVE_FAIL(s, status, ...) serve_fail_with((s)->channel, status, __VA_ARGS__)
/* Calls a driver function by name; false, with the answer, when it fails. */
#define SERVE_CALL(s, name, ...) serve_ok(s, (s)->cu.name(__VA_ARGS__), #name)

/* serve_memory.c. Frees all operands, and what lies beside them. */
bool serve_release(struct serve *s);
/* How many copies of `bytes` a cold measurement rotates through, were there room for them. */
size_t serve_cold_copies(const struct serve *s, size_t bytes);
/* serve_launch.c */
/* The variant that the request names. */
bool serve_find(struct serve *s, struct serve_kernel *out);
/* Queues the kernel on set `set`. */
bool serve_enqueue(struct serve *s, const struct serve_kernel *k, size_t set);
/* How its first launch on set 0 is made. */
bool serve_launch_shape(struct serve *s, const struct serve_kernel *k, struct launch *out);
/* Queues its launches with arguments of their operation; not for kernels with a recipe. */
bool serve_enqueue_with(struct serve *s, const struct serve_kernel *k, const void *arguments);
bool serve_synchronize(struct serve *s);
bool serve_support(struct serve *s, enum support which, unsigned blocks, unsigned threads, void **parameters);

/* serve_blas.c. Loads cuBLAS and makes what k needs beside the operands. */
bool serve_blas_prepare(struct serve *s, const struct serve_kernel *k);
bool serve_blas(struct serve *s, const struct serve_kernel *k, size_t set);
/* Three square bf16 matrices in *memory, the caller's to free, and the product of two of them into the third.
 */
bool serve_blas_square_begin(struct serve *s, size_t size, uint64_t *memory);
bool serve_blas_square(struct serve *s, size_t size, uint64_t memory);

/* False, and the answer says so, if `code` is an error of cuBLAS or cuBLASLt. */
bool serve_blas_ok(struct serve *s, int code, const char *what);
#define SERVE_BLAS_CALL(s, name, ...) serve_blas_ok(s, (s)->blas.library.name(__VA_ARGS__), #name)

/* serve_cublaslt.c. Needs cuBLAS to be open; looks up how at the first call with a shape. */
bool serve_cublaslt(struct serve *s, const struct blas_product *p);

/* serve_bitsandbytes.c. The same for the bitsandbytes package's library. */
bool serve_bitsandbytes_prepare(struct serve *s, const struct serve_kernel *k);
bool serve_bitsandbytes(struct serve *s, const struct serve_kernel *k, size_t set);
/* Queues its dequantize. */
bool serve_bitsandbytes_dequantize(struct serve *s, const struct dequant_args *d);

/* From now on it is the variant that is at work. */
static inline void serve_variant_begins(struct serve *s)
{
    snprintf(s->channel->doing, sizeof s->channel->doing, "a launch");
    s->channel->by_variant = true;
}

/* One handler for each request, with the slot that it means selected: false, with the answer filled in, when it fails. */
#define X(name) bool serve_##name(struct serve *s);
REQUEST_MAP(X)
#undef X

#endif
