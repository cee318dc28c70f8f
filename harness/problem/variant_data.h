/*
 * problem/variant_data.h: variants as data: what a process that has loaded a library says of its variants to one that has not
 * (device/caller.h).
 */
#ifndef NF4BENCH_HARNESS_PROBLEM_VARIANT_DATA_H
#define NF4BENCH_HARNESS_PROBLEM_VARIANT_DATA_H

#include <stddef.h>

#include "harness/base/status.h"
#include "harness/problem/variant.h"

enum { VARIANT_DATA_TEXT = 4224 /* a path, and the option before it */ };

struct variant_data {
    struct kernel kernel; /* without its pointers, of which the texts follow */
    char name[VARIANT_NAME_MAX], dequantize[VARIANT_NAME_MAX], arch[32], source_hash[17], code_hash[17];
    char source[VARIANT_DATA_TEXT], option[VARIANT_DATA_TEXT];
};

void variant_to_data(const struct kernel *k, struct variant_data *out);
/* `out`, in `list` behind those that were made before, is what cannot be called here; its texts stay until the process ends.
 * `data` comes from where foreign code ran: STATUS_INPUT where it is no variant's. */
enum status variant_from_data(const struct variant_data *data, const struct kernel *list,
                              struct kernel *out) WARN_UNUSED_RESULT;

#endif
