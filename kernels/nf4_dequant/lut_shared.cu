/*
 * nf4_dequant/lut_shared.cu: NF4 dequantize with the codebook in shared memory.
 *
 * Run: nf4bench try kernels/nf4_dequant/lut_shared.cu
 * Ladder (kernels/README.md): before this lut_constant.cu, after this lut_pair.cu.
 *
 * Changes over lut_global.cu: the table is copied to shared memory first. Its 16 entries lie in 16 different
 * banks there: lanes with the same code share a read, lanes with different codes do not meet, and any 32
 * codes are one access. A codebook in global memory costs a trip through L1, one in constant memory an
 * access for each code. The price is a barrier.
 *
 * Instructions a weight (dequant.h): 15.1 for bf16, 21.0 for fp32.
 */
#include "kernels/device/dequant.h"

template <enum device_element T> DEVICE void dequant(const struct dequant_args *a, enum recovery nested)
{
    SHARED(float, codebook, [16]);
    if (threadIdx.x < 16)
        codebook[threadIdx.x] = nf4_codebook[threadIdx.x];
    __syncthreads();
    dequant_by_table<T>(a, nested, codebook);
}

DEQUANT_ENTRIES(sm75_lut_shared, DEQUANT_THREADS, launch_groups)
