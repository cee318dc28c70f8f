#include "reference/grouped_int4.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/random.h"
#include "harness/checkpoint/safetensors.h"
#include "reference/awq.h"
#include "reference/gptq.h"
#include "reference/marlin.h"
#include "tests/reference/int4.h"
#include "tests/test.h"

/* Random codes, zeros from `least_zero` to `most_zero`, scales; freed by release(). */
static struct grouped_int4 make(size_t n, size_t k, size_t group, unsigned least_zero, unsigned most_zero)
{
    const size_t groups = int4_group_count(k, group);
    struct grouped_int4 w = {.n = n,
                             .k = k,
                             .group = group,
                             .q = malloc(n * k),
                             .zero = malloc(n * groups),
                             .scale = malloc(n * groups * sizeof *w.scale)};
    for (size_t i = 0; i < n * k; i++)
        w.q[i] = random_u64(1, RANDOM_CODES, i) & 15;
    for (size_t i = 0; i < n * groups; i++) {
        w.zero[i] = (uint8_t)(least_zero + random_u64(2, RANDOM_CODES, i) % (most_zero - least_zero + 1));
        w.scale[i] = f16_from_f32(0.01f + 0.001f * (float)(random_u64(3, RANDOM_CODES, i) % 100));
    }
    return w;
}

static void release(struct grouped_int4 *w)
{
    free(w->q);
    free(w->zero);
    free(w->scale);
}

static bool same(const struct grouped_int4 *a, const struct grouped_int4 *b)
{
    const size_t groups = int4_group_count(a->k, a->group);
    return memcmp(a->q, b->q, a->n * a->k) == 0 && memcmp(a->zero, b->zero, a->n * groups) == 0 &&
           memcmp(a->scale, b->scale, a->n * groups * sizeof *a->scale) == 0;
}

TEST(grouped_int4, values)
{
    static uint8_t q[] = {0, 15, 8, 7}, zero[] = {8, 16};
    static uint16_t scale[] = {0x3800, 0x2e66}; /* 0.5, 0.0999755859375 */
    static const uint32_t group_of[] = {1, 0, 0, 1};
    struct grouped_int4 w = {.n = 1, .k = 4, .group = 2, .q = q, .zero = zero, .scale = scale};
    uint16_t half[4];
    EXPECT_NEAR(-4, int4_value(&w, 0, 0), 0);
    EXPECT_NEAR(3.5, int4_value(&w, 0, 1), 0);
    EXPECT_NEAR(-8 * 0.0999755859375, int4_value(&w, 0, 2), 0);
    int4_dequantize(&w, DTYPE_BF16, half);
    EXPECT_EQ(bf16_from_f32(-9 * 0.0999755859375f), half[3]);
    w.group_of = group_of; /* act-order */
    EXPECT_NEAR(-16 * 0.0999755859375, int4_value(&w, 0, 0), 0);
    EXPECT_NEAR(0, int4_value(&w, 0, 2), 0);
}

TEST(grouped_int4, quantizes_to_the_nearest)
{
    enum { N = 3, K = 96, GROUP = 32 };
    float x[N * K];
    struct grouped_int4 w = make(N, K, GROUP, 8, 8);
    for (size_t i = 0; i < N * K; i++)
        x[i] = 0.02f * random_normal(4, RANDOM_WEIGHTS, i) + (i / K == 2 ? 0.05f : 0);
    memset(x + GROUP, 0, GROUP * sizeof *x);
    for (int symmetric = 0; symmetric < 2; symmetric++) {
        int4_quantize(x, symmetric, &w);
        for (size_t i = 0; i < N * K; i++) {
            const float scale = f16_to_f32(w.scale[i / K * (K / GROUP) + i % K / GROUP]);
            /* Half a step, and what the rounding of scale and zero moves the ends of the range. */
            EXPECT_TRUE(fabsf(int4_value(&w, i / K, i % K) - x[i]) <= (symmetric ? 0.51f : 1.01f) * scale);
            EXPECT_TRUE(!symmetric || w.zero[i / GROUP] == 8);
        }
        EXPECT_TRUE(f16_to_f32(w.scale[1]) == 1 && int4_value(&w, 0, GROUP) == 0);
    }
    release(&w);
}

/* ---- bytes ---- */

TEST(grouped_int4, gptq_has_the_published_layout)
{
    enum { N = 16, K = 24, GROUP = 8, GROUPS = 3 };
    struct grouped_int4 w = make(N, K, GROUP, 1, 15);
    uint32_t qweight[K / 8 * N], qzeros[GROUPS * N / 8], g_idx[K];
    uint16_t scales[GROUPS * N];
    const struct gptq_tensors t = {qweight, qzeros, scales, g_idx};
    for (int version = 1; version <= 2; version++) {
        ASSERT_TRUE(gptq_pack(&w, (enum gptq_version)version, &t));
        EXPECT_EQ(w.q[5 * K + 17], qweight[2 * N + 5] >> 4 & 15);
        EXPECT_EQ(w.zero[13 * GROUPS + 2] - (version == 1), qzeros[2 * (N / 8) + 1] >> 20 & 15);
        EXPECT_EQ(w.scale[13 * GROUPS + 2], scales[2 * N + 13]);
        EXPECT_EQ(2, g_idx[23]);
        struct grouped_int4 back = make(N, K, GROUP, 1, 1);
        gptq_unpack(&t, (enum gptq_version)version, &back);
        EXPECT_TRUE(same(&w, &back));
        release(&back);
    }
    memset(w.zero, 8, N * GROUPS); /* symmetric */
    EXPECT_TRUE(gptq_pack(&w, GPTQ_V1, &t));
    EXPECT_EQ(0x77777777, qzeros[0]);
    EXPECT_TRUE(gptq_pack(&w, GPTQ_V2, &t));
    EXPECT_EQ(0x88888888, qzeros[5]);
    w.zero[3] = 16;
    EXPECT_TRUE(gptq_pack(&w, GPTQ_V1, &t));
    EXPECT_FALSE(gptq_pack(&w, GPTQ_V2, &t));
    w.zero[3] = 0;
    EXPECT_FALSE(gptq_pack(&w, GPTQ_V1, &t));
    EXPECT_TRUE(gptq_pack(&w, GPTQ_V2, &t));
    EXPECT_TRUE(gptq_fits(16, 24) && !gptq_fits(12, 24) && !gptq_fits(16, 20));
    release(&w);
}

TEST(grouped_int4, awq_has_the_published_layouts)
{
    enum { N = 16, K = 256, GROUP = 64, GROUPS = 4 };
    struct grouped_int4 w = make(N, K, GROUP, 0, 15), back = make(N, K, GROUP, 1, 1);
    const size_t width = awq_gemv_width(K, GROUP);
    uint32_t *qweight = malloc(N * K / 8 * 4), *qzeros = malloc(N * width * 4);
    uint16_t *scales = malloc(N * 8 * width * 2);
    const struct awq_tensors t = {qweight, qzeros, scales};
    ASSERT_TRUE(awq_gemm_fits(&w) && awq_gemm_pack(&w, &t));
    /* Nibble 1 holds column 2, nibble 4 column 1, nibble 5 column 3. */
    EXPECT_EQ(w.q[(8 + 2) * K + 100], qweight[100 * (N / 8) + 1] >> 4 & 15);
    EXPECT_EQ(w.q[(8 + 1) * K + 100], qweight[100 * (N / 8) + 1] >> 16 & 15);
    EXPECT_EQ(w.zero[3 * GROUPS + 2], qzeros[2 * (N / 8)] >> 20 & 15);
    awq_gemm_unpack(&t, &back);
    EXPECT_TRUE(same(&w, &back));

    memset(back.q, 0, N * K);
    memset(back.zero, 0, N * GROUPS);
    ASSERT_TRUE(awq_gemv_fits(&w) && awq_gemv_pack(&w, &t));
    EXPECT_EQ(2, width); /* one word of zeros, to an even number of them */
    EXPECT_EQ(w.q[7 * K + 83], qweight[7 * (K / 8) + 10] >> 12 & 15);
    EXPECT_EQ(w.zero[7 * GROUPS + 3], qzeros[7 * width] >> 12 & 15);
    EXPECT_TRUE(qzeros[7 * width] >> 16 == 0 && qzeros[7 * width + 1] == 0 &&
                scales[7 * 8 * width + GROUPS] == 0);
    awq_gemv_unpack(&t, &back);
    EXPECT_TRUE(same(&w, &back));
    EXPECT_TRUE(awq_gemv_width(4096, 128) == 4 && awq_gemv_width(4096, 32) == 16 &&
                awq_gemv_width(128, 32) == 4);
    w.zero[0] = 16;
    EXPECT_FALSE(awq_gemm_pack(&w, &t) || awq_gemv_pack(&w, &t));
    free(qweight);
    free(qzeros);
    free(scales);
    release(&w);
    release(&back);
}

/* A lane's words are the B fragments of mma.m16n8k16: b0, b1 at k = 2 (lane % 4) and next, b2, b3 8 further;
 * column lane / 4 (PTX ISA). */
TEST(grouped_int4, marlin_words_are_fragments)
{
    enum { N = 128, K = 48 };
    uint8_t q[N * K], back[N * K];
    uint32_t words[N * K / 8];
    for (size_t i = 0; i < N * K; i++)
        q[i] = random_u64(5, RANDOM_CODES, i) & 15;
    ASSERT_TRUE(marlin_fits(N, K) && !marlin_fits(96, K) && !marlin_fits(N, 40));
    marlin_repack(q, N, K, words);
    for (size_t lane = 0; lane < 32; lane++) {
        /* Tile (2, 1): k from 32, n from 64; part 3. */
        const uint32_t word = words[((2 * 2 + 1) * 32 + lane) * 4 + 3];
        const uint8_t *column = q + (64 + 48 + lane / 4) * K + 32 + 2 * (lane % 4);
        EXPECT_EQ(column[0], word & 15);          /* b0 */
        EXPECT_EQ(column[1], word >> 16 & 15);    /* b1: the other half of a pair */
        EXPECT_EQ(column[8], word >> 4 & 15);     /* b2 */
        EXPECT_EQ(column[9], word >> 20 & 15);    /* b3 */
        EXPECT_EQ(column[8 * K], word >> 8 & 15); /* the next eight columns */
        EXPECT_EQ(column[8 * K + 9], word >> 28);
    }
    marlin_unrepack(words, N, K, back);
    EXPECT_TRUE(memcmp(q, back, sizeof q) == 0);
}

/* ---- what the packages write (fixtures/make_int4_checkpoints.py) ---- */

static const void *bytes_of(const struct safetensors *file, const char *layer, const char *part, size_t size)
{
    char name[64];
    snprintf(name, sizeof name, "%s.%s", layer, part);
    const struct safetensor *t = safetensors_find(file, name);
    return t && t->bytes == size ? t->data : NULL;
}

/* Elements of W that do not have the package's fp16 value; expected: [k, n]. */
static size_t differ(const struct grouped_int4 *w, const uint16_t *expected)
{
    uint16_t *ours = malloc(w->n * w->k * sizeof *ours);
    size_t count = 0;
    int4_dequantize(w, DTYPE_F16, ours);
    for (size_t n = 0; n < w->n; n++)
        for (size_t k = 0; k < w->k; k++) {
            const uint16_t a = ours[n * w->k + k], b = expected[k * w->n + n];
            count += a != b && !((a | b) == 0x8000); /* a zero has no sign of its own there */
        }
    free(ours);
    return count;
}

TEST(grouped_int4, gptq_bytes_mean_what_the_package_makes_of_them)
{
    static const struct {
        const char *name;
        size_t n, k, group;
    } layers[] = {
        {"sym", 64, 128, 32}, {"asym", 64, 128, 64}, {"column", 64, 96, 96}, {"act_order", 64, 128, 32}};
    struct safetensors file;
    ASSERT_EQ(STATUS_OK, safetensors_open(test_path("fixtures/gptq.safetensors"), &file));
    for (size_t i = 0; i < sizeof layers / sizeof layers[0]; i++) {
        const char *name = layers[i].name;
        const size_t n = layers[i].n, k = layers[i].k, groups = k / layers[i].group;
        struct grouped_int4 w = make(n, k, layers[i].group, 1, 1);
        const void *const parts[4] = {
            bytes_of(&file, name, "qweight", n * k / 2), bytes_of(&file, name, "qzeros", groups * n / 2),
            bytes_of(&file, name, "scales", groups * n * 2), bytes_of(&file, name, "g_idx", k * 4)};
        const uint16_t *expected = bytes_of(&file, name, "expected", n * k * 2);
        test_note("%s", name);
        ASSERT_TRUE(parts[0] && parts[1] && parts[2] && parts[3] && expected);
        const struct gptq_tensors t = {(uint32_t *)parts[0], (uint32_t *)parts[1], (uint16_t *)parts[2],
                                       (uint32_t *)parts[3]};
        gptq_unpack(&t, GPTQ_V1, &w);
        w.group_of = t.g_idx;
        EXPECT_EQ(0, differ(&w, expected));
        gptq_unpack(&t, GPTQ_V2, &w); /* the missing + 1 */
        EXPECT_TRUE(differ(&w, expected) > n * k / 2);
        gptq_unpack(&t, GPTQ_V1, &w);
        w.group_of = NULL; /* g_idx ignored */
        EXPECT_EQ(strcmp(name, "act_order") == 0, differ(&w, expected) > n * k / 4);
        /* Packed again, they are the package's bytes. */
        uint32_t *again = malloc(n * k / 2 + groups * n / 2 + k * 4);
        uint16_t *scales = malloc(groups * n * 2);
        w.group_of = t.g_idx;
        EXPECT_TRUE(gptq_pack(
            &w, GPTQ_V1,
            &(struct gptq_tensors){again, again + n * k / 8, scales, again + n * k / 8 + groups * n / 8}));
        EXPECT_TRUE(memcmp(again, parts[0], n * k / 2) == 0 &&
                    memcmp(again + n * k / 8, parts[1], groups * n / 2) == 0 &&
                    memcmp(scales, parts[2], groups * n * 2) == 0);
        free(again);
        free(scales);
        release(&w);
    }
    test_note(NULL);
    safetensors_release(&file);
}

TEST(grouped_int4, awq_bytes_mean_what_the_package_makes_of_them)
{
    struct safetensors file;
    ASSERT_EQ(STATUS_OK, safetensors_open(test_path("fixtures/awq.safetensors"), &file));
    for (int gemv = 0; gemv < 2; gemv++) {
        const char *name = gemv ? "gemv" : "gemm";
        const size_t n = gemv ? 32 : 64, k = gemv ? 640 : 128, group = 64, groups = k / group;
        const size_t width = gemv ? awq_gemv_width(k, group) : 0;
        const size_t zero_words = gemv ? n * width : groups * n / 8,
                     scales = gemv ? n * 8 * width : groups * n;
        struct grouped_int4 w = make(n, k, group, 1, 1);
        const void *qweight = bytes_of(&file, name, "qweight", n * k / 2);
        const void *qzeros = bytes_of(&file, name, "qzeros", 4 * zero_words);
        const void *scale = bytes_of(&file, name, "scales", 2 * scales);
        const uint16_t *expected = bytes_of(&file, name, "expected", n * k * 2);
        test_note("%s", name);
        ASSERT_TRUE(qweight && qzeros && scale && expected);
        const struct awq_tensors t = {(uint32_t *)qweight, (uint32_t *)qzeros, (uint16_t *)scale};
        (gemv ? awq_gemv_unpack : awq_gemm_unpack)(&t, &w);
        EXPECT_EQ(0, differ(&w, expected));
        uint32_t *words = malloc(n * k / 2), *zeros = malloc(4 * zero_words);
        uint16_t *again = malloc(2 * scales);
        EXPECT_TRUE((gemv ? awq_gemv_pack : awq_gemm_pack)(&w, &(struct awq_tensors){words, zeros, again}));
        EXPECT_TRUE(memcmp(words, qweight, n * k / 2) == 0 && memcmp(zeros, qzeros, 4 * zero_words) == 0 &&
                    memcmp(again, scale, 2 * scales) == 0);
        free(words);
        free(zeros);
        free(again);
        release(&w);
    }
    test_note(NULL);
    safetensors_release(&file);
}
