/*
 * formats_dequant/tiles.cu: int4, int8 and fp8 dequantize by rows, a tile a warp.
 *
 * Run: nf4bench try kernels/formats_dequant/tiles.cu
 * Ladder (kernels/README.md): before this none, after this columns.cu.
 *
 * nf4_dequant/prmt_scaled.cu with another decode, and nothing else. There a lane leaves the planes of a
 * block in shared memory and looks each weight up in two of them; here it leaves the scale and the zero
 * point of the block and calculates (kernels/device/formats.h). The difference of the two kernels is what
 * NF4 costs over the affine formats.
 *
 * Where the block is no multiple of 32 weights (rows, then), each weight is found for itself.
 *
 * Instructions a weight (tests/bench/decode_cost.py), int4: 6.0 for f16, 7.0 for bf16; NF4 has 7.9.
 */
#include "kernels/device/dequant.h"
#include "kernels/device/formats.h"

enum { THREADS = 128, WARPS = THREADS / 32 };

template <device_format F, device_element T> struct tiles {
    enum { BITS = CODE_BITS(F, T), WORDS = GROUP_SIZE(T) * BITS > 32 ? 2 : 1, ROOM = 1 };
    struct codes {
        uint32_t word[WORDS];
    };
    typedef struct stored_block stored;

    METHOD struct stored_block stored_load(const struct dequant_args *a, size_t i) const
    {
        return stored_block_load(F, &a->w, block_of(&a->w, i, i / a->w.blocksize));
    }
    METHOD struct codes load(const struct dequant_args *a, size_t i) const
    {
        struct codes c;
        const uint8_t *p = a->w.packed + i * BITS / 8;
        if (GROUP_SIZE(T) * BITS == 16) {
            c.word[0] = *(const uint16_t *)p;
        } else if (WORDS == 1) {
            c.word[0] = load_stream32(p);
        } else {
            const uint2 v = load_stream64(p);
            c.word[0] = v.x;
            c.word[WORDS - 1] = v.y;
        }
        return c;
    }
    /* Blocks of whole pieces divide the rows: the last group is whole, too. */
    METHOD struct codes load_some(const struct dequant_args *a, size_t i) const
    {
        return load(a, i);
    }
    METHOD void leave(const struct dequant_args *, piece_planes *room, unsigned piece,
                      struct stored_block s) const
    {
        const struct ready_block b = block_ready(F, T, HIGH_FIRST, s);
        room[0][piece] = make_uint4(b.scale, b.zero, b.rest, 0);
    }
    METHOD uint4 lookup(const piece_planes *room, unsigned piece, const struct codes &codes) const
    {
        const uint4 v = load128(&room[0][piece]);
        const struct ready_block b = {v.x, v.y, v.z};
        if (T == ELEMENT_F32) {
            float w[4];
            values_raw<F, T>(w, codes.word, HIGH_FIRST);
            UNROLL
            for (unsigned j = 0; j < 4; j++)
                w[j] = __fmul_rn(value_of_raw<F>(w[j], b.zero), __uint_as_float(b.scale));
            return make_uint4(__float_as_uint(w[0]), __float_as_uint(w[1]), __float_as_uint(w[2]),
                              __float_as_uint(w[3]));
        }
        const uint2 low = weights4<F, T>(codes.word[0], 0, b, HIGH_FIRST);
        const uint2 high = weights4<F, T>(codes.word[WORDS - 1], 1, b, HIGH_FIRST);
        return make_uint4(low.x, low.y, high.x, high.y);
    }
};

template <enum device_element T> static inline struct launch launch_tiles(const struct dequant_args *a)
{
    return launch_cover(a->count, WARPS * WARP_TILE, THREADS);
}

template <enum device_format F, enum device_element T> DEVICE void dequant(const struct dequant_args *a)
{
    SHARED(piece_planes, room, [WARPS][tiles<F, T>::ROOM]);
    const size_t start = global_thread() / 32 * WARP_TILE;
    if (a->w.blocksize % PIECE != 0) {
        for (size_t i = start + threadIdx.x % 32; i < start + WARP_TILE && i < a->count; i += 32)
            store_element(T, a->out, i, weight_at<F, T>(&a->w, i, i / a->w.blocksize));
        return;
    }
    const tiles<F, T> decode = {};
    const struct tile<T, tiles<F, T>> tile = tile_load<T>(a, decode, start);
    tile_store<T>(a, decode, room[threadIdx.x / 32], tile);
}

#define DEQUANT(format, type, FORMAT, element)                                                               \
    ENTRY(format##_dequant_##type##__sm75_tiles, dequant, THREADS, launch_tiles<element>)                    \
    {                                                                                                        \
        dequant<FORMAT, element>(&a);                                                                        \
    }
#define DEQUANT_FORMAT(format, FORMAT)                                                                       \
    DEQUANT(format, f32, FORMAT, ELEMENT_F32)                                                                \
    DEQUANT(format, f16, FORMAT, ELEMENT_F16)                                                                \
    DEQUANT(format, bf16, FORMAT, ELEMENT_BF16)

DEQUANT_FORMAT(int4, INT4)
DEQUANT_FORMAT(int8, INT8)
DEQUANT_FORMAT(fp8, FP8)
