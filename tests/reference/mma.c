/*
 * Tests of the tensor-core models: every row of the outputs of real GPUs in
 * ../shared/data/tensor-core-vectors (or the folder that NF4BENCH_TENSOR_CORE_VECTORS names), and by hand
 * what those outputs do not reach.
 */
#include "reference/mma.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "tests/reference/random.h"
#include "tests/test.h"

/* ---- Outputs of real GPUs ---- */

static const struct {
    const char *gpu;
    enum mma_model model;
    size_t products; /* in a row: one block of the model */
} gpus[] = {{"A100", MMA_80, 8}, {"Ada", MMA_80, 8}, {"H100", MMA_90, 16}};
static const struct {
    const char *word;
    enum dtype t;
} types[] = {{"fp16", DTYPE_F16}, {"bf16", DTYPE_BF16}};
enum { GPUS = sizeof gpus / sizeof gpus[0], TYPES = sizeof types / sizeof types[0], ROWS = 5000 };

static const char *vector_folder(void)
{
    const char *named = getenv("NF4BENCH_TENSOR_CORE_VECTORS");
    return named && *named ? named : NF4BENCH_SOURCE_DIR "/../shared/data/tensor-core-vectors";
}

struct rows {
    uint32_t a[ROWS][MMA_STEP], b[ROWS][MMA_STEP], c[ROWS][1], d[ROWS][1];
};

/* Reads `count` numbers of this base from each of exactly ROWS lines. */
static bool read_file(const char *gpu, const char *type, char which, int base, size_t count, size_t stride,
                      uint32_t *out)
{
    char path[1024], line[512];
    snprintf(path, sizeof path, "%s/%s_%s_%c.txt.gz", vector_folder(), gpu, type, which);
    test_note("%s", path);
    gzFile file = gzopen(path, "rb");
    if (!file)
        return false;
    size_t row = 0;
    bool ok = true;
    for (; ok && gzgets(file, line, sizeof line); ++row) {
        char *text = line;
        for (size_t i = 0; row < ROWS && i < count; ++i) {
            char *end;
            out[row * stride + i] = (uint32_t)strtoul(text, &end, base);
            ok = ok && end != text;
            text = end;
        }
        ok = ok && row < ROWS && text[strspn(text, " \r\n")] == 0;
    }
    gzclose(file);
    return ok && row == ROWS;
}

static bool read_rows(size_t gpu, size_t type, struct rows *r)
{
    const char *g = gpus[gpu].gpu, *t = types[type].word;
    return read_file(g, t, 'a', 16, gpus[gpu].products, MMA_STEP, r->a[0]) &&
           read_file(g, t, 'b', 16, gpus[gpu].products, MMA_STEP, r->b[0]) &&
           read_file(g, t, 'c', 2, 1, 1, r->c[0]) && read_file(g, t, 'd', 2, 1, 1, r->d[0]);
}

static float fma_chain(size_t count, const uint32_t *a, const uint32_t *b, float c)
{
    for (size_t i = 0; i < count; ++i)
        c = fmaf(f32_from_bits(a[i]), f32_from_bits(b[i]), c);
    return c;
}

static float other_model(enum mma_model model, enum dtype t, size_t count, const uint16_t *a,
                         const uint16_t *b, float c)
{
    return mma_dot(model == MMA_80 ? MMA_90 : MMA_80, t, count, a, b, c);
}

TEST(mma, every_row_of_real_outputs)
{
    if (access(vector_folder(), R_OK) != 0)
        SKIP("no outputs of tensor cores: ../shared/data/tensor-core-vectors is not there, and "
             "NF4BENCH_TENSOR_CORE_VECTORS names no folder");
    struct rows *r = malloc(sizeof *r);
    ASSERT_TRUE(r != NULL);
    for (size_t g = 0; g < GPUS; ++g)
        for (size_t y = 0; y < TYPES; ++y) {
            size_t wrong = 0, wrong_chain = 0, wrong_other = 0, inexact = 0;
            const size_t n = gpus[g].products;
            memset(r, 0, sizeof *r);
            bool read = read_rows(g, y, r);
            EXPECT_TRUE(read);
            for (size_t row = 0; read && row < ROWS; ++row) {
                uint16_t a[MMA_STEP], b[MMA_STEP];
                for (size_t i = 0; i < n; ++i) {
                    dtype_store(types[y].t, a, i, f32_from_bits(r->a[row][i]));
                    dtype_store(types[y].t, b, i, f32_from_bits(r->b[row][i]));
                    inexact += f32_bits(dtype_load(types[y].t, a, i)) != r->a[row][i] ||
                               f32_bits(dtype_load(types[y].t, b, i)) != r->b[row][i];
                }
                const float c = f32_from_bits(r->c[row][0]);
                const uint32_t d = r->d[row][0];
                wrong += f32_bits(mma_dot(gpus[g].model, types[y].t, n, a, b, c)) != d;
                wrong_other += f32_bits(other_model(gpus[g].model, types[y].t, n, a, b, c)) != d;
                wrong_chain += f32_bits(fma_chain(n, r->a[row], r->b[row], c)) != d;
            }
            test_note("%s %s", gpus[g].gpu, types[y].word);
            printf("%s %s: of %d rows %s has %zu wrong, the other model %zu, an fp32 fma chain %zu\n",
                   gpus[g].gpu, types[y].word, ROWS, mma_models[gpus[g].model].word, wrong, wrong_other,
                   wrong_chain);
            EXPECT_EQ(0, inexact);
            EXPECT_EQ(0, wrong);
            /* Rows that anything gets right would prove nothing. */
            EXPECT_TRUE(wrong_chain > ROWS / 3 && wrong_other > ROWS / 20);
        }
    free(r);
}

/* ---- By hand ---- */

/* a . b + c with these values, the other elements +0. */
struct by_hand {
    const char *what;
    enum dtype t;
    float a[MMA_STEP], b[MMA_STEP];
    float c;
    uint32_t d[MMA_MODEL_COUNT]; /* mma80, mma90 */
};

#define SAME(bits)                                                                                           \
    {                                                                                                        \
        bits, bits                                                                                           \
    }
#define ONE      0x3f800000u
#define NAN_BITS 0x7fc00000u
#define INF_BITS 0x7f800000u

static const struct by_hand hand[] = {
    {"nothing", DTYPE_F16, {0}, {0}, 0.0f, SAME(0)},
    {"c alone", DTYPE_F16, {0}, {0}, 0x1.fffffep3f, SAME(0x417fffff)},
    {"c of -0", DTYPE_F16, {0}, {0}, -0.0f, SAME(0)},
    {"terms of -0", DTYPE_F16, {-0.0f}, {1}, -0.0f, SAME(0)},
    {"1 - 1", DTYPE_BF16, {1}, {-1}, 1.0f, SAME(0)},
    /* the grid: 2^-24 below 1 stays with F = 24, 2^-25 with F = 25; to be seen, 1 is taken away again */
    {"2^-24 beside 1", DTYPE_BF16, {1, 1, -1}, {0x1p-24f, 1, 1}, 0.0f, SAME(0x33800000)},
    {"2^-25 beside 1", DTYPE_BF16, {1, 1, -1}, {0x1p-25f, 1, 1}, 0.0f, {0, 0x33000000}},
    {"2^-26 beside 1", DTYPE_BF16, {1, 1, -1}, {0x1p-26f, 1, 1}, 0.0f, SAME(0)},
    {"cut, not rounded", DTYPE_BF16, {1, 1, -1}, {0x1.fep-25f, 1, 1}, 0.0f, {0, 0x33000000}},
    {"cut toward zero below it", DTYPE_BF16, {1, 1, -1}, {-0x1.fep-25f, 1, 1}, 0.0f, {0, 0xb3000000}},
    {"the grid is that of c", DTYPE_BF16, {1, -1}, {0x1p-25f, 1}, 1.0f, {0, 0x33000000}},
    /* 1.5 * 1.5 has the exponent 0: 2^-24 stays; 2 * 1 has 1: mma80 loses it */
    {"a product is not normalised",
     DTYPE_BF16,
     {1.5f, 1, -1.5f},
     {1.5f, 0x1p-24f, 1.5f},
     0.0f,
     SAME(0x33800000)},
    {"an exponent of 1", DTYPE_BF16, {2, 1, -2}, {1, 0x1p-24f, 1}, 0.0f, {0, 0x33800000}},
    {"a zero has no exponent", DTYPE_F16, {65504, 0x1p-10f, 0}, {0, 0x1p-14f, 65504}, 0.0f, SAME(0x33800000)},
    /* the sum is cut to 24 bits toward zero */
    {"1 + 2^-24", DTYPE_BF16, {1}, {0x1p-24f}, 1.0f, SAME(ONE)},
    {"1 + 3 * 2^-24", DTYPE_BF16, {3}, {0x1p-24f}, 1.0f, SAME(ONE + 1)},
    {"-1 - 3 * 2^-24", DTYPE_BF16, {3}, {-0x1p-24f}, -1.0f, SAME(0x80000000 | (ONE + 1))},
    {"a carry", DTYPE_BF16, {1}, {0x1p-23f}, 0x1.fffffep0f, SAME(0x40000000)},
    {"all carries",
     DTYPE_F16,
     {2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047},
     {2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047, 2047},
     0x1.fffffep20f,
     {0x4c83e000, 0x4c83e001}},
    /* two blocks of 8, the first rounded to fp32 before the second; one of 16 */
    {"8 is in another block",
     DTYPE_BF16,
     {[0] = 1, [8] = -1, [1] = 0x1p-12f},
     {[0] = 1, [8] = 1, [1] = 0x1p-12f},
     0.0f,
     {0, 0x33800000}},
    {"7 is in the same",
     DTYPE_BF16,
     {[0] = 1, [7] = -1, [1] = 0x1p-12f},
     {[0] = 1, [7] = 1, [1] = 0x1p-12f},
     0.0f,
     SAME(0x33800000)},
    {"c goes into the first",
     DTYPE_BF16,
     {[0] = -1, [15] = 0x1p-12f},
     {[0] = 1, [15] = 0x1p-14f},
     1.0f,
     {0x32800000, 0}},
    {"the grid of the first is gone in the second",
     DTYPE_BF16,
     {[0] = 1, [1] = -1, [8] = 0x1p-12f},
     {[0] = 1, [1] = 1, [8] = 0x1p-14f},
     0.0f,
     {0x32800000, 0}},
    /* denormals */
    {"denormal fp16", DTYPE_F16, {0x1p-24f}, {1}, 0.0f, SAME(0x33800000)},
    {"denormal fp16 both", DTYPE_F16, {0x1p-24f}, {0x1p-24f}, 0.0f, SAME(0x27800000)},
    /* 2^-24 has the exponent -14: the grid is 2^-38, 2^-39 */
    {"a denormal's exponent is its type's least",
     DTYPE_F16,
     {0x1p-24f, 0x1p-14f},
     {1, 0x1p-24f},
     0.0f,
     SAME(0x33800200)},
    {"and cuts others", DTYPE_F16, {0x1p-24f, 0x1p-15f}, {1, 0x1p-24f}, 0.0f, {0x33800000, 0x33800100}},
    {"denormal c", DTYPE_BF16, {0}, {0}, 0x1p-149f, SAME(1)},
    {"denormal result", DTYPE_BF16, {0x1p-70f}, {0x1p-70f}, 0.0f, SAME(0x200)},
    {"denormal result is cut", DTYPE_BF16, {0x1.fep-75f}, {0x1p-74f}, 0.0f, SAME(1)},
    {"below the least denormal", DTYPE_BF16, {0x1p-75f}, {0x1p-75f}, 0.0f, SAME(0)},
    {"and negative", DTYPE_BF16, {-0x1p-75f}, {0x1p-75f}, 0.0f, SAME(0)},
    {"and negative, in the second block",
     DTYPE_BF16,
     {[8] = -0x1p-75f},
     {[8] = 0x1p-75f},
     0.0f,
     {0x80000000, 0}},
    /* the grid of mma90 is 2^(-133 - 25) at least, where c is 0 */
    {"2^-158 from 2^-140", DTYPE_BF16, {0x1p-70f, -0x1p-79f}, {0x1p-70f, 0x1p-79f}, 0.0f, SAME(0x1ff)},
    {"2^-159 from 2^-140", DTYPE_BF16, {0x1p-70f, -0x1p-80f}, {0x1p-70f, 0x1p-79f}, 0.0f, {0x1ff, 0x200}},
    {"2^-159 from a c of 2^-140", DTYPE_BF16, {-0x1p-80f}, {0x1p-79f}, 0x1p-140f, SAME(0x200)},
    {"bf16 denormals", DTYPE_BF16, {0x1p-133f}, {0x1p10f}, 0.0f, SAME(0x02000000)},
    {"products far below fp32", DTYPE_BF16, {0x1p-133f}, {0x1p-133f}, 0.0f, SAME(0)},
    {"normal less normal",
     DTYPE_BF16,
     {0x1p-63f, -0x1p-63f},
     {0x1.02p-63f, 0x1p-63f},
     0.0f,
     SAME(0x00010000)},
    /* overflow */
    {"largest", DTYPE_BF16, {0}, {0}, -0x1.fffffep127f, SAME(0xff7fffff)},
    {"cut down to the largest", DTYPE_BF16, {1}, {0x1p103f}, 0x1.fffffep127f, SAME(0x7f7fffff)},
    {"2^128", DTYPE_BF16, {1}, {0x1p104f}, 0x1.fffffep127f, SAME(INF_BITS)},
    {"1.5 * 2^128", DTYPE_BF16, {0x1.8p64f}, {0x1p64f}, 0.0f, SAME(INF_BITS)},
    {"-2^128", DTYPE_BF16, {-0x1p64f}, {0x1p64f}, 0.0f, SAME(0xff800000)},
    {"products beyond fp32 cancel", DTYPE_BF16, {0x1p100f, -0x1p100f}, {0x1p100f, 0x1p100f}, 1.0f, SAME(0)},
    {"infinity on the way",
     DTYPE_BF16,
     {[0] = 0x1p64f, [8] = -0x1p64f},
     {[0] = 0x1p64f, [8] = 0x1p64f},
     1.0f,
     {INF_BITS, 0}},
    /* infinities and NaN */
    {"infinite c", DTYPE_F16, {1}, {1}, -INFINITY, SAME(0xff800000)},
    {"infinite operand", DTYPE_F16, {-INFINITY}, {1}, 0x1.fffffep127f, SAME(0xff800000)},
    {"infinity times infinity", DTYPE_BF16, {INFINITY}, {-INFINITY}, 0.0f, SAME(0xff800000)},
    {"infinity times zero", DTYPE_F16, {INFINITY}, {0}, 0.0f, SAME(NAN_BITS)},
    {"infinities of both signs", DTYPE_F16, {INFINITY, -INFINITY}, {1, 1}, 0.0f, SAME(NAN_BITS)},
    {"infinities across blocks",
     DTYPE_F16,
     {[0] = INFINITY, [8] = -INFINITY},
     {[0] = 1, [8] = 1},
     0.0f,
     SAME(NAN_BITS)},
    {"infinity less infinite c", DTYPE_BF16, {INFINITY}, {1}, -INFINITY, SAME(NAN_BITS)},
    {"NaN operand", DTYPE_BF16, {-NAN}, {0}, 0.0f, SAME(NAN_BITS)},
    {"NaN c", DTYPE_F16, {0}, {0}, -NAN, SAME(NAN_BITS)},
    {"NaN beside infinity", DTYPE_F16, {INFINITY, NAN}, {1, 1}, 0.0f, SAME(NAN_BITS)},
};

TEST(mma, by_hand)
{
    for (size_t i = 0; i < sizeof hand / sizeof hand[0]; ++i)
        for (enum mma_model model = 0; model < MMA_MODEL_COUNT; ++model) {
            uint16_t a[MMA_STEP], b[MMA_STEP];
            for (size_t k = 0; k < MMA_STEP; ++k) {
                dtype_store(hand[i].t, a, k, hand[i].a[k]);
                dtype_store(hand[i].t, b, k, hand[i].b[k]);
            }
            test_note("%s: %s", mma_models[model].word, hand[i].what);
            EXPECT_EQ_BITS(hand[i].d[model], f32_bits(mma_dot(model, hand[i].t, MMA_STEP, a, b, hand[i].c)));
        }
}

/* Elements from `count` on are +0. */
TEST(mma, missing_elements_are_zero)
{
    for (size_t count = 0; count <= MMA_STEP; ++count) {
        uint16_t a[MMA_STEP] = {0}, b[MMA_STEP] = {0}, poison_a[MMA_STEP], poison_b[MMA_STEP];
        memset(poison_a, 0xff, sizeof poison_a);
        memset(poison_b, 0xff, sizeof poison_b);
        for (size_t i = 0; i < count; ++i) {
            poison_a[i] = a[i] = f16_from_f32(random_bell(1, i));
            poison_b[i] = b[i] = f16_from_f32(random_bell(2, i));
        }
        for (enum mma_model model = 0; model < MMA_MODEL_COUNT; ++model) {
            test_note("%s, %zu", mma_models[model].word, count);
            EXPECT_EQ_BITS(f32_bits(mma_dot(model, DTYPE_F16, MMA_STEP, a, b, 0.3f)),
                           f32_bits(mma_dot(model, DTYPE_F16, count, poison_a, poison_b, 0.3f)));
        }
    }
}

/* The order within a block is free; mma80's halves are not one block. */
TEST(mma, order_within_a_block_is_free)
{
    size_t moved_within[MMA_MODEL_COUNT] = {0}, moved_across[MMA_MODEL_COUNT] = {0};
    for (uint64_t trial = 0; trial < 1000; ++trial)
        for (enum mma_model model = 0; model < MMA_MODEL_COUNT; ++model) {
            uint16_t a[MMA_STEP], b[MMA_STEP], a2[MMA_STEP], b2[MMA_STEP];
            const float c = random_bell(3, trial);
            for (size_t i = 0; i < MMA_STEP; ++i) {
                a[i] = bf16_from_f32(random_bell(4, trial * MMA_STEP + i));
                b[i] = bf16_from_f32(random_bell(5, trial * MMA_STEP + i));
            }
            const uint32_t d = f32_bits(mma_dot(model, DTYPE_BF16, MMA_STEP, a, b, c));
            for (size_t i = 0; i < MMA_STEP; ++i) { /* each half turned round */
                a2[i] = a[i ^ 7];
                b2[i] = b[i ^ 7];
            }
            moved_within[model] += d != f32_bits(mma_dot(model, DTYPE_BF16, MMA_STEP, a2, b2, c));
            for (size_t i = 0; i < MMA_STEP; ++i) { /* even elements, then odd ones */
                a2[i] = a[i % 8 * 2 + i / 8];
                b2[i] = b[i % 8 * 2 + i / 8];
            }
            moved_across[model] += d != f32_bits(mma_dot(model, DTYPE_BF16, MMA_STEP, a2, b2, c));
        }
    EXPECT_EQ(0, moved_within[MMA_80]);
    EXPECT_EQ(0, moved_within[MMA_90]);
    EXPECT_EQ(0, moved_across[MMA_90]);
    EXPECT_TRUE(moved_across[MMA_80] > 200);
}

/* ---- The error of one block, matmul_fp64.c: below 10 u (|c| + sum |a b|) ---- */

static double exact_dot(size_t count, const uint16_t *a, const uint16_t *b, float c, double *magnitude)
{
    double sum = (double)c;
    *magnitude = fabs(sum);
    for (size_t i = 0; i < count; ++i) {
        const double product = (double)bf16_to_f32(a[i]) * (double)bf16_to_f32(b[i]);
        sum += product; /* exact: the terms here span less than 53 bits */
        *magnitude += fabs(product);
    }
    return sum;
}

TEST(mma, error_of_a_block_nears_its_bound)
{
    for (enum mma_model model = 0; model < MMA_MODEL_COUNT; ++model) {
        const size_t n = mma_models[model].block;
        double worst = 0, worst_random = 0;
        /* c = 1 and n products that are just too small for its grid: all are lost. One of them made larger,
         * and with it the sum's last bits. */
        for (unsigned first = 1; first < 16; ++first) {
            uint16_t a[MMA_STEP] = {0}, b[MMA_STEP];
            for (size_t i = 0; i < MMA_STEP; ++i) {
                if (i < n)
                    a[i] = bf16_from_f32(ldexpf(0x1.fep-1f, -mma_models[model].fraction_bits));
                b[i] = bf16_from_f32(1.0f);
            }
            a[0] = bf16_from_f32(ldexpf((float)first + 0.99f, -mma_models[model].fraction_bits));
            double magnitude, exact = exact_dot(n, a, b, 1.0f, &magnitude);
            double error =
                fabs((double)mma_dot(model, DTYPE_BF16, n, a, b, 1.0f) - exact) * 0x1p24 / magnitude;
            worst = fmax(worst, error);
        }
        for (uint64_t trial = 0; trial < 20000; ++trial) {
            uint16_t a[MMA_STEP], b[MMA_STEP];
            for (size_t i = 0; i < n; ++i) {
                a[i] = bf16_from_f32(random_exponent(6, trial * n + i, -8, 4));
                b[i] = bf16_from_f32(random_exponent(7, trial * n + i, -8, 4));
            }
            const float c = random_exponent(8, trial, -8, 4);
            double magnitude, exact = exact_dot(n, a, b, c, &magnitude);
            double error = fabs((double)mma_dot(model, DTYPE_BF16, n, a, b, c) - exact) * 0x1p24 / magnitude;
            worst_random = fmax(worst_random, error);
        }
        /* mma80's second block of 8 is empty here and costs nothing. */
        printf("%s: largest error of a block %.2f u of 10 u; of 20,000 random ones %.2f u\n",
               mma_models[model].word, worst, worst_random);
        test_note("%s", mma_models[model].word);
        EXPECT_TRUE(worst < 10 && worst > 8.9);
        EXPECT_TRUE(worst_random < 10);
    }
}

/* Sums as long as those of a layer, of numbers as they come. */
TEST(mma, error_of_long_sums)
{
    enum { K = 4096, SUMS = 200 };
    for (enum mma_model model = 0; model < MMA_MODEL_COUNT; ++model) {
        double worst = 0;
        for (uint64_t s = 0; s < SUMS; ++s) {
            double sum = 0, magnitude = 0;
            float acc = 0.0f;
            for (size_t k = 0; k < K; k += MMA_STEP) {
                uint16_t a[MMA_STEP], b[MMA_STEP];
                double size;
                for (size_t i = 0; i < MMA_STEP; ++i) {
                    a[i] = bf16_from_f32(random_bell(9, s * K + k + i));
                    b[i] = bf16_from_f32(random_bell(10, s * K + k + i));
                }
                sum += exact_dot(MMA_STEP, a, b, 0.0f, &size);
                magnitude += size;
                acc = mma_dot(model, DTYPE_BF16, MMA_STEP, a, b, acc);
            }
            worst = fmax(worst, fabs((double)acc - sum) * 0x1p24 / magnitude);
        }
        const double blocks = (double)(K / mma_models[model].block);
        printf("%s: largest error of %d sums of %d products %.2f u of %.0f u\n", mma_models[model].word, SUMS,
               K, worst, 10 * blocks);
        test_note("%s", mma_models[model].word);
        EXPECT_TRUE(worst > 1 && worst < 10 * blocks);
    }
}

/* ---- What is known about the models ---- */

/* What each part of a model rests on. Confirmed: the outputs named are at hand, and a test holds every one of
 * them against the model. */
struct mma_evidence {
    enum mma_model model;
    const char *path;
    bool confirmed;
    const char *source;
};

#define OUTPUTS       "outputs in north-numerical-computing/MATLAB-tensor-core, 5,000 rows each: "
#define PUBLISHED     "arXiv 2511.10909 and 2512.07004; no outputs at hand"
#define PROBED        "nf4bench probe, 131,072 outputs of either type: H200"
#define PUBLIC_MODELS "the public models of arXiv 2511.10909 and 2512.07004 agree; no outputs at hand"

static const struct mma_evidence mma_evidence[] = {
    {MMA_80, "one block of 8, terms of moderate exponent, none zero", true,
     OUTPUTS "A100 and Ada, fp16 and bf16"},
    {MMA_80, "two blocks of 8, chained through fp32", false, PUBLISHED},
    {MMA_80, "terms that are zero", false, PUBLIC_MODELS},
    {MMA_80, "denormal operands", false, PUBLIC_MODELS},
    {MMA_80, "denormal results", false, PUBLIC_MODELS},
    {MMA_80, "overflow, infinities, NaN", false, PUBLIC_MODELS " (the NaN's payload is dropped here)"},
    {MMA_80, "sign of a result cut to zero", false, "the public models differ"},
    {MMA_90, "one block of 16, terms of moderate exponent, none zero", true, OUTPUTS "H100, fp16 and bf16"},
    {MMA_90, "terms of all exponents", true, PROBED},
    {MMA_90, "terms that are zero", true, PROBED},
    {MMA_90, "denormal operands", true, PROBED},
    {MMA_90, "denormal results, and the sign of one that is cut to zero", true, PROBED},
    {MMA_90, "overflow, infinities, NaN", true, PROBED " (the NaN's payload is dropped here)"},
    {MMA_90, "sm_100 (B200)", false, PUBLISHED},
    {MMA_90, "sm_120 (RTX Blackwell)", false, "arXiv 2511.10909; no outputs at hand"},
};
enum { EVIDENCE_COUNT = sizeof mma_evidence / sizeof mma_evidence[0] };

TEST(mma, evidence_names_what_is_confirmed)
{
    size_t confirmed[MMA_MODEL_COUNT] = {0};
    for (size_t i = 0; i < EVIDENCE_COUNT; ++i) {
        const struct mma_evidence *e = &mma_evidence[i];
        ASSERT_TRUE(e->model < MMA_MODEL_COUNT);
        EXPECT_TRUE(*e->path && *e->source);
        confirmed[e->model] += e->confirmed;
        /* A test reads the outputs of each GPU that a confirmed row names, or holds their hashes (probe.c).
         */
        for (size_t g = 0; e->confirmed && !strstr(e->source, "nf4bench probe") && g < GPUS; ++g)
            EXPECT_EQ(gpus[g].model == e->model, strstr(e->source, gpus[g].gpu) != NULL);
        for (size_t j = 0; j < i; ++j)
            EXPECT_FALSE(mma_evidence[j].model == e->model && strcmp(mma_evidence[j].path, e->path) == 0);
    }
    EXPECT_EQ(1, confirmed[MMA_80]);
    EXPECT_EQ(6, confirmed[MMA_90]);
    EXPECT_STREQ("mma80", mma_models[MMA_80].word);
    EXPECT_STREQ("mma90", mma_models[MMA_90].word);
}
