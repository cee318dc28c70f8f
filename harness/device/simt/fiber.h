/*
 * fiber.h: stacks that run in turn on one OS thread. In assembly on x86-64 (a switch costs a few nanoseconds:
 * six registers and the stack pointer; kernels leave the floating-point control words alone), by ucontext
 * elsewhere or with NF4BENCH_FIBER_UCONTEXT. Private to harness/device/simt/.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_SIMT_FIBER_H
#define NF4BENCH_HARNESS_DEVICE_SIMT_FIBER_H

#include <stdbool.h>
#include <stddef.h>

#if defined(__SANITIZE_ADDRESS__)
#define FIBER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define FIBER_ASAN 1
#endif
#endif

#if !defined(__x86_64__) && !defined(NF4BENCH_FIBER_UCONTEXT)
#define NF4BENCH_FIBER_UCONTEXT
#endif
#ifdef NF4BENCH_FIBER_UCONTEXT
#include <ucontext.h>
#endif

struct fiber {
#ifdef NF4BENCH_FIBER_UCONTEXT
    ucontext_t context;
#else
    void *sp;
#endif
    const char *stack; /* lowest address */
    size_t size;
    void *fake_stack; /* AddressSanitizer's, while the fiber does not run */
};

/* Makes `f` describe the OS thread that calls, so that fibers can switch to and from it. */
void fiber_from_thread(struct fiber *f);
/* The first switch to `f` calls entry(), which must not return, at the high end of the stack. */
void fiber_prepare(struct fiber *f, char *stack, size_t size, void (*entry)(void));
/* entry() calls this first. */
void fiber_entered(void);
/* Leaves `from`, the running fiber, for `to`. With `ends`, from's stack may be used again at once. */
void fiber_switch(struct fiber *from, struct fiber *to, bool ends);
/* Whether code at pc is in the middle of a switch, between two stacks: nothing can be unwound from there. */
bool fiber_between(const void *pc);

#endif
