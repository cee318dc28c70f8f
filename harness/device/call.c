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

static void remember_endless(const struct kernel *k, const char *text)
{
    if (endless_count == sizeof endless / sizeof endless[0])
        return;
    struct endless *e = &endless[endless_count++];
    e->kernel = k;
    snprintf(e->text, sizeof e->text, "%.*s", (int)strcspn(text, "\n"), text);
}

bool call_kernel(const struct operands *o, size_t i, const struct kernel *k, struct call_fault *fault)
{
    const enum device_kind kind = o->device->kind;
    for (const struct endless *e = endless; e < endless + endless_count; e++) {
        if (e->kernel != k)
            continue;
        *fault = (struct call_fault){.endless = true, .sentence = kind == DEVICE_CPU};
        snprintf(fault->word, sizeof fault->word, "%s",
                 kind == DEVICE_SIMT ? simt_fault_word(SIMT_TIMEOUT) : "hang");
        snprintf(fault->text, sizeof fault->text, "not called after an earlier case: %s", e->text);
        device_format(o->device, fault->device);
        return false;
    }
    const bool ok = kind == DEVICE_CPU    ? request_call_cpu(o, i, k, fault)
                    : kind == DEVICE_CUDA ? request_call_cuda(o, k, fault)
                                          : request_call_simt(o, i, k, fault);
    if (!ok && fault->endless)
        remember_endless(k, fault->text);
    return ok;
}
