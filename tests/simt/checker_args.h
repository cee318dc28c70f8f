/*
 * checker_args.h: what tests/device/simt_checker.c gives the kernels checker_*.cu. Each kernel is right when `wrong`
 * is 0; another number leaves something out, at the lines that a comment names.
 */
#ifndef NF4BENCH_TESTS_SIMT_CHECKER_ARGS_H
#define NF4BENCH_TESTS_SIMT_CHECKER_ARGS_H

#include <stddef.h>
#include <stdint.h>

struct checker_args {
    const float *in; /* [count], read-only */
    float *out;      /* [count] */
    uint16_t *half;  /* [count] */
    uint8_t *bytes;  /* [count] */
    uint32_t *sums;  /* [16], zero */
    size_t count;
    unsigned blocks, threads;
    int wrong;
    size_t shared; /* bytes of dynamic shared memory */
};

/* checker_program.cu: what each thread does, a list for each block and thread in turn. */
enum program_operation {
    PROGRAM_NOTHING,
    PROGRAM_READ,
    PROGRAM_WRITE,
    PROGRAM_ATOMIC,
    PROGRAM_BARRIER,
    PROGRAM_SYNCWARP /* value: mask */
};
enum { PROGRAM_BYTES = 64 }; /* of shared memory, and of global memory for each block */

struct program_step {
    uint8_t operation, global, offset, size;
    uint32_t value;
};

struct program_args {
    const struct program_step *steps; /* [blocks][threads][length] */
    uint8_t *memory;                  /* [blocks][PROGRAM_BYTES] */
    unsigned blocks, threads, length;
};

#endif
