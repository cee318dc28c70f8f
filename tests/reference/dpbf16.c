/*
 * Tests of the dpbf16 order against the instruction it models: the CPU's own VDPBF16PS, lane by lane. Skipped
 * where the CPU has none.
 */
#include <float.h>
#include <math.h>
#include <string.h>

#include "reference/arith.h"
#include "tests/reference/problem.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET __attribute__((target("avx512f,avx512bw,avx512bf16")))

static bool cpu_has_dpbf16(void)
{
    return __builtin_cpu_supports("avx512bf16");
}

/* acc[i] += the pair dot of lane i: odd holds the upper halves, even the lower ones. */
TARGET static void dpbf16(float acc[16], const uint16_t x_odd[16], const uint16_t x_even[16],
                          const uint16_t w_odd[16], const uint16_t w_even[16], uint16_t lanes)
{
    uint32_t x[16], w[16];
    for (int i = 0; i < 16; ++i) {
        x[i] = (uint32_t)x_odd[i] << 16 | x_even[i];
        w[i] = (uint32_t)w_odd[i] << 16 | w_even[i];
    }
    __m512 sum = _mm512_mask_dpbf16_ps(_mm512_loadu_ps(acc), lanes, (__m512bh)_mm512_loadu_si512(x),
                                       (__m512bh)_mm512_loadu_si512(w));
    _mm512_storeu_ps(acc, sum);
}
#else
static bool cpu_has_dpbf16(void)
{
    return false;
}

static void dpbf16(float acc[16], const uint16_t x_odd[16], const uint16_t x_even[16],
                   const uint16_t w_odd[16], const uint16_t w_even[16], uint16_t lanes)
{
    (void)acc, (void)x_odd, (void)x_even, (void)w_odd, (void)w_even, (void)lanes;
}
#endif

/* A bf16 pattern of one of several kinds. */
static uint16_t random_bf16(uint64_t seed, uint64_t i, int low, int high)
{
    switch (random_below(seed + 1000, i, 16)) {
    case 0:
        return (uint16_t)random_u64(seed, i); /* any pattern at all */
    case 1:
        return (uint16_t)(random_below(seed, i, 2) << 15); /* a zero */
    case 2:
        return (uint16_t)(random_u64(seed, i) & 0x807f); /* a denormal */
    default:
        return (uint16_t)(f32_bits(random_exponent(seed, i, low, high)) >> 16);
    }
}

/* The model of the pair dot, two calls of arith_pair_fma, on every kind of number. */
TEST(dpbf16, pair_dot_is_the_instruction)
{
    if (!cpu_has_dpbf16())
        SKIP("this CPU has no AVX512_BF16");
    static const struct {
        const char *what;
        int x_low, x_high, w_low, w_high, acc_low, acc_high;
    } rows[] = {
        {"usual numbers", -3, 3, -3, 3, -8, 8},
        {"sums around the smallest normal", -66, -58, -66, -62, -126, -122},
        {"products far below the smallest normal", -80, -70, -80, -70, -126, -125},
        {"sums that cancel", 0, 0, 0, 0, 0, 1},
        {"overflow", 60, 64, 62, 64, 124, 127},
        {"any exponents", -126, 127, -126, 127, -126, 127},
    };
    for (size_t r = 0; r < sizeof rows / sizeof rows[0]; ++r) {
        long wrong = 0;
        for (uint64_t i = 0; i < 40000; ++i) {
            uint16_t x[2][16], w[2][16];
            float acc[16], got[16];
            for (unsigned lane = 0; lane < 16; ++lane) {
                uint64_t at = 16 * i + lane;
                for (unsigned odd = 0; odd < 2; ++odd) {
                    x[odd][lane] = random_bf16(60 + 10 * r + odd, at, rows[r].x_low, rows[r].x_high);
                    w[odd][lane] = random_bf16(62 + 10 * r + odd, at, rows[r].w_low, rows[r].w_high);
                }
                acc[lane] = random_exponent(64 + 10 * r, at, rows[r].acc_low, rows[r].acc_high);
                if (random_below(65 + 10 * r, at, 8) == 0)
                    acc[lane] =
                        f32_from_bits((uint32_t)random_u64(66 + 10 * r, at) & 0x807fffff); /* denormal */
            }
            memcpy(got, acc, sizeof got);
            dpbf16(got, x[1], x[0], w[1], w[0], 0xffff);
            for (unsigned lane = 0; lane < 16; ++lane) {
                float want = arith_pair_fma(bf16_to_f32(x[1][lane]), bf16_to_f32(w[1][lane]), acc[lane]);
                want = arith_pair_fma(bf16_to_f32(x[0][lane]), bf16_to_f32(w[0][lane]), want);
                wrong += f32_bits(want) != f32_bits(got[lane]) && !(isnan(want) && isnan(got[lane]));
            }
        }
        test_note("%s", rows[r].what);
        EXPECT_EQ(0, wrong);
    }
}

/* Sums that lie between the largest denormal and the smallest normal, where tiny before and after rounding
 * differ: FLT_MIN - i * 2^-152,. */
TEST(dpbf16, sums_just_below_the_smallest_normal)
{
    for (int i = 0; i < 64; ++i) {
        float x = -(float)i * 0x1p-76f, w = 0x1p-76f; /* i has 6 bits: x is a bf16 */
        /* The middle between FLT_MIN and its neighbour below in 24 bits, 2^-150 down, ties to FLT_MIN. */
        float want = i <= 2 ? FLT_MIN : 0.0f;
        test_note("FLT_MIN - %d * 2^-152", i);
        EXPECT_EQ_BITS(f32_bits(want), f32_bits(arith_pair_fma(x, w, FLT_MIN)));
        EXPECT_EQ_BITS(f32_bits(-want), f32_bits(arith_pair_fma(-x, w, -FLT_MIN)));
        if (!cpu_has_dpbf16())
            continue;
        uint16_t xs[16] = {bf16_from_f32(x)}, ws[16] = {bf16_from_f32(w)};
        const uint16_t zero[16] = {0};
        float acc[16] = {FLT_MIN};
        dpbf16(acc, xs, zero, ws, zero, 1);
        EXPECT_EQ_BITS(f32_bits(want), f32_bits(acc[0]));
        acc[0] = FLT_MIN;
        dpbf16(acc, zero, xs, zero, ws, 1);
        EXPECT_EQ_BITS(f32_bits(want), f32_bits(acc[0]));
    }
}

/* One output computed with the instruction, in the loop order that the contract describes. */
static float dot_by_instruction(const struct contract *c, const struct problem *p, size_t row, size_t col)
{
    const size_t k = p->matmul.k;
    float acc[16] = {0};
    for (size_t base = 0; base < k; base += 128) {
        uint16_t x[128] = {0}, w[128] = {0}, lanes = 0;
        float absmax[16] = {0}, t[16] = {0};
        for (size_t i = 0; i < 128 && base + i < k; ++i) {
            size_t element = col * k + base + i;
            unsigned code = nf4_code_at(p->packed, element);
            float a = quantized_block_at(p->matmul.w, element / p->plain.blocksize, c->nested).scale;
            float weight = c->scale == SCALE_BLOCK
                               ? quantized_decode(c, code, 0)
                               : quantized_weight(c, code, (struct quantized_block){a, 0});
            x[i] = (uint16_t)dtype_load_bits(DTYPE_BF16, p->a, row * k + base + i);
            w[i] = bf16_from_f32(weight);
            lanes = (uint16_t)(lanes | 1u << i / 8);
            absmax[i / 8] = a;
        }
        for (unsigned pair = 0; pair < 4; ++pair) {
            uint16_t operands[4][16];
            for (unsigned lane = 0; lane < 16; ++lane) {
                operands[0][lane] = x[8 * lane + pair + 4];
                operands[1][lane] = x[8 * lane + pair];
                operands[2][lane] = w[8 * lane + pair + 4];
                operands[3][lane] = w[8 * lane + pair];
            }
            dpbf16(c->scale == SCALE_BLOCK ? t : acc, operands[0], operands[1], operands[2], operands[3],
                   lanes);
        }
        for (unsigned lane = 0; lane < 16; ++lane)
            if (c->scale == SCALE_BLOCK && (lanes >> lane & 1))
                acc[lane] = fmaf(t[lane], absmax[lane], acc[lane]);
    }
    for (unsigned h = 8; h >= 1; h /= 2)
        for (unsigned i = 0; i < h; ++i)
            acc[i] = acc[i] + acc[i + h];
    float sum = acc[0];
    if (p->matmul.bias)
        sum = sum + dtype_load(c->out, p->bias, col);
    return dtype_round(c->out, sum);
}

TEST(dpbf16, whole_sums_by_the_instruction)
{
    if (!cpu_has_dpbf16())
        SKIP("this CPU has no AVX512_BF16");
    static const char *const names[] = {"nf4_gemm_bf16_dpbf16_ftz", "nf4_gemm_bf16_c16_dpbf16_fused_ftz",
                                        "nf4_gemm_bf16_c16_sblk_dpbf16_ftz",
                                        "nf4_gemm_bf16_c16_sblk_dpbf16_twostep_ftz"};
    /* With a block's scale, k is a multiple of 8 here: a group then lies in one block. */
    static const size_t ks[] = {8, 64, 120, 128, 200, 1024, 1032, 3, 131, 4099};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        struct contract c = contract_of(names[i]);
        for (size_t s = 0; s < sizeof ks / sizeof ks[0]; ++s) {
            if (c.scale == SCALE_BLOCK && ks[s] % 8 != 0)
                continue;
            for (unsigned tiny = 0; tiny < 2; ++tiny) {
                struct problem p = problem_new(&c, 3, 17, ks[s], 64, s % 2 == 0, 70 + s);
                if (tiny) { /* sums around the smallest normal */
                    for (size_t e = 0; e < p.matmul.m * ks[s]; ++e)
                        dtype_store(c.out, p.a, e, random_exponent(71, e, -127, -58));
                    for (size_t b = 0; b < nf4_block_count(p.plain.count, 64); ++b)
                        p.absmax[b] = fabsf(random_exponent(72, b, -70, -60));
                    for (size_t b = 0; b < nested_group_count(nf4_block_count(p.plain.count, 64)); ++b)
                        p.nested_absmax[b] = 0x1p-60f;
                    p.nested.nested.offset = 0x1p-62f;
                }
                ASSERT_TRUE(problem_run(&c, &p));
                size_t wrong = 0;
                for (size_t row = 0; row < 3; ++row)
                    for (size_t col = 0; col < 17; ++col)
                        wrong += f32_bits(dot_by_instruction(&c, &p, row, col)) !=
                                 f32_bits(dtype_load(c.out, p.y, row * 17 + col));
                test_note("%s k=%zu%s", names[i], ks[s], tiny ? " tiny" : "");
                EXPECT_EQ(0, wrong);
                problem_release(&p);
            }
        }
    }
}
