/*
 * simt/serve.c: CUDA variants under the executor, on operands in the arena. launch() of a variant runs in this process, the
 * kernel in children of it (simt.h).
 */
#include <stdio.h>

#include "harness/base/call_state.h"
#include "harness/device/cpu/guards.h"
#include "harness/device/cpu/serve.h"
#include "harness/device/simt/simt.h"

enum { BUFFERS_MAX = 12 };

struct buffer_list {
    struct simt_buffer buffer[BUFFERS_MAX];
    size_t count;
};

static void add(struct buffer_list *list, const char *name, const struct buffer *b, bool writable,
                size_t granule)
{
    if (b->size)
        list->buffer[list->count++] = (struct simt_buffer){.name = name,
                                                           .data = b->data,
                                                           .size = b->size,
                                                           .writable = writable,
                                                           .granule = (unsigned)granule};
}

/* All that a kernel may touch, under the names of kernel.h. */
static void list_buffers(const struct operands *o, enum layout layout, struct buffer_list *list)
{
    const struct operand_set *set = &o->sets[0];
    bool product = op_is_product(o->problem.op);
    add(list, "packed", &set->packed, false, 1);
    add(list, "absmax", &set->absmax, false, 4);
    add(list, "absmax_code", &set->absmax_code, false, 1);
    add(list, "nested_absmax", &set->nested_absmax, false, 4);
    add(list, "nested_map", &o->nested_map, false, 4);
    add(list, "scale", &set->scale, false, 2);
    add(list, "zero", &set->zero, false, 1);
    if (product) {
        add(list, "x", &set->x, false, dtype_size(o->problem.out));
        if (o->problem.bias)
            add(list, "bias", &set->bias, false, dtype_size(o->problem.out));
        add(list, "workspace", &o->workspace, true, 1);
    }
    add(list, o->problem.op == OP_UNREPACK ? "repacked" : "prepared", &set->stored[layout], false, 1);
    add(list, product ? "y" : "out", &set->out, true, dtype_size(o->problem.out));
}

/* What the workspace holds means nothing: NaNs for the first call of a variant, what was left there for others. */
static void poison_workspace(const struct kernel *k, struct buffer *workspace, uint64_t salt)
{
    static const struct kernel *last;
    if (last != k && workspace->data)
        buffer_poison(workspace, salt);
    last = k;
}

static struct arena_call call;

static void open_operands(void)
{
    guards_close_operands(&call, false);
}

/* What the executor found. device: gives the same launch again. */
static bool launch_failed(struct channel *c, const struct simt_result *r, const struct simt_options *o)
{
    c->device.fixed_schedule = c->device.fixed_async = true;
    c->device.schedule = o->seed;
    c->device.async = o->async;
    c->by_variant = r->fault != SIMT_BROKEN;
    c->endless = r->fault == SIMT_TIMEOUT;
    c->crashed = r->fault == SIMT_CRASH || r->fault == SIMT_STACK_OVERFLOW;
    snprintf(c->word, sizeof c->word, "%s", simt_fault_word(r->fault));
    return serve_fail_with(c, STATUS_DEVICE, "%s", r->text);
}

static bool launch(struct channel *c)
{
    static struct simt_result result; /* large */
    struct arena_view view;
    char what[160];
    union kernel_args args;
    struct buffer_list list = {.count = 0};
    const struct kernel *k = serve_variant(c);
    if (!k)
        return false;
    call = c->arena;
    cpu_view(c, &view);
    if (guards_open(&call, !c->device.checked) != STATUS_OK)
        return serve_fail_with(c, STATUS_MEMORY, "%s", status_message());
    poison_workspace(k, &view.operands.workspace, call.salt);
    const enum layout layout = k->contract.op == OP_UNREPACK ? LAYOUT_FRAGMENTS : kernel_layout(k);
    list_buffers(&view.operands, layout, &list);
    const size_t size = operands_args(&view.operands, 0, layout, &args);
    struct simt_options options = {
        .checked = c->device.checked,
        .limit_s = c->device.limit_s,
        .shared = true,
        .launched = open_operands,
        .tensor_core = k->contract.accumulation == ACC_MMA80 ? SIMT_TENSOR_CORE_80 : SIMT_TENSOR_CORE_90};
    const struct entry *e = k->entries[c->device.checked ? ENTRY_CHECKED : ENTRY_FAST];
    call_state_set_here();
    for (cpu_variant_begins(c, "its launch function"); e; e = e->next) {
        device_schedule(&c->device, c->device.launches++, &options.seed, &options.async);
        guards_close_operands(&call, true);
        if (!simt_launch(e, &args, size, list.buffer, list.count, &options, &result))
            return launch_failed(c, &result, &options);
    }
    cpu_variant_ended(c);
    const char *changed = call_state_restore_here();
    if (changed) {
        snprintf(what, sizeof what, "changed what runs after it in this process: %s", changed);
        return cpu_fault(c, "call_state", what);
    }
    return guards_workspace_whole(&call, what, sizeof what) || cpu_fault(c, "bounds", what);
}

const struct back_end back_end_simt = {"simt", {[REQUEST_start] = serve_nothing, [REQUEST_launch] = launch}};
