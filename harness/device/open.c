#include "harness/device/open.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "harness/device/caller.h"
#include "harness/problem/image.h"

static bool gpu_is(const struct gpu *g, const char *which)
{
    char *end;
    long number = strtol(which, &end, 10);
    if (which[0] >= '0' && which[0] <= '9' && *end == '\0')
        return number == g->ordinal;
    return strcasecmp(which, g->name) == 0 || strcasecmp(which, g->bus_id) == 0 ||
           (strncasecmp(which, "GPU-", 4) == 0 && strlen(which) >= 8 &&
            strncasecmp(which, g->uuid, strlen(which)) == 0);
}

static enum status no_such_gpu(const char *which, const struct gpu *gpus, size_t count)
{
    char there[1024] = "";
    size_t n = 0;
    for (size_t i = 0; i < count && n < sizeof there; i++)
        n += (size_t)snprintf(there + n, sizeof there - n, "\n  cuda:%d  %s  %s", gpus[i].ordinal,
                              gpus[i].name, gpus[i].uuid);
    return status_fail(STATUS_USAGE, "no GPU is '%s'; this machine has%s", which, there);
}

static enum status open_gpu(const struct device *asked, const struct gpu *gpu, struct device *out)
{
    *out = *asked;
    out->all = false;
    out->gpu = *gpu;
    /* The number is what another run can ask for; what it stands for is recorded beside it. */
    snprintf(out->which, sizeof out->which, "%d", gpu->ordinal);
    return caller_of(out, false) ? STATUS_OK : status_no_memory("GPU");
}

enum status device_open(const struct device *asked, struct device **list, size_t *count)
{
    const struct gpu *gpus = NULL;
    size_t gpu_count = 1;
    enum status s = STATUS_OK;
    *count = 0;
    if (asked->kind == DEVICE_CUDA)
        s = caller_gpus(&gpus, &gpu_count);
    if (s != STATUS_OK && asked->which[0] && s == STATUS_ABSENT)
        return status_fail(STATUS_USAGE, "no GPU is '%s': %s", asked->which, status_message());
    if (s != STATUS_OK)
        return s;
    if (asked->kind == DEVICE_CUDA && !cuda_images[0].source)
        return status_fail(STATUS_USAGE,
                           "this build has no device code: build it with nvcc, as ./dev cuda does");
    *list = calloc(gpu_count, sizeof **list);
    if (!*list)
        return status_no_memory("devices");
    if (asked->kind != DEVICE_CUDA) {
        (*list)[(*count)++] = *asked;
        return STATUS_OK;
    }
    for (size_t i = 0; i < gpu_count && s == STATUS_OK; i++) {
        bool wanted = asked->all                ? true
                      : asked->which[0] == '\0' ? *count == 0
                                                : *count == 0 && gpu_is(&gpus[i], asked->which);
        if (wanted)
            s = open_gpu(asked, &gpus[i], &(*list)[(*count)++]);
    }
    if (s == STATUS_OK && *count == 0)
        s = no_such_gpu(asked->which, gpus, gpu_count);
    if (s != STATUS_OK) {
        device_close(*list, *count);
        *list = NULL;
        *count = 0;
    }
    return s;
}

void device_stop(struct device *d)
{
    for (size_t i = 0; i < sizeof d->callers / sizeof d->callers[0]; i++)
        if (d->callers[i])
            caller_stop(d->callers[i]);
}

void device_release(struct device *d)
{
    for (size_t i = 0; i < sizeof d->callers / sizeof d->callers[0]; i++) {
        caller_free(d->callers[i]);
        d->callers[i] = NULL;
    }
}

void device_close(struct device *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        device_release(&list[i]);
    free(list);
}
