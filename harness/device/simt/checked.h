/*
 * checked.h: included before the first line of each .cu file of the checked build (-include), so that the
 * checker also sees memcpy, memmove and memset.
 *
 * gcc expands those of a constant size in place and clang calls the C library's: neither through a hook.
 * Small ones stay as they are: both turn them into plain loads and stores, which have hooks. Clang also calls
 * memcpy for copies of structs; its calls are renamed in assembly. (gcc has hooks for those.)
 */
#ifndef NF4BENCH_HARNESS_DEVICE_SIMT_CHECKED_H
#define NF4BENCH_HARNESS_DEVICE_SIMT_CHECKED_H

#include <math.h>
#include <stddef.h>
#include <string.h>

extern "C" {
void *__tsan_memcpy(void *to, const void *from, size_t size);
void *__tsan_memmove(void *to, const void *from, size_t size);
void *__tsan_memset(void *to, int byte, size_t size);
}

#ifdef __clang__
asm(".set memcpy, __tsan_memcpy\n.set memmove, __tsan_memmove\n.set memset, __tsan_memset");
#else
#define SIMT_PLAIN(size)                                                                                     \
    (__builtin_constant_p(size) && ((size) == 1 || (size) == 2 || (size) == 4 || (size) == 8))
#define memcpy(to, from, size)                                                                               \
    (SIMT_PLAIN(size) ? __builtin_memcpy(to, from, size) : __tsan_memcpy(to, from, size))
#define memmove(to, from, size)                                                                              \
    (SIMT_PLAIN(size) ? __builtin_memmove(to, from, size) : __tsan_memmove(to, from, size))
#define memset(to, byte, size) __tsan_memset(to, byte, size)
#endif

#endif
