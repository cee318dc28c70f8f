/*
 * h5.h: what the writers (store.c, calibration.c) and the readers of HDF5 files share.
 */
#ifndef NF4BENCH_RESULTS_H5_H
#define NF4BENCH_RESULTS_H5_H

#include <stdbool.h>

#include <hdf5.h>
#include <jansson.h>

/* Keeps the library from printing its errors (they are kept for h5_reason()), from loading filter plugins,
 * and from running code at exit. Called before anything else. */
void h5_quiet(void);
/* The innermost description of the last failure of a call of this thread; valid until the next one. */
const char *h5_reason(void);
/* A file access list without file locks, which some network file systems lack; negative after a failure. */
hid_t h5_access(void);

/* Closes whatever it is; nothing for a negative handle, which is that of a failure. */
void h5_close(hid_t handle);

/* Text of `size` bytes, or H5T_VARIABLE. Negative after a failure; to be closed. */
hid_t h5_text_type(size_t size, H5T_cset_t set, H5T_str_t end);
/* Scalar attributes; false after a failure. */
bool h5_write_attribute(hid_t object, const char *name, hid_t type, const void *value);
/* Variable length: h5py returns str, and it may be longer than the 64 KB an attribute holds itself. */
bool h5_write_text(hid_t object, const char *name, const char *value);
/* Text, integers, reals and flags as such; whatever else is JSON as its text. */
bool h5_write_json(hid_t object, const char *name, const json_t *value);

#endif
