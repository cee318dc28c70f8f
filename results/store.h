/*
 * store.h: builds the HDF5 file from a journal.
 *
 * /results          chunked compound table, with PyTables attributes (pandas.read_hdf(file, "results") works)
 *                   and the attributes doc_<column> and, where there is a unit, unit_<column>
 * /samples/time_us  every sample, flat; a row has sample_start and sample_count
 * /samples/flags    a byte for each of them: why it is left out of the statistics, or what to know of it
 * /types/<column>   the words of an enumeration
 * root attributes   schema_version, and every key of the journal's header in its order: texts, numbers, true
 *                   and false as 1 and 0, all else as compact JSON text
 *
 * Built in memory, written to PATH.tmp, fsync'ed, renamed to PATH; then the journal is removed. A failure
 * leaves no file under PATH that was not there before, keeps the journal, and says so.
 */
#ifndef NF4BENCH_RESULTS_STORE_H
#define NF4BENCH_RESULTS_STORE_H

#include <stdbool.h>

#include "harness/base/status.h"

enum { STORE_SCHEMA_VERSION = 1 };

/* keep_journal: the run is not complete; the journal stays for --resume. */
enum status store_build(const char *journal_path, const char *h5_path, bool keep_journal) WARN_UNUSED_RESULT;

#endif
