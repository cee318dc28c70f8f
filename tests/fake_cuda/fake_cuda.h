/*
 * fake_cuda.h: what fake_cuda.c offers to the tests' other libraries: fake_cublas.c, which is linked to it,
 * and fake_bitsandbytes.c, which finds fake_cuda_call() by name, in place of a CUDA runtime.
 */
#ifndef NF4BENCH_TESTS_FAKE_CUDA_H
#define NF4BENCH_TESTS_FAKE_CUDA_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct cuda_stream;

/* What NF4BENCH_FAKE_CUDA_FAIL has the call return at once; 0: carry it out. */
int fake_cuda_ordered(const char *function);
#define ORDERED()                                                                                            \
    do {                                                                                                     \
        int code_ = fake_cuda_ordered(__func__);                                                             \
        if (code_)                                                                                           \
            return code_;                                                                                    \
    } while (0)
/* The next product of cuBLAS or cuBLASLt is ordered to be wrong. */
extern bool fake_cuda_wrong_product;

/* Whether device memory of one allocation is there. */
bool fake_cuda_within(uint64_t address, size_t size);

/* Queues call(args) on the stream, or adds it to the graph that is being captured there; takes as long as
 * `bytes` take. `args`, of up to 128 bytes, are copied. A CUresult. */
int fake_cuda_call(struct cuda_stream *stream, void (*call)(const void *args), const void *args, size_t size,
                   double bytes);

#endif
