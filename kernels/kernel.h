/*
 * kernel.h: what a variant is given and what it must do. Plain C, no CUDA headers, nothing from harness/ or reference/:
 * a kernel author reads this file, layouts.h for weights in other orders, and rows.inc of its folder, the list of variants.
 *
 * A variant is one function, named in one row of rows.inc, with the signature of its operation below.
 *  - Its name says what it computes: <contract>__<arch>[_<knobs>]. The contract fixes the bits of the output
 *    (reference/contract.inc has the words, reference/matmul.h the orders of summation).
 *  - It may use OpenMP. Its bits must not depend on the number of threads.
 *  - It keeps no state between calls and writes to `out`, `y`, `to` and `workspace` only.
 *  - Pointers are 64-byte aligned. NO byte past the end of an array may be read or written: tails are its own business.
 *
 * Formula of a weight. W[n,k] is flattened row-major; element i = n_index * k + k_index belongs to block
 * b = i / blocksize. RN32 rounds to fp32, RN_T to the type T of the contract, both to nearest, ties to even.
 *
 *   nf4     W = RN_T(RN32(codebook[code] * absmax[b]))
 *   int4    W = RN_T(RN32((code - zero[b]) * scale[b]))       zero[b] is 8 where there is no zero point
 *   int8    W = RN_T(RN32(code * scale[b]))                   two's complement
 *   fp8     W = RN_T(RN32(e4m3(code) * scale[b]))             sign, 4 bits of exponent with bias 7, 3 of fraction
 *   dense   W is stored as T
 *
 * The word sblk in a contract moves the scale out of the sum over a block; c16 rounds the codebook to T first.
 *
 * NF4's codebook (QLoRA, arXiv 2305.14314), by code, as shortest decimals of the fp32 values:
 *
 *    0 -1             4 -0.284441382    8 0.0795802996   12 0.440709829
 *    1 -0.696192801   5 -0.18477343     9 0.160930201    13 0.562617004
 *    2 -0.525073051   6 -0.0910500363  10 0.246112302    14 0.722956836
 *    3 -0.394917488   7 0              11 0.337915242    15 1
 *
 * NF4's absmax is fp32 or nested, as the contract says:
 *
 *   twostep   absmax[b] = RN32(RN32(nested_map[absmax_code[b]] * nested_absmax[b / 256]) + nested_offset)
 *   fused     absmax[b] = fma(nested_map[absmax_code[b]], nested_absmax[b / 256], nested_offset)
 *
 * Layout of codes of four bits (NF4, and int4 unless a knob names another: layouts.h): element i lies in byte i / 2, in
 * the HIGH nibble when i is even. A row of NF4 may start inside a block, when k % blocksize != 0.
 */
#ifndef NF4BENCH_KERNELS_KERNEL_H
#define NF4BENCH_KERNELS_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/layouts.h"

/* Weights by rows. What a format or a contract does not have is NULL:
 *   NF4          absmax, or where the contract is nested the absmax_code and nested_* fields
 *   int4         scale, and zero where blocks have a zero point other than 8
 *   int8, fp8    scale
 *   dense        packed alone: W itself
 * Variants whose knob names a layout (layouts.h) find codes, or all of it, in `prepared` instead. */
struct weights {
    const uint8_t *packed;      /* nf4, int4: [(count+1)/2]; int8, fp8: [count]; dense: [count] of the type */
    const float *absmax;        /* [ceil(count/blocksize)] */
    const uint8_t *absmax_code; /* [ceil(count/blocksize)] */
    const float *nested_absmax; /* [ceil(blocks/256)] */
    const float *nested_map;    /* [256] */
    float nested_offset;
    const uint16_t *scale; /* [count/blocksize] fp16 */
    const uint8_t *zero;   /* [count/blocksize] 0 to 16; NULL: all are 8 */
    /* NF4: a power of two, 32 to 4096. Dense: k. Others: k, or a power of two from 32 that divides k. */
    size_t blocksize;
};

/* dequant: out[i] = W[i] for i < count = n k, of the contract's output type. Of the layouts of GPTQ and AWQ, which have the
 * columns of W side by side: out[k,n], W transposed. */
struct dequant_args {
    size_t count;
    struct weights w;
    void *out;
    size_t n, k;
    const void *prepared; /* as in gemm_args */
};

/* gemm: y[m,n] = x[m,k] * W[n,k]^T + bias[n].   gemmdx: y[m,k] = x[m,n] * W[n,k] (x is dY, y is dX, no bias).
 * x, bias, y have the contract's output type, row-major and dense. */
struct gemm_args {
    size_t m, n, k;
    struct weights w;
    const void *x;
    const void *bias; /* [n] or NULL */
    void *y;
    void *workspace; /* GEMM_WORKSPACE_BYTES(m, n, k) bytes, 64-byte aligned, contents undefined */
    /* Variants with a layout: the repacked codes, or the tensors of that layout. Peers: what their own
     * preparation made of w. All others: undefined. */
    const void *prepared;
};

/* Room for a padded or reordered fp32 copy of the activations, for 256 KiB for each of up to 64 threads, and for four fp32
 * sums of each output of up to 64 rows. */
#define GEMM_WORKSPACE_BYTES(m, n, k)                                                                        \
    ((size_t)4 * (m) * ((((n) > (k) ? (n) : (k)) + 511) / 512 * 512) + (size_t)64 * 256 * 1024 +             \
     (size_t)4 * 4 * ((m) < 64 ? (m) : 64) * (n))

/* repack: a checkpoint's codes to repacked ones (layouts.h); unrepack: back. Every byte of `to` is written. The nibble that
 * an odd count leaves over is code 7. */
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

#endif
