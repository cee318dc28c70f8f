/*
 * fake_nvml.c: a libnvidia-ml.so.1 beside fake_cuda.c: NF4BENCH_LIBNVML=.../fake_nvml.so.
 *
 *   NF4BENCH_FAKE_NVML_REASONS=BITS[,BITS...]   the throttle reasons that are returned, one after the other and
 *                                               then from the first again (default 0)
 *   NF4BENCH_FAKE_NVML_CLOCKS=MHZ[,MHZ...]      the same for the SM clock (default 1500)
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness/device/cuda/nvml.h"

struct nvml_device {
    int unused;
};
static struct nvml_device device;

#define API                                     __attribute__((visibility("default"))) int
#define NVML_FUNCTION(name, symbol, parameters) API symbol parameters;
#include "harness/device/cuda/nvml_functions.inc"

/* The next of a variable's numbers. */
static unsigned long long next_of(const char *variable, unsigned long long otherwise, unsigned long *calls)
{
    const char *text = getenv(variable);
    if (!text || !*text)
        return otherwise;
    unsigned long count = 1;
    for (const char *c = text; *c; c++)
        count += *c == ',';
    for (unsigned long skip = (*calls)++ % count; skip > 0; skip--)
        text = strchr(text, ',') + 1;
    return strtoull(text, NULL, 0);
}

API nvmlInit_v2(void)
{
    return 0;
}

API nvmlDeviceGetHandleByPciBusId_v2(const char *bus_id, struct nvml_device **out)
{
    *out = &device;
    return bus_id[0] ? 0 : 2;
}

API nvmlSystemGetDriverVersion(char *text, unsigned length)
{
    snprintf(text, length, "fake 1.0");
    return 0;
}

API nvmlDeviceGetClockInfo(struct nvml_device *d, int domain, unsigned *mhz)
{
    (void)d;
    static unsigned long calls;
    *mhz = domain == 1 ? (unsigned)next_of("NF4BENCH_FAKE_NVML_CLOCKS", 1500, &calls) : 2000;
    return 0;
}

API nvmlDeviceGetPowerUsage(struct nvml_device *d, unsigned *milliwatts)
{
    (void)d;
    *milliwatts = 123000;
    return 0;
}

API nvmlDeviceGetEnforcedPowerLimit(struct nvml_device *d, unsigned *milliwatts)
{
    (void)d;
    *milliwatts = 300000;
    return 0;
}

API nvmlDeviceGetTemperature(struct nvml_device *d, int sensor, unsigned *celsius)
{
    (void)d;
    (void)sensor;
    *celsius = 40;
    return 0;
}

API nvmlDeviceGetCurrentClocksThrottleReasons(struct nvml_device *d, unsigned long long *reasons)
{
    (void)d;
    static unsigned long calls;
    *reasons = next_of("NF4BENCH_FAKE_NVML_REASONS", 0, &calls);
    return 0;
}

API nvmlDeviceGetComputeRunningProcesses_v3(struct nvml_device *d, unsigned *count, struct nvml_process *list)
{
    (void)d;
    if (*count < 2)
        return 7;
    list[0] = (struct nvml_process){.pid = 1};
    list[1] = (struct nvml_process){.pid = (unsigned)getpid()};
    *count = 2;
    return 0;
}

API nvmlDeviceGetMaxClockInfo(struct nvml_device *d, int domain, unsigned *mhz)
{
    (void)d;
    *mhz = domain == 1 ? 1980 : 2619;
    return 0;
}

API nvmlDeviceGetApplicationsClock(struct nvml_device *d, int domain, unsigned *mhz)
{
    (void)d;
    *mhz = domain == 1 ? 1755 : 2619;
    return 0;
}

API nvmlDeviceGetPersistenceMode(struct nvml_device *d, int *mode)
{
    (void)d;
    *mode = 1;
    return 0;
}

API nvmlDeviceGetMigMode(struct nvml_device *d, unsigned *now, unsigned *pending)
{
    (void)d;
    (void)now;
    (void)pending;
    return 3; /* as of a GPU that has none */
}
