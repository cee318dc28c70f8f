#include "harness/problem/operands.h"

#include <math.h>
#include <string.h>

#include "harness/base/machine.h"
#include "harness/base/random.h"
#include "reference/repack.h"
#include "tests/test.h"

static struct problem parse(const char *text)
{
    struct problem p = {0};
    EXPECT_EQ(STATUS_OK, problem_parse(text, &p));
    return p;
}

/* The same text gives the same bytes; another seed gives others. */
TEST(prepare, inputs_are_reproducible)
{
    struct problem p = parse("gemm bf16 m=3 n=33 k=65 blocksize=64 nested=1 bias=1 seed=5");
    struct operands a, b, c;
    ASSERT_EQ(STATUS_OK, operands_init(&p, 1, &device_cpu, &a));
    ASSERT_EQ(STATUS_OK, operands_init(&p, 3, &device_cpu, &b));
    p.seed = 6;
    ASSERT_EQ(STATUS_OK, operands_init(&p, 1, &device_cpu, &c));
    char what[128];
    EXPECT_TRUE(a.sets[0].input_hash == b.sets[0].input_hash);
    EXPECT_TRUE(operands_intact(&b, 0, what, sizeof what));
    EXPECT_TRUE(a.sets[0].input_hash != c.sets[0].input_hash);
    EXPECT_EQ((33 * 65 + 1) / 2, a.sets[0].packed.size);
    operands_release(&a);
    operands_release(&b);
    operands_release(&c);
}

TEST(prepare, a_changed_input_is_noticed)
{
    struct problem p = parse("gemm f32 m=2 n=8 k=64 blocksize=64 nested=0 bias=0 seed=5");
    struct operands o;
    char what[128];
    ASSERT_EQ(STATUS_OK, operands_init(&p, 1, &device_cpu, &o));
    ((float *)o.sets[0].x.data)[127] += 1;
    EXPECT_FALSE(operands_intact(&o, 0, what, sizeof what));
    EXPECT_CONTAINS(what, "inputs");
    operands_rehash(&o);
    EXPECT_TRUE(operands_intact(&o, 0, what, sizeof what));
    operands_release(&o);
}

/* Repacked codes are made for those that take them, from the codes as they are then, and watched like other
 * inputs. */
TEST(prepare, repacked_weights_are_made_when_wanted)
{
    struct problem p = parse("gemm f16 m=2 n=9 k=130 blocksize=64 nested=0 bias=0 seed=5");
    const struct kernel plain = {.name = "nf4_gemm_f16_mma80__sm80_stages_64x32x128"},
                        other = {.name = "nf4_gemm_f16_mma80__sm80_repackedless"},
                        repacked = {.name = "nf4_gemm_f16_mma80__sm80_repacked_64x32x128"};
    struct operands o;
    struct buffer *list[OPERAND_BUFFERS];
    char what[128];
    uint8_t want[4 * 512];
    const size_t stored = OPERAND_STORED + LAYOUT_FRAGMENTS;
    ASSERT_EQ(STATUS_OK, operands_init(&p, 1, &device_cpu, &o));
    const size_t bytes = operands_set_bytes(&p);
    EXPECT_EQ(STATUS_OK, operands_prepare_for(&o, 0, &plain));
    EXPECT_EQ(STATUS_OK, operands_prepare_for(&o, 0, &other));
    EXPECT_TRUE(operands_gemm_args(&o, 0, LAYOUT_ROWS).prepared == NULL);
    for (int turn = 0; turn < 2; turn++) {
        EXPECT_EQ(STATUS_OK, operands_prepare_for(&o, 0, &repacked));
        operands_buffers(&o, 0, list);
        ASSERT_EQ(sizeof want, list[stored]->size);
        EXPECT_TRUE(operands_gemm_args(&o, 0, LAYOUT_FRAGMENTS).prepared == list[stored]->data);
        nf4_repack(o.sets[0].packed.data, 9, 130, want);
        EXPECT_TRUE(memcmp(want, list[stored]->data, sizeof want) == 0);
        EXPECT_TRUE(operands_intact(&o, 0, what, sizeof what));
        ((uint8_t *)o.sets[0].packed.data)[3] ^= 0x5a;
        operands_rehash(&o);
    }
    EXPECT_EQ(bytes, operands_set_bytes(&p));
    ((uint8_t *)o.sets[0].stored[LAYOUT_FRAGMENTS].data)[1000] ^= 1;
    EXPECT_FALSE(operands_intact(&o, 0, what, sizeof what));
    EXPECT_CONTAINS(what, "repacked");
    operands_release(&o);
}

TEST(prepare, more_memory_than_there_is_is_refused_before_allocation)
{
    struct problem p = parse("dequant f32 n=1048576 k=1048576");
    struct operands o;
    EXPECT_EQ(STATUS_MEMORY, operands_init(&p, 2, &device_cpu, &o));
    EXPECT_CONTAINS(status_message(), "GiB");
}

TEST(prepare, normal_has_mean_0_and_variance_1)
{
    double sum = 0, squares = 0;
    enum { COUNT = 1 << 20 };
    for (uint64_t i = 0; i < COUNT; i++) {
        double x = random_normal(3, RANDOM_WEIGHTS, i);
        sum += x;
        squares += x * x;
    }
    EXPECT_NEAR(0, sum / COUNT, 0.005);
    EXPECT_NEAR(1, squares / COUNT, 0.005);
}

TEST(prepare, cold_copies_exceed_the_last_level_cache)
{
    struct problem p = parse("dequant bf16 n=256 k=256");
    EXPECT_TRUE(operands_cold_copies(&p, operands_set_bytes(&p)) >= 2);
    EXPECT_TRUE(operands_cold_copies(&p, operands_set_bytes(&p)) <= 4096);
    /* Larger than any cache; server CPUs have some with hundreds of MB. */
    p = parse("dequant bf16 n=32768 k=32768");
    EXPECT_EQ(2, operands_cold_copies(&p, operands_set_bytes(&p)));
}
