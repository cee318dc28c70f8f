/* Tests of harness/device/cpu/arena.c and guards.c: what a call touches that it must not. Judge and caller are one process
 * here. */
#include "harness/device/cpu/guards.h"

#include <signal.h>
#include <string.h>
#include <sys/mman.h>

#include "tests/test.h"

static struct operands operands;
static struct arena *arena;
static struct arena_call placed;
static char what[160];

static void start(const char *problem)
{
    struct problem p;
    EXPECT_EQ(STATUS_OK, problem_parse(problem, &p));
    EXPECT_EQ(STATUS_OK, operands_init(&p, 1, &device_cpu, &operands));
    if (!arena)
        arena = arena_new();
    ASSERT_TRUE(arena != NULL);
}

static uint8_t *at(size_t operand)
{
    return placed.operands[operand].data;
}
enum { PACKED = 0, X = 7 /* operands_buffers() */ };

/* x has 64 bytes: it ends at the guard where draw is 0. */
static const char *const product = "gemm bf16 m=1 n=5 k=32 blocksize=32 nested=0 bias=1 seed=1";

static volatile const uint8_t *begin_at(enum placement placement, uint64_t number)
{
    const size_t all = arena->each * OPERAND_BUFFERS;
    EXPECT_EQ(0, mprotect(arena->base, all, PROT_READ | PROT_WRITE));
    EXPECT_EQ(STATUS_OK, arena_place(arena, &operands, 0, placement, number, &placed));
    EXPECT_EQ(0, mprotect(arena->base, all, PROT_NONE));
    EXPECT_EQ(STATUS_OK, guards_begin(&placed));
    return at(X);
}

static bool end(void)
{
    const bool alone = guards_end(what, sizeof what);
    EXPECT_EQ(0, mprotect(arena->base, arena->each * OPERAND_BUFFERS, PROT_READ | PROT_WRITE));
    return alone && arena_take_back(arena, &placed, &operands, 0, what, sizeof what);
}

TEST(guards, what_may_be_touched)
{
    start(product);
    const uint8_t *x = operands.sets[0].x.data;
    volatile const uint8_t *copy = begin_at(PLACE_AT_END, 1);
    EXPECT_TRUE(copy != x);
    EXPECT_EQ(0, (uintptr_t)copy % 64);
    for (size_t i = 0; i < 64; i++)
        EXPECT_EQ(x[i], copy[i]);
    memset(at(OPERAND_OUT), 7, operands.sets[0].out.size);
    memset(at(OPERAND_WORKSPACE), 7, operands.workspace.size);
    EXPECT_TRUE(end());
    EXPECT_EQ(7, ((const uint8_t *)operands.sets[0].out.data)[9]);
    operands_release(&operands);
}

TEST(guards, reads_past_an_end_and_far_before_a_start)
{
    start(product);
    (void)begin_at(PLACE_AT_END, 1)[64];
    EXPECT_FALSE(end());
    EXPECT_STREQ("read outside of the activations: byte 64 of 64", what);
    (void)*(begin_at(PLACE_AT_END, 2) - 20000);
    EXPECT_FALSE(end());
    EXPECT_STREQ("read outside of the activations: byte -20000 of 64", what);
    begin_at(PLACE_AT_END, 3); /* nothing is left of the last call's */
    EXPECT_TRUE(end());
    operands_release(&operands);
}

TEST(guards, writes_that_are_put_back)
{
    start(product);
    volatile uint8_t *codes = (begin_at(PLACE_AT_END, 1), at(PACKED));
    const uint8_t was = codes[3];
    codes[3] = (uint8_t)~was;
    codes[3] = was;
    EXPECT_FALSE(end());
    EXPECT_STREQ("wrote to its inputs: byte 3 of the packed weights", what);
    operands_release(&operands);
}

TEST(guards, writes_behind_an_output_that_ends_before_the_guard)
{
    start(product);
    begin_at(PLACE_AT_END, 1);
    volatile uint8_t *y = at(OPERAND_OUT);
    y[operands.sets[0].out.size] ^= 1;
    EXPECT_FALSE(end());
    EXPECT_STREQ("wrote outside of the output: byte 10 of 10", what);
    begin_at(PLACE_DRAWN, 2);
    y = at(OPERAND_OUT);
    y[operands.sets[0].out.size + 20000] = 1;
    EXPECT_FALSE(end());
    EXPECT_STREQ("wrote outside of the output: byte 20010 of 10", what);
    operands_release(&operands);
}

TEST(guards, surroundings_and_addresses_change)
{
    enum { CALLS = 60 };
    start(product);
    size_t nan_behind = 0, other_behind = 0, contents[3] = {0};
    for (size_t i = 0; i < CALLS; i++) {
        volatile const uint8_t *x = begin_at(PLACE_DRAWN, i);
        const uint16_t behind = (uint16_t)(x[64] | x[65] << 8);
        uint32_t room;
        nan_behind += (behind & 0x7f81) == 0x7f81;
        other_behind += (behind & 0x7f81) != 0x7f81;
        EXPECT_EQ(64, (uintptr_t)x % 128);
        memcpy(&room, at(OPERAND_WORKSPACE), 4);
        contents[0] += (room & 0x7f800000) == 0x7f800000;
        contents[1] += room == 0;
        contents[2] += (room & 0x7f000000) == 0x70000000;
        EXPECT_TRUE(end());
    }
    EXPECT_EQ(CALLS / 2, nan_behind);
    EXPECT_EQ(CALLS / 2, other_behind);
    for (size_t i = 0; i < 3; i++)
        EXPECT_EQ(CALLS / 3, contents[i]);
    EXPECT_EQ(0, (uintptr_t)begin_at(PLACE_AT_START, 1) % 4096);
    (void)*(begin_at(PLACE_AT_START, 1) - 1);
    EXPECT_FALSE(end());
    EXPECT_STREQ("read outside of the activations: byte -1 of 64", what);
    operands_release(&operands);
}

TEST(guards, another_handler_is_seen)
{
    start(product);
    begin_at(PLACE_AT_END, 1);
    void (*old)(int) = signal(SIGSEGV, SIG_DFL);
    EXPECT_FALSE(end());
    EXPECT_CONTAINS(what, "handler of SIGSEGV");
    begin_at(PLACE_AT_END, 2);
    EXPECT_TRUE(end());
    (void)old;
    operands_release(&operands);
}

TEST(guards, inputs_that_a_call_made_writable)
{
    start("gemm bf16 m=64 n=5 k=4096 blocksize=32 nested=0 bias=1 seed=1");
    begin_at(PLACE_AT_START, 1);
    EXPECT_EQ(0, mprotect(at(X), 4096, PROT_READ | PROT_WRITE));
    at(X)[5] ^= 1;
    EXPECT_FALSE(end());
    EXPECT_STREQ("wrote to its inputs: the activations", what);
    operands_release(&operands);
}
