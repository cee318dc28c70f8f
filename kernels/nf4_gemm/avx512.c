/*
 * nf4_gemm/avx512.c: gemm of every format with AVX-512 in fp32 arithmetic: 16 chains are the 16 lanes of a
 * register (gemm_chains.h).
 *
 * Run: nf4bench verify suites/smoke.yaml -v '*_gemm_*__avx512'
 * Ladder (kernels/README.md): before this avx2.c, after this avx512_words.c.
 *
 * Changes over avx2.c: one vpermps decodes 16 weights of four bits from the scaled table of the block, a
 * conversion and a multiplication those of eight, and L1 keeps them for all rows of X; a tile of 4 x 4 sums
 * takes 16 fma for 8 loads. Why it should be fast: at M >= 8 the fma units limit, not the decode. sblk saves
 * the table of each block, or the multiplication.
 */
#include "kernels/cpu/nf4_avx512.h"

enum { V16_ROWS = 4, V16_COLUMNS = 4, V16_DIRECT_ROWS = 4 };
#include "kernels/cpu/gemm_chains.h"

#define GEMM_TYPE(type, element)                                                                             \
    CHAINS_NIBBLES(type, avx512, element)                                                                    \
    GEMM(int8_gemm_##type##_acc16__avx512, chains_share, element, PER_WEIGHT, INT8, 1)                       \
    GEMM(int8_gemm_##type##_sblk_acc16__avx512, chains_share, element, PER_BLOCK, INT8, 1)                   \
    GEMM(fp8_gemm_##type##_acc16__avx512, chains_share, element, PER_WEIGHT, FP8, 1)                         \
    GEMM(fp8_gemm_##type##_sblk_acc16__avx512, chains_share, element, PER_BLOCK, FP8, 1)                     \
    GEMM(dense_gemm_##type##_acc16__avx512, chains_share, element, PER_WEIGHT, DENSE, 1)
FOR_ELEMENTS(GEMM_TYPE)
GEMM(nf4_gemm_bf16_acc16x4__avx512, chains_share, ELEMENT_BF16, PER_WEIGHT, NF4, 4)
