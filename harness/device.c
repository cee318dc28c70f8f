#include "harness/device.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct device device_cpu = {.kind = DEVICE_CPU};

static const char *const async_words[SIMT_ASYNC_COUNT] = {
    [SIMT_ASYNC_DEFERRED] = "deferred", [SIMT_ASYNC_EAGER] = "eager", [SIMT_ASYNC_RANDOM] = "random"};

static enum status unknown(const char *text)
{
    return status_fail(
        STATUS_USAGE,
        "no device '%s': this version has cpu, simt:fast and simt:checked, the latter two with "
        ",schedule=N and ,async=deferred|eager|random",
        text);
}

/* If `text` begins with `word` and the word ends there: what comes after it. */
static const char *after_word(const char *text, const char *word)
{
    size_t length = strlen(word);
    return strncmp(text, word, length) == 0 && (text[length] == '\0' || text[length] == ',') ? text + length
                                                                                             : NULL;
}

enum status device_parse(const char *text, struct device *out)
{
    *out = (struct device){.kind = DEVICE_CPU};
    if (strcmp(text, "cpu") == 0)
        return STATUS_OK;
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
    char schedule[32] = "", async[24] = "";
    if (d->fixed_schedule)
        snprintf(schedule, sizeof schedule, ",schedule=%llu", (unsigned long long)d->schedule);
    if (d->fixed_async)
        snprintf(async, sizeof async, ",async=%s", async_words[d->async]);
    snprintf(text, DEVICE_TEXT_MAX, "%s%s%s",
             d->kind == DEVICE_CPU ? "cpu"
             : d->checked          ? "simt:checked"
                                   : "simt:fast",
             schedule, async);
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
