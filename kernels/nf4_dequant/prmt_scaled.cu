/*
 * nf4_dequant/prmt_scaled.cu: NF4 dequantize with scaled planes: the 16 possible outputs of a block are
 * looked up, not the codebook.
 *
 * Run: nf4bench try kernels/nf4_dequant/prmt_scaled.cu
 * Ladder (kernels/README.md): before this prmt.cu, after this prmt_persistent.cu.
 *
 * Changes over prmt.cu: the multiply and the rounding leave the loop over weights. A lane builds the planes
 * of RN_T(RN32(c * absmax)) for 32 weights of one block, and a warp looks its 1024 weights up in them
 * (kernels/device/dequant.h, tile). For the 16-bit types that is 16 multiplies, 8 roundings of pairs and 8
 * permutes for 32 weights, then 8 permutes for each four. For fp32 there are four planes and only the
 * multiply is saved: that variant is here for the comparison.
 *
 * Instructions a weight (dequant.h): 8.0 for bf16, 13.2 for fp32.
 */
#include "kernels/device/dequant.h"

enum { THREADS = 128, WARPS = THREADS / 32 };

template <enum device_element T> static inline struct launch launch_tiles(const struct dequant_args *a)
{
    return launch_cover(a->count, WARPS * WARP_TILE, THREADS);
}

template <enum device_element T> DEVICE void dequant(const struct dequant_args *a, enum recovery nested)
{
    SHARED(piece_planes, planes, [WARPS][nf4_tiles<T>::ROOM]);
    const nf4_tiles<T> decode = {nested};
    const struct tile<T, nf4_tiles<T>> tile = tile_load<T>(a, decode, global_thread() / 32 * WARP_TILE);
    tile_store<T>(a, decode, planes[threadIdx.x / 32], tile);
}

DEQUANT_ENTRIES(sm75_prmt_scaled, THREADS, launch_tiles)
