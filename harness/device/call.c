#include "harness/device/call.h"

#include <stdio.h>

#include "harness/base/call_state.h"
#include "harness/base/watch.h"
#include "harness/device/cuda/call_cuda.h"
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

static bool state_fault(struct call_fault *fault, const char *changed, const struct device *d)
{
    *fault = (struct call_fault){.ours = false};
    snprintf(fault->word, sizeof fault->word, "call_state");
    snprintf(fault->text, sizeof fault->text, "changed what runs after it in this process: %s", changed);
    device_format(d, fault->device);
    return false;
}

bool call_kernel(const struct operands *o, size_t i, const struct kernel *k, const void *prepared,
                 struct call_fault *fault)
{
    call_state_set_here();
    if (k->backend == BACKEND_CUDA) {
        bool gpu = o->device->kind == DEVICE_CUDA;
        if (is_endless(k)) {
            *fault = (struct call_fault){.endless = true};
            snprintf(fault->word, sizeof fault->word, "%s", gpu ? "hang" : simt_fault_word(SIMT_TIMEOUT));
            snprintf(fault->text, sizeof fault->text, "not launched: it did not end in an earlier case");
            device_format(o->device, fault->device);
            return false;
        }
        bool ok = gpu ? call_cuda(o, k, fault) : call_simt(o, i, k, fault);
        if (!ok && fault->endless)
            remember_endless(k);
        const char *changed = call_state_restore_here(); /* by code that the executor ran in this process */
        return ok && changed ? state_fault(fault, changed, o->device) : ok;
    }
    char changed[96];
    const struct call_state before = call_state_set(0);
    watch_begin(k, "a call");
    call_cpu(o, i, k, prepared);
    watch_end();
    return call_state_changed(&before, changed, sizeof changed) ? state_fault(fault, changed, o->device)
                                                                : true;
}
