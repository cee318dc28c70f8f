/* Tests of harness/device/call.c: variants of two launches. Kernels: tests/simt/call_then.cu. */
#include "harness/device/call.h"

#include <stdlib.h>
#include <string.h>

#include "harness/device/open.h"
#include "tests/test.h"

extern const struct entry call_alone__fast, call_both__fast, call_first_refused__fast,
    call_second_refused__fast;

static struct operands operands;
static struct device device;
static struct call_fault fault;

/* For the process that calls them as well, which is this program. */
#define VARIANT(entry)                                                                                       \
    {                                                                                                        \
        .name = #entry, .table = "tests of call", .arch = "sm75", .k_multiple = 1, .backend = BACKEND_CUDA,  \
        .built = true, .entries = {&entry##__fast, NULL},                                                    \
        .contract = {.format = FORMAT_NF4,                                                                   \
                     .op = OP_GEMM,                                                                          \
                     .out = DTYPE_F32,                                                                       \
                     .accumulation = ACC_CHAINS,                                                             \
                     .chains = 1,                                                                            \
                     .width = 1,                                                                             \
                     .splits = 1},                                                                           \
    }
static const struct kernel kernels[] = {VARIANT(call_alone), VARIANT(call_both), VARIANT(call_first_refused),
                                        VARIANT(call_second_refused)};
__attribute__((constructor)) static void add_kernels(void)
{
    if (kernel_add_table(kernels[0].table, kernels, sizeof kernels / sizeof kernels[0]) != STATUS_OK)
        abort();
}

/* Calls the variant that begins with `e` on fresh operands: y is 0. */
static bool call(const struct entry *e)
{
    struct problem p;
    const struct kernel *k = kernels;
    while (k->entries[ENTRY_FAST] != e)
        k++;
    EXPECT_EQ(STATUS_OK, problem_parse("gemm f32 m=1 n=32 k=32 blocksize=32 nested=0 bias=0 seed=1", &p));
    device_release(&device); /* of the call before */
    EXPECT_EQ(STATUS_OK, device_parse("simt:fast", &device));
    EXPECT_EQ(STATUS_OK, operands_init(&p, 1, &device, &operands));
    memset(operands.sets[0].out.data, 0, operands.sets[0].out.size);
    return call_kernel(&operands, 0, k, &fault);
}

static float y(size_t i)
{
    return ((const float *)operands.sets[0].out.data)[i];
}

TEST(call, a_variant_of_one_launch_has_no_next)
{
    EXPECT_TRUE(call_alone__fast.next == NULL);
    EXPECT_TRUE(call(&call_alone__fast));
    EXPECT_EQ(1, device.launches);
    EXPECT_TRUE(y(31) == 0.0f);
    operands_release(&operands);
}

TEST(call, the_second_launch_sees_what_the_first_wrote)
{
    ASSERT_TRUE(call_both__fast.next != NULL);
    EXPECT_STREQ("call_both_then", call_both__fast.next->name);
    EXPECT_TRUE(call_both__fast.next->next == NULL);
    EXPECT_TRUE(call(&call_both__fast));
    EXPECT_EQ(2, device.launches); /* each has its own schedule */
    for (size_t i = 0; i < 32; i++)
        EXPECT_TRUE(y(i) == (float)(i + 1));
    operands_release(&operands);
}

TEST(call, after_a_fault_nothing_follows)
{
    EXPECT_FALSE(call(&call_first_refused__fast));
    EXPECT_EQ(1, device.launches);
    EXPECT_CONTAINS(fault.text, "call_first_refused:");
    EXPECT_TRUE(y(31) == 0.0f);
    operands_release(&operands);
}

TEST(call, a_fault_of_the_second_launch_is_reported_as_its_own)
{
    EXPECT_FALSE(call(&call_second_refused__fast));
    EXPECT_EQ(2, device.launches);
    EXPECT_STREQ(simt_fault_word(SIMT_LIMIT), fault.word);
    EXPECT_CONTAINS(fault.text, "call_second_refused_then");
    EXPECT_FALSE(fault.ours);
    operands_release(&operands);
}
