/*
 * h5.h: what the writer (store.c) and the reader (load.c) of HDF5 files share.
 */
#ifndef NF4BENCH_RESULTS_H5_H
#define NF4BENCH_RESULTS_H5_H

#include <hdf5.h>

/* Keeps the library from printing its errors (they are kept for h5_reason()), from loading filter plugins,
 * and from running code at exit. Called before anything else. */
void h5_quiet(void);
/* The innermost description of the last failure of a call of this thread; valid until the next one. */
const char *h5_reason(void);
/* A file access list without file locks, which some network file systems lack; negative after a failure. */
hid_t h5_access(void);

#endif
