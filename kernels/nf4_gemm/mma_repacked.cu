/*
 * nf4_gemm/mma_repacked.cu: NF4 gemm for up to 64 rows on the tensor cores, from repacked weights, with X
 * and W four stages ahead.
 *
 * Run: nf4bench try kernels/nf4_gemm/mma_repacked.cu
 * Ladder (kernels/README.md): before this mma_split.cu, after this none.
 *
 * Changes over mma_stages.cu: the weights lie in the order in which the lanes take them (kernels/layouts.h).
 * The part of a stage that a warp needs is 512 bytes in one piece, where a checkpoint has 64 bytes in each
 * of 8 rows. A lane reads what it copied: 128 bits for 128 k, in place of four such reads of which it uses a
 * quarter. No permute picks its bytes. Where K is no multiple of 32, codes are found the same way, and
 * scales one by one.
 */
#include "kernels/device/mma_stages.h"

enum { WARPS = 4 };

template <enum device_element T> static inline struct launch launch(const struct gemm_args *a)
{
    return launch_stages<nf4_repacked<T>, WARPS, 1>(a);
}

#define GEMM(contract, model, element, nested)                                                               \
    ENTRY_RESIDENT(nf4_gemm_##contract##__sm80_repacked_64x32x128, gemm, WARPS * 32, 4, launch<element>)     \
    {                                                                                                        \
        if (MMA_HERE(model))                                                                                 \
            nf4_gemm_stages<element, WARPS, 1, nf4_repacked<element>>(&a, nested);                           \
    }

MMA_CONTRACTS(GEMM, f16, ELEMENT_F16)
MMA_CONTRACTS(GEMM, bf16, ELEMENT_BF16)
