/*
 * serve_memory.c: operands in the GPU's memory, each buffer with a canary on both sides as in the harness's
 * own, and their bytes to and fro.
 */
#include "harness/device/cuda/serve.h"

#include <stdlib.h>

/* What the operands of a group may take of the memory that is free. */
static const double memory_share = 0.6;

static uint64_t start_of(const struct buffer *b)
{
    return (uint64_t)(uintptr_t)b->allocation;
}

static bool allocate(struct serve *s, struct buffer *b, size_t size)
{
    uint64_t address;
    *b = (struct buffer){.size = size};
    if (size == 0)
        return true;
    if (!SERVE_CALL(s, cuMemAlloc, &address, buffer_whole_size(b)))
        return false;
    b->allocation = (void *)(uintptr_t)address;
    b->allocation_bytes = buffer_whole_size(b);
    b->data = (void *)(uintptr_t)(address + BUFFER_CANARY_BYTES);
    return true;
}

static bool free_extra(struct serve *s)
{
    const uint64_t single[] = {s->extra.scratch, s->extra.offset, s->extra.absmax};
    bool ok = true;
    for (size_t i = 0; i < sizeof single / sizeof single[0]; i++)
        ok = (single[i] == 0 || SERVE_CALL(s, cuMemFree, single[i])) && ok;
    for (size_t i = 0; i < s->extra.count; i++)
        ok = SERVE_CALL(s, cuMemFree, s->extra.copies[i]) && ok;
    free(s->extra.copies);
    s->extra = (struct serve_extra){0};
    return ok;
}

bool serve_release(struct serve *s)
{
    struct operands *o = &s->operands;
    struct buffer *list[OPERAND_BUFFERS];
    bool ok = true;
    for (size_t i = 0; i < o->copies; i++) {
        operands_buffers(o, i, list);
        for (size_t j = 0; j < OPERAND_BUFFERS && ok; j++) {
            const uint64_t address = start_of(list[j]);
            *list[j] = (struct buffer){0};
            ok = address == 0 || SERVE_CALL(s, cuMemFree, address);
        }
    }
    free(o->sets);
    o->sets = NULL;
    o->copies = 0;
    return free_extra(s) && ok;
}

void serve_select(struct serve *s, size_t slot)
{
    if (slot == s->slot)
        return;
    s->slots[s->slot].operands = s->operands;
    s->slots[s->slot].extra = s->extra;
    s->operands = s->slots[slot].operands;
    s->extra = s->slots[slot].extra;
    s->slot = slot;
}

static bool fits_already(const struct serve *s)
{
    const struct channel *c = s->channel;
    struct buffer *list[OPERAND_BUFFERS];
    if (s->operands.copies != c->copies)
        return false;
    operands_buffers(&s->operands, 0, list);
    for (size_t j = 0; j < OPERAND_BUFFERS; j++)
        if (list[j]->size != c->sizes[j])
            return false;
    return true;
}

size_t serve_cold_copies(const struct serve *s, size_t bytes)
{
    enum { COLD_BYTES = 512 << 20, COPIES_MAX = 512 };
    size_t wanted = 4 * s->gpu.l2_bytes > COLD_BYTES ? 4 * s->gpu.l2_bytes : COLD_BYTES;
    size_t copies = (wanted + bytes - 1) / bytes;
    return copies > COPIES_MAX ? COPIES_MAX : copies;
}

/* copies == 0 asks for as many as a cold measurement wants; the answer says how many there are. */
static bool choose_copies(struct serve *s)
{
    struct channel *c = s->channel;
    size_t bytes = 0, free_bytes, total;
    size_t stored = 0; /* a variant reads one of these, or the rows */
    for (size_t j = 0; j < OPERAND_OWN; j++)
        *(j < OPERAND_STORED ? &bytes : &stored) += c->sizes[j];
    if (!SERVE_CALL(s, cuMemGetInfo, &free_bytes, &total))
        return false;
    size_t each = bytes + stored + OPERAND_OWN * (2 * (size_t)BUFFER_CANARY_BYTES + 4096);
    size_t room = (size_t)(memory_share * (double)free_bytes) / each;
    size_t copies = serve_cold_copies(s, bytes);
    copies = copies > room ? room : copies;
    c->copies = copies < 2 ? 2 : copies;
    return true;
}

bool serve_bind(struct serve *s)
{
    struct channel *c = s->channel;
    struct operands *o = &s->operands;
    if (!free_extra(s))
        return false;
    if (c->copies == 0) {
        if (!serve_release(s) || !choose_copies(s))
            return false;
    }
    c->count = c->copies;
    if (!fits_already(s)) {
        if (!serve_release(s))
            return false;
        o->sets = calloc(c->copies, sizeof *o->sets);
        if (!o->sets)
            return SERVE_FAIL(s, STATUS_MEMORY, "operands: out of memory");
        o->copies = c->copies;
        for (size_t i = 0; i < o->copies; i++) {
            struct buffer *list[OPERAND_BUFFERS];
            operands_buffers(o, i, list);
            for (size_t j = 0; j < (i == 0 ? (size_t)OPERAND_BUFFERS : OPERAND_OWN); j++)
                if (!allocate(s, list[j], c->sizes[j])) {
                    if (s->error == CUDA_OUT_OF_MEMORY)
                        c->status = STATUS_MEMORY;
                    return false;
                }
        }
    }
    o->problem = c->problem;
    o->nested_offset = c->nested_offset;
    return true;
}

static bool transfer(struct serve *s, bool up)
{
    struct channel *c = s->channel;
    struct buffer *list[OPERAND_BUFFERS];
    if (s->operands.copies == 0 || c->piece_count > CHANNEL_PIECES)
        return SERVE_FAIL(s, STATUS_INTERNAL, "transfer: nothing is bound, or too many pieces");
    operands_buffers(&s->operands, 0, list);
    size_t used = 0;
    for (size_t i = 0; i < c->piece_count; i++) {
        const struct piece *p = &c->pieces[i];
        const struct buffer *b = p->buffer < OPERAND_BUFFERS ? list[p->buffer] : NULL;
        if (!b || p->size > CHANNEL_WINDOW_BYTES - used || p->offset > b->allocation_bytes ||
            p->size > b->allocation_bytes - p->offset)
            return SERVE_FAIL(s, STATUS_INTERNAL, "transfer: outside of the buffer, or of the window");
        const uint64_t address = start_of(b) + p->offset;
        if (!(up ? SERVE_CALL(s, cuMemcpyHtoD, address, c->window + used, p->size)
                 : SERVE_CALL(s, cuMemcpyDtoH, c->window + used, address, p->size)))
            return false;
        used += p->size;
    }
    return true;
}

bool serve_upload(struct serve *s)
{
    return transfer(s, true);
}

bool serve_download(struct serve *s)
{
    return transfer(s, false);
}

bool serve_replicate(struct serve *s)
{
    struct buffer *from[OPERAND_BUFFERS], *to[OPERAND_BUFFERS];
    if (s->operands.copies == 0)
        return SERVE_FAIL(s, STATUS_INTERNAL, "replicate: nothing is bound");
    operands_buffers(&s->operands, 0, from);
    for (size_t i = 1; i < s->operands.copies; i++) {
        operands_buffers(&s->operands, i, to);
        for (size_t j = 0; j < OPERAND_OWN; j++)
            if (from[j]->size &&
                !SERVE_CALL(s, cuMemcpyDtoD, start_of(to[j]), start_of(from[j]), from[j]->allocation_bytes))
                return false;
    }
    return true;
}
