/* Tests of reference/contract.c: the grammar of names. */
#include "reference/contract.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

/* Calls visit for every combination of values, valid or not; numbers include some that no contract takes. */
static void every_contract(void (*visit)(const struct contract *c, void *context), void *context)
{
    static const unsigned chains[] = {0, 1, 2, 3, 4, 8, 16, 32, 64, 65, 128};
    static const unsigned widths[] = {0, 1, 2, 3, 8, 64, 65}, splits[] = {0, 1, 2, 7, 10, 64, 65};
    enum { CHAINS = sizeof chains / sizeof chains[0], SPLITS = sizeof splits / sizeof splits[0] };
    enum { NUMBERS = CHAINS * SPLITS * (sizeof widths / sizeof widths[0]) };
    for (unsigned op = OP_DEQUANT; op < OP_COUNT; ++op)
        for (unsigned out = 0; out <= DTYPE_U8; ++out)
            for (unsigned bits = 0; bits < 8; ++bits)
                for (unsigned acc = ACC_NONE; acc <= ACC_ANY; ++acc)
                    for (unsigned nested = NESTED_NONE; nested <= NESTED_FUSED; ++nested)
                        for (size_t i = 0; i < NUMBERS; ++i) {
                            struct contract c = {
                                .format = FORMAT_NF4,
                                .op = op,
                                .out = out,
                                .decode = bits & 1 ? DECODE_OUT : DECODE_F32,
                                .scale = bits & 2 ? SCALE_BLOCK : SCALE_WEIGHT,
                                .accumulation = acc,
                                .chains = chains[i % CHAINS],
                                .width = widths[i / CHAINS / SPLITS],
                                .splits = splits[i / CHAINS % SPLITS],
                                .nested = nested,
                                .denormals = bits & 4 ? DENORMALS_FLUSH : DENORMALS_IEEE,
                            };
                            visit(&c, context);
                        }
}

struct names {
    size_t count;
    char (*name)[CONTRACT_NAME_MAX];
};

static void round_trip(const struct contract *c, void *context)
{
    struct names *names = context;
    char name[CONTRACT_NAME_MAX], variant[VARIANT_NAME_MAX];
    if (contract_invalid(c))
        return;
    ASSERT_TRUE(contract_format(c, name, sizeof name));
    memcpy(names->name[names->count++], name, sizeof name);
    test_note("%s", name);

    struct contract parsed;
    const char *arch = NULL;
    ASSERT_TRUE(contract_parse(name, &parsed, &arch));
    EXPECT_TRUE(contract_equal(c, &parsed));
    EXPECT_STREQ("", arch);
    EXPECT_TRUE(arch == name + strlen(name));

    snprintf(variant, sizeof variant, "%s__sm80_simt_64x64x32_t256_v4", name);
    ASSERT_TRUE(contract_parse(variant, &parsed, &arch));
    EXPECT_TRUE(contract_equal(c, &parsed));
    EXPECT_STREQ("sm80_simt_64x64x32_t256_v4", arch);
    EXPECT_TRUE(contract_parse(name, &parsed, NULL));
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(a, b);
}

TEST(contract, every_valid_contract_survives_its_name)
{
    struct names names = {.name = malloc(20000 * sizeof *names.name)};
    ASSERT_TRUE(names.name != NULL);
    every_contract(round_trip, &names);
    test_note(NULL);
    /* dequant: 5 (out, decode) * 3 nested * 2 denormals; gemm and gemmdx: the same 30, by 2 and 1 scale
     * points, by 7 chains * 4 widths * 5 splits and any; dpbf16: 3 (decode, scale) * 3 nested; mma80, mma90:
     * 2 op * 4 (out, decode) * 3 nested * 5 splits; repack and unrepack. */
    EXPECT_EQ(2 + 30 + 30 * 3 * (7 * 4 * 5 + 1) + 9 + 2 * 2 * 4 * 3 * 5, names.count);
    qsort(names.name, names.count, sizeof *names.name, compare_names);
    for (size_t i = 1; i < names.count; ++i)
        if (strcmp(names.name[i - 1], names.name[i]) == 0) {
            test_note("%s", names.name[i]);
            EXPECT_TRUE(!"two contracts have two names");
        }
    free(names.name);
}

TEST(contract, names_in_print)
{
    static const struct {
        const char *name;
        struct contract c;
    } rows[] = {
        {"nf4_dequant_f32", {.op = OP_DEQUANT, .out = DTYPE_F32}},
        {"nf4_dequant_bf16_c16_twostep_ftz",
         {.op = OP_DEQUANT,
          .out = DTYPE_BF16,
          .decode = DECODE_OUT,
          .nested = NESTED_TWOSTEP,
          .denormals = DENORMALS_FLUSH}},
        {"nf4_gemm_f16_acc1",
         {.op = OP_GEMM, .out = DTYPE_F16, .accumulation = ACC_CHAINS, .chains = 1, .width = 1, .splits = 1}},
        {"nf4_gemm_bf16_sblk_acc16_fused",
         {.op = OP_GEMM,
          .out = DTYPE_BF16,
          .scale = SCALE_BLOCK,
          .accumulation = ACC_CHAINS,
          .chains = 16,
          .width = 1,
          .splits = 1,
          .nested = NESTED_FUSED}},
        {"nf4_gemm_f32_acc32x4",
         {.op = OP_GEMM,
          .out = DTYPE_F32,
          .accumulation = ACC_CHAINS,
          .chains = 32,
          .width = 1,
          .splits = 4}},
        {"nf4_gemm_f16_acc32w8",
         {.op = OP_GEMM,
          .out = DTYPE_F16,
          .accumulation = ACC_CHAINS,
          .chains = 32,
          .width = 8,
          .splits = 1}},
        {"nf4_gemm_bf16_sblk_acc1w64x64",
         {.op = OP_GEMM,
          .out = DTYPE_BF16,
          .scale = SCALE_BLOCK,
          .accumulation = ACC_CHAINS,
          .chains = 1,
          .width = 64,
          .splits = 64}},
        {"nf4_gemm_f16_mma80", {.op = OP_GEMM, .out = DTYPE_F16, .accumulation = ACC_MMA80, .splits = 1}},
        {"nf4_gemm_bf16_c16_mma90x8_fused",
         {.op = OP_GEMM,
          .out = DTYPE_BF16,
          .decode = DECODE_OUT,
          .accumulation = ACC_MMA90,
          .splits = 8,
          .nested = NESTED_FUSED}},
        {"nf4_gemm_bf16_dpbf16_ftz",
         {.op = OP_GEMM,
          .out = DTYPE_BF16,
          .accumulation = ACC_DPBF16,
          .chains = 16,
          .splits = 1,
          .denormals = DENORMALS_FLUSH}},
        {"nf4_gemm_f16_any", {.op = OP_GEMM, .out = DTYPE_F16, .accumulation = ACC_ANY}},
        {"nf4_gemmdx_bf16_acc64x64",
         {.op = OP_GEMMDX,
          .out = DTYPE_BF16,
          .accumulation = ACC_CHAINS,
          .chains = 64,
          .width = 1,
          .splits = 64}},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        char name[CONTRACT_NAME_MAX];
        struct contract parsed;
        test_note("%s", rows[i].name);
        EXPECT_TRUE(contract_invalid(&rows[i].c) == NULL);
        EXPECT_TRUE(contract_format(&rows[i].c, name, sizeof name));
        EXPECT_STREQ(rows[i].name, name);
        EXPECT_TRUE(contract_parse(rows[i].name, &parsed, NULL) && contract_equal(&rows[i].c, &parsed));
    }
}

TEST(contract, rejected_names)
{
    static const char *const rows[] = {
        "",
        "_",
        "__",
        "nf4",
        "nf4_",
        "nf4_gemm",
        "nf4_gemm_f16", /* no accumulation */
        "nf4_dequant",  /* no type */
        "dequant_f32",  /* no format */
        "nf4_f32",      /* no operation */
        "gptq_dequant_f32",
        "NF4_dequant_f32",
        "nf4_conv_f32_acc1",
        "nf4_dequant_f64",
        "nf4_dequant_f32_",
        "_nf4_dequant_f32",
        "nf4_dequant_f32__", /* an arch is promised and missing */
        "nf4__dequant_f32",
        "nf4_dequant_f32_fast",
        "nf4_dequant_f32 ",
        "nf4_dequant_f32_none", /* the default has no word */
        "nf4_dequant_f32_acc1",
        "nf4_dequant_bf16_sblk",
        "nf4_dequant_f32_c16",
        "nf4_gemm_f16_acc",
        "nf4_gemm_f16_acc0",
        "nf4_gemm_f16_acc3",
        "nf4_gemm_f16_acc01",
        "nf4_gemm_f16_acc128",
        "nf4_gemm_f16_acc16x",
        "nf4_gemm_f16_acc16x0",
        "nf4_gemm_f16_acc16x1", /* one split has one spelling */
        "nf4_gemm_f16_acc16x02",
        "nf4_gemm_f16_acc16x65",
        "nf4_gemm_f16_acc16x2x2",
        "nf4_gemm_f16_accx2",
        "nf4_gemm_f16_acc+1",
        "nf4_gemm_f16_acc-1",
        "nf4_gemm_f16_acc 1",
        "nf4_gemm_f16_acc16a",
        "nf4_gemm_f16_acc4294967297",
        "nf4_gemm_f16_acc16w", /* a width of one has one spelling too */
        "nf4_gemm_f16_acc16w0",
        "nf4_gemm_f16_acc16w1",
        "nf4_gemm_f16_acc16w01",
        "nf4_gemm_f16_acc16w3",
        "nf4_gemm_f16_acc16w128",
        "nf4_gemm_f16_acc16wx2",
        "nf4_gemm_f16_acc16w8x1",
        "nf4_gemm_f16_acc16w8x",
        "nf4_gemm_f16_acc16w8w8",
        "nf4_gemm_f16_acc16x2w8", /* the order of the numbers is fixed */
        "nf4_gemm_f16_accw8",
        "nf4_gemm_f32_mma80", /* 16-bit operands only */
        "nf4_gemm_f32_mma90",
        "nf4_gemm_f16_mma",
        "nf4_gemm_f16_mma8",
        "nf4_gemm_f16_mma89",
        "nf4_gemm_f16_mma801",
        "nf4_gemm_f16_mma90x1",
        "nf4_gemm_f16_mma90x65",
        "nf4_gemm_f16_mma90w8",
        "nf4_gemm_f16_mma90x",
        "nf4_gemm_f16_mma90_ftz",
        "nf4_gemm_f16_sblk_mma90",
        "nf4_dequant_f16_mma90",
        "nf4_gemm_f16_any2",
        "nf4_gemm_f16_acc1_any",
        "nf4_gemm_f16_dpbf16_ftz",
        "nf4_gemm_bf16_dpbf16",
        "nf4_gemm_bf16_sblk_dpbf16_ftz",
        "nf4_gemmdx_bf16_dpbf16_ftz",
        "nf4_gemmdx_bf16_sblk_acc16",
        "nf4_gemm_bf16_acc16_twostep_fused",
        "nf4_gemm_bf16_acc16_fused_twostep",
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        struct contract c = {.chains = 99};
        const char *arch = "untouched";
        test_note("\"%s\"", rows[i]);
        EXPECT_FALSE(contract_parse(rows[i], &c, &arch));
        EXPECT_EQ(99, c.chains);
        EXPECT_STREQ("untouched", arch);
    }
}

/* A name with every field present: any two words exchanged, or any word repeated, must not parse. */
TEST(contract, words_out_of_order_or_repeated)
{
    static const char *const words[] = {"nf4", "gemm", "bf16", "c16", "sblk", "acc16", "twostep", "ftz"};
    enum { COUNT = sizeof words / sizeof words[0] };
    struct contract c;
    char name[256];
    for (int i = 0; i < COUNT; ++i) {
        for (int j = i; j < COUNT; ++j) {
            name[0] = 0;
            for (int w = 0; w < COUNT; ++w) {
                if (w)
                    strcat(name, "_");
                strcat(name, words[w == i ? j : w == j ? i : w]);
            }
            test_note("%s", name);
            EXPECT_EQ(i == j, contract_parse(name, &c, NULL));
        }
        name[0] = 0;
        for (int w = 0; w < COUNT; ++w) {
            if (w)
                strcat(name, "_");
            strcat(name, words[w]);
            if (w == i) {
                strcat(name, "_");
                strcat(name, words[w]);
            }
        }
        test_note("%s", name);
        EXPECT_FALSE(contract_parse(name, &c, NULL));
    }
}

TEST(contract, format_needs_room)
{
    const struct contract c = {.op = OP_GEMM,
                               .out = DTYPE_BF16,
                               .accumulation = ACC_CHAINS,
                               .chains = 16,
                               .width = 2,
                               .splits = 4,
                               .nested = NESTED_FUSED};
    const char *want = "nf4_gemm_bf16_acc16w2x4_fused";
    char name[CONTRACT_NAME_MAX];
    for (size_t size = 0; size <= strlen(want) + 1; ++size) {
        memset(name, 'x', sizeof name);
        test_note("size %zu", size);
        EXPECT_EQ(size > strlen(want), contract_format(&c, name, size));
        EXPECT_EQ('x', name[size]);
    }
    EXPECT_STREQ(want, name);
    struct contract unknown = c;
    unknown.nested = (enum nested)7;
    EXPECT_FALSE(contract_format(&unknown, name, sizeof name));
}

TEST(contract, invalid_sentences)
{
    const struct contract dequant = {.op = OP_DEQUANT, .out = DTYPE_BF16};
    const struct contract gemm = {
        .op = OP_GEMM, .out = DTYPE_BF16, .accumulation = ACC_CHAINS, .chains = 16, .width = 1, .splits = 1};
    const struct contract mma = {.op = OP_GEMM, .out = DTYPE_BF16, .accumulation = ACC_MMA90, .splits = 1};
    const struct contract dpbf16 = {.op = OP_GEMM,
                                    .out = DTYPE_BF16,
                                    .accumulation = ACC_DPBF16,
                                    .chains = 16,
                                    .splits = 1,
                                    .denormals = DENORMALS_FLUSH};
    EXPECT_TRUE(contract_invalid(&dequant) == NULL);
    EXPECT_TRUE(contract_invalid(&gemm) == NULL);
    EXPECT_TRUE(contract_invalid(&dpbf16) == NULL);
    EXPECT_TRUE(contract_invalid(&mma) == NULL);
    struct contract c;
#define EXPECT_SENTENCE(base, field, value, part)                                                            \
    do {                                                                                                     \
        c = base;                                                                                            \
        c.field = value;                                                                                     \
        EXPECT_CONTAINS(contract_invalid(&c), part);                                                         \
    } while (0)
    EXPECT_SENTENCE(dequant, accumulation, ACC_ANY, "no accumulation");
    EXPECT_SENTENCE(dequant, scale, SCALE_BLOCK, "dequantize scales per weight");
    EXPECT_SENTENCE(dequant, chains, 1, "belong to acc");
    EXPECT_SENTENCE(dequant, width, 1, "belongs to acc");
    EXPECT_SENTENCE(dequant, splits, 1, "belong to acc");
    EXPECT_SENTENCE(gemm, accumulation, ACC_NONE, "needs an accumulation");
    EXPECT_SENTENCE(gemm, accumulation, ACC_ANY, "belong to acc");
    EXPECT_SENTENCE(gemm, chains, 0, "power of two");
    EXPECT_SENTENCE(gemm, chains, 12, "power of two");
    EXPECT_SENTENCE(gemm, chains, 128, "power of two");
    EXPECT_SENTENCE(gemm, width, 0, "power of two");
    EXPECT_SENTENCE(gemm, width, 12, "power of two");
    EXPECT_SENTENCE(gemm, width, 128, "power of two");
    EXPECT_SENTENCE(gemm, splits, 0, "from 1 to 64");
    EXPECT_SENTENCE(gemm, splits, 65, "from 1 to 64");
    EXPECT_SENTENCE(dpbf16, op, OP_GEMMDX, "forward");
    EXPECT_SENTENCE(dpbf16, out, DTYPE_F16, "needs bf16");
    EXPECT_SENTENCE(dpbf16, denormals, DENORMALS_IEEE, "flushes denormals");
    EXPECT_SENTENCE(dpbf16, scale, SCALE_BLOCK, "c16 is missing");
    EXPECT_SENTENCE(dpbf16, chains, 8, "16 chains");
    EXPECT_SENTENCE(dpbf16, splits, 2, "one split");
    EXPECT_SENTENCE(dpbf16, width, 8, "belongs to acc");
    EXPECT_SENTENCE(mma, op, OP_DEQUANT, "no accumulation");
    c = mma;
    c.op = OP_GEMMDX;
    EXPECT_TRUE(contract_invalid(&c) == NULL);
    EXPECT_SENTENCE(mma, out, DTYPE_F32, "16-bit");
    EXPECT_SENTENCE(mma, scale, SCALE_BLOCK, "scale per weight");
    EXPECT_SENTENCE(mma, denormals, DENORMALS_FLUSH, "keep denormals");
    EXPECT_SENTENCE(mma, chains, 16, "belong to acc");
    EXPECT_SENTENCE(mma, width, 16, "belongs to acc");
    EXPECT_SENTENCE(mma, splits, 0, "from 1 to 64");
    EXPECT_SENTENCE(mma, splits, 65, "from 1 to 64");
    EXPECT_SENTENCE(gemm, op, (enum op)17, "not in contract.inc");
    EXPECT_SENTENCE(gemm, format, FORMAT_COUNT, "not in contract.inc");
    EXPECT_SENTENCE(gemm, out, (enum dtype)17, "not in contract.inc");
    EXPECT_SENTENCE(gemm, out, DTYPE_U8, "u8 is what repack");
    const struct contract repack = {.op = OP_REPACK, .out = DTYPE_U8};
    EXPECT_TRUE(contract_invalid(&repack) == NULL);
    EXPECT_SENTENCE(repack, out, DTYPE_BF16, "u8 is what repack");
    EXPECT_SENTENCE(repack, nested, NESTED_FUSED, "move codes");
    EXPECT_SENTENCE(repack, denormals, DENORMALS_FLUSH, "move codes");
    struct contract gemm_f32 = gemm, gemmdx = gemm;
    gemm_f32.out = DTYPE_F32;
    gemmdx.op = OP_GEMMDX;
    EXPECT_SENTENCE(gemm_f32, decode, DECODE_OUT, "16-bit");
    EXPECT_SENTENCE(gemmdx, scale, SCALE_BLOCK, "gemmdx scales per weight");
#undef EXPECT_SENTENCE
}

/* contract_equal must see each field. */
TEST(contract, equality_sees_every_field)
{
    const struct contract base = {
        .op = OP_GEMM, .out = DTYPE_BF16, .accumulation = ACC_CHAINS, .chains = 16, .width = 1, .splits = 1};
    struct contract other = base;
    EXPECT_TRUE(contract_equal(&base, &other));
#define EXPECT_SEEN(field, value)                                                                            \
    do {                                                                                                     \
        other = base;                                                                                        \
        other.field = value;                                                                                 \
        EXPECT_FALSE(contract_equal(&base, &other));                                                         \
    } while (0)
    EXPECT_SEEN(format, (enum format)1);
    EXPECT_SEEN(op, OP_GEMMDX);
    EXPECT_SEEN(out, DTYPE_F16);
    EXPECT_SEEN(decode, DECODE_OUT);
    EXPECT_SEEN(scale, SCALE_BLOCK);
    EXPECT_SEEN(accumulation, ACC_ANY);
    EXPECT_SEEN(chains, 8);
    EXPECT_SEEN(width, 2);
    EXPECT_SEEN(splits, 2);
    EXPECT_SEEN(nested, NESTED_FUSED);
    EXPECT_SEEN(denormals, DENORMALS_FLUSH);
#undef EXPECT_SEEN
}

TEST(contract, words_of_enums)
{
    static const char *const op_words[OP_COUNT] = {"dequant", "gemm", "gemmdx", "repack", "unrepack"};
    for (enum op op = 0; op < OP_COUNT; ++op) {
        enum op parsed = OP_COUNT;
        EXPECT_STREQ(op_words[op], op_word(op));
        EXPECT_TRUE(op_parse(op_words[op], &parsed));
        EXPECT_EQ(op, parsed);
    }
    enum op parsed;
    EXPECT_FALSE(op_parse("gem", &parsed));
    EXPECT_FALSE(op_parse("", &parsed));
}
