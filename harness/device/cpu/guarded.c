#include "harness/device/cpu/guarded.h"

#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <ucontext.h>
#include <unistd.h>

#include "harness/base/random.h"

enum {
    GUARD = 64 * 1024,   /* a multiple of any page's size */
    PATTERN = 2 << 20,   /* bytes of poison that are mapped at once */
    PATTERN_SHIFTS = 64, /* pages by which a pattern is shifted from call to call */
    KEPT_MAX = 64 << 20, /* bytes of a mapping that is kept after its call */
};

/* The memory of one operand. What lies in the mapping before the window, and GUARD behind it, has no access. The window
 * holds the operand and its canaries, and is up to two pages larger than the operand. */
struct region {
    uint8_t *map; /* NULL: none */
    size_t map_size;
    uint8_t *window, *window_end;
    uint8_t *data;
    size_t size;
    bool input;
};

enum touch { UNTOUCHED, READ, WRITTEN, READ_OR_WRITTEN };

static struct region regions[OPERAND_BUFFERS];
static struct operand_set placed;
static uint64_t call_number, call_salt;
/* What an undefined workspace may hold: a mistake shows on one of them. */
enum contents { NAN_CONTENTS, LARGE_CONTENTS, ZERO_CONTENTS, CONTENTS };
static int pattern_file[CONTENTS] = {-1, -1, -1};
static bool installed; /* the handler below; `before` is the one that it replaced */
static struct sigaction before;
/* The first access that must not be. */
static struct {
    _Atomic int touch; /* enum touch */
    size_t region;
    const uint8_t *address;
} touched;

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

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

/* Opens the part of the region that the address is in. */
static bool open_part(const struct region *r, const uint8_t *address)
{
    uint8_t *start = address < r->window ? r->map : address < r->window_end ? r->window : r->window_end;
    const uint8_t *end = start == r->map      ? r->window
                         : start == r->window ? r->window_end
                                              : r->map + r->map_size;
    return mprotect(start, (size_t)(end - start), PROT_READ | PROT_WRITE) == 0;
}

static void on_access(int signal, siginfo_t *info, void *context)
{
    const uint8_t *address = info->si_addr;
    for (size_t i = 0; i < OPERAND_BUFFERS; i++) {
        const struct region *r = &regions[i];
        if (!r->map || address < r->map || address >= r->map + r->map_size)
            continue;
        int none = UNTOUCHED;
        if (atomic_compare_exchange_strong(&touched.touch, &none, (int)touch_of(context))) {
            touched.region = i;
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
    const struct region *r = &regions[touched.region];
    const char *name = operand_name(touched.region);
    const ptrdiff_t byte = touched.address - r->data;
    if (byte >= 0 && (size_t)byte < r->size)
        snprintf(what, size, "wrote to its inputs: byte %td of the %s", byte, name);
    else
        snprintf(what, size, "%s outside of the %s: byte %td of %zu", verbs[touched.touch], name, byte,
                 r->size);
}

/* ---- memory ---- */

/* A window of at least a page more than `size`, at the end of a mapping that is kept from earlier calls or new. */
static enum status make_room(struct region *r, size_t size)
{
    const size_t page = page_size(), room = (size + page - 1) / page * page + page,
                 needed = GUARD + room + GUARD;
    if (r->map && r->map_size < needed) {
        munmap(r->map, r->map_size);
        r->map = NULL;
    }
    if (!r->map) {
        void *map = mmap(NULL, needed, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (map == MAP_FAILED)
            return status_no_memory("guarded operands");
        r->map = map;
        r->map_size = needed;
    }
    r->size = size;
    r->window_end = r->map + r->map_size - GUARD;
    r->window = r->window_end - room;
    if (mprotect(r->map, (size_t)(r->window - r->map), PROT_NONE) != 0 ||
        mprotect(r->window, room, PROT_READ | PROT_WRITE) != 0 ||
        mprotect(r->window_end, GUARD, PROT_NONE) != 0)
        return status_no_memory("guarded operands");
    return STATUS_OK;
}

static void canaries(const struct region *r, uint8_t *range[2], size_t size[2])
{
    range[0] = r->window;
    range[1] = r->data + r->size;
    size[0] = (size_t)(r->data - r->window);
    size[1] = (size_t)(r->window_end - range[1]);
}

/* In every second call any bytes, in the others NaNs in each type: what is multiplied by zero shows there. */
static uint8_t canary_byte(size_t i)
{
    const uint8_t byte = (uint8_t)(random_mix(call_salt + i / 8) >> i % 8 * 8);
    return call_number % 2 ? byte : i % 2 ? byte | 0x7f : byte | 0x81;
}

static void write_canaries(const struct region *r)
{
    uint8_t *range[2];
    size_t size[2];
    canaries(r, range, size);
    for (size_t side = 0; side < 2; side++)
        for (size_t i = 0; i < size[side]; i++)
            range[side][i] = canary_byte(i);
}

static bool canaries_whole(const struct region *r, ptrdiff_t *byte)
{
    uint8_t *range[2];
    size_t size[2];
    canaries(r, range, size);
    for (size_t side = 0; side < 2; side++)
        for (size_t i = 0; i < size[side]; i++)
            if (range[side][i] != canary_byte(i)) {
                *byte = range[side] + i - r->data;
                return false;
            }
    return true;
}

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

static enum status poison_workspace(const struct region *r)
{
    const enum contents contents = call_number % CONTENTS;
    const off_t shift = (off_t)(call_salt % PATTERN_SHIFTS * page_size());
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

static uint8_t *place(const struct region *r, enum placement placement, size_t j)
{
    const size_t odd = random_mix(call_salt + j) % 32 * 2 + 1;
    return placement == PLACE_AT_END     ? r->window_end - (r->size + 63) / 64 * 64
           : placement == PLACE_AT_START ? r->window
                                         : r->window + odd * 64;
}

static enum status place_operand(size_t j, const struct buffer *from, enum placement placement)
{
    struct region *r = &regions[j];
    TRY(make_room(r, from->size));
    r->data = place(r, placement, j);
    r->input = j != OPERAND_OUT && j != OPERAND_WORKSPACE;
    if (j == OPERAND_WORKSPACE)
        TRY(poison_workspace(r));
    else if (from->size)
        memcpy(r->data, from->data, from->size);
    write_canaries(r);
    if (r->input && mprotect(r->window, (size_t)(r->window_end - r->window), PROT_READ) != 0)
        return status_no_memory("guarded operands");
    return STATUS_OK;
}

enum status guarded_begin(const struct operands *o, size_t i, enum placement placement, uint64_t number,
                          struct operands *view)
{
    struct buffer *from[OPERAND_BUFFERS], *to[OPERAND_BUFFERS];
    const struct sigaction action = {.sa_sigaction = on_access, .sa_flags = SA_SIGINFO | SA_ONSTACK};
    call_number = number;
    call_salt = random_mix(number ^ random_mix(o->problem.seed));
    *view = *o;
    placed = o->sets[i];
    view->sets = &placed;
    operands_buffers(o, i, from);
    operands_buffers(view, 0, to);
    for (size_t j = 0; j < OPERAND_BUFFERS; j++) {
        if (!from[j]->data)
            continue;
        TRY(place_operand(j, from[j], placement));
        to[j]->data = regions[j].data;
    }
    touched.touch = UNTOUCHED;
    /* It stays between calls: a thread that outlives its call ends nobody. */
    sigaction(SIGSEGV, &action, installed ? NULL : &before);
    installed = true;
    return STATUS_OK;
}

static void forget_large(void)
{
    for (size_t j = 0; j < OPERAND_BUFFERS; j++)
        if (regions[j].map_size > KEPT_MAX) {
            munmap(regions[j].map, regions[j].map_size);
            regions[j] = (struct region){.map = NULL};
        }
}

/* Whether the call left alone what is not its own, else `what` says what was touched. */
static bool left_alone(const struct operands *o, size_t i, char *what, size_t size)
{
    struct buffer *from[OPERAND_BUFFERS];
    struct sigaction now;
    ptrdiff_t byte;
    if (touched.touch != UNTOUCHED) {
        describe_touch(what, size);
        return false;
    }
    operands_buffers(o, i, from);
    for (size_t j = 0; j < OPERAND_BUFFERS; j++) {
        const struct region *r = &regions[j];
        if (!from[j]->data)
            continue;
        if (!canaries_whole(r, &byte)) {
            snprintf(what, size, "wrote outside of the %s: byte %td of %zu", operand_name(j), byte, r->size);
            return false;
        }
        /* Read-only as it was, a system call can have changed it. */
        if (r->input && r->size && memcmp(r->data, from[j]->data, r->size) != 0) {
            snprintf(what, size, "wrote to its inputs: the %s", operand_name(j));
            return false;
        }
    }
    if (sigaction(SIGSEGV, NULL, &now) != 0 || now.sa_sigaction != on_access) {
        snprintf(what, size, "left another handler of SIGSEGV behind");
        return false;
    }
    return true;
}

bool guarded_end(const struct operands *o, size_t i, char *what, size_t size)
{
    const struct buffer *out = &o->sets[i].out;
    if (out->size)
        memcpy(out->data, regions[OPERAND_OUT].data, out->size);
    const bool alone = left_alone(o, i, what, size);
    forget_large();
    return alone;
}
