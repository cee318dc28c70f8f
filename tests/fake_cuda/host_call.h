/*
 * host_call.h: what fake_cuda.c offers to the tests' other libraries, in place of a CUDA runtime.
 */
#ifndef NF4BENCH_TESTS_FAKE_CUDA_HOST_CALL_H
#define NF4BENCH_TESTS_FAKE_CUDA_HOST_CALL_H

#include <stddef.h>

struct cuda_stream;

/* Queues call(args) on the stream, or adds it to the graph that is being captured there; takes as long as
 * `bytes` take. `args`, of up to 128 bytes, are copied. A CUresult. */
int fake_cuda_call(struct cuda_stream *stream, void (*call)(const void *args), const void *args, size_t size,
                   double bytes);

#endif
