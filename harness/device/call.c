#include "harness/device/call.h"

#include <stdio.h>
#include <string.h>

#include "harness/base/call_state.h"
#include "harness/device/request.h"
#include "harness/device/simt/call_simt.h"
#include "harness/device/simt/simt.h"

/* Kernels that ran into the time limit. */
static const struct kernel *endless[64];
static size_t endless_count;

static bool is_endless(const struct kernel *k)
{
    for (size_t i = 0; i < endless_count; i++)
        if (endless[i] == k)
            return true;
    return false;
}

static void remember_endless(const struct kernel *k)
{
    if (endless_count < sizeof endless / sizeof endless[0])
        endless[endless_count++] = k;
}

static bool fail(struct call_fault *fault, const struct device *d, const char *word, const char *text, const char *more)
{
    snprintf(fault->word, sizeof fault->word, "%s", word);
    snprintf(fault->text, sizeof fault->text, "%s%s", text, more);
    device_format(d, fault->device);
    return false;
}

/* launch() of a variant runs in this process. */
static bool call_executor(const struct operands *o, size_t i, const struct kernel *k, struct call_fault *fault)
{
    call_state_set_here();
    const bool ok = call_simt(o, i, k, fault);
    const char *changed = call_state_restore_here();
    if (!ok || !changed)
        return ok;
    *fault = (struct call_fault){.sentence = true};
    return fail(fault, o->device, "call_state", "changed what runs after it in this process: ", changed);
}

bool call_kernel(const struct operands *o, size_t i, const struct kernel *k, struct call_fault *fault)
{
    const enum device_kind kind = o->device->kind;
    if (is_endless(k)) {
        *fault = (struct call_fault){.endless = true};
        return fail(fault, o->device, kind == DEVICE_SIMT ? simt_fault_word(SIMT_TIMEOUT) : "hang",
                    "not called: it did not end in an earlier case", "");
    }
    const bool ok = kind == DEVICE_CPU    ? request_call_cpu(o, i, k, fault)
                    : kind == DEVICE_CUDA ? request_call_cuda(o, k, fault)
                                          : call_executor(o, i, k, fault);
    if (!ok && fault->endless)
        remember_endless(k);
    return ok;
}
