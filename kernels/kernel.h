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
 *
 * Repacked weights. A CUDA variant of gemm with the knob "repacked" (..__sm80_repacked_..) finds the codes of
 * W once more in gemm_args.prepared, in the order in which mma.m16n8k16 takes them (and w.packed NULL). They
 * are made once, offline; a variant that reads them is another track than those that take a checkpoint's
 * bytes, and its name says so. W is cut into tiles of 8 rows (n) and 128 k, 512 bytes each; those along k
 * follow one another. W[n,k] lies in
 *
 *   tile   n / 8 * ceil(K / 128) + k / 128
 *   lane   n % 8 * 4 + k % 8 / 2          (the one that holds it in a B fragment), 16 bytes each
 *   byte   k % 128 / 16 * 2 + k % 16 / 8  (two for each step of 16 k)
 *   nibble high where k is even, else low
 *
 * so that a warp's tile is one load of 16 bytes a lane, 16 bits of which are a lane's four weights of a step:
 * k = 2 p, 2 p + 1, 2 p + 8, 2 p + 9 of it, p = lane % 4. Where there is no W[n,k] the code is 7, whose value
 * is 0. Scales stay where they are: w.absmax and its nested parts, by block of the row-major W.
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
    /* Repacked codes for variants that take them, what a peer's own preparation made of w for a peer. For
     * others it means nothing. */
    const void *prepared;
};

/* Room for a padded or reordered fp32 copy of the activations and 256 KiB for each of up to 64 threads; or
 * for four fp32 sums of each output of up to 64 rows. */
#define GEMM_WORKSPACE_BYTES(m, n, k)                                                                        \
    ((size_t)4 * (m) * ((((n) > (k) ? (n) : (k)) + 511) / 512 * 512) + (size_t)64 * 256 * 1024 +             \
     (size_t)4 * 4 * ((m) < 64 ? (m) : 64) * (n))

enum { REPACKED_ROWS = 8, REPACKED_DEPTH = 128, REPACKED_LANE_BYTES = 16, REPACKED_TILE_BYTES = 512 };

/* repack: a checkpoint's codes to repacked ones; unrepack: back. Every byte of `to` is written; where an odd
 * count leaves a nibble over it is code 7 as well. */
struct repack_args {
    size_t n, k;
    const uint8_t *from; /* repack: [(n*k+1)/2], unrepack: repacked, REPACKED_TILE_BYTES for each tile */
    uint8_t *to;         /* the other one */
};

#define unrepack_args repack_args
#define gemmdx_args   gemm_args /* where names are made from the operation's */

typedef void dequant_fn(const struct dequant_args *);
typedef void gemm_fn(const struct gemm_args *);
typedef gemm_fn gemmdx_fn;
typedef void repack_fn(const struct repack_args *);
typedef repack_fn unrepack_fn;

/* Prototypes from the table: a definition of another signature does not compile. (For .cu files
 * device/cuda.h sees to that.) */
#if !defined(__cplusplus) && !defined(NF4BENCH_NO_KERNEL_PROTOTYPES)
#define KERNEL(name, source, op, ...) op##_fn name;
#include "kernels/kernels.inc"
#endif

#endif
