/* mma and ldmatrix. */
#include "kernels/device/cuda.h"
#include "tests/simt/executor_kernels.h"

/* in: A [16][16], B [16][8] of 16-bit, C [16][8] of fp32 per warp; out: D. mode 0: fp16, 1: bf16. */
ENTRY(executor_mma, probe, 1024, probe_launch)
{
    uint32_t lane = threadIdx.x % 32, group = lane / 4, pair = lane % 4;
    uint32_t warp = (uint32_t)(global_thread() / 32);
    const uint32_t *in = a.in + warp * (128 + 64 + 128);
    const uint16_t *A = (const uint16_t *)in, *B = (const uint16_t *)(in + 128);
    const float *C = (const float *)(in + 192);
    uint32_t fa[4], fb[2];
    float d[4];
    for (uint32_t i = 0; i < 4; i++) {
        const uint16_t *p = A + (group + i % 2 * 8) * 16 + 2 * pair + i / 2 * 8;
        fa[i] = p[0] | (uint32_t)p[1] << 16;
        d[i] = C[(group + i / 2 * 8) * 8 + 2 * pair + i % 2];
    }
    for (uint32_t i = 0; i < 2; i++) {
        const uint16_t *p = B + (2 * pair + 8 * i) * 8 + group;
        fb[i] = p[0] | (uint32_t)p[8] << 16;
    }
    if (a.mode)
        mma_m16n8k16_bf16(d, fa, fb);
    else
        mma_m16n8k16_f16(d, fa, fb); // @mma
    for (uint32_t i = 0; i < 4; i++)
        ((float *)a.out)[warp * 128 + (group + i / 2 * 8) * 8 + 2 * pair + i % 2] = d[i];
}

/* count products one after another; for the time they take. */
ENTRY(executor_mma_many, probe, 1024, probe_launch)
{
    uint32_t lane = threadIdx.x % 32;
    uint32_t fa[4], fb[2];
    float d[4] = {0, 0, 0, 0};
    for (uint32_t i = 0; i < 4; i++)
        fa[i] = a.in[lane * 4 + i];
    for (uint32_t i = 0; i < 2; i++)
        fb[i] = a.in[128 + lane * 2 + i];
    for (size_t i = 0; i < a.count; i++) {
        mma_m16n8k16_f16(d, fa, fb);
        fa[i % 4] ^= 0x80008000u;
    }
    for (uint32_t i = 0; i < 4; i++)
        a.out[global_thread() * 4 + i] = __float_as_uint(d[i]);
}

/* in: four matrices [8][8] one after another; out[lane * 4 + j]. mode 1: transposed; 2: outside of the tile.
 */
ENTRY(executor_ldmatrix, probe, 1024, probe_launch)
{
    SHARED(uint4, rows, [32]);
    uint32_t lane = threadIdx.x, r[4];
    rows[lane] = ((const uint4 *)a.in)[lane];
    __syncwarp();
    const uint4 *row = &rows[lane];
    if (a.mode == 2 && lane == 31)
        row = &rows[32];
    if (a.mode == 1)
        ldmatrix_x4_trans(r, row);
    else
        ldmatrix_x4(r, row); // @ldmatrix
    for (int i = 0; i < 4; i++)
        a.out[lane * 4 + i] = r[i];
}
