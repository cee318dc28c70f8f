#include "harness/problem/operands.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/machine.h"
#include "harness/base/random.h"

/* Each part of a set, as a table: where it is, how large for a problem. */
struct part {
    size_t offset;
    const char *name;
    bool input;
};
static const struct part parts[] = {
    {offsetof(struct operand_set, packed), "packed weights", true},
    {offsetof(struct operand_set, absmax), "absmax", true},
    {offsetof(struct operand_set, absmax_code), "absmax codes", true},
    {offsetof(struct operand_set, nested_absmax), "nested absmax", true},
    {offsetof(struct operand_set, scale), "scales", true},
    {offsetof(struct operand_set, zero), "zero points", true},
    {offsetof(struct operand_set, group_of), "group indices", true},
    {offsetof(struct operand_set, x), "activations", true},
    {offsetof(struct operand_set, bias), "bias", true},
    {offsetof(struct operand_set, out), "output", false},
};
enum { PART_COUNT = sizeof parts / sizeof parts[0] };

static struct buffer *part_of(const struct operand_set *set, size_t i)
{
    return (struct buffer *)((char *)set + parts[i].offset);
}

static void part_sizes(const struct problem *p, size_t size[PART_COUNT])
{
    const size_t blocks = problem_block_count(p), element = dtype_size(p->out);
    const bool nf4 = p->format.kind == FORMAT_NF4, scaled = !nf4 && p->format.kind != FORMAT_DENSE;
    size[0] = problem_packed_bytes(p);
    size[1] = nf4 && !p->format.nested ? 4 * blocks : 0;
    size[2] = p->format.nested ? blocks : 0;
    size[3] = p->format.nested ? 4 * nested_group_count(blocks) : 0;
    size[4] = scaled ? 2 * blocks : 0;
    size[5] = p->format.zeros ? blocks : 0;
    size[6] = p->format.act_order ? 4 * p->k : 0;
    size[7] = element * problem_input_count(p);
    size[8] = p->bias ? element * p->n : 0;
    size[9] = element * problem_output_count(p);
}

size_t operands_set_bytes(const struct problem *p)
{
    size_t size[PART_COUNT], sum = 0;
    part_sizes(p, size);
    for (size_t i = 0; i < PART_COUNT; i++)
        sum += size[i];
    return sum;
}

static size_t cold_copies(size_t bytes, size_t bytes_per_call)
{
    size_t wanted = 4 * cpu_last_level_cache();
    size_t copies = (wanted + bytes_per_call - 1) / bytes_per_call, room = cpu_memory_available() / 2 / bytes;
    copies = copies < 2 ? 2 : copies;
    copies = copies > 4096 ? 4096 : copies; /* tiny problems: canaries would outweigh operands */
    return copies > room && room >= 2 ? room : copies;
}

size_t operands_cold_copies(const struct problem *p, size_t bytes_per_call)
{
    return cold_copies(operands_set_bytes(p), bytes_per_call);
}

/* On failure too, *out is to be released. */
static enum status allocate(const struct problem *p, size_t copies, struct device *device,
                            struct operands *out)
{
    *out = (struct operands){.problem = *p, .device = device, .fit = {NAN, NAN, NAN, NAN}};
    /* Those of this process, the copy of a verified call, and those of the process that is timed. */
    const size_t sets = device->kind == DEVICE_CPU ? 2 + copies : device->kind == DEVICE_SIMT ? 2 : 1;
    size_t bytes = operands_set_bytes(p), available = cpu_memory_available();
    if (device->kind == DEVICE_CUDA && bytes + bytes / 8 > device->gpu.memory_bytes)
        return status_fail(STATUS_MEMORY, "%zu x %zu needs %.1f GiB and the GPU has %.1f GiB", p->n, p->k,
                           (double)bytes / (1 << 30), (double)device->gpu.memory_bytes / (1 << 30));
    if (bytes > available / sets)
        return status_fail(
            STATUS_MEMORY, "%zu x %zu needs %.1f GiB in %zu operand set(s) and %.1f GiB are available", p->n,
            p->k, (double)bytes * (double)sets / (1 << 30), sets, (double)available / (1 << 30));
    out->sets = calloc(1, sizeof *out->sets);
    if (!out->sets)
        return status_no_memory("operands");
    out->copies = 1;
    out->timed_copies = copies;
    size_t size[PART_COUNT];
    part_sizes(p, size);
    for (size_t i = 0; i < PART_COUNT; i++)
        TRY(buffer_init(part_of(&out->sets[0], i), size[i], parts[i].name));
    TRY(buffer_init(&out->nested_map, p->format.nested ? 4 * NESTED_MAP_SIZE : 0, "nested map"));
    TRY(buffer_init(&out->workspace, op_is_product(p->op) ? GEMM_WORKSPACE_BYTES(p->m, p->n, p->k) : 0,
                    "workspace"));
    if (p->format.nested)
        nested_dynamic_map(out->nested_map.data);
    return STATUS_OK;
}

static void fill_normal(struct buffer *b, enum dtype t, float scale, uint64_t seed, enum random_stream stream)
{
    size_t count = b->size / dtype_size(t);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < count; i++)
        dtype_store(t, b->data, i, scale * random_normal(seed, stream, i));
}

static uint64_t hash_inputs(const struct operand_set *set)
{
    uint64_t h = 0;
    for (size_t i = 0; i < PART_COUNT; i++)
        if (parts[i].input)
            h = random_mix(h ^ bytes_hash(part_of(set, i)->data, part_of(set, i)->size));
    return h;
}

void operands_rehash(struct operands *o)
{
    for (size_t c = 0; c < o->copies; c++) {
        struct operand_set *set = &o->sets[c];
        set->input_hash = hash_inputs(set);
        for (size_t l = 0; l < LAYOUT_COUNT; l++)
            if (set->stored[l].data)
                set->stored_hash[l] = bytes_hash(set->stored[l].data, set->stored[l].size);
    }
}

enum status operands_init(const struct problem *p, size_t copies, struct device *device, struct operands *out)
{
    enum status s = allocate(p, copies, device, out);
    if (s == STATUS_OK)
        s = operands_make_weights(out);
    if (s != STATUS_OK) {
        operands_release(out);
        return s;
    }
    fill_normal(&out->sets[0].x, p->out, 1.0f, p->seed, RANDOM_ACTIVATIONS);
    fill_normal(&out->sets[0].bias, p->out, 0.1f, p->seed, RANDOM_BIAS);
    buffer_poison(&out->sets[0].out, p->seed);
    out->sets[0].input_hash = hash_inputs(&out->sets[0]);
    return STATUS_OK;
}

enum status operands_init_blank(const struct problem *p, struct device *device, struct operands *out)
{
    enum status s = allocate(p, 1, device, out);
    if (s != STATUS_OK)
        operands_release(out);
    return s;
}

void operands_release(struct operands *o)
{
    for (size_t c = 0; o->sets && c < o->copies; c++) {
        for (size_t i = 0; i < PART_COUNT; i++)
            buffer_release(part_of(&o->sets[c], i));
        for (size_t l = 0; l < LAYOUT_COUNT; l++)
            buffer_release(&o->sets[c].stored[l]);
    }
    free(o->sets);
    buffer_release(&o->nested_map);
    buffer_release(&o->workspace);
    o->sets = NULL;
    o->copies = 0;
}

void operands_buffers(const struct operands *o, size_t i, struct buffer *list[OPERAND_BUFFERS])
{
    _Static_assert((int)PART_COUNT == OPERAND_OUT + 1 && (int)PART_COUNT == OPERAND_STORED,
                   "the output is the last part, and the layouts follow the parts");
    for (size_t j = 0; j < PART_COUNT; j++)
        list[j] = part_of(&o->sets[i], j);
    for (size_t l = 0; l < LAYOUT_COUNT; l++)
        list[OPERAND_STORED + l] = &o->sets[i].stored[l];
    list[OPERAND_MAP] = (struct buffer *)&o->nested_map;
    list[OPERAND_WORKSPACE] = (struct buffer *)&o->workspace;
}

const char *operand_name(size_t j)
{
    static const char *const layouts[LAYOUT_COUNT] = {
#define X(name, knob, ...) [LAYOUT_##name] = knob " weights",
        LAYOUT_MAP(X)
#undef X
    };
    return j < PART_COUNT     ? parts[j].name
           : j < OPERAND_OWN  ? layouts[j - OPERAND_STORED]
           : j == OPERAND_MAP ? "nested map"
                              : "workspace";
}

static void *part_data(const struct buffer *b)
{
    return b->size ? b->data : NULL;
}

struct quantized operands_tensor(const struct operands *o, size_t i)
{
    const struct operand_set *set = &o->sets[i];
    struct quantized t = {.format = o->problem.format.kind,
                          .count = problem_weight_count(&o->problem),
                          .columns = o->problem.k,
                          .blocksize = o->problem.format.blocksize,
                          .packed = set->packed.data,
                          .absmax = part_data(&set->absmax),
                          .scale = part_data(&set->scale),
                          .zero = part_data(&set->zero),
                          .group_of = part_data(&set->group_of)};
    if (o->problem.format.nested)
        t.nested = (struct nested_absmax){.codes = set->absmax_code.data,
                                          .nested_absmax = set->nested_absmax.data,
                                          .map = o->nested_map.data,
                                          .offset = o->nested_offset};
    return t;
}

static struct weights kernel_weights(const struct operands *o, size_t i, enum layout layout)
{
    const struct operand_set *set = &o->sets[i];
    struct weights w = {.packed = set->packed.data,
                        .absmax = part_data(&set->absmax),
                        .scale = part_data(&set->scale),
                        .zero = part_data(&set->zero),
                        .blocksize = o->problem.format.blocksize};
    if (o->problem.format.nested) {
        w.absmax_code = set->absmax_code.data;
        w.nested_absmax = set->nested_absmax.data;
        w.nested_map = o->nested_map.data;
        w.nested_offset = o->nested_offset;
    }
    if (layout != LAYOUT_ROWS)
        w.packed = NULL;
    if (layout != LAYOUT_ROWS && layout != LAYOUT_FRAGMENTS) {
        w.scale = NULL;
        w.zero = NULL;
    }
    return w;
}

struct gemm_args operands_gemm_args(const struct operands *o, size_t i, enum layout layout)
{
    const struct operand_set *set = &o->sets[i];
    return (struct gemm_args){.m = o->problem.m,
                              .n = o->problem.n,
                              .k = o->problem.k,
                              .w = kernel_weights(o, i, layout),
                              .x = set->x.data,
                              .bias = o->problem.bias ? set->bias.data : NULL,
                              .y = set->out.data,
                              .workspace = o->workspace.data,
                              .prepared = set->stored[layout].data};
}

struct dequant_args operands_dequant_args(const struct operands *o, size_t i, enum layout layout)
{
    return (struct dequant_args){.count = problem_weight_count(&o->problem),
                                 .w = kernel_weights(o, i, layout),
                                 .out = o->sets[i].out.data,
                                 .n = o->problem.n,
                                 .k = o->problem.k,
                                 .prepared = o->sets[i].stored[layout].data};
}

struct dequant_args gemm_rows_to_dequantize(const struct gemm_args *a, enum format format, enum dtype t,
                                            size_t first, size_t rows, void *out)
{
    struct dequant_args d = {.count = rows * a->k, .w = a->w, .out = out, .n = rows, .k = a->k};
    const size_t i = first * a->k, block = a->w.blocksize ? i / a->w.blocksize : 0;
    d.w.packed += format_packed_bytes(format, t, i);
    if (d.w.absmax)
        d.w.absmax += block;
    if (d.w.scale)
        d.w.scale += block;
    if (d.w.zero)
        d.w.zero += block;
    if (d.w.absmax_code) {
        d.w.absmax_code += block;
        d.w.nested_absmax += block / NESTED_BLOCKSIZE;
    }
    return d;
}

size_t operands_args(const struct operands *o, size_t i, enum layout layout, union kernel_args *out)
{
    const struct operand_set *set = &o->sets[i];
    switch (o->problem.op) {
    case OP_DEQUANT:
        out->dequant = operands_dequant_args(o, i, layout);
        return sizeof out->dequant;
    case OP_REPACK:
    case OP_UNREPACK:
        out->repack = (struct repack_args){
            .n = o->problem.n,
            .k = o->problem.k,
            .from = o->problem.op == OP_REPACK ? set->packed.data : set->stored[LAYOUT_FRAGMENTS].data,
            .to = set->out.data};
        return sizeof out->repack;
    default:
        out->gemm = operands_gemm_args(o, i, layout);
        return sizeof out->gemm;
    }
}

static enum status store_set(const struct operands *o, size_t i, enum layout layout)
{
    struct buffer *b = &o->sets[i].stored[layout];
    const struct quantized w = operands_tensor(o, i);
    if (!b->data)
        TRY(buffer_init(b, layout_bytes(layout, &o->problem), "weights in another layout"));
    if (!layout_make(layout, &o->problem, &w, b->data))
        return status_no_memory("weights in another layout");
    o->sets[i].stored_hash[layout] = bytes_hash(b->data, b->size);
    return STATUS_OK;
}

size_t operands_prepared_set(const struct operands *o, size_t i, const struct kernel *k)
{
    const size_t dense_bytes = problem_weight_count(&o->problem) * dtype_size(o->problem.out);
    return k->blas == BLAS_DENSE ? i % cold_copies(dense_bytes, dense_bytes) : i;
}

enum status operands_prepare_for(const struct operands *o, size_t i, const struct kernel *k)
{
    static uint64_t weights;
    const enum layout layout = k->contract.op == OP_UNREPACK ? LAYOUT_FRAGMENTS : kernel_layout(k);
    o->sets[i].weights = ++weights;
    return layout != LAYOUT_ROWS ? store_set(o, i, layout) : STATUS_OK;
}

static bool canaries_stand(const struct buffer *b, const char *name, const char *kind, char *what,
                           size_t size)
{
    ptrdiff_t offset;
    if (!b->data || buffer_canaries_whole(b, &offset))
        return true;
    snprintf(what, size, "wrote outside of the %s%s: byte %td of %zu", name, kind, offset, b->size);
    return false;
}

bool operands_intact(const struct operands *o, size_t i, char *what, size_t size)
{
    const struct operand_set *set = &o->sets[i];
    for (size_t j = 0; j < PART_COUNT; j++)
        if (!canaries_stand(part_of(set, j), parts[j].name, "", what, size))
            return false;
    if (!canaries_stand(&o->workspace, "workspace", "", what, size))
        return false;
    for (size_t l = 0; l < LAYOUT_COUNT; l++) {
        const struct buffer *b = &set->stored[l];
        if (!canaries_stand(b, layout_knob(l), " weights", what, size))
            return false;
        if (b->data && bytes_hash(b->data, b->size) != set->stored_hash[l]) {
            snprintf(what, size, "wrote to its inputs: the %s weights", layout_knob(l));
            return false;
        }
    }
    if (hash_inputs(set) == set->input_hash)
        return true;
    snprintf(what, size, "wrote to its inputs");
    return false;
}
