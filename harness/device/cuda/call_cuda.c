#include "harness/device/cuda/call_cuda.h"

#include <stdio.h>
#include <string.h>

#include "harness/device/cuda/driver.h"

static double limit_s(const struct operands *o)
{
    return o->device->limit_s > 0 ? o->device->limit_s : CUDA_LIMIT_S;
}

bool cuda_ask(const struct operands *o, enum cuda_request request, struct call_fault *fault)
{
    struct cuda_server *server = o->device->server;
    const struct cuda_channel *c = cuda_server_channel(server);
    enum cuda_outcome outcome = cuda_server_ask(server, request, limit_s(o));
    if (outcome == CUDA_DONE)
        return true;
    const char *word = cuda_fault_word(c->error);
    *fault = (struct call_fault){.ours = true};
    if (outcome == CUDA_HUNG || outcome == CUDA_CRASHED) {
        fault->ours = !c->by_kernel;
        fault->endless = outcome == CUDA_HUNG && c->by_kernel;
        fault->crashed = outcome == CUDA_CRASHED && c->by_kernel;
        word = outcome == CUDA_HUNG ? "hang" : "crash";
    } else if (c->status == STATUS_LIMIT) {
        fault->ours = false;
        fault->skip = true;
        word = "limit";
    } else if (word && c->by_kernel) {
        fault->ours = false;
    } else {
        word = c->status == STATUS_MEMORY ? "memory" : "cuda-error";
    }
    snprintf(fault->word, sizeof fault->word, "%s", word);
    snprintf(fault->text, sizeof fault->text, "%s", c->text);
    device_format(o->device, fault->device);
    return false;
}

void cuda_set_kernel(struct cuda_channel *c, const struct kernel *k)
{
    const struct kernel *own = k->blas ? k->dequantize : k;
    snprintf(c->kernel.name, sizeof c->kernel.name, "%s", k->name);
    snprintf(c->kernel.symbol, sizeof c->kernel.symbol, "%s", own->name);
    c->kernel.source = own->source;
    c->kernel.entry = own->entries[ENTRY_FAST];
    c->kernel.recipe = own->recipe;
    c->kernel.blas = k->blas;
    c->kernel.blas_lt = k->blas_lt;
    c->kernel.bitsandbytes = k->bitsandbytes;
    c->kernel.layout = kernel_layout(k);
}

bool cuda_bind(const struct operands *o, size_t copies, struct call_fault *fault)
{
    struct cuda_channel *c = cuda_server_channel(o->device->server);
    struct buffer *list[OPERAND_BUFFERS];
    operands_buffers(o, 0, list);
    for (size_t i = 0; i < OPERAND_BUFFERS; i++)
        c->sizes[i] = list[i]->size;
    c->problem = o->problem;
    c->nested_offset = o->nested_offset;
    c->copies = copies;
    return cuda_ask(o, CUDA_REQUEST_bind, fault);
}

/* Pieces that go through the window together: a request costs two process switches. */
struct transfer {
    const struct operands *operands;
    bool up;
    struct buffer *list[OPERAND_BUFFERS];
    size_t used; /* bytes of the window */
};

/* The pieces that are waiting. */
static bool transfer_flush(struct transfer *t, struct call_fault *fault)
{
    struct cuda_channel *c = cuda_server_channel(t->operands->device->server);
    if (c->piece_count == 0)
        return true;
    size_t at = 0;
    for (size_t i = 0; t->up && i < c->piece_count; at += c->pieces[i++].size)
        buffer_whole_read(t->list[c->pieces[i].buffer], c->pieces[i].offset, c->window + at,
                          c->pieces[i].size);
    if (!cuda_ask(t->operands, t->up ? CUDA_REQUEST_upload : CUDA_REQUEST_download, fault))
        return false;
    for (size_t i = 0; !t->up && i < c->piece_count; at += c->pieces[i++].size)
        buffer_whole_write(t->list[c->pieces[i].buffer], c->pieces[i].offset, c->window + at,
                           c->pieces[i].size);
    c->piece_count = 0;
    t->used = 0;
    return true;
}

/* The bytes from `begin` to `end` of a buffer, canaries counted. */
static bool transfer_add(struct transfer *t, size_t which, size_t begin, size_t end, struct call_fault *fault)
{
    struct cuda_channel *c = cuda_server_channel(t->operands->device->server);
    for (size_t at = begin, size; at < end; at += size) {
        if ((t->used == CUDA_WINDOW_BYTES || c->piece_count == CUDA_PIECES) && !transfer_flush(t, fault))
            return false;
        const size_t room = CUDA_WINDOW_BYTES - t->used;
        size = end - at < room ? end - at : room;
        c->pieces[c->piece_count++] = (struct cuda_piece){which, at, size};
        t->used += size;
    }
    return true;
}

static bool transfer_all(const struct operands *o, bool up, struct call_fault *fault)
{
    struct transfer t = {.operands = o, .up = up};
    operands_buffers(o, 0, t.list);
    cuda_server_channel(o->device->server)->piece_count = 0;
    for (size_t i = 0; i < OPERAND_BUFFERS; i++) {
        const size_t whole = buffer_whole_size(t.list[i]);
        if (t.list[i]->size == 0)
            continue;
        const bool workspace = i == OPERAND_WORKSPACE; /* what is in it means nothing */
        if (!transfer_add(&t, i, 0, workspace ? BUFFER_CANARY_BYTES : whole, fault) ||
            (workspace && !transfer_add(&t, i, whole - BUFFER_CANARY_BYTES, whole, fault)))
            return false;
    }
    return transfer_flush(&t, fault);
}

bool cuda_upload(const struct operands *o, struct call_fault *fault)
{
    return transfer_all(o, true, fault);
}

bool cuda_download(const struct operands *o, struct call_fault *fault)
{
    return transfer_all(o, false, fault);
}

bool call_cuda(const struct operands *o, const struct kernel *k, struct call_fault *fault)
{
    enum status s = cuda_server_ready(o->device->server, NULL);
    if (s != STATUS_OK) {
        *fault = (struct call_fault){.ours = true, .status = s, .word = "broken"};
        snprintf(fault->text, sizeof fault->text, "%s", status_message());
        device_format(o->device, fault->device);
        return false;
    }
    cuda_server_channel(o->device->server)->slot = 0;
    if (!cuda_bind(o, 1, fault) || !cuda_upload(o, fault))
        return false;
    o->device->launches++;
    cuda_set_kernel(cuda_server_channel(o->device->server), k);
    cuda_server_channel(o->device->server)->beside = o->device->beside;
    return cuda_ask(o, CUDA_REQUEST_launch, fault) && cuda_download(o, fault);
}

enum status cuda_mma(struct device *d, enum dtype t, struct mma_tile *tiles, size_t count)
{
    enum status s = cuda_server_ready(d->server, NULL);
    struct cuda_channel *c = cuda_server_channel(d->server);
    if (s != STATUS_OK)
        return s;
    c->problem.out = t;
    c->count = count;
    memcpy(c->window, tiles, count * sizeof *tiles);
    if (cuda_server_ask(d->server, CUDA_REQUEST_mma, CUDA_LIMIT_S) != CUDA_DONE)
        return status_fail(STATUS_DEVICE, "%s: %s", d->gpu.name, c->text);
    memcpy(tiles, c->window, count * sizeof *tiles);
    return STATUS_OK;
}
