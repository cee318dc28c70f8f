/*
 * nf4_gemm/mma.cu: NF4 gemm for up to 64 rows on the tensor cores, straight from the bytes of a checkpoint.
 *
 * Run: nf4bench try kernels/nf4_gemm/mma.cu
 * Ladder (kernels/README.md): before this none, after this mma_stages.cu.
 *
 * A block makes up to 64 rows of 32 columns of Y, each of its 4 warps 8 columns: one warp reads each part of
 * W once, and each decoded fragment is used for all rows. X comes through shared memory, 64 k at a time; the
 * next 64 are under way (cp.async) while these are used, and ldmatrix makes the fragments. Rows are padded
 * to 72 elements there, so that the 8 rows that ldmatrix reads at once lie in different banks.
 *
 * A weight is looked up in planes of RN_T(RN32(c * absmax)), which a lane builds when its row enters a block
 * (see nf4_dequant/prmt_scaled.cu). Four lanes share a row. Lane p of them loads the 8 bytes of step p (16
 * k) of the 64, so that the 32 bytes of the row are one piece. At step p two shuffles give those bytes to
 * all four, and each picks two: k = 2 lane, +1 and k = 2 lane + 8, +9 of the step, the pairs of a B
 * fragment. k stays in its natural order, as the contracts mma80 and mma90 have it. These are one
 * instruction on different GPUs, and one body serves both.
 *
 * If K is not a multiple of 32, blocks and bytes may start anywhere in a step, and each weight is found for
 * itself. If K is not a multiple of 8, X is copied element by element. Both are slow, and right.
 */
#include "kernels/device/mma.h"

enum {
    THREADS = 128,
    WARPS = THREADS / 32,
    ROWS = 64,
    COLUMNS = 8, /* of a warp */
    DEPTH = 64,  /* k of a stage */
    STEPS = DEPTH / STEP,
    PITCH = DEPTH + 8,
};

static inline struct launch launch_columns(const struct gemm_args *a)
{
    return launch_cover(a->n, WARPS * COLUMNS, THREADS);
}

typedef uint16_t x_stage[ROWS][PITCH];

/* X[.., k .. k + DEPTH) to shared memory, zero where there is none. All threads. */
DEVICE void stage_x(x_stage &stage, const struct gemm_args *a, size_t k)
{
    const unsigned rows = ((unsigned)a->m + 15) / 16 * 16, pieces = DEPTH / 8;
    for (unsigned i = threadIdx.x; i < rows * pieces; i += THREADS) {
        const unsigned row = i / pieces, column = i % pieces * 8;
        stage_x8(&stage[row][column], a, a->k, row, k + column, a->k);
    }
}

/* What a lane holds of row n of W for a stage: the codes of one step, and the absmax of both halves. */
struct w_stage {
    uint2 codes;
    float absmax[2];
};
DEVICE struct w_stage stage_w(const struct gemm_args *a, enum recovery nested, size_t n, size_t k)
{
    const unsigned shift = nf4_block_shift(&a->w);
    struct w_stage stage = {{0, 0}, {0.0f, 0.0f}};
    if (n >= a->n || a->k % 32)
        return stage;
    const size_t i = n * a->k + k, mine = threadIdx.x % 4 * STEP;
    if (k + mine < a->k)
        stage.codes = load_stream64(a->w.packed + (i + mine) / 2);
    UNROLL
    for (unsigned half = 0; half < 2; half++)
        if (k + half * 32 < a->k)
            stage.absmax[half] = nf4_absmax(&a->w, (i + half * 32) >> shift, nested);
    return stage;
}

DEVICE void gemm(const struct gemm_args *a, enum device_element t, enum recovery nested)
{
    SHARED(x_stage, x, [2]);
    SHARED(float, codebook, [16]);
    if (threadIdx.x < 16)
        codebook[threadIdx.x] = nf4_codebook[threadIdx.x];
    const unsigned lane = threadIdx.x % 32, group = lane / 4, pair = lane % 4;

    const size_t column = (size_t)blockIdx.x * WARPS * COLUMNS;
    const size_t mine = column + threadIdx.x / 32 * COLUMNS, n = mine + group; /* this lane's row of W */
    float sum[ROWS / 16][4];
    UNROLL
    for (int tile = 0; tile < ROWS / 16; tile++) {
        UNROLL
        for (int i = 0; i < 4; i++)
            sum[tile][i] = 0.0f;
    }

    stage_x(x[0], a, 0);
    cp_async_commit();
    struct w_stage w = stage_w(a, nested, n, 0);
    nf4_planes<2> planes = nf4_scaled_planes_16(t, w.absmax[0]);
    uint32_t scaled_by = __float_as_uint(w.absmax[0]);
    for (size_t k = 0; k < a->k; k += DEPTH) {
        struct w_stage next = w;
        if (k + DEPTH < a->k) {
            stage_x(x[(k / DEPTH + 1) % 2], a, k + DEPTH);
            next = stage_w(a, nested, n, k + DEPTH);
        }
        cp_async_commit();
        cp_async_wait<1>();
        __syncthreads();

        const x_stage &rows = x[k / DEPTH % 2];
        const unsigned steps = a->k - k < DEPTH ? (unsigned)(a->k - k + STEP - 1) / STEP : +STEPS;
        for (unsigned s = 0; s < steps; s++) {
            uint32_t b[2];
            if (a->k % 32 == 0) {
                float absmax = s < 2 ? w.absmax[0] : w.absmax[1];
                if (__float_as_uint(absmax) != scaled_by) {
                    planes = nf4_scaled_planes_16(t, absmax);
                    scaled_by = __float_as_uint(absmax);
                }
                uint32_t low = __shfl_sync(0xffffffffu, w.codes.x, group * 4 + s);
                uint32_t high = __shfl_sync(0xffffffffu, w.codes.y, group * 4 + s);
                uint2 v = nf4_lookup4(planes, prmt(low, high, pair | (pair + 4) << 4));
                b[0] = v.x;
                b[1] = v.y;
            } else {
                b[0] = gather_pair(a, t, nested, codebook, n, k + s * STEP + 2 * pair, a->k);
                b[1] = gather_pair(a, t, nested, codebook, n, k + s * STEP + 2 * pair + 8, a->k);
            }
            UNROLL
            for (unsigned tile = 0; tile < ROWS / 16; tile++)
                if (tile * 16 < a->m) {
                    uint32_t fragment[4];
                    ldmatrix_x4(fragment, &rows[tile * 16 + lane % 16][s * STEP + lane / 16 * 8]);
                    mma(t, sum[tile], fragment, b);
                }
        }
        w = next;
        __syncthreads();
    }

    UNROLL
    for (unsigned tile = 0; tile < ROWS / 16; tile++) {
        UNROLL
        for (unsigned i = 0; i < 4; i++) {
            const size_t row = tile * 16 + group + i / 2 * 8, y = mine + 2 * pair + i % 2;
            if (row < a->m && y < a->n)
                gemm_store(a, t, row, y, sum[tile][i]);
        }
    }
}

#define GEMM(contract, model, element, nested)                                                               \
    ENTRY_RESIDENT(nf4_gemm_##contract##__sm80_mma_64x32x64, gemm, THREADS, 4, launch_columns)               \
    {                                                                                                        \
        if (MMA_HERE(model))                                                                                 \
            gemm(&a, element, nested);                                                                       \
    }

MMA_CONTRACTS(GEMM, f16, ELEMENT_F16)
MMA_CONTRACTS(GEMM, bf16, ELEMENT_BF16)
