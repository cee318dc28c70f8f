/*
 * nf4_gemm/avx2.c: gemm of NF4 and int4 with AVX2 and FMA in fp32 arithmetic: 16 chains are the lanes of two
 * registers (gemm_chains.h).
 *
 * Run: nf4bench verify suites/smoke.yaml -v '*_gemm_*__avx2'
 * Ladder (kernels/README.md): before this formats_gemm/scalar.c, after this avx512.c.
 *
 * Changes over scalar.c: two vpermps and a blend decode 8 weights from the scaled table of the block, and L1
 * keeps them for all rows of X; a tile of 2 x 2 sums (8 registers) takes 8 fma for 8 loads. Why it should be
 * fast: at M >= 8 the fma units limit, not the decode. sblk saves the table of each block.
 */
#include "kernels/cpu/nf4_avx2.h"

enum { V16_ROWS = 2, V16_COLUMNS = 2, V16_DIRECT_ROWS = 2 };
#include "kernels/cpu/gemm_chains.h"

#define GEMM_TYPE(type, element) CHAINS_NIBBLES(type, avx2, element)
FOR_ELEMENTS(GEMM_TYPE)
