/*
 * nf4_dequant/lut_global.cu: NF4 dequantize with the codebook in global memory.
 *
 * Run: nf4bench try kernels/nf4_dequant/lut_global.cu
 * Ladder (kernels/README.md): before this none, after this lut_constant.cu.
 *
 * A thread makes 16 bytes of output: one load of 4 bytes (fp32: 2), then for each weight one read of the
 * codebook, one multiply, one rounding and one store. The 64 bytes of the table lie in L1, where the
 * different codes of the lanes are one access. Each lookup takes the whole way of a load from memory,
 * though, and stands in one queue with the loads of the weights and the stores of the output.
 *
 * Instructions a weight (dequant.h): 15.6 for bf16, 20.2 for fp32.
 */
#include "kernels/device/dequant.h"

GLOBAL float codebook[16] = NF4_CODEBOOK;

template <enum device_element T> DEVICE void dequant(const struct dequant_args *a, enum recovery nested)
{
    dequant_by_table<T>(a, nested, codebook);
}

DEQUANT_ENTRIES(sm75_lut_global, DEQUANT_THREADS, launch_groups)
