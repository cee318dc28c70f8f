/*
 * nf4_gemmdx/avx512.c: gemm backward of NF4 and int4 with AVX-512: a stripe of columns per thread, tiles of
 * 6 rows by 64 columns in registers.
 *
 * Run: nf4bench verify suites/smoke.yaml -v '*_gemmdx_*__avx512'
 * Ladder (kernels/README.md): before this avx2.c, after this none.
 *
 * Changes over avx2.c: 16 columns are summed in one register, and 64 weights of a block are 16 words: four
 * shifts by 0, 4, 8, 12 bits and four vpermps in the scaled table give them all, column 4i + 1, 4i, 4i + 3,
 * 4i + 2 in lane i, with no shuffle; the outputs are put in order once, when they are stored. Why it should
 * be fast: a weight costs a quarter of an instruction, a product a sixteenth; a tile does 24 fmas for 10
 * loads.
 */
#include "kernels/cpu/gemmdx.h"
#include "kernels/cpu/nf4_avx512.h"

enum { LANES = 16, VECTORS = DX_CHUNK / LANES };

/* A dx_chunk_fn: vector p takes nibble p of each word. */
INLINE void decode_chunk(const uint8_t *packed, enum element t, enum cpu_format format, int span,
                         struct block first, struct block second, bool half, float *out)
{
    __m256i bytes = half ? _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *)packed))
                         : _mm256_loadu_si256((const __m256i *)packed);
    __m512i words = _mm512_cvtepu16_epi32(bytes);
    __m512 low = table_512(format, t, first), high = span == 32 ? table_512(format, t, second) : low;
    for (unsigned p = 0; p < VECTORS; p++) {
        __m512i codes = _mm512_srli_epi32(words, 4 * p);
        __m512 weights = _mm512_permutexvar_ps(codes, low);
        if (span == 32)
            weights = _mm512_mask_permutexvar_ps(weights, 0xff00, codes, high);
        _mm512_store_ps(out + LANES * p, weights);
    }
}

/* A dx_rows_fn. */
INLINE void tile_of(int rows, size_t depth, const float *dy, const float *panel, float *sums)
{
    __m512 acc[DX_TILE][VECTORS];
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < VECTORS; p++)
            acc[r][p] = _mm512_load_ps(sums + r * DX_CHUNK + LANES * p);
    for (size_t d = 0; d < depth; d++)
#pragma GCC unroll 8
        for (int r = 0; r < rows; r++) {
            __m512 x = _mm512_set1_ps(dy[d * (size_t)rows + (size_t)r]);
            for (int p = 0; p < VECTORS; p++)
                acc[r][p] = _mm512_fmadd_ps(x, _mm512_load_ps(panel + d * DX_CHUNK + LANES * p), acc[r][p]);
        }
#pragma GCC unroll 8
    for (int r = 0; r < rows; r++)
        for (int p = 0; p < VECTORS; p++)
            _mm512_store_ps(sums + r * DX_CHUNK + LANES * p, acc[r][p]);
}

/* Column 4i + (p ^ 1) from lane i of vector p: transposes 4 x 4 within and then among the quarters. */
INLINE void in_order(const float *sums, __m512 out[VECTORS])
{
    __m512 v[VECTORS], q[VECTORS];
    for (int p = 0; p < VECTORS; p++)
        v[p] = _mm512_load_ps(sums + LANES * p);
    __m512d a = _mm512_castps_pd(_mm512_unpacklo_ps(v[1], v[0]));
    __m512d b = _mm512_castps_pd(_mm512_unpacklo_ps(v[3], v[2]));
    __m512d c = _mm512_castps_pd(_mm512_unpackhi_ps(v[1], v[0]));
    __m512d d = _mm512_castps_pd(_mm512_unpackhi_ps(v[3], v[2]));
    q[0] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
    q[1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    q[2] = _mm512_castpd_ps(_mm512_unpacklo_pd(c, d));
    q[3] = _mm512_castpd_ps(_mm512_unpackhi_pd(c, d));
    /* Quarter j of q[i] is columns 16j + 4i .. + 3. */
    __m512 e = _mm512_shuffle_f32x4(q[0], q[1], 0x44), f = _mm512_shuffle_f32x4(q[2], q[3], 0x44);
    __m512 g = _mm512_shuffle_f32x4(q[0], q[1], 0xee), h = _mm512_shuffle_f32x4(q[2], q[3], 0xee);
    out[0] = _mm512_shuffle_f32x4(e, f, 0x88);
    out[1] = _mm512_shuffle_f32x4(e, f, 0xdd);
    out[2] = _mm512_shuffle_f32x4(g, h, 0x88);
    out[3] = _mm512_shuffle_f32x4(g, h, 0xdd);
}

static void store(enum element t, const float *sums, void *y, size_t i, size_t count)
{
    __m512 v[VECTORS];
    in_order(sums, v);
    for (size_t p = 0; p < VECTORS && p * LANES < count; p++) {
        __mmask16 mask = (__mmask16)((1u << min_size(LANES, count - p * LANES)) - 1);
        if (t == ELEMENT_F32)
            _mm512_mask_storeu_ps((float *)y + i + p * LANES, mask, v[p]);
        else
            _mm256_mask_storeu_epi16((uint16_t *)y + i + p * LANES, mask, half_of_ps_512(t, v[p]));
    }
}

DX_VARIANTS(avx512)
