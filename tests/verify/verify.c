#include "harness/verify/verify.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/random.h"
#include "harness/device/caller.h"
#include "harness/device/open.h"
#include "harness/verify/check_run.h"
#include "harness/verify/faults/faults.h"
#include "kernels/kernel.h"
#include "tests/test.h"

/* one_hot_value() is a shortcut; the pinned reference is the definition. They must agree on every contract of
 * the table, over scales of every kind that keeps sums finite. */
TEST(verify, one_hot_value_agrees_with_the_reference)
{
    enum { N = 64, K = 64 };
    static const uint32_t scales[] = {0x3f800000, 0x3dcccccd, 0x00000001, 0x007fffff, 0x00800000,
                                      0x0b800001, 0x80000000, 0x00000000, 0xbf99999a, 0x33800000,
                                      0x30000000, 0x01234567, 0x3fffffff, 0x42280000};
    for (size_t i = 0; i < kernel_table_count(); i++) {
        const struct contract *c = &kernel_at(i)->contract;
        if (c->op != OP_GEMM || c->nested != NESTED_NONE)
            continue;
        uint8_t packed[N * K / 2];
        float absmax[N];
        uint32_t x[K] = {0};
        for (size_t j = 0; j < sizeof packed; j++)
            packed[j] = (uint8_t)random_u64(1, RANDOM_CODES, j);
        for (size_t j = 0; j < N; j++)
            absmax[j] = f32_from_bits(scales[j % (sizeof scales / sizeof scales[0])]);
        struct quantized w = {.count = N * K, .blocksize = K, .packed = packed, .absmax = absmax};
        struct matmul p = {.m = 1, .n = N, .k = K, .a = x, .w = &w};
        test_note("%s", kernel_at(i)->name);
        for (size_t k = 0; k < K; k += 7) {
            memset(x, 0, sizeof x);
            dtype_store(c->out, x, k, 1.0f);
            for (size_t n = 0; n < N; n++)
                EXPECT_EQ_BITS(f32_bits(matmul_pinned_at(c, &p, 0, n)),
                               f32_bits(one_hot_value(c, &w, n * K + k, 0)));
        }
    }
    test_note(NULL);
}

/* With activations of zero, a kernel that writes zeros has the right bits on real data: the output proves
 * nothing. */
TEST(verify, a_vacuous_pass_is_mistrusted)
{
    struct problem p;
    struct operands o;
    struct verification v;
    struct verifier *verifier = verifier_new();
    ASSERT_EQ(STATUS_OK, problem_parse("gemm f32 m=8 n=64 k=64 blocksize=64", &p));
    ASSERT_EQ(STATUS_OK, operands_init(&p, 1, &device_cpu, &o));
    memset(o.sets[0].x.data, 0, o.sets[0].x.size);
    operands_rehash(&o);
    EXPECT_EQ(STATUS_OK, verify(verifier, kernel_find("nf4_gemm_f32_acc1__scalar"), &o, &v));
    EXPECT_EQ(VERDICT_MISTRUSTED, v.verdict);
    EXPECT_CONTAINS(v.reason, "512 of 512 sampled elements are zero");
    operands_release(&o);
    verifier_free(verifier);
}

/* ---- exhaustive_decode is left out on further problems only after a PASS ---- */

static struct verification verified(struct verifier *verifier, const struct kernel *k, struct device *device,
                                    const char *shape, enum status want)
{
    struct problem p;
    struct operands o;
    struct verification v = {0};
    EXPECT_EQ(STATUS_OK, problem_parse(shape, &p));
    const enum status s = operands_init(&p, 1, device, &o);
    EXPECT_EQ(STATUS_OK, s);
    if (s != STATUS_OK)
        return v;
    test_note("%s on %s", k->name, shape);
    EXPECT_EQ(want, verify(verifier, k, &o, &v));
    test_note(NULL);
    operands_release(&o);
    return v;
}

/* Right for the scales of real data. */
static void tiny_scales_are_zero(const struct dequant_args *a)
{
    static const struct contract contract = {.format = FORMAT_NF4, .op = OP_DEQUANT, .out = DTYPE_F32};
    const struct quantized w = {
        .count = a->count, .blocksize = a->w.blocksize, .packed = a->w.packed, .absmax = a->w.absmax};
    float *out = a->out;
    for (size_t i = 0; i < a->count; i++) {
        struct quantized_block b = quantized_block_at(&w, i / w.blocksize, NESTED_NONE);
        if (b.scale > -1e-30f && b.scale < 1e-30f)
            b.scale = 0;
        out[i] = quantized_weight(&contract, quantized_code_at(&contract, &w, i), b);
    }
}

static enum status no_preparation(const struct kernel *k, const struct gemm_args *args, void **prepared)
{
    (void)args;
    (void)prepared;
    return status_fail(STATUS_DEVICE, "%s has no room", k->name);
}

static void no_product(const struct gemm_args *args)
{
    (void)args;
}

/* For the process that calls them as well, which is this program. */
#define ODD                                                                                                  \
    .table = "tests of verify", .arch = "scalar", .k_multiple = 1, .backend = BACKEND_CPU, .built = true
static const struct kernel odd[] = {
    {ODD, .name = "nf4_dequant_f32__scalar_wrong",
     .contract = {.format = FORMAT_NF4, .op = OP_DEQUANT, .out = DTYPE_F32}, .dequant = tiny_scales_are_zero},
    {ODD, .name = "nf4_gemm_f32_acc1__scalar_unprepared",
     .contract = {.format = FORMAT_NF4,
                  .op = OP_GEMM,
                  .out = DTYPE_F32,
                  .accumulation = ACC_CHAINS,
                  .chains = 1,
                  .width = 1,
                  .splits = 1},
     .gemm = no_product, .prepare = no_preparation},
};
__attribute__((constructor)) static void add_odd(void)
{
    if (kernel_add_table(odd[0].table, odd, sizeof odd / sizeof odd[0]) != STATUS_OK)
        abort();
}

TEST(verify, a_wrong_decode_fails_on_every_problem)
{
    static const char *const shapes[] = {"dequant f32 n=16 k=64 blocksize=64",
                                         "dequant f32 n=32 k=64 blocksize=64",
                                         "dequant f32 n=48 k=128 blocksize=64"};
    struct verifier *verifier = verifier_new();
    for (size_t i = 0; i < sizeof shapes / sizeof shapes[0]; i++) {
        const struct verification v = verified(verifier, &odd[0], &device_cpu, shapes[i], STATUS_OK);
        EXPECT_EQ(VERDICT_FAIL, v.verdict);
        EXPECT_STREQ("exhaustive_decode", v.check);
    }
    EXPECT_EQ(0, verifier->decoded_count);
    verifier_free(verifier);
}

TEST(verify, a_timeout_or_a_crash_of_a_decode_is_not_remembered)
{
    static const char *const names[] = {"fault_cuda_endless", "fault_cuda_wild_write"};
    struct device device;
    ASSERT_EQ(STATUS_OK, device_parse("simt:fast", &device));
    caller_loads("--faults", "");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
        const struct fault *f = faults;
        device.limit_s = i == 0 ? 0.5 : 0; /* a sanitizer takes longer than that to report a crash */
        while (f < faults + fault_count && strcmp(f->kernel.name, names[i]) != 0)
            f++;
        ASSERT_TRUE(f < faults + fault_count);
        char shape[96];
        snprintf(shape, sizeof shape, "dequant %s n=64 k=128 blocksize=128",
                 dtype_word(f->kernel.contract.out));
        struct verifier *verifier = verifier_new();
        const struct verification v = verified(verifier, &f->kernel, &device, shape, STATUS_OK);
        EXPECT_EQ(f->verdict, v.verdict);
        EXPECT_STREQ(i == 0 ? "hang" : "crash", v.check);
        EXPECT_CONTAINS(v.reason, "exhaustive_decode: ");
        EXPECT_EQ(0, verifier->decoded_count);
        verifier_free(verifier);
    }
    device_release(&device);
}

TEST(verify, a_decode_that_could_not_be_checked_is_not_remembered)
{
    struct verifier *verifier = verifier_new();
    static const char shape[] = "gemm f32 m=1 n=16 k=64 blocksize=64";
    const struct verification v = verified(verifier, &odd[1], &device_cpu, shape, STATUS_OK);
    EXPECT_EQ(VERDICT_MISTRUSTED, v.verdict);
    EXPECT_CONTAINS(v.detail, "has no room");
    EXPECT_EQ(0, verifier->decoded_count);
    const struct kernel *k = kernel_find("nf4_gemm_f32_acc1__scalar");
    EXPECT_EQ(VERDICT_PASS, verified(verifier, k, &device_cpu, shape, STATUS_OK).verdict);
    EXPECT_EQ(3, verifier->decoded_count); /* and special_scales */
    static const char smaller_blocks[] = "gemm f32 m=1 n=16 k=64 blocksize=32";
    EXPECT_EQ(VERDICT_PASS, verified(verifier, k, &device_cpu, smaller_blocks, STATUS_OK).verdict);
    EXPECT_EQ(6, verifier->decoded_count);
    verifier_free(verifier);
}

/* Of the variants in the order of the table, every n-th from this one on: sanitizers make the whole slow, so that
 * ./dev sanitize asks for a part, another one for each commit. Without the environment's word, all. */
static size_t from_environment(const char *name, size_t otherwise)
{
    const char *word = getenv(name);
    return word && *word ? strtoul(word, NULL, 10) : otherwise;
}

TEST(verify, every_variant_passes_a_small_case)
{
    static const char *const cases[] = {
        "dequant %s n=37 k=67 blocksize=64 nested=%d", "gemm %s m=5 n=37 k=67 blocksize=64 nested=%d bias=1",
        "gemmdx %s m=5 n=37 k=67 blocksize=64 nested=%d", "repack %s n=37 k=67 blocksize=64 nested=%d",
        "unrepack %s n=37 k=67 blocksize=64 nested=%d"};
    static const char *const others[] = {"dequant %s n=64 k=96 blocksize=32 nested=%d",
                                         "gemm %s m=5 n=64 k=96 blocksize=32 nested=%d bias=1",
                                         "gemmdx %s m=5 n=64 k=96 blocksize=32 nested=%d"};
    struct verifier *verifier = verifier_new();
    size_t run = 0;
    const size_t step = from_environment("NF4BENCH_STRIDE", 1); /* every step-th variant only */
    ASSERT_TRUE(verifier != NULL && step > 0);
    for (size_t i = from_environment("NF4BENCH_PHASE", 0) % step; i < kernel_table_count(); i += step) {
        const struct kernel *k = kernel_at(i);
        char text[128], reason[KERNEL_REASON_MAX];
        struct problem p;
        struct operands o;
        struct verification v;
        const bool nf4 = k->contract.format == FORMAT_NF4;
        snprintf(text, sizeof text, (nf4 ? cases : others)[k->contract.op], dtype_word(k->contract.out),
                 k->contract.nested != NESTED_NONE);
        ASSERT_EQ(STATUS_OK, problem_parse(text, &p));
        p.format.kind = k->contract.format;
        p.format.zeros = p.format.kind == FORMAT_INT4;
        if (p.format.kind == FORMAT_DENSE)
            p.format.blocksize = p.k;
        if (kernel_unavailable(k, &device_cpu, reason) || kernel_inapplicable(k, &p, reason))
            continue;
        test_note("%s on %s", k->name, text);
        ASSERT_EQ(STATUS_OK, operands_init(&p, 1, &device_cpu, &o));
        EXPECT_EQ(STATUS_OK, verify(verifier, k, &o, &v));
        EXPECT_STREQ("", v.reason);
        EXPECT_EQ(VERDICT_PASS, v.verdict);
        EXPECT_EQ(v.real.compared, v.real.ulp[0]);
        operands_release(&o);
        run++;
    }
    EXPECT_TRUE(run > 0);
    verifier_free(verifier);
}
