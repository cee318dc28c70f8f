#include "results/row.h"

#include <string.h>

struct row row_of_record(const struct record *r)
{
    return (struct row){
#define TEXT(name, bytes, doc)             .name = r->name,
#define ENUM(name, map, doc)               .name = r->name,
#define NUMBER(ctype, name, h5, unit, doc) .name = r->name,
#include "results/record.inc"
    };
}

void row_to_record(const struct row *row, struct record *r)
{
    memset(r, 0, sizeof *r);
#define TEXT(name, bytes, doc)             strncpy(r->name, row->name, (bytes)-1);
#define ENUM(name, map, doc)               r->name = row->name;
#define NUMBER(ctype, name, h5, unit, doc) r->name = row->name;
#include "results/record.inc"
}

int row_text_order(const char *a, const char *b)
{
    return a == b ? 0 : strcmp(a, b);
}

int row_key_order(const struct row *a, const struct row *b)
{
    int order = row_text_order(a->case_key, b->case_key);
    order = order ? order : row_text_order(a->variant, b->variant);
    order = order ? order : (a->threads > b->threads) - (a->threads < b->threads);
    return order ? order : row_text_order(a->device, b->device);
}

bool row_is_gpu(const struct row *r)
{
    return strncmp(r->arch, "sm", 2) == 0 && r->arch[2] >= '0' && r->arch[2] <= '9';
}

bool row_is_fake(const struct row *r)
{
    return strncmp(r->device, RECORD_FAKE_GPU, strlen(RECORD_FAKE_GPU)) == 0;
}
