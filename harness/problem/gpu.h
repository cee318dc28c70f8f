/*
 * gpu.h: what is known of a GPU. Plain data.
 */
#ifndef NF4BENCH_HARNESS_PROBLEM_GPU_H
#define NF4BENCH_HARNESS_PROBLEM_GPU_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { GPU_MAX = 64 };

/* What NVML says when a run begins. */
struct gpu_facts {
    char driver_version[32]; /* "" where unknown, as are all below when NAN or negative */
    double power_limit_w;
    double sm_mhz_max, sm_mhz_application; /* the highest clock, and the one that is asked for under load */
    int persistence, mig;                  /* modes: 0 off, 1 on */
    int other_processes;                   /* on the GPU */
};

struct gpu {
    int ordinal;     /* the driver's number of it */
    char name[96];   /* as the driver has it */
    char uuid[48];   /* "GPU-xxxxxxxx-...", "" where unknown */
    char bus_id[24]; /* "0000:3b:00.0", "" where unknown */
    unsigned sm;     /* compute capability: 75 for 7.5 */
    unsigned sm_count;
    size_t l2_bytes, memory_bytes;
    size_t shared_max; /* bytes of shared memory that a block can have */
    bool ecc;
    int driver; /* version of the CUDA interface: 12040 for 12.4 */
    struct gpu_facts facts;
};

/* What a variant's machine code needs of its GPU. */
struct gpu_code {
    int registers, local_bytes; /* of a thread; local: what did not fit in registers, and arrays */
    int shared_bytes;           /* of a block, the static part */
    size_t dynamic_shared_bytes;
    int blocks_per_sm;  /* that can run at once; 0 where unknown */
    uint64_t code_hash; /* of its machine code for this GPU; 0: the driver compiled it */
};

#endif
