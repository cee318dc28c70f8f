/*
 * device_faults.cu: a plain kernel for each operation, with a switch for every way of being wrong.
 */
#include "kernels/device/packages.h"

enum fault_id {
    NO_FAULT,
#define DEVICE_FAULT(name, op, device, verdict, check, word, what) name,
#include "harness/verify/faults/device_faults.inc"
};

enum { THREADS = 64, SPLITS = 4 };

/* ---- dequantize: a byte a thread ---- */

static struct launch launch_dequant(const struct dequant_args *a)
{
    return launch_cover((a->count + 1) / 2, THREADS, THREADS);
}

template <enum fault_id F> DEVICE void dequant(const struct dequant_args *a)
{
    SHARED(float, codebook, [16]);
    SHARED(uint32_t, words, [THREADS / 4 * 4]);
    uint16_t *out = (uint16_t *)a->out;
    const size_t byte = global_thread(), bytes = (a->count + 1) / 2, i = 2 * byte;
    if (F == cuda_does_nothing)
        return;
    if (threadIdx.x < (F == cuda_uninitialised ? 15 : 16))
        codebook[threadIdx.x] = nf4_codebook[threadIdx.x];
    if (F == cuda_divergent_barrier && byte >= bytes - 1)
        return;
    if (F != cuda_missing_barrier)
        __syncthreads();
    if (F == cuda_endless && byte == 0)
        while (*(volatile uint16_t *)out != 0x1234)
            __syncwarp(1);
    if (F == cuda_wild_write && byte == 0)
        out[(size_t)1 << 40] = 0;
    if (F == cuda_missing_lane && threadIdx.x % 32 == 31)
        return;
    if (F == cuda_missing_lane)
        (void)__shfl_xor_sync(0xffffffffu, 1u, 1);
    if (byte >= bytes)
        return;
    uint32_t pair = a->w.packed[byte];
    if (F == cuda_missing_wait && byte % 16 == 0 && byte + 16 <= bytes) {
        cp_async16(&words[threadIdx.x / 4], a->w.packed + byte, 16);
        cp_async_commit();
        pair = words[threadIdx.x / 4] & 0xff;
    }
    if (F == cuda_reads_past_the_end) {
        const volatile uint8_t *packed = a->w.packed;
        (void)packed[byte + 1];
    }
    if (F == cuda_clobbers_input && byte == 0)
        ((volatile uint8_t *)(uintptr_t)a->w.packed)[0] = (uint8_t)pair;
    float v[2];
    for (unsigned j = 0; j < 2; j++) {
        size_t block = (i + j) / a->w.blocksize;
        if (F == cuda_absmax_off_by_one && block > 0)
            block--;
        const bool high = (j == 0) != (F == cuda_swapped_nibbles);
        v[j] =
            i + j < a->count ? __fmul_rn(codebook[high ? pair >> 4 : pair & 15], a->w.absmax[block]) : 0.0f;
    }
    if (F == cuda_misaligned && i >= 2 && i + 1 < a->count) {
        *(volatile uint32_t *)(out + i - 1) = (uint32_t)out[i - 1] | (uint32_t)bf16_of_f32(v[0]) << 16;
        out[i + 1] = bf16_of_f32(v[1]);
        return;
    }
    out[i] = bf16_of_f32(v[0]);
    if (i + 1 < a->count || F == cuda_writes_past_the_end)
        out[i + 1] = bf16_of_f32(v[1]);
    if (F == cuda_writes_past_the_end && byte == bytes - 1)
        out[a->count] = 0;
}

/* ---- gemm: an output a thread, in fp32 ---- */

DEVICE float weight(const struct gemm_args *a, size_t n, size_t k)
{
    const size_t i = n * a->k + k;
    return __fmul_rn(nf4_codebook[nf4_code(a->w.packed, i)], a->w.absmax[i / a->w.blocksize]);
}

template <enum fault_id F> static struct launch launch_gemm(const struct gemm_args *a)
{
    const size_t share = F == cuda_half_of_blocks && a->m > 1 ? 2 : 1;
    return launch_cover((a->m * a->n + share - 1) / share, THREADS, THREADS);
}

template <enum fault_id F> DEVICE void gemm(const struct gemm_args *a)
{
    const size_t i = global_thread(), row = i / a->n, column = i % a->n;
    if (row >= a->m)
        return;
    const float *x = (const float *)a->x + row * a->k;
    float sum = 0.0f;
    for (size_t j = 0; j + (F == cuda_reduced_k) < a->k; j++) {
        const size_t k = F == cuda_other_order ? a->k - 1 - j : j;
        sum = __fmaf_rn(x[k], weight(a, column, k), sum);
    }
    gemm_store(a, ELEMENT_F32, row, column, sum);
}

/* ---- the same with k in ranges, a block for each output ---- */

static struct launch launch_sum(const struct gemm_args *a)
{
    return launch_1d(a->m * a->n, SPLITS * 32);
}

template <enum fault_id F> DEVICE void sum(const struct gemm_args *a)
{
    SHARED(float, part, [SPLITS]);
    SHARED(float, total, [1]);
    const size_t row = blockIdx.x / a->n, column = blockIdx.x % a->n;
    const unsigned split = threadIdx.x / 32;
    if (threadIdx.x == 0)
        total[0] = 0.0f;
    __syncthreads();
    if (threadIdx.x % 32 == 0) {
        const float *x = (const float *)a->x + row * a->k;
        float mine = 0.0f;
        for (size_t k = split; k < a->k; k += SPLITS)
            mine = __fmaf_rn(x[k], weight(a, column, k), mine);
        part[split] = mine;
        if (F == cuda_order_of_arrival)
            atomicAdd(&total[0], mine);
    }
    __syncthreads();
    if (threadIdx.x == 0) {
        if (F != cuda_order_of_arrival)
            for (unsigned s = 0; s < SPLITS; s++)
                total[0] = __fadd_rn(total[0], part[s]);
        gemm_store(a, ELEMENT_F32, row, column, total[0]);
    }
}

/* ---- tensor cores: a warp for 16 rows of X and 8 rows of W ---- */

static struct launch launch_mma(const struct gemm_args *a)
{
    return launch_1d((a->m + 15) / 16 * ((a->n + 7) / 8), 32);
}

DEVICE uint32_t x_pair(const struct gemm_args *a, size_t row, size_t k)
{
    const uint16_t *x = (const uint16_t *)a->x;
    uint32_t low = row < a->m && k < a->k ? x[row * a->k + k] : 0;
    uint32_t high = row < a->m && k + 1 < a->k ? x[row * a->k + k + 1] : 0;
    return low | high << 16;
}
DEVICE uint32_t w_pair(const struct gemm_args *a, size_t n, size_t k)
{
    uint32_t low = n < a->n && k < a->k ? bf16_of_f32(weight(a, n, k)) : 0;
    uint32_t high = n < a->n && k + 1 < a->k ? bf16_of_f32(weight(a, n, k + 1)) : 0;
    return low | high << 16;
}

template <enum fault_id F> DEVICE void mma(const struct gemm_args *a)
{
    const size_t tiles = (a->n + 7) / 8, row = blockIdx.x / tiles * 16, column = blockIdx.x % tiles * 8;
    const size_t steps = (a->k + 15) / 16;
    const unsigned group = threadIdx.x / 4, pair = threadIdx.x % 4;
    float d[4] = {0.0f, 0.0f, 0.0f, 0.0f};
    for (size_t s = 0; s < steps; s++) {
        const size_t k = (F == cuda_steps_backwards ? steps - 1 - s : s) * 16 + 2 * pair;
        const uint32_t second = x_pair(a, row + group + 8, k), third = x_pair(a, row + group, k + 8);
        const uint32_t x[4] = {x_pair(a, row + group, k), F == cuda_swapped_fragments ? third : second,
                               F == cuda_swapped_fragments ? second : third,
                               x_pair(a, row + group + 8, k + 8)};
        const uint32_t w[2] = {w_pair(a, column + group, k), w_pair(a, column + group, k + 8)};
        mma_m16n8k16_bf16(d, x, w);
    }
    for (unsigned i = 0; i < 4; i++) {
        const size_t r = row + group + i / 2 * 8, c = column + 2 * pair + i % 2;
        if (r < a->m && c < a->n)
            gemm_store(a, ELEMENT_BF16, r, c, d[i]);
    }
}

/* ---- int4 in the layouts of packages: dequantize, an output a thread, W transposed ---- */

template <enum fault_id F, enum package P> DEVICE void package(const struct dequant_args *a)
{
    const size_t i = global_thread(), k = i / a->n, c = i % a->n;
    if (i >= a->count)
        return;
    const tensors<P> w(a->prepared, &a->w, a->n, a->k);
    const size_t group = F == cuda__gptq_groups_in_order ? group_in_order(&a->w, k) : w.group(&a->w, k);
    struct stored_block b = w.block(group, c);
    if (F == cuda__gptq_missing_one)
        b.zero--;
    const uint32_t code = F == cuda__awq_columns_in_order ? w.codes[i / 8] >> 4 * (c % 8) & 15 : w.code(c, k);
    ((uint16_t *)a->out)[i] = bf16_of_f32(int4_weight(code, b));
}
template <enum fault_id F> DEVICE void gptq(const struct dequant_args *a)
{
    package<F, GPTQ>(a);
}
template <enum fault_id F> DEVICE void awq(const struct dequant_args *a)
{
    package<F, AWQ>(a);
}
static struct launch launch_outputs(const struct dequant_args *a)
{
    return launch_cover(a->count, THREADS, THREADS);
}

/* ---- entries ---- */

#define gptq_args dequant_args
#define awq_args  dequant_args
#define sum_args  gemm_args
#define mma_args  gemm_args

#define RUN(name, op, threads, launch, fault)                                                                \
    ENTRY(name, op, threads, launch)                                                                         \
    {                                                                                                        \
        op<fault>(&a);                                                                                       \
    }
RUN(right_cuda_dequant, dequant, THREADS, launch_dequant, NO_FAULT)
RUN(right_cuda_gemm, gemm, THREADS, launch_gemm<NO_FAULT>, NO_FAULT)
RUN(right_cuda_sum, sum, SPLITS * 32, launch_sum, NO_FAULT)
RUN(right_cuda_mma, mma, 32, launch_mma, NO_FAULT)
RUN(right_cuda__gptq, gptq, THREADS, launch_outputs, NO_FAULT)
RUN(right_cuda__awq, awq, THREADS, launch_outputs, NO_FAULT)

#define LAUNCH_dequant(name) launch_dequant
#define LAUNCH_gemm(name)    launch_gemm<name>
#define LAUNCH_gptq(name)    launch_outputs
#define LAUNCH_awq(name)     launch_outputs
#define LAUNCH_sum(name)     launch_sum
#define LAUNCH_mma(name)     launch_mma
#define DEVICE_FAULT(name, op, device, verdict, check, word, what)                                           \
    RUN(fault_##name, op, 128, LAUNCH_##op(name), name)
#include "harness/verify/faults/device_faults.inc"
