/*
 * formats_gemm/marlin.cu: int4 gemm for up to 64 rows on the tensor cores, from Marlin's layout (arXiv
 * 2408.11743), k whole or divided among four blocks.
 *
 * Run: nf4bench try kernels/formats_gemm/marlin.cu
 * Ladder (kernels/README.md): before this mma_columns.cu, after this none.
 *
 * Changes over mma_columns.cu: codes lie in the order of B fragments, two fragments a word, so that a shift
 * and eight cheap instructions a word make them. As in the kernel of that paper there are 256 threads, X and
 * W are four stages ahead by cp.async, and a row of X that ldmatrix brings serves 16 columns. Unlike there,
 * k is whole for each output, or in four ranges whose sums are added in order (mma_stages.h). The paper's
 * kernel splits k among warps and stripes among blocks, and the order in which it adds depends on the GPU.
 *
 * A lane has a word of each of the four parts of 16 columns of a tile, side by side, and a warp makes 16
 * columns. If all lanes took one part, a quarter of the banks would serve them. A warp takes another part
 * for each two columns instead; to the tensor core the columns are all the same.
 */
#include "kernels/device/formats.h"
#include "kernels/device/mma_stages.h"

enum { WARPS = 8, SPLITS = 4, TILE_COLUMNS = 64, TILE_BYTES = 512 };

template <enum device_element T> struct marlin {
    enum { TILES = 2, ACROSS = WARPS * COLUMNS * TILES / TILE_COLUMNS };
    enum { WARP_BYTES = COLUMNS * TILES * DEPTH / 2 };
    struct stored {
        struct stored_block block[TILES];
    };
    struct ready {
        struct ready_block block[TILES];
    };
    typedef const uint8_t *held;
    const uint8_t *codes, *zeros;
    const uint16_t *scales;
    struct ready_block block[TILES];

    METHOD marlin(const struct gemm_args *a) : codes((const uint8_t *)a->prepared), block{}
    {
        const size_t groups = a->w.blocksize & (a->w.blocksize - 1) ? 1 : a->k >> nf4_block_shift(&a->w);
        const struct int4_parts parts = int4_marlin_parts(a->n, a->k, groups);
        zeros = codes + parts.zeros;
        scales = (const uint16_t *)(codes + parts.scales);
    }
    METHOD static unsigned part(unsigned warp, unsigned i)
    {
        return (warp + i / 2) % 4;
    }
    METHOD static unsigned local(unsigned warp, unsigned i)
    {
        return warp / 4 * TILE_COLUMNS + part(warp, i) * COLUMNS * TILES + i;
    }
    METHOD struct stored_block block_at(const struct gemm_args *a, size_t n, size_t k) const
    {
        const size_t group = a->w.blocksize & (a->w.blocksize - 1) ? 0 : k >> nf4_block_shift(&a->w);
        return {scales[group * a->n + n], zeros[group * a->n + n]};
    }
    METHOD struct stored stored_load(const struct gemm_args *a, size_t n, size_t k) const
    {
        return {{block_at(a, n, k), block_at(a, n + COLUMNS, k)}};
    }
    METHOD struct ready ready_of(const struct gemm_args *, const struct stored &s) const
    {
        return {{block_ready(INT4, T, PAIRS, s.block[0]), block_ready(INT4, T, PAIRS, s.block[1])}};
    }
    METHOD void enter(const struct ready &mine, int lane)
    {
        UNROLL
        for (unsigned i = 0; i < TILES; i++) {
            block[i].scale = __shfl_sync(0xffffffffu, mine.block[i].scale, lane);
            block[i].zero = __shfl_sync(0xffffffffu, mine.block[i].zero, lane);
            if (T == ELEMENT_F16) /* the zero of the high nibbles, from that of the low ones */
                block[i].rest = block[i].zero * 16 + (0xd400d400u - 0xe400e400u * 16);
            else
                block[i].rest = __shfl_sync(0xffffffffu, mine.block[i].rest, lane);
        }
    }
    template <int>
    METHOD void stage(uint8_t *to, const struct gemm_args *a, bool aligned, size_t k, size_t end) const
    {
        if (!aligned)
            return;
        UNROLL
        for (unsigned j = 0; j < DEPTH / STEP * ACROSS / WARPS; j++) {
            const unsigned i = threadIdx.x + j * WARPS * 32;
            const size_t across = (size_t)blockIdx.x * ACROSS + i / 32 % ACROSS,
                         at = k + i / 32 / ACROSS * STEP;
            const bool inside = across * TILE_COLUMNS < a->n && at < end;
            cp_async16(to + i * 16,
                       codes + (at / STEP * (a->n / TILE_COLUMNS) + across) * TILE_BYTES + i % 32 * 16,
                       inside ? 16 : 0);
        }
    }
    METHOD const uint8_t *hold(const uint8_t *stage, unsigned) const
    {
        const unsigned warp = threadIdx.x / 32, lane = threadIdx.x % 32;
        return stage + warp / 4 * TILE_BYTES + lane * 16 + part(warp, lane / 4) * 4;
    }
    METHOD void piece(uint32_t (&b)[2][TILES][2], const struct gemm_args *, const uint8_t *held, unsigned p,
                      unsigned, size_t, size_t) const
    {
        UNROLL
        for (unsigned s = 0; s < 2; s++) {
            const uint32_t word = *(const uint32_t *)(held + (2 * p + s) * ACROSS * TILE_BYTES);
            UNROLL
            for (unsigned i = 0; i < TILES; i++) {
                b[s][i][0] = weights2<T>(word >> 8 * i, false, block[i]);
                b[s][i][1] = weights2<T>(word >> 8 * i, true, block[i]);
            }
        }
    }
    /* The layout has whole steps and whole tiles: n and k are there. */
    METHOD uint32_t pair_at(const struct gemm_args *a, const uint8_t *, unsigned, unsigned half, size_t n,
                            size_t k, size_t) const
    {
        const size_t tile = k / STEP * (a->n / TILE_COLUMNS) + n / TILE_COLUMNS;
        const unsigned row = n % TILE_COLUMNS, thread = row % 8 * 4 + k % 8 / 2;
        const uint32_t word = ((const uint32_t *)(codes + tile * TILE_BYTES))[thread * 4 + row / 16];
        const uint32_t both = word >> row % 16 / 8 * 8 >> half * 4;
        const struct stored_block b = block_at(a, n, k);
        return pair_of_f32(T, int4_weight(both & 15, b), int4_weight(both >> 16 & 15, b));
    }
};

template <enum device_element T, int S> static inline struct launch launch(const struct gemm_args *a)
{
    return launch_stages<marlin<T>, WARPS, S>(a);
}

#define LAUNCH_OF(element, splits) launch<element, splits>
#define GEMM(name, model, element, splits)                                                                   \
    ENTRY_RESIDENT(name, gemm, WARPS * 32, 2, (LAUNCH_OF(element, splits)))                                  \
    {                                                                                                        \
        DYNAMIC_SHARED(memory);                                                                              \
        if (MMA_HERE(model))                                                                                 \
            gemm_stages<element, WARPS, splits>(&a, marlin<element>(&a), memory);                            \
    }
#define GEMM_SPLIT(name, model, element)                                                                     \
    GEMM(name, model, element, SPLITS)                                                                       \
    ENTRY_THEN(name, gemm, SUM_THREADS, launch_sums)                                                         \
    {                                                                                                        \
        gemm_sums<element, SPLITS>(&a);                                                                      \
    }
#define GEMM_TYPE(type, element)                                                                             \
    GEMM(int4_gemm_##type##_mma80__sm80_marlin_64x128x128, 80, element, 1)                                   \
    GEMM(int4_gemm_##type##_mma90__sm80_marlin_64x128x128, 90, element, 1)                                   \
    GEMM_SPLIT(int4_gemm_##type##_mma80x4__sm80_marlin_64x128x128, 80, element)                              \
    GEMM_SPLIT(int4_gemm_##type##_mma90x4__sm80_marlin_64x128x128, 90, element)

GEMM_TYPE(f16, ELEMENT_F16)
GEMM_TYPE(bf16, ELEMENT_BF16)
