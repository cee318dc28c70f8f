/*
 * faults.c: one plain dequantize and one plain product, each with a switch for every way of being wrong. They
 * are kernels: nothing of reference/ is used.
 */
#include "tests/faults/faults.h"

#include <math.h>
#include <string.h>

#include "kernels/kernel.h"

enum fault_id {
    NO_FAULT,
#define FAULT(name, op, verdict, check, what) FAULT_##name,
#include "tests/faults/faults.inc"
};

static const float codebook[16] = {-1.0f,
                                   -0.6961928009986877f,
                                   -0.5250730514526367f,
                                   -0.39491748809814453f,
                                   -0.28444138169288635f,
                                   -0.18477343022823334f,
                                   -0.09105003625154495f,
                                   0.0f,
                                   0.07958029955625534f,
                                   0.16093020141124725f,
                                   0.24611230194568634f,
                                   0.33791524171829224f,
                                   0.44070982933044434f,
                                   0.5626170039176941f,
                                   0.7229568362236023f,
                                   1.0f};

static uint16_t to_bf16(float x, bool truncate)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    if (x != x)
        return (uint16_t)(u >> 16 | 0x40);
    return (uint16_t)((truncate ? u : u + 0x7fff + (u >> 16 & 1)) >> 16);
}

static float from_bf16(uint16_t h)
{
    uint32_t u = (uint32_t)h << 16;
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* x rounded to fp16's 11 bits, as far as fp16 is normal there. */
static float through_fp16(float x)
{
    int exponent;
    if (!isfinite(x) || x == 0 || fabsf(x) < 0x1p-14f || fabsf(x) > 65504)
        return x;
    float mantissa = frexpf(x, &exponent);
    return ldexpf(nearbyintf(ldexpf(mantissa, 11)), exponent - 11);
}

static float weight(const struct nf4_weights *w, size_t i, enum fault_id fault)
{
    size_t block = i / w->blocksize;
    if (fault == FAULT_absmax_off_by_one && block > 0)
        block--;
    bool low = i % 2 != 0;
    if (fault == FAULT_swapped_nibbles)
        low = !low;
    unsigned code = low ? w->packed[i / 2] & 15 : w->packed[i / 2] >> 4;
    float value = codebook[code];
    if (fault == FAULT_wrong_codebook_digit && code == 11)
        value = 0.33891524171829224f;
    return value * w->absmax[block];
}

static inline void dequant(const struct dequant_args *a, enum fault_id fault)
{
    uint16_t *out = a->out;
    if (fault == FAULT_does_nothing)
        return;
    for (size_t i = 0; i < a->count; i++) {
        float v = weight(&a->w, i, fault);
        if (fault == FAULT_absmax_by_row) {
            /* As if each row of 65 began a block: shows where rows straddle blocks. */
            size_t row = i / 65, column = i % 65,
                   wrong = row * (65 / a->w.blocksize) + column / a->w.blocksize;
            if (a->count % 65 == 0 && a->count < 100000)
                v = v / a->w.absmax[i / a->w.blocksize] * a->w.absmax[wrong];
        }
        if (fault == FAULT_rounds_twice)
            v = through_fp16(v);
        if (fault == FAULT_flushes_denormals && fpclassify(v) == FP_SUBNORMAL)
            v = copysignf(0, v);
        if (fault == FAULT_positive_zero && v == 0)
            v = 0;
        out[i] = fault == FAULT_constant_output ? 0 : to_bf16(v, fault == FAULT_truncates);
    }
    if (fault == FAULT_past_the_end)
        out[a->count] = 0;
    if (fault == FAULT_before_the_start)
        out[-1] = 0;
    if (fault == FAULT_writes_nan)
        out[a->count - 1] = 0x7fc0;
    if (fault == FAULT_clobbers_input)
        ((uint8_t *)(uintptr_t)a->w.packed)[0] ^= 0x55;
    if (fault == FAULT_forgets_tail && a->count % 2)
        memset(&out[a->count - 1], 0xff, 2);
}

/* Element i of an activation or bias array. */
static float load(const void *array, size_t i, bool f32)
{
    return f32 ? ((const float *)array)[i] : from_bf16(((const uint16_t *)array)[i]);
}

static inline void product(const struct gemm_args *a, enum fault_id fault, bool f32)
{
    for (size_t i = 0; i < a->m; i++) {
        for (size_t n = 0; n < a->n; n++) {
            float sum = 0;
            size_t k_end = a->k, products = 0;
            if (fault == FAULT_reduced_k)
                k_end--;
            if (fault == FAULT_rows_beyond_first_halved && i > 0 && n >= a->n / 2)
                k_end = 0;
            for (size_t j = 0; j < k_end; j++) {
                size_t k = fault == FAULT_other_order || fault == FAULT_other_order_f32 ? k_end - 1 - j : j;
                float x = load(a->x, i * a->k + k, f32), w = weight(&a->w, n * a->k + k, NO_FAULT);
                products += x != 0 && w != 0;
                if (fault == FAULT_drops_a_product && products == 21 && x != 0 && w != 0)
                    continue;
                sum = fmaf(x, f32 ? w : from_bf16(to_bf16(w, false)), sum);
            }
            for (int b = 0; a->bias && b < (fault == FAULT_bias_twice ? 2 : 1); b++)
                sum += load(a->bias, n, f32);
            if (f32)
                ((float *)a->y)[i * a->n + n] = sum;
            else
                ((uint16_t *)a->y)[i * a->n + n] = to_bf16(sum, false);
        }
    }
    if (fault == FAULT_gemm_past_the_end)
        ((uint16_t *)a->y)[a->m * a->n] = 0;
}

static inline void gemm(const struct gemm_args *a, enum fault_id fault)
{
    product(a, fault, false);
}

static inline void gemm_f32(const struct gemm_args *a, enum fault_id fault)
{
    product(a, fault, true);
}
#define gemm_f32_args gemm_args

static void run_right_dequant(const struct dequant_args *a)
{
    dequant(a, NO_FAULT);
}
static void run_right_gemm(const struct gemm_args *a)
{
    gemm(a, NO_FAULT);
}
#define FAULT(name, op, verdict, check, what)                                                                \
    static void run_##name(const struct op##_args *a)                                                        \
    {                                                                                                        \
        op(a, FAULT_##name);                                                                                 \
    }
#include "tests/faults/faults.inc"

#define COMMON .source = "tests/faults/faults.c", .arch = "scalar", .k_multiple = 1, .built = true
#define AS_dequant(text, function)                                                                           \
    {                                                                                                        \
        COMMON, .name = text, .contract = {.op = OP_DEQUANT, .out = DTYPE_BF16}, .dequant = (function)       \
    }
#define AS_gemm(text, function)     AS_product(text, function, DTYPE_BF16)
#define AS_gemm_f32(text, function) AS_product(text, function, DTYPE_F32)
#define AS_product(text, function, type)                                                                     \
    {                                                                                                        \
        COMMON, .name = text, .gemm = (function), .contract = {                                              \
            .op = OP_GEMM,                                                                                   \
            .out = type,                                                                                     \
            .accumulation = ACC_CHAINS,                                                                      \
            .chains = 1,                                                                                     \
            .splits = 1                                                                                      \
        }                                                                                                    \
    }

const struct kernel right_dequant = AS_dequant("right_dequant", run_right_dequant);
const struct kernel right_gemm = AS_gemm("right_gemm", run_right_gemm);

const struct fault faults[] = {
#define FAULT(name, op, verdict, check, what)                                                                \
    {AS_##op("fault_" #name, run_##name), FAULT_##verdict, check, what},
#include "tests/faults/faults.inc"
};
const unsigned fault_count = sizeof faults / sizeof faults[0];
