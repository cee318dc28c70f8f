/*
 * dequant.h: how the dequantize variants divide the output: 16 bytes of it, a group, at a time. A group is 8
 * elements of a 16-bit type or 4 of fp32; it never crosses a block, and its codes lie in one aligned word.
 */
#ifndef NF4BENCH_KERNELS_DEVICE_DEQUANT_H
#define NF4BENCH_KERNELS_DEVICE_DEQUANT_H

#include "kernels/device/nf4.h"

#define GROUP_SIZE(t) ((t) == ELEMENT_F32 ? 4u : 8u)

enum { DEQUANT_THREADS = 256 };

/* The codes of the group that starts at element i, as nf4_codes(). */
DEVICE uint32_t group_load(const struct dequant_args *a, enum element t, size_t i)
{
    const unsigned size = GROUP_SIZE(t);
    if (a->count - i < size)
        return nf4_codes(a->w.packed, i, a->count - i);
    const uint8_t *p = a->w.packed + i / 2;
    return t == ELEMENT_F32 ? *(const uint16_t *)p : load_stream32(p);
}

/* Stores a group; of the last one only what there is. */
DEVICE void group_store(const struct dequant_args *a, enum element t, size_t i, uint4 v)
{
    const unsigned size = GROUP_SIZE(t);
    if (a->count - i >= size) {
        store_stream128((char *)a->out + i * (16 / size), v);
        return;
    }
    const uint32_t word[4] = {v.x, v.y, v.z, v.w};
    UNROLL
    for (unsigned j = 0; j < size; j++)
        if (j < a->count - i) {
            if (t == ELEMENT_F32)
                ((uint32_t *)a->out)[i + j] = word[j];
            else
                ((uint16_t *)a->out)[i + j] = (uint16_t)(word[j / 2] >> 16 * (j % 2));
        }
}

/* RN_T(RN32(c * absmax)) of a group, given the values of its first and second four codes. */
DEVICE uint4 group_scale(enum element t, float4 c, float4 d, float absmax)
{
    if (t == ELEMENT_F32)
        return make_uint4(__float_as_uint(__fmul_rn(c.x, absmax)), __float_as_uint(__fmul_rn(c.y, absmax)),
                          __float_as_uint(__fmul_rn(c.z, absmax)), __float_as_uint(__fmul_rn(c.w, absmax)));
    return make_uint4(pair_of_f32(t, __fmul_rn(c.x, absmax), __fmul_rn(c.y, absmax)),
                      pair_of_f32(t, __fmul_rn(c.z, absmax), __fmul_rn(c.w, absmax)),
                      pair_of_f32(t, __fmul_rn(d.x, absmax), __fmul_rn(d.y, absmax)),
                      pair_of_f32(t, __fmul_rn(d.z, absmax), __fmul_rn(d.w, absmax)));
}

/* One thread for each group. */
template <enum element T> static inline struct launch launch_groups(const struct dequant_args *a)
{
    return launch_cover(a->count, GROUP_SIZE(T) * DEQUANT_THREADS, DEQUANT_THREADS);
}

#endif
