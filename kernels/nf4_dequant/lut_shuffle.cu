/*
 * nf4_dequant/lut_shuffle.cu: NF4 dequantize with the codebook in the lanes: lane l holds entry l % 16, and
 * a shuffle looks it up.
 *
 * Run: nf4bench try kernels/nf4_dequant/lut_shuffle.cu
 * Ladder (kernels/README.md): before this lut_pair.cu, after this prmt.cu.
 *
 * Changes over lut_shared.cu: there is no table to fill and no barrier to wait for. A shuffle takes the way
 * of a read of shared memory at the same rate, so that this step saves the start and nothing else. All lanes
 * have to stay to the end.
 *
 * Instructions a weight (dequant.h): 15.0 for bf16, 21.2 for fp32.
 */
#include "kernels/device/dequant.h"

template <enum device_element T> DEVICE void dequant(const struct dequant_args *a, enum recovery nested)
{
    const float mine = nf4_codebook[threadIdx.x % 16];
    const size_t i = global_thread() * GROUP_SIZE(T);
    uint32_t codes = 0;
    float absmax = 0.0f;
    if (i < a->count) {
        codes = group_load(a, T, i);
        absmax = nf4_absmax(&a->w, i >> nf4_block_shift(&a->w), nested);
    }
    const float4 low = nf4_shuffle_lookup4(mine, codes);
    const float4 high = T == ELEMENT_F32 ? low : nf4_shuffle_lookup4(mine, codes >> 16);
    if (i < a->count)
        group_store(a, T, i, group_scale(T, low, high, absmax));
}

DEQUANT_ENTRIES(sm75_lut_shuffle, DEQUANT_THREADS, launch_groups)
