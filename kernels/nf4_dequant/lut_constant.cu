/*
 * nf4_dequant/lut_constant.cu: NF4 dequantize with the codebook in constant memory: what a table of
 * constants is in CUDA by habit.
 *
 * Run: nf4bench try kernels/nf4_dequant/lut_constant.cu
 * Ladder (kernels/README.md): before this lut_global.cu, after this lut_shared.cu.
 *
 * Changes over lut_global.cu: the table lies in constant memory. The step is here because it should lose:
 * the constant cache serves one address of a warp at a time. The up to 16 different codes of a warp are up
 * to 16 accesses (13 or 14 on average, as NF4's codes are about equally frequent), each for one weight of
 * every lane.
 *
 * Instructions a weight (dequant.h): 13.8 for bf16, 18.0 for fp32.
 */
#include "kernels/device/dequant.h"

template <enum device_element T> DEVICE void dequant(const struct dequant_args *a, enum recovery nested)
{
    dequant_by_table<T>(a, nested, nf4_codebook);
}

DEQUANT_ENTRIES(sm75_lut_constant, DEQUANT_THREADS, launch_groups)
