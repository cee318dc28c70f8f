/*
 * cuda/serve.c: GPUs and contexts.
 */
#include "harness/device/cuda/serve.h"

#include <stdio.h>
#include <stdlib.h>

bool serve_ok(struct serve *s, int code, const char *what)
{
    char text[256];
    if (code == 0)
        return true;
    s->error = code;
    return SERVE_FAIL(s, STATUS_DEVICE, "%s: %s", what, cuda_error_text(&s->cu, code, text, sizeof text));
}

/* ---- GPUs ---- */

static bool describe(struct serve *s, int ordinal, struct gpu *out)
{
    int device, value[6] = {0}, version;
    *out = (struct gpu){.ordinal = ordinal};
    const int which[6] = {CUDA_ATTRIBUTE_MAJOR,    CUDA_ATTRIBUTE_MINOR,        CUDA_ATTRIBUTE_SM_COUNT,
                          CUDA_ATTRIBUTE_L2_BYTES, CUDA_ATTRIBUTE_SHARED_OPTIN, CUDA_ATTRIBUTE_ECC};
    if (!SERVE_CALL(s, cuDeviceGet, &device, ordinal) ||
        !SERVE_CALL(s, cuDeviceGetName, out->name, (int)sizeof out->name, device) ||
        !SERVE_CALL(s, cuDeviceTotalMem, &out->memory_bytes, device) ||
        !SERVE_CALL(s, cuDriverGetVersion, &version))
        return false;
    for (int i = 0; i < 6; i++)
        if (!SERVE_CALL(s, cuDeviceGetAttribute, &value[i], which[i], device))
            return false;
    out->name[sizeof out->name - 1] = '\0';
    out->sm = (unsigned)(10 * value[0] + value[1]);
    out->sm_count = (unsigned)value[2];
    out->l2_bytes = (size_t)value[3];
    out->shared_max = (size_t)value[4];
    out->ecc = value[5] != 0;
    out->driver = version;
    unsigned char u[16];
    if (s->cu.cuDeviceGetUuid(u, device) == 0)
        snprintf(out->uuid, sizeof out->uuid,
                 "GPU-%02x%02x%02x%02x-%02x%02x-%02x%02x-%02x%02x-%02x%02x%02x%02x%02x%02x", u[0], u[1], u[2],
                 u[3], u[4], u[5], u[6], u[7], u[8], u[9], u[10], u[11], u[12], u[13], u[14], u[15]);
    if (s->cu.cuDeviceGetPCIBusId(out->bus_id, (int)sizeof out->bus_id, device) != 0)
        out->bus_id[0] = '\0';
    return true;
}

static bool open_driver(struct serve *s)
{
    enum status status = cuda_driver_open(&s->cu);
    return status == STATUS_OK || SERVE_FAIL(s, status, "%s", status_message());
}

bool serve_list(struct serve *s)
{
    int count = 0;
    if (!open_driver(s) || !SERVE_CALL(s, cuDeviceGetCount, &count))
        return false;
    if (count <= 0)
        return SERVE_FAIL(s, STATUS_ABSENT, "no GPU: the CUDA driver sees none");
    s->channel->count = (size_t)(count < GPU_MAX ? count : GPU_MAX);
    struct gpu *gpus = (struct gpu *)s->channel->window;
    for (size_t i = 0; i < s->channel->count; i++) {
        struct nvml nvml;
        if (!describe(s, (int)i, &gpus[i]))
            return false;
        nvml_open(&nvml, gpus[i].bus_id);
        nvml_describe(&nvml, &gpus[i].facts);
    }
    return true;
}

bool serve_start(struct serve *s)
{
    struct channel *c = s->channel;
    int device;
    /* Nothing is to be loaded at a first launch: behind the blocking kernel that would never end. */
    setenv("CUDA_MODULE_LOADING", "EAGER", 1);
    if (!open_driver(s) || !describe(s, c->ordinal, &s->gpu) ||
        !SERVE_CALL(s, cuDeviceGet, &device, c->ordinal) ||
        !SERVE_CALL(s, cuDevicePrimaryCtxRetain, &s->context, device) ||
        !SERVE_CALL(s, cuCtxSetCurrent, s->context) ||
        !SERVE_CALL(s, cuStreamCreate, &s->stream, CUDA_STREAM_DEFAULT))
        return false;
    /* Copies from and to pageable memory go through memory of the driver's; without this they do. */
    (void)s->cu.cuMemHostRegister(c->window, sizeof c->window, 0);
    nvml_open(&s->nvml, s->gpu.bus_id);
    return true;
}

/* ---- the back end ---- */

static bool handle(struct channel *c, bool (*handler)(struct serve *))
{
    static struct serve s;
    s.channel = c;
    s.error = 0;
    serve_select(&s, c->slot);
    if (handler(&s))
        return true;
    const char *word = cuda_fault_word(s.error);
    snprintf(c->word, sizeof c->word, "%s", word ? word : "");
    return false;
}

#define X(name)                                                                                              \
    static bool handle_##name(struct channel *c)                                                             \
    {                                                                                                        \
        return handle(c, serve_##name);                                                                      \
    }
REQUEST_MAP(X)
#undef X

const struct back_end back_end_cuda = {"cuda",
                                       {
#define X(name) [REQUEST_##name] = handle_##name,
                                           REQUEST_MAP(X)
#undef X
                                       }};
