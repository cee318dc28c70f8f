/* Tests of the table of checks: the list that is printed against the faults that the checks must catch. */
#include "harness/verify/checks.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/verify/faults/faults.h"
#include "tests/test.h"

static bool names_a_fault(const char *check)
{
    for (size_t i = 0; i < fault_count; i++)
        if (strcmp(faults[i].check, check) == 0)
            return true;
    return false;
}

TEST(checks, the_printed_list_is_what_faults_are_caught_by)
{
    char *text = NULL;
    size_t size = 0, printed = 0;
    FILE *out = open_memstream(&text, &size);
    ASSERT_TRUE(out != NULL);
    checks_print(out);
    ASSERT_EQ(0, fclose(out));
    for (const char *line = text; *line; line = strchr(line, '\n') + 1, printed++) {
        char name[64] = "";
        ASSERT_EQ(1, sscanf(line, "%63s", name));
        test_note("%s", name);
        EXPECT_TRUE(names_a_fault(name));
    }
    for (size_t i = 0; i < fault_count; i++) {
        char line_start[64];
        snprintf(line_start, sizeof line_start, "%s ", faults[i].check);
        test_note("%s", faults[i].kernel.name);
        EXPECT_CONTAINS(text, line_start);
    }
    test_note(NULL);
    EXPECT_EQ(check_count, printed);
    for (size_t i = 0; i < check_count; i++)
        for (size_t j = 0; j < i; j++)
            EXPECT_TRUE(strcmp(checks[i].name, checks[j].name) != 0);
    EXPECT_CONTAINS(text, "\ncancelling_sums    gemm  ");
    free(text);
}

/* The conditions of the table, which say on which variants a check runs. */
TEST(checks, apply_to_the_variants_that_they_are_for)
{
    static const struct {
        struct kernel k;
        const char *want; /* the first letters of the checks that apply */
    } rows[] = {
        {{.contract = {.op = OP_DEQUANT, .out = DTYPE_BF16}}, "ersvr"},
        {{.contract = {.op = OP_REPACK, .out = DTYPE_U8}}, "rvr"},
        {{.contract = {.op = OP_GEMM, .out = DTYPE_BF16, .accumulation = ACC_CHAINS}}, "eoecrsvr"},
        {{.contract = {.op = OP_GEMM, .out = DTYPE_F32, .accumulation = ACC_CHAINS}}, "eoersvr"},
        {{.contract = {.op = OP_GEMM, .out = DTYPE_BF16, .accumulation = ACC_ANY}}, "eoersv"},
        {{.contract = {.op = OP_GEMM, .out = DTYPE_BF16, .accumulation = ACC_ANY}, .deterministic = true},
         "eoersvr"},
        {{.contract = {.op = OP_GEMM, .out = DTYPE_F16, .accumulation = ACC_CHAINS}, .no_bias = true},
         "eoersvr"},
        {{.contract = {.op = OP_GEMM, .out = DTYPE_F16, .accumulation = ACC_CHAINS}, .extra_unit = 0.5},
         "ecrvr"},
        {{.contract = {.op = OP_GEMMDX, .out = DTYPE_BF16, .accumulation = ACC_CHAINS}}, "eoersvr"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char got[16] = "";
        size_t length = 0;
        for (size_t j = 0; j < check_count; j++)
            if (check_applies(&checks[j], &rows[i].k))
                got[length++] = checks[j].name[0];
        test_note("row %zu", i);
        EXPECT_STREQ(rows[i].want, got);
    }
    test_note(NULL);
}
