/*
 * resume.c: the journal of a run, new, or continued after an interrupt or a kill.
 */
#include "harness/run/plan_run.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/random.h"

static enum status create(const char *path, const struct plan *plans, json_t *environment, const char *hash,
                          struct journal_writer **out)
{
    json_object_set_new(environment, "plan_hash", json_string(hash));
    json_object_set_new(environment, "suite", json_string(plans[0].suite->path));
    char *text = json_dumps(environment, JSON_COMPACT);
    enum status s = text ? journal_create(path, text, out) : status_no_memory("run");
    free(text);
    return s;
}

/* Whether the run that wrote `header` had this build and this machine: else its rows do not compare with those to come. */
static enum status check_same(const char *path, const json_t *header, const json_t *environment)
{
    static const char *const keys[] = {"tool_version", "git_revision", "git_dirty",    "compiler",
                                       "build_type",   "build_flags",  "sanitizers",   "program_hash",
                                       "cpu_model",    "cpu_features", "cpu_governor", "system_release"};
    for (size_t i = 0; i < sizeof keys / sizeof keys[0]; i++) {
        json_t *then = json_object_get(header, keys[i]), *now = json_object_get(environment, keys[i]);
        if (!then || json_equal(then, now))
            continue;
        char *was = json_dumps(then, JSON_ENCODE_ANY), *is = json_dumps(now, JSON_ENCODE_ANY);
        const enum status s = status_fail(
            STATUS_INPUT,
            "%s: %s was %s when this run began, and is %s now: its rows would not compare with one "
            "another; finish it as it began, start anew, or go on all the same with --force",
            path, keys[i], was ? was : "another", is ? is : "another");
        free(was);
        free(is);
        return s;
    }
    return STATUS_OK;
}

/* Whether the run that wrote `header` had the same plans and plugins. */
static enum status check_header(const char *path, const json_t *header, const json_t *environment,
                                const char *hash)
{
    const char *stored = json_string_value(json_object_get(header, "plan_hash"));
    if (!stored || strcmp(stored, hash) != 0)
        return status_fail(STATUS_INPUT,
                           "%s: the suite, the table of variants, the machine's threads or its GPUs have "
                           "changed since this run began; finish it with the same, or start anew",
                           path);
    const json_t *plugins = json_object_get(header, "plugins");
    if (plugins && !json_equal(plugins, json_object_get(environment, "plugins")))
        return status_fail(STATUS_INPUT,
                           "%s: the plugins, or their files, have changed since this run began; finish it "
                           "with the same, or start anew",
                           path);
    return STATUS_OK;
}

static enum status mark_recorded(const char *path, const struct journal *journal, size_t group_count,
                                 bool *recorded, size_t *batch_count)
{
    for (size_t i = 0; i < journal->row_count; i++) {
        const size_t group = group_id_group(journal->rows[i].group_id);
        if (group >= group_count)
            return status_fail(STATUS_INPUT, "%s: row %zu belongs to group %zu of %zu", path, i, group,
                               group_count);
        *batch_count += !recorded[group];
        recorded[group] = true;
    }
    return STATUS_OK;
}

enum status run_journal_open(const char *path, const struct plan *plans, size_t count,
                             const struct run_options *options, bool *recorded, size_t *batch_count,
                             struct journal_writer **out)
{
    char hash[32]; /* of all plans */
    uint64_t mixed = 0;
    size_t group_count = 0;
    for (size_t i = 0; i < count; i++) {
        mixed = i ? random_mix(mixed ^ plan_hash(&plans[i])) : plan_hash(&plans[i]);
        group_count += plans[i].group_count;
    }
    snprintf(hash, sizeof hash, "%016llx", (unsigned long long)mixed);
    if (!options->resume)
        return create(path, plans, options->environment, hash, out);
    struct journal journal;
    TRY(journal_read(path, &journal));
    json_t *header = json_loads(journal.header_json, 0, NULL);
    enum status s = check_header(path, header, options->environment, hash);
    if (s == STATUS_OK && !options->other_build)
        s = check_same(path, header, options->environment);
    if (s == STATUS_OK)
        s = mark_recorded(path, &journal, group_count, recorded, batch_count);
    json_decref(header);
    journal_release(&journal);
    return s == STATUS_OK ? journal_append_open(path, out) : s;
}
