/*
 * formats_dequant/columns.cu: int4 dequantize from the tensors of a GPTQ or AWQ (GEMM) checkpoint, to W
 * transposed, as their packages give it.
 *
 * Run: nf4bench try kernels/formats_dequant/columns.cu
 * Ladder (kernels/README.md): before this tiles.cu, after this none.
 *
 * Changes over tiles.cu: the bytes (kernels/layouts.h). A lane makes 32 k of 8 columns, a warp 512 bytes (of
 * a 16-bit type) of each of 32 rows: loads and stores are whole pieces of memory, and what decodes a column
 * is made once for 32 weights. Columns lie side by side in the output, and the weights of two are decoded at
 * once. AWQ's words have the two in both halves, which is what AWQ's order is for; of two words of GPTQ a
 * permute puts them there (kernels/device/packages.h).
 *
 * Act-order (GPTQ): the warp reads g_idx of the 32 k. Where one of them is of another group than it would be
 * in order, scales and zero points are found for each row.
 */
#include "kernels/device/dequant.h"
#include "kernels/device/packages.h"

enum { THREADS = 128, WARPS = THREADS / 32, DEPTH = 32, LANE_COLUMNS = 8, WARP_COLUMNS = 32 * LANE_COLUMNS };

static inline struct launch launch_pieces(const struct dequant_args *a)
{
    const size_t across = (a->n + WARP_COLUMNS - 1) / WARP_COLUMNS, down = (a->k + DEPTH - 1) / DEPTH;
    return launch_cover(across * down, WARPS, THREADS);
}

/* What a group's eight columns are decoded by: pairs of a 16-bit type, or stored blocks. */
template <enum device_element T> struct column_blocks {
    struct ready_block pair[LANE_COLUMNS / 2];
    struct stored_block each[LANE_COLUMNS];
};
template <enum package P, enum device_element T>
DEVICE struct column_blocks<T> column_blocks_load(const tensors<P> &w, size_t group, size_t c)
{
    struct column_blocks<T> b;
    const uint4 scales = load128(w.scales + group * w.n + c);
    const uint32_t scale[LANE_COLUMNS / 2] = {scales.x, scales.y, scales.z, scales.w},
                                        zeros = *w.zeros_at(group, c);
    UNROLL
    for (unsigned i = 0; i < LANE_COLUMNS; i++)
        b.each[i] = {(uint16_t)(scale[i / 2] >> 16 * (i % 2)), tensors<P>::zero_of(zeros, i)};
    UNROLL
    for (unsigned i = 0; i < LANE_COLUMNS / 2; i++)
        b.pair[i] = pair_ready(T, b.each[2 * i], b.each[2 * i + 1]);
    return b;
}

/* out[k, c .. c + 7]. */
template <enum device_element T>
DEVICE void row_store(const struct dequant_args *a, size_t k, size_t c, const struct code_pair (&codes)[4],
                      const struct column_blocks<T> &b)
{
    const size_t i = k * a->n + c;
    uint32_t out[LANE_COLUMNS];
    if (T == ELEMENT_F32) {
        UNROLL
        for (unsigned j = 0; j < LANE_COLUMNS; j++) {
            const uint32_t code = codes[j / 2].word >> (16 * (j % 2) + 4 * codes[j / 2].high) & 15;
            out[j] = __float_as_uint(int4_weight(code, b.each[j]));
        }
        whole_group_store(a, T, i, make_uint4(out[0], out[1], out[2], out[3]));
        whole_group_store(a, T, i + 4, make_uint4(out[4], out[5], out[6], out[7]));
    } else {
        UNROLL
        for (unsigned j = 0; j < LANE_COLUMNS / 2; j++)
            out[j] = weights2<T>(codes[j].word, codes[j].high, b.pair[j]);
        whole_group_store(a, T, i, make_uint4(out[0], out[1], out[2], out[3]));
    }
}

template <enum package P, enum device_element T> DEVICE void dequant(const struct dequant_args *a)
{
    const tensors<P> w(a->prepared, &a->w, a->n, a->k);
    const size_t across = (a->n + WARP_COLUMNS - 1) / WARP_COLUMNS, warp = global_thread() / 32;
    const size_t begin = warp / across * DEPTH,
                 c = warp % across * WARP_COLUMNS + threadIdx.x % 32 * LANE_COLUMNS;
    if (begin >= a->k)
        return;
    const size_t group = group_in_order(&a->w, begin), mine = begin + threadIdx.x % 32;
    const bool in_order =
        P == AWQ || __all_sync(0xffffffffu, mine >= a->k || w.g_idx[mine < a->k ? mine : begin] == group);
    if (c >= a->n)
        return;
    struct column_blocks<T> blocks = column_blocks_load<P, T>(w, group, c);
    for (size_t k = begin; k < begin + DEPTH && k < a->k; k += 8) {
        uint32_t word[8];
        if (P != AWQ) {
            const uint4 low = load_stream128(w.codes + k / 8 * a->n + c);
            const uint4 high = load_stream128(w.codes + k / 8 * a->n + c + 4);
            word[0] = low.x, word[1] = low.y, word[2] = low.z, word[3] = low.w;
            word[4] = high.x, word[5] = high.y, word[6] = high.z, word[7] = high.w;
        } else {
            UNROLL
            for (unsigned i = 0; i < 8; i++)
                word[i] = k + i < a->k ? load_stream32(w.codes + ((k + i) * a->n + c) / 8) : 0;
        }
        UNROLL
        for (unsigned i = 0; i < 8; i++)
            if (k + i < a->k) {
                if (!in_order)
                    blocks = column_blocks_load<P, T>(w, w.group(&a->w, k + i), c);
                struct code_pair pair[LANE_COLUMNS / 2];
                UNROLL
                for (unsigned j = 0; j < LANE_COLUMNS / 2; j++)
                    pair[j] = P == AWQ ? awq_pair(word[i], j) : gptq_pair(word[2 * j], word[2 * j + 1], i);
                row_store<T>(a, k + i, c, pair, blocks);
            }
    }
}

#define DEQUANT(type, knob, PACKAGE, element)                                                                \
    ENTRY(int4_dequant_##type##__sm75_##knob, dequant, THREADS, launch_pieces)                               \
    {                                                                                                        \
        dequant<PACKAGE, element>(&a);                                                                       \
    }
#define DEQUANT_PACKAGE(knob, PACKAGE)                                                                       \
    DEQUANT(f32, knob, PACKAGE, ELEMENT_F32)                                                                 \
    DEQUANT(f16, knob, PACKAGE, ELEMENT_F16)                                                                 \
    DEQUANT(bf16, knob, PACKAGE, ELEMENT_BF16)

DEQUANT_PACKAGE(gptq, GPTQ)
DEQUANT_PACKAGE(gptqv2, GPTQV2)
DEQUANT_PACKAGE(awq, AWQ)
