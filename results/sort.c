#include "results/sort.h"

#include <stdlib.h>

static int by_target(const void *pa, const void *pb, void *context)
{
    const void *a = *(const void *const *)pa, *b = *(const void *const *)pb;
    int (*const *compare)(const void *, const void *) = context;
    const int c = (*compare)(a, b);
    return c ? c : (a > b) - (a < b);
}

void sort_pointers(void *list, size_t count, int (*compare)(const void *a, const void *b))
{
    qsort_r(list, count, sizeof(void *), by_target, &compare);
}

const struct row **sorted_rows(const struct result_set *s, bool (*counts)(const struct row *),
                               int (*compare)(const void *a, const void *b), size_t *count)
{
    const struct row **rows = malloc((s->row_count + 1) * sizeof *rows);
    *count = 0;
    for (size_t i = 0; rows && i < s->row_count; i++)
        if (!counts || counts(&s->rows[i]))
            rows[(*count)++] = &s->rows[i];
    if (rows && compare)
        sort_pointers(rows, *count, compare);
    return rows;
}
