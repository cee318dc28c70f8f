#include "harness/problem/variant.h"

#include <stdio.h>
#include <string.h>

#include "tests/test.h"

/* Each name parses by the grammar, and says the same as its columns. */
TEST(kernel_table, names_agree_with_columns)
{
    for (size_t i = 0; i < KERNEL_TABLE_COUNT; i++) {
        const struct kernel *k = kernel_at(i);
        struct contract named;
        const char *arch;
        test_note("%s", k->name);
        ASSERT_TRUE(contract_parse(k->name, &named, &arch));
        EXPECT_TRUE(contract_equal(&named, &k->contract));
        EXPECT_TRUE(contract_invalid(&k->contract) == NULL);
        size_t length = strlen(k->arch);
        EXPECT_TRUE(strncmp(arch, k->arch, length) == 0 && (arch[length] == '\0' || arch[length] == '_'));
        EXPECT_TRUE(k->k_multiple >= 1);
        if (k->backend == BACKEND_CUDA) {
            EXPECT_STREQ(k->name, k->entries[ENTRY_FAST]->name);
            EXPECT_TRUE(k->min_sm >= 75 && !k->dequant && !k->gemm);
            continue;
        }
        EXPECT_TRUE(k->built ==
                    ((k->contract.op == OP_DEQUANT ? (void *)k->dequant : (void *)k->gemm) != NULL));
    }
    test_note(NULL);
}

TEST(kernel_table, every_name_is_found_once)
{
    for (size_t i = 0; i < KERNEL_TABLE_COUNT; i++)
        EXPECT_TRUE(kernel_find(kernel_at(i)->name) == kernel_at(i));
    EXPECT_TRUE(kernel_find("nf4_dequant_f32__no_such") == NULL);
    EXPECT_STREQ("nf4_dequant_f32__scalar", kernel_at(KERNEL_nf4_dequant_f32__scalar)->name);
}

TEST(kernel_table, constraints_say_why)
{
    char reason[KERNEL_REASON_MAX];
    struct problem p = {
        .op = OP_GEMM, .out = DTYPE_BF16, .m = 5, .n = 48, .k = 100, .format.blocksize = 64, .bias = true};
    struct kernel k = {.name = "nf4_gemm_bf16_acc1__scalar", .k_multiple = 1};
    EXPECT_TRUE(kernel_inapplicable(&k, &p, reason) == NULL);
    k.m_max = 4;
    EXPECT_CONTAINS(kernel_inapplicable(&k, &p, reason), "m up to 4");
    k = (struct kernel){.name = "nf4_gemm_bf16_acc1__scalar", .k_multiple = 64};
    EXPECT_CONTAINS(kernel_inapplicable(&k, &p, reason), "k in multiples of 64");
    k = (struct kernel){.name = "nf4_gemm_bf16_acc1__scalar", .k_multiple = 1, .n_multiple = 32};
    EXPECT_CONTAINS(kernel_inapplicable(&k, &p, reason), "n in multiples of 32");
    k = (struct kernel){.name = "nf4_gemm_bf16_acc1__scalar", .k_multiple = 1, .whole_blocks = true};
    EXPECT_CONTAINS(kernel_inapplicable(&k, &p, reason), "multiples of the blocksize");
    k = (struct kernel){.name = "nf4_gemm_bf16_acc1__scalar", .k_multiple = 1, .no_bias = true};
    EXPECT_CONTAINS(kernel_inapplicable(&k, &p, reason), "no bias");
}

TEST(kernel_table, missing_features_and_builds_are_named)
{
    char reason[KERNEL_REASON_MAX];
    struct kernel k = {.arch = "avx512", .built = false};
    EXPECT_CONTAINS(kernel_unavailable(&k, &device_cpu, reason), "no code for avx512");
    k.built = true;
    EXPECT_TRUE(kernel_unavailable(&k, &device_cpu, reason) == NULL);
    k.cpu_features = 1u << 31; /* a feature that no CPU has */
    EXPECT_CONTAINS(kernel_unavailable(&k, &device_cpu, reason), "this CPU has no");
    k = (struct kernel){.arch = "sm80", .built = true, .backend = BACKEND_CUDA};
    EXPECT_CONTAINS(kernel_unavailable(&k, &device_cpu, reason), "--device simt");
    struct device simt = {.kind = DEVICE_SIMT, .checked = true};
    EXPECT_CONTAINS(kernel_unavailable(&k, &simt, reason), "no checked host code");
}

TEST(kernel_table, a_taken_name_is_refused)
{
    EXPECT_EQ(STATUS_INPUT, kernel_add(kernel_at(0)));
    EXPECT_CONTAINS(status_message(), "taken");
}
