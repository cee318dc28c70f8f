#include "results/merge.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "results/journal.h"
#include "results/store.h"
#include "results/unlike.h"

struct shard_file {
    const struct result_set *set;
    size_t number, of; /* from 1 */
};

/* ---- do they belong together? ---- */

static int by_shard(const void *a, const void *b)
{
    const struct shard_file *x = a, *y = b;
    return (x->number > y->number) - (x->number < y->number);
}

static enum status read_shard(const struct result_set *s, struct shard_file *out)
{
    const char *text = result_set_attribute(s, "shard");
    int end = 0;
    *out = (struct shard_file){.set = s};
    if (!text || sscanf(text, "%zu/%zu%n", &out->number, &out->of, &end) != 2 || text[end])
        return status_fail(STATUS_USAGE, "%s: not of a run with --shard I/N", s->path);
    return STATUS_OK;
}

static enum status check_pair(const struct shard_file *first, const struct shard_file *p,
                              const struct merge_options *options, const char *program)
{
    const char *device = unlike_timed_device(first->set, NULL), *other = unlike_timed_device(p->set, NULL);
    const char *plan = result_set_attribute(first->set, "plan_hash"),
               *other_plan = result_set_attribute(p->set, "plan_hash");
    if (p->of != first->of)
        return status_fail(STATUS_USAGE, "%s is of %zu shards, %s of %zu", first->set->path, first->of,
                           p->set->path, p->of);
    if (!plan || !other_plan || strcmp(plan, other_plan) != 0)
        return status_fail(STATUS_USAGE,
                           "%s and %s are of other plans: the suite, its options, the table of variants and "
                           "the number of threads must be the same for all shards",
                           first->set->path, p->set->path);
    if (device && other && strcmp(device, other) != 0 && !options->unlike)
        return status_fail(STATUS_USAGE,
                           "%s was timed on '%s', %s on '%s'; --unlike merges them all the same",
                           first->set->path, device, p->set->path, other);
    char *unlike = unlike_text(first->set, p->set);
    if (!unlike)
        return status_no_memory("merge");
    for (const char *line = unlike; *line;) {
        size_t length = strcspn(line, "\n");
        fprintf(stderr, "%s: %s differs from %s: %.*s\n", program, p->set->path, first->set->path,
                (int)length, line);
        line += length + (line[length] == '\n');
    }
    free(unlike);
    return STATUS_OK;
}

static enum status check_numbers(const struct shard_file *parts, size_t count,
                                 const struct merge_options *options)
{
    for (size_t i = 1; i < count; i++)
        if (parts[i].number == parts[i - 1].number)
            return status_fail(STATUS_USAGE, "shard %zu/%zu is there twice: %s and %s", parts[i].number,
                               parts[i].of, parts[i - 1].set->path, parts[i].set->path);
    for (size_t i = 0, number = 1; number <= parts[0].of && !options->partial; number++) {
        if (i < count && parts[i].number == number)
            i++;
        else
            return status_fail(STATUS_USAGE, "shard %zu/%zu is missing; --partial merges without it", number,
                               parts[0].of);
    }
    return STATUS_OK;
}

/* Numbers of groups, which are those of the whole plan, each of one part. */
static enum status check_groups(const struct shard_file *parts, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct shard_file *p = &parts[i];
        for (size_t row = 0; row < p->set->row_count; row++)
            if (group_id_group(p->set->rows[row].group_id) % p->of != p->number - 1)
                return status_fail(STATUS_USAGE, "%s: row %zu (%s) is not of shard %zu/%zu", p->set->path,
                                   row, p->set->rows[row].case_key, p->number, p->of);
    }
    return STATUS_OK;
}

/* ---- what the whole says of itself ---- */

static json_t *attributes_json(const struct result_set *s)
{
    json_t *object = json_object();
    for (size_t i = 0; i < s->attribute_count; i++) {
        const struct attribute *a = &s->attributes[i];
        json_t *number = a->number ? json_loads(a->value, JSON_DECODE_ANY, NULL) : NULL;
        json_object_set_new(object, a->name, number ? number : json_string(a->value));
    }
    return object;
}

static char *header_json(const struct shard_file *parts, size_t count)
{
    json_t *header = attributes_json(parts[0].set), *shards = json_array();
    for (size_t i = 0; i < count; i++) {
        json_t *one = attributes_json(parts[i].set);
        json_object_set_new(one, "file", json_string(parts[i].set->path));
        json_array_append_new(shards, one);
    }
    json_object_del(header, "shard");
    json_object_set_new(header, "shards", shards);
    char *text = json_dumps(header, JSON_COMPACT);
    json_decref(header);
    return text;
}

/* ---- the rows ---- */

/* The rows of one part, in groups as they were recorded: a journal's entry is of bounded size. */
static enum status append_part(struct journal_writer *w, const struct result_set *s)
{
    enum { AT_ONCE = 256 };
    const double *samples[AT_ONCE];
    const uint8_t *flags[AT_ONCE];
    struct record *records = malloc(AT_ONCE * sizeof *records);
    enum status status = records ? STATUS_OK : status_no_memory("merge");
    for (size_t first = 0; first < s->row_count && status == STATUS_OK; first += AT_ONCE) {
        size_t count = s->row_count - first < AT_ONCE ? s->row_count - first : AT_ONCE;
        for (size_t i = 0; i < count; i++) {
            const struct row *r = &s->rows[first + i];
            row_to_record(r, &records[i]);
            samples[i] = r->sample_count ? s->samples + r->sample_start : NULL;
            flags[i] = r->sample_count && s->flags ? s->flags + r->sample_start : NULL;
        }
        status = journal_append(w, records, samples, flags, count);
    }
    free(records);
    return status;
}

static enum status write_whole(const struct shard_file *parts, size_t count, const char *path)
{
    char *journal_path = NULL, *header = header_json(parts, count);
    struct journal_writer *w = NULL;
    enum status s = STATUS_OK;
    if (!header || asprintf(&journal_path, "%s.journal", path) < 0) {
        free(header);
        return status_no_memory("merge");
    }
    s = journal_create(journal_path, header, &w);
    for (size_t i = 0; i < count && s == STATUS_OK; i++)
        s = append_part(w, parts[i].set);
    const enum status closed = journal_close(w);
    s = s == STATUS_OK ? closed : s;
    if (s == STATUS_OK)
        s = store_build(journal_path, path, false);
    free(journal_path);
    free(header);
    return s;
}

enum status merge_parts(const struct result_set *sets, size_t count, const char *path,
                        const struct merge_options *options, const char *program)
{
    struct shard_file *parts = calloc(count, sizeof *parts);
    enum status s = parts ? STATUS_OK : status_no_memory("merge");
    for (size_t i = 0; i < count && s == STATUS_OK; i++)
        s = read_shard(&sets[i], &parts[i]);
    if (s == STATUS_OK)
        qsort(parts, count, sizeof *parts, by_shard);
    for (size_t i = 1; i < count && s == STATUS_OK; i++)
        s = check_pair(&parts[0], &parts[i], options, program);
    if (s == STATUS_OK)
        s = check_numbers(parts, count, options);
    if (s == STATUS_OK)
        s = check_groups(parts, count);
    if (s == STATUS_OK)
        s = write_whole(parts, count, path);
    free(parts);
    return s;
}
