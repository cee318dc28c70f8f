#include "harness/device/cuda/bitsandbytes.h"

#include <dirent.h>
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

/* The newest version in the folder below `limit`: 130 is libbitsandbytes_cuda130.so, which was built with CUDA 13.0;
 * 0: none. */
static int newest_below(const char *folder, int limit)
{
    int best = 0;
    DIR *d = opendir(folder);
    for (const struct dirent *e; d && (e = readdir(d));) {
        int version, end = 0;
        if (sscanf(e->d_name, "libbitsandbytes_cuda%3d.so%n", &version, &end) == 1 && end && !e->d_name[end])
            best = version < limit && version > best ? version : best;
    }
    if (d)
        closedir(d);
    return best;
}

static bool open_file(const char *path, struct bitsandbytes_cuda *out)
{
    /* A bare name would be looked for along the loader's path, not here; one that is cut off is none. */
    snprintf(out->file, sizeof out->file, "%s%s", strchr(path, '/') ? "" : "./", path);
    out->library = dlopen(out->file, RTLD_NOW | RTLD_LOCAL);
    return out->library != NULL;
}

static enum status open_newest(const char *folder, int driver, struct bitsandbytes_cuda *out)
{
    char why[512] = "", path[4096];
    int limit = driver / 1000 * 10 + driver % 1000 / 10;
    for (int version = limit + 1; !out->library && (version = newest_below(folder, version));) {
        if (snprintf(path, sizeof path, "%s/libbitsandbytes_cuda%d.so", folder, version) >= (int)sizeof path)
            return status_fail(STATUS_ABSENT, "bitsandbytes: %.256s: the path is too long", folder);
        /* Of several that cannot be loaded the newest says why: the others lack the same. */
        if (!open_file(path, out) && !why[0])
            snprintf(why, sizeof why, "%.400s", dlerror());
    }
    if (out->library)
        return STATUS_OK;
    return status_fail(
        STATUS_ABSENT,
        "bitsandbytes: no libbitsandbytes_cuda*.so for CUDA up to %d.%d can be loaded from %.200s%s%s%s",
        limit / 10, limit % 10, folder, why[0] ? " (" : "", why,
        why[0] ? "); the libraries it names must be in LD_LIBRARY_PATH"
               : "; NF4BENCH_BITSANDBYTES_CUDA=FILE names one");
}

enum status bitsandbytes_cuda_open(const char *where, int driver, struct bitsandbytes_cuda *out)
{
    static const char *const words[DTYPE_COUNT] = {
        [DTYPE_F32] = "fp32", [DTYPE_F16] = "fp16", [DTYPE_BF16] = "bf16"};
    struct stat info;
    enum status s = STATUS_OK;
    char symbol[64];
    memset(out, 0, sizeof *out);
    if (stat(where, &info) == 0 && S_ISDIR(info.st_mode))
        s = open_newest(where, driver, out);
    else if (!open_file(where, out))
        s = status_fail(STATUS_ABSENT, "bitsandbytes: cannot load %s", dlerror());
    if (s == STATUS_OK)
        *(void **)&out->dequantize_bytes = dlsym(out->library, "cdequantize_blockwise_fp32");
    for (int t = 0; t < DTYPE_COUNT && s == STATUS_OK; t++) {
        if (!words[t])
            continue;
        snprintf(symbol, sizeof symbol, "cdequantize_blockwise_%s_nf4", words[t]);
        *(void **)&out->dequantize[t] = dlsym(out->library, symbol);
        snprintf(symbol, sizeof symbol, "cgemm_4bit_inference_naive_%s", words[t]);
        *(void **)&out->gemv[t] = dlsym(out->library, symbol);
        snprintf(symbol, sizeof symbol, "cgemm_4bit_%s", words[t]);
        *(void **)&out->gemm[t] = dlsym(out->library, symbol);
    }
    return s;
}
