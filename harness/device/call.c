#include "harness/device/call.h"

#include <stdio.h>

#include "harness/base/call_state.h"
#include "harness/base/watch.h"
#include "harness/device/cpu/guarded.h"
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

/* The text and device of a fault, whose other members are set. Returns false. */
static bool fault_text(struct call_fault *fault, const struct device *d, const char *what, const char *more)
{
    snprintf(fault->text, sizeof fault->text, "%s%s", what, more);
    device_format(d, fault->device);
    return false;
}

static bool state_fault(struct call_fault *fault, const char *changed, const struct device *d)
{
    *fault = (struct call_fault){.word = "call_state"};
    return fault_text(fault, d, "changed what runs after it in this process: ", changed);
}

static bool call_guarded(const struct operands *o, size_t i, const struct kernel *k, const void *prepared,
                         struct call_fault *fault)
{
    struct operands view;
    char changed[96], what[160];
    if (guarded_begin(o, i, o->device->placement, ++o->device->launches, &view) != STATUS_OK) {
        *fault = (struct call_fault){.skip = true, .word = "memory"};
        return fault_text(fault, o->device, status_message(), "");
    }
    const struct call_state before = call_state_set(0);
    watch_begin(k, "a call");
    call_cpu(&view, 0, k, prepared);
    watch_end();
    const bool state = call_state_changed(&before, changed, sizeof changed);
    if (!guarded_end(o, i, what, sizeof what)) {
        *fault = (struct call_fault){.out_of_bounds = true, .word = "bounds"};
        return fault_text(fault, o->device, what, "");
    }
    return state ? state_fault(fault, changed, o->device) : true;
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
            return fault_text(fault, o->device, "not launched: it did not end in an earlier case", "");
        }
        bool ok = gpu ? call_cuda(o, k, fault) : call_simt(o, i, k, fault);
        if (!ok && fault->endless)
            remember_endless(k);
        const char *changed = call_state_restore_here(); /* by code that the executor ran in this process */
        return ok && changed ? state_fault(fault, changed, o->device) : ok;
    }
    return call_guarded(o, i, k, prepared, fault);
}
