/*
 * nf4_gemm/gemv_prmt.cu: NF4 gemm of one row (m = 1), a warp for each output: decoding of tokens.
 *
 * Run: nf4bench try kernels/nf4_gemm/gemv_prmt.cu
 * Ladder (kernels/README.md): before this none, after this gemv_shuffle.cu.
 *
 * kernels/device/gemv.h says how k is divided. prmt looks the codebook up, in fp32 (20 permutes for four
 * weights), or rounded to the 16-bit type first (c16: 8).
 */
#include "kernels/device/gemv.h"

template <enum device_element T>
DEVICE void gemv(const struct gemm_args *a, enum decoding decode, enum recovery nested)
{
    gemv_row<T>(a, nf4_row_by(nested, [=](uint32_t codes) { return nf4_decode4(T, decode, codes); }));
}

GEMV_ENTRIES(sblk_acc32w8, sm75_prmt, ROW_THREADS, 4, launch_rows)
