/*
 * Tests of the products: two independent implementations of every pinned order against each other, bit for
 * bit, and both against fp64 within the derived bound.
 */
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "reference/mma.h"
#include "tests/reference/problem.h"

/* Orders to try with every shape; types, decode, scale, nested and bias are combined with them. */
static const struct {
    enum accumulation accumulation;
    unsigned chains, width, splits;
} orders[] = {
    {ACC_CHAINS, 1, 1, 1},   {ACC_CHAINS, 2, 1, 1},  {ACC_CHAINS, 4, 1, 3},  {ACC_CHAINS, 8, 1, 1},
    {ACC_CHAINS, 16, 1, 1},  {ACC_CHAINS, 16, 1, 4}, {ACC_CHAINS, 32, 1, 1}, {ACC_CHAINS, 64, 1, 1},
    {ACC_CHAINS, 64, 1, 64}, {ACC_CHAINS, 1, 1, 64}, {ACC_CHAINS, 32, 1, 7}, {ACC_DPBF16, 16, 0, 1},
    {ACC_CHAINS, 32, 8, 1},  {ACC_CHAINS, 4, 2, 3},  {ACC_CHAINS, 2, 64, 1}, {ACC_CHAINS, 1, 16, 5},
    {ACC_CHAINS, 16, 4, 2},  {ACC_MMA80, 0, 0, 1},   {ACC_MMA80, 0, 0, 4},   {ACC_MMA90, 0, 0, 1},
    {ACC_MMA90, 0, 0, 7},
};

static const struct {
    size_t m, n, k;
    unsigned blocksize;
    const char *why;
} shapes[] = {
    {1, 1, 1, 64, "one element"},
    {1, 3, 2, 32, "rows of one byte"},
    {2, 5, 7, 32, "odd rows start inside bytes, groups and blocks"},
    {3, 4, 8, 32, "one group of dpbf16"},
    {1, 2, 9, 32, "a group and one"},
    {17, 3, 33, 32, "a block and one; a panel of activations and one"},
    {1, 17, 127, 64, "a tile of columns and one; one k short of 128"},
    {16, 4, 128, 64, "everything divides"},
    {5, 17, 129, 64, "one k past 128"},
    {3, 4, 24, 32, "a block of mma80 past a step"},
    {2, 3, 513, 64, "one k past two turns of 32 chains of 8"},
    {2, 7, 200, 128, "rows start inside a block, at a group"},
    {17, 18, 65, 4096, "one block for all rows"},
    {3, 5, 1000, 32, "runs shorter than 64 chains"},
    {1, 2, 4099, 256, "long and prime"},
};

/* Calls visit for each valid contract of the tests; under sanitizers for every third. */
static void every_pinned_contract(void (*visit)(const struct contract *))
{
    unsigned count = 0;
    for (enum op op = OP_GEMM; op <= OP_GEMMDX; ++op)
        for (enum dtype out = 0; out < DTYPE_COUNT; ++out)
            for (unsigned bits = 0; bits < 8; ++bits)
                for (size_t o = 0; o < sizeof orders / sizeof orders[0]; ++o) {
                    struct contract c = {
                        .op = op,
                        .out = out,
                        .decode = bits & 1 ? DECODE_OUT : DECODE_F32,
                        .scale = bits & 2 ? SCALE_BLOCK : SCALE_WEIGHT,
                        .accumulation = orders[o].accumulation,
                        .chains = orders[o].chains,
                        .width = orders[o].width,
                        .splits = orders[o].splits,
                        /* each order meets each of them through the other fields */
                        .nested = (enum nested)((o + out + bits) % 3),
                        .denormals = bits & 4 ? DENORMALS_FLUSH : DENORMALS_IEEE,
                    };
                    if (contract_invalid(&c))
                        continue;
#ifdef NF4BENCH_SANITIZED
                    if (count++ % 3 != 0)
                        continue;
#else
                    ++count;
#endif
                    visit(&c);
                }
    EXPECT_TRUE(count > 200);
}

static void note_problem(const struct contract *c, const struct problem *p)
{
    char name[CONTRACT_NAME_MAX];
    test_note("%s m=%zu n=%zu k=%zu blocksize=%zu%s", contract_format(c, name, sizeof name) ? name : "?",
              p->matmul.m, p->matmul.n, p->matmul.k, p->plain.blocksize, p->matmul.bias ? " bias" : "");
}

/* Every output of matmul_pinned is matmul_pinned_at's, bit for bit. */
static void compare_with_at(const struct contract *c, struct problem *p)
{
    ASSERT_TRUE(problem_run(c, p));
    size_t wrong = 0;
    for (size_t row = 0; row < p->matmul.m; ++row)
        for (size_t col = 0; col < p->outputs; ++col)
            wrong += f32_bits(matmul_pinned_at(c, &p->matmul, row, col)) !=
                     f32_bits(dtype_load(c->out, p->y, row * p->outputs + col));
    EXPECT_EQ(0, wrong);
}

static void compare_shapes(const struct contract *c)
{
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; ++s) {
        struct problem p = problem_new(c, shapes[s].m, shapes[s].n, shapes[s].k, shapes[s].blocksize,
                                       c->op == OP_GEMM && s % 2 == 0, 100 + s);
        note_problem(c, &p);
        compare_with_at(c, &p);
        problem_release(&p);
    }
}

TEST(matmul, pinned_is_its_definition)
{
    every_pinned_contract(compare_shapes);
}

/* The same with inputs that make denormals, zeros, infinities and NaN on the way. */
static void compare_odd_values(const struct contract *c)
{
    struct problem p = problem_new(c, 19, 9, 150, 32, c->op == OP_GEMM, 7);
    for (size_t i = 0; i < p.matmul.m * p.reduced; ++i) {
        const size_t row = i / p.reduced;
        float x = random_exponent(8, i, -75, -45);
        switch (random_below(9, i, 32)) {
        case 0:
            x = 0.0f;
            break;
        case 1:
            x = -0.0f;
            break;
        case 2:
            x = f32_from_bits(random_below(10, i, 0x800000)); /* denormal */
            break;
        case 3: /* infinities and NaN in rows of their own: they hide what else happens */
            x = row == 3 ? INFINITY : row == 4 ? NAN : x;
            break;
        }
        dtype_store(c->out, p.a, i, x);
    }
    for (size_t b = 0; b < nf4_block_count(p.plain.count, 32); ++b)
        p.absmax[b] = b % 11 == 3    ? 0.0f
                      : b % 11 == 4  ? 0x1p-130f
                      : b % 30 == 12 ? INFINITY
                                     : fabsf(random_exponent(11, b, -85, -60));
    struct contract plain = *c;
    plain.nested = NESTED_NONE;
    note_problem(&plain, &p);
    compare_with_at(&plain, &p);
    problem_release(&p);
}

TEST(matmul, pinned_is_its_definition_on_odd_values)
{
    every_pinned_contract(compare_odd_values);
}

/* The mma contracts on operands of every exponent: denormals, results that are cut to one or to a zero, sums
 * that become infinite on the way. Infinite operands are in rows and columns of their own. */
static void compare_all_exponents(const struct contract *c)
{
    enum { M = 20, N = 24, K = 100 };
    if (!accumulation_is_mma(c->accumulation))
        return;
    static const struct {
        int x_low, x_high, absmax_low, absmax_high;
    } ranges[] = {{-24, 15, -20, 15}, {-127, 127, -127, 126}, {-80, -60, -80, -60}, {40, 63, 50, 64}};
    for (size_t s = 0; s < sizeof ranges / sizeof ranges[0]; ++s) {
        struct problem p = problem_new(c, M, N, K, 32, false, 400 + s);
        struct contract plain = *c;
        plain.nested = NESTED_NONE;
        for (size_t i = 0; i < M * p.reduced; ++i) {
            float x = random_exponent(401 + s, i, ranges[s].x_low, ranges[s].x_high);
            if (i / p.reduced == 5 && i % 30 == 0)
                x = i % 60 ? INFINITY : NAN;
            if (c->out == DTYPE_F16 && i / p.reduced != 6) /* row 6: what overflows is infinite */
                x = fmaxf(fminf(x, 65504.0f), -65504.0f);
            dtype_store(c->out, p.a, i, x);
        }
        for (size_t b = 0; b < nf4_block_count(N * K, 32); ++b)
            p.absmax[b] =
                b == 17 ? INFINITY
                        : fabsf(random_exponent(402 + s, b, ranges[s].absmax_low, ranges[s].absmax_high));
        note_problem(&plain, &p);
        compare_with_at(&plain, &p);
        problem_release(&p);
    }
}

TEST(matmul, mma_is_its_definition_at_every_exponent)
{
    every_pinned_contract(compare_all_exponents);
}

/*
 * And with sums that cancel. A 16-bit output hides the low bits of an fp32 sum, and with them its order. Here
 * the weights are +-1 and the products come in pairs of 2^-12 .. 2^15 and its negative, at random places:
 * what is left of a sum is only what its order lost.
 */
static void compare_cancelling(const struct contract *c)
{
    static const size_t lengths[] = {16, 100, 129, 300};
    for (size_t s = 0; s < sizeof lengths / sizeof lengths[0]; ++s) {
        const size_t reduced = lengths[s], others = 3;
        const bool forward = c->op == OP_GEMM;
        struct problem p =
            problem_new(c, 8, forward ? others : reduced, forward ? reduced : others, 32, false, 300 + s);
        struct contract plain = *c;
        plain.nested = NESTED_NONE;
        uint8_t *codes = malloc(p.plain.count);
        for (size_t i = 0; i < p.plain.count; ++i)
            codes[i] = random_below(301, forward ? i % reduced : i / others, 2) ? 15 : 0;
        nf4_pack(codes, p.plain.count, p.packed);
        for (size_t b = 0; b < nf4_block_count(p.plain.count, 32); ++b)
            p.absmax[b] = 1.0f;
        for (size_t row = 0; row < 8; ++row) {
            size_t place[300];
            for (size_t r = 0; r < reduced; ++r) { /* a shuffle */
                size_t other = random_below(302 + row, r, (uint32_t)r + 1);
                place[r] = place[other];
                place[other] = r;
            }
            for (size_t r = 0; r < reduced; ++r) {
                float product =
                    r == reduced - 1 && r % 2 == 0 ? 1.0f : random_exponent(303 + row, r / 2, -12, 15);
                product = bf16_to_f32((uint16_t)(f32_bits(r % 2 ? -product : product) >> 16)); /* 8 bits */
                size_t element = forward ? place[r] : place[r] * others;
                dtype_store(c->out, p.a, row * reduced + place[r], codes[element] == 15 ? product : -product);
            }
        }
        note_problem(&plain, &p);
        compare_with_at(&plain, &p);
        free(codes);
        problem_release(&p);
    }
}

TEST(matmul, pinned_is_its_definition_on_cancelling_sums)
{
    every_pinned_contract(compare_cancelling);
}

static void compare_empty(const struct contract *c)
{
    struct problem p = problem_new(c, 2, 0, 0, 64, false, 1);
    EXPECT_TRUE(problem_run(c, &p));
    problem_release(&p);
    p = c->op == OP_GEMM ? problem_new(c, 2, 3, 0, 64, true, 1) : problem_new(c, 2, 0, 3, 64, false, 1);
    note_problem(c, &p);
    compare_with_at(c, &p); /* an empty sum is +0 */
    problem_release(&p);
    p = problem_new(c, 0, 3, 64, 64, false, 1);
    EXPECT_TRUE(problem_run(c, &p));
    problem_release(&p);
}

TEST(matmul, empty_problems)
{
    every_pinned_contract(compare_empty);
}

TEST(matmul, unpinned_contracts_are_refused)
{
    static const struct contract rows[] = {
        {.op = OP_GEMM, .out = DTYPE_F32, .accumulation = ACC_ANY},
        {.op = OP_DEQUANT, .out = DTYPE_F32},
        {.op = OP_GEMM, .out = DTYPE_F32, .accumulation = ACC_CHAINS, .chains = 3, .width = 1, .splits = 1},
    };
    struct contract good = contract_of("nf4_gemm_f32_acc1");
    struct problem p = problem_new(&good, 2, 2, 64, 64, false, 1);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        memset(p.y, 0xa5, 2 * 2 * sizeof(float));
        test_note("row %zu", i);
        EXPECT_FALSE(problem_run(&rows[i], &p));
        EXPECT_EQ_BITS(0xa5a5a5a5, dtype_load_bits(DTYPE_F32, p.y, 0));
    }
    problem_release(&p);
}

/* ---- Sums worked out by hand ---- */

/*
 * Weights 1 and an activation pattern for which each order gives another fp32 sum: 2^24, then ones. One chain
 * loses every 1 (tie to even); two chains keep the odd ones apart from the large number; and so on.
 */
TEST(matmul, orders_by_hand)
{
    enum { K = 64 };
    static const struct {
        const char *name;
        float sum;
    } rows[] = {
        {"nf4_gemm_f32_acc1", 0x1p24f},      /* 2^24 + 1 ties to 2^24, 63 times */
        {"nf4_gemm_f32_acc2", 0x1p24f + 32}, /* chain 1 sums 32 ones apart */
        {"nf4_gemm_f32_acc4", 0x1p24f + 48}, /* 16 ones in each of chains 1 to 3 */
        {"nf4_gemm_f32_acc8", 0x1p24f + 56},
        {"nf4_gemm_f32_acc16", 0x1p24f + 60},
        {"nf4_gemm_f32_acc64", 0x1p24f + 62},  /* 62: the first add of the tree is 2^24 + 1 */
        {"nf4_gemm_f32_acc1x2", 0x1p24f + 32}, /* the second half is summed apart */
        {"nf4_gemm_f32_acc1x4", 0x1p24f + 48},
        {"nf4_gemm_f32_acc1x64", 0x1p24f},      /* 64 parts added in order: as one chain */
        {"nf4_gemm_f32_acc2x64", 0x1p24f + 62}, /* parts of 2: (2^24 + 1), then 31 twos; 32 parts are empty */
        {"nf4_gemm_f32_acc2w8", 0x1p24f + 32},
        {"nf4_gemm_f32_acc2w32", 0x1p24f + 32},
        {"nf4_gemm_f32_acc2w64", 0x1p24f}, /* all in the first chain */
        {"nf4_gemm_f32_acc4w16", 0x1p24f + 48},
        {"nf4_gemm_f32_acc16w2", 0x1p24f + 60}, /* chain 0 has k = 0, 1, 32 and 33 */
        {"nf4_gemm_f32_acc2w8x4", 0x1p24f + 56},
        {"nf4_gemm_f32_acc1w64x4", 0x1p24f}, /* one split has all 64 */
    };
    float x[K];
    uint8_t packed[K / 2];
    const float absmax = 1.0f;
    memset(packed, 0xff, sizeof packed); /* code 15 is 1 */
    for (int k = 0; k < K; ++k)
        x[k] = k == 0 ? 0x1p24f : 1.0f;
    const struct quantized w = {.count = K, .blocksize = K, .packed = packed, .absmax = &absmax};
    const struct matmul p = {.m = 1, .n = 1, .k = K, .a = x, .w = &w};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        struct contract c = contract_of(rows[i].name);
        float y = 0.0f;
        test_note("%s", rows[i].name);
        EXPECT_TRUE(matmul_pinned(&c, &p, &y));
        EXPECT_EQ_BITS(f32_bits(rows[i].sum), f32_bits(y));
        EXPECT_EQ_BITS(f32_bits(rows[i].sum), f32_bits(matmul_pinned_at(&c, &p, 0, 0)));
    }
}

/* One output of c with weight 1 everywhere, by both implementations. */
static uint32_t sum_of(const char *name, const float *x, size_t k, const float *absmax, const char *at)
{
    const struct contract c = contract_of(name);
    uint8_t packed[64];
    float y = 0.0f;
    memset(packed, 0xff, sizeof packed);
    const struct quantized w = {.count = k, .blocksize = 32, .packed = packed, .absmax = absmax};
    const struct matmul p = {.m = 1, .n = 1, .k = k, .a = x, .w = &w};
    test_note("%s: %s", name, at);
    EXPECT_TRUE(matmul_pinned(&c, &p, &y));
    EXPECT_EQ_BITS(f32_bits(y), f32_bits(matmul_pinned_at(&c, &p, 0, 0)));
    return f32_bits(y);
}

/*
 * The tree pairs chain i with chain i + h. 2^26 in one and -2^26 in the other cancel if they meet before
 * anything is added to them, else the first loses what it is given (half an ulp at most, a tie to even). So:
 * zeros where earlier levels would add, ones elsewhere, and the sum of the ones is right only if the two meet
 * at level h.
 */
TEST(matmul, halving_tree_by_hand)
{
    const float one = 1.0f;
    for (unsigned h = 8; h >= 2; h /= 2)
        for (unsigned i = 0; i < h; ++i) {
            char at[40];
            float x[16];
            for (unsigned l = 0; l < 16; ++l)
                x[l] = l == i ? 0x1p26f : l == i + h ? -0x1p26f : l % h == i ? 0.0f : 1.0f;
            snprintf(at, sizeof at, "chains %u and %u", i, i + h);
            EXPECT_EQ_BITS(f32_bits((float)(16 - 16 / h)), sum_of("nf4_gemm_f32_acc16", x, 16, &one, at));
        }
    /* the last level: chain 1 is added to chain 0, after all of its own */
    const float x[16] = {[0] = 0x1p24f, [2] = 1.0f, [1] = 1.0f, [3] = 1.0f};
    EXPECT_EQ_BITS(f32_bits(0x1p24f + 2), sum_of("nf4_gemm_f32_acc16", x, 16, &one, "even and odd chains"));
}

/* Splits are added first to last: ((p0 + p1) + p2) + p3. */
TEST(matmul, splits_in_order_by_hand)
{
    const float one = 1.0f;
    const float x[4] = {0x1p24f, 1.0f, -0x1p24f, 1.0f}; /* 1 is lost, then the large numbers cancel, then 1 */
    EXPECT_EQ_BITS(f32_bits(1.0f), sum_of("nf4_gemm_f32_acc1x4", x, 4, &one, "one element a split"));
    const float y[4] = {1.0f, 0x1p24f, 1.0f, -0x1p24f};
    EXPECT_EQ_BITS(0, sum_of("nf4_gemm_f32_acc1x4", y, 4, &one, "ones first"));
}

/* The bf16 pair dot: in a group of 8, k = 4, 0, 5, 1, 6, 2, 7, 3; group k/8 goes to lane k/8 mod 16. */
TEST(matmul, dpbf16_order_by_hand)
{
    static const struct {
        const char *what;
        size_t k, plus, minus, one; /* 2^24, -2^24 and 1 at these places, zeros elsewhere */
        float sum;
    } rows[] = {
        {"4, then 0", 8, 4, 5, 0, 0.0f},  /* 2^24 + 1 loses the 1; then -2^24 */
        {"5 before 1", 8, 4, 5, 1, 1.0f}, /* cancelled when the 1 comes */
        {"0 before 5", 8, 0, 1, 5, 0.0f},
        {"7 before 3", 8, 0, 7, 3, 1.0f},
        {"7 last but one", 8, 0, 3, 7, 0.0f},
        {"8 is another lane", 136, 0, 128, 8, 1.0f},
        {"64 is another lane", 136, 0, 128, 64, 1.0f},
        {"120 is another lane", 136, 0, 128, 120, 1.0f},
        {"128 is the same lane", 264, 0, 256, 128, 0.0f},
        {"136 is another lane", 264, 0, 256, 136, 1.0f},
        {"lanes 0 and 8 meet first", 136, 0, 64, 8, 1.0f},
        {"lanes 0 and 1 meet last", 136, 0, 8, 64, 0.0f},
    };
    static const char *const names[] = {"nf4_gemm_bf16_dpbf16_ftz", "nf4_gemm_bf16_c16_sblk_dpbf16_ftz"};
    uint8_t packed[264 / 2];
    float absmax[264 / 32 + 1];
    memset(packed, 0xff, sizeof packed);
    for (size_t b = 0; b < sizeof absmax / sizeof absmax[0]; ++b)
        absmax[b] = 1.0f;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i)
        for (unsigned n = 0; n < 2; ++n) {
            const struct contract c = contract_of(names[n]);
            uint16_t x[264] = {0}, y = 0;
            x[rows[i].plus] = bf16_from_f32(0x1p24f);
            x[rows[i].minus] = bf16_from_f32(-0x1p24f);
            x[rows[i].one] = bf16_from_f32(1.0f);
            const struct quantized w = {
                .count = rows[i].k, .blocksize = 32, .packed = packed, .absmax = absmax};
            const struct matmul p = {.m = 1, .n = 1, .k = rows[i].k, .a = x, .w = &w};
            test_note("%s: %s", names[n], rows[i].what);
            EXPECT_TRUE(matmul_pinned(&c, &p, &y));
            EXPECT_EQ_BITS(bf16_from_f32(rows[i].sum), y);
            EXPECT_EQ_BITS(f32_bits(rows[i].sum), f32_bits(matmul_pinned_at(&c, &p, 0, 0)));
        }
}

/* dpbf16 flushes what the instruction does, its result included, and not the fma by absmax. */
TEST(matmul, dpbf16_flushes_by_hand)
{
    static const struct {
        const char *name;
        float x, absmax;
        uint16_t y;
    } rows[] = {
        {"nf4_gemm_bf16_dpbf16_ftz", 0x1p-60f, 0x1p-66f, 0x0080},          /* 2^-126 stays */
        {"nf4_gemm_bf16_dpbf16_ftz", 0x1p-60f, 0x1p-70f, 0x0000},          /* 2^-130 does not */
        {"nf4_gemm_bf16_dpbf16_ftz", 0x1p-130f, 0x1p10f, 0x0000},          /* denormal x */
        {"nf4_gemm_bf16_c16_sblk_dpbf16_ftz", 0x1p-60f, 0x1p-70f, 0x0008}, /* 2^-130, scaled outside */
        {"nf4_gemm_bf16_c16_sblk_dpbf16_ftz", 0x1p10f, 0x1p-130f, 0x0380}, /* denormal absmax */
        {"nf4_gemm_bf16_c16_sblk_dpbf16_ftz", 0x1p-130f, 0x1p10f, 0x0000},
    };
    const uint8_t packed = 0xf7; /* code 15 */
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        const struct contract c = contract_of(rows[i].name);
        const uint16_t x = bf16_from_f32(rows[i].x);
        uint16_t y = 0xffff;
        const struct quantized w = {
            .count = 1, .blocksize = 32, .packed = &packed, .absmax = &rows[i].absmax};
        const struct matmul p = {.m = 1, .n = 1, .k = 1, .a = &x, .w = &w};
        test_note("%s row %zu", rows[i].name, i);
        EXPECT_TRUE(matmul_pinned(&c, &p, &y));
        EXPECT_EQ_BITS(rows[i].y, y);
        EXPECT_EQ_BITS(rows[i].y, bf16_from_f32(matmul_pinned_at(&c, &p, 0, 0)));
    }
}

/* What a 16-bit output shows of a sum that is cut among the denormals of fp32, or to zero. */
TEST(matmul, mma_cuts_denormals_by_hand)
{
    static const struct {
        const char *what;
        size_t k;
        float x[3];
        uint16_t y[MMA_MODEL_COUNT];
    } rows[] = {
        {"2^-134, a tie of bf16", 3, {0x1p-70f}, {0x0000, 0x0000}},
        {"2^-134 + 2^-149", 3, {0x1p-70f, 0, 0x1p-85f}, {0x0001, 0x0001}},
        {"2^-134 and what is lost", 3, {0x1p-70f, 0, 0x1.fep-86f}, {0x0000, 0x0000}},
        {"the same, negative", 3, {-0x1p-70f, 0, -0x1.fep-86f}, {0x8000, 0x8000}},
        {"nothing is left, and a block without elements follows", 1, {-0x1p-90f}, {0x0000, 0x0000}},
    };
    static const char *const names[MMA_MODEL_COUNT] = {"nf4_gemm_bf16_mma80", "nf4_gemm_bf16_mma90"};
    const uint8_t packed[2] = {0xff, 0xff}; /* code 15 */
    const float absmax = 0x1p-64f;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i)
        for (enum mma_model model = 0; model < MMA_MODEL_COUNT; ++model) {
            const struct contract c = contract_of(names[model]);
            uint16_t x[3], y = 0xffff;
            for (size_t k = 0; k < 3; ++k)
                x[k] = bf16_from_f32(rows[i].x[k]);
            const struct quantized w = {
                .count = rows[i].k, .blocksize = 32, .packed = packed, .absmax = &absmax};
            const struct matmul p = {.m = 1, .n = 1, .k = rows[i].k, .a = x, .w = &w};
            test_note("%s: %s", names[model], rows[i].what);
            EXPECT_TRUE(matmul_pinned(&c, &p, &y));
            EXPECT_EQ_BITS(rows[i].y[model], y);
            EXPECT_EQ_BITS(rows[i].y[model], bf16_from_f32(matmul_pinned_at(&c, &p, 0, 0)));
        }
}

/*
 * A denormal fp16 has the exponent -14. Here the first step leaves 1.5 * 2^-25 in the sum, and the third adds
 * 2^-9 as a product whose exponent is 1 or -9: its grid cuts the first away, or does not. A bias of -2^-9
 * shows it.
 */
TEST(matmul, mma_aligns_to_denormal_operands_by_hand)
{
    static const struct {
        const char *what;
        float x, absmax;
        uint16_t y;
    } rows[] = {
        {"normal operands", 0x1p-14f, 0x1p5f, 0x0001},
        {"denormal activation", 0x1p-24f, 0x1p15f, 0x0000},
        {"denormal weight", 0x1p15f, 0x1p-24f, 0x0000},
    };
    static const char *const names[MMA_MODEL_COUNT] = {"nf4_gemm_f16_mma80", "nf4_gemm_f16_mma90"};
    uint8_t packed[32];
    memset(packed, 0xff, sizeof packed); /* code 15 is 1 */
    const uint16_t bias = f16_from_f32(-0x1p-9f);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i)
        for (enum mma_model model = 0; model < MMA_MODEL_COUNT; ++model) {
            const struct contract c = contract_of(names[model]);
            const float absmax[2] = {0x1p-12f, rows[i].absmax};
            const uint16_t x[64] = {[0] = f16_from_f32(0x1.8p-13f), [32] = f16_from_f32(rows[i].x)};
            uint16_t y = 0xffff;
            const struct quantized w = {.count = 64, .blocksize = 32, .packed = packed, .absmax = absmax};
            const struct matmul p = {.m = 1, .n = 1, .k = 64, .a = x, .bias = &bias, .w = &w};
            test_note("%s: %s", names[model], rows[i].what);
            EXPECT_TRUE(matmul_pinned(&c, &p, &y));
            EXPECT_EQ_BITS(rows[i].y, y);
            EXPECT_EQ_BITS(rows[i].y, f16_from_f32(matmul_pinned_at(&c, &p, 0, 0)));
        }
}

/* A chain without an element in a run is left alone: +0 times an infinite absmax would make it NaN. */
TEST(matmul, chains_outside_a_run_by_hand)
{
    const float absmax[2] = {INFINITY, 1.0f};
    float x[64];
    for (unsigned k = 0; k < 64; ++k)
        x[k] = 1.0f;
    EXPECT_EQ_BITS(0x7f800000, sum_of("nf4_gemm_f32_sblk_acc64", x, 64, absmax, "32 chains a run"));
    EXPECT_EQ_BITS(0x7f800000,
                   sum_of("nf4_gemm_f32_sblk_acc64", x, 33, absmax, "one chain in the second run"));
}

/* What ftz flushes: activations, weights, a block's absmax, and results, each to a zero of its sign. */
TEST(matmul, flushes_by_hand)
{
    static const struct {
        const char *what, *name;
        float x, absmax;
        uint32_t flushed, kept;
    } rows[] = {
        {"activation", "acc1", 0x1p-127f, 0x1p10f, 0x00000000, 0x05000000},
        {"weight", "acc1", 0x1p10f, 0x1p-127f, 0x00000000, 0x05000000},
        {"result", "acc1", 0x1p-100f, 0x1p-30f, 0x00000000, 0x00080000},
        {"negative result", "acc1", -0x1p-100f, 0x1p-30f, 0x80000000, 0x80080000},
        {"activation", "sblk_acc1", 0x1p-127f, 0x1p10f, 0x00000000, 0x05000000},
        {"absmax", "sblk_acc1", 0x1p10f, 0x1p-127f, 0x00000000, 0x05000000},
        {"result", "sblk_acc1", 0x1p-100f, 0x1p-30f, 0x00000000, 0x00080000},
        {"negative result", "sblk_acc1", -0x1p-100f, 0x1p-30f, 0x80000000, 0x80080000},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        char name[2][CONTRACT_NAME_MAX];
        snprintf(name[0], sizeof name[0], "nf4_gemm_f32_%s", rows[i].name);
        snprintf(name[1], sizeof name[1], "nf4_gemm_f32_%s_ftz", rows[i].name);
        EXPECT_EQ_BITS(rows[i].kept, sum_of(name[0], &rows[i].x, 1, &rows[i].absmax, rows[i].what));
        EXPECT_EQ_BITS(rows[i].flushed, sum_of(name[1], &rows[i].x, 1, &rows[i].absmax, rows[i].what));
    }
}

/* Bias is added in fp32 before the one rounding to the output type. */
TEST(matmul, bias_before_rounding)
{
    uint8_t packed[16];
    const float absmax = 1.0f;
    memset(packed, 0x77, sizeof packed);
    packed[0] = 0xf7; /* weight 1 at k = 0, 0 elsewhere */
    const struct quantized w = {.count = 32, .blocksize = 32, .packed = packed, .absmax = &absmax};
    uint16_t x[32] = {f16_from_f32(2049.0f / 2048.0f)}, y = 0;
    x[1] = 0;
    /* (1 + 2^-11) rounds to 1 as f16 (tie to even), but plus 2^-24 it rounds up. */
    x[0] = f16_from_f32(1.0f);
    uint16_t bias = f16_from_f32(0x1p-11f);
    const struct matmul p = {.m = 1, .n = 1, .k = 32, .a = x, .bias = &bias, .w = &w};
    struct contract c = contract_of("nf4_gemm_f16_acc1");
    EXPECT_TRUE(matmul_pinned(&c, &p, &y));
    EXPECT_EQ_BITS(0x3c00, y); /* 1 + 2^-11: tie, to even */
    bias = (uint16_t)(f16_from_f32(0x1p-11f) + 1);
    EXPECT_TRUE(matmul_pinned(&c, &p, &y));
    EXPECT_EQ_BITS(0x3c01, y); /* just above the tie */
    x[0] = f16_from_f32(2048.0f);
    bias = f16_from_f32(65504.0f);
    EXPECT_TRUE(matmul_pinned(&c, &p, &y));
    EXPECT_EQ_BITS(0x7c00, y);
    x[0] = 0x7e01;
    EXPECT_TRUE(matmul_pinned(&c, &p, &y));
    EXPECT_EQ_BITS(0x7e00, y); /* one NaN, whatever came in */
}

/* ---- fp64 and the bound ---- */

static void compare_with_fp64(const struct contract *c)
{
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; ++s) {
        struct problem p = problem_new(c, shapes[s].m, shapes[s].n, shapes[s].k, shapes[s].blocksize,
                                       c->op == OP_GEMM && s % 2 == 0, 200 + s);
        const size_t count = p.matmul.m * p.outputs;
        double *value = malloc((count + 1) * sizeof *value),
               *magnitude = malloc((count + 1) * sizeof *magnitude);
        size_t outside = 0, wrong = 0;
        note_problem(c, &p);
        ASSERT_TRUE(problem_run(c, &p));
        matmul_fp64(c, &p.matmul, value, magnitude);
        for (size_t i = 0; i < count; ++i) {
            double error = fabs((double)dtype_load(c->out, p.y, i) - value[i]);
            outside += !(error <= matmul_bound(c, p.reduced, value[i], magnitude[i]));
        }
        /* The fp64 sums themselves, restated: first and last output. */
        const size_t corners[2] = {0, count - 1};
        for (unsigned e = 0; e < 2; ++e) {
            size_t row = corners[e] / p.outputs, col = corners[e] % p.outputs;
            double sum = 0, size = 0;
            for (size_t r = 0; r < p.reduced; ++r) {
                size_t i = c->op == OP_GEMM ? col * p.matmul.k + r : r * p.matmul.k + col;
                unsigned code = nf4_code_at(p.packed, i);
                float absmax = quantized_block_at(p.matmul.w, i / shapes[s].blocksize, c->nested).scale;
                double weight = c->scale == SCALE_BLOCK
                                    ? (double)quantized_decode(c, code, 0) * (double)absmax
                                    : (double)quantized_weight(c, code, (struct quantized_block){absmax, 0});
                double product = (double)dtype_load(c->out, p.a, row * p.reduced + r) * weight;
                sum += product;
                size += fabs(product);
            }
            if (p.matmul.bias) {
                sum += (double)dtype_load(c->out, p.bias, col);
                size += fabs((double)dtype_load(c->out, p.bias, col));
            }
            wrong += !(fabs(sum - value[corners[e]]) <= 1e-12 * size);
            wrong += !(fabs(size - magnitude[corners[e]]) <= 1e-12 * size);
        }
        EXPECT_EQ(0, outside);
        EXPECT_EQ(0, wrong);
        free(value);
        free(magnitude);
        problem_release(&p);
    }
}

TEST(matmul, fp64_value_or_magnitude_alone)
{
    enum { M = 3, N = 40, K = 600 };
    struct contract c = contract_of("nf4_gemm_f32_any");
    struct problem p = problem_new(&c, M, N, K, 64, true, 30);
    double both[2][M * N], alone[2][M * N];
    p.matmul.w = &p.plain;
    matmul_fp64(&c, &p.matmul, both[0], both[1]);
    matmul_fp64(&c, &p.matmul, alone[0], NULL);
    matmul_fp64(&c, &p.matmul, NULL, alone[1]);
    EXPECT_TRUE(memcmp(both, alone, sizeof both) == 0);
    problem_release(&p);
}

static void compare_one_output(const struct contract *c)
{
    for (size_t s = 0; s < sizeof shapes / sizeof shapes[0]; ++s) {
        struct problem p = problem_new(c, shapes[s].m, shapes[s].n, shapes[s].k, shapes[s].blocksize,
                                       c->op == OP_GEMM && s % 2 == 0, 300 + s);
        const size_t count = p.matmul.m * p.outputs;
        double *value = malloc((count + 1) * sizeof *value),
               *magnitude = malloc((count + 1) * sizeof *magnitude);
        size_t wrong = 0;
        ASSERT_TRUE(problem_run(c, &p));
        matmul_fp64(c, &p.matmul, value, magnitude);
        for (size_t i = 0; i < count; ++i) {
            double one, size;
            matmul_fp64_at(c, &p.matmul, i / p.outputs, i % p.outputs, &one, &size);
            wrong += !(fabs(one - value[i]) <= 1e-12 * size);
            wrong += !(fabs(size - magnitude[i]) <= 1e-12 * size);
        }
        EXPECT_EQ(0, wrong);
        free(value);
        free(magnitude);
        problem_release(&p);
    }
}

TEST(matmul, fp64_of_one_output)
{
    every_pinned_contract(compare_one_output);
}

TEST(matmul, pinned_lies_within_the_bound_of_fp64)
{
    every_pinned_contract(compare_with_fp64);
}

/* At the size of a real layer, with the largest observed share of the bound as evidence that it is not
 * vacuous. */
TEST(matmul, bound_is_near_what_happens)
{
    static const char *const names[] = {"nf4_gemm_bf16_acc16",    "nf4_gemm_f16_sblk_acc1",
                                        "nf4_gemmdx_bf16_acc8x4", "nf4_gemm_bf16_dpbf16_ftz",
                                        "nf4_gemm_f16_acc32w8",   "nf4_gemm_f16_mma80",
                                        "nf4_gemm_bf16_mma90",    "nf4_gemmdx_f16_mma90"};
    for (size_t i = 0; i < sizeof names / sizeof names[0]; ++i) {
        struct contract c = contract_of(names[i]);
        struct problem p = problem_new(&c, 3, 300, 1024, 64, false, 31);
        const size_t count = p.matmul.m * p.outputs;
        double *value = malloc(count * sizeof *value), *magnitude = malloc(count * sizeof *magnitude),
               worst = 0;
        ASSERT_TRUE(problem_run(&c, &p));
        matmul_fp64(&c, &p.matmul, value, magnitude);
        for (size_t e = 0; e < count; ++e)
            worst = fmax(worst, fabs((double)dtype_load(c.out, p.y, e) - value[e]) /
                                    matmul_bound(&c, p.reduced, value[e], magnitude[e]));
        test_note("%s: largest error / bound %g", names[i], worst);
        EXPECT_TRUE(worst <= 1 && worst > 0.3);
        free(value);
        free(magnitude);
        problem_release(&p);
    }
}

/*
 * The part of the bound that belongs to the mma models: 1 and then products each just too small for the grid
 * beside it. All are lost, and the 1 that is left is exact in fp16, so that half of the bound would not do.
 */
TEST(matmul, mma_bound_is_near_the_worst_case)
{
    enum { K = 1 << 15, BLOCK = 32 };
    static const char *const names[MMA_MODEL_COUNT] = {"nf4_gemm_f16_mma80", "nf4_gemm_f16_mma90"};
    uint16_t *x = malloc(K * sizeof *x), y = 0;
    uint8_t *packed = malloc(K / 2);
    float absmax[K / BLOCK];
    ASSERT_TRUE(x != NULL && packed != NULL);
    memset(packed, 0xff, K / 2); /* code 15 is 1 */
    for (enum mma_model model = 0; model < MMA_MODEL_COUNT; ++model) {
        for (size_t k = 0; k < K; ++k)
            x[k] = k == 0 ? f16_from_f32(1.0f) : k < BLOCK ? 0 : f16_from_f32(0x1.ffcp-13f);
        for (size_t b = 0; b < K / BLOCK; ++b)
            absmax[b] = b == 0 ? 1.0f : ldexpf(1.0f, 12 - mma_models[model].fraction_bits);
        const struct contract c = contract_of(names[model]);
        const struct quantized w = {.count = K, .blocksize = BLOCK, .packed = packed, .absmax = absmax};
        const struct matmul p = {.m = 1, .n = 1, .k = K, .a = x, .w = &w};
        double value, magnitude;
        EXPECT_TRUE(matmul_pinned(&c, &p, &y));
        matmul_fp64(&c, &p, &value, &magnitude);
        const double share = fabs((double)f16_to_f32(y) - value) / matmul_bound(&c, K, value, magnitude);
        test_note("%s: error / bound %g", names[model], share);
        EXPECT_EQ_BITS(0x3c00, y);
        EXPECT_TRUE(share <= 1 && share > 0.55);
    }
    free(x);
    free(packed);
}

TEST(matmul, bound_formula)
{
    struct contract c = contract_of("nf4_gemm_f32_acc1");
    const double u = 0x1p-24;
    /* acc1: K fmas and the bias. */
    double gamma = 101 * u / (1 - 101 * u), e = gamma * 5 + 101 * 0x1p-149;
    EXPECT_NEAR(e + u * (2 + e) + 0x1p-149, matmul_bound(&c, 100, -2, 5), 1e-20);
    c = contract_of("nf4_gemm_bf16_sblk_acc16x4");
    /* 100 elements by 4 splits are 25 each, 2 a chain; scale, 4 of the tree, 3 splits, bias. */
    gamma = 11 * u / (1 - 11 * u);
    e = gamma * 5 + 11 * 0x1p-149;
    EXPECT_NEAR(e + 0x1p-8 * (2 + e) + 0x1p-133, matmul_bound(&c, 100, 2, 5), 1e-20);
    c = contract_of("nf4_gemm_bf16_acc4w8x2");
    /* 100 elements by 2 splits are 50 each, 2 turns of 8 a chain; 2 of the tree, 1 split, bias. */
    gamma = 20 * u / (1 - 20 * u);
    e = gamma * 5 + 20 * 0x1p-149;
    EXPECT_NEAR(e + 0x1p-8 * (2 + e) + 0x1p-133, matmul_bound(&c, 100, 2, 5), 1e-20);
    c = contract_of("nf4_gemm_bf16_mma80x2");
    /* 50 elements a split: 4 steps of 2 blocks; 1 split, bias. */
    gamma = 82 * u / (1 - 82 * u);
    e = gamma * 5 + 82 * 0x1p-149;
    EXPECT_NEAR(e + 0x1p-8 * (2 + e) + 0x1p-133, matmul_bound(&c, 100, 2, 5), 1e-20);
    c = contract_of("nf4_gemm_bf16_mma90x2");
    gamma = 42 * u / (1 - 42 * u);
    e = gamma * 5 + 42 * 0x1p-149;
    EXPECT_NEAR(e + 0x1p-8 * (2 + e) + 0x1p-133, matmul_bound(&c, 100, 2, 5), 1e-20);
    c = contract_of("nf4_gemm_f16_any");
    gamma = 102 * u / (1 - 102 * u);
    e = gamma * 5 + 102 * 0x1p-149;
    EXPECT_NEAR(e + 0x1p-11 * (2 + e) + 0x1p-24, matmul_bound(&c, 100, 2, 5), 1e-20);
    c = contract_of("nf4_gemm_f16_sblk_any");
    EXPECT_TRUE(matmul_bound(&c, 100, 2, 5) > e + 0x1p-11 * (2 + e) + 0x1p-24);
    c = contract_of("nf4_gemm_bf16_dpbf16_ftz");
    gamma = (8 + 4 + 1) * u / (1 - (8 + 4 + 1) * u); /* 100 elements: 8 a lane at most */
    e = gamma * 5 + 13 * 0x1p-126;
    EXPECT_NEAR(e + 0x1p-8 * (2 + e) + 0x1p-133, matmul_bound(&c, 100, 2, 5), 1e-20);

    /* NaN never passes, and an infinity only where the type may overflow. */
    c = contract_of("nf4_gemm_f16_acc1");
    const double bound = matmul_bound(&c, 100, 2, 5);
    EXPECT_FALSE((double)NAN <= bound);
    EXPECT_FALSE((double)INFINITY <= bound);
    EXPECT_FALSE(0 <= matmul_bound(&c, 100, NAN, 5));
    EXPECT_FALSE(0 <= matmul_bound(&c, 100, 2, NAN));
    EXPECT_TRUE(isinf(matmul_bound(&c, 1, 65519.995, 65519.995))); /* 65520 is within its error */
    EXPECT_TRUE(isfinite(matmul_bound(&c, 1, 65000.0, 65000.0)));
    EXPECT_TRUE(isinf(matmul_bound(&c, 1, 65520.0, 65520.0)));
    EXPECT_FALSE((double)NAN <= matmul_bound(&c, 1, 65520.0, 65520.0));
}

/* ---- Backward against forward ---- */

/*
 * dX = dY W is Y = X W'^T with W' = W transposed and X = dY. The transposed codes are an NF4 tensor too when
 * both layouts see the same absmax at each element: here it is one number per tile of 32 x 32, blocksize 32.
 */
TEST(matmul, backward_is_forward_of_the_transposed_weights)
{
    enum { N = 96, K = 64, M = 5, TILE = 32 };
    static const char *const pairs[][2] = {
        {"nf4_gemm_f32_acc16", "nf4_gemmdx_f32_acc16"},
        {"nf4_gemm_f16_acc1x3", "nf4_gemmdx_f16_acc1x3"},
        {"nf4_gemm_bf16_c16_acc32_ftz", "nf4_gemmdx_bf16_c16_acc32_ftz"},
    };
    uint8_t packed[N * K / 2], transposed[N * K / 2], codes[N * K], codes_t[N * K];
    float absmax[N * K / TILE], absmax_t[N * K / TILE];
    for (size_t n = 0; n < N; ++n)
        for (size_t k = 0; k < K; ++k) {
            codes[n * K + k] = codes_t[k * N + n] = (uint8_t)random_below(41, n * K + k, 16);
            float a = 0.1f + fabsf(random_bell(42, n / TILE * 8 + k / TILE));
            absmax[(n * K + k) / TILE] = a;
            absmax_t[(k * N + n) / TILE] = a;
        }
    nf4_pack(codes, N * K, packed);
    nf4_pack(codes_t, N * K, transposed);
    const struct quantized w = {.count = N * K, .blocksize = TILE, .packed = packed, .absmax = absmax};
    const struct quantized w_t = {
        .count = N * K, .blocksize = TILE, .packed = transposed, .absmax = absmax_t};
    for (size_t i = 0; i < sizeof pairs / sizeof pairs[0]; ++i) {
        struct contract forward = contract_of(pairs[i][0]), backward = contract_of(pairs[i][1]);
        float dy[M * N], dx[M * K], want[M * K];
        for (size_t e = 0; e < M * N; ++e)
            dtype_store(forward.out, dy, e, random_bell(43, e));
        const struct matmul p = {.m = M, .n = N, .k = K, .a = dy, .w = &w};
        const struct matmul p_t = {.m = M, .n = K, .k = N, .a = dy, .w = &w_t};
        test_note("%s", pairs[i][1]);
        EXPECT_TRUE(matmul_pinned(&backward, &p, dx) && matmul_pinned(&forward, &p_t, want));
        EXPECT_TRUE(memcmp(want, dx, M * K * dtype_size(forward.out)) == 0);
        double value[M * K], value_t[M * K];
        matmul_fp64(&backward, &p, value, NULL);
        matmul_fp64(&forward, &p_t, value_t, NULL);
        EXPECT_TRUE(memcmp(value, value_t, sizeof value) == 0);
    }
}

/* One-hot activations read single weights: forward W[:, k], backward W[n, :]. */
TEST(matmul, one_hot_rows_are_dequantized_weights)
{
    enum { N = 37, K = 70 };
    struct contract dequant = contract_of("nf4_dequant_bf16_twostep");
    static const char *const names[] = {"nf4_gemm_bf16_acc8_twostep", "nf4_gemmdx_bf16_acc8_twostep"};
    for (unsigned i = 0; i < 2; ++i) {
        struct contract c = contract_of(names[i]);
        const size_t rows = i == 0 ? K : N;
        struct problem p = problem_new(&c, rows, N, K, 32, false, 51);
        uint16_t weights[N * K];
        for (size_t row = 0; row < rows; ++row)
            for (size_t r = 0; r < rows; ++r)
                dtype_store(c.out, p.a, row * rows + r, row == r ? 1.0f : 0.0f);
        ASSERT_TRUE(problem_run(&c, &p));
        quantized_dequantize(&dequant, &p.nested, weights);
        size_t wrong = 0;
        for (size_t n = 0; n < N; ++n)
            for (size_t k = 0; k < K; ++k) {
                uint32_t y = dtype_load_bits(c.out, p.y, i == 0 ? k * N + n : n * K + k);
                wrong += y != (weights[n * K + k] == 0x8000 ? 0 : weights[n * K + k]); /* a sum of -0 is +0 */
            }
        test_note("%s", names[i]);
        EXPECT_EQ(0, wrong);
        problem_release(&p);
    }
}
