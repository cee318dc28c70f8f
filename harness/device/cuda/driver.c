#include "harness/device/cuda/driver.h"

#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What to do about an error of cuInit(). */
static const struct {
    int code;
    const char *advice;
} advice[] = {
    {34, "the toolkit's stub of the driver was loaded: take its folder out of LD_LIBRARY_PATH, or install a "
         "driver"},
    {36, "the driver is older than the libcuda.so that was loaded: update the driver"},
    {222, "the driver is older than the device code: update the driver"},
    {802, "the system is not ready: on machines with NVSwitch, is the fabric manager running?"},
    {803, "the kernel module and libcuda.so are of different versions: reload the module or reboot; in a "
          "container, "
          "take the compatibility library out of LD_LIBRARY_PATH"},
    {804, "the compatibility library does not support this GPU: take it out of LD_LIBRARY_PATH"},
    {999, "see the kernel's log (dmesg) for NVRM lines; is the module nvidia_uvm loaded?"},
};

const char *cuda_fault_word(int code)
{
    switch (code) {
#define X(code, name, word)                                                                                  \
    case code:                                                                                               \
        return word;
        CUDA_ERROR_MAP(X)
#undef X
    }
    return NULL;
}

const char *cuda_error_text(const struct cuda_driver *cu, int code, char *text, size_t size)
{
    const char *name = NULL, *what = NULL;
    if (cu->cuGetErrorName(code, &name) != 0 || !name)
        name = "an error unknown to the driver";
    if (cu->cuGetErrorString(code, &what) != 0 || !what)
        what = "no text";
    snprintf(text, size, "%s (%d, %s)", name, code, what);
    return text;
}

const char *library_functions(void *library, const struct library_function *functions, size_t count,
                              void *out)
{
    const char *missing = NULL;
    for (size_t i = 0; i < count && !missing; i++) {
        void *f = dlsym(library, functions[i].symbol);
        memcpy((char *)out + functions[i].offset, &f, sizeof f);
        if (!f && functions[i].required)
            missing = functions[i].symbol;
    }
    return missing;
}

enum status cuda_driver_open(struct cuda_driver *cu)
{
    static const struct library_function functions[] = {
#define REQUIRED                                      true
#define OPTIONAL                                      false
#define CUDA_FUNCTION(need, name, symbol, parameters) {#symbol, offsetof(struct cuda_driver, name), need},
#include "harness/device/cuda/functions.inc"
#undef REQUIRED
#undef OPTIONAL
    };
    const char *path = getenv("NF4BENCH_LIBCUDA");
    memset(cu, 0, sizeof *cu);
    if (!path || !*path)
        path = "libcuda.so.1";
    cu->library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!cu->library) {
        const char *why = dlerror();
        why = why ? why : "no reason given";
        /* A library that is there and cannot be loaded is broken; one that is not there means no driver. */
        if (strstr(why, "No such file"))
            return status_fail(STATUS_ABSENT, "no GPU: there is no CUDA driver (%s)", why);
        return status_fail(STATUS_DEVICE, "the CUDA driver cannot be loaded: %s", why);
    }
    const char *missing =
        library_functions(cu->library, functions, sizeof functions / sizeof functions[0], cu);
    if (missing)
        return status_fail(
            STATUS_DEVICE,
            "the CUDA driver %s has no %s: it is too old (CUDA 11.4 is the least), or no driver", path,
            missing);
    int code = cu->cuInit(0);
    if (code == 0)
        return STATUS_OK;
    if (code == CUDA_NO_DEVICE)
        return status_fail(STATUS_ABSENT, "no GPU: the CUDA driver sees none%s",
                           getenv("CUDA_VISIBLE_DEVICES") ? " (CUDA_VISIBLE_DEVICES is set)" : "");
    const char *what = "see the kernel's log (dmesg) for NVRM lines";
    for (size_t i = 0; i < sizeof advice / sizeof advice[0]; i++)
        if (advice[i].code == code)
            what = advice[i].advice;
    char text[256];
    return status_fail(STATUS_DEVICE, "the CUDA driver is broken: cuInit: %s; %s",
                       cuda_error_text(cu, code, text, sizeof text), what);
}
