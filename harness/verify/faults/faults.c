/*
 * faults.c: one plain dequantize and one plain product, each with a switch for every way of being wrong. They
 * are kernels: nothing of reference/ is used.
 */
#include "harness/verify/faults/faults.h"

#include <fenv.h>
#include <math.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <omp.h>
#ifdef __SSE__
#include <xmmintrin.h>
#endif

#include "kernels/cpu/nf4.h"

enum fault_id {
    NO_FAULT,
#define FAULT(name, op, verdict, check, what) FAULT_##name,
#include "harness/verify/faults/faults.inc"
};

static uint16_t to_bf16(float x, bool truncate)
{
    return truncate && !isnan(x) ? (uint16_t)(bits_of_float(x) >> 16) : bf16_of_float(x);
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

static float weight(const struct weights *w, size_t i, enum fault_id fault)
{
    size_t block = i / w->blocksize;
    if (fault == FAULT_absmax_off_by_one && block > 0)
        block--;
    unsigned code = nf4_code(w->packed, fault == FAULT_swapped_nibbles ? i ^ 1 : i);
    float value = nf4_codebook[code];
    if (fault == FAULT_wrong_codebook_digit && code == 11)
        value = 0.33891524171829224f;
    return value * w->absmax[block];
}

/* Writes the output of the last call if that had the size of this one; false: there was none such. The
 * outputs of calls end up here by keep_last(). */
static struct {
    void *bytes;
    size_t size;
} last;

static bool replay_last(void *out, size_t size)
{
    if (!last.bytes || last.size != size)
        return false;
    memcpy(out, last.bytes, size);
    return true;
}

static void keep_last(const void *out, size_t size)
{
    free(last.bytes);
    last.bytes = malloc(size);
    last.size = size;
    if (last.bytes)
        memcpy(last.bytes, out, size);
}

/* Long after the return; by then the process has judged, and is gone. */
static void *write_late(void *element)
{
    sleep(5);
    *(uint16_t *)element ^= 1;
    return NULL;
}

static void leave_to_a_thread(uint16_t *element)
{
    pthread_t thread;
    *element ^= 1;
    if (pthread_create(&thread, NULL, write_late, element) == 0)
        pthread_detach(thread);
}

/* For the calling thread, and for good. */
static void flush_to_zero(void)
{
#ifdef __SSE__
    _mm_setcsr(_mm_getcsr() | 0x8000);
#else
    fesetround(FE_TOWARDZERO);
#endif
}

/* In all threads but the calling one. */
static void round_up_in_team(void)
{
#pragma omp parallel
    if (omp_get_thread_num() > 0)
        fesetround(FE_UPWARD);
}

static void put_back(const void *input)
{
    volatile uint8_t *byte = (uint8_t *)(uintptr_t)input;
    const uint8_t was = *byte;
    *byte = (uint8_t)~was;
    *byte = was;
}

static void touch_operands(const struct dequant_args *a, enum fault_id fault)
{
    uint16_t *out = a->out;
    if (fault == FAULT_far_past_the_end)
        out[a->count + 5000] = 0;
    if (fault == FAULT_puts_an_input_back)
        put_back(a->w.packed);
    if (fault == FAULT_puts_back_in_a_thread) {
#pragma omp parallel num_threads(2)
        if (omp_get_thread_num() == omp_get_num_threads() - 1)
            put_back(&a->w.absmax[(a->count - 1) / a->w.blocksize]);
    }
    if (fault == FAULT_takes_what_follows)
        out[a->count - 1] ^= a->w.packed[(a->count + 1) / 2] & 1;
}

/* Of the last call, where that had as many at the same address. */
static const float *kept_scales(const struct dequant_args *a)
{
    static const float *from;
    static float *kept;
    static size_t count;
    const size_t blocks = (a->count + a->w.blocksize - 1) / a->w.blocksize;
    if (from != a->w.absmax || count != blocks) {
        free(kept);
        kept = malloc(blocks * sizeof *kept);
        if (!kept)
            abort();
        memcpy(kept, a->w.absmax, blocks * sizeof *kept);
        from = a->w.absmax;
        count = blocks;
    }
    return kept;
}

static inline void dequant(const struct dequant_args *given, enum fault_id fault)
{
    static unsigned calls;
    struct dequant_args copy = *given;
    const struct dequant_args *a = &copy;
    uint16_t *out = a->out;
    calls++;
    if (fault == FAULT_codes_from_a_line)
        copy.w.packed -= (uintptr_t)copy.w.packed % 256;
    if (fault == FAULT_scales_from_two_lines)
        copy.w.absmax -= (uintptr_t)copy.w.absmax % 128 / sizeof(float);
    if (fault == FAULT_keeps_scales)
        copy.w.absmax = kept_scales(given);
    if (fault == FAULT_scales_from_a_page)
        copy.w.absmax -= (uintptr_t)copy.w.absmax % 4096 / sizeof(float);
    if (fault == FAULT_does_nothing || (fault == FAULT_skips_every_second && calls % 2 == 0) ||
        (fault == FAULT_skips_every_fourth && calls % 4 == 0) ||
        (fault == FAULT_replays_last && replay_last(out, 2 * a->count)))
        return;
    for (size_t i = 0; i < a->count; i++) {
        float v = weight(&a->w, i, fault);
        if (fault == FAULT_absmax_by_row) {
            /* As if each row of 65 began a block: shows where rows straddle blocks. */
            size_t row = i / 65, column = i % 65;
            if (a->count % 65 == 0 && a->count < 100000)
                v = nf4_codebook[nf4_code(a->w.packed, i)] *
                    a->w.absmax[row * (65 / a->w.blocksize) + column / a->w.blocksize];
        }
        if (fault == FAULT_rounds_twice)
            v = through_fp16(v);
        if ((fault == FAULT_flushes_denormals || (fault == FAULT_flushes_where_small && a->count < 100000)) &&
            fpclassify(v) == FP_SUBNORMAL)
            v = copysignf(0, v);
        if (fault == FAULT_positive_zero && v == 0)
            v = 0;
        out[i] = fault == FAULT_constant_output ? 0 : to_bf16(v, fault == FAULT_truncates);
    }
    touch_operands(a, fault);
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
    if ((fault == FAULT_lazy_when_timed && calls > 30) ||
        (fault == FAULT_wrong_on_one_thread && omp_get_max_threads() == 1))
        out[a->count - 1] ^= 1;
    if (fault == FAULT_leaves_flush_to_zero || (fault == FAULT_flushes_when_timed && calls > 30))
        flush_to_zero();
    if (fault == FAULT_team_rounds_up || (fault == FAULT_team_rounds_up_when_timed && calls > 30))
        round_up_in_team();
    if (fault == FAULT_leaves_one_thread)
        omp_set_num_threads(omp_get_max_threads() > 1 ? 1 : 2);
    if (fault == FAULT_finishes_late)
        leave_to_a_thread(&out[a->count - 1]);
    if (fault == FAULT_replays_last)
        keep_last(out, 2 * a->count);
}

/* Element i of an activation or bias array. */
static float load(const void *array, size_t i, bool f32)
{
    return load_element(f32 ? ELEMENT_F32 : ELEMENT_BF16, array, i);
}

/* The exponent of x as a bf16 or fp32 number. */
static int exponent_of(float x)
{
    const int stored = (int)(bits_of_float(x) >> 23 & 255);
    return (stored ? stored : 1) - 127;
}

/* x cut toward zero, or rounded to nearest, to a multiple of 2^last; |x| * 2^-last is below 2^40. */
static double cut(double x, int last, bool to_nearest)
{
    const double scaled = x * ldexp(1, -last);
    return copysign(to_nearest ? nearbyint(scaled) : (double)(int64_t)scaled, x) * ldexp(1, last);
}

/* A block of a tensor core: c + a . b, terms cut to f bits right of the largest exponent, the sum to fp32. */
static float mma_block(size_t n, int f, const float *a, const float *b, float c, bool to_nearest)
{
    int largest = -1000;
    double sum = 0, plain = c;
    for (size_t i = 0; i < n; i++) {
        const int exponent = exponent_of(a[i]) + exponent_of(b[i]);
        plain += (double)a[i] * b[i];
        if (a[i] != 0 && b[i] != 0 && exponent > largest)
            largest = exponent;
    }
    if (!isfinite(plain)) /* an infinite term, or NaN: products of floats are finite in double */
        return isnan(plain) ? NAN : (float)plain;
    if (c != 0 && exponent_of(c) > largest)
        largest = exponent_of(c);
    if (largest == -1000)
        return 0;
    for (size_t i = 0; i < n; i++)
        sum += cut((double)a[i] * b[i], largest - f, false);
    sum += cut(c, largest - f, false);
    if (sum == 0)
        return 0;
    const int exponent = ilogb(sum) < -126 ? -126 : ilogb(sum);
    return (float)cut(sum, exponent - 23, to_nearest);
}

enum order { ACC1, ACC4W8, MMA80, MMA90 };

/* The sum of one output but its bias, in an order of its own; x and w have `count` elements. */
static float ordered_sum(const float *x, const float *w, size_t count, enum order order, enum fault_id fault)
{
    float acc[16] = {0};
    if (fault == FAULT_mma80_for_mma90)
        order = MMA80;
    if (fault == FAULT_mma90_for_mma80)
        order = MMA90;
    if (fault == FAULT_one_chain)
        order = ACC1;
    size_t chains = order == ACC4W8 ? 4 : 1, width = order == ACC4W8 && fault != FAULT_narrow_chains ? 8 : 1;
    if (fault == FAULT_chains_for_mma80 || fault == FAULT_chains_for_mma90) {
        order = ACC4W8;
        chains = 16;
    }
    if (order == ACC1 || order == ACC4W8) {
        for (size_t k = 0; k < count; k++)
            acc[k / width % chains] = fmaf(x[k], w[k], acc[k / width % chains]);
        for (size_t h = chains / 2; h > 0; h /= 2)
            for (size_t i = 0; i < h; i++)
                acc[i] += acc[i + h];
        return acc[0];
    }
    const size_t steps = (count + 15) / 16;
    for (size_t s = 0; s < steps; s++) {
        const size_t k0 = 16 * (fault == FAULT_mma_other_order ? steps - 1 - s : s);
        float a[16] = {0}, b[16] = {0}, *sum = &acc[fault == FAULT_mma_two_accumulators ? s % 2 : 0];
        for (size_t i = 0; i < 16 && k0 + i < count; i++) {
            const size_t to = fault == FAULT_mma_interleaves_k ? i / 2 + i % 2 * 8 : i;
            a[to] = x[k0 + i];
            b[to] = w[k0 + i];
        }
        const size_t n = order == MMA80 ? 8 : 16;
        for (size_t i = 0; i < 16; i += n)
            *sum = mma_block(n, order == MMA80 ? 24 : 25, a + i, b + i, *sum,
                             fault == FAULT_mma_rounds_to_nearest);
    }
    return acc[0] + acc[1];
}

/* A product in one of the orders above, bf16. */
static inline void ordered_product(const struct gemm_args *a, enum fault_id fault, enum order order)
{
    float *w = malloc(2 * (a->k + 1) * sizeof *w), *x = w + a->k;
    for (size_t n = 0; n < a->n; n++) {
        for (size_t k = 0; k < a->k; k++)
            w[k] = float_of_bf16(to_bf16(weight(&a->w, n * a->k + k, NO_FAULT), false));
        for (size_t i = 0; i < a->m; i++) {
            for (size_t k = 0; k < a->k; k++)
                x[k] = load(a->x, i * a->k + k, false);
            float sum = ordered_sum(x, w, a->k, order, fault);
            if (a->bias)
                sum += load(a->bias, n, false);
            ((uint16_t *)a->y)[i * a->n + n] = to_bf16(sum, false);
        }
    }
    free(w);
}

static uint64_t sum_of_bytes(const void *data, size_t size)
{
    uint64_t sum = size;
    for (size_t i = 0; i < size; i++)
        sum = sum * 31 + ((const uint8_t *)data)[i];
    return sum;
}

static void touch_product_operands(const struct gemm_args *a, enum fault_id fault)
{
    const volatile uint8_t *x = a->x;
    uint16_t *y = a->y;
    if (fault == FAULT_reads_past_x)
        (void)x[2 * a->m * a->k + 31];
    if (fault == FAULT_reads_before_x)
        (void)*(x - 10000);
    const float room = fault == FAULT_largest_in_workspace || fault == FAULT_flag_in_workspace
                           ? *(const float *)a->workspace
                           : 0;
    if (fault == FAULT_largest_in_workspace)
        y[0] = to_bf16(fmaxf(float_of_bf16(y[0]), room), false);
    if (fault == FAULT_flag_in_workspace && room == 0)
        y[0] ^= 1;
    if (fault == FAULT_zero_times_what_follows)
        y[0] = to_bf16(float_of_bf16(y[0]) + 0 * load(a->x, a->m * a->k, false), false);
    if (fault == FAULT_reads_just_before_x)
        (void)*(x - 1);
    if (fault == FAULT_trusts_workspace)
        y[0] = to_bf16(float_of_bf16(y[0]) + *(const float *)a->workspace, false);
}

static inline void product(const struct gemm_args *a, enum fault_id fault, bool f32)
{
    static uint64_t last_x; /* a sum of the last call's activations */
    const uint64_t x_now = sum_of_bytes(a->x, (f32 ? 4 : 2) * a->m * a->k);
    const bool again = last_x == x_now;
    last_x = x_now;
    if (fault == FAULT_replays_last_product && replay_last(a->y, 2 * a->m * a->n))
        return;
    for (size_t i = 0; i < a->m; i++) {
        for (size_t n = 0; n < a->n; n++) {
            float sum = 0;
            size_t k_end = a->k, products = 0;
            if (fault == FAULT_reduced_k)
                k_end--;
            if (fault == FAULT_right_where_aligned)
                k_end = k_end / 64 * 64;
            if (fault == FAULT_rows_beyond_first_halved && i > 0 && n >= a->n / 2)
                k_end = 0;
            for (size_t j = 0; j < k_end; j++) {
                const bool down = fault == FAULT_other_order || fault == FAULT_other_order_f32 ||
                                  (fault == FAULT_changes_order && again);
                size_t k = down ? k_end - 1 - j : j;
                float x = load(a->x, i * a->k + k, f32), w = weight(&a->w, n * a->k + k, NO_FAULT);
                if (fault == FAULT_flushes_in_long_rows && a->k > a->w.blocksize &&
                    fpclassify(w) == FP_SUBNORMAL)
                    w = 0;
                products += x != 0 && w != 0;
                if (fault == FAULT_drops_a_product && products == 21 && x != 0 && w != 0)
                    continue;
                sum = fmaf(x, f32 ? w : float_of_bf16(to_bf16(w, false)), sum);
            }
            for (int b = 0; a->bias && b < (fault == FAULT_bias_twice ? 2 : 1); b++)
                sum += load(a->bias, n, f32);
            if (f32)
                ((float *)a->y)[i * a->n + n] = sum;
            else
                ((uint16_t *)a->y)[i * a->n + n] = to_bf16(sum, false);
        }
    }
    if (fault == FAULT_replays_last_product)
        keep_last(a->y, 2 * a->m * a->n);
    touch_product_operands(a, fault);
    if (fault == FAULT_gemm_past_the_end)
        ((uint16_t *)a->y)[a->m * a->n] = 0;
}

#define PRODUCT_OF(op, function, kind)                                                                       \
    static inline void op(const struct gemm_args *a, enum fault_id fault)                                    \
    {                                                                                                        \
        function(a, fault, kind);                                                                            \
    }
PRODUCT_OF(gemm, product, false)
PRODUCT_OF(gemm_f32, product, true)
PRODUCT_OF(gemm_acc4w8, ordered_product, ACC4W8)
PRODUCT_OF(gemm_mma80, ordered_product, MMA80)
PRODUCT_OF(gemm_mma90, ordered_product, MMA90)
#define gemm_f32_args    gemm_args
#define gemm_acc4w8_args gemm_args
#define gemm_mma80_args  gemm_args
#define gemm_mma90_args  gemm_args

#define RUN(name, op, fault)                                                                                 \
    static void run_##name(const struct op##_args *a)                                                        \
    {                                                                                                        \
        op(a, fault);                                                                                        \
    }
RUN(right_dequant, dequant, NO_FAULT)
RUN(right_gemm, gemm, NO_FAULT)
RUN(right_acc4w8, gemm_acc4w8, NO_FAULT)
RUN(right_mma80, gemm_mma80, NO_FAULT)
RUN(right_mma90, gemm_mma90, NO_FAULT)
#define FAULT(name, op, verdict, check, what) RUN(name, op, FAULT_##name)
#include "harness/verify/faults/faults.inc"

#define COMMON .table = FAULTS_TABLE, .arch = "fault", .k_multiple = 1, .built = true
#define AS_CPU COMMON, .source = "harness/verify/faults/faults.c"
#define AS_dequant(text, function)                                                                           \
    AS_CPU, .name = text, .contract = {.op = OP_DEQUANT, .out = DTYPE_BF16}, .dequant = (function)
#define AS_gemm(text, function)        AS_product(text, function, DTYPE_BF16, CHAINS, 1, 1)
#define AS_gemm_f32(text, function)    AS_product(text, function, DTYPE_F32, CHAINS, 1, 1)
#define AS_gemm_acc4w8(text, function) AS_product(text, function, DTYPE_BF16, CHAINS, 4, 8)
#define AS_gemm_mma80(text, function)  AS_product(text, function, DTYPE_BF16, MMA80, 0, 0)
#define AS_gemm_mma90(text, function)  AS_product(text, function, DTYPE_BF16, MMA90, 0, 0)
#define PRODUCT(type, acc, chains_, width_)                                                                  \
    .contract = {.op = OP_GEMM,                                                                              \
                 .out = type,                                                                                \
                 .accumulation = ACC_##acc,                                                                  \
                 .chains = chains_,                                                                          \
                 .width = width_,                                                                            \
                 .splits = 1}
#define AS_product(text, function, type, acc, chains_, width_)                                               \
    AS_CPU, .name = text, .gemm = (function), PRODUCT(type, acc, chains_, width_)

/* ---- those of the executor: device_faults.cu ---- */

#define ENTRIES(name)                                              extern const struct entry name##__fast, name##__checked __attribute__((weak));
#define DEVICE_FAULT(name, op, device, verdict, check, word, what) ENTRIES(fault_##name)
#include "harness/verify/faults/device_faults.inc"
ENTRIES(right_cuda_dequant)
ENTRIES(right_cuda_gemm)
ENTRIES(right_cuda_sum)
ENTRIES(right_cuda_mma)
ENTRIES(right_cuda__gptq)
ENTRIES(right_cuda__awq)
#define AS_DEVICE(name_)                                                                                     \
    COMMON, .source = "harness/verify/faults/device_faults.cu", .backend = BACKEND_CUDA, .name = #name_,     \
            .entries = {&name_##__fast, &name_##__checked}
#define ON_dequant(name) AS_DEVICE(name), .contract = {.op = OP_DEQUANT, .out = DTYPE_BF16}
#define ON_gptq(name)                                                                                        \
    AS_DEVICE(name), .contract = {.format = FORMAT_INT4, .op = OP_DEQUANT, .out = DTYPE_BF16}
#define ON_awq        ON_gptq
#define ON_gemm(name) AS_DEVICE(name), PRODUCT(DTYPE_F32, CHAINS, 1, 1)
#define ON_sum(name)  AS_DEVICE(name), .deterministic = true, PRODUCT(DTYPE_F32, ANY, 0, 0)
#define ON_mma(name)  AS_DEVICE(name), PRODUCT(DTYPE_BF16, MMA80, 0, 0)

const struct fault faults[] = {
#define FAULT(name, op, verdict, check, what)                                                                \
    {{AS_##op("fault_" #name, run_##name)}, "cpu", VERDICT_##verdict, check, "", what},
#include "harness/verify/faults/faults.inc"
#define DEVICE_FAULT(name, op, device, verdict, check, word, what)                                           \
    {{ON_##op(fault_##name)}, device, VERDICT_##verdict, check, word, what},
#include "harness/verify/faults/device_faults.inc"
};
const size_t fault_count = sizeof faults / sizeof faults[0];

const struct kernel right_kernels[] = {
    {AS_dequant("right_dequant", run_right_dequant)},
    {AS_gemm("right_gemm", run_right_gemm)},
    {AS_gemm_acc4w8("right_acc4w8", run_right_acc4w8)},
    {AS_gemm_mma80("right_mma80", run_right_mma80)},
    {AS_gemm_mma90("right_mma90", run_right_mma90)},
    {ON_dequant(right_cuda_dequant)},
    {ON_gemm(right_cuda_gemm)},
    {ON_sum(right_cuda_sum)},
    {ON_mma(right_cuda_mma)},
    {ON_gptq(right_cuda__gptq)},
    {ON_awq(right_cuda__awq)},
};
const size_t right_kernel_count = sizeof right_kernels / sizeof right_kernels[0];

enum status faults_add_tables(void)
{
    static struct kernel all[sizeof faults / sizeof faults[0]];
    for (size_t i = 0; i < fault_count; i++)
        all[i] = faults[i].kernel;
    TRY(kernel_add_table(FAULTS_TABLE, all, fault_count));
    return kernel_add_table(FAULTS_TABLE, right_kernels, right_kernel_count);
}
