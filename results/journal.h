/*
 * journal.h: the crash-proof log of a run. Results are appended here, row by row; the HDF5 file is built from
 * it at the end (store.h). A run killed at any moment loses no appended row.
 *
 * File: a magic line, then entries. An entry is { u32 length of the payload, u32 type, u32 crc }, then the
 * payload; the crc is zlib's crc32 over length, type and payload; everything is little-endian.
 *
 *   header   the first entry, once: u32 record_layout_hash(), u32 record_packed_size(), a JSON object as text
 *            (environment, argv, plan hash, schema version)
 *   rows     u32 count, count packed rows, then their samples as doubles, in row order, then a byte of
 *            flags (record.h) for each of these
 *
 * A torn last entry is what a kill leaves: it is cut off when the journal is opened to append. Anything else
 * that does not check is an error with the offset; nothing is skipped silently. To tell the two apart,
 * whatever follows a bad entry is searched for a whole one: a damaged length must not pass for the end of the
 * file.
 */
#ifndef NF4BENCH_RESULTS_JOURNAL_H
#define NF4BENCH_RESULTS_JOURNAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"
#include "results/record.h"

struct journal_writer;

/* Creates path with the given header JSON object text. Fails with USAGE if it exists, unless it is what a run
 * killed before its header was whole has left behind. The journal stays locked (flock) until it is closed. */
enum status journal_create(const char *path, const char *header_json,
                           struct journal_writer **out) WARN_UNUSED_RESULT;
/* Opens an existing journal to append after its last whole entry, cutting off a torn one. */
enum status journal_append_open(const char *path, struct journal_writer **out) WARN_UNUSED_RESULT;
/* Appends rows as ONE entry, all or nothing (rows that were measured together are recorded together).
 * samples[i] has rows[i].sample_count values in microseconds (NULL when 0), and flags[i][j] are those of
 * samples[i][j]: bits of enum sample_flag; NULL, for all or for a row: none. sample_start is set when the store
 * is built. After a failure (a full disk) everything appended before is kept; the append may be tried
 * again. The program must ignore SIGXFSZ to see a file size limit as an error. Processes that were forked
 * after the journal was opened may all append; what one of them leaves torn when it is killed is cut off by
 * the next that appends. */
enum status journal_append(struct journal_writer *w, const struct record *rows, const double *const *samples,
                           const uint8_t *const *flags, size_t row_count) WARN_UNUSED_RESULT;
/* Flushes to the disk; the journal stays open and locked. */
enum status journal_flush(struct journal_writer *w) WARN_UNUSED_RESULT;
/* Flushes to the disk and closes; frees w on success and on failure. NULL is allowed. */
enum status journal_close(struct journal_writer *w) WARN_UNUSED_RESULT;

/* A journal in memory. Owned: journal_release(). */
struct journal {
    char *header_json;
    struct record *rows; /* sample_start filled in: index into samples */
    size_t row_count;
    double *samples;
    uint8_t *flags; /* of each sample */
    size_t sample_count;
    bool torn;         /* a torn last entry was left out */
    size_t whole_size; /* bytes of the file up to the end of the last whole entry */
};
enum status journal_read(const char *path, struct journal *out) WARN_UNUSED_RESULT;
/* Whether a process is writing it now: it holds the lock. False where a file system has no locks. */
bool journal_is_being_written(const char *path);
/* Makes a journal that is damaged in the middle one that can be read, without the entries that do not check. The damaged
 * one is kept as PATH.damaged, which must not be there. *left_out: bytes of the file that are in no whole entry; 0: nothing
 * was changed. A damaged header cannot be mended: STATUS_INPUT. */
enum status journal_salvage(const char *path, size_t *left_out) WARN_UNUSED_RESULT;
/* The same from memory: what the fuzzer feeds. */
enum status journal_parse(const uint8_t *bytes, size_t size, const char *name,
                          struct journal *out) WARN_UNUSED_RESULT;
void journal_release(struct journal *j);

#endif
