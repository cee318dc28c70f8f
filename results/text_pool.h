/*
 * text_pool.h: a pool of texts, each of them once. Equal texts are one pointer, which holds until
 * text_pool_release().
 */
#ifndef NF4BENCH_RESULTS_TEXT_POOL_H
#define NF4BENCH_RESULTS_TEXT_POOL_H

#include <stddef.h>
#include <stdint.h>

struct pooled_text {
    const char *bytes; /* ends in a NUL */
    uint32_t length, hash;
};

/* Zeroed, it is empty. */
struct text_pool {
    struct pooled_text *list; /* by number, in the order in which they were added; owned */
    size_t count, capacity;
    size_t size;               /* bytes of all, with their NULs */
    uint32_t *slots;           /* number + 1 of the text of a hash, 0 for none; owned */
    size_t slot_count;         /* a power of two */
    struct text_block *blocks; /* where the bytes lie; owned */
};

/* The number of the text, which has no NUL in its `length` bytes; SIZE_MAX when out of memory. */
size_t text_pool_add(struct text_pool *t, const char *text, size_t length);
/* Frees all but the texts themselves, which can no longer be looked up or added to. */
void text_pool_close(struct text_pool *t);
void text_pool_release(struct text_pool *t);

#endif
