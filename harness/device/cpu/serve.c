/*
 * cpu/serve.c: verified calls on the CPU, on operands in the arena.
 */
#include "harness/device/cpu/serve.h"

#include <stdio.h>
#include <string.h>

#include "harness/base/call_state.h"
#include "harness/base/machine.h"
#include "harness/device/cpu/guards.h"

void cpu_view(const struct channel *c, struct arena_view *out)
{
    struct buffer *list[OPERAND_BUFFERS];
    *out = (struct arena_view){
        .operands = {.problem = c->problem, .nested_offset = c->nested_offset, .copies = 1}};
    out->operands.sets = &out->set;
    operands_buffers(&out->operands, 0, list);
    for (size_t j = 0; j < OPERAND_BUFFERS; j++) {
        list[j]->data = c->arena.operands[j].data;
        list[j]->size = c->arena.operands[j].size;
    }
}

void cpu_call(const struct operands *o, size_t i, const struct kernel *k, const void *prepared)
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

enum status cpu_prepare(const struct operands *o, size_t i, const struct kernel *k, void **prepared)
{
    *prepared = NULL;
    if (!k->prepare || kernel_layout(k) != LAYOUT_ROWS)
        return STATUS_OK;
    const struct gemm_args args = operands_gemm_args(o, i, LAYOUT_ROWS);
    return k->prepare(k, &args, prepared);
}

void cpu_set_threads(const struct channel *c)
{
    static unsigned threads;
    if (c->threads != threads)
        cpu_pin_threads(c->threads);
    threads = c->threads;
}

void cpu_variant_begins(struct channel *c, const char *doing)
{
    snprintf(c->doing, sizeof c->doing, "%s", doing);
    c->by_variant = true;
}

void cpu_variant_ended(struct channel *c)
{
    c->by_variant = false;
    c->doing[0] = '\0';
}

bool cpu_fault(struct channel *c, const char *word, const char *what)
{
    c->by_variant = c->sentence = true;
    snprintf(c->word, sizeof c->word, "%s", word);
    return serve_fail_with(c, STATUS_DEVICE, "%s", what);
}

/* What the last variant was given, for as long as its weights are the same. */
static struct {
    const struct kernel *kernel;
    uint64_t weights;
    void *prepared;
} last;

static enum status prepare_once(struct channel *c, const struct operands *o, const struct kernel *k)
{
    if (last.kernel == k && last.weights == c->weights)
        return STATUS_OK;
    if (last.kernel && last.kernel->unprepare)
        last.kernel->unprepare(last.prepared);
    last.kernel = NULL;
    cpu_variant_begins(c, "the preparation of its weights");
    const enum status s = cpu_prepare(o, 0, k, &last.prepared);
    cpu_variant_ended(c);
    if (s == STATUS_OK) {
        last.kernel = k;
        last.weights = c->weights;
    }
    return s;
}

static bool launch(struct channel *c)
{
    static struct arena_call call; /* what a variant does to the channel does not matter */
    struct arena_view view;
    char changed[96], what[160];
    const struct kernel *k = serve_variant(c);
    if (!k)
        return false;
    call = c->arena;
    cpu_view(c, &view);
    cpu_set_threads(c);
    enum status s = guards_begin(&call);
    const struct call_state before = call_state_set(0);
    if (s == STATUS_OK)
        s = prepare_once(c, &view.operands, k);
    if (s != STATUS_OK)
        return serve_fail_with(c, s, "%s", status_message());
    cpu_variant_begins(c, "a call");
    cpu_call(&view.operands, 0, k, last.prepared);
    cpu_variant_ended(c);
    const bool state = call_state_changed(&before, changed, sizeof changed);
    if (!guards_end(what, sizeof what))
        return cpu_fault(c, "bounds", what);
    if (!state)
        return true;
    snprintf(what, sizeof what, "changed what runs after it in this process: %s", changed);
    return cpu_fault(c, "call_state", what);
}

const struct back_end back_end_cpu = {"cpu",
                                      {[REQUEST_start] = serve_nothing,
                                       [REQUEST_bind] = cpu_bind,
                                       [REQUEST_upload] = cpu_upload,
                                       [REQUEST_download] = cpu_download,
                                       [REQUEST_launch] = launch,
                                       [REQUEST_replicate] = cpu_replicate,
                                       [REQUEST_row] = cpu_row,
                                       [REQUEST_row_repeat] = cpu_row_repeat,
                                       [REQUEST_sample] = cpu_sample,
                                       [REQUEST_self_test] = cpu_self_test,
                                       [REQUEST_end_rows] = cpu_end_rows}};
