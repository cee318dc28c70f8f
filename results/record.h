/*
 * record.h: one row of results as it is written, and the words of its enumerations. record.inc is the list of
 * columns. Readers have rows (row.h).
 */
#ifndef NF4BENCH_RESULTS_RECORD_H
#define NF4BENCH_RESULTS_RECORD_H

#include <stddef.h>
#include <stdint.h>

/* X(value, enumerator suffix, word): the values are stored in files and never change. */
#define RECORD_VERDICT_MAP(X)                                                                                \
    X(0, NONE, "NONE")             /* not a variant: a measured ceiling */                                   \
    X(1, PASS, "PASS")             /* every check held */                                                    \
    X(2, FAIL, "FAIL")             /* wrong bits, a write out of bounds, or a clobbered input */             \
    X(3, MISTRUSTED, "MISTRUSTED") /* the checks held, but the output proves too little */                   \
    X(4, SUSPECT, "SUSPECT")       /* right, but faster than the machine allows */                           \
    X(5, SKIPPED, "SKIPPED")       /* does not apply here; the reason says why */                            \
    X(6, CRASHED, "CRASHED")                                                                                 \
    X(7, TIMEOUT, "TIMEOUT")                                                                                 \
    X(8, UNSTABLE, "UNSTABLE")

#define RECORD_OP_MAP(X)                                                                                     \
    X(0, DEQUANT, "dequant")                                                                                 \
    X(1, GEMM, "gemm")                                                                                       \
    X(2, GEMMDX, "gemmdx")                                                                                   \
    X(3, REPACK, "repack")                                                                                   \
    X(4, UNREPACK, "unrepack")

#define RECORD_DTYPE_MAP(X)                                                                                  \
    X(0, F32, "f32")                                                                                         \
    X(1, F16, "f16")                                                                                         \
    X(2, BF16, "bf16")                                                                                       \
    X(3, U8, "u8")

#define RECORD_REGIME_MAP(X)                                                                                 \
    X(0, NONE, "none")                                                                                       \
    X(1, COLD, "cold")                                                                                       \
    X(2, HOT, "hot")

/* X(bit, name, excluded, word, doc): what is flagged of single samples. Nothing is left out of a file: the
 * statistics leave out the samples that have a bit with `excluded`. */
#define RECORD_SAMPLE_MAP(X)                                                                                 \
    X(1, SLOW_CLOCK, 1, "slow-clock", "SM clock under 97 % of the settled one")                              \
    X(2, SLOWDOWN, 1, "slowdown", "hardware, thermal or power-brake slowdown")                               \
    X(4, LATE, 1, "late", "the stream was not held back until all was queued: the host's speed is in it")    \
    X(8, POWER_CAP, 0, "power-cap", "software power cap: usual under load, and not held against a sample")
enum sample_flag {
#define X(bit, name, excluded, word, doc) SAMPLE_##name = (bit),
    RECORD_SAMPLE_MAP(X)
#undef X
#define X(bit, name, excluded, word, doc) +((excluded) ? (bit) : 0)
        SAMPLE_EXCLUDED = RECORD_SAMPLE_MAP(X)
#undef X
};

enum verdict {
#define X(value, name, word) VERDICT_##name = value,
    RECORD_VERDICT_MAP(X)
#undef X
};
enum regime {
#define X(value, name, word) REGIME_##name = value,
    RECORD_REGIME_MAP(X)
#undef X
};

/* group_id: the rows that were sampled in alternation. `group` is the number of their batch's first group
 * in the whole run (of all shards). */
enum { GROUP_ID_STRIDE = 4 /* the values of enum regime, and one more */ };
static inline uint64_t group_id_make(uint64_t group, enum regime regime)
{
    return GROUP_ID_STRIDE * group + (uint64_t)regime;
}
static inline uint64_t group_id_group(uint64_t group_id)
{
    return group_id / GROUP_ID_STRIDE;
}

struct record {
#define TEXT(name, bytes, doc)             char name[bytes];
#define ENUM(name, map, doc)               uint8_t name;
#define NUMBER(ctype, name, h5, unit, doc) ctype name;
#include "results/record.inc"
};

/* Zeroes the row and sets every double to NAN and first_mismatch to -1. */
void record_init(struct record *r);
/* "?" for a value that is not in the map. */
const char *verdict_word(uint8_t verdict);
const char *regime_word(uint8_t regime);
const char *operation_word(uint8_t op);
const char *type_word(uint8_t out_type);

/* Metadata of a column, in the order of record.inc, for whoever writes all columns out. */
enum column_kind { COLUMN_TEXT, COLUMN_ENUM, COLUMN_U8, COLUMN_U32, COLUMN_U64, COLUMN_I64, COLUMN_F64 };
struct column {
    const char *name, *unit, *doc;
    enum column_kind kind;
    unsigned size, offset;              /* in struct record */
    unsigned row_offset;                /* in struct row, where a text is a pointer */
    const char *(*word)(uint8_t value); /* COLUMN_ENUM only; NULL for a value out of range */
};
extern const struct column record_columns[];
extern const unsigned record_column_count;

/* The packed form that journals and pipes carry: the columns in order, little-endian, without padding. */
size_t record_packed_size(void);
size_t record_packed_offset(const struct column *column);
/* NULL, or the first column whose value no reader would accept: a text without its NUL, or an enumeration out
 * of range. */
const struct column *record_fault(const struct record *r);
/* Both return record_fault(). Texts pass through text_repair(). */
const struct column *record_pack(const struct record *r, uint8_t *out);
const struct column *record_unpack(const uint8_t *in, struct record *r);
/* Changes with the name, kind, size or order of any column. */
uint32_t record_layout_hash(void);

#endif
