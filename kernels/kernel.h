/*
 * kernel.h: what a variant is given and what it must do. Plain C, no CUDA headers, nothing from harness/ or
 * reference/: a kernel author reads this file and the folder's rows.inc, and nothing else.
 *
 * A variant is one function, named in one row of rows.inc, with the signature of its operation below. It
 * may use OpenMP; it must not keep state between calls, write outside `out`/`y` and `workspace`, write to
 * inputs, or depend on the number of threads for its bits. Pointers are 64-byte aligned unless the row says
 * otherwise; NO byte past an array's end may be read or written: tails are the variant's business.
 *
 * Layout of NF4 weights (and of int4 but where a knob names another): W[n,k] flattened row-major; element i
 * lies in byte i/2, the HIGH nibble when i is even; block b = i / blocksize (a row of NF4 may start inside a
 * block when k % blocksize != 0). What the output bits must be is the contract part of the name:
 * reference/contract.inc, reference/matmul.h.
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

/* Weights by rows. NF4: a variant whose contract is nested finds absmax == NULL and recovers each block's
 * absmax from absmax_code, nested_absmax[b / 256], nested_map[256] and nested_offset; all others find only
 * absmax set. int4, int8, fp8: scale, and of int4 zero where blocks have a zero point other than 8. Dense:
 * packed is W itself. Variants of int4 whose knobs name a layout find all of it in `prepared` instead. */
struct weights {
    const uint8_t *packed;      /* nf4, int4: [(count+1)/2]; int8, fp8: [count]; dense: [count] of the type */
    const float *absmax;        /* [ceil(count/blocksize)] */
    const uint8_t *absmax_code; /* [ceil(count/blocksize)] */
    const float *nested_absmax; /* [ceil(blocks/256)] */
    const float *nested_map;    /* [256] */
    float nested_offset;
    const uint16_t *scale; /* [count/blocksize] fp16 */
    const uint8_t *zero;   /* [count/blocksize] 0 to 16; NULL: all are 8 */
    /* NF4: a power of two, 32 to 4096. Others: k, or a power of two from 32 that divides k. */
    size_t blocksize;
};

/* dequant: out[i] for i < count = n k, of the contract's output type; of GPTQ's and AWQ's layouts, which have
 * the columns of W side by side, out[k,n], W transposed. */
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
    /* Repacked codes, or the tensors of a layout, for variants that take them; what a peer's own preparation
     * made of w for a peer. For others it means nothing. */
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

/*
 * int4 as packages store it: variants of int4 with the knob gptq, gptqv2, awq, awqgemv or marlin find these
 * tensors in `prepared`, each at the next multiple of 64 bytes, and w.packed, w.scale and w.zero NULL. Nibble
 * i of a word is bits 4 i to 4 i + 3; groups = k / blocksize; z is the zero point, 8 where w has none.
 *
 *   gptq     codes u32 [k/8][n]   nibble i of [r][c] is q[c, 8 r + i]       n, k multiples of 8
 *            zeros u32 [groups][n/8]   nibble i of [g][c] is z[8 c + i, g] - 1
 *            scales f16 [groups][n]
 *            g_idx u32 [k]        the group of each k; only scaling per weight can meet another than
 *                                 k / blocksize (act-order)
 *   gptqv2   the same with z, not z - 1
 *   awq      codes u32 [k][n/8]   nibble i of [k][c] is q[8 c + o[i], k], o = 0 2 4 6 1 3 5 7
 *            zeros u32 [groups][n/8]   z in the same order
 *            scales f16 [groups][n]                                         n a multiple of 8
 *   awqgemv  codes u32 [n][k/8]   nibble i of [n][c] is q[n, 8 c + i]       k a multiple of 8
 *            zeros u32 [n][width] nibble i of [n][c] is z[n, 8 c + i]
 *            scales f16 [n][8 width]
 *            width = ceil(ceil(groups / 8) / f) f, f = 1, 2, 4 for groups of 128 and more, 64, 32
 *   marlin   codes u32 [k/16][n/64][32][4]   of tile, thread t and part p: nibble i is value v =
 *                                 {0 2 4 6 1 3 5 7}[i], q[64 tile + 16 p + t / 4 + 8 (v / 4),
 *                                 16 tile + 2 (t % 4) + {0 1 8 9}[v % 4]]   n a multiple of 64, k of 16
 *            zeros u8 [groups][n], scales f16 [groups][n]
 *
 * These are offsets in bytes; codes are at 0.
 */
struct int4_parts {
    size_t zeros, scales, g_idx, bytes;
};
#ifdef __CUDACC__
#define KERNEL_INLINE static inline __host__ __device__
#else
#define KERNEL_INLINE static inline
#endif
KERNEL_INLINE size_t int4_part_end(size_t begin, size_t bytes)
{
    return (begin + bytes + 63) / 64 * 64;
}
/* zeros_bytes, scales_bytes: of one group (gptq, awq, marlin: n / 2 or n, and 2 n), or of one row of W
 * (awqgemv). */
KERNEL_INLINE struct int4_parts int4_parts_of(size_t n, size_t k, size_t zeros_bytes, size_t scales_bytes,
                                              size_t g_idx_bytes)
{
    struct int4_parts p;
    p.zeros = int4_part_end(0, n * k / 2);
    p.scales = int4_part_end(p.zeros, zeros_bytes);
    p.g_idx = int4_part_end(p.scales, scales_bytes);
    p.bytes = int4_part_end(p.g_idx, g_idx_bytes);
    return p;
}
KERNEL_INLINE struct int4_parts int4_gptq_parts(size_t n, size_t k, size_t groups)
{
    return int4_parts_of(n, k, groups * n / 2, 2 * groups * n, 4 * k);
}
KERNEL_INLINE struct int4_parts int4_awq_parts(size_t n, size_t k, size_t groups)
{
    return int4_parts_of(n, k, groups * n / 2, 2 * groups * n, 0);
}
KERNEL_INLINE size_t int4_awqgemv_width(size_t k, size_t blocksize)
{
    const size_t f = blocksize >= 128 ? 1 : blocksize == 64 ? 2 : 4;
    return ((k / blocksize + 7) / 8 + f - 1) / f * f;
}
KERNEL_INLINE struct int4_parts int4_awqgemv_parts(size_t n, size_t k, size_t blocksize)
{
    const size_t width = int4_awqgemv_width(k, blocksize);
    return int4_parts_of(n, k, 4 * n * width, 16 * n * width, 0);
}
KERNEL_INLINE struct int4_parts int4_marlin_parts(size_t n, size_t k, size_t groups)
{
    return int4_parts_of(n, k, groups * n, 2 * groups * n, 0);
}

#define unrepack_args repack_args
#define gemmdx_args   gemm_args /* where names are made from the operation's */

typedef void dequant_fn(const struct dequant_args *);
typedef void gemm_fn(const struct gemm_args *);
typedef gemm_fn gemmdx_fn;
typedef void repack_fn(const struct repack_args *);
typedef repack_fn unrepack_fn;

#endif
