/*
 * nf4_dequant/prmt_persistent.cu: NF4 dequantize with scaled planes and a grid that stays.
 *
 * Run: nf4bench try kernels/nf4_dequant/prmt_persistent.cu
 * Ladder (kernels/README.md): before this prmt_scaled.cu, after this none.
 *
 * Changes over prmt_scaled.cu: a warp goes through many tiles and loads the codes and the absmax of the next
 * tile before it looks up the present one. Each lane has 4 loads of 4 bytes (fp32: 8 of 2) under way at all
 * times, a nested absmax is recovered from what came with them, and no time goes to starting blocks. What is
 * left should be the 16-byte stores of the output, which are marked not to stay in the caches.
 *
 * The grid stops growing at BLOCKS: 14 blocks of 64 threads for each of the 132 SMs of an H100. They fit
 * with up to 72 registers a thread (fp32), so that all of them run at once. A launch does not know its GPU.
 * With another number of SMs the last round of blocks is not full, as with any grid.
 *
 * Instructions a weight (dequant.h): 8.0 for bf16, 14.4 for fp32.
 */
#include "kernels/device/dequant.h"

enum { THREADS = 64, WARPS = THREADS / 32, TURNS = 2, BLOCKS = 132 * 14 };

template <enum device_element T> static inline struct launch launch_tiles(const struct dequant_args *a)
{
    return launch_turns(a->count, WARPS * WARP_TILE, TURNS, BLOCKS, THREADS);
}

template <enum device_element T> DEVICE void dequant(const struct dequant_args *a, enum recovery nested)
{
    SHARED(piece_planes, planes, [WARPS][nf4_tiles<T>::ROOM]);
    const nf4_tiles<T> decode = {nested};
    const size_t stride = (size_t)gridDim.x * WARPS * WARP_TILE;
    struct tile<T, nf4_tiles<T>> next = tile_load<T>(a, decode, global_thread() / 32 * WARP_TILE);
    while (next.start < a->count) {
        const struct tile<T, nf4_tiles<T>> tile = next;
        next = tile_load<T>(a, decode, tile.start + stride);
        tile_store<T>(a, decode, planes[threadIdx.x / 32], tile);
        __syncwarp();
    }
}

DEQUANT_ENTRIES(sm75_prmt_persistent, THREADS, launch_tiles)
