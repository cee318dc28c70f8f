#include "harness/base/student.h"

#include <math.h>

/* The continued fraction of the incomplete beta function, DLMF 8.17.22, by Lentz's method. Converges fast for
 * x < (a + 1) / (a + b + 2). */
static double beta_fraction(double a, double b, double x)
{
    const double tiny = 1e-300;
    double c = 1, d = 1 - (a + b) * x / (a + 1);
    d = 1 / (fabs(d) < tiny ? tiny : d);
    double f = d;
    for (int m = 1; m <= 500; m++) {
        const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
        const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
        const double terms[] = {even, odd};
        double factor = 1;
        for (int i = 0; i < 2; i++) {
            d = 1 + terms[i] * d;
            c = 1 + terms[i] / c;
            d = 1 / (fabs(d) < tiny ? tiny : d);
            c = fabs(c) < tiny ? tiny : c;
            factor = c * d;
            f *= factor;
        }
        if (fabs(factor - 1) < 1e-15)
            break;
    }
    return f;
}

/* I_x(a, b). */
static double incomplete_beta(double a, double b, double x)
{
    if (x <= 0 || x >= 1)
        return x >= 1;
    const double front = exp(lgamma(a + b) - lgamma(a) - lgamma(b) + a * log(x) + b * log1p(-x));
    return x < (a + 1) / (a + b + 2) ? front * beta_fraction(a, b, x) / a
                                     : 1 - front * beta_fraction(b, a, 1 - x) / b;
}

double student_cdf(double t, double df)
{
    if (isinf(t))
        return t > 0;
    const double tail = 0.5 * incomplete_beta(df / 2, 0.5, df / (df + t * t));
    return t > 0 ? 1 - tail : tail;
}

double student_quantile(double p, double df)
{
    double lo = -1, hi = 1;
    while (student_cdf(lo, df) > p)
        lo *= 2;
    while (student_cdf(hi, df) < p)
        hi *= 2;
    for (int i = 0; i < 200 && lo < hi; i++) {
        const double middle = lo + (hi - lo) / 2;
        if (middle == lo || middle == hi)
            break;
        *(student_cdf(middle, df) < p ? &lo : &hi) = middle;
    }
    return lo + (hi - lo) / 2;
}
