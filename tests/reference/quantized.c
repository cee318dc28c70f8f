/* Tests of the formats beside NF4: what their codes mean, and the products over them by two implementations.
 */
#include "reference/quantized.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/random.h"
#include "reference/fp8.h"
#include "reference/grouped_int4.h"
#include "reference/matmul.h"
#include "tests/reference/int4.h"
#include "tests/test.h"

TEST(fp8, published_values)
{
    static const struct {
        uint8_t code;
        float value;
    } rows[] = {{0x00, 0.0f},  {0x01, 0x1p-9f}, {0x07, 7 * 0x1p-9f}, {0x08, 0x1p-6f},
                {0x38, 1.0f},  {0x3c, 1.5f},    {0x40, 2.0f},        {0x7e, 448.0f},
                {0xb8, -1.0f}, {0xfe, -448.0f}, {0x77, 240.0f},      {0x78, 256.0f}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        EXPECT_EQ_BITS(f32_bits(rows[i].value), f32_bits(fp8_to_f32(rows[i].code)));
    EXPECT_TRUE(isnan(fp8_to_f32(0x7f)) && isnan(fp8_to_f32(0xff)));
    EXPECT_EQ_BITS(0x80000000, f32_bits(fp8_to_f32(0x80)));
}

/* The code whose value is nearest, the even one of two, by looking at all. */
static uint8_t nearest(float x)
{
    unsigned best = 0;
    for (unsigned code = 1; code < 0x7f; code++) {
        const double now = fabs((double)fp8_to_f32((uint8_t)code) - fabs((double)x)),
                     before = fabs((double)fp8_to_f32((uint8_t)best) - fabs((double)x));
        if (now < before || (now == before && code % 2 == 0))
            best = code;
    }
    return (uint8_t)(best | (signbit(x) ? 0x80 : 0));
}

TEST(fp8, every_rounding_decision)
{
    for (unsigned code = 0; code < 0x7e; code++) {
        const float low = fp8_to_f32((uint8_t)code), high = fp8_to_f32((uint8_t)(code + 1));
        const float middle = (low + high) / 2,
                    all[] = {low, middle, nextafterf(middle, 0), nextafterf(middle, INFINITY), high};
        for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
            EXPECT_EQ(nearest(all[i]), fp8_from_f32(all[i]));
            EXPECT_EQ(nearest(-all[i]), fp8_from_f32(-all[i]));
        }
    }
    EXPECT_EQ(0x7e, fp8_from_f32(1e30f));
    EXPECT_EQ(0xfe, fp8_from_f32(-INFINITY));
    EXPECT_EQ(0x7f, fp8_from_f32(NAN));
    EXPECT_EQ(0x00, fp8_from_f32(1e-30f));
}

/* ---- weights ---- */

enum { N = 24, K = 192, M = 3, BLOCKSIZE = 32, BLOCKS = N * K / BLOCKSIZE };

/* Random weights of a format; all arrays are static. */
static struct quantized make(enum format f, enum dtype t, bool zeros, bool act_order)
{
    static uint8_t packed[N * K * 4], zero[BLOCKS];
    static uint16_t scale[BLOCKS];
    static float absmax[BLOCKS];
    static uint32_t group_of[K];
    for (size_t i = 0; i < sizeof packed; i++) {
        packed[i] = (uint8_t)random_u64(1, RANDOM_CODES, i);
        if (f == FORMAT_FP8 && isnan(fp8_to_f32(packed[i])))
            packed[i] = 0;
    }
    for (size_t i = 0; f == FORMAT_DENSE && i < N * K; i++)
        dtype_store(t, packed, i, random_normal(1, RANDOM_WEIGHTS, i));
    for (size_t b = 0; b < BLOCKS; b++) {
        zero[b] = (uint8_t)(random_u64(2, RANDOM_CODES, b) % 17);
        absmax[b] = 0.01f + 0.001f * (float)(random_u64(3, RANDOM_CODES, b) % 100);
        scale[b] = f16_from_f32(absmax[b]);
    }
    for (size_t k = 0; k < K; k++)
        group_of[k] = (uint32_t)((k * 5 + k / 32) % (K / BLOCKSIZE));
    return (struct quantized){.format = f,
                              .count = N * K,
                              .columns = K,
                              .blocksize = f == FORMAT_DENSE ? K : BLOCKSIZE,
                              .packed = packed,
                              .absmax = f == FORMAT_NF4 ? absmax : NULL,
                              .scale = scale,
                              .zero = zeros ? zero : NULL,
                              .group_of = act_order ? group_of : NULL};
}

TEST(quantized, weights_of_each_format)
{
    struct contract c = {.format = FORMAT_INT4, .op = OP_DEQUANT, .out = DTYPE_F32};
    struct quantized w = make(FORMAT_INT4, DTYPE_F32, true, false);
    EXPECT_NEAR((double)((float)nf4_code_at(w.packed, 1000) - (float)w.zero[31]) *
                    (double)f16_to_f32(w.scale[31]),
                quantized_weight_at(&c, &w, 1000), 1e-6);
    w.zero = NULL;
    EXPECT_NEAR((double)((float)nf4_code_at(w.packed, 1000) - 8) * (double)f16_to_f32(w.scale[31]),
                quantized_weight_at(&c, &w, 1000), 1e-6);
    c.format = FORMAT_INT8;
    w = make(FORMAT_INT8, DTYPE_F32, false, false);
    EXPECT_EQ_BITS(f32_bits((float)(int8_t)w.packed[77] * f16_to_f32(w.scale[2])),
                   f32_bits(quantized_weight_at(&c, &w, 77)));
    c.format = FORMAT_FP8;
    w = make(FORMAT_FP8, DTYPE_F32, false, false);
    EXPECT_EQ_BITS(f32_bits(fp8_to_f32(w.packed[77]) * f16_to_f32(w.scale[2])),
                   f32_bits(quantized_weight_at(&c, &w, 77)));
    c.format = FORMAT_DENSE;
    c.out = DTYPE_BF16;
    w = make(FORMAT_DENSE, DTYPE_BF16, false, false);
    EXPECT_EQ_BITS(f32_bits(dtype_load(DTYPE_BF16, w.packed, 77)), f32_bits(quantized_weight_at(&c, &w, 77)));
}

TEST(quantized, int4_is_what_grouped_int4_says)
{
    const struct contract c = {.format = FORMAT_INT4, .op = OP_DEQUANT, .out = DTYPE_F16};
    for (int act_order = 0; act_order < 2; act_order++) {
        const struct quantized w = make(FORMAT_INT4, DTYPE_F16, true, act_order);
        static uint8_t q[N * K];
        static uint16_t got[N * K], want[N * K];
        nf4_unpack(w.packed, w.count, q);
        struct grouped_int4 g = {.n = N,
                                 .k = K,
                                 .group = BLOCKSIZE,
                                 .q = q,
                                 .zero = (uint8_t *)w.zero,
                                 .scale = (uint16_t *)w.scale,
                                 .group_of = w.group_of};
        int4_dequantize(&g, DTYPE_F16, want);
        quantized_dequantize(&c, &w, got);
        EXPECT_TRUE(memcmp(got, want, sizeof got) == 0);
    }
}

TEST(quantized, a_span_is_its_elements)
{
    static const enum format formats[] = {FORMAT_NF4, FORMAT_INT4, FORMAT_INT8, FORMAT_FP8, FORMAT_DENSE};
    for (size_t f = 0; f < 5; f++)
        for (int act_order = 0; act_order < (formats[f] == FORMAT_INT4 ? 2 : 1); act_order++)
            for (int unscaled = 0; unscaled < 2; unscaled++) {
                const struct contract c = {.format = formats[f], .op = OP_GEMM, .out = DTYPE_BF16};
                const struct quantized w = make(formats[f], DTYPE_BF16, formats[f] == FORMAT_INT4, act_order);
                float span[100];
                quantized_span(&c, &w, 1171, 100, unscaled, span);
                for (size_t i = 0; i < 100; i++)
                    EXPECT_EQ_BITS(f32_bits(unscaled ? quantized_decode_at(&c, &w, 1171 + i)
                                                     : quantized_weight_at(&c, &w, 1171 + i)),
                                   f32_bits(span[i]));
            }
}

TEST(quantized, products_agree_and_keep_their_bound)
{
    static const char *const names[] = {
        "int4_gemm_f32_acc1",         "int4_gemm_f16_sblk_acc16",      "int4_gemm_bf16_c16_sblk_dpbf16_ftz",
        "int4_gemm_bf16_dpbf16_ftz",  "int4_gemm_f16_mma80",           "int4_gemm_bf16_mma90x4",
        "int4_gemmdx_bf16_acc16",     "int4_gemmdx_f16_mma90",         "int4_gemm_f32_sblk_acc32w8x2",
        "int8_gemm_bf16_sblk_acc16",  "int8_gemm_f16_mma90",           "int8_gemmdx_f32_acc1",
        "fp8_gemm_f32_acc16",         "fp8_gemm_bf16_sblk_dpbf16_ftz", "fp8_gemm_bf16_c16_sblk_dpbf16_ftz",
        "dense_gemm_bf16_dpbf16_ftz", "dense_gemm_f16_mma80",          "dense_gemm_f32_acc16",
        "dense_gemmdx_f32_acc1"};
    static float x[M * K], bias[N];
    static uint8_t a[M * K * 4], b[N * 4];
    for (size_t i = 0; i < M * K; i++)
        x[i] = random_normal(7, RANDOM_ACTIVATIONS, i);
    for (size_t i = 0; i < N; i++)
        bias[i] = random_normal(7, RANDOM_BIAS, i);
    size_t held = 0;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        struct contract c;
        if (!contract_parse(names[i], &c, NULL))
            continue; /* one of the names is none: counted below */
        const bool int4 = c.format == FORMAT_INT4;
        for (int variant = 0; variant < (int4 ? 4 : 1); variant++) {
            const struct quantized w = make(c.format, c.out, variant & 1, variant & 2);
            for (size_t j = 0; j < M * K; j++)
                dtype_store(c.out, a, j, x[j]);
            for (size_t j = 0; j < N; j++)
                dtype_store(c.out, b, j, bias[j]);
            const struct matmul p = {
                .m = M, .n = N, .k = K, .a = a, .bias = c.op == OP_GEMM ? b : NULL, .w = &w};
            const size_t outputs = c.op == OP_GEMM ? N : K, count = M * outputs;
            static uint8_t y[M * K * 4];
            static double value[M * K], magnitude[M * K];
            test_note("%s, variant %d", names[i], variant);
            ASSERT_TRUE(matmul_pinned(&c, &p, y));
            matmul_fp64(&c, &p, value, magnitude);
            size_t different = 0, beyond = 0;
            for (size_t j = 0; j < count; j++) {
                const float got = dtype_load(c.out, y, j);
                different += f32_bits(got) != f32_bits(matmul_pinned_at(&c, &p, j / outputs, j % outputs));
                beyond += !(fabs((double)got - value[j]) <=
                            matmul_bound(&c, c.op == OP_GEMM ? K : N, value[j], magnitude[j]));
            }
            EXPECT_EQ(0, different);
            EXPECT_EQ(0, beyond);
            held++;
        }
    }
    EXPECT_EQ(9 * 4 + 9, held);
}

TEST(quantized, blocksizes)
{
    EXPECT_TRUE(format_blocksize_valid(FORMAT_NF4, 64, 100));
    EXPECT_FALSE(format_blocksize_valid(FORMAT_NF4, 100, 100));
    EXPECT_TRUE(format_blocksize_valid(FORMAT_INT4, 128, 384));
    EXPECT_FALSE(format_blocksize_valid(FORMAT_INT4, 128, 200));
    EXPECT_TRUE(format_blocksize_valid(FORMAT_INT8, 200, 200));
    EXPECT_FALSE(format_blocksize_valid(FORMAT_FP8, 16, 32));
    EXPECT_FALSE(format_blocksize_valid(FORMAT_DENSE, 64, 128));
    EXPECT_TRUE(format_blocksize_valid(FORMAT_DENSE, 128, 128));
}
