/*
 * NF4 dequantize with the codebook in shared memory.
 *
 * As lut_global, with the table copied to shared memory first. Against a codebook in global or constant
 * memory, where a warp's different codes cost a trip through L1 or an access each, the 16 entries lie in 16
 * different banks here: lanes with the same code share a read, lanes with different codes do not meet, and
 * any 32 codes are one access. A barrier is the price.
 *
 * Instructions a weight (dequant.h): 15.1 for bf16, 21.0 for fp32.
 */
#include "kernels/device/dequant.h"

template <enum element T> DEVICE void dequant(const struct dequant_args *a, enum recovery nested)
{
    SHARED(float, codebook, [16]);
    if (threadIdx.x < 16)
        codebook[threadIdx.x] = nf4_codebook[threadIdx.x];
    __syncthreads();
    dequant_by_table<T>(a, nested, codebook);
}

DEQUANT_ENTRIES(sm75_lut_shared, DEQUANT_THREADS, launch_groups)
