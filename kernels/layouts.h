/*
 * layouts.h: weights in other orders than by rows (kernel.h): repacked NF4, and int4 as packages store it. A variant takes
 * the layout that a knob of its name names, from `prepared` of its arguments. Sources: reference/repack.h, gptq.h, awq.h
 * and marlin.h, which say the same in their own words.
 *
 * repacked (NF4). gemm_args.prepared has the codes of W in the order in which mma.m16n8k16 takes them, made once, offline,
 * and w.packed is NULL. Results say which layout a row has read: repacked weights are compared with repacked weights. W is
 * cut into tiles of 8 rows (n) and 128 k, 512 bytes each; those along k follow one another. W[n,k] lies in
 *
 *   tile   n / 8 * ceil(K / 128) + k / 128
 *   lane   n % 8 * 4 + k % 8 / 2          (the one that holds it in a B fragment), 16 bytes each
 *   byte   k % 128 / 16 * 2 + k % 16 / 8  (two for each step of 16 k)
 *   nibble high where k is even, else low
 *
 * so that the tile of a warp is one load of 16 bytes a lane. 16 bits of them are the four weights that a lane has of a step:
 * k = 2 p, 2 p + 1, 2 p + 8, 2 p + 9, p = lane % 4. Where there is no W[n,k] the code is 7, whose value is 0. Scales stay
 * where they are: w.absmax and its nested parts, by block of the row-major W.
 *
 * gptq, gptqv2, awq, awqgemv, marlin (int4). `prepared` has these tensors, each at the next multiple of 64 bytes, and
 * w.packed, w.scale and w.zero are NULL. Nibble i of a word is bits 4 i to 4 i + 3; groups = k / blocksize; z is the zero
 * point, 8 where w has none.
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
 */
#ifndef NF4BENCH_KERNELS_LAYOUTS_H
#define NF4BENCH_KERNELS_LAYOUTS_H

#include <stddef.h>

enum { REPACKED_ROWS = 8, REPACKED_DEPTH = 128, REPACKED_LANE_BYTES = 16, REPACKED_TILE_BYTES = 512 };

/* Of the tensors of a layout: offsets in bytes. Codes are at 0. */
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

#endif
