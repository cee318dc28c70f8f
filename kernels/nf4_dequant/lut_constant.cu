/*
 * NF4 dequantize with the codebook in constant memory: what a table of constants is in CUDA by habit.
 *
 * As lut_global, with the table in constant memory. It is here because it should lose: the constant cache
 * gives one address to a warp at a time, so that the lanes' up to 16 different codes are up to 16 accesses
 * (13 or 14 on average: NF4's codes are about equally frequent), each for one weight of every lane.
 *
 * Instructions a weight (dequant.h): 13.8 for bf16, 18.0 for fp32.
 */
#include "kernels/device/dequant.h"

template <enum element T> DEVICE void dequant(const struct dequant_args *a, enum recovery nested)
{
    dequant_by_table<T>(a, nested, nf4_codebook);
}

DEQUANT_ENTRIES(sm75_lut_constant, DEQUANT_THREADS, launch_groups)
