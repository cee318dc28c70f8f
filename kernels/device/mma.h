/*
 * mma.h: the tensor cores: one instruction for both types, and operands from anywhere for it.
 */
#ifndef NF4BENCH_KERNELS_DEVICE_MMA_H
#define NF4BENCH_KERNELS_DEVICE_MMA_H

#include "kernels/device/gemm.h"

enum { STEP = 16 }; /* k of one mma */

DEVICE void mma(enum device_element t, float (&d)[4], const uint32_t (&a)[4], const uint32_t (&b)[2])
{
    if (t == ELEMENT_F16)
        mma_m16n8k16_f16(d, a, b);
    else
        mma_m16n8k16_bf16(d, a, b);
}

/* Whether this code is for GPUs whose tensor cores are of that model, 80 or 90: an entry of the other one is
 * never launched there, and is left empty, which halves the device code. */
#ifdef __CUDA_ARCH__
#define MMA_HERE(model) ((model) == 90 ? __CUDA_ARCH__ >= 900 : __CUDA_ARCH__ < 900)
#else
#define MMA_HERE(model) true
#endif

/* Weights k and k + 1 of row n, wherever they lie, 0 where there are none. */
DEVICE uint32_t gather_pair(const struct gemm_args *a, enum device_element t, enum recovery nested,
                            const float *codebook, size_t n, size_t k, size_t end)
{
    const unsigned shift = nf4_block_shift(&a->w);
    float w[2] = {0.0f, 0.0f};
    UNROLL
    for (unsigned j = 0; j < 2; j++)
        if (n < a->n && k + j < end) {
            const size_t i = n * a->k + k + j;
            w[j] = __fmul_rn(codebook[nf4_code(a->w.packed, i)], nf4_absmax(&a->w, i >> shift, nested));
        }
    return pair_of_f32(t, w[0], w[1]);
}

/* x[row, k .. k + 7] to shared memory in the background, zero from `end` on and where there is no row. x has
 * rows of `length` elements; k is a multiple of 8, and so is `end` unless it is the length. */
DEVICE void stage_x8(uint16_t *to, const struct gemm_args *a, size_t length, size_t row, size_t k, size_t end)
{
    const uint16_t *x = (const uint16_t *)a->x;
    if (length % 8 == 0) {
        const bool inside = row < a->m && k < end;
        cp_async16(to, x + row * length + k, inside ? 16 : 0);
    } else {
        UNROLL
        for (unsigned j = 0; j < 8; j++)
            to[j] = row < a->m && k + j < end ? x[row * length + k + j] : 0;
    }
}

/* ENTRY_OF(contract, model, element, recovery) for each model of tensor cores, plain and nested. type: f16 or
 * bf16. */
#define MMA_CONTRACTS(ENTRY_OF, type, element)                                                               \
    ENTRY_OF(type##_mma80, 80, element, ABSMAX_PLAIN)                                                        \
    ENTRY_OF(type##_mma80_fused, 80, element, ABSMAX_FUSED)                                                  \
    ENTRY_OF(type##_mma90, 90, element, ABSMAX_PLAIN)                                                        \
    ENTRY_OF(type##_mma90_fused, 90, element, ABSMAX_FUSED)

#endif
