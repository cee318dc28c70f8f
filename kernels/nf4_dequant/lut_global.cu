/*
 * NF4 dequantize with the codebook in global memory: the first rung of the ladder on a GPU.
 *
 * A thread makes 16 bytes of output: one load of 4 bytes (fp32: 2), then for each weight one read of the
 * codebook, one multiply, one rounding, and one store. The table's 64 bytes lie in L1, where the lanes'
 * different codes are one access each time; but each goes the whole way of a load from memory, and these
 * loads stand in the queue in which the weights and the output stand too.
 *
 * Instructions a weight (dequant.h): 15.6 for bf16, 20.2 for fp32.
 */
#include "kernels/device/dequant.h"

GLOBAL float codebook[16] = NF4_CODEBOOK;

template <enum element T> DEVICE void dequant(const struct dequant_args *a, enum recovery nested)
{
    dequant_by_table<T>(a, nested, codebook);
}

DEQUANT_ENTRIES(sm75_lut_global, DEQUANT_THREADS, launch_groups)
