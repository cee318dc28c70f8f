/* Tests of harness/device/cpu/guarded.c: what a call touches that it must not. */
#include "harness/device/cpu/guarded.h"

#include <string.h>

#include "tests/test.h"

static struct operands operands, view;
static char what[160];

static void start(const char *problem)
{
    struct problem p;
    EXPECT_EQ(STATUS_OK, problem_parse(problem, &p));
    EXPECT_EQ(STATUS_OK, operands_init(&p, 1, &device_cpu, &operands));
}

/* x has 64 bytes: it ends at the guard where draw is 0. */
static const char *const product = "gemm bf16 m=1 n=5 k=32 blocksize=32 nested=0 bias=1 seed=1";

static volatile const uint8_t *begin_at(uint64_t draw, uint64_t salt)
{
    EXPECT_EQ(STATUS_OK, guarded_begin(&operands, 0, draw, salt, &view));
    return view.sets[0].x.data;
}

static bool end(void)
{
    return guarded_end(&operands, 0, what, sizeof what);
}

TEST(guarded, what_may_be_touched)
{
    start(product);
    const uint8_t *x = operands.sets[0].x.data;
    volatile const uint8_t *copy = begin_at(0, 1);
    EXPECT_TRUE(copy != x);
    EXPECT_EQ(0, (uintptr_t)copy % 64);
    for (size_t i = 0; i < 64; i++)
        EXPECT_EQ(x[i], copy[i]);
    memset(view.sets[0].out.data, 7, view.sets[0].out.size);
    memset(view.workspace.data, 7, view.workspace.size);
    EXPECT_TRUE(end());
    EXPECT_EQ(7, ((const uint8_t *)operands.sets[0].out.data)[9]);
    operands_release(&operands);
}

TEST(guarded, reads_past_an_end_and_far_before_a_start)
{
    start(product);
    (void)begin_at(0, 1)[64];
    EXPECT_FALSE(end());
    EXPECT_STREQ("read outside of the activations: byte 64 of 64", what);
    (void)*(begin_at(0, 2) - 20000);
    EXPECT_FALSE(end());
    EXPECT_STREQ("read outside of the activations: byte -20000 of 64", what);
    begin_at(0, 3); /* nothing is left of the last call's */
    EXPECT_TRUE(end());
    operands_release(&operands);
}

TEST(guarded, writes_that_are_put_back)
{
    start(product);
    volatile uint8_t *codes = (begin_at(0, 1), view.sets[0].packed.data);
    const uint8_t was = codes[3];
    codes[3] = (uint8_t)~was;
    codes[3] = was;
    EXPECT_FALSE(end());
    EXPECT_STREQ("wrote to its inputs: byte 3 of the packed weights", what);
    operands_release(&operands);
}

TEST(guarded, writes_behind_an_output_that_ends_before_the_guard)
{
    start(product);
    begin_at(0, 1);
    volatile uint8_t *y = view.sets[0].out.data;
    y[view.sets[0].out.size] ^= 1;
    EXPECT_FALSE(end());
    EXPECT_STREQ("wrote outside of the output: byte 10 of 10", what);
    begin_at(77, 2);
    y = view.sets[0].out.data;
    y[view.sets[0].out.size + 20000] = 1;
    EXPECT_FALSE(end());
    EXPECT_STREQ("wrote outside of the output: byte 20010 of 10", what);
    operands_release(&operands);
}

TEST(guarded, canaries_poison_and_addresses_change)
{
    enum { CALLS = 64 };
    start(product);
    size_t behind[256] = {0}, line = 0, page_starts = 0;
    uint32_t room[2];
    for (size_t i = 0; i < CALLS; i++) {
        volatile const uint8_t *x = begin_at(1 + 977 * i, i);
        behind[x[64]]++;
        line += (uintptr_t)x % 128 != 0;
        page_starts += (uintptr_t)x % 4096 == 0;
        memcpy(&room[i % 2], view.workspace.data, 4);
        EXPECT_TRUE(i == 0 || room[0] != room[1]);
        EXPECT_EQ(0x7f800000, room[i % 2] & 0x7f800000); /* NaN */
        EXPECT_TRUE(end());
    }
    for (size_t i = 0; i < 256; i++)
        EXPECT_TRUE(behind[i] < CALLS / 4);
    EXPECT_TRUE(line > CALLS / 4 && line < CALLS * 3 / 4);
    EXPECT_TRUE(page_starts < CALLS / 4);
    operands_release(&operands);
}
