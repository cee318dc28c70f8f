/* Tests of harness/provider/openblas.c with the library that is installed. What it does with one that is
 * wrong: end_to_end/test_openblas.py. */
#include "harness/provider/openblas.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/device/caller.h"
#include "harness/device/cpu/serve.h"
#include "harness/problem/operands.h"
#include "harness/verify/verify.h"
#include "tests/test.h"

/* False: there is no library here, and so there are no variants. */
static bool is_there(void)
{
    static bool added;
    if (!added) { /* here as well as in callers: one test calls them here */
        EXPECT_EQ(STATUS_OK, openblas_add_all());
        caller_loads("--openblas", "");
        added = true;
    }
    const char *path = getenv("NF4BENCH_LIBOPENBLAS");
    void *library = dlopen(path && *path ? path : "libopenblas.so.0", RTLD_NOW | RTLD_LOCAL);
    EXPECT_EQ(library != NULL, kernel_find("openblas_gemm_f32") != NULL);
    if (library)
        dlclose(library);
    return library != NULL;
}

static void init(const char *text, struct problem *p, struct operands *o)
{
    EXPECT_EQ(STATUS_OK, problem_parse(text, p));
    EXPECT_EQ(STATUS_OK, operands_init(p, 2, &device_cpu, o));
}

TEST(openblas, every_product_passes)
{
    static const char *const cases[] = {"%s f32 m=1 n=300 k=256 blocksize=64 nested=%d",
                                        "%s f32 m=90 n=35 k=67 blocksize=64 nested=%d"};
    struct verifier *verifier = verifier_new();
    size_t run = 0;
    ASSERT_TRUE(verifier != NULL);
    for (size_t i = kernel_table_count(); is_there() && i < kernel_count(); i++) {
        const struct kernel *k = kernel_at(i);
        if (k->backend != BACKEND_CPU || !k->blas)
            continue;
        for (size_t j = 0; j < sizeof cases / sizeof cases[0]; j++) {
            char text[128];
            struct problem p;
            struct operands o;
            struct verification v;
            snprintf(text, sizeof text, cases[j], op_word(k->contract.op), k->contract.nested != NESTED_NONE);
            test_note("%s: %s", k->name, text);
            if (k->contract.format == FORMAT_INT4) { /* rows of whole groups */
                char *shape = strstr(text, " blocksize");
                snprintf(shape, sizeof text - (size_t)(shape - text), "%s",
                         j ? " k=192 format=int4 blocksize=64 zeros=1" : " format=int4 blocksize=128");
            }
            init(text, &p, &o);
            EXPECT_EQ(STATUS_OK, verify(verifier, k, &o, &v));
            EXPECT_EQ(VERDICT_PASS, v.verdict);
            operands_release(&o);
            run++;
        }
    }
    test_note(NULL);
    EXPECT_TRUE(!is_there() || run == 13 * 2);
    verifier_free(verifier);
}

/* Names are made of what they say: contract, arch, and what is done. */
TEST(openblas, names_agree_with_contracts)
{
    for (size_t i = kernel_table_count(); is_there() && i < kernel_count(); i++) {
        const struct kernel *k = kernel_at(i);
        struct contract named;
        const char *arch;
        if (k->backend != BACKEND_CPU || !k->blas || k->peer)
            continue;
        test_note("%s", k->name);
        ASSERT_TRUE(contract_parse(k->name, &named, &arch));
        EXPECT_TRUE(contract_equal(&named, &k->contract));
        EXPECT_TRUE(strncmp(arch, k->arch, strlen(k->arch)) == 0);
        EXPECT_STREQ(k->arch, k->dequantize->arch);
    }
    test_note(NULL);
}

TEST(openblas, dense_weights_are_a_sets_own_and_room_is_shared)
{
    const struct kernel *dense = is_there() ? kernel_find("openblas_gemm_f32") : NULL, *whole = NULL;
    struct problem p;
    struct operands o, q;
    void *first, *again, *other, *room, *same;
    if (!dense)
        return;
    for (size_t i = kernel_table_count(); i < kernel_count(); i++)
        whole = kernel_at(i)->blas == BLAS_WHOLE && kernel_at(i)->product ? kernel_at(i) : whole;
    ASSERT_TRUE(dense && whole);
    init("gemm f32 m=2 n=16 k=64 blocksize=64", &p, &o);
    init("gemm f32 m=2 n=16 k=64 blocksize=64", &p, &q);
    EXPECT_EQ(STATUS_OK, cpu_prepare(&o, 0, dense, &first));
    EXPECT_EQ(STATUS_OK, cpu_prepare(&o, 0, dense, &again));
    EXPECT_EQ(STATUS_OK, cpu_prepare(&q, 0, dense, &other));
    EXPECT_EQ(STATUS_OK, cpu_prepare(&o, 0, whole, &room));
    EXPECT_EQ(STATUS_OK, cpu_prepare(&q, 0, whole, &same));
    EXPECT_TRUE(first == again && first != other && room == same && room != first && room != other);
    dense->unprepare(first);
    dense->unprepare(other);
    dense->unprepare(again);
    whole->unprepare(same);
    whole->unprepare(room);
    operands_release(&o);
    operands_release(&q);
}

TEST(openblas, dense_weights_that_do_not_fit_are_a_reason_to_skip)
{
    const struct kernel *dense = is_there() ? kernel_find("openblas_gemm_f32") : NULL;
    char reason[KERNEL_REASON_MAX];
    struct problem p = {
        .op = OP_GEMM, .out = DTYPE_F32, .m = 1, .n = 1 << 24, .k = 1 << 24, .format.blocksize = 64};
    if (!dense)
        return;
    EXPECT_CONTAINS(kernel_inapplicable(dense, &p, reason), "more than a quarter of the memory");
    p.n = p.k = 64;
    EXPECT_TRUE(kernel_inapplicable(dense, &p, reason) == NULL);
}
