/*
 * base/machine.h: what this processor can do and how its threads are placed.
 */
#ifndef NF4BENCH_HARNESS_BASE_MACHINE_H
#define NF4BENCH_HARNESS_BASE_MACHINE_H

#include <stddef.h>

/* Bits for kernels/arch.inc. A bit is set only if the operating system also saves the registers. */
enum cpu_feature {
    CPU_AVX2 = 1 << 0,
    CPU_FMA = 1 << 1,
    CPU_F16C = 1 << 2,
    CPU_AVX512 = 1 << 3, /* F, BW, DQ and VL together */
    CPU_AVX512_BF16 = 1 << 4,
};

unsigned cpu_features(void);
/* Writes the names of the features in `missing`, comma separated; returns buffer. */
const char *cpu_feature_names(unsigned missing, char *buffer, size_t size);

/* Reads words as plugins write them, "avx2 fma", separated by spaces. Returns NULL, or the first word that is
 * none. */
const char *cpu_feature_parse(const char *words, unsigned *bits);

const char *cpu_model(void);       /* as the kernel names it; "unknown" if it does not */
size_t cpu_last_level_cache(void); /* bytes, of one cache; 32 MiB when the system does not say */
unsigned cpu_available(void);      /* processors this process may run on */
size_t cpu_memory_available(void); /* bytes that can be allocated without swapping */

/* Sets the OpenMP team to `threads` and pins thread i to the i-th allowed processor. */
void cpu_pin_threads(unsigned threads);

#endif
