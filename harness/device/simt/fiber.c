#include "harness/device/simt/fiber.h"

#include <stdint.h>
#include <string.h>

#ifdef FIBER_ASAN
#include <pthread.h>
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif

void fiber_from_thread(struct fiber *f)
{
    memset(f, 0, sizeof *f);
#ifdef FIBER_ASAN
    pthread_attr_t attributes;
    void *stack;
    if (pthread_getattr_np(pthread_self(), &attributes))
        return;
    if (!pthread_attr_getstack(&attributes, &stack, &f->size))
        f->stack = stack;
    pthread_attr_destroy(&attributes);
#endif
}

void fiber_entered(void)
{
#ifdef FIBER_ASAN
    __sanitizer_finish_switch_fiber(NULL, NULL, NULL);
#endif
}

#ifdef NF4BENCH_FIBER_UCONTEXT

bool fiber_between(const void *pc)
{
    (void)pc;
    return false; /* the C library's unwind information holds throughout */
}

static void switch_context(struct fiber *from, struct fiber *to)
{
    swapcontext(&from->context, &to->context);
}

static void prepare_context(struct fiber *f, char *stack, size_t size, void (*entry)(void))
{
    getcontext(&f->context);
    f->context.uc_stack.ss_sp = stack;
    f->context.uc_stack.ss_size = size;
    f->context.uc_link = NULL;
    makecontext(&f->context, entry, 0);
}

#else

/* fiber_switch_stacks(void **from_sp, void *to_sp): keeps the registers that a call keeps (System V ABI). */
void fiber_switch_stacks(void **from_sp, void *to_sp);
__asm__(".pushsection .text\n"
        ".globl fiber_switch_stacks\n"
        ".hidden fiber_switch_stacks\n"
        ".type fiber_switch_stacks, @function\n"
        ".p2align 4\n"
        "fiber_switch_stacks:\n"
        ".cfi_startproc\n"
        "    pushq %rbp\n"
        "    pushq %rbx\n"
        "    pushq %r12\n"
        "    pushq %r13\n"
        "    pushq %r14\n"
        "    pushq %r15\n"
        "    movq %rsp, (%rdi)\n"
        "    movq %rsi, %rsp\n"
        "    popq %r15\n"
        "    popq %r14\n"
        "    popq %r13\n"
        "    popq %r12\n"
        "    popq %rbx\n"
        "    popq %rbp\n"
        "    ret\n"
        ".globl fiber_switch_stacks_end\n"
        ".hidden fiber_switch_stacks_end\n"
        "fiber_switch_stacks_end:\n"
        ".cfi_endproc\n"
        ".size fiber_switch_stacks, .-fiber_switch_stacks\n"
        ".popsection\n");

extern const char fiber_switch_stacks_end[];

bool fiber_between(const void *pc)
{
    return (uintptr_t)pc >= (uintptr_t)fiber_switch_stacks &&
           (uintptr_t)pc < (uintptr_t)fiber_switch_stacks_end;
}

static void switch_context(struct fiber *from, struct fiber *to)
{
    fiber_switch_stacks(&from->sp, to->sp);
}

static void prepare_context(struct fiber *f, char *stack, size_t size, void (*entry)(void))
{
    /* As if entry() had been called: the stack pointer is 8 below a multiple of 16, on a return address of 0,
     * where unwinders stop. Below it stand entry, which the first switch returns to, and six registers. */
    uintptr_t top = ((uintptr_t)stack + size) & ~(uintptr_t)15;
    uint64_t *sp = (uint64_t *)top - 8;
    memset(sp, 0, 8 * sizeof *sp);
    sp[6] = (uint64_t)(uintptr_t)entry;
    f->sp = sp;
}

#endif

void fiber_prepare(struct fiber *f, char *stack, size_t size, void (*entry)(void))
{
#ifdef FIBER_ASAN
    /* The frames that stood here when the last fiber on this stack ended. */
    __asan_unpoison_memory_region(stack, size);
#endif
    f->stack = stack;
    f->size = size;
    prepare_context(f, stack, size, entry);
}

void fiber_switch(struct fiber *from, struct fiber *to, bool ends)
{
#ifdef FIBER_ASAN
    __sanitizer_start_switch_fiber(ends ? NULL : &from->fake_stack, to->stack, to->size);
    switch_context(from, to);
    __sanitizer_finish_switch_fiber(from->fake_stack, NULL, NULL);
#else
    (void)ends;
    switch_context(from, to);
#endif
}
