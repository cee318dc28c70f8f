#include "harness/device/request.h"

#include <stdio.h>
#include <string.h>

static double limit_s(const struct device *d)
{
    /* The executor keeps its limit, for each launch of a variant, and says where threads stand; this one is for the rest. */
    const double executor = (d->limit_s > 0 ? d->limit_s : SIMT_LIMIT_S) * 4 + 20;
    return d->kind == DEVICE_SIMT  ? executor
           : d->limit_s > 0        ? d->limit_s
           : d->kind == DEVICE_CPU ? CPU_LIMIT_S
                                   : CUDA_LIMIT_S;
}

/* The fault of a caller that cannot be started, as status_message() has it. Returns false. */
static bool not_ready(const struct operands *o, enum status s, struct call_fault *fault)
{
    *fault = (struct call_fault){.ours = true, .status = s, .word = "broken"};
    snprintf(fault->text, sizeof fault->text, "%s", status_message());
    device_format(o->device, fault->device);
    return false;
}

/* Whose fault a request that failed is, and its word. */
static const char *classify(enum outcome outcome, const struct channel *c, enum device_kind device,
                            struct call_fault *fault)
{
    *fault = (struct call_fault){.ours = !c->by_variant, .sentence = c->sentence};
    switch (outcome) {
    case OUTCOME_STOPPED:
        *fault = (struct call_fault){.ours = true, .status = STATUS_INTERRUPTED};
        return "interrupted";
    case OUTCOME_HUNG:
        fault->endless = c->by_variant;
        return "hang";
    case OUTCOME_CRASHED:
        fault->crashed = c->by_variant;
        return "crash";
    default:
        fault->endless = c->endless;
        fault->crashed = c->crashed;
        /* On a CPU, and under the executor, nothing that comes after a variant was asked for is a want of room, or a fault of
         * the device. */
        fault->skip = c->status == STATUS_LIMIT && device == DEVICE_CUDA;
        fault->ours = !fault->skip && (!c->by_variant || (!*c->word && device == DEVICE_CUDA));
        return fault->skip                  ? "limit"
               : !fault->ours && *c->word   ? c->word
               : c->status == STATUS_MEMORY ? "memory"
                                            : "device-error";
    }
}

bool request(struct caller *s, const struct operands *o, enum request what, struct call_fault *fault)
{
    const struct channel *c = caller_channel(s);
    const enum outcome outcome = caller_ask(s, what, limit_s(o->device));
    if (outcome == OUTCOME_DONE)
        return true;
    const char *word = classify(outcome, c, o->device->kind, fault);
    if (o->device->kind == DEVICE_CPU && !fault->ours)
        fault->sentence = true;
    snprintf(fault->word, sizeof fault->word, "%s", word);
    snprintf(fault->text, sizeof fault->text, "%s", c->text);
    device_format(o->device->kind == DEVICE_SIMT ? &c->device : o->device, fault->device);
    return false;
}

void request_variant(struct channel *c, const struct kernel *k)
{
    snprintf(c->variant, sizeof c->variant, "%s", k->name);
    snprintf(c->table, sizeof c->table, "%s", k->table ? k->table : "");
}

static void describe_operands(struct channel *c, const struct operands *o)
{
    struct buffer *list[OPERAND_BUFFERS];
    operands_buffers(o, 0, list);
    for (size_t i = 0; i < OPERAND_BUFFERS; i++)
        c->sizes[i] = list[i]->size;
    c->problem = o->problem;
    c->nested_offset = o->nested_offset;
}

/* ---- the CPU, and the executor ---- */

static bool call_once(struct caller *s, const struct operands *o, size_t i, const struct kernel *k,
                      enum placement placement, struct call_fault *fault)
{
    struct channel *c = caller_channel(s);
    struct arena_call call; /* not the channel's, which a variant can write to */
    char what[160];
    enum status status = caller_ready(s, (int)k->library, NULL);
    if (status != STATUS_OK) {
        not_ready(o, status, fault);
        /* A process that does not start with a library of others in it is that library's doing. */
        if (k->library && status != STATUS_INTERRUPTED) {
            fault->ours = false;
            fault->status = STATUS_OK;
            snprintf(fault->word, sizeof fault->word, "load");
        }
        return false;
    }
    c->device = *o->device;
    if (arena_place(caller_arena(s), o, i, placement, o->device->launches++, &call) != STATUS_OK) {
        *fault = (struct call_fault){.skip = true, .word = "memory"};
        snprintf(fault->text, sizeof fault->text, "%s", status_message());
        return false;
    }
    describe_operands(c, o);
    c->arena = call;
    c->weights = o->sets[i].weights;
    c->threads = o->device->threads;
    request_variant(c, k);
    const bool called = request(s, o, REQUEST_launch, fault);
    if (arena_take_back(caller_arena(s), &call, o, i, what, sizeof what) || !called)
        return called;
    *fault = (struct call_fault){.sentence = true, .word = "bounds"};
    snprintf(fault->text, sizeof fault->text, "%s", what);
    return false;
}

/* A process that ended while no variant was called, or that was killed from outside, maybe for want of memory, convicts
 * nobody the first time. The second time it is the variant. */
bool request_call_cpu(const struct operands *o, size_t i, const struct kernel *k, struct call_fault *fault)
{
    struct caller *s = caller_of(o->device, false);
    if (!s)
        return not_ready(o, status_no_memory("a process that calls variants"), fault);
    const enum placement placement = o->device->placement;
    if (call_once(s, o, i, k, placement, fault))
        return true;
    if (strcmp(fault->word, "crash") != 0 || !(fault->ours || caller_was_killed(s)))
        return false;
    if (call_once(s, o, i, k, placement, fault))
        return true;
    if (strcmp(fault->word, "crash") == 0) {
        fault->ours = false;
        fault->crashed = true;
    }
    return false;
}

/* Always at the same place: a child of the executor goes on as long as the buffers are the same. */
bool request_call_simt(const struct operands *o, size_t i, const struct kernel *k, struct call_fault *fault)
{
    struct caller *s = caller_of(o->device, false);
    if (!s)
        return not_ready(o, status_no_memory("a process for the executor"), fault);
    const uint64_t before = o->device->launches;
    const bool called = call_once(s, o, i, k, PLACE_AT_END, fault);
    const uint64_t launches = caller_channel(s)->device.launches;
    o->device->launches = launches > before ? launches : before + 1;
    return called;
}

/* ---- a GPU ---- */

static bool bind_cuda(struct caller *s, const struct operands *o, size_t copies, struct call_fault *fault)
{
    struct channel *c = caller_channel(s);
    describe_operands(c, o);
    c->copies = copies;
    return request(s, o, REQUEST_bind, fault);
}

/* Pieces that go through the window together: a request costs two process switches. */
struct transfer {
    struct caller *caller;
    const struct operands *operands;
    bool up;
    struct buffer *list[OPERAND_BUFFERS];
    size_t used; /* bytes of the window */
};

/* The pieces that are waiting. */
static bool transfer_flush(struct transfer *t, struct call_fault *fault)
{
    struct channel *c = caller_channel(t->caller);
    if (c->piece_count == 0)
        return true;
    size_t at = 0;
    for (size_t i = 0; t->up && i < c->piece_count; at += c->pieces[i++].size)
        buffer_whole_read(t->list[c->pieces[i].buffer], c->pieces[i].offset, c->window + at,
                          c->pieces[i].size);
    if (!request(t->caller, t->operands, t->up ? REQUEST_upload : REQUEST_download, fault))
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
    struct channel *c = caller_channel(t->caller);
    for (size_t at = begin, size; at < end; at += size) {
        if ((t->used == CHANNEL_WINDOW_BYTES || c->piece_count == CHANNEL_PIECES) &&
            !transfer_flush(t, fault))
            return false;
        const size_t room = CHANNEL_WINDOW_BYTES - t->used;
        size = end - at < room ? end - at : room;
        c->pieces[c->piece_count++] = (struct piece){which, at, size};
        t->used += size;
    }
    return true;
}

static bool transfer_all(struct caller *s, const struct operands *o, bool up, struct call_fault *fault)
{
    struct transfer t = {.caller = s, .operands = o, .up = up};
    operands_buffers(o, 0, t.list);
    caller_channel(s)->piece_count = 0;
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

bool request_call_cuda(const struct operands *o, const struct kernel *k, struct call_fault *fault)
{
    struct caller *s = caller_of(o->device, false);
    const enum status status =
        s ? caller_ready(s, CALLER_ALL, NULL) : status_no_memory("a process for a GPU");
    if (status != STATUS_OK)
        return not_ready(o, status, fault);
    struct channel *c = caller_channel(s);
    c->slot = 0;
    if (!bind_cuda(s, o, 1, fault) || !transfer_all(s, o, true, fault))
        return false;
    o->device->launches++;
    request_variant(c, k);
    c->beside = o->device->beside;
    return request(s, o, REQUEST_launch, fault) && transfer_all(s, o, false, fault);
}

enum status request_mma(struct device *d, enum dtype t, struct mma_tile *tiles, size_t count)
{
    struct caller *s = caller_of(d, false);
    if (!s)
        return status_no_memory("tiles");
    TRY(caller_ready(s, CALLER_ALL, NULL));
    struct channel *c = caller_channel(s);
    c->problem.out = t;
    c->count = count;
    memcpy(c->window, tiles, count * sizeof *tiles);
    if (caller_ask(s, REQUEST_mma, CUDA_LIMIT_S) != OUTCOME_DONE)
        return status_fail(STATUS_DEVICE, "%s: %s", d->gpu.name, c->text);
    memcpy(tiles, c->window, count * sizeof *tiles);
    return STATUS_OK;
}

/* ---- operands that are timed ---- */

bool request_bind(struct caller *s, const struct operands *o, bool hot, struct call_fault *fault)
{
    struct channel *c = caller_channel(s);
    if (o->device->kind == DEVICE_CUDA)
        return bind_cuda(s, o, hot ? 1 : 0, fault) && transfer_all(s, o, true, fault) &&
               request(s, o, REQUEST_replicate, fault);
    describe_operands(c, o);
    c->copies = hot ? 1 : o->timed_copies;
    c->threads = o->device->threads;
    if (!request(s, o, REQUEST_bind, fault))
        return false;
    struct arena_call call; /* not the channel's, which a variant can write to */
    if (arena_place(caller_arena(s), o, 0, PLACE_AT_START, 0, &call) != STATUS_OK)
        return not_ready(o, STATUS_MEMORY, fault);
    c->arena = call;
    return request(s, o, REQUEST_upload, fault) && request(s, o, REQUEST_replicate, fault);
}

bool request_pieces(struct caller *s, const struct operands *o, const struct piece *pieces, size_t count,
                    const unsigned char **out, struct call_fault *fault)
{
    struct channel *c = caller_channel(s);
    const struct arena_operand room = arena_output(caller_arena(s), o);
    c->arena.operands[OPERAND_OUT] = room;
    c->piece_count = count;
    for (size_t i = 0; i < count; i++)
        c->pieces[i] = pieces[i];
    *out = room.data;
    return request(s, o, REQUEST_download, fault);
}

bool request_output(struct caller *s, const struct operands *o, struct call_fault *fault)
{
    const unsigned char *out;
    if (o->device->kind == DEVICE_CUDA)
        return transfer_all(s, o, false, fault);
    caller_channel(s)->set = 0;
    if (!request_pieces(s, o, NULL, 0, &out, fault))
        return false;
    memcpy(o->sets[0].out.data, out, o->sets[0].out.size);
    return true;
}
