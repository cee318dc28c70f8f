/*
 * matmul.h: the products, in fp64 and in every pinned contract, one scalar definition each.
 *
 *   forward   Y[m,n]  = sum_k X[m,k]  * W[n,k] + bias[n]     W is [n_rows, k_cols], blocks run along k
 *   backward  dX[m,k] = sum_n dY[m,n] * W[n,k]               no bias
 *
 * Everything is row-major and dense. Activations, bias and output have type T = contract.out, read exactly as
 * fp32. "fma" is one IEEE fp32 fused multiply-add. The final value is RN_T(RN32(sum + bias)) (RN_T(sum)
 * without bias). r below is the index that is summed over (k forward, n backward), R its extent.
 *
 * ACC_CHAINS, acc<L>w<W>x<S>, SCALE_WEIGHT.
 *   Split s covers r in [s*Q, min(R, (s+1)*Q)), with Q = ceil(R/S) rounded up to a multiple of L*W.
 *   Within a split, chain l starts at +0 and takes r with floor((r - s*Q) / W) mod L == l: W consecutive ones in
 *   turn, ascending: acc = fma(x, w, acc), w = quantized_weight().
 *   The L chains are summed by the halving tree: for h = L/2, L/4 .. 1: acc[i] = acc[i] + acc[i+h] for i < h.
 *   The results of the splits are added in order: ((p0 + p1) + p2).. An empty split contributes +0.
 *
 * ACC_CHAINS, SCALE_BLOCK (forward only).
 *   A run is a maximal range of k in this row and split that lies in one block. For each run, ascending, each
 *   chain l that has at least one element in it computes t from +0 over its elements, ascending:
 *   t = fma(x, c, t), c = quantized_decode(); then acc[l] = fma(t, scale, acc[l]). Chains without an element in
 *   the run are left alone. Trees and splits as above.
 *
 * ACC_DPBF16 (forward, bf16, DENORMALS_FLUSH).
 *   The pair dot dp(acc, (x1,w1), (x0,w0)) is acc = G(fma(F(x1), F(w1), F(acc))), then
 *   acc = G(fma(F(x0), F(w0), acc)). F flushes a denormal to a zero of its sign. G flushes a sum that is tiny
 *   after rounding: below 2^-126 when rounded to 24 bits with an unbounded exponent (so a sum of
 *   2^-126 - 0.75 * 2^-150 becomes 0, though fp32 would round it to 2^-126). This is the VDPBF16PS instruction,
 *   odd element first; a test compares it with the CPU's.
 *   Lane i of 16 owns the k with (k/8) mod 16 == i. Within each group of 8 consecutive k (group base g, a
 *   multiple of 8) it runs four pair dots, p = 0..3: x1,w1 at k = g+p+4 and x0,w0 at k = g+p. Elements at
 *   k >= K are x = +0, w = +0.
 *   SCALE_WEIGHT: all into acc[i].
 *   SCALE_BLOCK: for each maximal range of the group's existing elements that lies in one block, ascending (one
 *   range unless a row starts inside a block), t starts at +0, runs the four pair dots with the elements outside
 *   the range as x = +0, w = +0, and acc[i] = fma(t, scale, acc[i]) (IEEE, no flush).
 *   Groups in ascending order; then the halving tree over the 16 lanes.
 *
 * ACC_MMA80, ACC_MMA90 (T 16-bit, SCALE_WEIGHT, DENORMALS_IEEE), mma80x<S>, mma90x<S>.
 *   Splits as above, with Q rounded up to a multiple of 16. Within a split acc starts at +0; for
 *   r0 = s*Q, s*Q + 16, .. ascending: acc = mma(x[r0..r0+15], w[r0..r0+15], acc) = mma_dot() of mma.h, r in
 *   natural order, elements from the end of the split on x = +0, w = +0; w = quantized_weight().
 *   Which element a block of the model cuts does not depend on its place: within 8 (mma80) or 16 (mma90)
 *   consecutive r the order is free. mma.h says how far the models are confirmed.
 *
 * DENORMALS_FLUSH with ACC_CHAINS.
 *   Every fma flushes its inputs and its IEEE result to signed zero (fma.ftz). The adds of the tree, the splits
 *   and the bias do not flush. Unconfirmed on hardware where an fma is tiny only before it is rounded to 2^-126
 *   (see G above).
 *
 * A NaN result is the positive quiet NaN without payload (7fc00000, 7e00, 7fc0), whatever the fma made.
 *
 * Why these orders: acc1 is the textbook loop; acc16 is what 16 SIMD lanes compute; acc32w8 a warp whose
 * lanes load 4 bytes, 8 weights, each; acc<L>x<S> is split-K with an ordered reduction; dpbf16 is what a
 * byte-wise nibble unpack feeds to the bf16 dot unit without shuffles; mma80 and mma90 are chains of
 * mma.m16n8k16.
 */
#ifndef NF4BENCH_REFERENCE_MATMUL_H
#define NF4BENCH_REFERENCE_MATMUL_H

#include <stdbool.h>
#include <stddef.h>

#include "reference/contract.h"
#include "reference/quantized.h"

/* Operands of both products. Forward: a is X[m,k], y is Y[m,n]. Backward: a is dY[m,n], y is dX[m,k]. */
struct matmul {
    size_t m, n, k;
    const void *a;             /* type contract.out */
    const void *bias;          /* [n] of type contract.out, or NULL */
    const struct quantized *w; /* count == n*k */
};

/* Y (or dX) in c->out, in exactly the order of contract c. False, nothing written, if the contract is
 * invalid, has no pinned order (ACC_ANY) or is not a product, or if memory for an fp32 copy of the
 * activations and 16 rows of weights per thread cannot be had. Uses OpenMP over outputs; never over a
 * reduction. */
bool matmul_pinned(const struct contract *c, const struct matmul *p, void *y);

/* One output element in the order of contract c (for decoding a mismatch, and for sampled checks). */
float matmul_pinned_at(const struct contract *c, const struct matmul *p, size_t row, size_t col);

/*
 * fp64 reference with the weights of contract c (quantized_weight for SCALE_WEIGHT; decode * scale in fp64
 * for SCALE_BLOCK): value[i] = sum, bias included; magnitude[i] = sum |a*w| + |bias|. Either may be NULL.
 * Both are [m,n] (backward [m,k]). Inputs that the contract flushes are flushed here too: that is what it
 * computes, not an error of it.
 */
void matmul_fp64(const struct contract *c, const struct matmul *p, double *value, double *magnitude);
/* The value and the magnitude of one output. */
void matmul_fp64_at(const struct contract *c, const struct matmul *p, size_t row, size_t col, double *value,
                    double *magnitude);

/*
 * Largest |error| that a right kernel of contract c may have against matmul_fp64 for this element:
 *   E + u_T*(|ref| + E) + one subnormal quantum of T,   E = gamma*S + d*eta
 *   gamma   d*u/(1 - d*u), u = 2^-24
 *   d       depth of the accumulation: the largest number of roundings of one term. ACC_ANY: R + 2, or R + 4 with
 *           SCALE_BLOCK; a block of the mma models counts as 10
 *   eta     the cost of an underflow: 2^-149, or 2^-126 where results are flushed
 *
 * Infinite where a right kernel may overflow T. Not covered: a partial sum that is flushed before it is scaled by a number
 * above 1, and an mma block whose alignment is set by a product with a denormal operand. A dropped product can be within
 * the bound: see verify.h. Source: Higham, Accuracy and Stability of Numerical Algorithms, ch. 2 and 3.
 */
double matmul_bound(const struct contract *c, size_t reduced, double ref, double magnitude);

#endif
