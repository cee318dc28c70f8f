#include "results/values.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

__extension__ typedef unsigned __int128 uint128;

/* 10^n; the largest, 10^20, has 67 bits. */
static uint128 power_of_ten(int n)
{
    static const uint64_t low[] = {1, 10, 100, 1000, 10000, 100000, 1000000, 10000000, 100000000, 1000000000};
    static const uint128 high[] = {1, 10000000000, (uint128)10000000000 * 10000000000};
    return low[n % 10] * high[n / 10];
}

/* The digits of q without zeros at the end, the first of them at 10^exponent, which is -4 or more. */
static const char *place_digits(uint64_t q, int exponent, bool negative, char text[VALUE_TEXT])
{
    char digits[VALUE_TEXT], *to = text;
    int count = 0;
    for (; q % 10 == 0 && q > 0; q /= 10)
        ;
    const char *from = value_of_uint(q, digits);
    count = (int)strlen(from);
    if (negative)
        *to++ = '-';
    if (exponent < 0) {
        *to++ = '0';
        *to++ = '.';
        for (int i = exponent; i < -1; i++)
            *to++ = '0';
    }
    for (int i = 0; i < count || i <= exponent; i++) {
        if (i == exponent + 1 && exponent >= 0)
            *to++ = '.';
        *to++ = i < count ? from[i] : '0';
    }
    *to = '\0';
    return text;
}

/*
 * A double is m / 2^k. Of 1e-4 to 1e14, m < 2^53 and 6 <= k <= 66, and `decimals`, the places behind the
 * point of 17 digits, are 20 at most: m 10^decimals < 2^120 is exact in 128 bits, and so is what a rounded
 * decimal q / 10^decimals is off: |q 2^k - m 10^decimals|. It reads back to the double when that is less than
 * half of a unit of m, which is 10^decimals here (at exactly half, when m is even). A decimal that is rounded
 * up to a power of ten never does, for that is a double itself. Below a power of two the next double is
 * nearer: these are left to the library, as all other values are. False: left.
 */
static bool write_exactly(double value, char text[VALUE_TEXT])
{
    const double size = fabs(value);
    if (!(size >= 1e-4 && size < 1e14))
        return false;
    int two, ten = (int)floor(log10(size));
    const uint64_t m = (uint64_t)ldexp(frexp(size, &two), 53);
    const int k = 53 - two;
    if ((m & (m - 1)) == 0)
        return false;
    for (int digits = 15; digits <= 17; digits++) {
        const int decimals = digits - 1 - ten;
        const uint128 scaled = m * power_of_ten(decimals), one = (uint128)1 << k;
        const uint128 rest = scaled & (one - 1);
        uint64_t q = (uint64_t)(scaled >> k);
        if (q >= power_of_ten(digits) || q < power_of_ten(digits - 1))
            return false; /* log10() was off by one */
        const bool up = rest > one / 2 || (rest == one / 2 && q % 2 == 1);
        const uint128 off = up ? one - rest : rest, unit = power_of_ten(decimals);
        q += up;
        if (digits < 17 && !(2 * off < unit || (2 * off == unit && m % 2 == 0)))
            continue;
        (void)place_digits(q, ten, value < 0, text);
        return true;
    }
    return false;
}

const char *value_of_double(double value, char text[VALUE_TEXT])
{
    if (value == 0 || write_exactly(value, text))
        return value == 0 ? signbit(value) ? "-0" : "0" : text;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(text, VALUE_TEXT, "%.*g", digits, value);
        if (strtod(text, NULL) == value)
            break;
    }
    return text;
}

const char *value_of_uint(uint64_t value, char text[VALUE_TEXT])
{
    char *at = text + VALUE_TEXT - 1;
    *at = '\0';
    do
        *--at = (char)('0' + value % 10);
    while (value /= 10);
    return at;
}

void value_put_json_double(double value, FILE *out)
{
    char text[VALUE_TEXT];
    fputs_unlocked(isfinite(value) ? value_of_double(value, text) : "null", out);
}
