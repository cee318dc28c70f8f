/*
 * values.h: numbers as exports write them. A file of a million rows has a hundred million of them:
 * what is done here for each is what an export takes.
 */
#ifndef NF4BENCH_RESULTS_VALUES_H
#define NF4BENCH_RESULTS_VALUES_H

#include <stdint.h>
#include <stdio.h>

enum { VALUE_TEXT = 32 };

/* The fewest digits, 15 to 17 without zeros at the end, that read back to the same double, as "%g" writes
 * them. Both return where the text begins in the buffer. */
const char *value_of_double(double value, char text[VALUE_TEXT]);
const char *value_of_uint(uint64_t value, char text[VALUE_TEXT]);

/* A JSON number, or null. */
void value_put_json_double(double value, FILE *out);

#endif
