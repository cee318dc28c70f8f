/*
 * nf4_gemm/avx512_words.c: gemm of the formats of four bits for few rows of X with AVX-512 in fp32
 * arithmetic (the sblk_acc16w8 contracts): the words of codes stay where they are.
 *
 * Run: nf4bench verify suites/smoke.yaml -v '*__avx512_words'
 * Ladder (kernels/README.md): before this avx512.c, after this avx512bf16_gemv.c.
 *
 * Chain l of 16 takes eight consecutive k in turn: lane l of a chunk of 128 k is the 32-bit word of its eight
 * codes, as they are stored. A shift brings the next code of every word to the bottom; vpermps looks it up
 * and ignores the other bits. X is arranged once per call to fit, as fp32: [row][chunk][8][16], so that
 * vector i of a chunk has k = 8 * lane + i.
 *
 * Changes over avx512.c: no code is moved to another lane. Why it should be fast: with one row of X the port
 * of the lookup limits avx512.c, and its two shuffles for 16 weights are one here. 16 weights cost half a
 * shift, a lookup and the fma, of which a core does two in a cycle. The other half of the shifts are loads
 * one byte further on: load ports are idle.
 */
#include "kernels/cpu/gemm.h"
#include "kernels/cpu/nf4_avx512.h"

enum {
    WORDS_LANES = 16,
    WORDS_WIDTH = 8,
    WORDS_CHUNK = WORDS_LANES * WORDS_WIDTH,
    WORDS_BYTES = WORDS_CHUNK / 2,
    WORDS_ROWS = 4,      /* of W at a time, at most */
    WORDS_COLUMNS = 4,   /* of X */
    WORDS_BLOCKS = 4000, /* of a row, whose scales and zero points are kept; more go the general way */
    WORDS_SLACK = 16,    /* floats that may be read after the last of them */
    /* Prefetched: what the third tile from here reads, into L2, and what follows in this row, into L1. */
    WORDS_AHEAD = 12, /* rows */
    WORDS_NEAR = 256, /* bytes */
};

/* How codes become values. */
enum words_table {
    TABLE_CONSTANT,  /* all blocks have the same 16 values */
    TABLE_PER_BLOCK, /* zero points; blocks are whole chunks */
    TABLE_PER_LANE,  /* zero points; a chunk has several blocks */
};

/* A thread's scratch: of each row of W. */
struct words_scratch {
    float scale[WORDS_ROWS][WORDS_BLOCKS + WORDS_SLACK];
    float zero[WORDS_ROWS][WORDS_BLOCKS + WORDS_SLACK];
};
_Static_assert(sizeof(struct words_scratch) <= GEMM_SCRATCH_BYTES, "scratch");

INLINE size_t words_stride(const struct gemm_args *a)
{
    return round_up(a->k, WORDS_CHUNK);
}

/* X in the workspace, zero-padded. Every thread of the region calls this; it ends in a barrier. */
INLINE const float *words_activations(const struct gemm_args *a, enum element t)
{
    float *out = a->workspace;
    const size_t chunks = words_stride(a) / WORDS_CHUNK;
    const struct range mine = thread_range(a->m * chunks);
    for (size_t i = mine.begin; i < mine.end; i++) {
        const size_t k = i % chunks * WORDS_CHUNK, first = i / chunks * a->k + k;
        const size_t words = min_size(a->k - k, WORDS_CHUNK) / WORDS_WIDTH;
        float *chunk = out + i * WORDS_CHUNK;
        for (size_t lane = 0; lane < words; lane++)
            for (size_t j = 0; j < WORDS_WIDTH; j++)
                chunk[j * WORDS_LANES + lane] = load_element(t, a->x, first + lane * WORDS_WIDTH + j);
        for (size_t lane = words; lane < WORDS_LANES; lane++)
            for (size_t j = 0; j < WORDS_WIDTH; j++)
                chunk[j * WORDS_LANES + lane] = 0;
    }
#pragma omp barrier
    return out;
}

/* map[code] of 16 codes: a lookup in every 32 entries, and a choice by the upper bits. */
INLINE __m512 words_map(const float *map, __m512i codes)
{
    __m512 of[8];
    for (int i = 0; i < 8; i++)
        of[i] =
            _mm512_permutex2var_ps(_mm512_loadu_ps(map + 32 * i), codes, _mm512_loadu_ps(map + 32 * i + 16));
    for (int bit = 5, count = 8; bit < 8; bit++, count /= 2) {
        const __mmask16 upper = _mm512_test_epi32_mask(codes, _mm512_set1_epi32(1 << bit));
        for (int i = 0; i < count / 2; i++)
            of[i] = _mm512_mask_mov_ps(of[2 * i], upper, of[2 * i + 1]);
    }
    return of[0];
}

/* Scales of up to 16 blocks from block b on. */
INLINE __m512 words_scales(const struct weights *w, enum cpu_format format, size_t b, __mmask16 blocks)
{
    if (format == INT4)
        return _mm512_cvtph_ps(_mm256_maskz_loadu_epi16(blocks, w->scale + b));
    if (format == NF4)
        return _mm512_maskz_loadu_ps(blocks, w->absmax + b);
    const __m512 value =
        words_map(w->nested_map, _mm512_cvtepu8_epi32(_mm_maskz_loadu_epi8(blocks, w->absmax_code + b)));
    /* 256 blocks have one scale: these have two at most. */
    const size_t group = b / 256, left = 256 - b % 256;
    __m512 scale = _mm512_set1_ps(w->nested_absmax[group]);
    if (left < 16 && blocks >> left)
        scale = _mm512_mask_mov_ps(_mm512_set1_ps(w->nested_absmax[group + 1]), (__mmask16)((1u << left) - 1),
                                   scale);
    return _mm512_fmadd_ps(value, scale, _mm512_set1_ps(w->nested_offset));
}

/* Scales, and zero points, of the blocks of row n. */
INLINE void words_row_blocks(const struct gemm_args *a, enum cpu_format format, size_t n, size_t count,
                             float *scale, float *zero)
{
    for (size_t b = 0; b < count; b += 16) {
        const __mmask16 blocks = (__mmask16)(count - b < 16 ? (1u << (count - b)) - 1 : 0xffff);
        _mm512_storeu_ps(scale + b, words_scales(&a->w, format, n * count + b, blocks));
        if (format == INT4 && a->w.zero)
            _mm512_storeu_ps(zero + b, _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(
                                           _mm_maskz_loadu_epi8(blocks, a->w.zero + n * count + b))));
    }
}

/* One call's rows of W and X, whatever the formats. */
struct words_call {
    const struct gemm_args *a;
    const float *x;
    const struct words_scratch *s;
    __m512 values;  /* of codes: a format's constant ones, or 0 to 15 */
    unsigned shift; /* of k to its block within a row */
    size_t n, m;    /* the first rows of W and X of a tile */
    size_t row;     /* of s, which has n's blocks */
};

/* The value of each code's block for each lane of a chunk of several blocks. */
INLINE __m512 words_by_lane(const float *of_blocks, unsigned shift)
{
    const __m512i first_k = _mm512_set_epi32(120, 112, 104, 96, 88, 80, 72, 64, 56, 48, 40, 32, 24, 16, 8, 0);
    return _mm512_permutexvar_ps(_mm512_srli_epi32(first_k, shift), _mm512_loadu_ps(of_blocks));
}

/* Adds a chunk to t. `left` bytes of codes: a last chunk, after which nothing may be read. */
INLINE void words_chunk(enum words_table kind, const uint8_t *codes, size_t row_bytes, bool last, size_t left,
                        const float *x, size_t x_stride, const __m512 *table, const __m512 *zero, int rows,
                        int columns, __m512 t[WORDS_ROWS][WORDS_COLUMNS])
{
    const __mmask64 bytes = left < WORDS_BYTES ? ((__mmask64)1 << left) - 1 : ~(__mmask64)0;
    const __mmask16 lanes = (__mmask16)((1u << left / 4) - 1);
    for (int byte = 0; byte < WORDS_WIDTH / 2; byte++) {
        __m512i word[WORDS_ROWS];
        for (int r = 0; r < rows; r++) {
            const uint8_t *at = codes + (size_t)r * row_bytes;
            word[r] = last ? _mm512_srli_epi32(_mm512_maskz_loadu_epi8(bytes, at), 8 * (unsigned)byte)
                           : _mm512_loadu_si512(at + byte);
        }
        for (int i = 0; i < 2; i++) { /* the high nibble is the first */
            __m512 xv[WORDS_COLUMNS];
            for (int c = 0; c < columns; c++)
                xv[c] = _mm512_loadu_ps(x + (size_t)c * x_stride + (2 * byte + i) * WORDS_LANES);
            for (int r = 0; r < rows; r++) {
                __m512 w = _mm512_permutexvar_ps(i ? word[r] : _mm512_srli_epi32(word[r], 4), table[r]);
                if (kind == TABLE_PER_LANE)
                    w = _mm512_sub_ps(w, zero[r]);
                for (int c = 0; c < columns; c++)
                    t[r][c] = last ? _mm512_mask3_fmadd_ps(xv[c], w, t[r][c], lanes)
                                   : _mm512_fmadd_ps(xv[c], w, t[r][c]);
            }
        }
    }
}

/* `rows` rows of W against `columns` rows of X. several: blocks are shorter than chunks. */
INLINE void words_tile(const struct words_call *call, enum words_table kind, bool several, int rows,
                       int columns, float sum[WORDS_ROWS][WORDS_COLUMNS])
{
    const struct gemm_args *a = call->a;
    const size_t row_bytes = a->k / 2, stride = words_stride(a);
    const uint8_t *codes = a->w.packed + call->n * row_bytes;
    const float *x = call->x + call->m * stride;
    __m512 acc[WORDS_ROWS][WORDS_COLUMNS], table[WORDS_ROWS], zero[WORDS_ROWS], scale[WORDS_ROWS];
    for (int r = 0; r < rows; r++) {
        table[r] = call->values;
        for (int c = 0; c < columns; c++)
            acc[r][c] = _mm512_setzero_ps();
    }
    for (size_t k = 0, next; k < a->k; k = next) {
        const size_t block = k >> call->shift;
        next = several ? k + WORDS_CHUNK : min_size(a->k, (block + 1) << call->shift);
        __m512 t[WORDS_ROWS][WORDS_COLUMNS];
        for (int r = 0; r < rows; r++) {
            const float *scales = &call->s->scale[call->row + (size_t)r][block],
                        *zeros = &call->s->zero[call->row + (size_t)r][block];
            scale[r] = several ? words_by_lane(scales, call->shift) : _mm512_set1_ps(*scales);
            if (kind == TABLE_PER_LANE)
                zero[r] = words_by_lane(zeros, call->shift);
            if (kind == TABLE_PER_BLOCK)
                table[r] = _mm512_sub_ps(call->values, _mm512_set1_ps(*zeros));
            for (int c = 0; c < columns; c++)
                t[r][c] = _mm512_setzero_ps();
        }
        __mmask16 lanes = 0xffff; /* with an element in the block */
        for (size_t i = k; i < next; i += WORDS_CHUNK) {
            const uint8_t *at = codes + i / 2;
            for (int r = 0; r < rows; r++) {
                _mm_prefetch((const char *)at + (size_t)(r + WORDS_AHEAD) * row_bytes, _MM_HINT_T1);
                _mm_prefetch((const char *)at + (size_t)r * row_bytes + WORDS_NEAR, _MM_HINT_T0);
            }
            if (i + WORDS_CHUNK < a->k) {
                words_chunk(kind, at, row_bytes, false, WORDS_BYTES, x + i, stride, table, zero, rows,
                            columns, t);
                continue;
            }
            const size_t left = (a->k - i) / 2;
            words_chunk(kind, at, row_bytes, true, left, x + i, stride, table, zero, rows, columns, t);
            if (i == k)
                lanes = (__mmask16)((1u << left / 4) - 1);
        }
        for (int r = 0; r < rows; r++)
            for (int c = 0; c < columns; c++)
                acc[r][c] = _mm512_mask3_fmadd_ps(t[r][c], scale[r], acc[r][c], lanes);
    }
    for (int r = 0; r < rows; r++)
        for (int c = 0; c < columns; c++)
            sum[r][c] = v16_tree((v16){acc[r][c]});
}

#define WORDS_TILES(name, kind, several)                                                                     \
    static __attribute__((noinline)) void name(const struct words_call *call, int rows, int columns,         \
                                               float sum[WORDS_ROWS][WORDS_COLUMNS])                         \
    {                                                                                                        \
        if (columns == 4)                                                                                    \
            rows == 2 ? words_tile(call, kind, several, 2, 4, sum)                                           \
                      : words_tile(call, kind, several, 1, 4, sum);                                          \
        else if (columns == 2)                                                                               \
            rows == 4 ? words_tile(call, kind, several, 4, 2, sum)                                           \
                      : words_tile(call, kind, several, 1, 2, sum);                                          \
        else                                                                                                 \
            rows == 4 ? words_tile(call, kind, several, 4, 1, sum)                                           \
                      : words_tile(call, kind, several, 1, 1, sum);                                          \
    }
WORDS_TILES(words_constant_long, TABLE_CONSTANT, false)
WORDS_TILES(words_constant_short, TABLE_CONSTANT, true)
WORDS_TILES(words_zeros_long, TABLE_PER_BLOCK, false)
WORDS_TILES(words_zeros_short, TABLE_PER_LANE, true)
#undef WORDS_TILES

INLINE void words_any(const struct words_call *call, bool zeros, int rows, int columns,
                      float sum[WORDS_ROWS][WORDS_COLUMNS])
{
    const size_t blocksize = call->a->w.blocksize;
    const bool several = blocksize < WORDS_CHUNK && blocksize < call->a->k;
    (zeros     ? several ? words_zeros_short : words_zeros_long
     : several ? words_constant_short
               : words_constant_long)(call, rows, columns, sum);
}

/* One row of W against one of X, of any shape: run by run, with only the chains that have an element in the
 * run. */
INLINE float words_general(const struct gemm_args *a, enum element t, enum cpu_format format, size_t n,
                           size_t m)
{
    const size_t blocksize = a->w.blocksize, row_blocks = (a->k + blocksize - 1) / blocksize;
    float acc[WORDS_LANES] = {0};
    for (size_t k = 0, next; k < a->k; k = next) {
        /* Blocks run through NF4's rows; other rows begin with one. */
        const size_t first = is_nf4(format) ? n * a->k + k : k;
        const struct block b =
            block_at(&a->w, format, (is_nf4(format) ? 0 : n * row_blocks) + first / blocksize);
        float run[WORDS_LANES] = {0};
        unsigned used = 0;
        next = min_size(a->k, k + blocksize - first % blocksize);
        for (size_t i = k; i < next; i++) {
            const size_t lane = i / WORDS_WIDTH % WORDS_LANES;
            run[lane] = fmaf(load_element(t, a->x, m * a->k + i),
                             value_at(&a->w, format, t, n * a->k + i, b.zero), run[lane]);
            used |= 1u << lane;
        }
        for (size_t lane = 0; lane < WORDS_LANES; lane++)
            if (used >> lane & 1)
                acc[lane] = fmaf(run[lane], b.scale, acc[lane]);
    }
    return v16_tree(v16_load(acc));
}

/* The calling thread's part of Y. */
INLINE void words_share(const struct gemm_args *a, enum element t, enum cpu_format format)
{
    const size_t blocks = a->k / a->w.blocksize;
    const struct range mine = thread_range(a->n);
    if (a->k % a->w.blocksize != 0 || a->k % WORDS_WIDTH != 0 || blocks > WORDS_BLOCKS) {
        for (size_t n = mine.begin; n < mine.end; n++)
            for (size_t m = 0; m < a->m; m++)
                gemm_store(a, t, m, n, words_general(a, t, format, n, m));
        return;
    }
    const bool zeros = format == INT4 && a->w.zero;
    struct words_scratch *s = gemm_scratch(a);
    struct words_call call = {.a = a,
                              .x = words_activations(a, t),
                              .s = s,
                              .values = values_512(format, zeros ? 0 : 8),
                              .shift = row_block_shift(&a->w, a->k)};
    for (size_t n = mine.begin, rows; n < mine.end; n += rows) {
        rows = mine.end - n >= WORDS_ROWS ? WORDS_ROWS : 1;
        for (size_t r = 0; r < rows; r++)
            words_row_blocks(a, format, n + r, blocks, s->scale[r], s->zero[r]);
        for (size_t m = 0, columns; m < a->m; m += columns) {
            columns = a->m - m >= 4 ? 4 : a->m - m >= 2 ? 2 : 1;
            const size_t tall = min_size(rows, columns == 4 ? 2 : 4);
            for (size_t r0 = 0; r0 < rows; r0 += tall) {
                float sum[WORDS_ROWS][WORDS_COLUMNS];
                call.n = n + r0, call.m = m, call.row = r0;
                words_any(&call, zeros, (int)tall, (int)columns, sum);
                for (size_t r = 0; r < tall; r++)
                    for (size_t c = 0; c < columns; c++)
                        gemm_store(a, t, m + c, n + r0 + r, sum[r][c]);
            }
        }
    }
}

#define GEMM_TYPE(type, element)                                                                             \
    GEMM(nf4_gemm_##type##_sblk_acc16w8__avx512_words, words_share, element, NF4)                            \
    GEMM(nf4_gemm_##type##_sblk_acc16w8_fused__avx512_words, words_share, element, NF4_FUSED)                \
    GEMM(int4_gemm_##type##_sblk_acc16w8__avx512_words, words_share, element, INT4)
FOR_ELEMENTS(GEMM_TYPE)
