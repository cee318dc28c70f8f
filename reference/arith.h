/*
 * arith.h: what the inner loops of the reference share. Private to reference/.
 */
#ifndef NF4BENCH_REFERENCE_ARITH_H
#define NF4BENCH_REFERENCE_ARITH_H

#include <float.h>
#include <math.h>

#include "reference/dtype.h"

/*
 * Compiles a function once per instruction set and picks one when the program starts, so that fmaf() is one
 * instruction and a loop over independent sums is vectorised. The bits cannot differ: every clone does the
 * same IEEE operations in the same order, and without -ffast-math no compiler may reorder a sum. Sanitizers
 * instrument the resolver, which runs before they are set up, so their builds call fmaf() instead.
 */
#if defined(__x86_64__) && defined(__GLIBC__) && !defined(NF4BENCH_SANITIZED)
#define REFERENCE_CLONES __attribute__((target_clones("avx512f", "arch=haswell", "default")))
#else
#define REFERENCE_CLONES
#endif

/* Steps of work from which starting threads pays. */
enum { ARITH_PARALLEL_FROM = 1 << 16 };

/* F(x): a denormal becomes a zero of its sign; everything else, NaN included, stays. */
static inline float arith_flush(float x)
{
    return fabsf(x) < FLT_MIN ? copysignf(0.0f, x) : x;
}

/* fma.ftz: inputs and result flushed. */
static inline float arith_fma_flush(float a, float b, float c)
{
    return arith_flush(fmaf(arith_flush(a), arith_flush(b), arith_flush(c)));
}

/*
 * One half of a VDPBF16PS pair: as arith_fma_flush, but the instruction looks for a tiny result before it
 * looks at the range: a sum that 24 bits with an unbounded exponent would hold below FLT_MIN becomes zero,
 * even where the coarser grid of the denormals would have rounded it up to FLT_MIN. The same fma on operands
 * scaled by 2^32, 2^32 and 2^64 is that unbounded rounding. Scaling is exact and does not overflow where it
 * matters: for a result that is neither zero nor above FLT_MIN, |c| and |a*b| are below 2^-77, because they
 * cancel down to it within their 24 and 48 bits. Elsewhere a scaled sum may be infinite or NaN; the
 * comparison then fails, and the sum stands. Both conditions are always evaluated (&), which lets the loop be
 * vectorised.
 */
static inline float arith_pair_fma(float a, float b, float c)
{
    a = arith_flush(a);
    b = arith_flush(b);
    c = arith_flush(c);
    float sum = fmaf(a, b, c);
    float scaled = fmaf(a * 0x1p32f, b * 0x1p32f, c * 0x1p64f);
    int tiny = (fabsf(sum) <= FLT_MIN) & (fabsf(scaled) < FLT_MIN * 0x1p64f);
    return tiny ? copysignf(0.0f, sum) : sum;
}

/* The one NaN a product gives: which NaN an fma returns differs between instructions and machines. */
static inline float arith_one_nan(float x)
{
    return isnan(x) ? f32_from_bits(UINT32_C(0x7fc00000)) : x;
}

#endif
