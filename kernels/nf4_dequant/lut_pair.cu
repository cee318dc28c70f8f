/*
 * nf4_dequant/lut_pair.cu: NF4 dequantize with a table of 256 pairs in shared memory: a byte is looked up,
 * not a code.
 *
 * Run: nf4bench try kernels/nf4_dequant/lut_pair.cu
 * Ladder (kernels/README.md): before this lut_shared.cu, after this lut_shuffle.cu.
 *
 * Changes over lut_shared.cu: half the lookups (kernels/device/pairs.h). Each block fills the 32 KiB of the
 * table with 16 stores a thread. To be worth that, a block makes TURNS tiles at least, and the grid stops
 * growing at BLOCKS: 7 for each of the 132 SMs of an H100, whose shared memory holds 7 of these tables. A
 * launch does not know its GPU. With another number of SMs the last round of blocks is not full, as with any
 * grid.
 *
 * Instructions a weight (dequant.h): 8.4 for bf16, 11.8 for fp32.
 */
#include "kernels/device/dequant.h"
#include "kernels/device/pairs.h"

enum { TURNS = 4, BLOCKS = 132 * 7 };

template <enum device_element T> static inline struct launch launch_turns(const struct dequant_args *a)
{
    return launch_turns(a->count, GROUP_SIZE(T) * DEQUANT_THREADS, TURNS, BLOCKS, DEQUANT_THREADS);
}

template <enum device_element T> DEVICE void dequant(const struct dequant_args *a, enum recovery nested)
{
    SHARED(pair_copies, pairs, [256]);
    pairs_fill(pairs, T, CODEBOOK_F32, DEQUANT_THREADS);
    __syncthreads();

    const size_t stride = (size_t)gridDim.x * DEQUANT_THREADS * GROUP_SIZE(T);
    for (size_t i = global_thread() * GROUP_SIZE(T); i < a->count; i += stride) {
        uint32_t codes = group_load(a, T, i);
        float absmax = nf4_absmax(&a->w, i >> nf4_block_shift(&a->w), nested);
        group_store(a, T, i,
                    group_scale(T, pairs_lookup4(pairs, codes), pairs_lookup4(pairs, codes >> 16), absmax));
    }
}

DEQUANT_ENTRIES(sm75_lut_pair, DEQUANT_THREADS, launch_turns)
