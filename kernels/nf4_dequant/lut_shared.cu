/*
 * NF4 dequantize with the codebook in shared memory: the first rung of the ladder on a GPU.
 *
 * A thread makes 16 bytes of output: one load of 4 bytes (fp32: 2), then for each weight one read of the
 * codebook, one multiply, one rounding, and one store. Against a codebook in global or constant memory, where
 * the lanes' different codes cost an access each, the 16 entries lie in 16 different banks here: lanes with
 * the same code share a read, lanes with different codes do not meet, and any 32 codes are one access.
 */
#include "kernels/device/dequant.h"

DEVICE float4 codebook_values(const float *codebook, uint32_t codes)
{
    return make_float4(codebook[codes >> 4 & 15], codebook[codes & 15], codebook[codes >> 12 & 15],
                       codebook[codes >> 8 & 15]);
}

DEVICE void dequant(const struct dequant_args *a, enum element t, enum recovery nested)
{
    SHARED(float, codebook, [16]);
    if (threadIdx.x < 16)
        codebook[threadIdx.x] = nf4_codebook[threadIdx.x];
    __syncthreads();

    const size_t i = global_thread() * GROUP_SIZE(t);
    if (i >= a->count)
        return;
    uint32_t codes = group_load(a, t, i);
    float absmax = nf4_absmax(&a->w, i >> nf4_block_shift(&a->w), nested);
    group_store(
        a, t, i,
        group_scale(t, codebook_values(codebook, codes), codebook_values(codebook, codes >> 16), absmax));
}

#define DEQUANT(name, element, nested)                                                                       \
    ENTRY(name, dequant, DEQUANT_THREADS, launch_groups<element>)                                            \
    {                                                                                                        \
        dequant(&a, element, nested);                                                                        \
    }
#define DEQUANT_TYPE(type, element)                                                                          \
    DEQUANT(nf4_dequant_##type##__sm75_lut_shared, element, ABSMAX_PLAIN)                                    \
    DEQUANT(nf4_dequant_##type##_twostep__sm75_lut_shared, element, ABSMAX_TWOSTEP)                          \
    DEQUANT(nf4_dequant_##type##_fused__sm75_lut_shared, element, ABSMAX_FUSED)

DEQUANT_TYPE(f32, ELEMENT_F32)
DEQUANT_TYPE(f16, ELEMENT_F16)
DEQUANT_TYPE(bf16, ELEMENT_BF16)
