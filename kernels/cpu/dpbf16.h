/*
 * dpbf16.h: what the dpbf16 products share: the order of their sums, the decode of each format into that
 * order, and a slow path for the shapes that the fast path does not take.
 *
 * The instruction VDPBF16PS has 16 lanes of fp32. Each lane takes one pair of bf16 of W and one of X and does
 *     acc = fma(W odd, X odd, acc), then acc = fma(W even, X even, acc)
 * with denormals flushed to zero.
 *
 * A chunk is 128 consecutive k. Lane i of a chunk owns k = 8i to 8i + 7, which are four bytes of packed
 * codes. A chunk takes four instructions, p = 0 to 3. Instruction p takes element p of each lane as its even
 * member and element p + 4 as its odd one.
 *
 * Weights of four bits come into that order without a shuffle. A chunk is 64 bytes, read as 32 words of 16
 * bits. Two words belong to a lane:
 *     bits          0-3  4-7  8-11  12-15
 *     word 2i        1    0    3     2      these are elements of lane i
 *     word 2i + 1    5    4    7     6
 * A right shift of all words by 4, 0, 12 or 8 bits leaves the elements of p = 0, 1, 2 or 3 in the low
 * nibbles, which are looked up. The activations are brought into the same order once for each call.
 *
 * Codes of eight bits are split into the first four and the last four of each lane; byte p of both is a pair.
 * Dense weights are permuted as the activations are. The table of int4 holds q - zero for each q.
 *
 * avx512bf16_gemv.c and avx512bf16_tile.c hold the loops. They are the same for each format, but for
 * dp_load() and dp_weights().
 */
#ifndef NF4BENCH_KERNELS_CPU_DPBF16_H
#define NF4BENCH_KERNELS_CPU_DPBF16_H

#include "kernels/cpu/gemm.h"
#include "kernels/cpu/nf4_avx512.h"

enum { DP_CHUNK = 128 };

INLINE size_t dp_chunks(size_t k)
{
    return (k + DP_CHUNK - 1) / DP_CHUNK;
}

/* The distance of two rows of X in the workspace, in elements. It is one chunk more than a row: where k is a
 * power of two, the same k of several rows would otherwise fall into the same set of the L1 cache. */
INLINE size_t dp_stride(size_t k)
{
    return (dp_chunks(k) + 1) * DP_CHUNK;
}

/* One chunk of numbers, 128 in order, -> one vector per p. */
INLINE void dp_permute(__m512i v[4])
{
    /* Within a lane's 8 elements: 0, 4, 1, 5, 2, 6, 3, 7, so that each p is one dword. */
    const __m512i pairs =
        _mm512_broadcast_i32x4(_mm_set_epi8(15, 14, 7, 6, 13, 12, 5, 4, 11, 10, 3, 2, 9, 8, 1, 0));
    const __m512i by_pair = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    for (int i = 0; i < 4; i++)
        v[i] = _mm512_permutexvar_epi32(by_pair, _mm512_shuffle_epi8(v[i], pairs));
    /* v[i] holds lanes 4i..4i+3 of p = 0, 1, 2, 3: transpose the 4 x 4 quarters. */
    __m512i a = _mm512_shuffle_i64x2(v[0], v[1], 0x44), b = _mm512_shuffle_i64x2(v[2], v[3], 0x44);
    __m512i c = _mm512_shuffle_i64x2(v[0], v[1], 0xee), d = _mm512_shuffle_i64x2(v[2], v[3], 0xee);
    v[0] = _mm512_shuffle_i64x2(a, b, 0x88);
    v[1] = _mm512_shuffle_i64x2(a, b, 0xdd);
    v[2] = _mm512_shuffle_i64x2(c, d, 0x88);
    v[3] = _mm512_shuffle_i64x2(c, d, 0xdd);
}

INLINE void dp_permute_chunk(const uint16_t *in, uint16_t *out)
{
    __m512i v[4];
    for (int i = 0; i < 4; i++)
        v[i] = _mm512_loadu_si512(in + 32 * i);
    dp_permute(v);
    for (int i = 0; i < 4; i++)
        _mm512_store_si512(out + 32 * i, v[i]);
}

/* Copies X into the workspace, in the order of the lanes. Rows are dp_stride(k) apart. Each row ends in zeros
 * up to a whole chunk, and rows of zeros follow, up to `rows` rows (at most 1.6 m). Every thread of the
 * parallel region calls this function; it ends in a barrier. */
INLINE const uint16_t *dp_activations(const struct gemm_args *a, size_t rows)
{
    uint16_t *out = a->workspace;
    const size_t chunks = dp_chunks(a->k);
    const struct range mine = thread_range(rows * chunks);
    for (size_t i = mine.begin; i < mine.end; i++) {
        size_t row = i / chunks, k0 = i % chunks * DP_CHUNK;
        size_t count = row < a->m ? min_size(DP_CHUNK, a->k - k0) : 0;
        const uint16_t *in = (const uint16_t *)a->x + row * a->k + k0;
        uint16_t padded[DP_CHUNK];
        if (count < DP_CHUNK) {
            memset(padded, 0, sizeof padded);
            memcpy(padded, in, count * sizeof *in);
            in = padded;
        }
        dp_permute_chunk(in, out + row * dp_stride(a->k) + k0);
    }
#pragma omp barrier
    return out;
}

/* -16 to 15: the 16 values q - zero are those from 16 - zero on. */
static const uint16_t dp_integers[32] __attribute__((aligned(64))) = {
    0xc180, 0xc170, 0xc160, 0xc150, 0xc140, 0xc130, 0xc120, 0xc110, 0xc100, 0xc0e0, 0xc0c0,
    0xc0a0, 0xc080, 0xc040, 0xc000, 0xbf80, 0x0000, 0x3f80, 0x4000, 0x4040, 0x4080, 0x40a0,
    0x40c0, 0x40e0, 0x4100, 0x4110, 0x4120, 0x4130, 0x4140, 0x4150, 0x4160, 0x4170,
};
INLINE __m256i dp_values(unsigned zero)
{
    return _mm256_loadu_si256((const __m256i *)(dp_integers + 16 - zero));
}

/* The 16 weights of a block as the flushing contract has them: the convert instruction does just that. */
INLINE __m512i dp_table_twice(enum cpu_format format, struct block b)
{
    return _mm512_broadcast_i64x4((__m256i)_mm512_cvtneps_pbh(scaled_512(format, b)));
}

/* Entries 0-15 of one block, 16-31 of the next. */
INLINE __m512i dp_table_pair(enum cpu_format format, struct block b, struct block next)
{
    return (__m512i)_mm512_cvtne2ps_pbh(scaled_512(format, next), scaled_512(format, b));
}

/*
 * The fast path takes k % 32 == 0: each 32 elements of a row lie in one block. It reads the scales of a row
 * from an array that holds one scale for each `span` elements; span is 32, 64, or 128 for 128 and more. That
 * array is
 *     absmax itself                      where rows begin with a block,
 *     a copy in scratch                  where scales are nested: they are recovered first,
 *     one scale for each 32 elements     where a row begins inside a block.
 */
INLINE bool dp_is_fast(const struct gemm_args *a)
{
    return a->k % 32 == 0 && a->k <= 128 * 1024; /* and scratch holds the absmax of 8 rows */
}

/* How many elements share an entry of dp_row_scales(): 32, 64, or 128. 128 stands for 128 and more, and for
 * rows of one block. */
INLINE int dp_span(const struct gemm_args *a)
{
    if (a->k == a->w.blocksize)
        return 128;
    return a->k % a->w.blocksize ? 32 : a->w.blocksize < 128 ? (int)a->w.blocksize : 128;
}

struct dp_scales {
    const float *absmax; /* of the row, one for each 1 << shift elements */
    const uint8_t *zero; /* int4, and undefined otherwise: the same, for each 1 << zero_shift */
    unsigned shift, zero_shift;
};

/* The block of element k of the row. */
INLINE struct block dp_block(enum cpu_format format, const struct dp_scales *s, int span, size_t k)
{
    const size_t i = span == 128 ? k >> s->shift : k / (size_t)span;
    return (struct block){s->absmax[i], format == INT4 ? s->zero[k >> s->zero_shift] : 0};
}

/* Floats of scratch that dp_row_scales() may write for a row; a multiple of 16. */
INLINE size_t dp_scales_size(size_t k)
{
    return round_up(k / 32, 16) + 16;
}

/* The nested absmax of `valid` consecutive blocks, at most 16. Lanes from `valid` on are undefined. */
INLINE __m512 dp_absmax16(const struct weights *w, size_t b, size_t valid, enum cpu_format format)
{
    __mmask16 mask = (__mmask16)((1u << valid) - 1);
    __m512i code = _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(mask, w->absmax_code + b));
    __m512 value = _mm512_mask_i32gather_ps(_mm512_setzero_ps(), mask, code, w->nested_map, 4);
    __m512 offset = _mm512_set1_ps(w->nested_offset);
    /* The group of 256 changes at most once within 16 blocks. */
    size_t group = b / 256, last = (b + valid - 1) / 256;
    __mmask16 next = (__mmask16)(last != group ? 0xffffu << (256 - b % 256) : 0);
    __m512 scale = _mm512_mask_mov_ps(_mm512_set1_ps(w->nested_absmax[group]), next,
                                      _mm512_set1_ps(w->nested_absmax[last]));
    if (format == NF4_FUSED)
        return _mm512_fmadd_ps(value, scale, offset);
    return _mm512_add_ps(_mm512_mul_ps(value, scale), offset);
}

/* The scales of a row, converted to fp32, and its zero points. Symmetric int4 has one zero point for the
 * row. */
INLINE struct dp_scales dp_row_scales_f16(const struct gemm_args *a, enum cpu_format format, size_t row,
                                          float *scratch)
{
    static const uint8_t symmetric = 8;
    const unsigned shift = row_block_shift(&a->w, a->k);
    const size_t count = row_block_count(&a->w, a->k), b = row * count;
    for (size_t i = 0; i < count; i += 16) {
        __mmask16 mask = (__mmask16)((1u << min_size(16, count - i)) - 1);
        _mm512_store_ps(scratch + i, _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask, a->w.scale + b + i)));
    }
    if (format == INT4 && a->w.zero)
        return (struct dp_scales){scratch, a->w.zero + b, shift, shift};
    return (struct dp_scales){scratch, &symmetric, shift, 63};
}

INLINE struct dp_scales dp_row_scales(const struct gemm_args *a, enum cpu_format format, size_t row,
                                      float *scratch)
{
    static const float none = 0; /* dense weights have no scale: this one is read, and not used */
    if (format == DENSE)
        return (struct dp_scales){&none, NULL, 63, 63};
    if (!is_nf4(format))
        return dp_row_scales_f16(a, format, row, scratch);
    struct dp_scales s;
    s.shift = nf4_block_shift(&a->w);
    s.absmax = scratch;
    const size_t first = row * a->k;
    if (a->k % a->w.blocksize == 0) {
        size_t b = first >> s.shift, count = a->k >> s.shift;
        if (format == NF4)
            s.absmax = a->w.absmax + b;
        else
            for (size_t i = 0; i < count; i += 16)
                _mm512_store_ps(scratch + i, dp_absmax16(&a->w, b + i, min_size(16, count - i), format));
        return s;
    }
    for (size_t i = 0; i < a->k / 32; i++)
        scratch[i] = nf4_absmax(&a->w, (first + 32 * i) >> s.shift, format);
    s.shift = 5;
    return s;
}

/* The scales of chunks c to c + 3; the row of `k` elements may end before. `span`: 32, 64, or 128 for
 * more. */
INLINE __m512 dp_load_scales(struct dp_scales s, size_t c, size_t k, int span)
{
    if (span == 128)
        return _mm512_setzero_ps(); /* dp_lane_scales() reads the one it needs */
    size_t first = c * DP_CHUNK / (size_t)span, count = k / (size_t)span - first, wanted = 512 / (size_t)span;
    __mmask16 mask = (__mmask16)((1u << min_size(count, wanted)) - 1);
    return _mm512_maskz_loadu_ps(mask, s.absmax + first);
}

/* The scale of each lane of chunk c + j, from dp_load_scales() of c. */
INLINE __m512 dp_lane_scales(struct dp_scales s, __m512 loaded, size_t c, int j, int span)
{
    const __m512i half = _mm512_set_epi32(1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);
    const __m512i quarter = _mm512_set_epi32(3, 3, 3, 3, 2, 2, 2, 2, 1, 1, 1, 1, 0, 0, 0, 0);
    if (span == 128)
        return _mm512_set1_ps(s.absmax[((c + (size_t)j) * DP_CHUNK) >> s.shift]);
    return _mm512_permutexvar_ps(
        _mm512_add_epi32(span == 32 ? quarter : half, _mm512_set1_epi32(DP_CHUNK / span * j)), loaded);
}

/*
 * The lookup tables of a chunk. A register holds two tables of 16 entries.
 *     span 128 or more   one table, held twice, in `low`
 *     span 64            the tables of the two halves of the chunk, in `low`
 *     span 32            the tables of its four quarters, in `low` and `high`
 * Bit 4 of an index picks the upper table: dp_lookup() sets it in each word of a second block.
 */
struct dp_tables {
    __m512i low, high;
};

/* The span of the tables. With the scale per block and without zero points, all blocks have the same
 * table. */
INLINE int dp_table_span(enum cpu_format format, enum scaling scaling, int span)
{
    return (is_nf4(format) || format == INT4_SYMMETRIC) && scaling == PER_BLOCK ? 128 : span;
}

/* Entries 0-15 for element k of the row, 16-31 for element `next`. */
INLINE __m512i dp_pair_of(enum cpu_format format, enum scaling scaling, const struct dp_scales *s, int span,
                          size_t k, size_t next)
{
    struct block low = dp_block(format, s, span, k), high = dp_block(format, s, span, next);
    if (scaling == PER_BLOCK)
        return _mm512_inserti64x4(_mm512_castsi256_si512(dp_values(low.zero)), dp_values(high.zero), 1);
    return dp_table_pair(format, low, high);
}

/* The tables of chunk c, of which `lanes` lanes exist. */
INLINE struct dp_tables dp_chunk_tables(enum cpu_format format, enum scaling scaling,
                                        const struct dp_scales *s, size_t c, int span, size_t lanes)
{
    const size_t k = c * DP_CHUNK, each = (size_t)span;
    struct dp_tables tables = {_mm512_setzero_si512(), _mm512_setzero_si512()};
    if (!is_nibbles(format))
        return tables;
    if (dp_table_span(format, scaling, span) == 128) {
        if (scaling == PER_WEIGHT)
            tables.low = dp_table_twice(format, dp_block(format, s, span, k));
        else if (is_nf4(format)) /* the codebook rounded to bf16 */
            tables.low = table_words(NF4, ELEMENT_BF16, (struct block){1, 0});
        else
            tables.low =
                _mm512_broadcast_i64x4(dp_values(format == INT4 ? dp_block(format, s, span, k).zero : 8));
        return tables;
    }
    const size_t last = (8 * lanes - 1) / each * each; /* the last chunk of a row may end early */
    tables.low = dp_pair_of(format, scaling, s, span, k, k + min_size(each, last));
    if (span == 32)
        tables.high = dp_pair_of(format, scaling, s, span, k + min_size(2 * each, last), k + last);
    return tables;
}

/* The codes of a chunk.
 *     4 bits   v[0]: as they lie in memory
 *     8 bits   v[0], v[1]: the first four codes of each lane, and the last four
 *     dense    v[p]: the pairs of instruction p */
struct dp_codes {
    __m512i v[4];
};

INLINE size_t dp_chunk_bytes(enum cpu_format format)
{
    return code_bytes(format, ELEMENT_BF16, DP_CHUNK);
}

/* Loads the codes of a chunk of which `lanes` lanes exist. Whole chunks pass the constant 16. */
INLINE struct dp_codes dp_load(enum cpu_format format, const uint8_t *codes, size_t lanes)
{
    const bool whole = lanes == 16;
    const size_t lane_bytes = dp_chunk_bytes(format) / 16, vectors = dp_chunk_bytes(format) / 64;
    struct dp_codes c;
    for (size_t i = 0; i < vectors; i++) {
        size_t left = lanes * lane_bytes / 4;
        left = left > 16 * i ? min_size(16, left - 16 * i) : 0;
        c.v[i] = whole ? _mm512_loadu_si512(codes + 64 * i)
                       : _mm512_maskz_loadu_epi32((__mmask16)((1u << left) - 1), codes + 64 * i);
    }
    if (is_nibbles(format)) {
        __asm__("" : "+v"(c.v[0])); /* or it is loaded again for each p: loads are what is scarce */
        return c;
    }
    if (format == DENSE) {
        dp_permute(c.v);
        return c;
    }
    for (int i = 0; i < 2; i++) {
        const __m512i sign = _mm512_set1_epi8((char)0x80);
        if (format == INT8)
            c.v[i] = _mm512_xor_si512(c.v[i], sign); /* value + 128 */
        else /* all but the sign is one more: NaN becomes 0, and what is special 0 to 8 */
            c.v[i] = _mm512_ternarylogic_epi32(_mm512_add_epi8(c.v[i], _mm512_set1_epi8(1)), c.v[i], sign,
                                               0xd8); /* sign ? codes : sum */
    }
    const __m512i even = _mm512_set_epi32(30, 28, 26, 24, 22, 20, 18, 16, 14, 12, 10, 8, 6, 4, 2, 0);
    const __m512i odd = _mm512_set_epi32(31, 29, 27, 25, 23, 21, 19, 17, 15, 13, 11, 9, 7, 5, 3, 1);
    __m512i first = _mm512_permutex2var_epi32(c.v[0], even, c.v[1]);
    c.v[1] = _mm512_permutex2var_epi32(c.v[0], odd, c.v[1]);
    c.v[0] = first;
    return c;
}

/* Byte p of each dword, four times. */
INLINE __m512i dp_byte(int p)
{
    const __m512i first =
        _mm512_broadcast_i32x4(_mm_set_epi8(12, 12, 12, 12, 8, 8, 8, 8, 4, 4, 4, 4, 0, 0, 0, 0));
    return _mm512_add_epi8(first, _mm512_set1_epi8((char)p));
}

/* The pairs of int8 for instruction p. dp_load() added 128. A byte in the lowest bits of 2^23 is the float
 * 2^23 + byte; the function subtracts 2^23 + 128, and takes the upper half of the float, which is bf16. */
INLINE __m512i dp_int8_pairs(struct dp_codes c, int p)
{
    const __m512i power = _mm512_set1_epi32(0x4b000000),
                  up = _mm512_broadcast_i32x4(
                      _mm_set_epi8(15, 14, 15, 14, 11, 10, 11, 10, 7, 6, 7, 6, 3, 2, 3, 2));
    const __mmask64 lowest = 0x1111111111111111, low = 0x3333333333333333;
    __m512 v[2];
    for (int i = 0; i < 2; i++)
        v[i] = _mm512_sub_ps(_mm512_castsi512_ps(_mm512_mask_shuffle_epi8(power, lowest, c.v[i], dp_byte(p))),
                             _mm512_set1_ps(0x1p23f + 128));
    return _mm512_mask_shuffle_epi8(_mm512_castps_si512(v[1]), low, _mm512_castps_si512(v[0]), up);
}

/*
 * The pairs of fp8 for instruction p. Exponent and mantissa are shifted to their places in bf16, and the
 * difference of the two biases is added to the exponent. Denormals of fp8 are normal in bf16: they are looked
 * up, and NaN with them. dp_load() added 1 to each code, and both bytes of a word hold it, so that the low
 * bits of the word are the index of the lookup.
 */
INLINE __m512i dp_fp8_pairs(struct dp_codes c, int p)
{
    const __m512i special =
        _mm512_castsi128_si512(_mm_set_epi16(0x3c40, 0x3c20, 0x3c00, 0x3bc0, 0x3b80, 0x3b00, 0, 0x7fc0));
    const __m512i table = _mm512_mask_set1_epi16(special, 1 << 8, 0x3c60);
    const __mmask64 high = 0xcccccccccccccccc;
    __m512i words =
        _mm512_mask_shuffle_epi8(_mm512_shuffle_epi8(c.v[0], dp_byte(p)), high, c.v[1], dp_byte(p));
    __m512i moved = _mm512_and_si512(_mm512_srli_epi16(words, 4), _mm512_set1_epi16(0x7f0));
    __m512i normal = _mm512_add_epi16(moved, _mm512_set1_epi16(0x3bf0));
    __mmask32 other = _mm512_cmplt_epu16_mask(moved, _mm512_set1_epi16(0x90));
    __m512i magnitude = _mm512_mask_permutexvar_epi16(normal, other, words, table);
    return _mm512_ternarylogic_epi32(magnitude, words, _mm512_set1_epi16((short)0x8000), 0xf8);
}

/* The pairs of 4-bit codes for instruction p. vpermw reads 5 bits of an index; in a table that is held twice
 * the fifth makes no difference. */
INLINE __m512bh dp_lookup(__m512i packed, struct dp_tables tables, int span, int p)
{
    __m512i index = _mm512_srli_epi16(packed, p == 0 ? 4 : p == 1 ? 0 : p == 2 ? 12 : 8);
    if (span == 128)
        return (__m512bh)_mm512_permutexvar_epi16(index, tables.low);
    const __m512i second = _mm512_maskz_set1_epi16(span == 64 ? 0xffff0000 : 0xff00ff00, 16);
    /* (index & 15) | second */
    index = _mm512_ternarylogic_epi32(index, _mm512_set1_epi16(15), second, 0xea);
    __m512i words = _mm512_permutexvar_epi16(index, tables.low);
    if (span == 32)
        words = _mm512_mask_permutexvar_epi16(words, 0xffff0000, index, tables.high);
    return (__m512bh)words;
}

/* The weights of a chunk for one p; span as dp_table_span() gives it. */
INLINE __m512bh dp_weights(enum cpu_format format, struct dp_codes c, struct dp_tables tables, int span,
                           int p)
{
    switch (format) {
    case INT8:
        return (__m512bh)dp_int8_pairs(c, p);
    case FP8:
        return (__m512bh)dp_fp8_pairs(c, p);
    case DENSE:
        return (__m512bh)c.v[p];
    default:
        return dp_lookup(c.v[0], tables, span, p);
    }
}

/*
 * The slow path takes any k and any start of a row. It decodes a chunk element by element.
 *
 * With the scale per block a lane may hold elements of two blocks: where a row starts inside a block. `first`
 * marks the elements of the lane's first block, `second` those of its next one. With the scale per weight
 * `first` marks all elements that exist.
 */
struct dp_chunk {
    uint16_t w[DP_CHUNK];
    __mmask32 first[4], second[4];
    __mmask16 has_first, has_second;
    float absmax[2][16];
};

INLINE void dp_decode_chunk(const struct gemm_args *a, enum scaling scaling, enum cpu_format format,
                            size_t row, size_t k0, struct dp_chunk *c)
{
    memset(c, 0, sizeof *c);
    for (size_t k = k0; k < min_size(a->k, k0 + DP_CHUNK); k++) {
        size_t lane = (k - k0) / 8, e = k % 8, p = e % 4, word = 2 * lane + e / 4;
        size_t i = row * a->k + k, block = i / a->w.blocksize;
        size_t first_block = (row * a->k + k - e) / a->w.blocksize;
        bool second = scaling == PER_BLOCK && block != first_block;
        const struct block b = block_at(&a->w, format, block);
        float value = value_at(&a->w, format, ELEMENT_BF16, i, b.zero);
        if (scaling == PER_WEIGHT) {
            value *= b.scale;
            value = fabsf(value) < 0x1p-126f ? copysignf(0.0f, value) : value;
        }
        c->w[32 * p + word] = bf16_of_float(value);
        c->absmax[second][lane] = b.scale;
        (second ? c->second : c->first)[p] |= (__mmask32)1 << word;
        *(second ? &c->has_second : &c->has_first) |= (__mmask16)(1 << lane);
    }
}

INLINE __m512 dp_chunk_add(const struct dp_chunk *c, enum scaling scaling, int part, const uint16_t *x,
                           __m512 acc)
{
    const __mmask32 *elements = part ? c->second : c->first;
    __mmask16 lanes = part ? c->has_second : c->has_first;
    __m512 t = scaling == PER_WEIGHT ? acc : _mm512_setzero_ps();
    for (int p = 0; p < 4; p++) {
        __m512i xv = _mm512_maskz_loadu_epi16(elements[p], x + 32 * p);
        __m512i wv = _mm512_maskz_loadu_epi16(elements[p], c->w + 32 * p);
        t = _mm512_dpbf16_ps(t, (__m512bh)wv, (__m512bh)xv);
    }
    if (scaling == PER_WEIGHT)
        return _mm512_mask_mov_ps(acc, lanes, t);
    return _mm512_mask3_fmadd_ps(t, _mm512_loadu_ps(c->absmax[part]), acc, lanes);
}

/* Column `row` of Y (row of W), all m. */
INLINE void dp_general_row(const struct gemm_args *a, enum scaling scaling, enum cpu_format format,
                           const uint16_t *x, size_t row)
{
    enum { GROUP = 8 };
    for (size_t m0 = 0; m0 < a->m; m0 += GROUP) {
        size_t rows = min_size(GROUP, a->m - m0);
        __m512 acc[GROUP];
        for (size_t m = 0; m < rows; m++)
            acc[m] = _mm512_setzero_ps();
        for (size_t k0 = 0; k0 < a->k; k0 += DP_CHUNK) {
            struct dp_chunk chunk;
            dp_decode_chunk(a, scaling, format, row, k0, &chunk);
            for (size_t m = 0; m < rows; m++) {
                const uint16_t *xm = x + (m0 + m) * dp_stride(a->k) + k0;
                acc[m] = dp_chunk_add(&chunk, scaling, 0, xm, acc[m]);
                if (chunk.has_second)
                    acc[m] = dp_chunk_add(&chunk, scaling, 1, xm, acc[m]);
            }
        }
        for (size_t m = 0; m < rows; m++)
            gemm_store(a, ELEMENT_BF16, m0 + m, row, v16_tree((v16){acc[m]}));
    }
}

/* The variants of a source that defines gemm_share(args, scaling, format). */
#define DP_VARIANTS(knob)                                                                                    \
    GEMM(nf4_gemm_bf16_dpbf16_ftz__avx512bf16_##knob, gemm_share, PER_WEIGHT, NF4)                           \
    GEMM(nf4_gemm_bf16_dpbf16_fused_ftz__avx512bf16_##knob, gemm_share, PER_WEIGHT, NF4_FUSED)               \
    GEMM(nf4_gemm_bf16_c16_sblk_dpbf16_ftz__avx512bf16_##knob, gemm_share, PER_BLOCK, NF4)                   \
    GEMM(nf4_gemm_bf16_c16_sblk_dpbf16_fused_ftz__avx512bf16_##knob, gemm_share, PER_BLOCK, NF4_FUSED)       \
    GEMM(int4_gemm_bf16_dpbf16_ftz__avx512bf16_##knob, gemm_share, PER_WEIGHT, INT4)                         \
    GEMM(int4_gemm_bf16_c16_sblk_dpbf16_ftz__avx512bf16_##knob, gemm_share, PER_BLOCK, INT4)                 \
    GEMM(int8_gemm_bf16_c16_sblk_dpbf16_ftz__avx512bf16_##knob, gemm_share, PER_BLOCK, INT8)                 \
    GEMM(fp8_gemm_bf16_c16_sblk_dpbf16_ftz__avx512bf16_##knob, gemm_share, PER_BLOCK, FP8)                   \
    GEMM(dense_gemm_bf16_dpbf16_ftz__avx512bf16_##knob, gemm_share, PER_WEIGHT, DENSE)

#endif
