/*
 * nf4.h: what every CUDA variant of NF4 needs: the codebook, the absmax of a block, codes, the 16-bit types,
 * and lookups of four codes at a time by byte permutes.
 *
 * All functions are inlined with constant `element` and `recovery` arguments, so one body serves every
 * contract.
 *
 * Planes. A table of 16 values of P bytes is kept as P planes in registers: plane p has byte p of all values,
 * four to a word (byte j of word w belongs to code 4 w + j). A prmt picks four bytes out of two words by the
 * low three bits of four codes, so three of them look four codes up in one plane: each half of the table, and
 * the fourth bit between the halves. No memory is touched.
 */
#ifndef NF4BENCH_KERNELS_DEVICE_NF4_H
#define NF4BENCH_KERNELS_DEVICE_NF4_H

#include "kernels/device/cuda.h"

/* The contract's words, as constants to inline with. */
enum device_element { ELEMENT_F32, ELEMENT_F16, ELEMENT_BF16 };
enum recovery { ABSMAX_PLAIN, ABSMAX_TWOSTEP, ABSMAX_FUSED };
enum decoding { CODEBOOK_F32, CODEBOOK_OUT }; /* fp32, or rounded to the 16-bit type first */

#define NF4_CODEBOOK                                                                                         \
    {                                                                                                        \
        -0x1p+0f, -0x1.647362p-1f, -0x1.0cd66p-1f, -0x1.94654p-2f, -0x1.23449ap-2f, -0x1.7a6a7ep-3f,         \
            -0x1.74f0e2p-4f, 0x0p+0f, 0x1.45f5fep-4f, 0x1.4995c6p-3f, 0x1.f809bap-3f, 0x1.5a0674p-2f,        \
            0x1.c34970p-2f, 0x1.200f56p-1f, 0x1.722766p-1f, 0x1p+0f                                          \
    }

/* Indexed by constants (an operand of the multiply) or to fill a table in shared memory. */
CONSTANT float nf4_codebook[16] = NF4_CODEBOOK;

/* ---- the launch ---- */

/* Blocks for `items` at `each` a block. */
static inline struct launch launch_cover(size_t items, size_t each, unsigned threads)
{
    return launch_1d((items + each - 1) / each, threads);
}

/* The same for blocks that cost something to start: as long as there are fewer than `most`, each does its
 * `each` items `turns` times, and when there are `most`, as often as it takes. */
static inline struct launch launch_turns(size_t items, size_t each, size_t turns, size_t most,
                                         unsigned threads)
{
    const size_t blocks = (items + each * turns - 1) / (each * turns);
    return launch_1d(blocks < most ? blocks : most, threads);
}

/* ---- the 16-bit types ---- */

DEVICE float load_element(enum device_element t, const void *array, size_t i)
{
    if (t == ELEMENT_F32)
        return ((const float *)array)[i];
    uint16_t h = ((const uint16_t *)array)[i];
    return t == ELEMENT_F16 ? f32_of_f16(h) : f32_of_bf16(h);
}

DEVICE void store_element(enum device_element t, void *array, size_t i, float x)
{
    if (t == ELEMENT_F32)
        ((float *)array)[i] = x;
    else
        ((uint16_t *)array)[i] = t == ELEMENT_F16 ? f16_of_f32(x) : bf16_of_f32(x);
}

/* RN_T(x), widened back to fp32. */
DEVICE float round_element(enum device_element t, float x)
{
    if (t == ELEMENT_F32)
        return x;
    return t == ELEMENT_F16 ? f32_of_f16(f16_of_f32(x)) : f32_of_bf16(bf16_of_f32(x));
}

/* Two elements of a 16-bit type, the first in the low half; and back. */
DEVICE uint32_t pair_of_f32(enum device_element t, float low, float high)
{
    return t == ELEMENT_F16 ? f16x2_of_f32(low, high) : bf16x2_of_f32(low, high);
}
DEVICE float low_of_pair(enum device_element t, uint32_t pair)
{
    return t == ELEMENT_F16 ? f32_of_f16((uint16_t)pair) : __uint_as_float(pair << 16);
}
DEVICE float high_of_pair(enum device_element t, uint32_t pair)
{
    return t == ELEMENT_F16 ? f32_of_f16((uint16_t)(pair >> 16)) : __uint_as_float(pair & 0xffff0000u);
}

/* ---- weights ---- */

/* blocksize is a power of two: divide by it without dividing. */
DEVICE unsigned nf4_block_shift(const struct weights *w)
{
    return (unsigned)__popc((uint32_t)w->blocksize - 1);
}

/* What is stored of a block's absmax: itself, or its code and the scale of its group of 256 blocks. A loop
 * loads it ahead, so that nested_map, which the code selects from, is not waited for as well. */
struct nf4_stored {
    float scale;
    uint32_t code;
};
DEVICE struct nf4_stored nf4_stored_load(const struct weights *w, size_t b, enum recovery nested)
{
    if (nested == ABSMAX_PLAIN)
        return {w->absmax[b], 0};
    return {w->nested_absmax[b / 256], w->absmax_code[b]};
}
DEVICE float nf4_stored_absmax(const struct weights *w, struct nf4_stored s, enum recovery nested)
{
    if (nested == ABSMAX_PLAIN)
        return s.scale;
    if (nested == ABSMAX_FUSED)
        return __fmaf_rn(w->nested_map[s.code], s.scale, w->nested_offset);
    return __fadd_rn(__fmul_rn(w->nested_map[s.code], s.scale), w->nested_offset);
}

/* absmax of block b. */
DEVICE float nf4_absmax(const struct weights *w, size_t b, enum recovery nested)
{
    return nf4_stored_absmax(w, nf4_stored_load(w, b, nested), nested);
}

DEVICE uint32_t nf4_code(const uint8_t *packed, size_t i)
{
    return packed[i / 2] >> (i % 2 ? 0 : 4) & 15;
}

/* Codes i .. i + count - 1 (count up to 8) from any i, in the order in which bytes lie in a checkpoint and in
 * a word loaded from it: element j has nibble j ^ 1. Other nibbles are 0. */
DEVICE uint32_t nf4_codes(const uint8_t *packed, size_t i, size_t count)
{
    uint32_t codes = 0;
    UNROLL
    for (unsigned j = 0; j < 8; j++)
        if (j < count)
            codes |= nf4_code(packed, i + j) << 4 * (j ^ 1);
    return codes;
}

/* ---- lookups by prmt ---- */

template <int PLANES> struct nf4_planes {
    uint32_t word[PLANES][4];
};

/* The bytes of one plane for four codes: low has their low three bits, half is 0x3210 with the fourth bit of
 * code j as bit 4 j + 2. */
DEVICE uint32_t nf4_plane_bytes(const uint32_t (&plane)[4], uint32_t low, uint32_t half)
{
    return prmt(prmt(plane[0], plane[1], low), prmt(plane[2], plane[3], low), half);
}
DEVICE uint32_t nf4_low_bits(uint32_t codes)
{
    return codes & 0x77777777u;
}
DEVICE uint32_t nf4_half_bits(uint32_t codes)
{
    return 0x32103210u | (codes >> 1 & 0x44444444u);
}

/* 16-bit values of the four codes in the low half of `codes`: elements 0, 1 and elements 2, 3. */
DEVICE uint2 nf4_lookup4(const nf4_planes<2> &planes, uint32_t codes)
{
    uint32_t low = nf4_low_bits(codes), half = nf4_half_bits(codes);
    uint32_t a = nf4_plane_bytes(planes.word[0], low, half), b = nf4_plane_bytes(planes.word[1], low, half);
    return make_uint2(prmt(a, b, 0x4051), prmt(a, b, 0x6273));
}

/* 32-bit values of elements 0 to 3. */
DEVICE uint4 nf4_lookup4(const nf4_planes<4> &planes, uint32_t codes)
{
    uint32_t low = nf4_low_bits(codes), half = nf4_half_bits(codes);
    uint32_t a = nf4_plane_bytes(planes.word[0], low, half), b = nf4_plane_bytes(planes.word[1], low, half);
    uint32_t c = nf4_plane_bytes(planes.word[2], low, half), d = nf4_plane_bytes(planes.word[3], low, half);
    uint32_t ab01 = prmt(a, b, 0x4051), cd01 = prmt(c, d, 0x4051);
    uint32_t ab23 = prmt(a, b, 0x6273), cd23 = prmt(c, d, 0x6273);
    return make_uint4(prmt(ab01, cd01, 0x5410), prmt(ab01, cd01, 0x7632), prmt(ab23, cd23, 0x5410),
                      prmt(ab23, cd23, 0x7632));
}

/* The codebook in fp32, and rounded to a 16-bit type. */
DEVICE nf4_planes<4> nf4_planes_f32()
{
    return {{{0xa030b100, 0x00713f4d, 0x3adde3ff, 0x00b3abb8},
             {0x326b3900, 0x007835a2, 0x0304cafa, 0x001307a4},
             {0xca063280, 0x00ba3d91, 0xad7c24a2, 0x803910e1},
             {0xbebfbfbf, 0x00bdbebe, 0x3e3e3e3d, 0x3f3f3f3e}}};
}
DEVICE nf4_planes<2> nf4_planes_16(enum device_element t)
{
    if (t == ELEMENT_F16)
        return {{{0x52339200, 0x00d4ea8d, 0x68e02618, 0x00c9800d},
                 {0xb6b8b9bc, 0x00adb1b4, 0x3533312d, 0x3c393837}}};
    return {
        {{0xca063280, 0x00ba3d92, 0xad7c25a3, 0x803910e2}, {0xbebfbfbf, 0x00bdbebe, 0x3e3e3e3d, 0x3f3f3f3e}}};
}

/* RN_T(RN32(value * absmax)) for all codes of a block. */
DEVICE nf4_planes<2> nf4_scaled_planes_16(enum device_element t, float absmax)
{
    nf4_planes<2> planes;
    UNROLL
    for (int j = 0; j < 4; j++) {
        const float *c = nf4_codebook + 4 * j;
        uint32_t low = pair_of_f32(t, __fmul_rn(c[0], absmax), __fmul_rn(c[1], absmax));
        uint32_t high = pair_of_f32(t, __fmul_rn(c[2], absmax), __fmul_rn(c[3], absmax));
        planes.word[0][j] = prmt(low, high, 0x6420);
        planes.word[1][j] = prmt(low, high, 0x7531);
    }
    return planes;
}
DEVICE nf4_planes<4> nf4_scaled_planes_f32(float absmax)
{
    nf4_planes<4> planes;
    UNROLL
    for (int j = 0; j < 4; j++) {
        uint32_t value[4];
        UNROLL
        for (int i = 0; i < 4; i++)
            value[i] = __float_as_uint(__fmul_rn(nf4_codebook[4 * j + i], absmax));
        uint32_t a = prmt(value[0], value[1], 0x5140), b = prmt(value[2], value[3], 0x5140);
        uint32_t c = prmt(value[0], value[1], 0x7362), d = prmt(value[2], value[3], 0x7362);
        planes.word[0][j] = prmt(a, b, 0x5410);
        planes.word[1][j] = prmt(a, b, 0x7632);
        planes.word[2][j] = prmt(c, d, 0x5410);
        planes.word[3][j] = prmt(c, d, 0x7632);
    }
    return planes;
}

/* The unscaled values, in fp32, of the four codes in the low half of `codes`. */
DEVICE float4 nf4_decode4(enum device_element t, enum decoding decode, uint32_t codes)
{
    if (decode == CODEBOOK_F32) {
        uint4 v = nf4_lookup4(nf4_planes_f32(), codes);
        return make_float4(__uint_as_float(v.x), __uint_as_float(v.y), __uint_as_float(v.z),
                           __uint_as_float(v.w));
    }
    uint2 v = nf4_lookup4(nf4_planes_16(t), codes);
    return make_float4(low_of_pair(t, v.x), high_of_pair(t, v.x), low_of_pair(t, v.y), high_of_pair(t, v.y));
}

/* ---- lookups in memory and by shuffle ---- */

/* Values of the four codes in the low half of `codes`, of a table in any memory. */
DEVICE float4 nf4_table_lookup4(const float *codebook, uint32_t codes)
{
    return make_float4(codebook[codes >> 4 & 15], codebook[codes & 15], codebook[codes >> 12 & 15],
                       codebook[codes >> 8 & 15]);
}

/* Values of the four codes in the low half of `codes`, where lane l holds entry l % 16 of the table. All
 * lanes. */
DEVICE float4 nf4_shuffle_lookup4(float mine, uint32_t codes)
{
    float value[4];
    UNROLL
    for (unsigned j = 0; j < 4; j++)
        value[j] =
            __shfl_sync(0xffffffffu, mine, (int)(codes >> 4 * (j ^ 1))); /* modulo 32: l and l + 16 agree */
    return make_float4(value[0], value[1], value[2], value[3]);
}

#endif
