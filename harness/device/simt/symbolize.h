/*
 * symbolize.h: what a code address is: function, file and line. Private to harness/device/simt/.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_SIMT_SYMBOLIZE_H
#define NF4BENCH_HARNESS_DEVICE_SIMT_SYMBOLIZE_H

#include <stdbool.h>
#include <stddef.h>

/* A source file's name without the project's directory. Points into `path`; usable in a signal handler. */
const char *symbolize_path(const char *path);

struct symbol {
    char function[96]; /* "" if unknown; "module+0x12" as a last resort */
    char file[160];    /* "" if unknown; without the project's directory */
    int line;
    bool executor; /* in harness/device/simt/ or in no file of the project: not the kernel's own code */
};

/* Of the instruction before each return address: by addr2line where there is one (tens of milliseconds for
 * all together), else by the dynamic symbols. Of inlined frames, the innermost outside of cuda.h. Not for use
 * in a child that has faulted. */
void symbolize(const void *const *pc, size_t count, struct symbol *symbols);

#endif
