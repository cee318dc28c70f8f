/* Tests of the diagnoses: kernels with one error each, made here from codes, scales and zero points alone, must
 * get the text that names the error, and mismatches that no error explains must get none. */
#include "harness/verify/diagnose.h"

#include <math.h>
#include <string.h>

#include "harness/base/random.h"
#include "reference/dtype.h"
#include "tests/test.h"

/* ---- weights ---- */

enum { ROWS = 16, BLOCKSIZE = 32, COUNT_MAX = ROWS * 96, BLOCKS_MAX = COUNT_MAX / BLOCKSIZE };

/* NF4's rows of 80 begin and end inside of blocks. */
enum kind { PLAIN, NESTED, ZEROS_AND_G_IDX };

struct weights {
    enum kind kind;
    size_t columns, count;
    uint8_t code[COUNT_MAX], packed[COUNT_MAX / 2], absmax_code[BLOCKS_MAX], zero[BLOCKS_MAX];
    float absmax[BLOCKS_MAX], nested_absmax, map[NESTED_MAP_SIZE];
    uint16_t scale[BLOCKS_MAX];
    uint32_t group_of[COUNT_MAX / ROWS];
    struct quantized w;
    struct contract c;
};

static void make_weights(enum kind kind, enum dtype out, struct weights *f)
{
    const bool int4 = kind == ZEROS_AND_G_IDX;
    *f = (struct weights){.kind = kind, .columns = int4 ? 96 : 80, .nested_absmax = 1.37f};
    f->count = ROWS * f->columns;
    for (size_t i = 0; i < f->count; i++)
        f->code[i] = (uint8_t)(random_u64(1, RANDOM_CODES, i) % 16);
    nf4_pack(f->code, f->count, f->packed);
    nested_dynamic_map(f->map);
    for (size_t b = 0; b < f->count / BLOCKSIZE; b++) {
        const uint64_t draw = random_u64(1, RANDOM_SCALES, b);
        f->absmax[b] = 0.01f + (float)(draw % 4093) / 4096;
        f->absmax_code[b] = (uint8_t)(160 + draw % 90);
        f->scale[b] = f16_from_f32(f->absmax[b]);
        f->zero[b] = (uint8_t)(1 + (draw >> 32) % 14);
    }
    for (size_t i = 0; i < f->columns; i++)
        f->group_of[i] = (uint32_t)(i * 7 % f->columns / BLOCKSIZE);
    f->w = (struct quantized){
        .count = f->count, .columns = f->columns, .blocksize = BLOCKSIZE, .packed = f->packed};
    f->c = (struct contract){.op = OP_DEQUANT, .out = out};
    if (int4) {
        f->w.format = f->c.format = FORMAT_INT4;
        f->w.scale = f->scale;
        f->w.zero = f->zero;
        f->w.group_of = f->group_of;
    } else if (kind == NESTED) {
        f->w.nested = (struct nested_absmax){f->absmax_code, &f->nested_absmax, f->map, 0.0123f};
        f->c.nested = NESTED_TWOSTEP;
    } else
        f->w.absmax = f->absmax;
}

static size_t block_of(const struct weights *f, size_t e)
{
    const size_t across = f->columns / BLOCKSIZE;
    return f->kind == ZEROS_AND_G_IDX ? e / f->columns * across + f->group_of[e % f->columns] : e / BLOCKSIZE;
}

static float scale_of(const struct weights *f, size_t block)
{
    return f->kind == NESTED  ? f->map[f->absmax_code[block]] * f->nested_absmax + 0.0123f
           : f->kind == PLAIN ? f->absmax[block]
                              : f16_to_f32(f->scale[block]);
}

static float value_of(const struct weights *f, size_t e, float zero)
{
    return f->kind == ZEROS_AND_G_IDX ? (float)f->code[e] - zero : nf4_value(f->code[e]);
}

/* The code of an element under the scale of a block, rounded once. */
static float weight(const struct weights *f, size_t element, size_t block)
{
    return dtype_round(f->c.out, value_of(f, element, f->zero[block]) * scale_of(f, block));
}

/* What a kernel writes for element e. */
static float right(const struct weights *f, size_t e)
{
    return weight(f, e, block_of(f, e));
}
static float swapped_nibbles(const struct weights *f, size_t e)
{
    return weight(f, e % 2 ? e - 1 : e + 1, block_of(f, e));
}
static float blocks_by_row(const struct weights *f, size_t e)
{
    return weight(f, e, e / f->columns * (f->columns / BLOCKSIZE) + e % f->columns / BLOCKSIZE);
}
static float next_block(const struct weights *f, size_t e)
{
    return e + BLOCKSIZE < f->count ? weight(f, e, block_of(f, e) + 1) : right(f, e);
}
static float block_before(const struct weights *f, size_t e)
{
    return e >= BLOCKSIZE ? weight(f, e, block_of(f, e) - 1) : right(f, e);
}
/* For scales of the odd blocks that are zero. */
static float next_block_of_even_ones(const struct weights *f, size_t e)
{
    return block_of(f, e) % 2 ? right(f, e) : next_block(f, e);
}
static float next_element(const struct weights *f, size_t e)
{
    return e + 1 < f->count ? right(f, e + 1) : right(f, e);
}
static float element_before(const struct weights *f, size_t e)
{
    return e ? right(f, e - 1) : right(f, e);
}
static float without_absmax(const struct weights *f, size_t e)
{
    return dtype_round(f->c.out, value_of(f, e, 0));
}
static float absmax_twice(const struct weights *f, size_t e)
{
    const float scale = scale_of(f, block_of(f, e));
    return dtype_round(f->c.out, value_of(f, e, 0) * (scale * scale));
}
static float codebook_rounded(const struct weights *f, size_t e)
{
    return dtype_round(f->c.out, dtype_round(f->c.out, value_of(f, e, 0)) * scale_of(f, block_of(f, e)));
}
static float wrong_codebook_entry(const struct weights *f, size_t e)
{
    const float value = f->code[e] == 11 ? 0.34f : value_of(f, e, 0);
    return dtype_round(f->c.out, value * scale_of(f, block_of(f, e)));
}
static float through_f16(const struct weights *f, size_t e)
{
    const float product = value_of(f, e, 0) * scale_of(f, block_of(f, e));
    return dtype_round(f->c.out, dtype_round(DTYPE_F16, product));
}
static float one_rounding(const struct weights *f, size_t e)
{
    return value_of(f, e, 0) * fmaf(f->map[f->absmax_code[block_of(f, e)]], f->nested_absmax, 0.0123f);
}
static float without_offset(const struct weights *f, size_t e)
{
    return value_of(f, e, 0) * (f->map[f->absmax_code[block_of(f, e)]] * f->nested_absmax);
}
static float with_zero(const struct weights *f, size_t e, float zero)
{
    return dtype_round(f->c.out, value_of(f, e, zero) * scale_of(f, block_of(f, e)));
}
static float zero_above(const struct weights *f, size_t e)
{
    return with_zero(f, e, (float)f->zero[block_of(f, e)] + 1);
}
static float gptq_missing_one(const struct weights *f, size_t e)
{
    return with_zero(f, e, (float)f->zero[block_of(f, e)] - 1);
}
static float zero_ignored(const struct weights *f, size_t e)
{
    return with_zero(f, e, 8);
}
static float g_idx_ignored(const struct weights *f, size_t e)
{
    return weight(f, e, e / BLOCKSIZE);
}
static float awq_in_order(const struct weights *f, size_t e)
{
    static const size_t column_of_nibble[8] = {0, 2, 4, 6, 1, 3, 5, 7};
    const size_t row = e / f->columns, other = row - row % 8 + column_of_nibble[row % 8];
    return weight(f, other * f->columns + e % f->columns, block_of(f, e));
}

static size_t same_element(const void *context, size_t index)
{
    (void)context;
    return index;
}

static float bias_of(const void *context, size_t index)
{
    (void)context;
    return (float)(index % 5) * 0.25f - 0.5f;
}

typedef float written(const struct weights *f, size_t e);

/* Every step-th element is what the kernel wrote; the others are right. */
static void compare_written(const struct weights *f, written *kernel, size_t step, bool bias,
                            struct comparison *c)
{
    *c = (struct comparison){0};
    for (size_t e = 0; e < f->count; e++) {
        const float add = bias ? bias_of(NULL, e) : 0,
                    values[] = {right(f, e), e % step ? right(f, e) : kernel(f, e)};
        uint32_t bits[2];
        for (size_t i = 0; i < 2; i++)
            bits[i] = dtype_value_bits(f->c.out, bias ? dtype_round(f->c.out, values[i] + add) : values[i]);
        compare_one(c, f->c.out, bits[1], bits[0], dtype_bits_equal(f->c.out, bits[1], bits[0]), e);
    }
}

static const char *diagnosis(const struct weights *f, const struct comparison *c, bool bias)
{
    const struct diagnose_weights d = {&f->c, &f->w, f->columns, same_element, bias ? bias_of : NULL, NULL};
    return diagnose_weights(c, &d);
}

static const struct {
    enum kind kind;
    enum dtype out;
    written *kernel;
    size_t step; /* only every step-th element is wrong */
    const char *text;
} weight_errors[] = {
    {PLAIN, DTYPE_BF16, swapped_nibbles, 1, "swapped nibbles"},
    {PLAIN, DTYPE_BF16, blocks_by_row, 1, "blocks counted by row"},
    {PLAIN, DTYPE_BF16, next_block, 1, "shifted block: each has the scale of the next block"},
    {PLAIN, DTYPE_F16, block_before, 1, "shifted block: each has the scale of the block before"},
    {PLAIN, DTYPE_F32, next_element, 1, "shifted by one: each is what the next element gives"},
    {PLAIN, DTYPE_BF16, element_before, 1, "shifted by one: each is what the element before gives"},
    {PLAIN, DTYPE_BF16, element_before, BLOCKSIZE, "shifted by one: each is what the element before gives"},
    {PLAIN, DTYPE_BF16, without_absmax, 1, "wrong scale: each is the codebook's value without absmax"},
    {PLAIN, DTYPE_BF16, absmax_twice, 1, "wrong scale: each is multiplied by absmax twice"},
    {PLAIN, DTYPE_BF16, codebook_rounded, 1, "the codebook is rounded to the output type first"},
    {PLAIN, DTYPE_BF16, wrong_codebook_entry, 1, "wrong codebook: all are of one code"},
    {PLAIN, DTYPE_BF16, through_f16, 1, "rounded to fp16 on the way"},
    {NESTED, DTYPE_F32, one_rounding, 1, "nested scales are recovered with one rounding for two"},
    {NESTED, DTYPE_F32, without_offset, 1, "nested scales lack their offset"},
    {NESTED, DTYPE_F32, swapped_nibbles, 1, "swapped nibbles"},
    {ZEROS_AND_G_IDX, DTYPE_BF16, zero_above, 1, "zero points are one too large"},
    {ZEROS_AND_G_IDX, DTYPE_BF16, gptq_missing_one, 1, "version 1 of GPTQ stores them less 1"},
    {ZEROS_AND_G_IDX, DTYPE_BF16, zero_ignored, 1, "zero points ignored"},
    {ZEROS_AND_G_IDX, DTYPE_BF16, g_idx_ignored, 1, "g_idx ignored"},
    {ZEROS_AND_G_IDX, DTYPE_BF16, awq_in_order, 1, "AWQ's order of columns ignored"},
    {ZEROS_AND_G_IDX, DTYPE_F16, swapped_nibbles, 1, "swapped nibbles"},
};
enum { WEIGHT_ERRORS = sizeof weight_errors / sizeof weight_errors[0] };

TEST(diagnose, each_error_of_weights_has_its_text)
{
    struct weights f;
    struct comparison c;
    for (size_t i = 0; i < WEIGHT_ERRORS; i++) {
        test_note("row %zu: %s", i, weight_errors[i].text);
        make_weights(weight_errors[i].kind, weight_errors[i].out, &f);
        compare_written(&f, weight_errors[i].kernel, weight_errors[i].step, false, &c);
        ASSERT_EQ(MISMATCHES_KEPT, c.kept_count);
        EXPECT_CONTAINS(diagnosis(&f, &c, false), weight_errors[i].text);
    }
    test_note(NULL);
}

/* One mismatch among those that an error explains is something else. */
TEST(diagnose, an_error_must_explain_every_mismatch)
{
    struct weights f;
    struct comparison c;
    for (size_t i = 0; i < WEIGHT_ERRORS; i++) {
        test_note("row %zu: %s", i, weight_errors[i].text);
        make_weights(weight_errors[i].kind, weight_errors[i].out, &f);
        compare_written(&f, weight_errors[i].kernel, weight_errors[i].step, false, &c);
        for (size_t at = 0; at < MISMATCHES_KEPT; at += MISMATCHES_KEPT - 1) {
            struct comparison other = c;
            struct mismatch *m = &other.kept[at];
            m->got ^= 0x11;
            while (f.code[m->index] == 11) /* of another code than the wrong one */
                m->index++;
            EXPECT_STREQ("", diagnosis(&f, &other, false));
        }
    }
    test_note(NULL);
}

TEST(diagnose, numbers_that_no_error_gives_have_no_text)
{
    struct weights f;
    struct comparison c;
    make_weights(PLAIN, DTYPE_BF16, &f);
    compare_written(&f, swapped_nibbles, 1, false, &c);
    for (size_t i = 0; i < c.kept_count; i++)
        c.kept[i].got = 0x4000 + (uint32_t)i;
    EXPECT_STREQ("", diagnosis(&f, &c, false));
    EXPECT_STREQ("", diagnose_values(&c, DTYPE_BF16));
    c = (struct comparison){0};
    EXPECT_STREQ("", diagnosis(&f, &c, false));
    EXPECT_STREQ("", diagnose_values(&c, DTYPE_BF16));
    EXPECT_STREQ("", diagnose_places(&c, BLOCKSIZE, f.count));
}

TEST(diagnose, outputs_of_a_product_with_a_bias)
{
    struct weights f;
    struct comparison c;
    make_weights(PLAIN, DTYPE_F32, &f);
    f.c.op = OP_GEMM;
    f.c.accumulation = ACC_CHAINS;
    f.c.chains = f.c.width = f.c.splits = 1;
    compare_written(&f, swapped_nibbles, 1, true, &c);
    ASSERT_EQ(MISMATCHES_KEPT, c.kept_count);
    EXPECT_CONTAINS(diagnosis(&f, &c, true), "swapped nibbles");
    c.kept[3].got++;
    EXPECT_STREQ("", diagnosis(&f, &c, true));
}

/* The text is the first one's of the list in diagnose.c. */
TEST(diagnose, of_two_errors_that_explain_all_the_first_is_named)
{
    static const struct {
        enum kind kind;
        written *first, *second;
        size_t step;
        const char *text;
    } rows[] = {
        /* An even element's other nibble is the next element, and of the same block. */
        {PLAIN, swapped_nibbles, next_element, 2, "swapped nibbles"},
        /* Zero points that are 7. */
        {ZEROS_AND_G_IDX, zero_above, zero_ignored, 1, "zero points are one too large"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct weights f;
        struct comparison c, same;
        test_note("%s", rows[i].text);
        make_weights(rows[i].kind, DTYPE_BF16, &f);
        memset(f.zero, 7, sizeof f.zero);
        compare_written(&f, rows[i].first, rows[i].step, false, &c);
        compare_written(&f, rows[i].second, rows[i].step, false, &same);
        ASSERT_EQ(MISMATCHES_KEPT, c.kept_count);
        ASSERT_EQ(0, memcmp(c.kept, same.kept, sizeof c.kept));
        EXPECT_CONTAINS(diagnosis(&f, &c, false), rows[i].text);
    }
    test_note(NULL);
}

/* Errors of one format are not looked for in another. */
TEST(diagnose, int4_has_no_rows_that_straddle_blocks)
{
    struct weights f;
    struct comparison c;
    make_weights(ZEROS_AND_G_IDX, DTYPE_BF16, &f);
    compare_written(&f, blocks_by_row, 1, false, &c);
    EXPECT_CONTAINS(diagnosis(&f, &c, false), "g_idx ignored");
}

/* A block without a block before it, and an output that was not written, are both NaN. */
TEST(diagnose, nan_has_no_text_by_weights)
{
    struct weights f;
    struct comparison c;
    make_weights(PLAIN, DTYPE_BF16, &f);
    c = (struct comparison){0};
    for (size_t e = 0; e < BLOCKSIZE; e++)
        compare_one(&c, DTYPE_BF16, 0x7fc0, dtype_value_bits(DTYPE_BF16, right(&f, e)), false, e);
    EXPECT_STREQ("", diagnosis(&f, &c, false));
    EXPECT_CONTAINS(diagnose_values(&c, DTYPE_BF16), "NaN where a number belongs");
}

/* Zeros for denormals fit a scale of the next block that is zero, too. */
TEST(diagnose, flushed_denormals_are_no_error_of_scales)
{
    struct weights f;
    struct comparison c;
    make_weights(PLAIN, DTYPE_F16, &f);
    for (size_t b = 0; b < f.count / BLOCKSIZE; b++)
        f.absmax[b] = b % 2 ? 0 : 0x1p-16f;
    compare_written(&f, next_block_of_even_ones, 1, false, &c);
    ASSERT_EQ(MISMATCHES_KEPT, c.kept_count);
    EXPECT_STREQ("", diagnosis(&f, &c, false));
    EXPECT_STREQ("denormals flushed to zero", diagnose_values(&c, DTYPE_F16));
    for (size_t b = 0; b < f.count / BLOCKSIZE; b += 2)
        f.absmax[b] = 1;
    compare_written(&f, next_block_of_even_ones, 1, false, &c);
    EXPECT_CONTAINS(diagnosis(&f, &c, false), "the scale of the next block");
}

TEST(diagnose, few_mismatches_of_one_code_prove_no_wrong_codebook)
{
    struct weights f;
    struct comparison c, few;
    make_weights(PLAIN, DTYPE_BF16, &f);
    compare_written(&f, wrong_codebook_entry, 1, false, &c);
    few = c;
    few.kept_count = 4;
    EXPECT_CONTAINS(diagnosis(&f, &few, false), "wrong codebook");
    few.kept_count = 3;
    EXPECT_STREQ("", diagnosis(&f, &few, false));
    /* Hardly any other code was compared. */
    c.compared = 2 * c.mismatches;
    EXPECT_CONTAINS(diagnosis(&f, &c, false), "wrong codebook");
    c.compared--;
    EXPECT_STREQ("", diagnosis(&f, &c, false));
}

/* ---- values ---- */

TEST(diagnose, each_error_of_values_has_its_text)
{
    static const struct {
        enum dtype t;
        uint32_t pairs[3][2]; /* want, got */
        const char *text;
    } rows[] = {
        {DTYPE_F16,
         {{0x3c00, 0x7e00}, {0x0000, 0xfe01}, {0x7c00, 0x7fff}},
         "NaN where a number belongs: not written, or computed from what was not"},
        {DTYPE_F32,
         {{0x3f800000, 0x7fc00000}, {0, 0x7f800001}, {1, 0xffffffff}},
         "NaN where a number belongs: not written, or computed from what was not"},
        {DTYPE_BF16, {{0x8000, 0x0000}, {0x0000, 0x8000}, {0x8000, 0x0000}}, "zeros of the other sign"},
        {DTYPE_F32, {{0x80000000, 0}, {0, 0x80000000}, {0x80000000, 0}}, "zeros of the other sign"},
        {DTYPE_F16, {{0x0001, 0x0000}, {0x83ff, 0x8000}, {0x0200, 0x0000}}, "denormals flushed to zero"},
        {DTYPE_BF16, {{0x0001, 0x0000}, {0x807f, 0x8000}, {0x0040, 0x0000}}, "denormals flushed to zero"},
        {DTYPE_F32, {{0x007fffff, 0}, {0x80000001, 0x80000000}, {1, 0}}, "denormals flushed to zero"},
        {DTYPE_F16, {{0x3c00, 0xbc00}, {0x8001, 0x0001}, {0x7c00, 0xfc00}}, "the other sign"},
        {DTYPE_F16,
         {{0x3c00, 0x0000}, {0x8400, 0x8000}, {0x0001, 0x0000}},
         "zero where another number belongs"},
        {DTYPE_F16,
         {{0x7c00, 0x7bff}, {0xfc00, 0xfbff}, {0x7c00, 0x7000}},
         "infinities became large numbers"},
        {DTYPE_F16,
         {{0x3c01, 0x3c00}, {0xbc01, 0xbc00}, {0x0400, 0x03ff}},
         "truncated: each is the next number toward zero"},
        {DTYPE_BF16,
         {{0x3f81, 0x3f80}, {0xbf81, 0xbf80}, {0x4000, 0x3fff}},
         "truncated: each is the next number toward zero"},
        {DTYPE_F16,
         {{0x3c00, 0x3c01}, {0xbc00, 0xbc01}, {0x03ff, 0x0400}},
         "each is the next number away from zero"},
        /* The smallest normal numbers are no denormals. */
        {DTYPE_F16, {{0x0400, 0}, {0x8400, 0}, {0x0400, 0}}, "zero where another number belongs"},
        {DTYPE_BF16, {{0x0080, 0}, {0x8080, 0}, {0x0080, 0}}, "zero where another number belongs"},
        {DTYPE_F32, {{0x00800000, 0}, {0x80800000, 0}, {0x00800000, 0}}, "zero where another number belongs"},
        /* The last of each is another error. */
        {DTYPE_F16, {{0x3c00, 0x7e00}, {0x3c00, 0x7e00}, {0x3c00, 0x3c05}}, ""},
        {DTYPE_F16, {{0x8000, 0x0000}, {0x8000, 0x0000}, {0x8000, 0x3c00}}, ""},
        {DTYPE_F16, {{0x0001, 0x0000}, {0x0001, 0x0000}, {0x0002, 0x0004}}, ""},
        {DTYPE_F16, {{0x3c00, 0xbc00}, {0x3c00, 0xbc00}, {0x3c00, 0xbc02}}, ""},
        {DTYPE_F16, {{0x7c00, 0x7bff}, {0x7c00, 0x7bff}, {0x7bff, 0x7bf0}}, ""},
        {DTYPE_F16, {{0x3c01, 0x3c00}, {0x3c01, 0x3c00}, {0x3c00, 0x3c01}}, ""},
        /* Across zero there is no next number. */
        {DTYPE_F16, {{0x8000, 0x7fff}, {0x8000, 0x7fff}, {0x8000, 0x3c00}}, ""},
        /* Bytes are no numbers. */
        {DTYPE_U8, {{0x01, 0x00}, {0x02, 0x00}, {0x03, 0x00}}, ""},
        /* Two fit: an infinity that is one number less is truncated, too; flushed ones are zero, too. */
        {DTYPE_F16,
         {{0x7c00, 0x7bff}, {0xfc00, 0xfbff}, {0x7c00, 0x7bff}},
         "infinities became large numbers"},
        {DTYPE_F16, {{0x0001, 0x0000}, {0x8001, 0x8000}, {0x0001, 0x0000}}, "denormals flushed to zero"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct comparison c;
        c = (struct comparison){0};
        for (size_t j = 0; j < 3; j++)
            compare_one(&c, rows[i].t, rows[i].pairs[j][1], rows[i].pairs[j][0], false, j);
        test_note("row %zu", i);
        EXPECT_STREQ(rows[i].text, diagnose_values(&c, rows[i].t));
    }
    test_note(NULL);
}

/* ---- places ---- */

TEST(diagnose, each_pattern_of_places_has_its_text)
{
    enum { COUNT = 256 };
    static const struct {
        size_t blocksize;
        size_t first, step, number; /* mismatches at first, first + step ... */
        size_t more;                /* and one here, where it is not 0 */
        const char *text;
    } rows[] = {
        {0, 0, 1, COUNT, 0, "every element differs"},
        {0, 255, 1, 1, 0, "the last element differs"},
        {0, 7, 1, 1, 0, "one element differs"},
        {0, 250, 1, 6, 0, "the tail differs"},
        {0, 1, 2, 100, 0, "only odd elements differ"},
        {0, 0, 2, 100, 0, "only even elements differ"},
        {0, 5, 32, 8, 0, "one lane of each warp: every 32nd element"},
        {0, 65, 5, 3, 0, "one warp: all lie within 32 elements that begin at a multiple of 32"},
        {64, 64, 1, 64, 0, "one whole block differs"},
        {64, 64, 1, 128, 0, "a run of whole blocks differs"},
        {64, 66, 35, 2, 0, "one block differs"},
        {0, 10, 1, 50, 0, "a run of elements without a gap"},
        {0, 130, 35, 3, 0, "only the second half differs"},
        /* One more element breaks the pattern. */
        {0, 250, 1, 6, 9, ""},
        {0, 1, 2, 100, 8, ""},
        {0, 5, 32, 8, 8, ""},
        {0, 65, 5, 3, 30, ""},
        {64, 64, 1, 64, 3, ""},
        {64, 66, 35, 2, 20, ""},
        {0, 10, 1, 50, 200, ""},
        {0, 130, 35, 3, 127, ""},
        {0, 200, 1, 5, 255, "only the second half differs"},
        {64, 80, 1, 64, 0, "a run of elements without a gap"},
        /* Where elements are not weights there are no blocks. */
        {0, 64, 1, 64, 0, "a run of elements without a gap"},
        /* Two fit: the last block is the tail; four of a lane are too few to say. */
        {64, 192, 1, 64, 0, "the tail differs"},
        {0, 5, 32, 4, 0, ""},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct comparison c;
        bool wrong[COUNT] = {false};
        for (size_t j = 0; j < rows[i].number; j++)
            wrong[rows[i].first + j * rows[i].step] = true;
        if (rows[i].more)
            wrong[rows[i].more] = true;
        c = (struct comparison){0};
        for (size_t e = 0; e < COUNT; e++)
            compare_one(&c, DTYPE_F32, wrong[e], 0, !wrong[e], e);
        test_note("row %zu", i);
        EXPECT_STREQ(rows[i].text, diagnose_places(&c, rows[i].blocksize, COUNT));
    }
    test_note(NULL);
}
