/*
 * Any bytes as a safetensors file, and whatever it holds as weights. First byte odd: the rest is the file as
 * it is. Even: the rest is a header text, a NUL and data, and the length in front is made to fit, which
 * random changes to a whole file seldom do.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "harness/checkpoint/checkpoint.h"
#include "harness/checkpoint/safetensors.h"

static volatile unsigned sink;

static void require(bool ok)
{
    if (!ok)
        __builtin_trap();
}

/* Reads every byte, so that the sanitizer sees one that is not there. */
static void touch(const void *bytes, size_t count)
{
    unsigned sum = 0;
    for (size_t i = 0; i < count; i++)
        sum += ((const uint8_t *)bytes)[i];
    sink += sum;
}

static void try_checkpoint(const struct safetensors *f, const char *name)
{
    struct quantized w;
    void *owned;
    if (weight_checkpoint(f, name, &w, &owned) == STATUS_OK) {
        size_t blocks = nf4_block_count(w.count, w.blocksize);
        require(!w.absmax == !!w.nested.codes);
        require(safetensors_find(f, name)->bytes ==
                nf4_packed_bytes(w.count)); /* the next tensor is no overrun */
        touch(w.packed, nf4_packed_bytes(w.count));
        if (w.absmax)
            touch(w.absmax, blocks * sizeof *w.absmax);
        for (size_t b = 0; b < blocks; b++)
            sink += quantized_block_at(&w, b, NESTED_TWOSTEP).scale > 0;
    } else {
        require(!owned && *status_message());
    }
    free(owned);
}

static void try_weights(const struct safetensors *f)
{
    static char *const globs[] = {"*"};
    for (int checkpoint = 0; checkpoint < 2; checkpoint++) {
        struct weight_info *list;
        size_t count;
        if (weight_list(f, globs, 1, checkpoint, &list, &count) != STATUS_OK)
            require(!list && !count && *status_message());
        for (size_t i = 0; i < count; i++)
            require(list[i].n && list[i].k && list[i].name);
        weight_list_free(list, count);
    }
    for (size_t i = 0; i < f->tensor_count; i++) {
        const struct safetensor *t = &f->tensors[i];
        float last;
        require(safetensors_find(f, t->name) == t);
        touch(t->data, t->bytes);
        if (weight_dense_part(f, t->name, t->count - 1, 1, &last) == STATUS_OK)
            touch(&last, sizeof last);
        try_checkpoint(f, t->name);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    const uint8_t *input = data + 1, *nul;
    size_t input_size = size - 1;
    uint8_t *file = malloc(input_size + 8);
    if (!file)
        return 0;
    if (data[0] % 2 == 0 && (nul = memchr(input, '\0', input_size))) {
        size_t length = (size_t)(nul - input);
        for (int i = 0; i < 8; i++)
            file[i] = (uint8_t)((uint64_t)length >> 8 * i);
        memcpy(file + 8, input, length);
        memcpy(file + 8 + length, nul + 1, input_size - length - 1);
        input_size += 7;
    } else {
        memcpy(file, input, input_size);
    }
    struct safetensors f;
    uint8_t *exact = realloc(file, input_size ? input_size : 1); /* so that one byte past the end is seen */
    if (!exact) {
        free(file);
        return 0;
    }
    if (safetensors_parse(exact, input_size, "fuzz", &f) == STATUS_OK)
        try_weights(&f);
    else
        require(!f.tensors && !f.tensor_count && *status_message());
    safetensors_release(&f);
    free(exact);
    return 0;
}
