/*
 * fake_nvml.c: a libnvidia-ml.so.1 beside fake_cuda.c: NF4BENCH_LIBNVML=.../fake_nvml.so.
 *
 *   NF4BENCH_FAKE_NVML_REASONS=BITS   the throttle reasons that are told (default 0)
 */
#include <stdio.h>
#include <stdlib.h>

#include "harness/cuda/nvml.h"

struct nvml_device {
    int unused;
};
static struct nvml_device device;

#define API                                     __attribute__((visibility("default"))) int
#define NVML_FUNCTION(name, symbol, parameters) API symbol parameters;
#include "harness/cuda/nvml_functions.inc"

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
    *mhz = domain == 1 ? 1500 : 2000;
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
    const char *text = getenv("NF4BENCH_FAKE_NVML_REASONS");
    *reasons = text ? strtoull(text, NULL, 0) : 0;
    return 0;
}

API nvmlDeviceGetComputeRunningProcesses_v3(struct nvml_device *d, unsigned *count, struct nvml_process *list)
{
    (void)d;
    if (*count < 1)
        return 7;
    list[0] = (struct nvml_process){.pid = 1};
    *count = 1;
    return 0;
}
