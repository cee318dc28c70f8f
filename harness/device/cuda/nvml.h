/*
 * nvml.h: clocks, power and temperature of a GPU, from NVML (libnvidia-ml.so.1, or the file that
 * NF4BENCH_LIBNVML names), loaded at run time. What cannot be had is NAN or 0: no measurement needs it.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CUDA_NVML_H
#define NF4BENCH_HARNESS_DEVICE_CUDA_NVML_H

#include <stdint.h>

#include "harness/problem/gpu.h"

struct nvml_device;

/* As NVML lays it out. */
struct nvml_process {
    unsigned pid;
    unsigned long long used_bytes;
    unsigned gpu_instance, compute_instance;
};

struct nvml {
    struct nvml_device *device; /* NULL: nothing can be had */
#define NVML_FUNCTION(name, symbol, parameters) int(*name) parameters;
#include "harness/device/cuda/nvml_functions.inc"
};

/* Bits of `reasons`. */
enum {
    NVML_REASON_POWER_CAP =
        0x4, /* software power cap: usual under load, told but not held against a sample */
    NVML_REASONS_BAD =
        0x8 | 0x20 | 0x40 | 0x80, /* hardware slowdown, software and hardware thermal, power brake */
};

struct nvml_sensors {
    double sm_mhz, memory_mhz, power_w, temperature_c;
    uint64_t reasons;
};

/* Finds the GPU by its PCI bus id. */
void nvml_open(struct nvml *n, const char *bus_id);
void nvml_read(const struct nvml *n, struct nvml_sensors *out);
/* Only the SM clock and the reasons: some GPUs take milliseconds to tell their power. */
void nvml_watch(const struct nvml *n, struct nvml_sensors *out);
/* other_processes leaves this process out. */
void nvml_describe(const struct nvml *n, struct gpu_facts *out);

#endif
