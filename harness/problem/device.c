#include "harness/problem/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/machine.h"

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
    const char *checked = after_word(text, "simt:checked"), *fast = after_word(text, "simt:fast");
    const char *rest = checked ? checked : fast ? fast : after_word(text, "simt");
    out->checked = checked != NULL;
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

static const char *executor_word(const struct device *d)
{
    return d->checked ? "simt:checked" : "simt:fast";
}

void device_format(const struct device *d, char text[DEVICE_TEXT_MAX])
{
    char limit[24] = "", schedule[32] = "", async[24] = "";
    if (d->limit_s > 0)
        snprintf(limit, sizeof limit, ",limit=%g", d->limit_s);
    if (d->fixed_schedule)
        snprintf(schedule, sizeof schedule, ",schedule=%llu", (unsigned long long)d->schedule);
    if (d->fixed_async)
        snprintf(async, sizeof async, ",async=%s", async_words[d->async]);
    if (d->kind == DEVICE_CUDA)
        snprintf(text, DEVICE_TEXT_MAX, "%s%s%s%s", d->all ? "all" : "cuda", d->which[0] ? ":" : "", d->which,
                 limit);
    else if (d->kind == DEVICE_CPU)
        snprintf(text, DEVICE_TEXT_MAX, "cpu%s", limit);
    else
        snprintf(text, DEVICE_TEXT_MAX, "%s%s%s", executor_word(d), schedule, async);
}

const char *device_model(const struct device *d)
{
    return d->kind == DEVICE_CPU ? cpu_model() : d->kind == DEVICE_SIMT ? executor_word(d) : d->gpu.name;
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

bool device_slow(const struct device *d)
{
    return d->kind == DEVICE_SIMT || (d->kind == DEVICE_CUDA && d->gpu.sm_count <= 1);
}
