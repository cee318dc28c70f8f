/*
 * nf4_gemmdx/columns.cu: NF4 gemm backward, a thread for 8 columns and 8 rows of dX.
 *
 * Run: nf4bench try kernels/nf4_gemmdx/columns.cu
 * Ladder (kernels/README.md): before this none, after this mma.cu.
 *
 * dX[m,k] = sum_n dY[m,n] W[n,k]: the 8 consecutive k of a thread are 4 bytes of each row of W, so that a
 * warp reads 128 bytes in one piece and nothing is transposed. Each weight is decoded once for 8 rows of dY,
 * through the fp32 codebook in shared memory (see nf4_dequant/lut_shared.cu), and the 64 sums stay in
 * registers: 64 fma for 8 decodes. dY goes through shared memory as fp32, 64 n at a time, where all threads
 * read the same 32 bytes for each n.
 */
#include "kernels/device/nf4.h"

enum { THREADS = 64, COLUMNS = 8, ROWS = 8, DEPTH = 64, TILE = THREADS * COLUMNS };

static inline struct launch launch_tiles(const struct gemm_args *a)
{
    size_t across = (a->k + TILE - 1) / TILE, down = (a->m + ROWS - 1) / ROWS;
    return launch_cover(across * down, 1, THREADS);
}

/* W[n, column .. column + 7] rounded to the type; columns from K on are 0. */
DEVICE void load_weights(float (&w)[COLUMNS], const struct gemm_args *a, enum device_element t,
                         enum recovery nested, const float *codebook, size_t n, size_t column)
{
    const unsigned shift = nf4_block_shift(&a->w);
    const size_t i = n * a->k + column;
    if (a->k % COLUMNS == 0) { /* then no thread's columns cross a block or the end */
        uint32_t codes = load_stream32(a->w.packed + i / 2);
        float absmax = nf4_absmax(&a->w, i >> shift, nested);
        UNROLL
        for (unsigned j = 0; j < COLUMNS; j++)
            w[j] = round_element(t, __fmul_rn(codebook[codes >> 4 * (j ^ 1) & 15], absmax));
    } else {
        UNROLL
        for (unsigned j = 0; j < COLUMNS; j++) {
            w[j] = 0.0f;
            if (column + j < a->k) {
                float absmax = nf4_absmax(&a->w, (i + j) >> shift, nested);
                w[j] = round_element(t, __fmul_rn(codebook[nf4_code(a->w.packed, i + j)], absmax));
            }
        }
    }
}

DEVICE void gemmdx(const struct gemm_args *a, enum device_element t, enum recovery nested)
{
    SHARED(float, codebook, [16]);
    SHARED(float4, dy, [DEPTH][ROWS / 4]);
    if (threadIdx.x < 16)
        codebook[threadIdx.x] = nf4_codebook[threadIdx.x];

    const size_t across = (a->k + TILE - 1) / TILE;
    const size_t column = blockIdx.x % across * TILE + threadIdx.x * COLUMNS,
                 row = blockIdx.x / across * ROWS;
    float sum[ROWS][COLUMNS];
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int j = 0; j < COLUMNS; j++)
            sum[r][j] = 0.0f;
    }

    for (size_t first = 0; first < a->n; first += DEPTH) {
        const unsigned depth = a->n - first < DEPTH ? (unsigned)(a->n - first) : +DEPTH;
        __syncthreads();
        for (unsigned i = threadIdx.x; i < ROWS * DEPTH; i += THREADS) {
            const unsigned r = i / DEPTH, d = i % DEPTH;
            ((float *)dy[d])[r] =
                row + r < a->m && d < depth ? load_element(t, a->x, (row + r) * a->n + first + d) : 0.0f;
        }
        __syncthreads();
        if (column >= a->k)
            continue;
        for (unsigned d = 0; d < depth; d++) {
            float w[COLUMNS];
            load_weights(w, a, t, nested, codebook, first + d, column);
            const float4 low = dy[d][0], high = dy[d][1];
            const float y[ROWS] = {low.x, low.y, low.z, low.w, high.x, high.y, high.z, high.w};
            UNROLL
            for (int r = 0; r < ROWS; r++) {
                UNROLL
                for (int j = 0; j < COLUMNS; j++)
                    sum[r][j] = __fmaf_rn(y[r], w[j], sum[r][j]);
            }
        }
    }
    UNROLL
    for (int r = 0; r < ROWS; r++) {
        UNROLL
        for (int j = 0; j < COLUMNS; j++)
            if (row + r < a->m && column + j < a->k)
                store_element(t, a->y, (row + r) * a->k + column + j, sum[r][j]);
    }
}

#define GEMMDX(name, element, nested)                                                                        \
    ENTRY_RESIDENT(name, gemmdx, THREADS, 6, launch_tiles)                                                   \
    {                                                                                                        \
        gemmdx(&a, element, nested);                                                                         \
    }
#define GEMMDX_TYPE(type, element)                                                                           \
    GEMMDX(nf4_gemmdx_##type##_acc1__sm75_columns, element, ABSMAX_PLAIN)                                    \
    GEMMDX(nf4_gemmdx_##type##_acc1_fused__sm75_columns, element, ABSMAX_FUSED)

GEMMDX_TYPE(f32, ELEMENT_F32)
GEMMDX_TYPE(f16, ELEMENT_F16)
GEMMDX_TYPE(bf16, ELEMENT_BF16)
