/*
 * buffer.h: memory for operands, with canaries at both ends, poison and hashes. The user range starts 64-byte
 * aligned and ends exactly where asked: the first byte after it is canary. Under AddressSanitizer the
 * canaries are poisoned, so that reads past an end are caught as well.
 */
#ifndef NF4BENCH_HARNESS_PROBLEM_BUFFER_H
#define NF4BENCH_HARNESS_PROBLEM_BUFFER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "harness/base/status.h"

enum { BUFFER_CANARY_BYTES = 4096 };

struct buffer {
    void *data; /* NULL: not allocated */
    size_t size;
    void *allocation;
    size_t allocation_bytes;
};

/* Contents are undefined. `what` names it in the error. size 0 is allowed (data is then not NULL). */
enum status buffer_init(struct buffer *b, size_t size, const char *what) WARN_UNUSED_RESULT;
void buffer_release(struct buffer *b);

/* Fills with NaN patterns (as fp32, fp16 and bf16 alike) that differ from word to word and from salt to salt.
 */
void buffer_poison(struct buffer *b, uint64_t salt);

/* True if the canaries are whole; else *offset is the first damaged byte, relative to data (negative:
 * before). */
bool buffer_canaries_whole(const struct buffer *b, ptrdiff_t *offset);
/* Writes the canaries again, after damage was reported. */
void buffer_reset_canaries(struct buffer *b);

/* The whole of it, from the first byte of the first canary to the last of the second: how much that is, and
 * `size` bytes from `offset` of it, out of and into the buffer. For devices with memory of their own, whose
 * copy has canaries as well. */
size_t buffer_whole_size(const struct buffer *b);
void buffer_whole_read(const struct buffer *b, size_t offset, void *to, size_t size);
void buffer_whole_write(struct buffer *b, size_t offset, const void *from, size_t size);

/* 64-bit hash of bytes; independent of the number of threads. Not cryptographic. */
uint64_t bytes_hash(const void *data, size_t size);

#endif
