/*
 * nf4_gemm/avx512_words.c: gemm of the formats of four bits for few rows of X with AVX-512 in fp32
 * arithmetic: the words of codes stay where they are (gemm_words.h).
 *
 * Run: nf4bench verify suites/smoke.yaml -v '*__avx512_words'
 * Ladder (kernels/README.md): before this avx512.c, after this avx512bf16_gemv.c.
 *
 * Changes over avx512.c: no code is moved to another lane. Why it should be fast: with one row of X the port
 * of the lookup limits avx512.c, and its two shuffles for 16 weights are one here.
 */
#include "kernels/cpu/gemm_words.h"

#define GEMM_TYPE(type, element)                                                                             \
    GEMM(nf4_gemm_##type##_sblk_acc16w8__avx512_words, words_share, element, NF4)                            \
    GEMM(nf4_gemm_##type##_sblk_acc16w8_fused__avx512_words, words_share, element, NF4_FUSED)                \
    GEMM(int4_gemm_##type##_sblk_acc16w8__avx512_words, words_share, element, INT4)
FOR_ELEMENTS(GEMM_TYPE)
