/*
 * results_rows.h: rows of results whose content follows from their index, for the tests that write and read
 * them.
 */
#ifndef NF4BENCH_TESTS_RESULTS_ROWS_H
#define NF4BENCH_TESTS_RESULTS_ROWS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "results/row.h"

enum { ROW_SAMPLES_MAX = 5 };

static inline uint64_t mix64(uint64_t x)
{
    x += 0x9e3779b97f4a7c15u;
    x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9u;
    x = (x ^ x >> 27) * 0x94d049bb133111ebu;
    return x ^ x >> 31;
}

static inline unsigned enum_words(const struct column *c)
{
    unsigned n = 0;
    while (n <= UINT8_MAX && c->word((uint8_t)n))
        n++;
    return n;
}

/* Well-formed UTF-8 of at most `left` bytes: characters of one to four bytes, and what exports quote. */
static inline void make_text(uint64_t v, char *at, size_t left)
{
    static const char *const alphabet[] = {"a", "7",  "_", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x94\xa5",
                                           ",", "\"", "|"};
    for (;;) {
        const char *next = alphabet[(v = mix64(v)) % 9];
        size_t size = strlen(next);
        if (size > left)
            return;
        memcpy(at, next, size);
        at += size;
        left -= size;
    }
}

/* Every column gets a value, whatever record.inc holds; a seventh of the doubles stays NAN. */
static inline void make_row(uint64_t index, struct record *r, double samples[ROW_SAMPLES_MAX])
{
    record_init(r);
    for (unsigned i = 0; i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        char *at = (char *)r + c->offset;
        uint64_t v = mix64(index * 1000 + i);
        double d = (double)(int64_t)v * 0x1p-40;
        if (c->kind == COLUMN_TEXT)
            make_text(v, at, v % 16 == 0 || v % 16 >= c->size ? c->size - 1 : v % 16); /* mostly short */
        else if (c->kind == COLUMN_ENUM)
            *(uint8_t *)at = (uint8_t)(v % enum_words(c));
        else if (c->kind != COLUMN_F64)
            memcpy(at, &v, c->size);
        else if (v % 7 != 0)
            memcpy(at, &d, sizeof d);
    }
    memset(r->case_key, 0, sizeof r->case_key);
    snprintf(r->case_key, sizeof r->case_key, "row %llu", (unsigned long long)index);
    r->sample_count = mix64(index) % (ROW_SAMPLES_MAX + 1);
    r->sample_start = 0;
    for (unsigned i = 0; i < r->sample_count; i++)
        samples[i] = 1 + (double)(mix64(index * 10 + i) % 1000000) / 7;
}

/* NULL when the row that was read is the one of its index, else what differs. *sample is where its samples
 * must begin, and moves on. */
static inline const char *row_difference(uint64_t index, const struct row *got, const double *samples,
                                         size_t sample_count, uint64_t *sample)
{
    struct record want;
    double want_samples[ROW_SAMPLES_MAX];
    make_row(index, &want, want_samples);
    want.sample_start = *sample;
    *sample += want.sample_count;
    for (unsigned i = 0; i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        const char *a = (const char *)&want + c->offset, *b = (const char *)got + c->row_offset, *text;
        memcpy(&text, b, c->kind == COLUMN_TEXT ? sizeof text : 0);
        if (c->kind == COLUMN_TEXT ? strcmp(a, text) != 0 : memcmp(a, b, c->size) != 0)
            return c->name;
    }
    if (*sample > sample_count ||
        memcmp(samples + want.sample_start, want_samples, want.sample_count * sizeof *samples) != 0)
        return "its samples";
    return NULL;
}

#endif
