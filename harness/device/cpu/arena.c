#include "harness/device/cpu/arena.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "harness/base/random.h"

enum { KEPT_MAX = 64 << 20 /* bytes of an operand whose memory is kept after its call */ };

size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

enum status sealed_memory(const char *name, size_t size, int *fd)
{
    *fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    if (*fd >= 0 && ftruncate(*fd, (off_t)size) == 0 &&
        fcntl(*fd, F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) == 0)
        return STATUS_OK;
    const int error = errno;
    if (*fd >= 0)
        close(*fd);
    return status_fail(STATUS_MEMORY, "no memory that two processes share: %s%s", strerror(error),
                       error == EFBIG ? ": it counts as a file: raise the limit (ulimit -f)" : "");
}

/* ---- memory ---- */

/* Where neither programs, libraries, stacks nor the shadow of AddressSanitizer lie, on x86-64 and AArch64 with 47 bits of
 * addresses or more: the caller must have the same place free. */
#define ARENA_PLACE    0x200000000000u
#define ARENA_EACH_MAX ((size_t)1 << 40)

static uint8_t *map(const struct arena *a, uint8_t *at, int replace)
{
    void *p = mmap(at, a->each * OPERAND_BUFFERS, PROT_READ | PROT_WRITE,
                   MAP_SHARED | MAP_NORESERVE | replace, a->fd, 0);
    return p == MAP_FAILED ? NULL : p;
}

static uint8_t *reserve(const struct arena *a)
{
    enum { ARENAS_MAX = 8 };
    uint8_t *p = NULL;
    for (size_t i = 0; i < ARENAS_MAX && !p; i++)
        p = map(a, (uint8_t *)(uintptr_t)(ARENA_PLACE + i * a->each * OPERAND_BUFFERS), MAP_FIXED_NOREPLACE);
    return p;
}

struct arena *arena_new(void)
{
    struct arena *a = calloc(1, sizeof *a);
    if (!a)
        return NULL;
    /* An operand is no larger than the memory of the machine. */
    const size_t memory = (size_t)sysconf(_SC_PHYS_PAGES) * page_size();
    a->each = (memory < ARENA_EACH_MAX ? memory : ARENA_EACH_MAX) + 4 * ARENA_GUARD;
    a->fd = -1;
    if (arena_renew(a) == STATUS_OK)
        return a;
    arena_free(a);
    return NULL;
}

enum status arena_renew(struct arena *a)
{
    int fd;
    TRY(sealed_memory("nf4bench-operands", a->each * OPERAND_BUFFERS, &fd));
    if (a->fd >= 0)
        close(a->fd);
    a->fd = fd;
    a->base = a->base ? map(a, a->base, MAP_FIXED) : reserve(a);
    if (!a->base)
        return status_no_memory("operands");
    madvise(a->base, a->each * OPERAND_BUFFERS, MADV_DONTDUMP); /* advice only */
    return STATUS_OK;
}

void arena_free(struct arena *a)
{
    if (a && a->base)
        munmap(a->base, a->each * OPERAND_BUFFERS);
    if (a && a->fd >= 0)
        close(a->fd);
    free(a);
}

enum status arena_map(const struct arena *a)
{
    void *p = mmap(a->base, a->each * OPERAND_BUFFERS, PROT_NONE,
                   MAP_SHARED | MAP_NORESERVE | MAP_FIXED_NOREPLACE, a->fd, 0);
    if (p != a->base)
        return status_fail(STATUS_MEMORY, "operands: no memory at the address that the judge has them at: %s",
                           p == MAP_FAILED ? strerror(errno) : "it is taken");
    madvise(a->base, a->each * OPERAND_BUFFERS, MADV_DONTDUMP);
    return STATUS_OK;
}

/* ---- canaries ---- */

static void canaries(const struct arena_operand *r, uint8_t *range[2], size_t size[2])
{
    range[0] = r->window;
    range[1] = r->data + r->size;
    size[0] = (size_t)(r->data - r->window);
    size[1] = (size_t)(r->window_end - range[1]);
}

/* Eight of them, the last may be fewer. In every second call any bytes, in the others NaNs in each type: what is multiplied
 * by zero shows there. */
static uint64_t canary_word(const struct arena_call *call, size_t i)
{
    const uint64_t any = random_mix(call->salt + i);
    return call->number % 2 ? any : any | 0x7f817f817f817f81u;
}

void arena_write_canaries(const struct arena_call *call, size_t j)
{
    uint8_t *range[2];
    size_t size[2];
    canaries(&call->operands[j], range, size);
    for (size_t side = 0; side < 2; side++)
        for (size_t i = 0; i < size[side]; i += 8) {
            const uint64_t word = canary_word(call, i / 8);
            memcpy(range[side] + i, &word, size[side] - i < 8 ? size[side] - i : 8);
        }
}

bool arena_canaries_whole(const struct arena_call *call, size_t j, ptrdiff_t *byte)
{
    uint8_t *range[2];
    size_t size[2];
    canaries(&call->operands[j], range, size);
    for (size_t side = 0; side < 2; side++)
        for (size_t i = 0; i < size[side]; i += 8) {
            const uint64_t word = canary_word(call, i / 8);
            const uint8_t *want = (const uint8_t *)&word, *at = range[side] + i;
            const size_t part = size[side] - i < 8 ? size[side] - i : 8;
            if (memcmp(at, want, part) == 0)
                continue;
            while (*at == *want)
                at++, want++;
            *byte = at - call->operands[j].data;
            return false;
        }
    return true;
}

/* ---- a call ---- */

static uint8_t *place(const struct arena_call *call, size_t j, enum placement placement)
{
    const struct arena_operand *r = &call->operands[j];
    const size_t odd = random_mix(call->salt + j) % 32 * 2 + 1;
    return placement == PLACE_AT_END     ? r->window_end - (r->size + 63) / 64 * 64
           : placement == PLACE_AT_START ? r->window
                                         : r->window + odd * 64;
}

/* At the start of its window. */
static struct arena_operand room_for(const struct arena *a, size_t j, size_t size)
{
    const size_t page = page_size();
    uint8_t *window = a->base + j * a->each + ARENA_GUARD;
    return (struct arena_operand){.window = window,
                                  .window_end = window + (size + page - 1) / page * page + page,
                                  .data = window,
                                  .size = size,
                                  .input = j != OPERAND_OUT && j != OPERAND_WORKSPACE};
}

struct arena_operand arena_output(const struct arena *a, const struct operands *o)
{
    return room_for(a, OPERAND_OUT, o->sets[0].out.size);
}

static enum status place_operand(const struct arena *a, struct arena_call *call, size_t j,
                                 const struct buffer *from, enum placement placement)
{
    struct arena_operand *r = &call->operands[j];
    if (from->size > a->each - 4 * ARENA_GUARD)
        return status_fail(STATUS_MEMORY, "%s: %zu bytes are more than this machine has", operand_name(j),
                           from->size);
    *r = room_for(a, j, from->size);
    r->data = place(call, j, placement);
    if (j == OPERAND_WORKSPACE)
        return STATUS_OK;
    if (from->size)
        memcpy(r->data, from->data, from->size);
    arena_write_canaries(call, j);
    return STATUS_OK;
}

enum status arena_place(struct arena *a, const struct operands *o, size_t i, enum placement placement,
                        uint64_t number, struct arena_call *call)
{
    struct buffer *from[OPERAND_BUFFERS];
    *call = (struct arena_call){.number = number, .salt = random_mix(number ^ random_mix(o->problem.seed))};
    operands_buffers(o, i, from);
    for (size_t j = 0; j < OPERAND_BUFFERS; j++)
        if (from[j]->data)
            TRY(place_operand(a, call, j, from[j], placement));
    return STATUS_OK;
}

bool arena_take_back(struct arena *a, const struct arena_call *call, const struct operands *o, size_t i,
                     char *what, size_t size)
{
    struct buffer *from[OPERAND_BUFFERS];
    bool alone = true;
    operands_buffers(o, i, from);
    for (size_t j = 0; j < OPERAND_BUFFERS; j++) {
        const struct arena_operand *r = &call->operands[j];
        ptrdiff_t byte;
        if (!r->data || j == OPERAND_WORKSPACE)
            continue;
        if (alone && !arena_canaries_whole(call, j, &byte)) {
            snprintf(what, size, "wrote outside of the %s: byte %td of %zu", operand_name(j), byte, r->size);
            alone = false;
        } else if (alone && r->input && r->size && memcmp(r->data, from[j]->data, r->size) != 0) {
            /* Read-only as it was, a system call can have changed it. */
            snprintf(what, size, "wrote to its inputs: the %s", operand_name(j));
            alone = false;
        }
        if (j == OPERAND_OUT && r->size)
            memcpy(from[j]->data, r->data, r->size);
        /* The next call writes it anew; other processes may want the memory meanwhile. */
        if (r->size > KEPT_MAX)
            (void)fallocate(a->fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, r->window - a->base,
                            r->window_end - r->window);
    }
    return alone;
}
