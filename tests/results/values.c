#include "results/values.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "tests/results/rows.h"
#include "tests/test.h"

/* What value_of_double() promises, by the library alone. */
static const char *by_library(double value, char text[VALUE_TEXT])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, VALUE_TEXT, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return text;
}

static bool agrees(double value)
{
    char want[VALUE_TEXT], got[VALUE_TEXT];
    const char *text = value_of_double(value, got);
    return test_equal_string(by_library(value, want), text, __FILE__, __LINE__, "value_of_double()");
}

TEST(values, doubles_of_all_sizes)
{
    for (uint64_t i = 0; i < 200000; i++) {
        const uint64_t bits = mix64(i);
        double any;
        memcpy(&any, &bits, sizeof any);
        if (isfinite(any))
            ASSERT_TRUE(agrees(any));
        const double share = (double)(mix64(bits) >> 11) * 0x1p-53;
        ASSERT_TRUE(agrees(ldexp(1 + share, (int)(bits % 70) - 20))); /* where no library is asked */
        ASSERT_TRUE(agrees(-share));
    }
}

TEST(values, doubles_near_round_numbers)
{
    for (int exponent = -8; exponent <= 17; exponent++)
        for (int digit = 1; digit < 10; digit++) {
            const double round = digit * pow(10, exponent);
            double below = round, above = round;
            for (int step = 0; step < 20; step++) {
                ASSERT_TRUE(agrees(below) && agrees(above) && agrees(round + step) && agrees(-round / 8));
                below = nextafter(below, 0);
                above = nextafter(above, INFINITY);
            }
        }
    for (int exponent = -30; exponent < 60; exponent++) {
        const double two = ldexp(1, exponent);
        ASSERT_TRUE(agrees(two) && agrees(nextafter(two, 0)) && agrees(nextafter(two, INFINITY)));
    }
    static const double odd[] = {0,   -0.0, 4.9e-324, 1.7976931348623157e308,
                                 0.1, 0.3,  1.0 / 3,  99999999999999.98};
    for (size_t i = 0; i < sizeof odd / sizeof odd[0]; i++)
        ASSERT_TRUE(agrees(odd[i]));
}

TEST(values, whole_numbers)
{
    char text[VALUE_TEXT];
    EXPECT_STREQ("0", value_of_uint(0, text));
    EXPECT_STREQ("10", value_of_uint(10, text));
    EXPECT_STREQ("18446744073709551615", value_of_uint(UINT64_MAX, text));
}
