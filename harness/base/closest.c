#include "harness/base/closest.h"

#include <string.h>

enum { WORD_MAX = 128 };

/* ASCII only, whatever the locale says. */
static unsigned char folded(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

static size_t least(size_t a, size_t b)
{
    return a < b ? a : b;
}

size_t closest_distance(const char *a, const char *b)
{
    /* Three rows of the optimal string alignment table: a swap looks two rows back. */
    size_t rows[3][WORD_MAX + 1];
    size_t a_length = strnlen(a, WORD_MAX), b_length = strnlen(b, WORD_MAX);
    for (size_t j = 0; j <= b_length; j++)
        rows[0][j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t *row = rows[i % 3];
        const size_t *above = rows[(i + 2) % 3], *above2 = rows[(i + 1) % 3];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            unsigned char ca = folded(a[i - 1]), cb = folded(b[j - 1]);
            row[j] = least(least(above[j], row[j - 1]) + 1, above[j - 1] + (ca != cb));
            if (i > 1 && j > 1 && ca == folded(b[j - 2]) && folded(a[i - 2]) == cb)
                row[j] = least(row[j], above2[j - 2] + 1);
        }
    }
    return rows[a_length % 3][b_length];
}

const char *closest(const char *word, const char *const *candidates, size_t count)
{
    const char *best = NULL;
    size_t best_distance = 0, word_length = strnlen(word, WORD_MAX);
    for (size_t i = 0; i < count; i++) {
        size_t length = strnlen(candidates[i], WORD_MAX);
        size_t limit = (length > word_length ? length : word_length) / 3;
        size_t distance = closest_distance(word, candidates[i]);
        if (distance > (limit ? limit : 1))
            continue;
        if (!best || distance < best_distance) {
            best = candidates[i];
            best_distance = distance;
        }
    }
    return best;
}
