/*
 * Every field of a contract fixes bits: for each field of contract.inc, and the numbers of acc<L>w<W>x<S> and
 * mma90x<S>, each pair of values gives other output bits on some seeded input. A field that changes nothing
 * would not be a field. `format` is another coding of
 * the weights for each value (reference_quantized.c), and `op` another shape of output.
 */
#include <string.h>

#include "tests/reference/problem.h"

/* Two contracts that differ in one field, and the inputs that must tell them apart. */
struct perturbation {
    const char *field, *a, *b;
    bool tiny; /* activations and absmax around the smallest normal */
};

static const struct perturbation rows[] = {
    {"out", "nf4_dequant_f32", "nf4_dequant_f16", false},
    {"out", "nf4_dequant_f32", "nf4_dequant_bf16", false},
    {"out", "nf4_dequant_f16", "nf4_dequant_bf16", false},
    {"out", "nf4_gemm_f32_acc16", "nf4_gemm_f16_acc16", false},
    {"out", "nf4_gemm_f32_acc16", "nf4_gemm_bf16_acc16", false},
    {"out", "nf4_gemm_f16_acc16", "nf4_gemm_bf16_acc16", false},
    {"out", "nf4_gemmdx_f32_acc16", "nf4_gemmdx_bf16_acc16", false},
    {"decode", "nf4_dequant_f16", "nf4_dequant_f16_c16", false},
    {"decode", "nf4_dequant_bf16", "nf4_dequant_bf16_c16", false},
    {"decode", "nf4_gemm_f16_acc16", "nf4_gemm_f16_c16_acc16", false},
    {"decode", "nf4_gemm_bf16_acc16", "nf4_gemm_bf16_c16_acc16", false},
    {"decode", "nf4_gemm_bf16_sblk_acc16", "nf4_gemm_bf16_c16_sblk_acc16", false},
    {"decode", "nf4_gemm_bf16_dpbf16_ftz", "nf4_gemm_bf16_c16_dpbf16_ftz", false},
    {"decode", "nf4_gemmdx_bf16_acc16", "nf4_gemmdx_bf16_c16_acc16", false},
    {"scale", "nf4_gemm_f32_acc16", "nf4_gemm_f32_sblk_acc16", false},
    {"scale", "nf4_gemm_f16_acc16", "nf4_gemm_f16_sblk_acc16", false},
    {"scale", "nf4_gemm_bf16_acc1", "nf4_gemm_bf16_sblk_acc1", false},
    {"scale", "nf4_gemm_bf16_c16_dpbf16_ftz", "nf4_gemm_bf16_c16_sblk_dpbf16_ftz", false},
    {"accumulation", "nf4_gemm_bf16_acc16_ftz", "nf4_gemm_bf16_dpbf16_ftz", false},
    {"accumulation", "nf4_gemm_bf16_c16_sblk_acc16_ftz", "nf4_gemm_bf16_c16_sblk_dpbf16_ftz", false},
    {"accumulation", "nf4_gemm_f16_acc16", "nf4_gemm_f16_mma80", false},
    {"accumulation", "nf4_gemm_f16_acc16", "nf4_gemm_f16_mma90", false},
    {"accumulation", "nf4_gemm_bf16_dpbf16_ftz", "nf4_gemm_bf16_mma80", false},
    {"accumulation", "nf4_gemm_bf16_dpbf16_ftz", "nf4_gemm_bf16_mma90", false},
    {"accumulation", "nf4_gemm_f16_mma80", "nf4_gemm_f16_mma90", false},
    {"out", "nf4_gemm_f16_mma90", "nf4_gemm_bf16_mma90", false},
    {"decode", "nf4_gemm_f16_mma90", "nf4_gemm_f16_c16_mma90", false},
    {"nested", "nf4_gemm_f16_mma80", "nf4_gemm_f16_mma80_fused", false},
    {"nested", "nf4_gemmdx_f16_mma90", "nf4_gemmdx_f16_mma90_fused", false},
    {"nested", "nf4_dequant_f32", "nf4_dequant_f32_twostep", false},
    {"nested", "nf4_dequant_f32", "nf4_dequant_f32_fused", false},
    {"nested", "nf4_dequant_f32_twostep", "nf4_dequant_f32_fused", false},
    {"nested", "nf4_gemm_f32_acc16_twostep", "nf4_gemm_f32_acc16_fused", false},
    {"nested", "nf4_gemm_f32_sblk_acc16_twostep", "nf4_gemm_f32_sblk_acc16_fused", false},
    {"nested", "nf4_gemm_bf16_acc16", "nf4_gemm_bf16_acc16_twostep", false},
    {"nested", "nf4_gemm_bf16_acc16", "nf4_gemm_bf16_acc16_fused", false},
    {"nested", "nf4_gemmdx_f32_acc16_twostep", "nf4_gemmdx_f32_acc16_fused", false},
    {"denormals", "nf4_dequant_f32", "nf4_dequant_f32_ftz", true},
    {"denormals", "nf4_dequant_bf16", "nf4_dequant_bf16_ftz", true},
    {"denormals", "nf4_gemm_f32_acc16", "nf4_gemm_f32_acc16_ftz", true},
    {"denormals", "nf4_gemm_bf16_acc16", "nf4_gemm_bf16_acc16_ftz", true},
    {"denormals", "nf4_gemm_f32_sblk_acc16", "nf4_gemm_f32_sblk_acc16_ftz", true},
    {"denormals", "nf4_gemmdx_f32_acc16", "nf4_gemmdx_f32_acc16_ftz", true},
};

enum { M = 1, N = 24, K = 200, MAX = N * K };

/* Output of a contract as fp32 bits, from the same seeded weights and activations whatever the type. A bias
 * [n] of minus what some contract gives cancels all that a 16-bit output shows, and brings out the bits
 * below. */
static size_t outputs_of(const struct contract *c, bool tiny, const float *minus_bias, uint32_t bits[MAX])
{
    struct problem p = problem_new(c, M, N, K, 32, minus_bias && c->op == OP_GEMM, 80);
    if (tiny) {
        for (size_t i = 0; i < M * p.reduced; ++i)
            dtype_store(c->out, p.a, i, random_exponent(81, i, -70, -60));
        for (size_t b = 0; b < nf4_block_count(p.plain.count, 32); ++b)
            p.absmax[b] = b % 2 ? 0x1p-126f : 0x1p-64f;
    }
    for (size_t n = 0; n < N && p.bias; ++n)
        dtype_store(c->out, p.bias, n, -minus_bias[n]);
    const size_t count = c->op == OP_DEQUANT ? p.plain.count : M * p.outputs;
    void *out = c->op == OP_DEQUANT ? malloc(count * sizeof(float)) : p.y;
    if (c->op == OP_DEQUANT)
        quantized_dequantize(c, c->nested == NESTED_NONE ? &p.plain : &p.nested, out);
    else
        EXPECT_TRUE(problem_run(c, &p));
    for (size_t i = 0; i < count; ++i)
        bits[i] = f32_bits(dtype_load(c->out, out, i));
    if (c->op == OP_DEQUANT)
        free(out);
    problem_release(&p);
    return count;
}

static size_t differences(const struct contract *a, const struct contract *b, bool tiny)
{
    static uint32_t bits_a[MAX], bits_b[MAX];
    float plain[MAX] = {0};
    size_t different = 0, count = outputs_of(a, tiny, NULL, bits_a);
    for (size_t i = 0; i < count; ++i)
        plain[i] = f32_from_bits(bits_a[i]);
    outputs_of(a, tiny, plain, bits_a);
    EXPECT_EQ(count, outputs_of(b, tiny, plain, bits_b));
    for (size_t i = 0; i < count; ++i)
        different += bits_a[i] != bits_b[i];
    return different;
}

TEST(fields, each_word_changes_bits)
{
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        struct contract a = contract_of(rows[i].a), b = contract_of(rows[i].b);
        test_note("%s: %s against %s", rows[i].field, rows[i].a, rows[i].b);
        EXPECT_TRUE(differences(&a, &b, rows[i].tiny) > 0);
        EXPECT_EQ(0, differences(&a, &a, rows[i].tiny));
    }
}

/* The table above has each pair of values of each field of contract.inc that a pinned reference computes. */
TEST(fields, table_is_complete)
{
    static const struct {
        const char *field;
        unsigned value;
    } words[] = {
#define CONTRACT_WORD(field, enumerator, word, meaning) {#field, enumerator},
#include "reference/contract.inc"
    };
    enum { WORDS = sizeof words / sizeof words[0] };
    for (unsigned i = 0; i < WORDS; ++i)
        for (unsigned j = i + 1; j < WORDS; ++j) {
            if (strcmp(words[i].field, words[j].field) != 0 || strcmp(words[i].field, "op") == 0 ||
                strcmp(words[i].field, "format") == 0)
                continue;
            bool accumulation = strcmp(words[i].field, "accumulation") == 0;
            if (accumulation && (words[i].value == ACC_NONE || words[j].value == ACC_ANY))
                continue; /* none belongs to dequantize alone; any has no bits of its own */
            if (strcmp(words[i].field, "out") == 0 && words[j].value == DTYPE_U8)
                continue; /* bytes: another operation, repack, and no rounding */
            bool found = false;
            for (size_t r = 0; r < sizeof rows / sizeof rows[0]; ++r) {
                struct contract c[2] = {contract_of(rows[r].a), contract_of(rows[r].b)};
                unsigned v[2];
                for (unsigned side = 0; side < 2; ++side)
                    v[side] = strcmp(words[i].field, "out") == 0         ? c[side].out
                              : strcmp(words[i].field, "decode") == 0    ? c[side].decode
                              : strcmp(words[i].field, "scale") == 0     ? c[side].scale
                              : strcmp(words[i].field, "nested") == 0    ? c[side].nested
                              : strcmp(words[i].field, "denormals") == 0 ? c[side].denormals
                              : accumulation                             ? c[side].accumulation
                                                                         : 99u;
                found |= strcmp(rows[r].field, words[i].field) == 0 && v[0] == words[i].value &&
                         v[1] == words[j].value;
            }
            test_note("%s %u, %u", words[i].field, words[i].value, words[j].value);
            EXPECT_TRUE(found);
        }
}

TEST(fields, each_number_changes_bits)
{
    static const unsigned chains[] = {1, 2, 4, 8, 16, 32, 64}, splits[] = {1, 2, 3, 4, 8, 16};
    static const unsigned widths[] = {1, 2, 4, 8, 16, 32, 64};
    enum { CHAINS = sizeof chains / sizeof chains[0], SPLITS = sizeof splits / sizeof splits[0] };
    enum { WIDTHS = sizeof widths / sizeof widths[0] };
    for (unsigned op = OP_GEMM; op <= OP_GEMMDX; ++op)
        for (unsigned scale = SCALE_WEIGHT; scale <= SCALE_BLOCK; ++scale) {
            struct contract a = {
                .op = op, .out = DTYPE_F32, .scale = scale, .accumulation = ACC_CHAINS, .width = 1};
            for (unsigned i = 0; i < CHAINS; ++i)
                for (unsigned j = i + 1; j < CHAINS; ++j) {
                    a.splits = 1;
                    a.chains = chains[i];
                    struct contract b = a;
                    b.chains = chains[j];
                    if (contract_invalid(&a) || contract_invalid(&b))
                        continue;
                    /* 24 summed elements backward: beyond 32 chains each has one at most, the order stays */
                    if (op == OP_GEMMDX && chains[i] >= 32)
                        continue;
                    test_note("op %u scale %u chains %u, %u", op, scale, chains[i], chains[j]);
                    EXPECT_TRUE(differences(&a, &b, false) > 0);
                }
            for (unsigned i = 0; i < SPLITS; ++i)
                for (unsigned j = i + 1; j < SPLITS; ++j) {
                    a.chains = 1;
                    a.splits = splits[i];
                    struct contract b = a;
                    b.splits = splits[j];
                    if (contract_invalid(&a) || contract_invalid(&b))
                        continue;
                    test_note("op %u scale %u splits %u, %u", op, scale, splits[i], splits[j]);
                    EXPECT_TRUE(differences(&a, &b, false) > 0);
                }
            /* two chains; backward 24 summed elements lie in the first chain from a width of 32 on */
            for (unsigned i = 0; i < WIDTHS; ++i)
                for (unsigned j = i + 1; j < WIDTHS; ++j) {
                    a.chains = 2;
                    a.splits = 1;
                    a.width = widths[i];
                    struct contract b = a;
                    b.width = widths[j];
                    if (contract_invalid(&a) || contract_invalid(&b) || (op == OP_GEMMDX && widths[i] >= 32))
                        continue;
                    test_note("op %u scale %u widths %u, %u", op, scale, widths[i], widths[j]);
                    EXPECT_TRUE(differences(&a, &b, false) > 0);
                }
            a.width = 1;
        }
    for (unsigned i = 0; i < SPLITS; ++i)
        for (unsigned j = i + 1; j < SPLITS; ++j) {
            struct contract a = {
                .op = OP_GEMM, .out = DTYPE_F16, .accumulation = ACC_MMA90, .splits = splits[i]};
            struct contract b = a;
            b.splits = splits[j];
            /* 13 steps of 16: 8 splits and 16 have 2 and 1 each */
            test_note("mma90 splits %u, %u", splits[i], splits[j]);
            EXPECT_TRUE(differences(&a, &b, false) > 0);
        }
}
