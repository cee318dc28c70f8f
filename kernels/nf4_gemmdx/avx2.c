/*
 * nf4_gemmdx/avx2.c: gemm backward of NF4 and int4 with AVX2 and FMA: a stripe of columns per thread, tiles
 * of 6 rows by 16 columns in registers.
 *
 * Run: nf4bench verify suites/smoke.yaml -v '*_gemmdx_*__avx2'
 * Ladder (kernels/README.md): before this scalar.c, after this avx512.c.
 *
 * Changes over scalar.c: 8 columns are summed in one register, each in its own chain, and a chunk of W is
 * decoded once for all rows of dY (the frame is gemmdx.h). 64 weights are 8 words of 32 bits: shifts by 0, 4
 * .. 28 bits give all codes, column 8i + 1, 8i, 8i + 3 .. in lane i, with no shuffle; the outputs are put in
 * order once, when they are stored. Why it should be fast: 5 instructions decode 8 weights for up to 240
 * rows of dY, and a tile does 12 fmas for 8 loads.
 */
#include "kernels/cpu/gemmdx.h"
#include "kernels/cpu/nf4_avx2.h"

enum { LANES = 8, VECTORS = DX_CHUNK / LANES };

/* A dx_chunk_fn: vector p takes nibble p of each 32-bit word. */
INLINE void decode_chunk(const uint8_t *packed, enum element t, enum cpu_format format, int span,
                         struct block first, struct block second, bool half, float *out)
{
    __m256i words = half ? _mm256_zextsi128_si256(_mm_loadu_si128((const __m128i *)packed))
                         : _mm256_loadu_si256((const __m256i *)packed);
    v16 low = table_v16(format, t, first), high = span == 32 ? table_v16(format, t, second) : low;
#pragma GCC unroll 8
    for (int p = 0; p < VECTORS; p++) {
        __m256i codes = _mm256_srli_epi32(words, 4 * p), bit3 = _mm256_slli_epi32(words, 28 - 4 * p);
        __m256 weights = v16_lookup(low, codes, bit3);
        if (span == 32)
            weights = _mm256_blend_ps(weights, v16_lookup(high, codes, bit3), 0xf0);
        _mm256_store_ps(out + LANES * p, weights);
    }
}

/* A dx_rows_fn. */
INLINE void tile_of(int rows, size_t depth, const float *dy, const float *panel, float *sums)
{
    const int vectors = rows == 1 ? 8 : rows == 2 ? 4 : 2; /* of the chunk at a time: as registers hold */
    for (int first = 0; first < DX_CHUNK; first += vectors * LANES) {
        __m256 acc[DX_TILE][VECTORS];
        for (int r = 0; r < rows; r++)
            for (int p = 0; p < vectors; p++)
                acc[r][p] = _mm256_load_ps(sums + r * DX_CHUNK + first + LANES * p);
        for (size_t d = 0; d < depth; d++) {
            __m256 w[VECTORS];
            for (int p = 0; p < vectors; p++)
                w[p] = _mm256_load_ps(panel + d * DX_CHUNK + first + LANES * p);
            for (int r = 0; r < rows; r++) {
                __m256 x = _mm256_broadcast_ss(dy + d * (size_t)rows + r);
                for (int p = 0; p < vectors; p++)
                    acc[r][p] = _mm256_fmadd_ps(x, w[p], acc[r][p]);
            }
        }
        for (int r = 0; r < rows; r++)
            for (int p = 0; p < vectors; p++)
                _mm256_store_ps(sums + r * DX_CHUNK + first + LANES * p, acc[r][p]);
    }
}

/* Column 8i + (p ^ 1) from lane i of vector p: transposes 8 x 8. */
INLINE void in_order(const float *sums, v16 out[VECTORS / 2])
{
    __m256 quad[2][4]; /* [h][j]: columns 4h .. 4h + 3 of lane j, and of lane j + 4 */
    for (int h = 0; h < 2; h++) {
        __m256 v[4];
        for (int p = 0; p < 4; p++)
            v[p] = _mm256_load_ps(sums + LANES * (4 * h + (p ^ 1)));
        __m256d a = _mm256_castps_pd(_mm256_unpacklo_ps(v[0], v[1]));
        __m256d b = _mm256_castps_pd(_mm256_unpacklo_ps(v[2], v[3]));
        __m256d c = _mm256_castps_pd(_mm256_unpackhi_ps(v[0], v[1]));
        __m256d d = _mm256_castps_pd(_mm256_unpackhi_ps(v[2], v[3]));
        quad[h][0] = _mm256_castpd_ps(_mm256_unpacklo_pd(a, b));
        quad[h][1] = _mm256_castpd_ps(_mm256_unpackhi_pd(a, b));
        quad[h][2] = _mm256_castpd_ps(_mm256_unpacklo_pd(c, d));
        quad[h][3] = _mm256_castpd_ps(_mm256_unpackhi_pd(c, d));
    }
    for (int j = 0; j < 4; j++) {
        __m256 low = _mm256_permute2f128_ps(quad[0][j], quad[1][j], 0x20);  /* columns of lane j */
        __m256 high = _mm256_permute2f128_ps(quad[0][j], quad[1][j], 0x31); /* of lane j + 4 */
        if (j % 2) {
            out[j / 2].hi = low;
            out[j / 2 + 2].hi = high;
        } else {
            out[j / 2].lo = low;
            out[j / 2 + 2].lo = high;
        }
    }
}

static void store(enum element t, const float *sums, void *y, size_t i, size_t count)
{
    v16 v[VECTORS / 2];
    in_order(sums, v);
    char *out = (char *)y + i * element_size(t);
    for (size_t p = 0; p * 16 < count; p++) {
        float part[16];
        v16_store_element(t, part, v[p]);
        memcpy(out + p * 16 * element_size(t), part, min_size(16, count - p * 16) * element_size(t));
    }
}

DX_VARIANTS(avx2)
