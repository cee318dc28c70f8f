/*
 * journal_driver.c: the recording part of a run without the kernels, for tests that kill it.
 *
 *   journal_driver run FILE.h5 ROWS
 *       record ROWS rows whose content follows from their index, resuming FILE.h5.journal if there is one,
 *       then build FILE.h5
 *   journal_driver check FILE.h5 ROWS
 *       exit 0 if FILE.h5 holds exactly these rows
 *   journal_driver export csv|jsonl|md FILE.h5 [AGAINST]
 *   journal_driver kill DIRECTORY ROWS STRIDE SECOND_STRIDE FIRST
 *       needs LD_PRELOAD=killat.so: kill a run at every STRIDE-th call that touches its files, from call FIRST
 *       (1 or more) on, whole and torn; after each, no appended row may be missing, and a resumed run must finish
 *       with all rows right.
 *       SECOND_STRIDE > 0: resumed runs are killed as well, at every SECOND_STRIDE-th call, and resumed again
 *
 * kill ends with a line of counts in JSON.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "results/export.h"
#include "results/journal.h"
#include "results/load.h"
#include "results/store.h"
#include "tests/results/rows.h"

enum { PATH_SIZE = 4096, ROWS_PER_ENTRY_MAX = 5 };

static void die(const char *format, ...) PRINTF_LIKE(1, 2) __attribute__((noreturn));
static void die(const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    fputs("journal_driver: ", stderr);
    vfprintf(stderr, format, ap);
    fputc('\n', stderr);
    va_end(ap);
    exit(1);
}

static uint64_t rows_in_entry(uint64_t first, uint64_t row_count)
{
    uint64_t n = 1 + mix64(~first) % ROWS_PER_ENTRY_MAX;
    return n < row_count - first ? n : row_count - first;
}

static bool row_is_right(uint64_t index, const struct row *got, const double *samples, size_t sample_count,
                         uint64_t *sample)
{
    const char *difference = row_difference(index, got, samples, sample_count, sample);
    if (difference)
        fprintf(stderr, "journal_driver: row %llu: %s differs\n", (unsigned long long)index, difference);
    return !difference;
}

/* ---- a run ---- */

struct run {
    char h5[PATH_SIZE], journal[PATH_SIZE + 16], temporary[PATH_SIZE + 16];
    uint64_t row_count;
    atomic_ulong *confirmed; /* rows whose append returned; shared with the process that kills */
};

static void run_paths(struct run *r, const char *h5)
{
    snprintf(r->h5, sizeof r->h5, "%s", h5);
    snprintf(r->journal, sizeof r->journal, "%s.journal", h5);
    snprintf(r->temporary, sizeof r->temporary, "%s.tmp", h5);
}

/* The rows that a journal has, checked; -1 when one is wrong. */
static int64_t right_rows(const struct journal *j, uint64_t row_count)
{
    uint64_t sample = 0;
    if (j->row_count > row_count)
        return -1;
    for (size_t i = 0; i < j->row_count; i++) {
        const struct row row = row_of_record(&j->rows[i]);
        if (!row_is_right(i, &row, j->samples, j->sample_count, &sample))
            return -1;
    }
    return sample == j->sample_count ? (int64_t)j->row_count : -1;
}

static enum status append_rows(struct journal_writer *w, const struct run *r, uint64_t first)
{
    struct record rows[ROWS_PER_ENTRY_MAX];
    double samples[ROWS_PER_ENTRY_MAX][ROW_SAMPLES_MAX];
    const double *pointers[ROWS_PER_ENTRY_MAX];
    while (first < r->row_count) {
        uint64_t n = rows_in_entry(first, r->row_count);
        for (uint64_t i = 0; i < n; i++) {
            make_row(first + i, &rows[i], samples[i]);
            pointers[i] = rows[i].sample_count > 0 ? samples[i] : NULL;
        }
        enum status s = journal_append(w, rows, pointers, NULL, n);
        if (s != STATUS_OK)
            return s;
        first += n;
        if (r->confirmed)
            atomic_store(r->confirmed, first);
    }
    return STATUS_OK;
}

/* A fresh run, or the rest of one that was killed: what the CLI does. */
static enum status run(const struct run *r)
{
    static const char header[] =
        "{\"schema_version\": 1, \"host\": \"caf\\u00e9\", \"argv\": [\"a\", \"b c\"], "
        "\"clock_hz\": 2.5e9, \"cores\": 2, \"note\": \"\"}";
    struct journal_writer *w = NULL;
    struct journal j = {0};
    uint64_t first = 0;
    enum status s = journal_create(r->journal, header, &w);
    if (s == STATUS_USAGE) {
        s = journal_read(r->journal, &j);
        if (s != STATUS_OK)
            return s;
        int64_t have = right_rows(&j, r->row_count);
        journal_release(&j);
        if (have < 0)
            return status_fail(STATUS_WRONG, "%s: holds rows that were never appended", r->journal);
        first = (uint64_t)have;
        s = journal_append_open(r->journal, &w);
    }
    if (s != STATUS_OK)
        return s;
    if (r->confirmed)
        atomic_store(r->confirmed, first);
    s = append_rows(w, r, first);
    enum status closed = journal_close(w);
    if (s == STATUS_OK)
        s = closed;
    return s == STATUS_OK ? store_build(r->journal, r->h5, false) : s;
}

static enum status check(const char *path, uint64_t row_count)
{
    struct result_set set;
    uint64_t sample = 0;
    enum status s = result_set_load(path, &set);
    if (s != STATUS_OK)
        return s;
    if (set.row_count != row_count)
        s = status_fail(STATUS_WRONG, "%s: %zu rows, not %llu", path, set.row_count,
                        (unsigned long long)row_count);
    for (size_t i = 0; s == STATUS_OK && i < set.row_count; i++)
        if (!row_is_right(i, &set.rows[i], set.samples, set.sample_count, &sample))
            s = status_fail(STATUS_WRONG, "%s: row %zu is wrong", path, i);
    if (s == STATUS_OK && sample != set.sample_count)
        s = status_fail(STATUS_WRONG, "%s: samples that belong to no row", path);
    result_set_release(&set);
    return s;
}

/* ---- killing it ---- */

static void (*killat_arm)(const char *, unsigned long, bool);
static unsigned long (*killat_calls)(void);

struct tally {
    unsigned long kills, second_kills, torn_tails, confirmed, lost, wrong, unfinished;
};

static int wait_for(pid_t child)
{
    int wait_status;
    while (waitpid(child, &wait_status, 0) < 0)
        if (errno != EINTR)
            die("waitpid: %s", strerror(errno));
    return wait_status;
}

/* A run in a child that is killed at call n (0: never). Returns its wait status; *calls what it counted. */
static int killed_run(const struct run *r, unsigned long n, bool torn, atomic_ulong *calls)
{
    pid_t child = fork();
    if (child < 0)
        die("fork: %s", strerror(errno));
    if (child == 0) {
        killat_arm(r->h5, n, torn);
        enum status s = run(r);
        atomic_store(calls, killat_calls());
        if (s != STATUS_OK)
            fprintf(stderr, "journal_driver: %s\n", status_message());
        _exit(s == STATUS_OK ? 0 : 3);
    }
    return wait_for(child);
}

/* A run in a fresh process without the shim. */
static bool resumed_run(const struct run *r, const char *self)
{
    char rows[32];
    snprintf(rows, sizeof rows, "%llu", (unsigned long long)r->row_count);
    pid_t child = fork();
    if (child < 0)
        die("fork: %s", strerror(errno));
    if (child == 0) {
        unsetenv("LD_PRELOAD");
        execl(self, self, "run", r->h5, rows, (char *)NULL);
        _exit(127);
    }
    return wait_for(child) == 0;
}

static bool exists(const char *path)
{
    struct stat st;
    return lstat(path, &st) == 0;
}

/* What a kill has left: counts confirmed rows that are not there, and anything else that must not be. */
static void inspect(const struct run *r, const char *where, struct tally *t)
{
    struct journal j;
    unsigned long confirmed = atomic_load(r->confirmed), have = 0;
    t->confirmed += confirmed;
    if (exists(r->journal) && journal_read(r->journal, &j) == STATUS_OK) {
        int64_t right = right_rows(&j, r->row_count);
        t->torn_tails += j.torn;
        journal_release(&j);
        if (right < 0) {
            fprintf(stderr, "journal_driver: %s: the journal holds wrong rows\n", where);
            t->wrong++;
        } else {
            have = (unsigned long)right;
        }
    }
    if (exists(r->h5)) {
        /* Never a half-built file under the final name. */
        if (check(r->h5, r->row_count) == STATUS_OK) {
            have = r->row_count;
        } else {
            fprintf(stderr, "journal_driver: %s: a partial file stands at %s: %s\n", where, r->h5,
                    status_message());
            t->wrong++;
        }
    }
    if (have < confirmed) {
        fprintf(stderr, "journal_driver: %s: %lu rows were appended, %lu are there\n", where, confirmed,
                have);
        t->lost += confirmed - have;
    }
}

/* Finishes the run and checks the file; the directory must then hold nothing else. */
static void finish(const struct run *r, const char *self, const char *directory, const char *where,
                   struct tally *t)
{
    /* Killed between the last two steps there may be nothing left to do. */
    bool ok = (exists(r->h5) && !exists(r->journal)) || resumed_run(r, self);
    if (!ok)
        fprintf(stderr, "journal_driver: %s: the resumed run failed\n", where);
    else if (check(r->h5, r->row_count) != STATUS_OK) {
        fprintf(stderr, "journal_driver: %s: after resuming: %s\n", where, status_message());
        ok = false;
    }
    (void)unlink(r->h5);
    DIR *d = opendir(directory);
    if (!d)
        die("%s: %s", directory, strerror(errno));
    for (struct dirent *e = readdir(d); e; e = readdir(d)) {
        char path[PATH_SIZE + 300];
        if (e->d_name[0] == '.')
            continue;
        fprintf(stderr, "journal_driver: %s: %s is left over\n", where, e->d_name);
        ok = false;
        snprintf(path, sizeof path, "%s/%s", directory, e->d_name);
        (void)unlink(path);
    }
    closedir(d);
    t->unfinished += !ok;
}

static bool was_killed(int wait_status)
{
    return WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL;
}

/* The state of the files after a first kill, to be put back before each second kill. */
static void copy_file(const char *from, const char *to)
{
    char buffer[65536];
    FILE *in = fopen(from, "rb");
    if (!in) {
        (void)unlink(to);
        return;
    }
    FILE *out = fopen(to, "wb");
    size_t n;
    if (!out)
        die("%s: %s", to, strerror(errno));
    while ((n = fread(buffer, 1, sizeof buffer, in)) > 0)
        if (fwrite(buffer, 1, n, out) != n)
            die("%s: %s", to, strerror(errno));
    if (fclose(out) != 0)
        die("%s: %s", to, strerror(errno));
    fclose(in);
}

/* Kills the resumed run too, at every stride-th call. Leaves the files as after the first kill. */
static void kill_resumed(const struct run *r, const char *self, const char *directory, const char *first,
                         unsigned long stride, atomic_ulong *calls, struct tally *t)
{
    char where[256], kept_journal[PATH_SIZE + 32], kept_temporary[PATH_SIZE + 32];
    /* Beside the directory, which must be empty after each run. */
    snprintf(kept_journal, sizeof kept_journal, "%s.journal.kept", directory);
    snprintf(kept_temporary, sizeof kept_temporary, "%s.tmp.kept", directory);
    copy_file(r->journal, kept_journal);
    copy_file(r->temporary, kept_temporary);
    for (unsigned long n = 1;; n += stride) {
        snprintf(where, sizeof where, "%s, then call %lu of the resumed run", first, n);
        int wait_status = killed_run(r, n, n % 2 == 0, calls);
        if (was_killed(wait_status)) {
            t->second_kills++;
            inspect(r, where, t);
        } else if (wait_status != 0) {
            fprintf(stderr, "journal_driver: %s: failed instead of being killed\n", where);
            t->unfinished++;
        }
        bool past_the_end = wait_status == 0;
        finish(r, self, directory, where, t);
        copy_file(kept_journal, r->journal);
        copy_file(kept_temporary, r->temporary);
        if (past_the_end)
            break;
    }
    (void)unlink(kept_journal);
    (void)unlink(kept_temporary);
}

static void report(const struct tally *t, unsigned long calls)
{
    printf("{\"calls\": %lu, \"kills\": %lu, \"second_kills\": %lu, \"torn_tails\": %lu, \"rows_confirmed\": "
           "%lu, "
           "\"rows_lost\": %lu, \"wrong\": %lu, \"unfinished\": %lu}\n",
           calls, t->kills, t->second_kills, t->torn_tails, t->confirmed, t->lost, t->wrong, t->unfinished);
}

static int kill_everywhere(const char *directory, uint64_t row_count, unsigned long stride,
                           unsigned long second_stride, unsigned long first, const char *self)
{
    struct run r = {.row_count = row_count};
    struct tally t = {0};
    char path[PATH_SIZE], where[128], *real = realpath(directory, NULL);
    /* The shim is in this process by LD_PRELOAD; ISO C has no cast from void * to a function. */
    *(void **)&killat_arm = dlsym(RTLD_DEFAULT, "killat_arm");
    *(void **)&killat_calls = dlsym(RTLD_DEFAULT, "killat_calls");
    if (!killat_arm || !killat_calls)
        die("kill needs LD_PRELOAD=killat.so");
    if (!real)
        die("%s: %s", directory, strerror(errno));
    snprintf(path, sizeof path, "%s/run.h5", real);
    run_paths(&r, path);
    atomic_ulong *shared =
        mmap(NULL, 2 * sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED)
        die("mmap: %s", strerror(errno));
    r.confirmed = &shared[0];
    if (killed_run(&r, 0, false, &shared[1]) != 0)
        die("the run fails even when it is not killed");
    unsigned long calls = atomic_load(&shared[1]);
    finish(&r, self, real, "not killed", &t);
    for (int torn = 0; torn <= 1; torn++) {
        for (unsigned long n = first; n <= calls; n += stride) {
            snprintf(where, sizeof where, "killed %s call %lu of %lu", torn ? "in" : "before", n, calls);
            atomic_store(r.confirmed, 0);
            if (!was_killed(killed_run(&r, n, torn, &shared[1]))) {
                fprintf(stderr, "journal_driver: %s: was not killed\n", where);
                t.unfinished++;
            }
            t.kills++;
            inspect(&r, where, &t);
            if (second_stride > 0 && exists(r.journal))
                kill_resumed(&r, self, real, where, second_stride, &shared[1], &t);
            finish(&r, self, real, where, &t);
        }
    }
    free(real);
    report(&t, calls);
    return t.lost == 0 && t.wrong == 0 && t.unfinished == 0 && t.kills > 0 ? 0 : 1;
}

/* ---- the program ---- */

static int export(const char *format, const char *path, const char *against)
{
    struct result_set set;
    enum status s = result_set_load(path, &set);
    if (s == STATUS_OK) {
        if (strcmp(format, "csv") == 0)
            s = export_csv(&set, stdout);
        else if (strcmp(format, "jsonl") == 0)
            s = export_jsonl(&set, stdout);
        else
            s = export_markdown(&set, against, stdout);
        result_set_release(&set);
    }
    if (s != STATUS_OK)
        fprintf(stderr, "journal_driver: %s\n", status_message());
    return status_exit_code(s);
}

int main(int argc, char **argv)
{
    const char *mode = argc > 1 ? argv[1] : "";
    if (argc >= 4 && (strcmp(mode, "run") == 0 || strcmp(mode, "check") == 0)) {
        struct run r = {.row_count = strtoull(argv[3], NULL, 10)};
        run_paths(&r, argv[2]);
        enum status s = strcmp(mode, "run") == 0 ? run(&r) : check(argv[2], r.row_count);
        if (s != STATUS_OK)
            fprintf(stderr, "journal_driver: %s\n", status_message());
        return status_exit_code(s);
    }
    if (argc >= 4 && strcmp(mode, "export") == 0)
        return export(argv[2], argv[3], argc > 4 ? argv[4] : NULL);
    if (argc >= 7 && strcmp(mode, "kill") == 0 && strtoul(argv[4], NULL, 10) > 0 &&
        strtoul(argv[6], NULL, 10) > 0)
        return kill_everywhere(argv[2], strtoull(argv[3], NULL, 10), strtoul(argv[4], NULL, 10),
                               strtoul(argv[5], NULL, 10), strtoul(argv[6], NULL, 10), "/proc/self/exe");
    fputs("usage: see the top of journal_driver.c\n", stderr);
    return 2;
}
