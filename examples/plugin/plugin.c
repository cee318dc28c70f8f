/*
 * plugin.c: two kernels out of tree, in a library that nf4bench loads. Where nf4bench is installed in PREFIX:
 *
 *   cmake -S examples/plugin -B out/plugin -DCMAKE_PREFIX_PATH=PREFIX && cmake --build out/plugin
 *   nf4bench list --plugin out/plugin/example.so '*_example'
 *   nf4bench verify suites/smoke.yaml --plugin out/plugin/example.so -v '*_example'
 *   nf4bench run suites/smoke.yaml --plugin out/plugin/example.so -v '*__scalar*' -o example.h5
 *
 * Both are the plainest forms of their contracts. nf4bench/plugin.h says what the table at the end may hold,
 * kernel.h (beside it) what a kernel is given and must do, and the program holds each to its contract bit for
 * bit.
 */
#include <math.h>
#include <string.h>

#include <nf4bench/plugin.h>

static const float codebook[16] = {
    -0x1p+0f,        -0x1.647362p-1f, -0x1.0cd66p-1f, -0x1.94654p-2f, -0x1.23449ap-2f, -0x1.7a6a7ep-3f,
    -0x1.74f0e2p-4f, 0x0p+0f,         0x1.45f5fep-4f, 0x1.4995c6p-3f, 0x1.f809bap-3f,  0x1.5a0674p-2f,
    0x1.c34970p-2f,  0x1.200f56p-1f,  0x1.722766p-1f, 0x1p+0f,
};

/* Weight i: the product of code and absmax, rounded to fp32. */
static float weight(const struct weights *w, size_t i)
{
    unsigned byte = w->packed[i / 2], code = i % 2 ? byte & 15 : byte >> 4;
    return codebook[code] * w->absmax[i / w->blocksize];
}

/* To nearest, ties to even; a NaN stays one. */
static uint16_t bf16_of_float(float x)
{
    uint32_t bits;
    memcpy(&bits, &x, sizeof bits);
    if (isnan(x))
        return (uint16_t)(bits >> 16 | 0x40);
    return (uint16_t)((bits + 0x7fff + (bits >> 16 & 1)) >> 16);
}

static void dequant_bf16(const struct dequant_args *a)
{
    uint16_t *out = a->out;
    for (size_t i = 0; i < a->count; i++)
        out[i] = bf16_of_float(weight(&a->w, i));
}

/* acc1: one chain of fused multiply-adds, k ascending; the bias is added to its end. */
static void gemm_f32_acc1(const struct gemm_args *a)
{
    const float *x = a->x, *bias = a->bias;
    float *y = a->y;
    for (size_t m = 0; m < a->m; m++)
        for (size_t n = 0; n < a->n; n++) {
            float sum = 0;
            for (size_t k = 0; k < a->k; k++)
                sum = fmaf(x[m * a->k + k], weight(&a->w, n * a->k + k), sum);
            y[m * a->n + n] = bias ? sum + bias[n] : sum;
        }
}

static const struct nf4bench_variant variants[] = {
    {.name = "nf4_dequant_bf16__scalar_example", .backend = NF4BENCH_CPU, .dequant = dequant_bf16},
    {.name = "nf4_gemm_f32_acc1__scalar_example", .backend = NF4BENCH_CPU, .gemm = gemm_f32_acc1},
};

NF4BENCH_PLUGIN("example", variants)
