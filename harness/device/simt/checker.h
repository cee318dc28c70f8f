/*
 * checker.h: the happens-before checker of the checked build. Private to harness/device/simt/.
 *
 * Kernels are compiled with -fsanitize=thread and linked without its runtime; checker.c provides the __tsan_*
 * hooks, which see every access of a kernel to memory that is not a plain local. The executor (executor.c)
 * tells it about everything else. All calls are made on the OS thread that runs the block.
 *
 * Time. A block has one counter, `time`, which each synchronisation of the block advances. An access is
 * stamped with its thread and the time. A barrier orders all accesses of the block before it; a __syncwarp
 * (or mma, ldmatrix: no, shuffles and these do not order memory) orders those of the lanes of its mask, and
 * what they had been ordered after. Two accesses to one byte, one of them a write, that nothing orders are a
 * race; of different blocks always (no block waits for another), unless both are atomic.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_SIMT_CHECKER_H
#define NF4BENCH_HARNESS_DEVICE_SIMT_CHECKER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/device/simt/worker.h"

/* In the child, before its workers start: makes the shadow of the writable buffers. False: out of memory. */
bool checker_start(const struct simt_buffer *buffers, size_t count);

/* In the child, after its workers have ended: for the next checker_start(). */
void checker_end(void);
/* On a worker, after its last block. */
void checker_worker_end(void);

/* On each worker, before each block. */
void checker_block_start(void);
/* An array of shared memory was placed (again for each block); its bytes are uninitialised. The
 * guards on both sides belong to no array. */
void checker_shared_array(const char *name, const void *data, size_t size);

/* All threads of the block have reached a barrier; before any goes on. */
void checker_barrier(void);
/* All lanes of `mask` of a warp have reached a __syncwarp; before any goes on. */
void checker_syncwarp(unsigned warp, uint32_t mask);

enum checker_access { CHECKER_READ, CHECKER_WRITE, CHECKER_ATOMIC };
/* An access that the executor makes for the running thread (ldmatrix, atomics), with the kernel's file and
 * line. False if it must not be made (out of bounds); a fault was then reported. */
bool checker_access(const void *address, size_t size, enum checker_access access, const char *file, int line);
/* cp.async of the running thread: at issue (both sides are checked; from now until it is done nobody may
 * touch the destination), and when its thread's wait for it ends: with the wait, not with the copy, whichever
 * mode copies when, so that a missing wait shows under each. False as above. */
bool checker_async_issue(void *shared, size_t bytes, const void *global, size_t source_bytes,
                         const char *file, int line);
void checker_async_done(unsigned thread, void *shared, size_t bytes);

/* ---- for checker_hooks.c ---- */

/* An access of the running thread that is not to its own stack. False, after a report, if it must not be
 * made. */
bool checker_read(const void *address, size_t size, const struct executor_place *place);
bool checker_write(const void *address, size_t size, const struct executor_place *place);
/* The address is not a multiple of `alignment`: reports it and ends the launch. */
void checker_misaligned(const void *address, size_t alignment, enum checker_access access, const void *pc);
/* The index is none of an array of this type: reports it, unless the access that follows is reported itself.
 */
void checker_index(const char *array_type, ptrdiff_t index, const void *pc);

#endif
