#include "harness/prepare.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/cpu.h"
#include "harness/random.h"
#include "harness/safetensors.h"
#include "harness/watch.h"
#include "harness/weights.h"
#include "reference/int4.h"
#include "reference/repack.h"

enum {
    /* Weights are made and quantized in pieces of this many, a multiple of 256 of the largest blocks, so that
     * no dense copy of a large matrix is ever held. */
    PIECE = 4096 * 256 * 4,
};

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
    size_t blocks = nf4_block_count(problem_weight_count(p), p->blocksize);
    size_t element = dtype_size(p->out);
    size[0] = problem_packed_bytes(p);
    size[1] = p->nested ? 0 : 4 * blocks;
    size[2] = p->nested ? blocks : 0;
    size[3] = p->nested ? 4 * nested_group_count(blocks) : 0;
    size[4] = element * problem_input_count(p);
    size[5] = p->bias ? element * p->n : 0;
    size[6] = element * problem_output_count(p);
}

size_t operands_set_bytes(const struct problem *p)
{
    size_t size[PART_COUNT], sum = 0;
    part_sizes(p, size);
    for (size_t i = 0; i < PART_COUNT; i++)
        sum += size[i];
    return sum;
}

/* Of what has `bytes`. */
static size_t cold_copies(size_t bytes)
{
    size_t wanted = 4 * cpu_last_level_cache();
    size_t copies = (wanted + bytes - 1) / bytes, room = cpu_memory_available() / 2 / bytes;
    copies = copies < 2 ? 2 : copies;
    copies = copies > 4096 ? 4096 : copies; /* tiny problems: canaries would outweigh operands */
    return copies > room && room >= 2 ? room : copies;
}

size_t operands_cold_copies(const struct problem *p)
{
    return cold_copies(operands_set_bytes(p));
}

static enum status init_buffer(const struct device *device, struct buffer *b, size_t size, const char *what)
{
    /* The executor runs kernels in child processes. */
    return device->kind == DEVICE_SIMT ? buffer_init_shared(b, size, what) : buffer_init(b, size, what);
}

static enum status allocate(const struct problem *p, size_t copies, struct device *device,
                            struct operands *out)
{
    *out = (struct operands){.problem = *p, .device = device, .fit = {NAN, NAN, NAN, NAN}};
    size_t bytes = operands_set_bytes(p), available = cpu_memory_available();
    if (device->kind == DEVICE_CUDA && bytes + bytes / 8 > device->gpu.memory_bytes)
        return status_fail(STATUS_MEMORY, "%zu x %zu needs %.1f GiB and the GPU has %.1f GiB", p->n, p->k,
                           (double)bytes / (1 << 30), (double)device->gpu.memory_bytes / (1 << 30));
    if (bytes > available / copies)
        return status_fail(
            STATUS_MEMORY, "%zu x %zu needs %.1f GiB in %zu operand set(s) and %.1f GiB are available", p->n,
            p->k, (double)bytes * (double)copies / (1 << 30), copies, (double)available / (1 << 30));
    out->sets = calloc(copies, sizeof *out->sets);
    if (!out->sets)
        return status_fail(STATUS_MEMORY, "operands: out of memory");
    out->copies = copies;
    size_t size[PART_COUNT];
    part_sizes(p, size);
    enum status s = STATUS_OK;
    for (size_t c = 0; c < copies && s == STATUS_OK; c++)
        for (size_t i = 0; i < PART_COUNT && s == STATUS_OK; i++)
            s = init_buffer(device, part_of(&out->sets[c], i), size[i], parts[i].name);
    if (s == STATUS_OK)
        s = init_buffer(device, &out->nested_map, p->nested ? 4 * NESTED_MAP_SIZE : 0, "nested map");
    if (s == STATUS_OK)
        s = init_buffer(device, &out->workspace,
                        op_is_product(p->op) ? GEMM_WORKSPACE_BYTES(p->m, p->n, p->k) : 0, "workspace");
    if (s == STATUS_OK && p->nested)
        nested_dynamic_map(out->nested_map.data);
    return s;
}

/* Sums for weight_fit, accumulated over pieces. */
struct fit_sums {
    double signal, nf4_error, int4_error, nf4_max, int4_max;
};

static void fit_piece(struct fit_sums *sums, const float *dense, const struct nf4_tensor *piece,
                      float *scratch)
{
    static const struct contract plain = {.format = FORMAT_NF4, .op = OP_DEQUANT, .out = DTYPE_F32};
    for (int format = 0; format < 2; format++) {
        if (format == 0)
            nf4_dequantize(&plain, piece, scratch);
        else
            int4_absmax_roundtrip(dense, piece->count, piece->blocksize, scratch);
        double error = 0, signal = 0, max = 0;
#pragma omp parallel for reduction(+ : error, signal) reduction(max : max)
        for (size_t i = 0; i < piece->count; i++) {
            double d = (double)dense[i] - (double)scratch[i];
            error += d * d;
            signal += (double)dense[i] * (double)dense[i];
            max = fabs(d) > max ? fabs(d) : max;
        }
        if (format == 0) {
            sums->signal += signal;
            sums->nf4_error += error;
            sums->nf4_max = fmax(sums->nf4_max, max);
        } else {
            sums->int4_error += error;
            sums->int4_max = fmax(sums->int4_max, max);
        }
    }
}

/* Dense weights in a file; NULL pointers stand for synthetic ones. */
struct dense_source {
    const struct safetensors *file;
    const char *name;
};

static enum status read_piece(const struct operands *o, const struct dense_source *dense, size_t first,
                              size_t length, float *piece)
{
    if (dense)
        return weight_dense_part(dense->file, dense->name, first, length, piece);
#pragma omp parallel for schedule(static)
    for (size_t i = 0; i < length; i++)
        piece[i] = 0.02f * random_normal(o->problem.seed, RANDOM_WEIGHTS, first + i);
    return STATUS_OK;
}

/* Quantizes w piece by piece into the first set; absmax goes to `absmax`. */
static enum status quantize_weights(struct operands *o, const struct dense_source *dense, float *absmax)
{
    const struct problem *p = &o->problem;
    size_t count = problem_weight_count(p);
    size_t longest = count < PIECE ? count : PIECE;
    float *piece = malloc(longest * sizeof *piece),
          *scratch = dense ? malloc(longest * sizeof *scratch) : NULL;
    enum status s = STATUS_OK;
    struct fit_sums sums = {0};
    if (!piece || (dense && !scratch))
        s = status_fail(STATUS_MEMORY, "weights: out of memory");
    for (size_t first = 0; s == STATUS_OK && first < count; first += PIECE) {
        size_t length = count - first < PIECE ? count - first : PIECE;
        uint8_t *packed = (uint8_t *)o->sets[0].packed.data + first / 2;
        float *scales = absmax + first / p->blocksize;
        s = read_piece(o, dense, first, length, piece);
        if (s != STATUS_OK)
            break;
        nf4_quantize(piece, length, p->blocksize, packed, scales);
        if (dense) {
            struct nf4_tensor t = {
                .count = length, .blocksize = p->blocksize, .packed = packed, .absmax = scales};
            fit_piece(&sums, piece, &t, scratch);
        }
    }
    if (dense && s == STATUS_OK)
        o->fit = (struct weight_fit){.sqnr_db = 10 * log10(sums.signal / sums.nf4_error),
                                     .max_abs_error = sums.nf4_max,
                                     .int4_sqnr_db = 10 * log10(sums.signal / sums.int4_error),
                                     .int4_max_abs_error = sums.int4_max};
    free(piece);
    free(scratch);
    return s;
}

/* Quantizes (dense, or synthetic where it is NULL) and, for a nested problem, quantizes the scales. */
static enum status make_weights(struct operands *o, const struct dense_source *dense)
{
    const struct problem *p = &o->problem;
    struct operand_set *set = &o->sets[0];
    if (!p->nested)
        return quantize_weights(o, dense, set->absmax.data);
    size_t blocks = nf4_block_count(problem_weight_count(p), p->blocksize);
    float *absmax = malloc(blocks * sizeof *absmax);
    if (!absmax)
        return status_fail(STATUS_MEMORY, "absmax: out of memory");
    enum status s = quantize_weights(o, dense, absmax);
    if (s == STATUS_OK)
        o->nested_offset = nested_quantize(absmax, blocks, o->nested_map.data, set->absmax_code.data,
                                           set->nested_absmax.data);
    free(absmax);
    return s;
}

/* Copies a stored tensor; sizes were checked by weight_checkpoint against its own shape, here against ours.
 */
static enum status copy_checkpoint(struct operands *o, const struct nf4_tensor *t)
{
    const struct problem *p = &o->problem;
    struct operand_set *set = &o->sets[0];
    if (t->count != problem_weight_count(p) || t->blocksize != p->blocksize ||
        (t->absmax == NULL) != p->nested)
        return status_fail(STATUS_INPUT,
                           "%s: the tensor is not the %zu x %zu, blocksize %zu%s that was asked for",
                           p->weights, p->n, p->k, p->blocksize, p->nested ? ", nested" : "");
    memcpy(set->packed.data, t->packed, set->packed.size);
    if (p->nested) {
        memcpy(set->absmax_code.data, t->nested.codes, set->absmax_code.size);
        memcpy(set->nested_absmax.data, t->nested.nested_absmax, set->nested_absmax.size);
        memcpy(o->nested_map.data, t->nested.map, o->nested_map.size);
        o->nested_offset = t->nested.offset;
    } else {
        memcpy(set->absmax.data, t->absmax, set->absmax.size);
    }
    return STATUS_OK;
}

static enum status load_weights(struct operands *o)
{
    const struct problem *p = &o->problem;
    char path[WEIGHTS_TEXT_MAX];
    snprintf(path, sizeof path, "%s", p->weights);
    /* The tensor's name is what follows the last colon: tensor names have none, paths may. */
    char *colon = strrchr(path, ':');
    if (!colon)
        return status_fail(STATUS_USAGE, "weights=%s: neither 'normal' nor FILE:TENSOR", p->weights);
    *colon = '\0';
    const char *name = colon + 1;
    struct safetensors file;
    enum status s = safetensors_open(path, &file);
    if (s != STATUS_OK)
        return s;
    if (p->checkpoint) {
        struct nf4_tensor t;
        void *owned = NULL;
        s = weight_checkpoint(&file, name, &t, &owned);
        if (s == STATUS_OK)
            s = copy_checkpoint(o, &t);
        free(owned);
    } else {
        const struct safetensor *tensor = safetensors_find(&file, name);
        if (tensor && tensor->count != problem_weight_count(p))
            s = status_fail(STATUS_INPUT, "%s: the tensor has %zu elements, not %zu x %zu", p->weights,
                            tensor->count, p->n, p->k);
        else
            s = make_weights(o, &(struct dense_source){&file, name});
    }
    safetensors_release(&file);
    return s;
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
        if (set->repacked.data)
            set->repacked_hash = bytes_hash(set->repacked.data, set->repacked.size);
    }
}

enum status operands_init(const struct problem *p, size_t copies, struct device *device, struct operands *out)
{
    enum status s = allocate(p, copies, device, out);
    if (s == STATUS_OK)
        s = strcmp(p->weights, "normal") == 0 ? make_weights(out, NULL) : load_weights(out);
    if (s != STATUS_OK) {
        operands_release(out);
        return s;
    }
    fill_normal(&out->sets[0].x, p->out, 1.0f, p->seed, RANDOM_ACTIVATIONS);
    fill_normal(&out->sets[0].bias, p->out, 0.1f, p->seed, RANDOM_BIAS);
    buffer_poison(&out->sets[0].out, p->seed);
    for (size_t c = 1; c < copies; c++)
        for (size_t i = 0; i < PART_COUNT; i++)
            memcpy(part_of(&out->sets[c], i)->data, part_of(&out->sets[0], i)->data,
                   part_of(&out->sets[0], i)->size);
    out->sets[0].input_hash = hash_inputs(&out->sets[0]);
    for (size_t c = 1; c < copies; c++)
        out->sets[c].input_hash = out->sets[0].input_hash;
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
        buffer_release(&o->sets[c].repacked);
    }
    free(o->sets);
    buffer_release(&o->nested_map);
    buffer_release(&o->workspace);
    o->sets = NULL;
    o->copies = 0;
}

void operands_buffers(const struct operands *o, size_t i, struct buffer *list[OPERAND_BUFFERS])
{
    _Static_assert((int)PART_COUNT == OPERAND_OUT + 1 && (int)PART_COUNT == OPERAND_REPACKED,
                   "the output is the last part, and the repacked codes follow the parts");
    for (size_t j = 0; j < PART_COUNT; j++)
        list[j] = part_of(&o->sets[i], j);
    list[OPERAND_REPACKED] = &o->sets[i].repacked;
    list[OPERAND_MAP] = (struct buffer *)&o->nested_map;
    list[OPERAND_WORKSPACE] = (struct buffer *)&o->workspace;
}

struct nf4_tensor operands_tensor(const struct operands *o, size_t i)
{
    const struct operand_set *set = &o->sets[i];
    struct nf4_tensor t = {.count = problem_weight_count(&o->problem),
                           .blocksize = o->problem.blocksize,
                           .packed = set->packed.data};
    if (o->problem.nested)
        t.nested = (struct nested_absmax){.codes = set->absmax_code.data,
                                          .nested_absmax = set->nested_absmax.data,
                                          .map = o->nested_map.data,
                                          .offset = o->nested_offset};
    else
        t.absmax = set->absmax.data;
    return t;
}

static struct nf4_weights kernel_weights(const struct operands *o, size_t i)
{
    const struct operand_set *set = &o->sets[i];
    struct nf4_weights w = {.packed = set->packed.data, .blocksize = o->problem.blocksize};
    if (o->problem.nested) {
        w.absmax_code = set->absmax_code.data;
        w.nested_absmax = set->nested_absmax.data;
        w.nested_map = o->nested_map.data;
        w.nested_offset = o->nested_offset;
    } else {
        w.absmax = set->absmax.data;
    }
    return w;
}

struct gemm_args operands_gemm_args(const struct operands *o, size_t i)
{
    const struct operand_set *set = &o->sets[i];
    return (struct gemm_args){.m = o->problem.m,
                              .n = o->problem.n,
                              .k = o->problem.k,
                              .w = kernel_weights(o, i),
                              .x = set->x.data,
                              .bias = o->problem.bias ? set->bias.data : NULL,
                              .y = set->out.data,
                              .workspace = o->workspace.data,
                              .prepared = set->repacked.data};
}

struct dequant_args operands_dequant_args(const struct operands *o, size_t i)
{
    return (struct dequant_args){
        .count = problem_weight_count(&o->problem), .w = kernel_weights(o, i), .out = o->sets[i].out.data};
}

struct repack_args operands_repack_args(const struct operands *o, size_t i)
{
    const struct operand_set *set = &o->sets[i];
    return (struct repack_args){
        .n = o->problem.n,
        .k = o->problem.k,
        .from = o->problem.op == OP_REPACK ? set->packed.data : set->repacked.data,
        .to = set->out.data,
    };
}

size_t operands_args(const struct operands *o, size_t i, bool repacked, union kernel_args *out)
{
    switch (o->problem.op) {
    case OP_DEQUANT:
        out->dequant = operands_dequant_args(o, i);
        return sizeof out->dequant;
    case OP_REPACK:
    case OP_UNREPACK:
        out->repack = operands_repack_args(o, i);
        return sizeof out->repack;
    default:
        out->gemm = operands_gemm_args(o, i);
        if (repacked)
            out->gemm.w.packed = NULL;
        return sizeof out->gemm;
    }
}

static enum status repack_set(const struct operands *o, size_t i)
{
    struct operand_set *set = &o->sets[i];
    const size_t n = o->problem.n, k = o->problem.k;
    if (!set->repacked.data) {
        enum status s = init_buffer(o->device, &set->repacked, nf4_repacked_bytes(n, k), "repacked weights");
        if (s != STATUS_OK)
            return s;
    }
    nf4_repack(set->packed.data, n, k, set->repacked.data);
    set->repacked_hash = bytes_hash(set->repacked.data, set->repacked.size);
    return STATUS_OK;
}

enum status operands_prepare_for(const struct operands *o, size_t i, const struct kernel *k, void **prepared)
{
    *prepared = NULL;
    if (kernel_takes_repacked(k) || k->contract.op == OP_UNREPACK)
        return repack_set(o, i);
    if (!k->prepare)
        return STATUS_OK;
    /* Dense weights are so much larger that fewer of them will do: sets have them in common. */
    if (k->blas == BLAS_DENSE)
        i %= cold_copies(problem_weight_count(&o->problem) * dtype_size(o->problem.out));
    struct gemm_args args = operands_gemm_args(o, i);
    watch_begin(k, "the preparation of its weights");
    enum status s = k->prepare(k, &args, prepared);
    watch_end();
    return s;
}

bool operands_intact(const struct operands *o, size_t i, char *what, size_t size)
{
    const struct operand_set *set = &o->sets[i];
    ptrdiff_t offset;
    for (size_t j = 0; j < PART_COUNT; j++) {
        const struct buffer *b = part_of(set, j);
        if (!buffer_canaries_whole(b, &offset)) {
            snprintf(what, size, "wrote outside of the %s: byte %td of %zu", parts[j].name, offset, b->size);
            return false;
        }
    }
    if (!buffer_canaries_whole(&o->workspace, &offset)) {
        snprintf(what, size, "wrote outside of the workspace: byte %td of %zu", offset, o->workspace.size);
        return false;
    }
    if (set->repacked.data && !buffer_canaries_whole(&set->repacked, &offset)) {
        snprintf(what, size, "wrote outside of the repacked weights: byte %td of %zu", offset,
                 set->repacked.size);
        return false;
    }
    if (set->repacked.data && bytes_hash(set->repacked.data, set->repacked.size) != set->repacked_hash) {
        snprintf(what, size, "wrote to its inputs: the repacked weights");
        return false;
    }
    if (hash_inputs(set) != set->input_hash) {
        snprintf(what, size, "wrote to its inputs");
        return false;
    }
    return true;
}
