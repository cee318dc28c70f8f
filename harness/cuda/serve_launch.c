/*
 * serve_launch.c: device code, and launches of variants and of the kernels in support.cu.
 */
#include "harness/cuda/serve.h"

#include <stdio.h>
#include <string.h>

#include "harness/cuda/image.h"
#include "harness/nvtx.h"

bool serve_module(struct serve *s, const char *source, struct cuda_module **out)
{
    for (size_t i = 0; i < s->module_count; i++)
        if (strcmp(s->modules[i].source, source) == 0) {
            *out = s->modules[i].module;
            return true;
        }
    const struct cuda_image *image = cuda_image_find(source);
    if (!image)
        return serve_fail(s, STATUS_DEVICE, "this build has no device code of %s", source);
    if (s->module_count == SERVE_MODULES_MAX)
        return serve_fail(s, STATUS_INTERNAL, "more than %d files of device code", SERVE_MODULES_MAX);
    if (!SERVE_CALL(s, cuModuleLoadData, out, image->data))
        return false;
    s->modules[s->module_count].source = image->source;
    s->modules[s->module_count++].module = *out;
    return true;
}

bool serve_find(struct serve *s, const struct cuda_kernel *name, struct serve_kernel *out)
{
    struct cuda_module *module;
    *out = (struct serve_kernel){.name = *name};
    if (!serve_module(s, name->source, &module))
        return false;
    char text[CUDA_KERNEL_TEXT + 16];
    snprintf(text, sizeof text, "%s", name->symbol);
    for (const struct entry *e = name->entry; e; e = e->next) {
        if (out->count == SERVE_CHAIN_MAX)
            return serve_fail(s, STATUS_INTERNAL, "%s: more than %d launches", name->name, SERVE_CHAIN_MAX);
        if (!SERVE_CALL(s, cuModuleGetFunction, &out->function[out->count], module, text))
            return false;
        out->entry[out->count++] = e;
        snprintf(text, sizeof text, "%s_then", name->symbol);
    }
    return !name->blas || serve_blas_prepare(s, out);
}

bool serve_enqueue_with(struct serve *s, const struct serve_kernel *k, const void *arguments)
{
    for (size_t i = 0; i < k->count; i++) {
        struct launch l = k->entry[i]->launch(arguments);
        int fixed = 0;
        enum { SHARED_WITHOUT_ASKING = 48 * 1024 };
        if (l.shared > 0 &&
            !SERVE_CALL(s, cuFuncGetAttribute, &fixed, CUDA_FUNCTION_SHARED_BYTES, k->function[i]))
            return false;
        if (l.shared + (size_t)fixed > s->gpu.shared_max)
            return serve_fail(s, STATUS_LIMIT,
                              "needs %zu bytes of shared memory for a block, this GPU has %zu",
                              l.shared + (size_t)fixed, s->gpu.shared_max);
        if (l.shared + (size_t)fixed > SHARED_WITHOUT_ASKING &&
            !SERVE_CALL(s, cuFuncSetAttribute, k->function[i], CUDA_FUNCTION_DYNAMIC_SHARED_MAX,
                        (int)l.shared))
            return false;
        void *parameters[] = {(void *)arguments};
        s->channel->by_kernel = true;
        if (!SERVE_CALL(s, cuLaunchKernel, k->function[i], l.grid[0], l.grid[1], l.grid[2], l.threads, 1, 1,
                        (unsigned)l.shared, s->stream, parameters, NULL))
            return false;
    }
    return true;
}

bool serve_enqueue(struct serve *s, const struct serve_kernel *k, size_t set)
{
    union kernel_args arguments;
    if (k->name.blas)
        return serve_blas(s, k, set);
    operands_args(&s->operands, set, k->name.repacked, &arguments);
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
        if (!serve_module(s, CUDA_SUPPORT, &module) ||
            !SERVE_CALL(s, cuModuleGetFunction, &s->support[which], module, names[which]))
            return false;
    }
    return SERVE_CALL(s, cuLaunchKernel, s->support[which], blocks, 1, 1, threads, 1, 1, 0, s->stream,
                      parameters, NULL);
}

bool serve_launch(struct serve *s)
{
    struct serve_kernel k;
    if (!serve_find(s, &s->channel->kernel, &k))
        return false;
    nvtx_push(k.name.name); /* what --profile looks for */
    bool ok = serve_enqueue(s, &k, 0) && serve_synchronize(s);
    nvtx_pop();
    return ok;
}
