/*
 * checker_hooks.c: what kernels compiled with -fsanitize=thread call at each access, in place of
 * ThreadSanitizer's runtime (its interface: compiler-rt/include/sanitizer/tsan_interface.h,
 * gcc/sanitizer.def). That a symbol of another kind is missing at link time says that a kernel left the
 * dialect: atomics, for one, come through the executor.
 */
#include "harness/device/simt/checker.h"

#include <stdint.h>
#include <string.h>

/* A sanitized build of this program has the sanitizer's runtime, and no checked kernels. */
#ifndef NF4BENCH_SANITIZED

#define HERE __builtin_return_address(0)
#pragma GCC diagnostic ignored "-Wmissing-prototypes" /* only compilers name these functions */

static inline __attribute__((always_inline)) void
access_range(const void *address, size_t size, enum checker_access access, size_t alignment, const void *pc)
{
    /* Host code of a kernel's file calls hooks too: how to launch it. */
    if (!executor_thread.valid)
        return;
    uintptr_t p = (uintptr_t)address, stack = (uintptr_t)executor_thread.stack;
    if (p - stack < (uintptr_t)executor_thread.stack_end - stack)
        return;
    if (__builtin_expect(p % alignment != 0, 0))
        checker_misaligned(address, alignment, access, pc);
    const struct executor_place place = {pc, NULL, 0};
    bool ok =
        access == CHECKER_READ ? checker_read(address, size, &place) : checker_write(address, size, &place);
    if (__builtin_expect(!ok, 0))
        executor_abort();
}

#define HOOK(name, size, access, alignment)                                                                  \
    void name(void *address)                                                                                 \
    {                                                                                                        \
        access_range(address, size, access, alignment, HERE);                                                \
    }

#define HOOKS(size)                                                                                          \
    HOOK(__tsan_read##size, size, CHECKER_READ, size)                                                        \
    HOOK(__tsan_write##size, size, CHECKER_WRITE, size)                                                      \
    HOOK(__tsan_unaligned_read##size, size, CHECKER_READ, 1)                                                 \
    HOOK(__tsan_unaligned_write##size, size, CHECKER_WRITE, 1)

HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_read_range(void *address, size_t size)
{
    access_range(address, size, CHECKER_READ, 1, HERE);
}

void __tsan_write_range(void *address, size_t size)
{
    access_range(address, size, CHECKER_WRITE, 1, HERE);
}

void __tsan_vptr_read(void **address)
{
    access_range(address, sizeof *address, CHECKER_READ, 1, HERE);
}

void __tsan_vptr_update(void **address, void *value)
{
    (void)value;
    access_range(address, sizeof *address, CHECKER_WRITE, 1, HERE);
}

/* memcpy and its like of a kernel become these: checked.h. */
void *__tsan_memcpy(void *to, const void *from, size_t size)
{
    access_range(from, size, CHECKER_READ, 1, HERE);
    access_range(to, size, CHECKER_WRITE, 1, HERE);
    return memcpy(to, from, size);
}

void *__tsan_memmove(void *to, const void *from, size_t size)
{
    access_range(from, size, CHECKER_READ, 1, HERE);
    access_range(to, size, CHECKER_WRITE, 1, HERE);
    return memmove(to, from, size);
}

void *__tsan_memset(void *to, int byte, size_t size)
{
    access_range(to, size, CHECKER_WRITE, 1, HERE);
    return memset(to, byte, size);
}

void __tsan_init(void)
{
}

void __tsan_func_entry(void *pc)
{
    (void)pc;
}

void __tsan_func_exit(void)
{
}

/* Of -fsanitize=alignment (compiler-rt/lib/ubsan/ubsan_handlers.h): vectors are structs, which compilers
 * access in parts, so that the hooks above do not see what they must be aligned to. */
struct place_in_source {
    const char *file;
    uint32_t line, column;
};
struct type_mismatch {
    struct place_in_source at;
    const void *type;
    uint8_t log_alignment, kind; /* 1: a store */
};

void __ubsan_handle_type_mismatch_v1(const struct type_mismatch *data, uintptr_t pointer)
{
    if (executor_thread.valid)
        checker_misaligned((const void *)pointer, (size_t)1 << data->log_alignment,
                           data->kind == 1 ? CHECKER_WRITE : CHECKER_READ, HERE);
}

/* Of -fsanitize=bounds: arrays in registers or on a thread's stack, which have no shadow. */
struct out_of_bounds {
    struct place_in_source at;
    const struct {
        uint16_t kind, info;
        char name[]; /* of the array's type, in quotes */
    } * array;
    const void *index_type;
};

void __ubsan_handle_out_of_bounds(const struct out_of_bounds *data, uintptr_t index)
{
    if (executor_thread.valid)
        checker_index(data->array->name, (ptrdiff_t)index, HERE);
}

#endif
