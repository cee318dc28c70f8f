/*
 * entry.h: the host's description of a CUDA kernel. Plain C and C++; included by the host builds of .cu files and by
 * the harness.
 *
 * A CUDA variant is one __global__ function with one parameter, the arguments of its operation (kernel.h) by
 * value, and one host function that returns its launch. The executor and GPUs use the same launch.
 *
 * A variant may have a second __global__ function, NAME_then, with the same arguments. It starts when all blocks of
 * the first have ended, and sees what they wrote to the workspace and to the output.
 */
#ifndef NF4BENCH_KERNELS_DEVICE_ENTRY_H
#define NF4BENCH_KERNELS_DEVICE_ENTRY_H

#include <stddef.h>
#include <stdint.h>

/* Limits that every supported GPU has (CUDA C++ Programming Guide, compute capability 7.5 and later). */
enum {
    LAUNCH_BLOCKS_MAX = 0x7fffffff, /* along x */
    LAUNCH_THREADS_MAX = 1024,
    LAUNCH_STATIC_SHARED_MAX = 48 * 1024,
    LAUNCH_DYNAMIC_SHARED_MAX = 227 * 1024 /* sm_90; a launch that needs more than its GPU has is skipped */
};

struct launch {
    unsigned grid[3]; /* blocks: x up to 2^31 - 1, y and z up to 65,535; none may be 0 */
    unsigned threads; /* per block, one-dimensional */
    size_t shared;    /* bytes of dynamic shared memory */
};

/* A launch of `blocks` along x. More than a grid can have (for NF4 weights, terabytes) is a launch that is
 * refused. */
static inline struct launch launch_1d(size_t blocks, unsigned threads)
{
    struct launch l = {{blocks <= LAUNCH_BLOCKS_MAX ? (unsigned)blocks : 0, 1, 1}, threads, 0};
    return l;
}

/* One per __global__ function and host build; its symbol is the function's name and the build's suffix. That
 * of a variant has the variant's name. */
struct entry {
    const char *name;
    unsigned threads_max;                      /* as declared to __launch_bounds__ */
    void (*run)(const void *args);             /* one CUDA thread; called by the executor on a fiber */
    struct launch (*launch)(const void *args); /* args: const struct <op>_args * */
    const struct entry *next;                  /* launched after this one; NULL for none */
};

#endif
