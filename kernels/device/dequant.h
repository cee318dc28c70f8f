/*
 * dequant.h: how the dequantize variants divide the output: in groups of 16 bytes. A group is 8 elements of a 16-bit
 * type or 4 of fp32. It never crosses a block, and its codes lie in one aligned word.
 *
 * "Instructions a weight" in a kernel's header: the instructions that a thread executes for whole groups, or in one
 * turn of its loop, divided by the weights that it makes there. Counted in the SASS of the plain entry for sm_90
 * (nvcc 13.0 -O3 -std=c++17 -fmad=false -cubin, cuobjdump -sass). An H100 has time for about 20 while it writes a
 * 16-bit weight, of which half may be permutes, shifts and logic.
 */
#ifndef NF4BENCH_KERNELS_DEVICE_DEQUANT_H
#define NF4BENCH_KERNELS_DEVICE_DEQUANT_H

#include "kernels/device/nf4.h"

#define GROUP_SIZE(t) ((t) == ELEMENT_F32 ? 4u : 8u)

enum { DEQUANT_THREADS = 256 };

/* The codes of the group that starts at element i, as nf4_codes(). */
DEVICE uint32_t whole_group_load(const struct dequant_args *a, enum device_element t, size_t i)
{
    const uint8_t *p = a->w.packed + i / 2;
    return t == ELEMENT_F32 ? *(const uint16_t *)p : load_stream32(p);
}
DEVICE uint32_t group_load(const struct dequant_args *a, enum device_element t, size_t i)
{
    if (a->count - i < GROUP_SIZE(t))
        return nf4_codes(a->w.packed, i, a->count - i);
    return whole_group_load(a, t, i);
}

/* Stores a group; of the last one only what there is. */
DEVICE void whole_group_store(const struct dequant_args *a, enum device_element t, size_t i, uint4 v)
{
    store_stream128((char *)a->out + i * (16 / GROUP_SIZE(t)), v);
}
DEVICE void group_store(const struct dequant_args *a, enum device_element t, size_t i, uint4 v)
{
    const unsigned size = GROUP_SIZE(t);
    if (a->count - i >= size) {
        whole_group_store(a, t, i, v);
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
DEVICE uint4 group_scale(enum device_element t, float4 c, float4 d, float absmax)
{
    if (t == ELEMENT_F32)
        return make_uint4(__float_as_uint(__fmul_rn(c.x, absmax)), __float_as_uint(__fmul_rn(c.y, absmax)),
                          __float_as_uint(__fmul_rn(c.z, absmax)), __float_as_uint(__fmul_rn(c.w, absmax)));
    return make_uint4(pair_of_f32(t, __fmul_rn(c.x, absmax), __fmul_rn(c.y, absmax)),
                      pair_of_f32(t, __fmul_rn(c.z, absmax), __fmul_rn(c.w, absmax)),
                      pair_of_f32(t, __fmul_rn(d.x, absmax), __fmul_rn(d.y, absmax)),
                      pair_of_f32(t, __fmul_rn(d.z, absmax), __fmul_rn(d.w, absmax)));
}

/* ---- a group a thread, by a table in memory ---- */

template <enum device_element T>
DEVICE void dequant_by_table(const struct dequant_args *a, enum recovery nested, const float *codebook)
{
    const size_t i = global_thread() * GROUP_SIZE(T);
    if (i >= a->count)
        return;
    uint32_t codes = group_load(a, T, i);
    float absmax = nf4_absmax(&a->w, i >> nf4_block_shift(&a->w), nested);
    group_store(
        a, T, i,
        group_scale(T, nf4_table_lookup4(codebook, codes), nf4_table_lookup4(codebook, codes >> 16), absmax));
}

/* ---- a tile a warp ----
 *
 * A piece is 32 elements of one block. Each lane prepares the decoding of one piece and leaves the result in shared
 * memory: for NF4 the planes of RN_T(RN32(c * absmax)). The warp then goes through its 32 pieces in memory order, 16
 * bytes of output a lane, so that each load and store is one piece of memory. A lane reads the result for the piece of
 * its element; lanes in the same piece read the same address.
 *
 * A Decode of element type T says what is particular to a format:
 *   codes                      of a group; load() and load_some() (of the last one, what there is) get them
 *   stored                     of a piece's block; stored_load(args, element)
 *   leave(room, piece, stored) makes what decodes a piece, and leaves it in shared memory, ROOM times 16 bytes
 *   lookup(room, piece, codes) the outputs of a group
 */
enum { PIECE = 32, WARP_TILE = 32 * PIECE };

/* 16 bytes of each piece of a warp's tile. */
typedef uint4 piece_planes[PIECE];

/* What a lane loads of the tile that starts at element `start`: the codes of its groups, which are 32 groups
 * apart, and what is stored for its piece. */
template <enum device_element T, class Decode> struct tile {
    size_t start;
    typename Decode::codes codes[PIECE / GROUP_SIZE(T)];
    typename Decode::stored stored;
};

template <enum device_element T, class Decode>
DEVICE size_t tile_element(const struct tile<T, Decode> &tile, unsigned group)
{
    return tile.start + (group * 32 + threadIdx.x % 32) * GROUP_SIZE(T);
}

/* Whether all of the tile that starts there is there: then no group has to ask. */
DEVICE bool tile_whole(const struct dequant_args *a, size_t start)
{
    return start + WARP_TILE <= a->count;
}

template <enum device_element T, class Decode>
DEVICE struct tile<T, Decode> tile_load(const struct dequant_args *a, const Decode &decode, size_t start) {
    struct tile<T, Decode> tile = {
        start, {},
        {
        }
    };
    const size_t piece = start + threadIdx.x % 32 * PIECE;
    if (piece < a->count)
        tile.stored = decode.stored_load(a, piece);
    if (tile_whole(a, start)) {
        UNROLL
        for (unsigned g = 0; g < PIECE / GROUP_SIZE(T); g++)
            tile.codes[g] = decode.load(a, tile_element(tile, g));
    } else {
        UNROLL
        for (unsigned g = 0; g < PIECE / GROUP_SIZE(T); g++)
            if (tile_element(tile, g) < a->count)
                tile.codes[g] = decode.load_some(a, tile_element(tile, g));
    }
    return tile;
}

/* The outputs of group g of a tile. */
template <enum device_element T, class Decode>
DEVICE uint4 tile_lookup(const Decode &decode, const piece_planes *room, const struct tile<T, Decode> &tile,
                         unsigned g)
{
    const unsigned piece = (unsigned)(tile_element(tile, g) - tile.start) / PIECE;
    return decode.lookup(room, piece, tile.codes[g]);
}

/* Looks the tile's elements up and stores them. room: this warp's in shared memory, which no lane reads any
 * more. All lanes. */
template <enum device_element T, class Decode>
DEVICE void tile_store(const struct dequant_args *a, const Decode &decode, piece_planes *room,
                       const struct tile<T, Decode> &tile)
{
    decode.leave(a, room, threadIdx.x % 32, tile.stored);
    __syncwarp();
    if (tile_whole(a, tile.start)) {
        UNROLL
        for (unsigned g = 0; g < PIECE / GROUP_SIZE(T); g++)
            whole_group_store(a, T, tile_element(tile, g), tile_lookup(decode, room, tile, g));
    } else {
        UNROLL
        for (unsigned g = 0; g < PIECE / GROUP_SIZE(T); g++)
            if (tile_element(tile, g) < a->count)
                group_store(a, T, tile_element(tile, g), tile_lookup(decode, room, tile, g));
    }
}

/* NF4 by scaled planes: of fp32 there are four, of a 16-bit type two. */
template <int PLANES> DEVICE void planes_store(piece_planes *to, unsigned piece, nf4_planes<PLANES> p)
{
    UNROLL
    for (int i = 0; i < PLANES; i++)
        to[i][piece] = make_uint4(p.word[i][0], p.word[i][1], p.word[i][2], p.word[i][3]);
}
template <int PLANES> DEVICE nf4_planes<PLANES> planes_load(const piece_planes *from, unsigned piece)
{
    nf4_planes<PLANES> p;
    UNROLL
    for (int i = 0; i < PLANES; i++) {
        uint4 v = load128(&from[i][piece]);
        p.word[i][0] = v.x;
        p.word[i][1] = v.y;
        p.word[i][2] = v.z;
        p.word[i][3] = v.w;
    }
    return p;
}

template <enum device_element T> struct nf4_tiles {
    enum { ROOM = T == ELEMENT_F32 ? 4 : 2 };
    typedef uint32_t codes;
    typedef struct nf4_stored stored;
    enum recovery nested;

    METHOD struct nf4_stored stored_load(const struct dequant_args *a, size_t i) const
    {
        return nf4_stored_load(&a->w, i >> nf4_block_shift(&a->w), nested);
    }
    METHOD uint32_t load(const struct dequant_args *a, size_t i) const
    {
        return whole_group_load(a, T, i);
    }
    METHOD uint32_t load_some(const struct dequant_args *a, size_t i) const
    {
        return group_load(a, T, i);
    }
    METHOD void leave(const struct dequant_args *a, piece_planes *room, unsigned piece,
                      struct nf4_stored s) const
    {
        const float absmax = nf4_stored_absmax(&a->w, s, nested);
        if (T == ELEMENT_F32)
            planes_store<4>(room, piece, nf4_scaled_planes_f32(absmax));
        else
            planes_store<2>(room, piece, nf4_scaled_planes_16(T, absmax));
    }
    METHOD uint4 lookup(const piece_planes *room, unsigned piece, uint32_t codes) const
    {
        if (T == ELEMENT_F32)
            return nf4_lookup4(planes_load<4>(room, piece), codes);
        const nf4_planes<2> p = planes_load<2>(room, piece);
        const uint2 low = nf4_lookup4(p, codes), high = nf4_lookup4(p, codes >> 16);
        return make_uint4(low.x, low.y, high.x, high.y);
    }
};

/* ---- entries ---- */

/* One thread for each group. */
template <enum device_element T> static inline struct launch launch_groups(const struct dequant_args *a)
{
    return launch_cover(a->count, GROUP_SIZE(T) * DEQUANT_THREADS, DEQUANT_THREADS);
}

/* dequant<element>(args, recovery) of the file in every type, plain and nested. */
#define DEQUANT_ENTRIES(knobs, threads, launch)                                                              \
    DEQUANT_TYPE(f32, ELEMENT_F32, knobs, threads, launch)                                                   \
    DEQUANT_TYPE(f16, ELEMENT_F16, knobs, threads, launch)                                                   \
    DEQUANT_TYPE(bf16, ELEMENT_BF16, knobs, threads, launch)
#define DEQUANT_TYPE(type, element, knobs, threads, launch)                                                  \
    DEQUANT_ENTRY(nf4_dequant_##type##__##knobs, element, ABSMAX_PLAIN, threads, launch)                     \
    DEQUANT_ENTRY(nf4_dequant_##type##_twostep__##knobs, element, ABSMAX_TWOSTEP, threads, launch)           \
    DEQUANT_ENTRY(nf4_dequant_##type##_fused__##knobs, element, ABSMAX_FUSED, threads, launch)
#define DEQUANT_ENTRY(name, element, nested, threads, launch)                                                \
    ENTRY(name, dequant, threads, launch<element>)                                                           \
    {                                                                                                        \
        dequant<element>(&a, nested);                                                                        \
    }

#endif
