/*
 * int4.h: absmax int4 at the same blocksize, only to compare its error with NF4's on real weights.
 *
 * Symmetric: scale = absmax/7, q = clamp(round-half-even(x/scale), -8, 7), value = q*scale, fp32 throughout.
 * A zero block gives zeros. It is the plain round-to-nearest quantizer, not GPTQ or AWQ.
 */
#ifndef NF4BENCH_REFERENCE_INT4_H
#define NF4BENCH_REFERENCE_INT4_H

#include <stddef.h>

/* out[i] = dequantize(quantize(x[i])). */
void int4_absmax_roundtrip(const float *x, size_t count, size_t blocksize, float *out);

#endif
