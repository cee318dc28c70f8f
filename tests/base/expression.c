/*
 * expression.c: what a grid's expressions are worth, and what is wrong with those that are worth nothing.
 */
#include "harness/base/expression.h"

#include <stdint.h>
#include <stdio.h>

#include "tests/test.h"

static const struct expression_name names[] = {{"m", 3}, {"n", 100}, {"big", INT64_MAX}, {"zero", 0}};
enum { NAMES = sizeof names / sizeof names[0] };

TEST(expression, values)
{
    static const struct {
        const char *text;
        int64_t value;
    } rows[] = {
        {"7", 7},
        {" 7 ", 7},
        {"n", 100},
        {"1 + 2*3", 7},
        {"(1+2) * 3", 9},
        {"10 - 3 - 2", 5},
        {"100/10/5", 2},
        {"n/8*8", 96},
        {"3 - 10", -7},
        {"(3-10)/2", -3},
        {"ceil(n, 8)", 13},
        {"ceil(96,8)", 12},
        {"ceil(0, 8)", 0},
        {"ceil(n*m + 1, 2 * (3 + 1)) * m", 114},
        {"ceil(ceil(n, 3), 3)", 12},
        {"big", INT64_MAX},
        {"9223372036854775807 - 1", INT64_MAX - 1},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct expression_fault fault = {0};
        int64_t value = -1;
        EXPECT_TRUE(expression_value(rows[i].text, names, NAMES, NULL, &fault));
        EXPECT_TRUE(expression_value(rows[i].text, names, NAMES, &value, &fault));
        EXPECT_EQ(rows[i].value, value);
    }
}

TEST(expression, faults_say_what_and_where)
{
    static const struct {
        const char *text;
        size_t at;
        const char *what;
        bool only_with_values;
    } rows[] = {
        {"", 0, "ends where a number", false},
        {"1 +", 3, "ends where a number", false},
        {"1 2", 2, "'2' is too much", false},
        {"(1", 2, "')' is missing at the end", false},
        {"(1 n", 3, "')' is missing before 'n'", false},
        {"* 2", 0, "must stand here, not '* 2'", false},
        {"-1", 0, "must stand here", false},
        {"2 ** 3", 3, "must stand here", false},
        {"n % 2", 2, "'% 2' is too much", false},
        {"ceil n", 5, "'(' is missing", false},
        {"ceil(n)", 6, "',' is missing", false},
        {"1 + width", 4, "unknown word \"width\"", false},
        {"zer", 0, "did you mean \"zero\"?", false},
        {"1/0", 1, "division by zero", false},
        {"n / (2 - 2)", 2, "division by zero", false},
        {"ceil(n, 0)", 0, "division by zero", false},
        {"n / zero", 2, "division by zero", true},
        {"1 + ceil(m, n - 100)", 4, "division by zero", true},
        {"ceil(m - n, 2)", 0, "negative", true},
        {"ceil(m, m - n)", 0, "negative", true},
        {"9223372036854775808", 0, "does not fit", false},
        {"9223372036854775807 + 1", 20, "does not fit", false},
        {"big + 1", 4, "does not fit", true},
        {"big * 2", 4, "does not fit", true},
        {"0 - big - 2", 8, "does not fit", true},
        {"(0 - big - 1) / (0 - 1)", 14, "does not fit", true},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct expression_fault fault = {0};
        int64_t value;
        EXPECT_FALSE(expression_value(rows[i].text, names, NAMES, &value, &fault));
        EXPECT_CONTAINS(fault.what, rows[i].what);
        EXPECT_EQ(rows[i].at, fault.at);
        EXPECT_EQ(rows[i].only_with_values, expression_value(rows[i].text, names, NAMES, NULL, &fault));
    }
}

TEST(expression, brackets_are_not_nested_without_end)
{
    char text[10001];
    for (size_t i = 0; i < sizeof text - 1; i++)
        text[i] = '(';
    text[sizeof text - 1] = '\0';
    struct expression_fault fault;
    int64_t value;
    EXPECT_FALSE(expression_value(text, names, NAMES, &value, &fault));
    EXPECT_CONTAINS(fault.what, "nested");
}
