#include "results/text_pool.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { BLOCK_SIZE = 64 << 10 };

struct text_block {
    struct text_block *next;
    size_t used, size;
    char bytes[];
};

/* FNV-1a: texts differ in a digit or two, and each byte must tell. */
static uint32_t hash_of(const char *text, size_t length)
{
    uint32_t hash = 2166136261u;
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char)text[i]) * 16777619u;
    return hash ^ hash >> 15;
}

/* Where the text is, or could be put. */
static size_t find_slot(const struct text_pool *t, const char *text, size_t length, uint32_t hash)
{
    size_t slot = hash & (t->slot_count - 1);
    for (; t->slots[slot]; slot = (slot + 1) & (t->slot_count - 1)) {
        const struct pooled_text *other = &t->list[t->slots[slot] - 1];
        if (other->hash == hash && other->length == length && memcmp(other->bytes, text, length) == 0)
            break;
    }
    return slot;
}

/* Room for one more text, in a table that is never more than half full. */
static bool grow(struct text_pool *t)
{
    if (t->count < t->capacity)
        return true;
    size_t capacity = t->capacity ? 2 * t->capacity : 256;
    struct pooled_text *list = capacity < UINT32_MAX ? realloc(t->list, capacity * sizeof *list) : NULL;
    t->list = list ? list : t->list;
    uint32_t *slots = list ? calloc(2 * capacity, sizeof *slots) : NULL;
    if (!slots)
        return false;
    free(t->slots);
    t->slots = slots;
    t->slot_count = 2 * capacity;
    t->capacity = capacity;
    for (size_t i = 0; i < t->count; i++) /* all differ: the first free slot will do */ {
        size_t slot = t->list[i].hash & (t->slot_count - 1);
        while (t->slots[slot])
            slot = (slot + 1) & (t->slot_count - 1);
        t->slots[slot] = (uint32_t)i + 1;
    }
    return true;
}

static char *allocate(struct text_pool *t, size_t size)
{
    struct text_block *b = t->blocks;
    if (!b || b->size - b->used < size) {
        size_t room = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        b = malloc(sizeof *b + room);
        if (!b)
            return NULL;
        *b = (struct text_block){.next = t->blocks, .size = room};
        t->blocks = b;
    }
    b->used += size;
    return b->bytes + b->used - size;
}

size_t text_pool_add(struct text_pool *t, const char *text, size_t length)
{
    if (!grow(t))
        return SIZE_MAX;
    uint32_t hash = hash_of(text, length);
    size_t slot = find_slot(t, text, length, hash);
    if (t->slots[slot])
        return t->slots[slot] - 1;
    char *bytes = allocate(t, length + 1);
    if (!bytes)
        return SIZE_MAX;
    memcpy(bytes, text, length);
    bytes[length] = '\0';
    t->list[t->count++] = (struct pooled_text){bytes, (uint32_t)length, hash};
    t->slots[slot] = (uint32_t)t->count;
    t->size += length + 1;
    return t->count - 1;
}

void text_pool_close(struct text_pool *t)
{
    free(t->list);
    free(t->slots);
    t->list = NULL;
    t->slots = NULL;
    t->count = t->capacity = t->slot_count = 0;
}

void text_pool_release(struct text_pool *t)
{
    while (t->blocks) {
        struct text_block *next = t->blocks->next;
        free(t->blocks);
        t->blocks = next;
    }
    text_pool_close(t);
    *t = (struct text_pool){0};
}
