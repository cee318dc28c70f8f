#include "harness/call.h"

#include <stdio.h>
#include <string.h>

#include "harness/cuda/call_cuda.h"
#include "harness/watch.h"

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

/* Runs entry e, and then those that follow it, each under its own schedule. False: *result says what is wrong
 * with one of them, and *options how it was run. */
static bool launch_all(struct device *d, const struct entry *e, const void *args, size_t args_size,
                       const struct buffer_list *list, struct simt_options *options,
                       struct simt_result *result)
{
    bool ok = true;
    for (; e && ok; e = e->next) {
        device_schedule(d, d->launches++, &options->seed, &options->async);
        ok = simt_launch(e, args, args_size, list->buffer, list->count, options, result);
    }
    return ok;
}

/* Kernels that ran into the time limit. */
static const struct kernel *endless[64];
static size_t endless_count;

static bool is_endless(const struct kernel *k)
{
    for (size_t i = 0; i < endless_count; i++)
        if (endless[i] == k)
            return true;
    return false;
}

static void remember_endless(const struct kernel *k)
{
    if (endless_count < sizeof endless / sizeof endless[0])
        endless[endless_count++] = k;
}

static bool call_simt(const struct operands *o, size_t i, const struct kernel *k, struct call_fault *fault)
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
    const struct entry *entry = k->entries[d->checked ? ENTRY_CHECKED : ENTRY_FAST];
    static struct simt_result result; /* large */
    union kernel_args args;
    size_t size = operands_args(o, i, layout, &args);
    bool ok = launch_all(d, entry, &args, size, &list, &options, &result);
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

void call_cpu(const struct operands *o, size_t i, const struct kernel *k, const void *prepared)
{
    if (k->contract.op == OP_DEQUANT) {
        struct dequant_args args = operands_dequant_args(o, i, kernel_layout(k));
        if (k->dequant_rows)
            k->dequant_rows(&args, o->problem.n, o->problem.k);
        else
            k->dequant(&args);
    } else {
        struct gemm_args args = operands_gemm_args(o, i, kernel_layout(k));
        if (prepared)
            args.prepared = prepared;
        if (k->product)
            k->product(k, &args);
        else
            k->gemm(&args);
    }
}

bool call_kernel(const struct operands *o, size_t i, const struct kernel *k, const void *prepared,
                 struct call_fault *fault)
{
    if (k->backend == BACKEND_CUDA) {
        bool gpu = o->device->kind == DEVICE_CUDA;
        if (is_endless(k)) {
            *fault = (struct call_fault){.endless = true};
            snprintf(fault->word, sizeof fault->word, "%s", gpu ? "hang" : simt_fault_word(SIMT_TIMEOUT));
            snprintf(fault->text, sizeof fault->text, "not launched: it did not end in an earlier case");
            device_format(o->device, fault->device);
            return false;
        }
        bool ok = gpu ? call_cuda(o, k, fault) : call_simt(o, i, k, fault);
        if (!ok && fault->endless)
            remember_endless(k);
        return ok;
    }
    watch_begin(k, "a call");
    call_cpu(o, i, k, prepared);
    watch_end();
    return true;
}
