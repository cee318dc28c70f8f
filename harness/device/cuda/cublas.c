#include "harness/device/cuda/cublas.h"

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include "harness/device/cuda/driver.h"

const char *cublas_status_name(int code)
{
    static const char *const names[] = {
        [1] = "CUBLAS_STATUS_NOT_INITIALIZED", [CUBLAS_ALLOC_FAILED] = "CUBLAS_STATUS_ALLOC_FAILED",
        [7] = "CUBLAS_STATUS_INVALID_VALUE",   [CUBLAS_ARCH_MISMATCH] = "CUBLAS_STATUS_ARCH_MISMATCH",
        [11] = "CUBLAS_STATUS_MAPPING_ERROR",  [13] = "CUBLAS_STATUS_EXECUTION_FAILED",
        [14] = "CUBLAS_STATUS_INTERNAL_ERROR", [CUBLAS_NOT_SUPPORTED] = "CUBLAS_STATUS_NOT_SUPPORTED",
    };
    const char *name = code >= 0 && (size_t)code < sizeof names / sizeof names[0] ? names[code] : NULL;
    return name ? name : "a status unknown to this program";
}

static void *open_library(const char **path)
{
    static const char *const usual[] = {"libcublas.so.13", "libcublas.so.12", "libcublas.so.11"};
    void *library = NULL;
    *path = getenv("NF4BENCH_LIBCUBLAS");
    if (*path && **path)
        return dlopen(*path, RTLD_NOW | RTLD_LOCAL);
    for (size_t i = 0; i < sizeof usual / sizeof usual[0] && !library; i++) {
        *path = usual[i];
        library = dlopen(usual[i], RTLD_NOW | RTLD_LOCAL);
    }
    return library;
}

enum status cublas_open(struct cublas *b)
{
    static const struct library_function functions[] = {
#define CUBLAS_FUNCTION(name, symbol, parameters) {#symbol, offsetof(struct cublas, name), true},
#include "harness/device/cuda/cublas_functions.inc"
    };
    const char *path;
    memset(b, 0, sizeof *b);
    b->library = open_library(&path);
    if (!b->library)
        return status_fail(STATUS_ABSENT,
                           "there is no cuBLAS (%s): NF4BENCH_LIBCUBLAS=PATH says where libcublas.so is",
                           dlerror());
    const char *missing = library_functions(b->library, functions, sizeof functions / sizeof functions[0], b);
    return missing
               ? status_fail(STATUS_DEVICE, "cuBLAS %s has no %s: version 11.0 is the least", path, missing)
               : STATUS_OK;
}
