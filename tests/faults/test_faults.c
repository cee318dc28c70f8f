/*
 * test_faults.c: every fault is rejected, by the check that was meant to; the code without faults passes.
 */
#include <stdio.h>
#include <string.h>

#include "harness/verify.h"
#include "tests/faults/faults.h"
#include "tests/test.h"

/* Shapes on which every fault can be seen: rows that straddle blocks, an odd count. */
static const struct problem dequant_problem = {
    .op = OP_DEQUANT, .out = DTYPE_BF16, .n = 65, .k = 65, .blocksize = 64, .seed = 7, .weights = "normal"};
static const struct problem gemm_problem = {.op = OP_GEMM,
                                            .out = DTYPE_BF16,
                                            .m = 3,
                                            .n = 48,
                                            .k = 1027,
                                            .blocksize = 64,
                                            .bias = true,
                                            .seed = 7,
                                            .weights = "normal"};

static void check(const struct kernel *k, enum verdict verdict, const char *name, const char *what)
{
    struct problem p = k->contract.op == OP_DEQUANT ? dequant_problem : gemm_problem;
    struct operands o;
    struct verification v;
    struct verifier *verifier = verifier_new();
    p.out = k->contract.out;
    ASSERT_TRUE(verifier != NULL);
    ASSERT_EQ(STATUS_OK, operands_init(&p, 1, &device_cpu, &o));
    test_note("%s: %s", k->name, what);
    EXPECT_EQ(STATUS_OK, verify(verifier, k, &o, &v));
    EXPECT_EQ(verdict, v.verdict);
    EXPECT_STREQ(name, v.check);
    if (verdict == VERDICT_FAIL) {
        /* The line names the check, and says either which element or what was written. */
        EXPECT_TRUE(strncmp(v.reason, name, strlen(name)) == 0);
        EXPECT_TRUE(strstr(v.reason, "expected 0x") || strstr(v.reason, "wrote"));
    }
    test_note(NULL);
    operands_release(&o);
    verifier_free(verifier);
}

TEST(faults, right_code_passes)
{
    check(&right_dequant, VERDICT_PASS, "real_data", "no fault");
    check(&right_gemm, VERDICT_PASS, "real_data", "no fault");
    check(&right_acc4w8, VERDICT_PASS, "real_data", "no fault");
    check(&right_mma80, VERDICT_PASS, "real_data", "no fault");
    check(&right_mma90, VERDICT_PASS, "real_data", "no fault");
}

#ifndef NF4BENCH_SANITIZED /* the sanitizer would end the process at the writes out of bounds, as it should  \
                            */
TEST(faults, every_fault_is_rejected_by_its_check)
{
    for (unsigned i = 0; i < fault_count; i++)
        check(&faults[i].kernel, VERDICT_FAIL, faults[i].check, faults[i].what);
    printf("%u faults, all rejected by the check meant for them\n", fault_count);
}
#endif

/* What a person reads: the mismatch is taken apart down to the nibble. */
TEST(faults, first_mismatch_is_decoded)
{
    struct operands o;
    struct verification v;
    struct verifier *verifier = verifier_new();
    ASSERT_TRUE(verifier != NULL);
    ASSERT_EQ(STATUS_OK, operands_init(&dequant_problem, 1, &device_cpu, &o));
    EXPECT_EQ(STATUS_OK, verify(verifier, &faults[0].kernel, &o, &v));
    EXPECT_CONTAINS(v.reason, "differ; element ");
    EXPECT_CONTAINS(v.detail, "weight row ");
    EXPECT_CONTAINS(v.detail, "nibble, code 11 (0.337915242), absmax ");
    operands_release(&o);
    verifier_free(verifier);
}
