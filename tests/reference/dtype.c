/* Tests of reference/dtype.c: every conversion over every input, by arguments that share no code with it. */
#include "reference/dtype.h"

#include <math.h>
#include <string.h>

#include "tests/test.h"

TEST(dtype, words_and_sizes)
{
    static const struct {
        enum dtype type;
        const char *word;
        size_t size;
    } rows[] = {{DTYPE_F32, "f32", 4}, {DTYPE_F16, "f16", 2}, {DTYPE_BF16, "bf16", 2}, {DTYPE_U8, "u8", 1}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        enum dtype parsed = DTYPE_COUNT;
        EXPECT_STREQ(rows[i].word, dtype_word(rows[i].type));
        EXPECT_EQ(rows[i].size, dtype_size(rows[i].type));
        EXPECT_TRUE(dtype_parse(rows[i].word, &parsed));
        EXPECT_EQ(rows[i].type, parsed);
    }
    EXPECT_EQ(3, DTYPE_COUNT);
    const uint8_t bytes[] = {0, 0x80, 0xff};
    EXPECT_TRUE(dtype_load_bits(DTYPE_U8, bytes, 1) == 0x80 && dtype_load(DTYPE_U8, bytes, 2) == 255.0f);
    static const char *const unknown[] = {"", "f", "f3", "f321", "F32", "fp16", "f64", " f32"};
    for (size_t i = 0; i < sizeof unknown / sizeof unknown[0]; ++i) {
        enum dtype parsed = (enum dtype)17;
        test_note("\"%s\"", unknown[i]);
        EXPECT_FALSE(dtype_parse(unknown[i], &parsed));
        EXPECT_EQ(17, parsed);
    }
}

/*
 * The values of a 16-bit type as a ruler: mark i is the value of the non-negative pattern i, made by ldexp
 * from the definition of the format; the mark above the largest finite value stands for infinity, where the
 * next value would be if the format went on. x rounds to mark i exactly when it lies between the middles of
 * i-1, i and i, i+1; on a middle, to the even pattern. Marks and middles are exact in double, as is every
 * float.
 */
enum { RULER_MAX = 0x7f80 };
struct ruler {
    unsigned infinity; /* pattern of infinity: number of finite marks */
    unsigned significand_bits;
    double mark[RULER_MAX + 1];
    uint16_t (*convert)(float);
    float (*widen)(uint16_t);
};

static void ruler_fill(struct ruler *r, unsigned significand_bits, int bias)
{
    r->significand_bits = significand_bits;
    r->infinity = 0x7fffu >> significand_bits << significand_bits;
    unsigned one = 1u << significand_bits;
    for (unsigned i = 0; i <= r->infinity; ++i) {
        int exponent = (int)(i / one);
        r->mark[i] = exponent == 0 ? ldexp(i, 1 - bias - (int)significand_bits)
                                   : ldexp(i % one + one, exponent - bias - (int)significand_bits);
    }
}

/* The first float (as bits) above the values that round to mark i: the middle to the next mark, which is a
 * float, belongs to the even one of the two. */
static uint32_t ruler_end(const struct ruler *r, unsigned i)
{
    if (i == r->infinity)
        return 0x7f800001; /* infinity itself still does */
    double middle = (r->mark[i] + r->mark[i + 1]) / 2;
    return f32_bits((float)middle) + (i % 2 == 0);
}

/* First mark whose values reach to `bits`. */
static unsigned ruler_find(const struct ruler *r, uint32_t bits)
{
    unsigned low = 0, high = r->infinity;
    while (low < high) {
        unsigned middle = (low + high) / 2;
        if (ruler_end(r, middle) <= bits)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

/* f32_from_bits without a call: four thousand million of them are half of the tests' time. */
static inline float float_of(uint32_t bits)
{
    float x;
    memcpy(&x, &bits, sizeof x);
    return x;
}

/* Compares one run of 65536 consecutive positive patterns and their negatives; returns the mismatches. */
static long ruler_check(const struct ruler *r, uint32_t first)
{
    const uint32_t last = first + 0xffff;
    uint16_t (*const convert)(float) = r->convert;
    long wrong = 0;
    uint32_t bits = first;
    for (unsigned i = ruler_find(r, first); bits <= last && bits <= 0x7f800000; ++i) {
        const uint32_t end = ruler_end(r, i);
        for (; bits <= last && bits < end; ++bits) {
            wrong += convert(float_of(bits)) != i;
            wrong += convert(float_of(bits | 0x80000000)) != (i | 0x8000);
        }
    }
    for (; bits <= last; ++bits) { /* NaN: quiet, as much of the payload as there is room for */
        unsigned want =
            r->infinity | 1u << (r->significand_bits - 1) | (bits & 0x7fffff) >> (23 - r->significand_bits);
        wrong += convert(float_of(bits)) != want;
        wrong += convert(float_of(bits | 0x80000000)) != (want | 0x8000);
    }
    return wrong;
}

/* Under sanitizers a conversion costs 20 times as much: a sample of the runs, the interesting ones included.
 */
static bool run_is_tested(uint32_t run)
{
#ifdef NF4BENCH_SANITIZED
    return run % 61 == 0 || run < 4 || (run >= 0x7f7e && run < 0x7f82);
#else
    (void)run;
    return true;
#endif
}

static void ruler_check_all(const struct ruler *r)
{
    long wrong = 0;
    uint32_t first_wrong = UINT32_MAX;
#pragma omp parallel for schedule(dynamic, 64) reduction(+ : wrong) reduction(min : first_wrong)
    for (uint32_t run = 0; run < 0x8000; ++run) {
        long here = run_is_tested(run) ? ruler_check(r, run << 16) : 0;
        wrong += here;
        if (here && run < first_wrong)
            first_wrong = run;
    }
    test_note("first wrong among the floats 0x%04x____", (unsigned)first_wrong);
    EXPECT_EQ(0, wrong);
}

static void ruler_check_widening(const struct ruler *r)
{
    for (uint32_t bits = 0; bits < 0x8000; ++bits) {
        float plus = r->widen((uint16_t)bits), minus = r->widen((uint16_t)(bits | 0x8000));
        test_note("pattern 0x%04x", (unsigned)bits);
        if (bits > r->infinity) {
            EXPECT_TRUE(isnan(plus) && isnan(minus) && !signbit(plus) && signbit(minus));
            uint32_t quiet = bits | 1u << (r->significand_bits - 1);
            EXPECT_EQ_BITS(quiet, r->convert(plus));
            continue;
        }
        double want = bits == r->infinity ? INFINITY : r->mark[bits];
        if ((double)plus != want || (double)minus != -want || signbit(plus) || !signbit(minus))
            EXPECT_TRUE(!"the widened value is the value of the pattern");
        if (r->convert(plus) != bits || r->convert(minus) != (bits | 0x8000))
            EXPECT_TRUE(!"widening and rounding gives the pattern back");
    }
}

static struct ruler f16_ruler = {.convert = f16_from_f32, .widen = f16_to_f32};
static struct ruler bf16_ruler = {.convert = bf16_from_f32, .widen = bf16_to_f32};

TEST(dtype, f16_from_every_f32)
{
    ruler_fill(&f16_ruler, 10, 15);
    ASSERT_EQ(0x7c00, f16_ruler.infinity);
    ruler_check_all(&f16_ruler);
}

TEST(dtype, bf16_from_every_f32)
{
    ruler_fill(&bf16_ruler, 7, 127);
    ASSERT_EQ(0x7f80, bf16_ruler.infinity);
    ruler_check_all(&bf16_ruler);
}

TEST(dtype, f16_widens_exactly)
{
    ruler_fill(&f16_ruler, 10, 15);
    ruler_check_widening(&f16_ruler);
}

TEST(dtype, bf16_widens_exactly)
{
    ruler_fill(&bf16_ruler, 7, 127);
    ruler_check_widening(&bf16_ruler);
}

#if defined(__x86_64__)
#include <immintrin.h>

__attribute__((target("avx,f16c"))) static long f16_hardware_mismatches(uint32_t first)
{
    long wrong = 0;
    for (uint32_t at = first; at < first + 0x10000; at += 8) {
        float x[8];
        uint16_t want[8];
        for (uint32_t i = 0; i < 8; ++i)
            x[i] = float_of(at + i);
        _mm_storeu_si128((__m128i *)want, _mm256_cvtps_ph(_mm256_loadu_ps(x), _MM_FROUND_TO_NEAREST_INT));
        for (int i = 0; i < 8; ++i)
            wrong += f16_from_f32(x[i]) != want[i];
    }
    return wrong;
}
#endif

/* A second opinion, on all floats from 2^-26 to 2^17, where f16 has its values, and on a sample of the
 * others. */
TEST(dtype, f16_as_the_cpu_converts)
{
#if defined(__x86_64__)
    if (!__builtin_cpu_supports("avx2")) /* every CPU with AVX2 has F16C, which clang 14 cannot ask for */
        SKIP("this CPU has no F16C");
    long wrong = 0;
#pragma omp parallel for schedule(dynamic, 64) reduction(+ : wrong)
    for (uint32_t run = 0; run < 0x10000; ++run)
        if (run % 61 == 0 ||
            (run_is_tested(run & 0x7fff) && (run & 0x7fff) >= 0x3280 && (run & 0x7fff) < 0x4800))
            wrong += f16_hardware_mismatches(run << 16);
    EXPECT_EQ(0, wrong);
#else
    SKIP("F16C is an x86 instruction");
#endif
}

/* The cases a reader wants to see in print. */
TEST(dtype, known_conversions)
{
    static const struct {
        uint32_t f32;
        uint16_t f16, bf16;
        const char *what;
    } rows[] = {
        {0x00000000, 0x0000, 0x0000, "+0"},
        {0x80000000, 0x8000, 0x8000, "-0"},
        {0x3f800000, 0x3c00, 0x3f80, "1"},
        {0x3f801000, 0x3c00, 0x3f80, "f16 tie, down to even"},
        {0x3f803000, 0x3c02, 0x3f80, "f16 tie, up to even"},
        {0x3f808000, 0x3c04, 0x3f80, "bf16 tie, down to even"},
        {0x3f818000, 0x3c0c, 0x3f82, "bf16 tie, up to even"},
        {0x477fefff, 0x7bff, 0x4780, "just below 65520"},
        {0x477ff000, 0x7c00, 0x4780, "65520: f16 infinity"},
        {0x7f7f7fff, 0x7c00, 0x7f7f, "largest that bf16 holds"},
        {0x7f7f8000, 0x7c00, 0x7f80, "bf16 infinity"},
        {0x33000000, 0x0000, 0x3300, "2^-25: f16 tie, to zero"},
        {0x33000001, 0x0001, 0x3300, "above 2^-25: f16's smallest denormal"},
        {0x387fe000, 0x0400, 0x3880, "f16 tie, up to the smallest normal"},
        {0x387fdfff, 0x03ff, 0x3880, "f16's largest denormal"},
        {0x00000001, 0x0000, 0x0000, "smallest denormal"},
        {0x00008000, 0x0000, 0x0000, "bf16 tie, to zero"},
        {0x00008001, 0x0000, 0x0001, "bf16's smallest denormal"},
        {0x7f800001, 0x7e00, 0x7fc0, "signalling NaN"},
        {0xffc12345, 0xfe09, 0xffc1, "NaN with a payload"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        test_note("%s", rows[i].what);
        EXPECT_EQ_BITS(rows[i].f16, f16_from_f32(f32_from_bits(rows[i].f32)));
        EXPECT_EQ_BITS(rows[i].bf16, bf16_from_f32(f32_from_bits(rows[i].f32)));
    }
}

TEST(dtype, arrays)
{
    static const float values[] = {1.0f, -2.5f, 0.1f, 70000.0f, -0.0f};
    enum { COUNT = sizeof values / sizeof values[0] };
    for (enum dtype t = 0; t < DTYPE_COUNT; ++t) {
        /* at an odd address, between guard bytes */
        unsigned char buffer[1 + COUNT * 4 + 1];
        memset(buffer, 0xa5, sizeof buffer);
        for (size_t i = 0; i < COUNT; ++i)
            dtype_store(t, buffer + 1, i, values[i]);
        test_note("%s", dtype_word(t));
        EXPECT_EQ(0xa5, buffer[0]);
        EXPECT_EQ(0xa5, buffer[1 + COUNT * dtype_size(t)]);
        for (size_t i = 0; i < COUNT; ++i) {
            float rounded = t == DTYPE_F16    ? f16_to_f32(f16_from_f32(values[i]))
                            : t == DTYPE_BF16 ? bf16_to_f32(bf16_from_f32(values[i]))
                                              : values[i];
            uint32_t bits = t == DTYPE_F16    ? f16_from_f32(values[i])
                            : t == DTYPE_BF16 ? bf16_from_f32(values[i])
                                              : f32_bits(values[i]);
            EXPECT_EQ_BITS(f32_bits(rounded), f32_bits(dtype_load(t, buffer + 1, i)));
            EXPECT_EQ_BITS(f32_bits(rounded), f32_bits(dtype_round(t, values[i])));
            EXPECT_EQ_BITS(bits, dtype_load_bits(t, buffer + 1, i));
        }
    }
}

TEST(dtype, ulp_distance)
{
    static const struct {
        enum dtype t;
        uint32_t a, b, distance;
    } rows[] = {
        {DTYPE_F32, 0x3f800000, 0x3f800000, 0},
        {DTYPE_F32, 0x3f800000, 0x3f800001, 1},
        {DTYPE_F32, 0x3f7fffff, 0x3f800000, 1},
        {DTYPE_F32, 0x00000000, 0x80000000, 1},
        {DTYPE_F32, 0x00000001, 0x80000001, 3},
        {DTYPE_F32, 0xbf800000, 0xbf800003, 3},
        {DTYPE_F32, 0x7f800000, 0x7f7fffff, 1},
        {DTYPE_F32, 0x7f800000, 0xff800000, 0xff000001},
        {DTYPE_F32, 0x7fc00000, 0x7fc00000, 0},
        {DTYPE_F32, 0x7fc00000, 0x7fc00001, UINT32_MAX},
        {DTYPE_F32, 0x7fc00000, 0x3f800000, UINT32_MAX},
        {DTYPE_F16, 0x3c00, 0x3c02, 2},
        {DTYPE_F16, 0x0000, 0x8000, 1},
        {DTYPE_F16, 0x7c00, 0x7bff, 1},
        {DTYPE_F16, 0x7c01, 0x7bff, UINT32_MAX},
        {DTYPE_BF16, 0x7f80, 0x7f7f, 1},
        {DTYPE_BF16, 0x7f81, 0x7f80, UINT32_MAX},
        {DTYPE_BF16, 0x7c01, 0x7bff, 2},
        {DTYPE_BF16, 0x0001, 0x8001, 3},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; ++i) {
        test_note("%s %08x %08x", dtype_word(rows[i].t), (unsigned)rows[i].a, (unsigned)rows[i].b);
        EXPECT_EQ(rows[i].distance, dtype_ulp_distance(rows[i].t, rows[i].a, rows[i].b));
        EXPECT_EQ(rows[i].distance, dtype_ulp_distance(rows[i].t, rows[i].b, rows[i].a));
    }
}
