/*
 * serve_launch.c: device code, and launches of variants and of the kernels in support.cu.
 */
#include "harness/device/cuda/serve.h"

#include <stdio.h>
#include <string.h>

#include "harness/base/nvtx.h"
#include "harness/device/cuda/mma_tile.h"
#include "harness/problem/image.h"

static bool module_of(struct serve *s, const char *source, struct cuda_module **out)
{
    for (size_t i = 0; i < s->module_count; i++)
        if (strcmp(s->modules[i].source, source) == 0) {
            *out = s->modules[i].module;
            return true;
        }
    const struct cuda_image *image = cuda_image_find(source);
    if (!image)
        return SERVE_FAIL(s, STATUS_DEVICE, "this build has no device code of %s", source);
    if (s->module_count == SERVE_MODULES_MAX)
        return SERVE_FAIL(s, STATUS_INTERNAL, "more than %d files of device code", SERVE_MODULES_MAX);
    int code = s->cu.cuModuleLoadData(out, image->data);
    if (code == CUDA_NO_BINARY_FOR_GPU)
        return SERVE_FAIL(s, STATUS_LIMIT, "%s has no code for compute capability %u.%u", source,
                          s->gpu.sm / 10, s->gpu.sm % 10);
    if (!serve_ok(s, code, "cuModuleLoadData"))
        return false;
    s->modules[s->module_count].source = image->source;
    s->modules[s->module_count++].module = *out;
    return true;
}

/* What is wrong with a recipe is the variant's fault, found before the GPU meets it. Returns false. */
static bool refuse(struct serve *s, const struct serve_kernel *k, const char *why)
{
    SERVE_FAIL(s, STATUS_DEVICE, "%s, kernel %s: %s", k->variant->name, k->own->recipe->entry, why);
    s->error = CUDA_INVALID_VALUE;
    serve_variant_begins(s);
    return false;
}

/* The launch on set `set` of a kernel with a recipe, until the next call; NULL when the recipe is refused. */
static struct recipe_launch *resolve(struct serve *s, const struct serve_kernel *k, size_t set)
{
    static struct recipe_launch l; /* large */
    char why[RECIPE_TEXT];
    if (!recipe_resolve(k->own->recipe, &s->operands, set, kernel_layout(k->variant), &l, why))
        return &l;
    refuse(s, k, why);
    return NULL;
}

/* A launch with fewer or other parameters than the kernel has would read what nobody wrote. Drivers before
 * CUDA 12.4 do not say which there are. */
static bool check_parameters(struct serve *s, const struct serve_kernel *k)
{
    const struct recipe_launch *l = resolve(s, k, 0);
    char why[RECIPE_TEXT];
    size_t offset, size;
    if (!l)
        return false;
    for (size_t i = 0; s->cu.cuFuncGetParamInfo && i <= l->count; i++) {
        bool there = s->cu.cuFuncGetParamInfo(k->function[0], i, &offset, &size) == 0;
        if (there == (i < l->count) && (!there || size == l->sizes[i]))
            continue;
        if (i == l->count)
            snprintf(why, sizeof why, "it has more parameters than the %zu that are given", l->count);
        else if (!there)
            snprintf(why, sizeof why, "it has %zu parameters, and %zu are given", i, l->count);
        else
            snprintf(why, sizeof why, "parameter %zu is of %zu bytes, and %zu are given", i + 1, size,
                     l->sizes[i]);
        return refuse(s, k, why);
    }
    return true;
}

bool serve_find(struct serve *s, struct serve_kernel *out)
{
    const struct kernel *k = serve_variant(s->channel);
    struct cuda_module *module;
    if (!k)
        return false;
    const struct kernel *own = k->blas ? k->dequantize : k;
    *out = (struct serve_kernel){.variant = k, .own = own};
    if (k->bitsandbytes)
        return serve_bitsandbytes_prepare(s, out) && (!k->blas || serve_blas_prepare(s, out));
    if (!module_of(s, own->source, &module))
        return false;
    if (own->recipe) {
        out->count = 1;
        return SERVE_CALL(s, cuModuleGetFunction, &out->function[0], module, own->recipe->entry) &&
               check_parameters(s, out);
    }
    char text[CHANNEL_NAME + 16];
    snprintf(text, sizeof text, "%s", own->name);
    for (const struct entry *e = own->entries[ENTRY_FAST]; e; e = e->next) {
        if (out->count == SERVE_CHAIN_MAX)
            return SERVE_FAIL(s, STATUS_INTERNAL, "%s: more than %d launches", k->name, SERVE_CHAIN_MAX);
        if (!SERVE_CALL(s, cuModuleGetFunction, &out->function[out->count], module, text))
            return false;
        out->entry[out->count++] = e;
        snprintf(text, sizeof text, "%s_then", own->name);
    }
    return !k->blas || serve_blas_prepare(s, out);
}

static bool queue(struct serve *s, struct cuda_function *f, const struct launch *l, void **parameters)
{
    int fixed = 0;
    enum { SHARED_WITHOUT_ASKING = 48 * 1024 };
    if (l->shared > 0 && !SERVE_CALL(s, cuFuncGetAttribute, &fixed, CUDA_FUNCTION_SHARED_BYTES, f))
        return false;
    if (l->shared + (size_t)fixed > s->gpu.shared_max)
        return SERVE_FAIL(s, STATUS_LIMIT, "needs %zu bytes of shared memory for a block, this GPU has %zu",
                          l->shared + (size_t)fixed, s->gpu.shared_max);
    if (l->shared + (size_t)fixed > SHARED_WITHOUT_ASKING &&
        !SERVE_CALL(s, cuFuncSetAttribute, f, CUDA_FUNCTION_DYNAMIC_SHARED_MAX, (int)l->shared))
        return false;
    serve_variant_begins(s);
    return SERVE_CALL(s, cuLaunchKernel, f, l->grid[0], l->grid[1], l->grid[2], l->threads, 1, 1,
                      (unsigned)l->shared, s->stream, parameters, NULL);
}

bool serve_enqueue_with(struct serve *s, const struct serve_kernel *k, const void *arguments)
{
    for (size_t i = 0; i < k->count; i++) {
        struct launch l = k->entry[i]->launch(arguments);
        void *parameters[] = {(void *)arguments};
        if (!queue(s, k->function[i], &l, parameters))
            return false;
    }
    return true;
}

bool serve_launch_shape(struct serve *s, const struct serve_kernel *k, struct launch *out)
{
    const struct recipe_launch *l = NULL;
    union kernel_args arguments;
    if (k->own->recipe && !(l = resolve(s, k, 0)))
        return false;
    operands_args(&s->operands, 0, kernel_layout(k->variant), &arguments);
    *out = l ? l->launch : k->entry[0]->launch(&arguments);
    return true;
}

bool serve_enqueue(struct serve *s, const struct serve_kernel *k, size_t set)
{
    union kernel_args arguments;
    if (k->variant->blas)
        return serve_blas(s, k, set);
    if (k->variant->bitsandbytes)
        return serve_bitsandbytes(s, k, set);
    if (k->own->recipe) {
        struct recipe_launch *l = resolve(s, k, set);
        return l && queue(s, k->function[0], &l->launch, l->parameters);
    }
    operands_args(&s->operands, set, kernel_layout(k->variant), &arguments);
    return serve_enqueue_with(s, k, &arguments);
}

bool serve_synchronize(struct serve *s)
{
    return SERVE_CALL(s, cuStreamSynchronize, s->stream);
}

bool serve_support(struct serve *s, enum support which, unsigned blocks, unsigned threads, void **parameters)
{
    static const char *const names[SUPPORT_COUNT] = {
#define X(name) "nf4bench_" #name,
        CUDA_SUPPORT_MAP(X)
#undef X
    };
    struct cuda_module *module;
    if (!s->support[which]) {
        if (!module_of(s, CUDA_SUPPORT, &module) ||
            !SERVE_CALL(s, cuModuleGetFunction, &s->support[which], module, names[which]))
            return false;
    }
    return SERVE_CALL(s, cuLaunchKernel, s->support[which], blocks, 1, 1, threads, 1, 1, 0, s->stream,
                      parameters, NULL);
}

/* Launches k on a stream of its own while others read the operands: with whom a kernel shares the GPU must
 * not show in its bits. */
static bool launch_beside(struct serve *s, const struct serve_kernel *k)
{
    enum { READS = 8, THREADS = 256 };
    const struct operand_set *set = &s->operands.sets[0];
    const struct buffer *read = set->packed.size ? &set->packed : &set->stored[LAYOUT_FRAGMENTS];
    struct cuda_stream *usual = s->stream;
    uint64_t from = (uint64_t)(uintptr_t)read->data, sink = 0;
    size_t size = read->size, none = 0;
    unsigned blocks = s->gpu.sm_count;
    if ((!s->beside && !SERVE_CALL(s, cuStreamCreate, &s->beside, CUDA_STREAM_DEFAULT)) ||
        !SERVE_CALL(s, cuMemAlloc, &sink, 8))
        return false;
    bool ok = true;
    for (int i = 0; i < READS && ok; i++)
        ok = serve_support(s, SUPPORT_read, blocks, THREADS, (void *[]){&from, &size, &from, &none, &sink});
    s->stream = s->beside;
    ok = ok && serve_enqueue(s, k, 0) && serve_synchronize(s);
    s->stream = usual;
    ok = ok && serve_synchronize(s);
    return ok && SERVE_CALL(s, cuMemFree, sink);
}

bool serve_launch(struct serve *s)
{
    struct serve_kernel k;
    if (!serve_find(s, &k))
        return false;
    nvtx_push(k.variant->name); /* what --profile looks for */
    bool ok = s->channel->beside ? launch_beside(s, &k) : serve_enqueue(s, &k, 0) && serve_synchronize(s);
    nvtx_pop();
    return ok;
}

/* Single instructions of the tensor cores, for probe.h. */
bool serve_mma(struct serve *s)
{
    struct channel *c = s->channel;
    size_t bytes = c->count * sizeof(struct mma_tile);
    enum { WARPS = 4 };
    int bf16 = c->problem.out == DTYPE_BF16;
    uint64_t address, count = c->count;
    if (c->count == 0 || bytes > CHANNEL_WINDOW_BYTES)
        return SERVE_FAIL(s, STATUS_INTERNAL, "mma: more tiles than the window has room for");
    if (!SERVE_CALL(s, cuMemAlloc, &address, bytes))
        return false;
    return SERVE_CALL(s, cuMemcpyHtoD, address, c->window, bytes) &&
           serve_support(s, SUPPORT_mma, (unsigned)((count + WARPS - 1) / WARPS), 32 * WARPS,
                         (void *[]){&address, &count, &bf16}) &&
           serve_synchronize(s) && SERVE_CALL(s, cuMemcpyDtoH, c->window, address, bytes) &&
           SERVE_CALL(s, cuMemFree, address);
}
