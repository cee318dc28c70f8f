/*
 * serve_time.c: samples on the GPU. What a sample is, and why, is in measure.h.
 */
#include "harness/device/cuda/serve.h"

#include <math.h>
#include <stdio.h>

#include "harness/base/stats.h"
#include "harness/device/sampler.h"
#include "harness/problem/image.h"

enum {
    EVENT_PAIRS = 201,
    SELF_TEST_SAMPLES = 9,
    BLOCK_LIMIT_MS = 5000,
    SUPPORT_THREADS = 256,
    SUPPORT_BLOCKS = 8, /* for each SM: enough for full speed, few enough for one wave */
    SHARE_BYTES = 10 << 10,
    SHARE_THREADS = 128, /* of a block of a copy by shares */
};

static bool support(struct serve *s, enum support which, void **parameters)
{
    return serve_support(s, which, SUPPORT_BLOCKS * s->gpu.sm_count, SUPPORT_THREADS, parameters);
}

/* A store for each thread: on an H200, 134 MB are written at 4.2 TB/s so, and at 4.0 by one wave of threads.
 */
static bool fill(struct serve *s, uint64_t p, size_t size)
{
    enum { BLOCK_BYTES = 16 * SUPPORT_THREADS };
    uint32_t value = 0x5a5a5a5a;
    return serve_support(s, SUPPORT_fill, (unsigned)(size / BLOCK_BYTES + 1), SUPPORT_THREADS,
                         (void *[]){&p, &size, &value});
}

/* Two ranges by one launch, as a variant reads weights and scales. */
static bool read_both(struct serve *s, uint64_t p, size_t p_size, uint64_t q, size_t q_size)
{
    uint64_t sink = s->words + 8;
    return support(s, SUPPORT_read, (void *[]){&p, &p_size, &q, &q_size, &sink});
}

static bool read_all(struct serve *s, uint64_t p, size_t size)
{
    return read_both(s, p, size, p, 0);
}

/* Reads as read_both() and writes `to`, as a dequantize does. On an H200, with 60 MB of L2 cache, shares took
 * 0.96 of the time of one wave where 172 or 602 MB were moved, and 1.10 of it where 43 were; each block still
 * divided for its share then. */
static bool copy(struct serve *s, uint64_t p, size_t p_size, uint64_t q, size_t q_size, uint64_t to,
                 size_t to_size)
{
    const size_t bytes = p_size + q_size + to_size, blocks = bytes / SHARE_BYTES + 1;
    size_t reads = ((p_size + q_size) / 16 + blocks - 1) / blocks,
           writes = (to_size / 16 + blocks - 1) / blocks;
    if (bytes < 2 * s->gpu.l2_bytes)
        return support(s, SUPPORT_copy, (void *[]){&p, &p_size, &q, &q_size, &to, &to_size});
    return serve_support(s, SUPPORT_copy_shares, (unsigned)blocks, SHARE_THREADS,
                         (void *[]){&p, &p_size, &q, &q_size, &to, &to_size, &reads, &writes});
}

static uint64_t address(const struct buffer *b)
{
    return (uint64_t)(uintptr_t)b->data;
}

/* Events, the memory to flush with, the gate: once per process. */
static bool make_ready(struct serve *s)
{
    void *gate;
    if (s->gate)
        return true;
    s->flush_bytes = (2 * s->gpu.l2_bytes + 127) / 128 * 128;
    if (!SERVE_CALL(s, cuEventCreate, &s->begin, 0) || !SERVE_CALL(s, cuEventCreate, &s->end, 0) ||
        !SERVE_CALL(s, cuMemAlloc, &s->words, 64) ||
        (s->flush_bytes && !SERVE_CALL(s, cuMemAlloc, &s->flush, s->flush_bytes)) ||
        !SERVE_CALL(s, cuMemHostAlloc, &gate, 64, CUDA_HOST_DEVICEMAP) ||
        !SERVE_CALL(s, cuMemHostGetDevicePointer, &s->gate_address, gate, 0))
        return false;
    /* Lines that another program made persistent would not be flushed. Not all GPUs have any. */
    if (s->cu.cuCtxSetLimit(CUDA_LIMIT_PERSISTING_L2, 0) == 0)
        (void)s->cu.cuCtxResetPersistingL2Cache();
    /* The first launch of each kernel may load it: not behind the gate. */
    s->gate = gate;
    s->gate[0] = 1;
    uint64_t limit = 0, size = 0, salt = 0, words = s->words;
    return fill(s, s->flush, s->flush_bytes) && read_all(s, s->flush, s->flush_bytes) &&
           support(s, SUPPORT_poison, (void *[]){&words, &size, &salt}) &&
           support(s, SUPPORT_hash, (void *[]){&words, &size, &words}) &&
           support(s, SUPPORT_discard, (void *[]){&s->flush, &size}) &&
           serve_support(s, SUPPORT_block, 1, 1, (void *[]){&s->gate_address, &limit}) &&
           serve_synchronize(s);
}

/* ---- parts of a sample ---- */

/* Puts everything out of the L2 cache, and leaves nothing to be written back. */
static bool flush(struct serve *s)
{
    return fill(s, s->flush, s->flush_bytes) &&
           support(s, SUPPORT_discard, (void *[]){&s->flush, &s->flush_bytes});
}

/* `most` bytes of the output from `offset` on. */
static bool poison(struct serve *s, size_t set, size_t offset, size_t most, uint64_t salt)
{
    const struct buffer *out = &s->operands.sets[set].out;
    uint64_t p = address(out) + offset;
    size_t size = out->size - offset < most ? out->size - offset : most;
    return support(s, SUPPORT_poison, (void *[]){&p, &size, &salt});
}

static bool hash_output(struct serve *s, size_t set, uint64_t *hash)
{
    const struct buffer *out = &s->operands.sets[set].out;
    uint64_t p = address(out), zero = 0;
    size_t size = out->size;
    return SERVE_CALL(s, cuMemcpyHtoD, s->words, &zero, sizeof zero) &&
           support(s, SUPPORT_hash, (void *[]){&p, &size, &s->words}) && serve_synchronize(s) &&
           SERVE_CALL(s, cuMemcpyDtoH, hash, s->words, sizeof *hash);
}

static bool close_gate(struct serve *s)
{
    uint64_t limit_ns = (uint64_t)BLOCK_LIMIT_MS * 1000000;
    s->gate[0] = 0;
    s->gate[1] = 0;
    return serve_support(s, SUPPORT_block, 1, 1, (void *[]){&s->gate_address, &limit_ns});
}

static bool call_row(struct serve *s, const struct serve_row *r, size_t set)
{
    const struct operand_set *o = &s->operands.sets[set];
    static const struct buffer none;
    const struct buffer *scales = op_is_repack(s->operands.problem.op) ? &none
                                  : s->operands.problem.format.nested  ? &o->absmax_code
                                  : o->scale.size                      ? &o->scale
                                                                       : &o->absmax;
    const struct buffer *codes =
        s->operands.problem.op == OP_UNREPACK ? &o->stored[LAYOUT_FRAGMENTS] : &o->packed;
    switch (r->ceiling) {
    case CEILING_NONE:
        return serve_enqueue(s, &r->kernel, set);
    case CEILING_FILL:
        return fill(s, address(&o->out), o->out.size);
    case CEILING_COPY:
        return copy(s, address(codes), codes->size, address(scales), scales->size, address(&o->out),
                    o->out.size);
    default:
        return read_both(s, address(&o->packed), o->packed.size, address(scales), scales->size);
    }
}

static bool call_repeatedly(struct serve *s, const struct serve_row *r, size_t set)
{
    if (r->repeat)
        return SERVE_CALL(s, cuGraphLaunch, r->repeat, s->stream);
    for (size_t i = 0; i < r->calls; i++)
        if (!call_row(s, r, set))
            return false;
    return true;
}

static bool elapsed_us(struct serve *s, double *us)
{
    float ms;
    if (!SERVE_CALL(s, cuEventElapsedTime, &ms, s->begin, s->end))
        return false;
    *us = 1e3 * (double)ms;
    return true;
}

static bool record(struct serve *s, struct cuda_event *e)
{
    return SERVE_CALL(s, cuEventRecord, e, s->stream);
}

/* Once everything of a sample is queued: opens the gate. A gate that opened by itself spoils the sample. */
static bool open_gate(struct serve *s)
{
    s->gate[0] = 1;
    if (!serve_synchronize(s))
        return false;
    s->channel->late = s->gate[1] != 0;
    return true;
}

/* ---- rows ---- */

static struct serve_row *row_of(struct serve *s)
{
    size_t i = s->channel->row;
    if (i >= CHANNEL_ROWS_MAX || s->operands.copies == 0) {
        SERVE_FAIL(s, STATUS_LIMIT, "row %zu: more than %d rows in a group, or nothing bound", i,
                   CHANNEL_ROWS_MAX);
        return NULL;
    }
    return &s->rows[i];
}

static bool forget_row(struct serve *s, struct serve_row *r)
{
    struct cuda_graph_exec *repeat = r->repeat;
    *r = (struct serve_row){0};
    return !repeat || SERVE_CALL(s, cuGraphExecDestroy, repeat);
}

bool serve_end_rows(struct serve *s)
{
    for (size_t i = 0; i < CHANNEL_ROWS_MAX; i++)
        if (s->rows[i].used && !forget_row(s, &s->rows[i]))
            return false;
    bool ok = true;
    for (size_t i = CHANNEL_SLOTS; i-- > 0 && ok;) {
        serve_select(s, i);
        ok = serve_release(s);
    }
    return ok;
}

/* Of all kernels of the chain; 0 where the driver compiled one of them. */
static uint64_t hash_code(const struct serve *s, const struct serve_kernel *k)
{
    const struct cuda_image *image = cuda_image_find(k->own->source);
    uint64_t hash = CUDA_HASH_BEGIN;
    char entry[CHANNEL_NAME + 16];
    if (k->own->recipe)
        return image && cuda_image_hash_entry(image, k->own->recipe->entry, s->gpu.sm, &hash) ? hash : 0;
    for (size_t i = 0; i < k->count; i++) {
        snprintf(entry, sizeof entry, i == 0 ? "%s" : "%s_then", k->variant->name);
        if (!image || !cuda_image_hash_entry(image, entry, s->gpu.sm, &hash))
            return 0;
    }
    return hash;
}

static bool take_code(struct serve *s, const struct serve_kernel *k, struct gpu_code *f)
{
    struct launch l;
    *f = (struct gpu_code){0};
    if (!serve_launch_shape(s, k, &l))
        return false;
    f->dynamic_shared_bytes = l.shared;
    f->code_hash = hash_code(s, k);
    struct cuda_function *function = k->function[0];
    if (s->cu.cuOccupancyMaxActiveBlocksPerMultiprocessor(&f->blocks_per_sm, function, (int)l.threads,
                                                          l.shared) != 0)
        f->blocks_per_sm = 0;
    return SERVE_CALL(s, cuFuncGetAttribute, &f->registers, CUDA_FUNCTION_REGISTERS, function) &&
           SERVE_CALL(s, cuFuncGetAttribute, &f->shared_bytes, CUDA_FUNCTION_SHARED_BYTES, function) &&
           SERVE_CALL(s, cuFuncGetAttribute, &f->local_bytes, CUDA_FUNCTION_LOCAL_BYTES, function);
}

static bool is_library(const struct serve_kernel *k)
{
    return k->variant->blas || k->variant->bitsandbytes;
}

bool serve_row(struct serve *s)
{
    struct channel *c = s->channel;
    struct serve_row *r = row_of(s);
    if (!r || !make_ready(s) || !forget_row(s, r))
        return false;
    r->used = true;
    r->calls = 1;
    r->ceiling = c->ceiling;
    if (c->ceiling == CEILING_NONE && !serve_find(s, &r->kernel))
        return false;
    if (!poison(s, 0, 0, SIZE_MAX, c->salt) || !call_row(s, r, 0) || !serve_synchronize(s))
        return false;
    if (c->ceiling != CEILING_NONE)
        return true;
    if (is_library(&r->kernel)) { /* machine code that is not ours */
        c->code = (struct gpu_code){0};
        return true;
    }
    return take_code(s, &r->kernel, &c->code);
}

bool serve_row_hash(struct serve *s)
{
    struct serve_row *r = row_of(s);
    if (!r || !hash_output(s, 0, &r->hash))
        return false;
    r->pinned = true;
    return true;
}

/* A graph of the calls, or NULL where they cannot be captured: then they are a loop. */
static struct cuda_graph_exec *capture(struct serve *s, const struct serve_row *r)
{
    struct cuda_graph *graph = NULL;
    struct cuda_graph_exec *exec = NULL;
    const struct cuda_driver *cu = &s->cu;
    if (cu->cuStreamBeginCapture(s->stream, CUDA_CAPTURE_RELAXED) != 0)
        return NULL;
    bool queued = true;
    for (size_t i = 0; i < r->calls && queued; i++)
        queued = call_row(s, r, 0);
    if (!queued && r->ceiling == CEILING_NONE &&
        is_library(&r->kernel)) /* a library may refuse to be captured, and be called all the same */
        s->channel->status = STATUS_OK;
    if (cu->cuStreamEndCapture(s->stream, &graph) != 0 || !graph)
        return NULL;
    if (queued && cu->cuGraphInstantiateWithFlags(&exec, graph, 0) != 0)
        exec = NULL;
    (void)cu->cuGraphDestroy(graph);
    return exec;
}

bool serve_row_repeat(struct serve *s)
{
    enum { TRIAL = 5 };
    struct serve_row *r = row_of(s);
    double us;
    if (!r || !call_row(s, r, 0) || !record(s, s->begin))
        return false;
    for (int i = 0; i < TRIAL; i++)
        if (!call_row(s, r, 0))
            return false;
    if (!record(s, s->end) || !serve_synchronize(s) || !elapsed_us(s, &us))
        return false;
    r->calls = hot_calls(us / TRIAL);
    if (r->repeat && !SERVE_CALL(s, cuGraphExecDestroy, r->repeat))
        return false;
    r->repeat = capture(s, r);
    if (s->channel->status != STATUS_OK)
        return false; /* a launch failed, not its capture */
    s->channel->count = r->calls;
    s->channel->graph = r->repeat != NULL;
    /* Its first launch uploads it: not behind the gate. */
    return call_repeatedly(s, r, 0) && serve_synchronize(s);
}

/* Untimed calls as of a hot sample, but that a variant does not know how many, nor that a place is poisoned before the last. */
static bool check_calls(struct serve *s, const struct serve_row *r)
{
    struct channel *c = s->channel;
    const size_t place = hot_poison_place(c->salt, 0, s->operands.sets[0].out.size);
    uint64_t hash = r->hash;
    bool ok = poison(s, 0, 0, SIZE_MAX, c->salt);
    for (size_t i = 1; i < c->more_calls && ok; i++)
        ok = call_row(s, r, 0);
    ok = ok && poison(s, 0, place, HOT_POISON_BYTES, c->salt) && call_row(s, r, 0) && hash_output(s, 0, &hash);
    c->wrong_hash = hash != r->hash;
    return ok;
}

bool serve_sample(struct serve *s)
{
    struct channel *c = s->channel;
    struct serve_row *r = row_of(s);
    if (!r || !r->used)
        return r ? SERVE_FAIL(s, STATUS_INTERNAL, "sample: row %zu is not known", c->row) : false;
    size_t set = c->hot ? 0 : s->next_set++ % s->operands.copies;
    uint64_t hash = r->hash;
    double us = 0;
    c->late = c->wrong_hash = false;
    /* Hot: the others have been there since, so that it warms up again first. */
    if (c->hot && (!call_repeatedly(s, r, set)))
        return false;
    if (r->ceiling == CEILING_NONE && !poison(s, set, 0, SIZE_MAX, c->salt))
        return false;
    if (!c->hot && !flush(s))
        return false;
    /* A loop is not held back: a stream takes some hundred launches, then the host waits, for ever. */
    bool gated = !c->hot || r->repeat;
    s->gate[0] = 1;
    s->gate[1] = 0;
    if (!serve_synchronize(s) || (gated && !close_gate(s)) || !record(s, s->begin) ||
        !(c->hot ? call_repeatedly(s, r, set) : call_row(s, r, set)) || !record(s, s->end) || !open_gate(s) ||
        !elapsed_us(s, &us))
        return false;
    if (r->pinned && !hash_output(s, set, &hash))
        return false;
    c->wrong_hash = r->pinned && hash != r->hash;
    if (r->pinned && c->more_calls > 0 && !c->wrong_hash && !check_calls(s, r))
        return false;
    c->time_us = us / (double)(c->hot ? r->calls : 1);
    if (c->all_sensors)
        nvml_read(&s->nvml, &c->sensors);
    else
        nvml_watch(&s->nvml, &c->sensors);
    return true;
}

/* ---- what a GPU's times are worth ---- */

static bool time_read(struct serve *s, size_t bytes, bool cold, double *us)
{
    if (!(cold ? flush(s) : read_all(s, s->flush, bytes)) || !serve_synchronize(s) || !close_gate(s) ||
        !record(s, s->begin) || !read_all(s, s->flush, bytes) || !record(s, s->end) || !open_gate(s))
        return false;
    return elapsed_us(s, us);
}

/* A product of dense weights, as fast as cuBLAS makes it: NAN where that is not to be had, which is no
 * failure. */
static bool time_product(struct serve *s, double *flop_per_s)
{
    enum { WARM_UP = 3, CALLS = 10, SIZE = 4096, SIZE_OF_FAKE = 32 };
    const size_t size = s->gpu.sm_count > 1 ? SIZE : SIZE_OF_FAKE;
    uint64_t memory = 0;
    double us = NAN;
    bool ok = serve_blas_square_begin(s, size, &memory);
    for (int i = 0; i < WARM_UP && ok; i++)
        ok = serve_blas_square(s, size, memory);
    ok = ok && record(s, s->begin);
    for (int i = 0; i < CALLS && ok; i++)
        ok = serve_blas_square(s, size, memory);
    ok = ok && record(s, s->end) && serve_synchronize(s) && elapsed_us(s, &us);
    *flop_per_s = ok ? 2e6 * CALLS * (double)size * (double)size * (double)size / us : NAN;
    if (!ok && (s->error == 0 || s->error == CUDA_OUT_OF_MEMORY)) { /* the GPU is well */
        s->channel->status = STATUS_OK;
        s->error = 0;
        s->channel->by_variant = false;
        ok = true;
    }
    return ok && (memory == 0 || SERVE_CALL(s, cuMemFree, memory));
}

/* At most EVENT_PAIRS of them. */
static double median_of(const double *samples, size_t count)
{
    double scratch[EVENT_PAIRS];
    struct sample_summary summary;
    summarize(samples, count, scratch, &summary);
    return summary.median;
}

bool serve_self_test(struct serve *s)
{
    double pairs[EVENT_PAIRS], cold[SELF_TEST_SAMPLES], hot[SELF_TEST_SAMPLES];
    if (!make_ready(s))
        return false;
    for (size_t i = 0; i < EVENT_PAIRS; i++)
        if (!close_gate(s) || !record(s, s->begin) || !record(s, s->end) || !open_gate(s) ||
            !elapsed_us(s, &pairs[i]))
            return false;
    s->channel->overhead_us = median_of(pairs, EVENT_PAIRS);
    /* Half the cache: all of it may not stay, whatever is read. The part that is read is not what the flush
     * wrote last. */
    size_t bytes = s->gpu.l2_bytes / 2;
    s->channel->cold_ratio = NAN;
    if (!time_product(s, &s->channel->gemm_flop_per_s))
        return false;
    if (bytes < 4096)
        return true;
    /* Less what a launch costs that reads nothing: where the cache is read in a few microseconds, that would
     * hide the difference. */
    double nothing[SELF_TEST_SAMPLES];
    for (size_t i = 0; i < SELF_TEST_SAMPLES; i++)
        if (!time_read(s, bytes, true, &cold[i]) || !time_read(s, bytes, false, &hot[i]) ||
            !time_read(s, 0, false, &nothing[i]))
            return false;
    static const double least_us = 0.01;
    const double nothing_us = median_of(nothing, SELF_TEST_SAMPLES);
    s->channel->cold_ratio = fmax(median_of(cold, SELF_TEST_SAMPLES) - nothing_us, least_us) /
                             fmax(median_of(hot, SELF_TEST_SAMPLES) - nothing_us, least_us);
    return true;
}
