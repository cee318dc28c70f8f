/*
 * hashes.h: for each source of the table, in its order, what its variants were built from
 * (cmake/HashKernels.cmake). With it a result says whether a variant is the one that another result is of, and
 * a comparison whether there is anything to measure.
 */
#ifndef NF4BENCH_KERNELS_HASHES_H
#define NF4BENCH_KERNELS_HASHES_H

/* 16 hex digits and NUL. */
struct kernel_hash {
    char source[17]; /* of the bytes of the file, without what that includes */
    char code[17];   /* of its object file: the code of all its variants, their constants and what they refer
                        to. Of a .cu file that is the host build `fast`. "": this build has none */
};
extern const struct kernel_hash kernel_hashes[];

#endif
