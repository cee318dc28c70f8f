#include "harness/device/cpu/guards.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "harness/base/random.h"

enum {
    PATTERN = 2 << 20,   /* bytes of poison that are mapped at once */
    PATTERN_SHIFTS = 64, /* pages by which a pattern is shifted from call to call */
};

enum touch { UNTOUCHED, READ, WRITTEN, READ_OR_WRITTEN };

static const struct arena_call *now; /* the call, or the last one */
/* What an undefined workspace may hold: a mistake shows on one of them. */
enum contents { NAN_CONTENTS, LARGE_CONTENTS, ZERO_CONTENTS, CONTENTS };
static int pattern_file[CONTENTS] = {-1, -1, -1};
static bool installed; /* the handler below; `before` is the one that it replaced */
static struct sigaction before;
/* The first access that must not be. */
static struct {
    _Atomic int touch; /* enum touch */
    size_t operand;
    const uint8_t *address;
} touched;

/* ---- accesses ---- */

static enum touch touch_of(void *context)
{
#if defined(__x86_64__)
    enum { WRITE = 2 }; /* of a page fault's error code: Intel SDM, volume 3, 4.7 */
    return ((ucontext_t *)context)->uc_mcontext.gregs[REG_ERR] & WRITE ? WRITTEN : READ;
#else
    (void)context;
    return READ_OR_WRITTEN;
#endif
}

/* Opens the part of the operand's memory that the address is in. */
static bool open_part(const struct arena_operand *r, const uint8_t *address)
{
    uint8_t *start = address < r->window       ? r->window - ARENA_GUARD
                     : address < r->window_end ? r->window
                                               : r->window_end;
    const size_t size = start == r->window ? (size_t)(r->window_end - r->window) : ARENA_GUARD;
    return mprotect(start, size, PROT_READ | PROT_WRITE) == 0;
}

static void on_access(int signal, siginfo_t *info, void *context)
{
    const uint8_t *address = info->si_addr;
    for (size_t i = 0; i < OPERAND_BUFFERS; i++) {
        const struct arena_operand *r = &now->operands[i];
        if (!r->data || address < r->window - ARENA_GUARD || address >= r->window_end + ARENA_GUARD)
            continue;
        int none = UNTOUCHED;
        if (atomic_compare_exchange_strong(&touched.touch, &none, (int)touch_of(context))) {
            touched.operand = i;
            touched.address = address;
        }
        if (!open_part(r, address))
            break;
        return;
    }
    sigaction(signal, &before, NULL); /* not ours: the access is made again, and ends as it would have */
}

static void describe_touch(char *what, size_t size)
{
    static const char *const verbs[] = {
        [READ] = "read", [WRITTEN] = "wrote", [READ_OR_WRITTEN] = "read or wrote"};
    const struct arena_operand *r = &now->operands[touched.operand];
    const char *name = operand_name(touched.operand);
    const ptrdiff_t byte = touched.address - r->data;
    if (byte >= 0 && (size_t)byte < r->size)
        snprintf(what, size, "wrote to its inputs: byte %td of the %s", byte, name);
    else
        snprintf(what, size, "%s outside of the %s: byte %td of %zu", verbs[touched.touch], name, byte,
                 r->size);
}

/* ---- the workspace: this process's own, as it means nothing to the judge ---- */

static void fill_pattern(struct buffer *b, enum contents contents)
{
    if (contents == NAN_CONTENTS)
        buffer_poison(b, 0);
    for (size_t i = 0; contents == LARGE_CONTENTS && i < b->size / 4; i++)
        ((uint32_t *)b->data)[i] =
            0x70007000u + (uint32_t)(random_mix(i) & 0x00ff00ff); /* 1e29 as fp32, 8192 as fp16 */
}

/* Contents are a file of memory, so that they cost what is touched of them. */
static bool make_pattern(enum contents contents)
{
    struct buffer b = {.size = PATTERN + PATTERN_SHIFTS * page_size()};
    const int fd = memfd_create("nf4bench-workspace", MFD_CLOEXEC);
    if (fd < 0 || ftruncate(fd, (off_t)b.size) != 0)
        return false;
    b.data = mmap(NULL, b.size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (b.data == MAP_FAILED)
        return false;
    fill_pattern(&b, contents);
    munmap(b.data, b.size);
    pattern_file[contents] = fd;
    return true;
}

static enum status fill_workspace(const struct arena_operand *r)
{
    const enum contents contents = now->number % CONTENTS;
    const off_t shift = (off_t)(now->salt % PATTERN_SHIFTS * page_size());
    if (pattern_file[contents] < 0 && !make_pattern(contents))
        return status_no_memory("contents of the workspace");
    for (uint8_t *at = r->window; at < r->window_end; at += PATTERN) {
        const size_t left = (size_t)(r->window_end - at), size = left < PATTERN ? left : PATTERN;
        if (mmap(at, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_FIXED, pattern_file[contents], shift) ==
            MAP_FAILED)
            return status_no_memory("contents of the workspace");
    }
    return STATUS_OK;
}

/* ---- a call ---- */

/* Of each operand, what earlier calls may have opened. */
static struct {
    uint8_t *begin, *end;
} opened[OPERAND_BUFFERS];

static enum status open_operand(const struct arena_call *call, size_t j, int input)
{
    const struct arena_operand *r = &call->operands[j];
    uint8_t *begin = opened[j].begin, *end = opened[j].end;
    if (begin != end && mprotect(begin, (size_t)(end - begin), PROT_NONE) != 0)
        return status_no_memory("guards");
    if (!r->data)
        return STATUS_OK;
    opened[j].begin = r->window - ARENA_GUARD;
    opened[j].end = end > r->window_end + ARENA_GUARD ? end : r->window_end + ARENA_GUARD;
    const bool done = mprotect(r->window, (size_t)(r->window_end - r->window),
                               r->input ? input : PROT_READ | PROT_WRITE) == 0;
    return done ? STATUS_OK : status_no_memory("guards");
}

static bool same_windows(const struct arena_call *a, const struct arena_call *b)
{
    for (size_t j = 0; j < OPERAND_BUFFERS; j++)
        if (a->operands[j].window != b->operands[j].window ||
            a->operands[j].window_end != b->operands[j].window_end)
            return false;
    return true;
}

static enum status open_windows(const struct arena_call *call, bool guarded)
{
    for (size_t j = 0; j < OPERAND_BUFFERS; j++) {
        TRY(open_operand(call, j, PROT_READ | PROT_WRITE));
        if (!guarded && call->operands[j].data &&
            mprotect(opened[j].begin, (size_t)(opened[j].end - opened[j].begin), PROT_READ | PROT_WRITE) != 0)
            return status_no_memory("guards");
    }
    return STATUS_OK;
}

enum status guards_open(const struct arena_call *call, bool guarded)
{
    static struct arena_call last; /* most calls have the same windows */
    if (!same_windows(&last, call))
        TRY(open_windows(call, guarded));
    last = *call;
    if (call->operands[OPERAND_WORKSPACE].data)
        arena_write_canaries(call, OPERAND_WORKSPACE);
    return STATUS_OK;
}

void guards_close_operands(const struct arena_call *call, bool close)
{
    for (size_t j = 0; j < OPERAND_BUFFERS; j++) {
        const struct arena_operand *r = &call->operands[j];
        if (r->data)
            mprotect(r->window, (size_t)(r->window_end - r->window),
                     close ? PROT_NONE : PROT_READ | PROT_WRITE);
    }
}

bool guards_workspace_whole(const struct arena_call *call, char *what, size_t size)
{
    const struct arena_operand *r = &call->operands[OPERAND_WORKSPACE];
    ptrdiff_t byte;
    if (!r->data || arena_canaries_whole(call, OPERAND_WORKSPACE, &byte))
        return true;
    snprintf(what, size, "wrote outside of the %s: byte %td of %zu", operand_name(OPERAND_WORKSPACE), byte,
             r->size);
    return false;
}

enum status guards_begin(const struct arena_call *call)
{
    const struct sigaction action = {.sa_sigaction = on_access, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    now = call;
    for (size_t j = 0; j < OPERAND_BUFFERS; j++)
        TRY(open_operand(call, j, PROT_READ));
    if (call->operands[OPERAND_WORKSPACE].data) {
        TRY(fill_workspace(&call->operands[OPERAND_WORKSPACE]));
        arena_write_canaries(call, OPERAND_WORKSPACE);
    }
    touched.touch = UNTOUCHED;
    /* It stays between calls: a thread that outlives its call ends nobody. */
    sigaction(SIGSEGV, &action, installed ? NULL : &before);
    installed = true;
    return STATUS_OK;
}

bool guards_end(char *what, size_t size)
{
    struct sigaction handler;
    if (touched.touch != UNTOUCHED) {
        describe_touch(what, size);
        return false;
    }
    if (!guards_workspace_whole(now, what, size))
        return false;
    if (sigaction(SIGSEGV, NULL, &handler) != 0 || handler.sa_sigaction != on_access) {
        snprintf(what, size, "left another handler of SIGSEGV behind");
        return false;
    }
    return true;
}
