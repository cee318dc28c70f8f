/*
 * record.c: everything about a row that can be derived from record.inc, so that no second list of columns
 * exists.
 */
#include "results/record.h"

#include <math.h>
#include <stddef.h>
#include <string.h>

#include <zlib.h>

#include "harness/base/text.h"
#include "results/row.h"

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__,
               "the packed form is little-endian: add byte swaps here");
_Static_assert(sizeof(double) == 8, "the packed form stores doubles as 8 bytes");

#define WORD_CASE(value, name, word)                                                                         \
    case value:                                                                                              \
        return word;

#define TEXT(name, bytes, doc)
#define NUMBER(ctype, name, h5, unit, doc)
#define ENUM(name, map, doc)                                                                                 \
    static const char *word_of_##name(uint8_t value)                                                         \
    {                                                                                                        \
        switch (value) {                                                                                     \
            map(WORD_CASE) default : return NULL;                                                            \
        }                                                                                                    \
    }
#include "results/record.inc"

/* clang-format off */
#define KIND_OF(ctype)                                                                                       \
    _Generic((ctype)0,                                                                                       \
        uint8_t: COLUMN_U8,                                                                                  \
        uint32_t: COLUMN_U32,                                                                                \
        uint64_t: COLUMN_U64,                                                                                \
        int64_t: COLUMN_I64,                                                                                 \
        double: COLUMN_F64)
/* clang-format on */

#define OFFSETS(name) offsetof(struct record, name), offsetof(struct row, name)

const struct column record_columns[] = {
#define TEXT(name, bytes, doc) {#name, "", doc, COLUMN_TEXT, bytes, OFFSETS(name), NULL},
#define ENUM(name, map, doc)   {#name, "", doc, COLUMN_ENUM, 1, OFFSETS(name), word_of_##name},
#define NUMBER(ctype, name, h5, unit, doc)                                                                   \
    {#name, unit, doc, KIND_OF(ctype), sizeof(ctype), OFFSETS(name), NULL},
#include "results/record.inc"
};
const unsigned record_column_count = sizeof record_columns / sizeof record_columns[0];

enum {
    PACKED_SIZE = 0
#define TEXT(name, bytes, doc)             +(bytes)
#define ENUM(name, map, doc)               +1
#define NUMBER(ctype, name, h5, unit, doc) +(int)sizeof(ctype)
#include "results/record.inc"
};

void record_init(struct record *r)
{
    memset(r, 0, sizeof *r);
    for (unsigned i = 0; i < record_column_count; i++)
        if (record_columns[i].kind == COLUMN_F64)
            memcpy((char *)r + record_columns[i].offset, &(double){NAN}, sizeof(double));
    r->first_mismatch = -1;
}

/* The word of a value; "?" for one of a later version. */
#define WORD_FUNCTION(name, column)                                                                          \
    const char *name(uint8_t value)                                                                          \
    {                                                                                                        \
        const char *word = word_of_##column(value);                                                          \
        return word ? word : "?";                                                                            \
    }
WORD_FUNCTION(verdict_word, verdict)
WORD_FUNCTION(regime_word, regime)
WORD_FUNCTION(operation_word, op)
WORD_FUNCTION(type_word, out_type)

size_t record_packed_size(void)
{
    return PACKED_SIZE;
}

size_t record_packed_offset(const struct column *column)
{
    size_t offset = 0;
    for (const struct column *c = record_columns; c < column; c++)
        offset += c->size;
    return offset;
}

const struct column *record_fault(const struct record *r)
{
    for (unsigned i = 0; i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        const char *value = (const char *)r + c->offset;
        if (c->kind == COLUMN_TEXT && !memchr(value, '\0', c->size))
            return c;
        if (c->kind == COLUMN_ENUM && !c->word(*(const uint8_t *)value))
            return c;
    }
    return NULL;
}

const struct column *record_pack(const struct record *r, uint8_t *out)
{
    for (unsigned i = 0; i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        memcpy(out, (const char *)r + c->offset, c->size);
        /* A text cut by snprintf() may end inside a character: pandas would refuse the whole table. */
        if (c->kind == COLUMN_TEXT)
            text_repair((char *)out, c->size);
        out += c->size;
    }
    return record_fault(r);
}

const struct column *record_unpack(const uint8_t *in, struct record *r)
{
    memset(r, 0, sizeof *r);
    for (unsigned i = 0; i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        memcpy((char *)r + c->offset, in, c->size);
        in += c->size;
    }
    const struct column *bad = record_fault(r);
    for (unsigned i = 0; i < record_column_count && !bad; i++)
        if (record_columns[i].kind == COLUMN_TEXT)
            text_repair((char *)r + record_columns[i].offset, record_columns[i].size);
    return bad;
}

uint32_t record_layout_hash(void)
{
    uint32_t hash = (uint32_t)crc32(0, NULL, 0);
    for (unsigned i = 0; i < record_column_count; i++) {
        const struct column *c = &record_columns[i];
        uint32_t kind_and_size[2] = {(uint32_t)c->kind, c->size};
        hash = (uint32_t)crc32(hash, (const Bytef *)c->name, (uInt)strlen(c->name) + 1);
        hash = (uint32_t)crc32(hash, (const Bytef *)kind_and_size, sizeof kind_and_size);
    }
    return hash;
}
