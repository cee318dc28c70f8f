/*
 * student.h: Student's t distribution. Own code, because GSL's licence does not fit the program's; held
 * against published tables in the tests.
 */
#ifndef NF4BENCH_HARNESS_BASE_STUDENT_H
#define NF4BENCH_HARNESS_BASE_STUDENT_H

/* P(T <= t), `df` degrees of freedom, 1 or more (DLMF 8.17: by the regularized incomplete beta function). */
double student_cdf(double t, double df);
/* The t with student_cdf(t, df) = p, 0 < p < 1. */
double student_quantile(double p, double df);

#endif
