#include "harness/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "harness/cpu.h"
#include "harness/cuda/image.h"
#include "harness/cuda/server.h"

struct device device_cpu = {.kind = DEVICE_CPU};

static const char *const async_words[SIMT_ASYNC_COUNT] = {
    [SIMT_ASYNC_DEFERRED] = "deferred", [SIMT_ASYNC_EAGER] = "eager", [SIMT_ASYNC_RANDOM] = "random"};

static enum status unknown(const char *text)
{
    return status_fail(
        STATUS_USAGE,
        "no device '%s': there is cpu, with ,limit=SECONDS; cuda, cuda:N, cuda:UUID and cuda:NAME, with "
        ",limit=SECONDS; all (GPUs); "
        "simt:fast and simt:checked, with ,schedule=N and ,async=deferred|eager|random",
        text);
}

/* If `text` begins with `word` and the word ends there: what comes after it. */
static const char *after_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    return strncmp(text, word, length) == 0 && (text[length] == '\0' || text[length] == ',') ? text + length
                                                                                             : NULL;
}

/* ",limit=SECONDS", or nothing. */
static bool parse_limit(const char *text, struct device *out)
{
    char *end = NULL;
    if (!*text)
        return true;
    out->limit_s = strncmp(text, ",limit=", 7) == 0 ? strtod(text + 7, &end) : 0;
    return out->limit_s > 0 && out->limit_s < 1e6 && end && !*end;
}

static enum status parse_gpu(const char *text, const char *which, struct device *out)
{
    size_t length = strcspn(which, ",");
    out->kind = DEVICE_CUDA;
    if (length >= sizeof out->which)
        return unknown(text);
    memcpy(out->which, which, length);
    return parse_limit(which + length, out) ? STATUS_OK : unknown(text);
}

enum status device_parse(const char *text, struct device *out)
{
    *out = (struct device){.kind = DEVICE_CPU};
    if (after_word(text, "cpu"))
        return parse_limit(text + 3, out) ? STATUS_OK : unknown(text);
    if (after_word(text, "all")) {
        out->all = true;
        return parse_gpu(text, text + 3, out);
    }
    if (after_word(text, "cuda"))
        return parse_gpu(text, text + 4, out);
    if (strncmp(text, "cuda:", 5) == 0 && text[5] && text[5] != ',')
        return parse_gpu(text, text + 5, out);
    out->kind = DEVICE_SIMT;
    const char *rest = after_word(text, "simt");
    if (!rest)
        rest = after_word(text, "simt:fast");
    if (!rest) {
        rest = after_word(text, "simt:checked");
        out->checked = true;
    }
    while (rest && *rest) {
        const char *option = rest + 1;
        rest = NULL;
        if (strncmp(option, "schedule=", 9) == 0) {
            char *end;
            errno = 0;
            out->schedule = strtoull(option + 9, &end, 10);
            out->fixed_schedule = true;
            if (option[9] >= '0' && option[9] <= '9' && errno == 0 && (*end == '\0' || *end == ','))
                rest = end;
        } else if (strncmp(option, "async=", 6) == 0) {
            for (int i = 0; i < SIMT_ASYNC_COUNT && !rest; i++) {
                rest = after_word(option + 6, async_words[i]);
                out->async = (enum simt_async)i;
            }
            out->fixed_async = true;
        }
    }
    return rest ? STATUS_OK : unknown(text);
}

void device_format(const struct device *d, char text[DEVICE_TEXT_MAX])
{
    char limit[32] = "";
    if (d->limit_s > 0)
        snprintf(limit, sizeof limit, ",limit=%g", d->limit_s);
    if (d->kind == DEVICE_CUDA) {
        snprintf(text, DEVICE_TEXT_MAX, "%s%s%s%s", d->all ? "all" : "cuda", d->which[0] ? ":" : "", d->which,
                 limit);
        return;
    }
    if (d->kind == DEVICE_CPU) {
        snprintf(text, DEVICE_TEXT_MAX, "cpu%s", limit);
        return;
    }
    char schedule[32] = "", async[24] = "";
    if (d->fixed_schedule)
        snprintf(schedule, sizeof schedule, ",schedule=%llu", (unsigned long long)d->schedule);
    if (d->fixed_async)
        snprintf(async, sizeof async, ",async=%s", async_words[d->async]);
    snprintf(text, DEVICE_TEXT_MAX, "%s%s%s", d->checked ? "simt:checked" : "simt:fast", schedule, async);
}

const char *device_model(const struct device *d)
{
    switch (d->kind) {
    case DEVICE_CPU:
        return cpu_model();
    case DEVICE_SIMT:
        return d->checked ? "simt:checked" : "simt:fast";
    case DEVICE_CUDA:
        break;
    }
    return d->gpu.name;
}

void device_schedule(const struct device *d, uint64_t launch, uint64_t *schedule, enum simt_async *async)
{
    *schedule = d->fixed_schedule ? d->schedule : launch;
    *async = d->fixed_async ? d->async : (enum simt_async)(launch % SIMT_ASYNC_COUNT);
}

bool device_runs(const struct device *d, enum backend b)
{
    return (d->kind == DEVICE_CPU) == (b == BACKEND_CPU);
}

/* ---- GPUs ---- */

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
    out->server = cuda_server_new(gpu);
    return out->server ? STATUS_OK : status_fail(STATUS_MEMORY, "GPU: out of memory");
}

enum status device_open(const struct device *asked, struct device **list, size_t *count)
{
    const struct gpu *gpus = NULL;
    size_t gpu_count = 1;
    enum status s = STATUS_OK;
    *count = 0;
    if (asked->kind == DEVICE_CUDA)
        s = cuda_gpus(&gpus, &gpu_count);
    if (s != STATUS_OK && asked->which[0] && s == STATUS_ABSENT)
        return status_fail(STATUS_USAGE, "no GPU is '%s': %s", asked->which, status_message());
    if (s != STATUS_OK)
        return s;
    if (asked->kind == DEVICE_CUDA && !cuda_images[0].source)
        return status_fail(STATUS_USAGE,
                           "this build has no device code: build it with nvcc, as ./dev cuda does");
    *list = calloc(gpu_count, sizeof **list);
    if (!*list)
        return status_fail(STATUS_MEMORY, "devices: out of memory");
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
    if (d->server)
        cuda_server_stop(d->server);
}

void device_close(struct device *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        cuda_server_free(list[i].server);
    free(list);
}

bool device_slow(const struct device *d)
{
    return d->kind == DEVICE_SIMT || (d->kind == DEVICE_CUDA && d->gpu.sm_count <= 1);
}
