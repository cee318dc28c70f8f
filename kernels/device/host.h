/*
 * host.h: what a kernel's host build (cuda.h) calls of the executor (harness/device/simt/). Plain C and C++: both
 * sides read this, so that they cannot disagree.
 */
#ifndef NF4BENCH_KERNELS_DEVICE_HOST_H
#define NF4BENCH_KERNELS_DEVICE_HOST_H

#include <stddef.h>
#include <stdint.h>

#include "kernels/device/entry.h"

#ifdef __cplusplus
extern "C" {
#endif

enum simt_shuffle { SIMT_SHUFFLE_INDEX, SIMT_SHUFFLE_UP, SIMT_SHUFFLE_DOWN, SIMT_SHUFFLE_XOR };
enum simt_vote { SIMT_VOTE_BALLOT, SIMT_VOTE_ANY, SIMT_VOTE_ALL };
enum simt_atomic { SIMT_ATOMIC_ADD_F32, SIMT_ATOMIC_ADD_U32, SIMT_ATOMIC_CAS_U32, SIMT_ATOMIC_EXCH_U32 };

/* All block the calling fiber until the other lanes or threads have come; file and line are for reports. */
void simt_syncthreads(const char *file, int line);
void simt_syncwarp(uint32_t mask, const char *file, int line);
uint32_t simt_shuffle(int mode, uint32_t mask, uint32_t value, uint32_t lane, int width, const char *file,
                      int line);
uint32_t simt_vote(int mode, uint32_t mask, int predicate, const char *file, int line);
/* type 0: fp16, 1: bf16. d is read and written: D = A B + D. */
void simt_mma_m16n8k16(int type, float *d, const uint32_t *a, const uint32_t *b, const char *file, int line);
/* row: this lane's row address, used for count 1, 2, 4 by lanes 0-7, 0-15, 0-31; r has `count` words. */
void simt_ldmatrix(int count, int transposed, uint32_t *r, const void *row, const char *file, int line);

/* Copies `bytes` (4, 8, 16) to shared memory; from source_bytes on, zeros. Takes place between here and the
 * wait for its group. */
void simt_cp_async(void *shared, const void *global, int bytes, int source_bytes, const char *file, int line);
void simt_cp_async_commit(void);
void simt_cp_async_wait(int groups_left, const char *file, int line);

/* The array that belongs to `key` in this block; the first call places it. */
void *simt_shared(const void *key, size_t size, const char *name, const char *file, int line);
void *simt_dynamic_shared(void);

uint32_t simt_atomic(int operation, void *address, uint32_t value, uint32_t compare, const char *file,
                     int line);
/* A vector access at an address that is not a multiple of its size faults on a GPU. */
void simt_misaligned(const void *address, int size, const char *file, int line);
/* A file that `nf4bench try` loads registers its entries. */
void simt_register(const struct entry *e);

#ifdef __cplusplus
}
#endif

#endif
