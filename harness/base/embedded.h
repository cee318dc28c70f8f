/*
 * embedded.h: source files that the program carries with it: what a .cu file includes, for `nf4bench try`,
 * and suites/models.yaml, for reports. Written by cmake/EmbedText.cmake.
 */
#ifndef NF4BENCH_HARNESS_BASE_EMBEDDED_H
#define NF4BENCH_HARNESS_BASE_EMBEDDED_H

#include <string.h>

struct embedded_file {
    const char *path; /* relative to the source tree: "kernels/kernel.h" */
    const char *text;
};
extern const struct embedded_file embedded_files[]; /* ends with {NULL, NULL} */
/* The text of one; NULL when there is none at that path. */
static inline const char *embedded_text(const char *path)
{
    const struct embedded_file *f = embedded_files;
    while (f->path && strcmp(f->path, path))
        f++;
    return f->text;
}

#endif
