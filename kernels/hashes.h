/*
 * hashes.h: for each row of kernels.inc, in its order, what it was built from (cmake/HashKernels.cmake): so
 * that a result says whether a variant is the one that another result is of, and a comparison whether there
 * is anything to measure.
 */
#ifndef NF4BENCH_KERNELS_HASHES_H
#define NF4BENCH_KERNELS_HASHES_H

/* 16 hex digits and NUL. */
struct kernel_hash {
    char source[17]; /* of the bytes of its source file, without what that includes */
    char code[17];   /* of the source's object file: the code of all its rows, their constants and what they
                        refer to. A CUDA row's is the host build `fast`. "": this build has none */
};
extern const struct kernel_hash kernel_hashes[];

#endif
