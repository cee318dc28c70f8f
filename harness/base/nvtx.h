/*
 * nvtx.h: named ranges that Nsight shows: of a suite, a case, a phase. Without the NVTX header at build time
 * (it comes with the CUDA toolkit; there is no library to it), and without a profiler, they do nothing.
 */
#ifndef NF4BENCH_HARNESS_BASE_NVTX_H
#define NF4BENCH_HARNESS_BASE_NVTX_H

/* Ranges nest; each push of a thread needs its pop. */
void nvtx_push(const char *name);
void nvtx_pop(void);

#endif
