/*
 * nf4_dequant/prmt.cu: NF4 dequantize with the codebook in registers, as planes for prmt.
 *
 * Run: nf4bench try kernels/nf4_dequant/prmt.cu
 * Ladder (kernels/README.md): before this lut_shuffle.cu, after this prmt_scaled.cu.
 *
 * Changes over lut_shared.cu: four planes of the fp32 codebook stay in 16 registers for the whole kernel,
 * and 20 byte permutes look up four weights. Only the weights and the output go through the memory pipe, and
 * there is no barrier at the start. The c16 contract rounds the codebook to the 16-bit type first: two
 * planes suffice, with 8 permutes for four weights.
 *
 * Instructions a weight (dequant.h): 19.8 for bf16, 25.0 for fp32.
 */
#include "kernels/device/dequant.h"

DEVICE void dequant(const struct dequant_args *a, enum device_element t, enum decoding decode,
                    enum recovery nested)
{
    const size_t i = global_thread() * GROUP_SIZE(t);
    if (i >= a->count)
        return;
    uint32_t codes = group_load(a, t, i);
    float absmax = nf4_absmax(&a->w, i >> nf4_block_shift(&a->w), nested);
    group_store(a, t, i,
                group_scale(t, nf4_decode4(t, decode, codes), nf4_decode4(t, decode, codes >> 16), absmax));
}

#define DEQUANT(name, element, decode, nested)                                                               \
    ENTRY(name, dequant, DEQUANT_THREADS, launch_groups<element>)                                            \
    {                                                                                                        \
        dequant(&a, element, decode, nested);                                                                \
    }
#define DEQUANT_DECODE(type, element, decode)                                                                \
    DEQUANT(nf4_dequant_##type##__sm75_prmt, element, decode, ABSMAX_PLAIN)                                  \
    DEQUANT(nf4_dequant_##type##_twostep__sm75_prmt, element, decode, ABSMAX_TWOSTEP)                        \
    DEQUANT(nf4_dequant_##type##_fused__sm75_prmt, element, decode, ABSMAX_FUSED)

DEQUANT_DECODE(f32, ELEMENT_F32, CODEBOOK_F32)
DEQUANT_DECODE(f16, ELEMENT_F16, CODEBOOK_F32)
DEQUANT_DECODE(bf16, ELEMENT_BF16, CODEBOOK_F32)
DEQUANT_DECODE(f16_c16, ELEMENT_F16, CODEBOOK_OUT)
DEQUANT_DECODE(bf16_c16, ELEMENT_BF16, CODEBOOK_OUT)
