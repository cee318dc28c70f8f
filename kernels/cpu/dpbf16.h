/*
 * dpbf16.h: the order of the dpbf16 contracts, and the slow path that is right for every shape.
 *
 * VDPBF16PS takes 16 lanes of bf16 pairs and does, per lane, acc = fma(odd, odd, acc), acc = fma(even, even,
 * acc), flushing denormals. Lane i of a chunk of 128 k owns k = 8i..8i+7, four bytes of packed weights, and
 * takes the pairs (p+4, p) for p = 0..3. Seen as 32 words of two bytes, word 2i of 64 packed bytes holds
 * elements 1, 0, 3, 2 of the lane in bits 0-3, 4-7, 8-11, 12-15, and word 2i+1 elements 5, 4, 7, 6: so
 * shifting all words right by 4, 0, 12, 8 bits and looking their low nibbles up gives the weights of p = 0,
 * 1, 2, 3 with no other shuffle. The activations are brought into the same order once per call.
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

/* Elements from one row of X to the next, in the workspace: a chunk more than needed, so that the same k of
 * several rows do not compete for the same lines of L1 where k is a power of two. */
INLINE size_t dp_stride(size_t k)
{
    return (dp_chunks(k) + 1) * DP_CHUNK;
}

INLINE __m512bh dp_bf16(__m512i words)
{
    return (__m512bh)words;
}

/* One chunk of activations, 128 in order -> 4 vectors, one per p. */
INLINE void dp_permute_chunk(const uint16_t *in, uint16_t *out)
{
    /* Within a lane's 8 elements: 0, 4, 1, 5, 2, 6, 3, 7, so that each p is one dword. */
    const __m512i pairs =
        _mm512_broadcast_i32x4(_mm_set_epi8(15, 14, 7, 6, 13, 12, 5, 4, 11, 10, 3, 2, 9, 8, 1, 0));
    const __m512i by_pair = _mm512_set_epi32(15, 11, 7, 3, 14, 10, 6, 2, 13, 9, 5, 1, 12, 8, 4, 0);
    __m512i v[4];
    for (int i = 0; i < 4; i++)
        v[i] = _mm512_permutexvar_epi32(by_pair, _mm512_shuffle_epi8(_mm512_loadu_si512(in + 32 * i), pairs));
    /* v[i] holds lanes 4i..4i+3 of p = 0, 1, 2, 3: transpose the 4 x 4 quarters. */
    __m512i a = _mm512_shuffle_i64x2(v[0], v[1], 0x44), b = _mm512_shuffle_i64x2(v[2], v[3], 0x44);
    __m512i c = _mm512_shuffle_i64x2(v[0], v[1], 0xee), d = _mm512_shuffle_i64x2(v[2], v[3], 0xee);
    _mm512_store_si512(out, _mm512_shuffle_i64x2(a, b, 0x88));
    _mm512_store_si512(out + 32, _mm512_shuffle_i64x2(a, b, 0xdd));
    _mm512_store_si512(out + 64, _mm512_shuffle_i64x2(c, d, 0x88));
    _mm512_store_si512(out + 96, _mm512_shuffle_i64x2(c, d, 0xdd));
}

/* All activations into the workspace, rows dp_stride(k) apart and padded with zero to whole chunks, zero rows
 * up to `rows` <= 1.6 m. Every thread of the region calls this; it ends in a barrier. */
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

/* The codebook rounded to bf16, twice (c16 contracts). */
INLINE __m512i dp_codebook(void)
{
    return nf4_table_words(ELEMENT_BF16, 1.0f);
}

/* The 16 weights of a block as the flushing contract has them: the convert instruction does just that. */
INLINE __m256i dp_table(float absmax)
{
    return (__m256i)_mm512_cvtneps_pbh(nf4_scaled_512(absmax));
}

INLINE __m512i dp_table_twice(float absmax)
{
    return _mm512_broadcast_i64x4(dp_table(absmax));
}

/* Entries 0-15 of one block, 16-31 of the next. */
INLINE __m512i dp_table_pair(float absmax, float next)
{
    return (__m512i)_mm512_cvtne2ps_pbh(nf4_scaled_512(next), nf4_scaled_512(absmax));
}

/*
 * The fast path: k % 32 == 0, so that every 32 elements of a row lie in one block. A row's absmax are read
 * from an array that holds one for every `span` elements, 32, 64 or 128 and more: where rows begin with a
 * block that is absmax itself; nested ones are recovered into scratch first; rows that begin inside a block
 * get an array with one for every 32 elements.
 */
INLINE bool dp_is_fast(const struct gemm_args *a)
{
    return a->k % 32 == 0 && a->k <= 128 * 1024; /* and scratch holds the absmax of 8 rows */
}

/* How many elements share an entry of dp_row_scales(): 32, 64, or 128 for 128 and more. */
INLINE int dp_span(const struct gemm_args *a)
{
    return a->k % a->w.blocksize ? 32 : a->w.blocksize < 128 ? (int)a->w.blocksize : 128;
}

struct dp_scales {
    const float *absmax; /* of the row, one for each 1 << shift elements */
    unsigned shift;
};

/* Floats of scratch that dp_row_scales() may write for a row; a multiple of 16. */
INLINE size_t dp_scales_size(size_t k)
{
    return round_up(k / 32, 16) + 16;
}

/* absmax of `valid` <= 16 consecutive blocks, nested; the rest is not meant. */
INLINE __m512 dp_absmax16(const struct weights *w, size_t b, size_t valid, enum recovery nested)
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
    if (nested == ABSMAX_FUSED)
        return _mm512_fmadd_ps(value, scale, offset);
    return _mm512_add_ps(_mm512_mul_ps(value, scale), offset);
}

INLINE struct dp_scales dp_row_scales(const struct gemm_args *a, enum recovery nested, size_t row,
                                      float *scratch)
{
    unsigned shift = nf4_block_shift(&a->w);
    size_t first = row * a->k;
    if (a->k % a->w.blocksize == 0) {
        size_t b = first >> shift, count = a->k >> shift;
        if (nested == ABSMAX_PLAIN)
            return (struct dp_scales){a->w.absmax + b, shift};
        for (size_t i = 0; i < count; i += 16)
            _mm512_store_ps(scratch + i, dp_absmax16(&a->w, b + i, min_size(16, count - i), nested));
        return (struct dp_scales){scratch, shift};
    }
    for (size_t i = 0; i < a->k / 32; i++)
        scratch[i] = nf4_absmax(&a->w, (first + 32 * i) >> shift, nested);
    return (struct dp_scales){scratch, 5};
}

/* absmax of the 4 chunks from chunk c, of which a row of `k` may hold fewer. `span` is a constant: 32, 64, or
 * 128 for 128 and more. */
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
 * Lookup. The tables of a chunk: one of 16 entries held twice, or the tables of its blocks: of the two halves
 * of the chunk (span 64), or of its quarters in two registers (span 32). `second` has bit 4 set in each word
 * of a second block: there it picks the upper 16 entries.
 */
struct dp_tables {
    __m512i low, high;
};

/* The codebook, for any chunk of a scale-per-block contract: look up with span 128. */
INLINE struct dp_tables dp_codebook_tables(void)
{
    return (struct dp_tables){dp_codebook(), _mm512_setzero_si512()};
}

/* Scale per weight: the tables of chunk c, of which `lanes` lanes exist. */
INLINE struct dp_tables dp_scaled_tables(struct dp_scales s, size_t c, int span, size_t lanes)
{
    if (span == 128)
        return (struct dp_tables){dp_table_twice(s.absmax[(c * DP_CHUNK) >> s.shift]),
                                  _mm512_setzero_si512()};
    const float *absmax = s.absmax + c * (DP_CHUNK / (size_t)span);
    size_t last = (8 * lanes - 1) / (size_t)span; /* the last chunk of a row may end early */
    struct dp_tables tables = {dp_table_pair(absmax[0], absmax[min_size(1, last)]), _mm512_setzero_si512()};
    if (span == 32)
        tables.high = dp_table_pair(absmax[min_size(2, last)], absmax[last]);
    return tables;
}

/* The weights of 64 packed bytes for one p. vpermw reads 5 bits of an index: of a table held twice the fifth
 * does not matter. */
INLINE __m512bh dp_lookup(__m512i packed, struct dp_tables tables, int span, int p)
{
    __m512i index = _mm512_srli_epi16(packed, p == 0 ? 4 : p == 1 ? 0 : p == 2 ? 12 : 8);
    if (span == 128)
        return dp_bf16(_mm512_permutexvar_epi16(index, tables.low));
    const __m512i second = _mm512_maskz_set1_epi16(span == 64 ? 0xffff0000 : 0xff00ff00, 16);
    /* (index & 15) | second */
    index = _mm512_ternarylogic_epi32(index, _mm512_set1_epi16(15), second, 0xea);
    __m512i words = _mm512_permutexvar_epi16(index, tables.low);
    if (span == 32)
        words = _mm512_mask_permutexvar_epi16(words, 0xffff0000, index, tables.high);
    return dp_bf16(words);
}

/*
 * The slow path: any k, any row start.
 *
 * A chunk element by element. first: elements of each lane that lie in the lane's first block (SCALE_BLOCK)
 * or exist at all; second: those in its next block, which only a row that starts inside a block can have.
 */
struct dp_chunk {
    uint16_t w[DP_CHUNK];
    __mmask32 first[4], second[4];
    __mmask16 has_first, has_second;
    float absmax[2][16];
};

INLINE void dp_decode_chunk(const struct gemm_args *a, enum scaling scaling, enum recovery nested, size_t row,
                            size_t k0, struct dp_chunk *c)
{
    memset(c, 0, sizeof *c);
    for (size_t k = k0; k < min_size(a->k, k0 + DP_CHUNK); k++) {
        size_t lane = (k - k0) / 8, e = k % 8, p = e % 4, word = 2 * lane + e / 4;
        size_t i = row * a->k + k, block = i / a->w.blocksize;
        size_t first_block = (row * a->k + k - e) / a->w.blocksize;
        bool second = scaling == PER_BLOCK && block != first_block;
        float absmax = nf4_absmax(&a->w, block, nested), value = nf4_codebook[nf4_code(a->w.packed, i)];
        if (scaling == PER_WEIGHT) {
            value *= absmax;
            value = fabsf(value) < 0x1p-126f ? copysignf(0.0f, value) : value;
        }
        c->w[32 * p + word] = bf16_of_float(value);
        c->absmax[second][lane] = absmax;
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
        t = _mm512_dpbf16_ps(t, dp_bf16(wv), dp_bf16(xv));
    }
    if (scaling == PER_WEIGHT)
        return _mm512_mask_mov_ps(acc, lanes, t);
    return _mm512_mask3_fmadd_ps(t, _mm512_loadu_ps(c->absmax[part]), acc, lanes);
}

/* Column `row` of Y (row of W), all m. */
INLINE void dp_general_row(const struct gemm_args *a, enum scaling scaling, enum recovery nested,
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
            dp_decode_chunk(a, scaling, nested, row, k0, &chunk);
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

#endif
