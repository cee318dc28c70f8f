/*
 * cpu/serve.h: the caller for the CPU: what serve.c and serve_time.c share. Private to harness/device/.
 */
#ifndef NF4BENCH_HARNESS_DEVICE_CPU_SERVE_H
#define NF4BENCH_HARNESS_DEVICE_CPU_SERVE_H

#include <stdbool.h>
#include <stddef.h>

#include "harness/device/serve.h"

/* Operands of the arena, as a variant is given them: one set, whose buffers must not be released. */
struct arena_view {
    struct operands operands;
    struct operand_set set;
};
void cpu_view(const struct channel *c, struct arena_view *out);

/* Calls k on set i; `prepared` as from k->prepare, or NULL. */
void cpu_call(const struct operands *o, size_t i, const struct kernel *k, const void *prepared);
/* What k wants besides operands of set i: *prepared, which is NULL where it wants nothing. Weights in another layout are
 * there already. */
enum status cpu_prepare(const struct operands *o, size_t i, const struct kernel *k,
                        void **prepared) WARN_UNUSED_RESULT;

/* The team that the request asks for. */
void cpu_set_threads(const struct channel *c);
/* From now on it is the variant that is at work, and what for: "a call". */
void cpu_variant_begins(struct channel *c, const char *doing);
void cpu_variant_ended(struct channel *c);
/* What the variant did besides its output; returns false. `what`: a sentence. */
bool cpu_fault(struct channel *c, const char *word, const char *what);

/* What OpenBLAS, which is loaded by a provider, makes of a product; NAN where there is none. */
extern double (*cpu_gemm_flop_per_s)(void);

request_fn cpu_bind, cpu_upload, cpu_download, cpu_replicate, cpu_row, cpu_row_repeat, cpu_sample,
    cpu_self_test, cpu_end_rows;

#endif
