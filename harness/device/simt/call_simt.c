#include "harness/device/simt/call_simt.h"

#include <stdio.h>

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
static void list_buffers(const struct operands *o, size_t i, enum layout layout, struct buffer_list *list)
{
    const struct operand_set *set = &o->sets[i];
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

bool call_simt(const struct operands *o, size_t i, const struct kernel *k, struct call_fault *fault)
{
    struct device *d = o->device;
    struct simt_options options = {
        .checked = d->checked,
        .limit_s = d->limit_s,
        .memory = buffer_shared_generation(),
        .tensor_core = k->contract.accumulation == ACC_MMA80 ? SIMT_TENSOR_CORE_80 : SIMT_TENSOR_CORE_90};
    struct buffer_list list = {.count = 0};
    const enum layout layout = k->contract.op == OP_UNREPACK ? LAYOUT_FRAGMENTS : kernel_layout(k);
    list_buffers(o, i, layout, &list);
    static struct simt_result result; /* large */
    union kernel_args args;
    size_t size = operands_args(o, i, layout, &args);
    bool ok = true;
    for (const struct entry *e = k->entries[d->checked ? ENTRY_CHECKED : ENTRY_FAST]; e && ok; e = e->next) {
        device_schedule(d, d->launches++, &options.seed, &options.async);
        ok = simt_launch(e, &args, size, list.buffer, list.count, &options, &result);
    }
    if (!ok) {
        struct device same = *d;
        same.fixed_schedule = same.fixed_async = true;
        same.schedule = options.seed;
        same.async = options.async;
        *fault =
            (struct call_fault){.ours = result.fault == SIMT_BROKEN,
                                .endless = result.fault == SIMT_TIMEOUT,
                                .crashed = result.fault == SIMT_CRASH || result.fault == SIMT_STACK_OVERFLOW};
        snprintf(fault->word, sizeof fault->word, "%s", simt_fault_word(result.fault));
        snprintf(fault->text, sizeof fault->text, "%s", result.text);
        device_format(&same, fault->device);
    }
    return ok;
}
