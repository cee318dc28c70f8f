#include "harness/device/call.h"
#include "harness/device/open.h"
#include "harness/measure/measure.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/verify/verify.h"
#include "tests/test.h"

static const struct measure_settings quick = {
    .min_samples = 5, .max_samples = 9, .max_seconds = 5, .precision = 1e-9, .settle_seconds = 0};

static void set_up(struct operands *o, struct measure_group *g, const struct kernel *kernels, size_t count,
                   size_t copies, uint64_t hash)
{
    struct problem p;
    ASSERT_EQ(STATUS_OK, problem_parse("dequant bf16 n=64 k=128 blocksize=64", &p));
    ASSERT_EQ(STATUS_OK, operands_init(&p, copies, &device_cpu, o));
    static const struct operands *only;
    only = o;
    g->problems = &only;
    g->problem_count = 1;
    g->variant_count = count;
    g->rows = calloc(count + CEILING_COUNT, sizeof *g->rows);
    for (size_t i = 0; i < count; i++) {
        g->rows[i].kernel = &kernels[i];
        g->rows[i].output_hash = hash;
    }
}

static void call(const struct operands *o, const struct kernel *k)
{
    static struct call_fault fault; /* large */
    EXPECT_TRUE(call_kernel(o, 0, k, &fault));
    EXPECT_STREQ("", fault.text);
}

/* The hash of a right output, as verify() would have it. */
static uint64_t right_hash(const struct kernel *k)
{
    struct problem p;
    struct operands o;
    EXPECT_EQ(STATUS_OK, problem_parse("dequant bf16 n=64 k=128 blocksize=64", &p));
    EXPECT_EQ(STATUS_OK, operands_init(&p, 1, &device_cpu, &o));
    call(&o, k);
    uint64_t hash = bytes_hash(o.sets[0].out.data, o.sets[0].out.size);
    operands_release(&o);
    return hash;
}

TEST(measure, rows_and_ceiling_are_sampled_in_pairs)
{
    const struct kernel *k = kernel_find("nf4_dequant_bf16__scalar");
    ASSERT_TRUE(k != NULL);
    for (int hot = 0; hot < 2; hot++) {
        struct kernel two[2] = {*k, *k};
        struct measure_state state = {0};
        struct operands o;
        struct measure_group g = {.regime = hot ? REGIME_HOT : REGIME_COLD};
        set_up(&o, &g, two, 2, hot ? 1 : 3, right_hash(k));
        EXPECT_EQ(STATUS_OK, measure_group(&state, &quick, &g, 1, NULL, NULL));
        EXPECT_TRUE(g.row_count == 4 && g.against[0] == &g.rows[3] && g.against[0]->ceiling == CEILING_FILL);
        for (size_t i = 0; i < 4; i++) {
            EXPECT_EQ(9, g.rows[i].sample_count); /* never precise enough: runs to the cap */
            EXPECT_STREQ("", g.rows[i].fault);
            EXPECT_FALSE(g.rows[i].precise);
            EXPECT_TRUE(hot ? g.rows[i].calls_per_sample >= 1 : g.rows[i].calls_per_sample == 1);
            for (size_t s = 0; s < g.rows[i].sample_count; s++)
                EXPECT_TRUE(g.rows[i].samples[s] > 0);
        }
        EXPECT_EQ(9, g.rows[0].ceiling_fraction.count);
        EXPECT_TRUE(g.rows[0].ceiling_fraction.ratio > 0);
        EXPECT_TRUE(isnan(g.rows[2].ceiling_fraction.ratio) && isnan(g.rows[3].ceiling_fraction.ratio));
        measure_group_release(&g);
        operands_release(&o);
    }
}

/* Variants of different contracts stand in one group: each is held to its own bits. */
TEST(measure, rows_of_different_contracts_share_a_group)
{
    static const char *const names[] = {"nf4_gemm_bf16_acc1__scalar", "nf4_gemm_bf16_acc16__scalar",
                                        "nf4_gemm_bf16_sblk_acc16__scalar"};
    struct problem p;
    struct operands o;
    struct measure_state state = {0};
    struct measure_group g = {
        .regime = REGIME_COLD, .variant_count = 3, .rows = calloc(3 + CEILING_COUNT, sizeof *g.rows)};
    ASSERT_EQ(STATUS_OK, problem_parse("gemm bf16 m=4 n=256 k=512 blocksize=64", &p));
    ASSERT_EQ(STATUS_OK, operands_init(&p, 2, &device_cpu, &o));
    g.problems = (const struct operands *[]){&o};
    g.problem_count = 1;
    for (size_t i = 0; i < 3; i++) {
        g.rows[i].kernel = kernel_find(names[i]);
        call(&o, g.rows[i].kernel);
        g.rows[i].output_hash = bytes_hash(o.sets[0].out.data, o.sets[0].out.size);
    }
    EXPECT_TRUE(g.rows[0].output_hash != g.rows[2].output_hash);
    EXPECT_EQ(STATUS_OK, measure_group(&state, &quick, &g, 1, NULL, NULL));
    for (size_t i = 0; i < 3; i++)
        EXPECT_STREQ("", g.rows[i].fault);
    measure_group_release(&g);
    operands_release(&o);
}

/* ---- variants of the tests' own, for the process that calls them as well, which is this program ---- */

static void honest(const struct dequant_args *a)
{
    static dequant_fn *scalar;
    if (!scalar)
        scalar = kernel_find("nf4_dequant_bf16__scalar")->dequant;
    scalar(a);
}

static unsigned calls;

static void skips_every_second_call(const struct dequant_args *a)
{
    if (++calls % 2)
        honest(a);
}

static void right_at_first(const struct dequant_args *a)
{
    honest(a);
    if (++calls > 4)
        ((uint16_t *)a->out)[a->count - 1] ^= 1;
}

/* To the file that the test has named. */
static void note_call(const char *row)
{
    FILE *f = fopen(getenv("NF4BENCH_TEST_ORDER"), "a");
    if (f) {
        fputs(row, f);
        fclose(f);
    }
}

static void first_row(const struct dequant_args *a)
{
    note_call("a");
    honest(a);
}

static void second_row(const struct dequant_args *a)
{
    note_call("b");
    honest(a);
}

#define ODD(text, function)                                                                                  \
    {                                                                                                        \
        .table = "tests of measure", .name = text, .arch = "scalar",                                         \
        .contract = {.format = FORMAT_NF4, .op = OP_DEQUANT, .out = DTYPE_BF16}, .k_multiple = 1,            \
        .backend = BACKEND_CPU, .built = true, .dequant = function                                           \
    }
static const struct kernel odd[] = {ODD("skips_every_second_call", skips_every_second_call),
                                    ODD("right_at_first", right_at_first), ODD("first_row", first_row),
                                    ODD("second_row", second_row)};
__attribute__((constructor)) static void add_odd(void)
{
    if (kernel_add_table(odd[0].table, odd, sizeof odd / sizeof odd[0]) != STATUS_OK)
        abort();
}

/* A kernel that is right while it is verified and lazy while it is timed. */
TEST(measure, wrong_timed_outputs_are_noticed)
{
    const struct kernel *k = kernel_find("nf4_dequant_bf16__scalar");
    for (size_t i = 0; i < 2; i++) {
        struct measure_state state = {0};
        struct operands o;
        struct measure_group g = {.regime = REGIME_COLD};
        test_note("%s", odd[i].name);
        set_up(&o, &g, &odd[i], 1, 2, right_hash(k));
        EXPECT_EQ(STATUS_OK, measure_group(&state, &quick, &g, 1, NULL, NULL));
        EXPECT_CONTAINS(g.rows[0].fault, "timed output of round");
        measure_group_release(&g);
        operands_release(&o);
        device_stop(&device_cpu); /* which has counted calls */
    }
}

/* ABBA or BAAB, and nothing beside them. */
TEST(measure, two_rows_alternate_in_blocks)
{
    const struct kernel *k = kernel_find("nf4_dequant_bf16__scalar");
    const struct measure_settings eight = {.min_samples = 8, .max_samples = 8, .max_seconds = 5};
    bool began_with[2] = {false, false};
    char path[512], order[64];
    snprintf(path, sizeof path, "%s/order", test_temporary_directory());
    setenv("NF4BENCH_TEST_ORDER", path, 1);
    device_stop(&device_cpu); /* the next process has the name of the file */
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct measure_state state = {0};
        struct operands o;
        struct measure_group g = {.regime = REGIME_COLD, .no_ceilings = true};
        set_up(&o, &g, &odd[2], 2, 2, right_hash(k));
        remove(path);
        EXPECT_EQ(STATUS_OK, measure_group(&state, &eight, &g, seed, NULL, NULL));
        EXPECT_EQ(2, g.row_count);
        FILE *f = fopen(path, "r");
        ASSERT_TRUE(f != NULL);
        order[fread(order, 1, sizeof order - 1, f)] = '\0';
        fclose(f);
        const char *timed = order + 2; /* the whole outputs were looked at before */
        ASSERT_TRUE(strlen(order) == 2 + 16 + 2);
        for (size_t block = 0; block < 4; block++) {
            test_note("seed %d: %s", (int)seed, order);
            EXPECT_TRUE(strncmp(timed + 4 * block, "abba", 4) == 0 ||
                        strncmp(timed + 4 * block, "baab", 4) == 0);
            began_with[timed[4 * block] - 'a'] = true;
        }
        measure_group_release(&g);
        operands_release(&o);
    }
    test_note(NULL);
    EXPECT_TRUE(began_with[0] && began_with[1]);
}

/* A slowdown that is asked for is in every sample. */
TEST(measure, a_known_share_can_be_added)
{
    const struct kernel *k = kernel_find("nf4_dequant_bf16__scalar");
    const struct measure_settings many = {.min_samples = 60, .max_samples = 60, .max_seconds = 20};
    struct kernel two[2] = {*k, *k};
    struct paired_ratio ratio = {0};
    double scratch[60];
    for (int i = 0; i < 5 && !(ratio.ratio > 1.4 && ratio.ratio < 1.6); i++) { /* on a busy machine, more than once */
        struct measure_state state = {0};
        struct operands o;
        struct measure_group g = {.regime = REGIME_HOT, .no_ceilings = true};
        set_up(&o, &g, two, 2, 1, right_hash(k));
        g.rows[1].slowdown = 0.5;
        EXPECT_EQ(STATUS_OK, measure_group(&state, &many, &g, 1, NULL, NULL));
        paired_ratio(g.rows[1].samples, g.rows[0].samples, 60, scratch, &ratio);
        measure_group_release(&g);
        operands_release(&o);
    }
    EXPECT_TRUE(ratio.ratio > 1.4 && ratio.ratio < 1.6);
}

/* Rows of two problems: each on its own operands, held to its own ceiling, sample i of one paired with that
 * of the other. */
TEST(measure, problems_are_sampled_together)
{
    static const char *const texts[] = {"dequant bf16 n=64 k=128 blocksize=64",
                                        "dequant bf16 n=64 k=256 format=int4 blocksize=128 zeros=1"};
    static const char *const names[] = {"nf4_dequant_bf16__scalar", "int4_dequant_bf16__scalar",
                                        "int4_dequant_bf16__scalar_awq"};
    struct measure_state state = {0};
    struct operands o[2];
    const struct operands *problems[2] = {&o[0], &o[1]};
    struct measure_group g = {.problems = problems,
                              .problem_count = 2,
                              .regime = REGIME_COLD,
                              .variant_count = 3,
                              .rows = calloc(3 + 2 * CEILING_COUNT, sizeof *g.rows)};
    ASSERT_TRUE(g.rows != NULL);
    for (size_t p = 0; p < 2; p++) {
        struct problem problem;
        ASSERT_EQ(STATUS_OK, problem_parse(texts[p], &problem));
        ASSERT_EQ(STATUS_OK, operands_init(&problem, 2 + p, &device_cpu, &o[p]));
    }
    for (size_t i = 0; i < 3; i++) {
        const size_t p = i > 0;
        g.rows[i].kernel = kernel_find(names[i]);
        g.rows[i].problem = p;
        ASSERT_EQ(STATUS_OK, operands_prepare_for(&o[p], 0, g.rows[i].kernel));
        call(&o[p], g.rows[i].kernel);
        g.rows[i].output_hash = bytes_hash(o[p].sets[0].out.data, o[p].sets[0].out.size);
    }
    EXPECT_TRUE(g.rows[1].output_hash != g.rows[2].output_hash); /* awq's is transposed */
    EXPECT_EQ(STATUS_OK, measure_group(&state, &quick, &g, 1, NULL, NULL));
    ASSERT_EQ(7, g.row_count);
    EXPECT_TRUE(g.against[0] == &g.rows[4] && g.against[1] == &g.rows[6]);
    for (size_t i = 0; i < 7; i++) {
        EXPECT_STREQ("", g.rows[i].fault);
        EXPECT_EQ(9, g.rows[i].sample_count);
        EXPECT_EQ(2 + g.rows[i].problem, g.rows[i].copies);
    }
    EXPECT_TRUE(g.rows[5].problem == 1 && g.rows[0].ceiling_fraction.ratio > 0);
    measure_group_release(&g);
    for (size_t p = 0; p < 2; p++)
        operands_release(&o[p]);
}
