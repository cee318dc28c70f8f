/*
 * embedded.h: source files that the program carries with it: what a .cu file includes, for `nf4bench try`.
 * Written by cmake/EmbedText.cmake.
 */
#ifndef NF4BENCH_HARNESS_EMBEDDED_H
#define NF4BENCH_HARNESS_EMBEDDED_H

struct embedded_file {
    const char *path; /* relative to the source tree: "kernels/kernel.h" */
    const char *text;
};
extern const struct embedded_file embedded_files[]; /* ends with {NULL, NULL} */

#endif
