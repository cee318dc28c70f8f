/*
 * nf4_gemm/gemv_shuffle.cu: NF4 gemm of one row (m = 1), the codebook in the lanes.
 *
 * Run: nf4bench try kernels/nf4_gemm/gemv_shuffle.cu
 * Ladder (kernels/README.md): before this gemv_prmt.cu, after this gemv_split.cu.
 *
 * Changes over gemv_prmt.cu: a shuffle looks up each weight, in place of 5 permutes (c16: 2); lane l holds
 * entry l % 16. Each shuffle goes through the pipe of shared memory, which takes one for a warp every other
 * cycle. Fewer instructions weigh more (6 a weight in the loop): on an H200 it is the fastest of the three.
 */
#include "kernels/device/gemv.h"

template <enum device_element T>
DEVICE void gemv(const struct gemm_args *a, enum decoding decode, enum recovery nested)
{
    float mine = nf4_codebook[threadIdx.x % 16];
    if (decode == CODEBOOK_OUT)
        mine = round_element(T, mine);
    gemv_row<T>(a, nf4_row_by(nested, [=](uint32_t codes) { return nf4_shuffle_lookup4(mine, codes); }));
}

GEMV_ENTRIES(sblk_acc32w8, sm75_shuffle, ROW_THREADS, 4, launch_rows)
