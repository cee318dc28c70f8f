#include "harness/device/call.h"

#include <stdio.h>
#include <string.h>

#include "harness/device/request.h"
#include "harness/device/simt/simt.h"

/* Kernels that ran into the time limit, and what was said of them. */
static struct endless {
    const struct kernel *kernel;
    char text[96];
} endless[64];
static size_t endless_count;

static const struct endless *find_endless(const struct kernel *k)
{
    for (size_t i = 0; i < endless_count; i++)
        if (endless[i].kernel == k)
            return &endless[i];
    return NULL;
}

static void remember_endless(const struct kernel *k, const char *text)
{
    if (endless_count == sizeof endless / sizeof endless[0])
        return;
    struct endless *e = &endless[endless_count++];
    e->kernel = k;
    snprintf(e->text, sizeof e->text, "%.*s", (int)strcspn(text, "\n"), text);
}

static bool fail(struct call_fault *fault, const struct device *d, const char *word, const char *text,
                 const char *more)
{
    snprintf(fault->word, sizeof fault->word, "%s", word);
    snprintf(fault->text, sizeof fault->text, "%s%s", text, more);
    device_format(d, fault->device);
    return false;
}

bool call_kernel(const struct operands *o, size_t i, const struct kernel *k, struct call_fault *fault)
{
    const enum device_kind kind = o->device->kind;
    const struct endless *e = find_endless(k);
    if (e) {
        *fault = (struct call_fault){.endless = true, .sentence = kind == DEVICE_CPU};
        return fail(fault, o->device, kind == DEVICE_SIMT ? simt_fault_word(SIMT_TIMEOUT) : "hang",
                    "not called after an earlier case: ", e->text);
    }
    const bool ok = kind == DEVICE_CPU    ? request_call_cpu(o, i, k, fault)
                    : kind == DEVICE_CUDA ? request_call_cuda(o, k, fault)
                                          : request_call_simt(o, i, k, fault);
    if (!ok && fault->endless)
        remember_endless(k, fault->text);
    return ok;
}
