/*
 * The executor's tensor cores (harness/device/simt/tensor_core.c): held against outputs of GPUs in
 * ../shared/data/tensor-core-vectors (or the folder that NF4BENCH_TENSOR_CORE_VECTORS names), against cases
 * worked by hand, and the tile against the single dot product.
 */
#include "harness/device/simt/tensor_core.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <zlib.h>

#include "harness/base/random.h"
#include "tests/test.h"

static uint32_t bits_of(float x)
{
    uint32_t u;
    memcpy(&u, &x, 4);
    return u;
}

static float float_of(uint32_t u)
{
    float x;
    memcpy(&x, &u, 4);
    return x;
}

/* fp32 that is exactly representable. */
static uint16_t f16_of(float x)
{
    uint32_t u = bits_of(x), sign = u >> 16 & 0x8000, size = u & 0x7fffffff;
    if (size < 0x38800000) /* below 2^-14: a multiple of 2^-24 */
        return (uint16_t)(sign | (uint32_t)(fabsf(x) * 0x1p24f));
    return (uint16_t)(sign | ((size - 0x38000000) >> 13));
}

static uint16_t operand(enum tensor_core_type type, float x)
{
    return type == TENSOR_CORE_BF16 ? (uint16_t)(bits_of(x) >> 16) : f16_of(x);
}

static gzFile vectors(const char *gpu, const char *type, char which)
{
    const char *named = getenv("NF4BENCH_TENSOR_CORE_VECTORS");
    const char *folder = named && *named ? named : NF4BENCH_SOURCE_DIR "/../shared/data/tensor-core-vectors";
    char path[1024];
    snprintf(path, sizeof path, "%s/%s_%s_%c.txt.gz", folder, gpu, type, which);
    return gzopen(path, "rb");
}

/* Rows whose output differs; -1 if the files cannot be read. */
static int wrong_rows(const char *gpu, enum simt_tensor_core core, enum tensor_core_type type, int *row_count)
{
    const char *word = type == TENSOR_CORE_BF16 ? "bf16" : "fp16";
    int products = core == SIMT_TENSOR_CORE_80 ? 8 : 16, wrong = 0, rows = 0;
    gzFile file[4];
    bool whole = true;
    for (int i = 0; i < 4; i++)
        whole &= (file[i] = vectors(gpu, word, "abcd"[i])) != NULL;
    char line[4][512];
    while (whole && gzgets(file[0], line[0], sizeof line[0])) {
        for (int i = 1; i < 4; i++)
            whole = whole && gzgets(file[i], line[i], sizeof line[i]);
        uint16_t x[2][16];
        for (int i = 0; i < 2; i++) {
            char *at = line[i];
            for (int k = 0; k < products; k++)
                x[i][k] = operand(type, float_of((uint32_t)strtoul(at, &at, 16)));
        }
        float c = float_of((uint32_t)strtoul(line[2], NULL, 2));
        uint32_t d = (uint32_t)strtoul(line[3], NULL, 2);
        wrong += bits_of(tensor_core_dot(core, type, x[0], x[1], c)) != d;
        rows++;
    }
    for (int i = 0; i < 4; i++)
        if (file[i])
            gzclose(file[i]);
    *row_count = rows;
    return whole ? wrong : -1;
}

TEST(simt_tensor_core, gives_what_gpus_gave)
{
    static const struct {
        const char *gpu;
        enum simt_tensor_core core;
    } gpus[] = {{"A100", SIMT_TENSOR_CORE_80}, {"Ada", SIMT_TENSOR_CORE_80}, {"H100", SIMT_TENSOR_CORE_90}};
    gzFile first = vectors("A100", "fp16", 'a');
    if (!first)
        SKIP("no outputs of tensor cores: ../shared/data/tensor-core-vectors is not there, and "
             "NF4BENCH_TENSOR_CORE_VECTORS does not name it");
    gzclose(first);
    for (size_t i = 0; i < sizeof gpus / sizeof gpus[0]; i++)
        for (int type = 0; type < 2; type++) {
            int rows;
            test_note("%s, type %d", gpus[i].gpu, type);
            EXPECT_EQ(0, wrong_rows(gpus[i].gpu, gpus[i].core, (enum tensor_core_type)type, &rows));
            EXPECT_EQ(5000, rows);
        }
}

/* Sums of a few terms, one bit either side of what a model keeps. a[k] * b[k] for k < 3, and c. */
TEST(simt_tensor_core, cuts_where_it_should)
{
    static const struct {
        float a[3], b[3], c, want[2]; /* by core */
    } rows[] = {
        {{1, 0x1p-12f}, {1, 0x1p-12f}, -1, {0x1p-24f, 0x1p-24f}},
        {{1, 0x1p-12f}, {1, 0x1p-13f}, -1, {0, 0x1p-25f}},
        {{1, 0x1p-13f}, {1, 0x1p-13f}, -1, {0, 0}},
        /* terms are cut toward zero, whatever their sign */
        {{1, 0x1p-12f}, {1, 0x1.8p-12f}, -1, {0x1p-24f, 0x1.8p-24f}},
        {{-1, -0x1p-12f}, {1, 0x1.8p-12f}, 1, {-0x1p-24f, -0x1.8p-24f}},
        /* 1.5 * 1.5 counts with exponent 0 although it is above 2; an accumulator of 2.25 with 1 */
        {{1.5f, 1.5f, 0x1p-12f}, {1.5f, -1.5f, 0x1p-12f}, 0, {0x1p-24f, 0x1p-24f}},
        {{1.5f, 1.5f, 0x1p-12f}, {1.5f, -1.5f, 0x1p-13f}, 0, {0, 0x1p-25f}},
        {{1.5f, 0x1p-12f}, {1.5f, 0x1p-12f}, -2.25f, {0, 0x1p-24f}},
        /* a zero has no exponent; zeros make +0 */
        {{0, 0x1p-14f}, {2, 0x1p-14f}, 0, {0x1p-28f, 0x1p-28f}},
        {{-0.0f}, {1}, -0.0f, {0, 0}},
        /* denormals of fp16 count, with the least exponent, -14 */
        {{0x1p-24f}, {1}, 0x1p-38f, {0x1.0004p-24f, 0x1.0004p-24f}},
        {{0x1p-24f}, {1}, 0x1p-39f, {0x1p-24f, 0x1.0002p-24f}},
        {{0x1p-24f}, {1}, 0x1p-40f, {0x1p-24f, 0x1p-24f}},
        /* so do those of fp32, on both sides */
        {{0}, {0}, 0x1p-149f, {0x1p-149f, 0x1p-149f}},
        {{0}, {0}, -0x1.fffffcp-127f, {-0x1.fffffcp-127f, -0x1.fffffcp-127f}},
        /* the sum is cut, not rounded */
        {{1, 1}, {1, 0x1p-15f}, 0x1.fffffep+9f, {0x1.003ffep+10f, 0x1.003ffep+10f}},
        {{-1, -1}, {1, 0x1p-15f}, -0x1.fffffep+9f, {-0x1.003ffep+10f, -0x1.003ffep+10f}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int variant = 0; variant < 4; variant++) {
            enum simt_tensor_core core = (enum simt_tensor_core)(variant & 1);
            enum tensor_core_type type = (enum tensor_core_type)(variant >> 1);
            uint16_t a[16] = {0}, b[16] = {0};
            if (type == TENSOR_CORE_BF16 && rows[i].a[0] == 0x1p-24f)
                continue; /* is not denormal there */
            for (int k = 0; k < 3; k++) {
                a[k] = operand(type, rows[i].a[k]);
                b[k] = operand(type, rows[i].b[k]);
            }
            test_note("row %zu, core %d, type %d", i, core, type);
            EXPECT_EQ_BITS(bits_of(rows[i].want[core]),
                           bits_of(tensor_core_dot(core, type, a, b, rows[i].c)));
        }
}

enum { F16_ONE = 0x3c00, F16_INFINITY = 0x7c00, F16_NAN = 0x7e01, F16_MINUS = 0x8000 };

/* Not held against a GPU: the published models say so. */
TEST(simt_tensor_core, infinities_and_nans)
{
    static const struct {
        uint16_t a[2], b[2];
        uint32_t c, want;
    } rows[] = {
        {{F16_INFINITY}, {F16_ONE}, 0, 0x7f800000},
        {{F16_INFINITY}, {F16_ONE | F16_MINUS}, 0x7f7fffff, 0xff800000},
        {{F16_INFINITY}, {0}, 0, 0x7fffffff},
        {{F16_INFINITY}, {F16_MINUS}, 0, 0x7fffffff},
        {{F16_INFINITY, F16_INFINITY}, {F16_ONE, F16_ONE | F16_MINUS}, 0, 0x7fffffff},
        {{F16_INFINITY, F16_INFINITY}, {F16_ONE, F16_ONE}, 0, 0x7f800000},
        {{F16_INFINITY | F16_MINUS}, {F16_INFINITY}, 0, 0xff800000},
        {{F16_INFINITY}, {F16_ONE}, 0xff800000, 0x7fffffff},
        {{F16_ONE}, {F16_ONE}, 0xff800000, 0xff800000},
        {{F16_NAN}, {F16_ONE}, 0, 0x7fffffff},
        {{0}, {F16_NAN | F16_MINUS}, 0, 0x7fffffff},
        {{F16_ONE}, {F16_ONE}, 0xff800001, 0x7fffffff},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        for (int core = 0; core < 2; core++) {
            uint16_t a[16] = {rows[i].a[0], rows[i].a[1]}, b[16] = {rows[i].b[0], rows[i].b[1]};
            test_note("row %zu, core %d", i, core);
            EXPECT_EQ_BITS(rows[i].want, bits_of(tensor_core_dot((enum simt_tensor_core)core, TENSOR_CORE_F16,
                                                                 a, b, float_of(rows[i].c))));
        }
}

TEST(simt_tensor_core, overflow)
{
    uint16_t a[16] = {0}, b[16] = {0};
    for (int core = 0; core < 2; core++) {
        enum simt_tensor_core c = (enum simt_tensor_core)core;
        a[0] = operand(TENSOR_CORE_BF16, 0x1p64f);
        b[0] = operand(TENSOR_CORE_BF16, 0x1p64f); /* 2^128, which no fp32 holds, but an aligned term does */
        EXPECT_EQ_BITS(0x7f800000, bits_of(tensor_core_dot(c, TENSOR_CORE_BF16, a, b, 0)));
        EXPECT_EQ_BITS(0x7f7fffff, bits_of(tensor_core_dot(c, TENSOR_CORE_BF16, a, b, -0x1p104f)));
        b[0] = operand(TENSOR_CORE_BF16, -0x1p64f);
        EXPECT_EQ_BITS(0xff800000, bits_of(tensor_core_dot(c, TENSOR_CORE_BF16, a, b, 0)));
    }
    /* The most that 16 products and an accumulator of the same exponent can be. */
    for (int k = 0; k < 16; k++)
        a[k] = b[k] = 0x7bff;
    EXPECT_EQ_BITS(bits_of(16 * 65504.0f * 65504.0f),
                   bits_of(tensor_core_dot(SIMT_TENSOR_CORE_90, TENSOR_CORE_F16, a, b, 0)));
    EXPECT_EQ_BITS(0x5183e001,
                   bits_of(tensor_core_dot(SIMT_TENSOR_CORE_90, TENSOR_CORE_F16, a, b, 0x1.fffffep30f)));
}

/* The tile's fast way gives each element what the dot products of its blocks give one after another, also
 * where the first overflows. */
TEST(simt_tensor_core, a_tile_is_its_dot_products)
{
    uint64_t n = 0;
    for (int round = 0; round < 400; round++) {
        enum simt_tensor_core core = (enum simt_tensor_core)(round & 1);
        enum tensor_core_type type = (enum tensor_core_type)(round >> 1 & 1);
        int block = core == SIMT_TENSOR_CORE_80 ? 8 : 16;
        struct tensor_core_tile tile, before;
        for (int i = 0; i < 256; i++)
            tile.a[i / 16][i % 16] = (uint16_t)random_u64(1, RANDOM_CODES, n++);
        for (int i = 0; i < 128; i++) {
            tile.b[i / 8][i % 8] = (uint16_t)random_u64(1, RANDOM_CODES, n++);
            tile.d[i / 8][i % 8] = float_of((uint32_t)random_u64(1, RANDOM_CODES, n++));
        }
        if (round & 4) /* numbers only, of about one size */
            for (int i = 0; i < 256; i++) {
                uint16_t keep = type == TENSOR_CORE_BF16 ? 0x81ff : 0x8fff, set = type ? 0x3e00 : 0x3000;
                tile.a[i / 16][i % 16] = (tile.a[i / 16][i % 16] & keep) | set;
                tile.b[i / 16][i % 8] = (tile.b[i / 16][i % 8] & keep) | set;
                tile.d[i / 16][i % 8] = float_of((bits_of(tile.d[i / 16][i % 8]) & 0x83ffffff) | 0x3c000000);
            }
        before = tile;
        tensor_core_mma(core, type, &tile);
        for (int i = 0; i < 16; i++)
            for (int j = 0; j < 8; j++) {
                uint16_t column[16];
                for (int k = 0; k < 16; k++)
                    column[k] = before.b[k][j];
                float want = before.d[i][j];
                for (int first = 0; first < 16; first += block)
                    want = tensor_core_dot(core, type, before.a[i] + first, column + first, want);
                test_note("round %d, row %d, column %d", round, i, j);
                EXPECT_EQ_BITS(bits_of(want), bits_of(tile.d[i][j]));
            }
    }
}
