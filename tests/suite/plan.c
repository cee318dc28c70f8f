/*
 * plan.c: which variants a plan takes. What a suite's cases become is in end_to_end/test_cli.py.
 */
#include "harness/suite/plan.h"

#include <stdio.h>
#include <string.h>

#include "tests/test.h"

static void write_nothing(const struct dequant_args *args)
{
    (void)args;
}

/* Rows of the variant `name` in a plan of one dequantize, by the command line's globs and the case's. */
static size_t rows_of(const char *name, const char *const *globs, size_t count, const char *case_variants)
{
    char text[256];
    struct suite suite;
    struct plan plan;
    size_t rows = 0;
    snprintf(text, sizeof text, "suite: t\ncases: [{op: dequant, shapes: [[2, 32]]%s}]\n", case_variants);
    if (!test_check(suite_parse(text, strlen(text), "t", &suite) == STATUS_OK, __FILE__, __LINE__, text))
        return 0;
    struct plan_options options = {
        .variants = globs, .variant_count = count, .seed = 1, .device = &device_cpu};
    EXPECT_EQ(STATUS_OK, plan_make(&suite, &options, &plan));
    for (size_t g = 0; g < plan.group_count; g++)
        for (size_t r = 0; r < plan.groups[g].row_count; r++)
            rows += strcmp(plan.groups[g].rows[r].kernel->name, name) == 0;
    plan_release(&plan);
    suite_release(&suite);
    return rows;
}

TEST(plan, a_variant_that_runs_only_by_name_is_taken_by_its_name_alone)
{
    static const char name[] = "test_plan_only_by_name";
    const struct kernel k = {.name = name,
                             .source = "tests",
                             .arch = "peer",
                             .contract = {.op = OP_DEQUANT, .out = DTYPE_BF16},
                             .k_multiple = 1,
                             .built = true,
                             .peer = true,
                             .only_by_name = true,
                             .dequant = write_nothing};
    ASSERT_EQ(STATUS_OK, kernel_add(&k));
    const char *all[] = {"*"}, *glob[] = {"test_plan_only_by_nam?", "nf4_*"}, *itself[] = {"nf4_*", name};
    const char *without[] = {name, "!*by_name", "nf4_*"};
    EXPECT_EQ(0, rows_of(name, NULL, 0, ""));
    EXPECT_EQ(0, rows_of(name, all, 1, ""));
    EXPECT_EQ(0, rows_of(name, glob, 2, ""));
    EXPECT_EQ(0, rows_of(name, NULL, 0, ", variants: [\"nf4_*\", \"test_plan*\"]"));
    EXPECT_EQ(1, rows_of(name, itself, 2, ""));
    EXPECT_EQ(1, rows_of(name, NULL, 0, ", variants: [test_plan_only_by_name]"));
    EXPECT_EQ(1, rows_of(name, all, 1, ", variants: [test_plan_only_by_name]"));
    /* Both lists must let it through. */
    EXPECT_EQ(0, rows_of(name, without, 3, ""));
    EXPECT_EQ(0, rows_of(name, itself, 2, ", variants: [\"nf4_*\"]"));
}

/* Each format of a case is a group; the groups of one product are a batch. Weights that cannot have a format
 * are an error. */
TEST(plan, the_formats_of_one_product_are_a_batch)
{
    static const char text[] = "suite: t\n"
                               "cases:\n"
                               "  - op: gemm\n"
                               "    m: [1, 2]\n"
                               "    shapes: [[64, 128]]\n"
                               "    formats: [\"nf4 blocksize=64\", \"int4 blocksize=128 zeros=1\", "
                               "\"int8 blocksize=k\", dense]\n"
                               "    variants: [\"*_f32_acc1__scalar\"]\n"
                               "  - {op: dequant, shapes: [[64, 128]], blocksize: [32, 64],\n"
                               "     variants: [nf4_dequant_f32__scalar]}\n";
    struct suite suite;
    struct plan plan;
    struct plan_options options = {.seed = 1, .measure = true, .device = &device_cpu};
    ASSERT_EQ(STATUS_OK, suite_parse(text, strlen(text), "t", &suite));
    ASSERT_EQ(STATUS_OK, plan_make(&suite, &options, &plan));
    static const size_t counts[] = {4, 4, 1, 1}, first_groups[] = {0, 4, 8, 9};
    ASSERT_EQ(10, plan.group_count);
    ASSERT_EQ(4, plan.batch_count);
    for (size_t b = 0; b < 4; b++) {
        const struct plan_batch *batch = &plan.batches[b];
        size_t rows = 0;
        EXPECT_EQ(counts[b], batch->count);
        EXPECT_EQ(first_groups[b], batch->first_group);
        EXPECT_TRUE(batch->groups == &plan.groups[first_groups[b]]);
        for (size_t g = 0; g < batch->count; g++)
            rows += batch->groups[g].row_count;
        EXPECT_EQ(rows, batch->row_count);
    }
    EXPECT_TRUE(plan.groups[1].problem.format.kind == FORMAT_INT4 && plan.groups[1].problem.format.zeros);
    EXPECT_EQ(128, plan.groups[2].problem.format.blocksize); /* k */
    EXPECT_EQ(2, plan.groups[4].problem.m);
    EXPECT_STREQ("dense_gemm_f32_acc1__scalar", plan.groups[3].rows[0].kernel->name);
    plan_release(&plan);
    EXPECT_EQ(STATUS_OK, suite_override(&suite, "shape=64x96"));
    EXPECT_EQ(STATUS_INPUT, plan_make(&suite, &options, &plan));
    EXPECT_CONTAINS(status_message(), "t:3: weights of 64 x 96: format int4 has a blocksize");
    suite_release(&suite);
}
