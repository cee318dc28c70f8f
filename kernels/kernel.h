/*
 * kernel.h: what a variant is given and what it must do. Plain C, no CUDA headers, nothing from harness/ or
 * reference/: a kernel author reads this file and kernels.inc, and nothing else.
 *
 * A variant is one function, named in one row of kernels.inc, with the signature of its operation below. It
 * may use OpenMP; it must not keep state between calls, write outside `out`/`y` and `workspace`, write to
 * inputs, or depend on the number of threads for its bits. Pointers are 64-byte aligned unless the row says
 * otherwise; NO byte past an array's end may be read or written: tails are the variant's business.
 *
 * Layout of NF4 weights: W[n,k] flattened row-major; element i lies in byte i/2, the HIGH nibble when i is
 * even; block b = i / blocksize (a row may start inside a block when k % blocksize != 0). What the output
 * bits must be is the contract part of the name: reference/contract.inc, reference/matmul.h.
 */
#ifndef NF4BENCH_KERNELS_KERNEL_H
#define NF4BENCH_KERNELS_KERNEL_H

#include <stddef.h>
#include <stdint.h>

/* NF4 weights. A variant whose contract is nested finds absmax == NULL and recovers each block's absmax from
 * absmax_code, nested_absmax[b / 256], nested_map[256] and nested_offset; all others find only absmax set. */
struct nf4_weights {
    const uint8_t *packed;      /* [(count+1)/2] */
    const float *absmax;        /* [ceil(count/blocksize)] */
    const uint8_t *absmax_code; /* [ceil(count/blocksize)] */
    const float *nested_absmax; /* [ceil(blocks/256)] */
    const float *nested_map;    /* [256] */
    float nested_offset;
    size_t blocksize; /* a power of two, 32 to 4096 */
};

/* dequant: out[i] for i < count, of the contract's output type. */
struct dequant_args {
    size_t count;
    struct nf4_weights w;
    void *out;
};

/* gemm: y[m,n] = x[m,k] * W[n,k]^T + bias[n].   gemmdx: y[m,k] = x[m,n] * W[n,k] (x is dY, y is dX, no bias).
 * x, bias, y have the contract's output type, row-major and dense. */
struct gemm_args {
    size_t m, n, k;
    struct nf4_weights w;
    const void *x;
    const void *bias; /* [n] or NULL */
    void *y;
    void *workspace; /* GEMM_WORKSPACE_BYTES(m, n, k) bytes, 64-byte aligned, contents undefined */
    const void
        *prepared; /* NULL for rows of kernels.inc; what a peer's own preparation made of w otherwise */
};

/* Room for a padded or reordered fp32 copy of the activations and 256 KiB for each of up to 64 threads. */
#define GEMM_WORKSPACE_BYTES(m, n, k)                                                                        \
    ((size_t)4 * (m) * ((((n) > (k) ? (n) : (k)) + 511) / 512 * 512) + (size_t)64 * 256 * 1024)

#define gemmdx_args gemm_args /* where names are made from the operation's */

typedef void dequant_fn(const struct dequant_args *);
typedef void gemm_fn(const struct gemm_args *);
typedef gemm_fn gemmdx_fn;

/* Prototypes from the table: a definition of another signature does not compile. (For .cu files
 * device/cuda.h sees to that.) */
#ifndef __cplusplus
#define KERNEL(name, source, op, ...) op##_fn name;
#include "kernels/kernels.inc"
#endif

#endif
