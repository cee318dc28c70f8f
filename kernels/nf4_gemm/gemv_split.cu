/*
 * NF4 gemm of one row (m = 1), k divided among four warps.
 *
 * As gemv_pair, with four times as many warps: 4096 rows of four a warp are 8 warps for each of 132 SMs, too
 * few to hide anything. Each of four warps sums a quarter of k, and the quarters are added in order, through
 * shared memory: the same bits on each run. 16 warps a block, so that the table is filled for 16 rows.
 */
#include "kernels/device/gemv.h"

enum { THREADS = 512, SPLITS = 4 };

template <enum element T>
DEVICE void gemv(const struct gemm_args *a, enum decoding decode, enum recovery nested)
{
    gemv_rows<T, SPLITS, THREADS>(a, decode, nested);
}

static inline struct launch launch(const struct gemm_args *a)
{
    return launch_splits<SPLITS, THREADS>(a);
}

GEMV_ENTRIES(sblk_acc32w8x4, sm75_pair_r4, THREADS, 1, launch)
