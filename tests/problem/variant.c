#include "harness/problem/variant.h"

#include <stdio.h>
#include <string.h>

#include "harness/base/machine.h"
#include "tests/test.h"

/* Each row has the contract and the arch of its name, and the code of its operation. */
TEST(kernel_table, rows_are_what_their_names_say)
{
    for (size_t i = 0; i < kernel_table_count(); i++) {
        const struct kernel *k = kernel_at(i);
        char contract[CONTRACT_NAME_MAX], prefix[VARIANT_NAME_MAX];
        test_note("%s", k->name);
        ASSERT_TRUE(contract_format(&k->contract, contract, sizeof contract));
        snprintf(prefix, sizeof prefix, "%s__%s", contract, k->arch);
        EXPECT_TRUE(strncmp(k->name, prefix, strlen(prefix)) == 0);
        EXPECT_TRUE(k->name[strlen(prefix)] == '\0' || k->name[strlen(prefix)] == '_');
        if (k->backend == BACKEND_CUDA) {
            EXPECT_STREQ(k->name, k->entries[ENTRY_FAST]->name);
            EXPECT_TRUE(k->min_sm >= 75 && !k->dequant && !k->gemm);
            continue;
        }
        EXPECT_TRUE(k->built ==
                    ((k->contract.op == OP_DEQUANT ? (void *)k->dequant : (void *)k->gemm) != NULL));
        EXPECT_TRUE(k->contract.op == OP_DEQUANT ? !k->gemm : !k->dequant);
    }
    test_note(NULL);
}

TEST(kernel_table, rows_have_their_limits_and_what_their_arch_needs)
{
    static const struct {
        const char *name, *source;
        size_t m_max;
        unsigned cpu_features, min_sm;
    } rows[] = {
        {"nf4_dequant_f32__scalar", "nf4_dequant/scalar.c", 0, 0, 0},
        {"nf4_gemm_bf16_sblk_acc16w8__avx512_words", "nf4_gemm/avx512_words.c", 4, CPU_AVX512, 0},
        {"nf4_gemm_bf16_dpbf16_ftz__avx512bf16_gemv", "nf4_gemm/avx512bf16_gemv.c", 0,
         CPU_AVX512 | CPU_AVX512_BF16, 0},
        {"nf4_gemm_f32_sblk_acc32w8__sm75_prmt", "nf4_gemm/gemv_prmt.cu", 1, 0, 75},
        {"int4_gemm_f16_mma80x4__sm80_marlin_64x128x128", "formats_gemm/marlin.cu", 64, 0, 80},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        const struct kernel *k = kernel_find(rows[i].name);
        test_note("%s", rows[i].name);
        ASSERT_TRUE(k != NULL);
        EXPECT_STREQ(rows[i].source, k->source);
        EXPECT_EQ(rows[i].m_max, k->m_max);
        EXPECT_EQ(1, k->k_multiple);
        EXPECT_EQ(rows[i].cpu_features, k->cpu_features);
        EXPECT_EQ(rows[i].min_sm, k->min_sm);
    }
    test_note(NULL);
}

TEST(kernel_table, every_name_is_found_once)
{
    for (size_t i = 0; i < kernel_table_count(); i++)
        EXPECT_TRUE(kernel_find(kernel_at(i)->name) == kernel_at(i));
    EXPECT_TRUE(kernel_find("nf4_dequant_f32__no_such") == NULL);
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
