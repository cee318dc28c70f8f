#include "harness/device/call.h"
#include "harness/measure/measure.h"

#include <math.h>
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

/* The hash of a right output, as verify() would have it. */
static uint64_t right_hash(const struct kernel *k)
{
    struct problem p;
    struct operands o;
    EXPECT_EQ(STATUS_OK, problem_parse("dequant bf16 n=64 k=128 blocksize=64", &p));
    EXPECT_EQ(STATUS_OK, operands_init(&p, 1, &device_cpu, &o));
    call_kernel(&o, 0, k, NULL, NULL);
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
        call_kernel(&o, 0, g.rows[i].kernel, NULL, NULL);
        g.rows[i].output_hash = bytes_hash(o.sets[0].out.data, o.sets[0].out.size);
    }
    EXPECT_TRUE(g.rows[0].output_hash != g.rows[2].output_hash);
    EXPECT_EQ(STATUS_OK, measure_group(&state, &quick, &g, 1, NULL, NULL));
    for (size_t i = 0; i < 3; i++)
        EXPECT_STREQ("", g.rows[i].fault);
    measure_group_release(&g);
    operands_release(&o);
}

static unsigned calls;
static dequant_fn *honest;

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

/* A kernel that is right while it is verified and lazy while it is timed. */
TEST(measure, wrong_timed_outputs_are_noticed)
{
    static dequant_fn *const cheats[] = {skips_every_second_call, right_at_first};
    const struct kernel *k = kernel_find("nf4_dequant_bf16__scalar");
    honest = k->dequant;
    for (size_t i = 0; i < 2; i++) {
        struct kernel cheat = *k;
        struct measure_state state = {0};
        struct operands o;
        struct measure_group g = {.regime = REGIME_COLD};
        cheat.dequant = cheats[i];
        calls = 0;
        test_note("cheat %zu", i);
        set_up(&o, &g, &cheat, 1, 2, right_hash(k));
        EXPECT_EQ(STATUS_OK, measure_group(&state, &quick, &g, 1, NULL, NULL));
        EXPECT_CONTAINS(g.rows[0].fault, "timed output of round");
        measure_group_release(&g);
        operands_release(&o);
    }
}

/* Which row is called, in order. */
static char order[64];
static void first_row(const struct dequant_args *a)
{
    strcat(order, "a");
    honest(a);
}
static void second_row(const struct dequant_args *a)
{
    strcat(order, "b");
    honest(a);
}

/* ABBA or BAAB, and nothing beside them. */
TEST(measure, two_rows_alternate_in_blocks)
{
    const struct kernel *k = kernel_find("nf4_dequant_bf16__scalar");
    const struct measure_settings eight = {.min_samples = 8, .max_samples = 8, .max_seconds = 5};
    bool began_with[2] = {false, false};
    honest = k->dequant;
    for (uint64_t seed = 1; seed <= 8; seed++) {
        struct kernel two[2] = {*k, *k};
        struct measure_state state = {0};
        struct operands o;
        struct measure_group g = {.regime = REGIME_COLD, .no_ceilings = true};
        two[0].dequant = first_row;
        two[1].dequant = second_row;
        set_up(&o, &g, two, 2, 2, right_hash(k));
        order[0] = '\0';
        EXPECT_EQ(STATUS_OK, measure_group(&state, &eight, &g, seed, NULL, NULL));
        EXPECT_EQ(2, g.row_count);
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
    struct measure_state state = {0};
    struct operands o;
    struct paired_ratio ratio;
    double scratch[60];
    struct measure_group g = {.regime = REGIME_HOT, .no_ceilings = true};
    set_up(&o, &g, two, 2, 1, right_hash(k));
    g.rows[1].slowdown = 0.5;
    EXPECT_EQ(STATUS_OK, measure_group(&state, &many, &g, 1, NULL, NULL));
    paired_ratio(g.rows[1].samples, g.rows[0].samples, 60, scratch, &ratio);
    EXPECT_TRUE(ratio.ratio > 1.4 && ratio.ratio < 1.6);
    measure_group_release(&g);
    operands_release(&o);
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
        void *prepared;
        const size_t p = i > 0;
        g.rows[i].kernel = kernel_find(names[i]);
        g.rows[i].problem = p;
        ASSERT_EQ(STATUS_OK, operands_prepare_for(&o[p], 0, g.rows[i].kernel, &prepared));
        call_kernel(&o[p], 0, g.rows[i].kernel, NULL, NULL);
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
