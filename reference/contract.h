/*
 * contract.h: the contract of a variant: the fields that fix its output bits, and the name derived from these fields.
 *
 * A variant is called <contract>__<arch>[_<knobs>]. Two variants with the same <contract> must agree bit for
 * bit on every problem; the part right of "__" may change only speed. contract.inc is the grammar.
 */
#ifndef NF4BENCH_REFERENCE_CONTRACT_H
#define NF4BENCH_REFERENCE_CONTRACT_H

#include <stdbool.h>
#include <stddef.h>

#include "reference/dtype.h"

enum format { FORMAT_NF4, FORMAT_INT4, FORMAT_INT8, FORMAT_FP8, FORMAT_DENSE, FORMAT_COUNT };
enum op { OP_DEQUANT, OP_GEMM, OP_GEMMDX, OP_REPACK, OP_UNREPACK, OP_COUNT };
enum decode { DECODE_F32, DECODE_OUT };
enum scale_point { SCALE_WEIGHT, SCALE_BLOCK };
enum accumulation { ACC_NONE, ACC_CHAINS, ACC_DPBF16, ACC_MMA80, ACC_MMA90, ACC_ANY };
enum nested { NESTED_NONE, NESTED_TWOSTEP, NESTED_FUSED };
enum denormals { DENORMALS_IEEE, DENORMALS_FLUSH };

struct contract {
    enum format format;
    enum op op;
    enum dtype out; /* type of the output, and of activations and bias where there are any */
    enum decode decode;
    enum scale_point scale;
    enum accumulation accumulation;
    unsigned chains; /* L, a power of two, 1 to 64: set with ACC_CHAINS (16 with ACC_DPBF16), else 0 */
    unsigned width;  /* W, a power of two, 1 to 64: consecutive k of a chain; set with ACC_CHAINS, else 0 */
    unsigned splits; /* S, 1 to 64: number of contiguous k ranges summed in order; 1 except where the name has
                        x<S>, 0 with ACC_NONE and ACC_ANY */
    enum nested nested;
    enum denormals denormals;
};

enum { CONTRACT_NAME_MAX = 96, VARIANT_NAME_MAX = 128 };

/* Writes the contract part of a name ("nf4_gemm_bf16_sblk_acc16_fused"). False if it does not fit in size. */
bool contract_format(const struct contract *c, char *buffer, size_t size);

/* Parses a variant name or a bare contract name. On success *c is filled and *arch points into `name` after
 * "__" (or at its end for a bare contract). False if a word is unknown, out of order, repeated, or the fields
 * do not fit together (contract_valid). */
bool contract_parse(const char *name, struct contract *c, const char **arch);
/* The same. NULL for success, else a sentence that says why not. */
const char *contract_parse_error(const char *name, struct contract *c, const char **arch);

/* NULL when the fields fit together, else a sentence about what does not:
 *   dequant            no accumulation; scales per weight
 *   products           an accumulation
 *   gemmdx             scales per weight
 *   repack, unrepack   output in bytes, which no other operation has; NF4; every other field is its default
 *   c16                a 16-bit output
 *   dpbf16             forward, bf16, flushes denormals; with sblk also c16, as its operands are bf16
 *   mma80, mma90       a 16-bit output; scales per weight; keep denormals
 *   nested             NF4
 *   dense              products only; no sblk and no c16, as there are no scales and no codebook
 *   numbers            chains and width are powers of two up to 64, splits 1 to 64 */
const char *contract_invalid(const struct contract *c);

bool contract_equal(const struct contract *a, const struct contract *b);

const char *format_word(enum format f);
const char *op_word(enum op op);
bool format_parse(const char *word, enum format *out);
bool op_parse(const char *word, enum op *out);
bool op_is_product(enum op op);                /* gemm, gemmdx */
bool op_is_repack(enum op op);                 /* repack, unrepack */
bool accumulation_is_mma(enum accumulation a); /* ACC_MMA80 or ACC_MMA90 */

#endif
