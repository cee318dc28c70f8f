#include "harness/device/cuda/nvml.h"

#include <dlfcn.h>
#include <math.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/device/cuda/driver.h"

enum { CLOCK_SM = 1, CLOCK_MEMORY = 2, PROCESSES_MAX = 64 };

void nvml_open(struct nvml *n, const char *bus_id)
{
    static const struct library_function functions[] = {
#define NVML_FUNCTION(name, symbol, parameters) {#symbol, offsetof(struct nvml, name), false},
#include "harness/device/cuda/nvml_functions.inc"
    };
    const char *path = getenv("NF4BENCH_LIBNVML");
    memset(n, 0, sizeof *n);
    void *library = dlopen(path && *path ? path : "libnvidia-ml.so.1", RTLD_NOW | RTLD_LOCAL);
    if (!library)
        return;
    library_functions(library, functions, sizeof functions / sizeof functions[0], n);
    if (!n->init || !n->handle || n->init() != 0 || n->handle(bus_id, &n->device) != 0)
        n->device = NULL;
}

void nvml_watch(const struct nvml *n, struct nvml_sensors *out)
{
    unsigned value;
    unsigned long long reasons = 0;
    *out = (struct nvml_sensors){NAN, NAN, NAN, NAN, 0};
    if (!n->device)
        return;
    if (n->clock && n->clock(n->device, CLOCK_SM, &value) == 0)
        out->sm_mhz = value;
    if (n->reasons && n->reasons(n->device, &reasons) == 0)
        out->reasons = reasons;
}

void nvml_read(const struct nvml *n, struct nvml_sensors *out)
{
    unsigned value;
    nvml_watch(n, out);
    if (!n->device)
        return;
    if (n->clock && n->clock(n->device, CLOCK_MEMORY, &value) == 0)
        out->memory_mhz = value;
    if (n->power && n->power(n->device, &value) == 0)
        out->power_w = 1e-3 * value;
    if (n->temperature && n->temperature(n->device, 0, &value) == 0)
        out->temperature_c = value;
}

void nvml_describe(const struct nvml *n, struct gpu_facts *out)
{
    struct nvml_process list[PROCESSES_MAX];
    unsigned value, pending, count = PROCESSES_MAX;
    int mode;
    *out = (struct gpu_facts){.power_limit_w = NAN,
                              .sm_mhz_max = NAN,
                              .sm_mhz_application = NAN,
                              .persistence = -1,
                              .mig = -1,
                              .other_processes = -1};
    if (!n->device)
        return;
    if (!n->driver_version || n->driver_version(out->driver_version, sizeof out->driver_version) != 0)
        out->driver_version[0] = '\0';
    if (n->power_limit && n->power_limit(n->device, &value) == 0)
        out->power_limit_w = 1e-3 * value;
    if (n->clock_max && n->clock_max(n->device, CLOCK_SM, &value) == 0)
        out->sm_mhz_max = value;
    if (n->clock_application && n->clock_application(n->device, CLOCK_SM, &value) == 0)
        out->sm_mhz_application = value;
    if (n->persistence && n->persistence(n->device, &mode) == 0)
        out->persistence = mode;
    if (n->mig && n->mig(n->device, &value, &pending) == 0)
        out->mig = (int)value;
    if (!n->processes || n->processes(n->device, &count, list) != 0)
        return;
    out->other_processes = 0;
    for (unsigned i = 0; i < count; i++)
        out->other_processes += list[i].pid != (unsigned)getpid();
}
