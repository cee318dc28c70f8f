#include "harness/verify/check_run.h"

#include <stdio.h>
#include <string.h>

#include "harness/base/random.h"
#include "harness/device/call.h"

/* The operands of checks lie at all places in turn; the problem's own where the check says. */
static enum placement placement(const struct check_run *c, const struct operands *o)
{
    return o == c->operands ? c->placement : random_mix(c->verifier->salt) % PLACE_COUNT;
}

bool check_call(struct check_run *c, const struct operands *o)
{
    char what[160];
    buffer_poison(&o->sets[0].out, ++c->verifier->salt);
    o->device->placement = placement(c, o);
    static struct call_fault fault; /* large */
    fault.status = STATUS_OK;
    if (!call_kernel(o, 0, c->kernel, &fault)) {
        if (fault.status != STATUS_OK)
            c->verifier->broken = fault.status == STATUS_INTERRUPTED
                                      ? status_fail(STATUS_INTERRUPTED, "interrupted")
                                      : status_fail(fault.status, "%s: %s", fault.device, fault.text);
        c->out->verdict = fault.skip      ? VERDICT_SKIPPED
                          : fault.ours    ? VERDICT_MISTRUSTED
                          : fault.endless ? VERDICT_TIMEOUT
                          : fault.crashed ? VERDICT_CRASHED
                                          : VERDICT_FAIL;
        if (fault.endless || fault.crashed)
            snprintf(c->out->check, sizeof c->out->check, "%s", fault.endless ? "hang" : "crash");
        if (fault.sentence)
            snprintf(c->out->reason, sizeof c->out->reason, "%s: %.200s", c->check->name, fault.text);
        else
            snprintf(c->out->reason, sizeof c->out->reason, "%s: %s, under --device %s", c->check->name,
                     fault.word, fault.device);
        snprintf(c->out->detail, sizeof c->out->detail, "%s", fault.sentence ? "" : fault.text);
        return false;
    }
    /* On a CPU, and under the executor, a variant has not seen the operands (device/cpu/arena.h). */
    if (o->device->kind != DEVICE_CUDA || operands_intact(o, 0, what, sizeof what))
        return true;
    c->out->verdict = VERDICT_FAIL;
    snprintf(c->out->reason, sizeof c->out->reason, "%s: %s", c->check->name, what);
    /* Later variants must find whole inputs and canaries; the inputs themselves the caller makes again. */
    return false;
}

enum status check_prepared_call(struct check_run *c, const struct operands *o, bool *ok)
{
    const enum status s = operands_prepare_for(o, 0, c->kernel);
    *ok = s == STATUS_OK && check_call(c, o);
    return s;
}

/* Other bytes in every input, such that indices stay what they are; the same again undoes it. */
static void flip_inputs(struct operands *o)
{
    struct operand_set *set = &o->sets[0];
    const size_t element = dtype_size(o->problem.out);
    const struct {
        struct buffer *b;
        size_t every; /* the last byte of so many is changed */
        uint8_t bits;
    } parts[] = {
        {o->problem.op == OP_UNREPACK ? &set->stored[LAYOUT_FRAGMENTS] : &set->packed, 1, 0xff},
        {&set->absmax_code, 1, 0xff},
        {&set->absmax, 4, 0x80},
        {&set->nested_absmax, 4, 0x80},
        {&o->nested_map, 4, 0x80},
        {&set->scale, 2, 0x80},
        {&set->x, element, 0x80},
        {&set->bias, element, 0x80},
    };
    for (size_t p = 0; p < sizeof parts / sizeof parts[0]; p++)
        for (size_t i = parts[p].every - 1; i < parts[p].b->size; i += parts[p].every)
            ((uint8_t *)parts[p].b->data)[i] ^= parts[p].bits;
    operands_rehash(o);
}

enum status check_calls_on_other_codes(struct check_run *c, struct operands *o, bool *ok)
{
    const bool stored = o->problem.op != OP_UNREPACK && kernel_layout(c->kernel) != LAYOUT_ROWS;
    flip_inputs(o);
    enum status s = stored ? operands_prepare_for(o, 0, c->kernel) : STATUS_OK;
    *ok = s == STATUS_OK && check_call(c, o);
    flip_inputs(o);
    if (s == STATUS_OK && stored)
        s = operands_prepare_for(o, 0, c->kernel);
    *ok = *ok && s == STATUS_OK && check_call(c, o);
    return s;
}

void check_failed(struct check_run *c, const struct comparison *cmp, const char *where, const char *cause,
                  size_t count)
{
    struct verification *out = c->out;
    enum dtype t = op_is_repack(c->kernel->contract.op) ? DTYPE_U8 : c->kernel->contract.out;
    const bool weights = c->kernel->contract.op == OP_DEQUANT;
    const char *lines[] = {where, cause, *cause ? "" : diagnose_values(cmp, t),
                           diagnose_places(cmp, weights ? c->operands->problem.format.blocksize : 0, count)};
    char first[160];
    size_t used = 0;
    describe_bits(t, cmp->first, cmp->first_want, cmp->first_got, first, sizeof first);
    out->verdict = VERDICT_FAIL;
    out->mismatches = cmp->mismatches;
    out->first_mismatch = (int64_t)cmp->first;
    snprintf(out->reason, sizeof out->reason, "%s: %zu of %zu differ; %s", c->check->name, cmp->mismatches,
             cmp->compared, first);
    out->detail[0] = '\0';
    for (size_t i = 0; i < sizeof lines / sizeof lines[0]; i++)
        if (*lines[i] && used < sizeof out->detail)
            used += (size_t)snprintf(out->detail + used, sizeof out->detail - used, "%s%s", used ? "\n" : "",
                                     lines[i]);
}

void check_product(struct check_run *c, const struct comparison *cmp, size_t rows, size_t columns,
                   const char *remark)
{
    char where[224];
    c->out->compared += cmp->compared;
    if (!cmp->mismatches)
        return;
    snprintf(where, sizeof where, "output row %zu column %zu of %zu x %zu%s", cmp->first / columns,
             cmp->first % columns, rows, columns, remark);
    check_failed(c, cmp, where, "", rows * columns);
}

enum { OTHER = 128 }; /* rows (gemm) or columns (gemmdx) of the smaller problem, and the tail */

enum status first_weights(struct check_run *c, bool with_bias, struct operands *o)
{
    const struct operands *real = c->operands;
    struct problem p = real->problem;
    p.bias = with_bias;
    size_t *other = p.op == OP_GEMM ? &p.n : &p.k;
    const bool blocks_by_row = p.op == OP_GEMMDX && (c->kernel->whole_blocks || p.format.kind != FORMAT_NF4);
    /* One block a row, or blocks of scattered columns: rows stay whole. */
    const bool whole_rows = blocks_by_row && (p.format.act_order || p.format.blocksize == p.k);
    if (*other > 2 * OTHER && !whole_rows)
        *other = OTHER + *other % OTHER;
    if (blocks_by_row && !whole_rows)
        *other = (*other + p.format.blocksize - 1) / p.format.blocksize * p.format.blocksize;
    TRY(operands_init_blank(&p, c->operands->device, o));
    struct buffer *to[OPERAND_BUFFERS], *from[OPERAND_BUFFERS];
    operands_buffers(o, 0, to);
    operands_buffers(real, 0, from);
    for (size_t i = 0; i < OPERAND_WEIGHTS; i++)
        memcpy(to[i]->data, from[i]->data, to[i]->size);
    memcpy(to[OPERAND_MAP]->data, from[OPERAND_MAP]->data, to[OPERAND_MAP]->size);
    o->nested_offset = real->nested_offset;
    if (with_bias && real->problem.bias)
        memcpy(o->sets[0].bias.data, real->sets[0].bias.data, o->sets[0].bias.size);
    return STATUS_OK;
}
