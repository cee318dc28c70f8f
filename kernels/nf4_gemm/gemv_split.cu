/*
 * nf4_gemm/gemv_split.cu: NF4 gemm of one row (m = 1), four warps for each output, with a quarter of k each.
 *
 * Run: nf4bench try kernels/nf4_gemm/gemv_split.cu
 * Ladder (kernels/README.md): before this gemv_shuffle.cu, after this none.
 *
 * Changes over gemv_prmt.cu: four times as many warps. With a warp a row, a layer of 4096 rows has 31 warps
 * for each of 132 SMs: half of what an SM holds, and too few loads under way to cover the time of one. A
 * lane then makes 16 loads, one after the other; here it makes 4. The price is 16 bytes of shared memory and
 * a barrier a row. One thread adds the sums of the quarters in order: there is no second launch, and the
 * bits are the same on each run. Since a lane of gemv_prmt.cu loads four words ahead as well, this step is
 * the slower one.
 */
#include "kernels/device/gemv.h"

enum { SPLITS = 4, SPLIT_THREADS = SPLITS * LANES };

template <enum device_element T>
DEVICE void gemv(const struct gemm_args *a, enum decoding decode, enum recovery nested)
{
    SHARED(float, sums, [SPLITS]);
    const size_t length = ((a->k + SPLITS - 1) / SPLITS + STRIDE - 1) / STRIDE * STRIDE;
    const size_t n = blockIdx.x, begin = threadIdx.x / LANES * length;
    const size_t end = begin + length < a->k ? begin + length : a->k;
    const auto row = nf4_row_by(nested, [=](uint32_t codes) { return nf4_decode4(T, decode, codes); });
    const float sum = row_sum<T>(a, row, n, begin, end);
    if (threadIdx.x % LANES == 0)
        sums[threadIdx.x / LANES] = sum;
    __syncthreads();
    if (threadIdx.x != 0)
        return;
    float total = sums[0];
    UNROLL
    for (unsigned split = 1; split < SPLITS; split++)
        total = __fadd_rn(total, sums[split]);
    gemm_store(a, T, 0, n, total);
}

static inline struct launch launch_row_splits(const struct gemm_args *a)
{
    return launch_1d(a->n, SPLIT_THREADS);
}

GEMV_TYPE(f32, ELEMENT_F32, CODEBOOK_F32, sblk_acc32w8x4, sm75_prmt, SPLIT_THREADS, 6, launch_row_splits)
GEMV_TYPE(f16, ELEMENT_F16, CODEBOOK_F32, sblk_acc32w8x4, sm75_prmt, SPLIT_THREADS, 6, launch_row_splits)
GEMV_TYPE(bf16, ELEMENT_BF16, CODEBOOK_F32, sblk_acc32w8x4, sm75_prmt, SPLIT_THREADS, 6, launch_row_splits)
