/*
 * NF4 gemm of one row (m = 1), four outputs a warp, by a table of pairs.
 *
 * As gemv_prmt, with three changes. A byte is looked up in shared memory (kernels/device/pairs.h): one read
 * and two instructions to find it for two weights, where prmt takes 10 (c16: 4) in a pipe of half the rate. A
 * warp does four rows, so that x is read and widened once for four weights. And a lane loads four words of
 * each row, 64 bytes, while it works on the 64 before: few warps are then enough to keep memory busy. The
 * table's 32 KiB are filled while the first words are under way.
 */
#include "kernels/device/gemv.h"

enum { THREADS = 256 };

template <enum element T>
DEVICE void gemv(const struct gemm_args *a, enum decoding decode, enum recovery nested)
{
    gemv_rows<T, 1, THREADS>(a, decode, nested);
}

static inline struct launch launch(const struct gemm_args *a)
{
    return launch_splits<1, THREADS>(a);
}

GEMV_ENTRIES(sblk_acc32w8, sm75_pair_r4, THREADS, 2, launch)
