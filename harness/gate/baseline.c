#include "harness/gate/baseline.h"

#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <zlib.h>

#include "build_info.h"
#include "harness/base/child.h"
#include "harness/base/interrupt.h"

extern char **environ;

#define LIBRARY_FILE "libnf4bench_kernels.so"
#define TARGET       "nf4bench_kernels"

enum { ARGUMENTS_MAX = 64, COMMIT_MAX = 65, LOG_LINES = 15, LOG_BYTES = 2500, SHORT_COMMIT = 12 };

/* As the program itself was configured (cmake/BuildInfo.cmake): NAME=VALUE after -D, each with a comma behind it.
 * Then those of the library alone. */
static const char *const options[] = {NF4BENCH_CONFIGURE_OPTIONS "-DNF4BENCH_TESTS=OFF",
                                      "-DNF4BENCH_FUZZ=OFF", "-DNF4BENCH_WERROR=OFF"};
enum { OPTIONS = sizeof options / sizeof options[0] };

struct baseline {
    char repository[PATH_MAX];
    char commit[COMMIT_MAX];
    char place[PATH_MAX];   /* CACHE/<commit>-<key> */
    char library[PATH_MAX]; /* in it */
    char lock_path[PATH_MAX], failed_log[PATH_MAX];
    int lock;
    /* What is built in, and renamed to `place` when it is whole. */
    char folder[PATH_MAX], source[PATH_MAX], build[PATH_MAX], archive[PATH_MAX], log[PATH_MAX],
        built[PATH_MAX];
};

PRINTF_LIKE(2, 3)
static enum status format_path(char path[PATH_MAX], const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    int length = vsnprintf(path, PATH_MAX, format, ap);
    va_end(ap);
    return length >= 0 && length < PATH_MAX ? STATUS_OK : status_fail(STATUS_LIMIT, "a path is too long");
}

/* ---- other programs ---- */

/* Runs argv[0] of PATH, its output to these files, and waits for it. *code: its exit code, -1 after a signal.
 */
static enum status run(const char *const argv[], int out, int error, int *code)
{
    posix_spawn_file_actions_t files;
    pid_t child, gone;
    int wait_status = 0;
    if (interrupt_pending())
        return status_fail(STATUS_INTERRUPTED, "interrupted");
    if (posix_spawn_file_actions_init(&files))
        return status_no_memory("baseline");
    int failed = posix_spawn_file_actions_addopen(&files, 0, "/dev/null", O_RDONLY, 0);
    failed = failed ? failed : posix_spawn_file_actions_adddup2(&files, out, 1);
    failed = failed ? failed : posix_spawn_file_actions_adddup2(&files, error, 2);
    failed = failed ? failed : posix_spawnp(&child, argv[0], &files, NULL, (char **)argv, environ);
    posix_spawn_file_actions_destroy(&files);
    if (failed == ENOENT)
        return status_fail(STATUS_USAGE, "the program %s is needed, and not found", argv[0]);
    if (failed)
        return status_fail(STATUS_IO, "%s: %s", argv[0], strerror(failed));
    bool asked_to_end = false;
    while ((gone = waitpid(child, &wait_status, WNOHANG)) != child) {
        if (gone < 0 && errno != EINTR)
            return status_fail(STATUS_INTERNAL, "waitpid: %s", strerror(errno));
        if (interrupt_pending() && !asked_to_end) {
            asked_to_end = true;
            kill(child, SIGTERM);
        }
        usleep(2000);
    }
    if (interrupt_pending())
        return status_fail(STATUS_INTERRUPTED, "interrupted");
    *code = WIFEXITED(wait_status) ? WEXITSTATUS(wait_status) : -1;
    return STATUS_OK;
}

/* What it wrote, without the line's end: to `out` when *code is 0, else the last of what it wrote to stderr.
 */
static enum status ask(const char *const argv[], char *out, size_t size, int *code)
{
    FILE *answer = tmpfile(), *words = tmpfile();
    enum status s = answer && words ? STATUS_OK : status_fail(STATUS_IO, "tmpfile: %s", strerror(errno));
    if (s == STATUS_OK)
        s = run(argv, fileno(answer), fileno(words), code);
    if (s == STATUS_OK) {
        FILE *f = *code == 0 ? answer : words;
        rewind(f);
        size_t length = fread(out, 1, size - 1, f);
        while (length > 0 && out[length - 1] == '\n')
            length--;
        out[length] = '\0';
    }
    if (answer)
        fclose(answer);
    if (words)
        fclose(words);
    return s;
}

/* ---- which commit, and where it goes ---- */

static enum status resolve(struct baseline *b, const char *revision)
{
    char words[1024], name[256];
    int code;
    const char *top[] = {"git", "rev-parse", "--show-toplevel", NULL};
    TRY(ask(top, b->repository, sizeof b->repository, &code));
    if (code != 0)
        return status_fail(STATUS_USAGE, "this folder is in no git repository to take the revision from: %s",
                           b->repository);
    /* What begins with a dash git would take for an option. */
    if (*revision == '-' || *revision == '\0' ||
        snprintf(name, sizeof name, "%s^{commit}", revision) >= (int)sizeof name)
        return status_fail(STATUS_USAGE, "'%.80s' is no revision", revision);
    const char *verify[] = {"git", "rev-parse", "--verify", name, NULL};
    TRY(ask(verify, words, sizeof words, &code));
    if (code != 0)
        return status_fail(
            STATUS_USAGE, "'%s' is no revision of the repository %s (a shallow clone has few: git fetch): %s",
            revision, b->repository, words);
    size_t length = strspn(words, "0123456789abcdef");
    if (length < 40 || length >= COMMIT_MAX || words[length])
        return status_fail(STATUS_INTERNAL, "git calls %s '%s'", revision, words);
    memcpy(b->commit, words, length + 1);
    return STATUS_OK;
}

static unsigned long build_key(void)
{
    static const char compilers[] = NF4BENCH_COMPILER "\n" NF4BENCH_CXX_COMPILER;
    unsigned long key = crc32_z(0, (const Bytef *)compilers, sizeof compilers);
    for (size_t i = 0; i < OPTIONS; i++)
        key = crc32_z(key, (const Bytef *)options[i], strlen(options[i]) + 1);
    return key;
}

static enum status make_folders(const char *path)
{
    char part[PATH_MAX];
    TRY(format_path(part, "%s/", path));
    for (char *slash = strchr(part + 1, '/'); slash; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(part, 0777) != 0 && errno != EEXIST)
            return status_fail(STATUS_IO, "%s: %s", part, strerror(errno));
        *slash = '/';
    }
    return STATUS_OK;
}

static enum status find_cache(const char *cache, char path[PATH_MAX])
{
    const char *xdg = getenv("XDG_CACHE_HOME"), *home = getenv("HOME");
    char found[PATH_MAX];
    if (cache)
        TRY(format_path(found, "%s", cache));
    else if (xdg && *xdg == '/')
        TRY(format_path(found, "%s/nf4bench", xdg));
    else if (home && *home)
        TRY(format_path(found, "%s/.cache/nf4bench", home));
    else
        return status_fail(STATUS_USAGE, "no place for a cache: neither XDG_CACHE_HOME nor HOME is set");
    TRY(make_folders(found));
    /* cmake is called from here, and the path is given back: both want it absolute. */
    return realpath(found, path) ? STATUS_OK : status_fail(STATUS_IO, "%s: %s", found, strerror(errno));
}

static enum status find_place(struct baseline *b, const char *cache)
{
    char root[PATH_MAX];
    TRY(find_cache(cache, root));
    TRY(format_path(b->place, "%s/%s-%08lx", root, b->commit, build_key()));
    TRY(format_path(b->library, "%s/" LIBRARY_FILE, b->place));
    TRY(format_path(b->lock_path, "%s.lock", b->place));
    return format_path(b->failed_log, "%s.failed.log", b->place);
}

static bool is_there(const char *path)
{
    return access(path, R_OK) == 0;
}

/* ---- building ---- */

/* Waits while another process builds the same. Its end, however it comes, lets go of the lock. */
static enum status take_lock(struct baseline *b)
{
    b->lock = open(b->lock_path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (b->lock < 0)
        return status_fail(STATUS_IO, "%s: %s", b->lock_path, strerror(errno));
    bool told = false;
    while (flock(b->lock, LOCK_EX | LOCK_NB) != 0) {
        if (errno != EWOULDBLOCK && errno != EINTR)
            return status_fail(STATUS_IO, "%s: %s", b->lock_path, strerror(errno));
        if (interrupt_pending())
            return status_fail(STATUS_INTERRUPTED, "interrupted");
        if (!told)
            fprintf(stderr, "waiting for another build of the kernels of %.*s\n", SHORT_COMMIT, b->commit);
        told = true;
        usleep(50000);
    }
    return STATUS_OK;
}

/* A fresh folder. Those of builds that were killed are removed: what is left of them is of no use. */
static enum status make_folder(struct baseline *b)
{
    glob_t left;
    char pattern[PATH_MAX];
    TRY(format_path(pattern, "%s.building.*", b->place));
    TRY(format_path(b->folder, "%s.building.XXXXXX", b->place));
    if (glob(pattern, 0, NULL, &left) == 0) {
        for (size_t i = 0; i < left.gl_pathc; i++)
            remove_tree(left.gl_pathv[i]);
        globfree(&left);
    }
    if (!mkdtemp(b->folder)) {
        const enum status s = status_fail(STATUS_IO, "%s: %s", b->folder, strerror(errno));
        b->folder[0] = '\0';
        return s;
    }
    const struct {
        char *path;
        const char *name;
    } parts[] = {{b->source, "source"},
                 {b->build, "build"},
                 {b->archive, "source.tar"},
                 {b->log, "build.log"},
                 {b->built, "build/" LIBRARY_FILE}};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        TRY(format_path(parts[i].path, "%s/%s", b->folder, parts[i].name));
    if (mkdir(b->source, 0777) != 0 || mkdir(b->build, 0777) != 0)
        return status_fail(STATUS_IO, "%s: %s", b->folder, strerror(errno));
    return STATUS_OK;
}

/* The end of the log, for people: whole lines. */
static void last_lines(const char *path, char text[LOG_BYTES])
{
    FILE *f = fopen(path, "rb");
    size_t length = 0;
    if (f) {
        if (fseek(f, -(LOG_BYTES - 1), SEEK_END) != 0)
            rewind(f);
        length = fread(text, 1, LOG_BYTES - 1, f);
        fclose(f);
    }
    while (length > 0 && text[length - 1] == '\n')
        length--;
    text[length] = '\0';
    char *begin = text + length;
    for (int lines = 0; begin > text && (begin[-1] != '\n' || ++lines < LOG_LINES);)
        begin--;
    memmove(text, begin, strlen(begin) + 1);
}

/* The log stays, beside where the library would be. */
static enum status fail_build(struct baseline *b, const char *what)
{
    char text[LOG_BYTES];
    last_lines(b->log, text);
    if (rename(b->log, b->failed_log) != 0)
        return status_fail(STATUS_IO, "%s: %s", b->failed_log, strerror(errno));
    return status_fail(STATUS_INPUT, "the kernels of %.*s: %s; the end of %s:\n%s", SHORT_COMMIT, b->commit,
                       what, b->failed_log, text);
}

/* One step, its output to the log. */
static enum status step(struct baseline *b, const char *const argv[], const char *failure)
{
    int code, log = open(b->log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
    if (log < 0)
        return status_fail(STATUS_IO, "%s: %s", b->log, strerror(errno));
    enum status s = run(argv, log, log, &code);
    close(log);
    return s != STATUS_OK || code == 0 ? s : fail_build(b, failure);
}

static enum status export_source(struct baseline *b)
{
    const char *archive[] = {"git", "-C",       b->repository, "archive", "--format=tar",
                             "-o",  b->archive, b->commit,     NULL};
    const char *unpack[] = {"tar", "-xf", b->archive, "-C", b->source, NULL};
    TRY(step(b, archive, "git archive failed"));
    return step(b, unpack, "tar failed");
}

static enum status configure(struct baseline *b)
{
    static const char *const ninja[] = {"ninja", "--version", NULL};
    const char *argv[ARGUMENTS_MAX] = {"cmake", "-S", b->source, "-B", b->build};
    char words[256];
    int code;
    size_t count = 5;
    _Static_assert(OPTIONS + 8 < ARGUMENTS_MAX, "all arguments have room");
    if (ask(ninja, words, sizeof words, &code) == STATUS_OK && code == 0) {
        argv[count++] = "-G";
        argv[count++] = "Ninja";
    }
    for (size_t i = 0; i < OPTIONS; i++)
        argv[count++] = options[i];
    return step(b, argv, "cmake could not configure them");
}

/* Revisions from before there was the target are told from those that do not compile. */
static enum status check_target(struct baseline *b)
{
    static char words[1 << 20];
    int code;
    const char *argv[] = {"cmake", "--build", b->build, "--target", "help", NULL};
    enum status s = ask(argv, words, sizeof words, &code);
    if (s != STATUS_OK || code != 0 || strstr(words, TARGET))
        return s;
    return status_fail(STATUS_INPUT,
                       "the kernels of %.*s: that revision has no target " TARGET
                       ": it is older than the library of kernels, and cannot be compared in one run",
                       SHORT_COMMIT, b->commit);
}

static enum status compile(struct baseline *b)
{
    char jobs[24];
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    snprintf(jobs, sizeof jobs, "%ld", processors > 0 ? processors : 1);
    const char *argv[] = {"cmake", "--build", b->build, "--target", TARGET, "--parallel", jobs, NULL};
    TRY(step(b, argv, "they do not compile"));
    return is_there(b->built) ? STATUS_OK : fail_build(b, "the build has made no " LIBRARY_FILE);
}

/* Only what is whole gets the name that is looked for. */
static enum status publish(struct baseline *b)
{
    char library[PATH_MAX];
    TRY(format_path(library, "%s/" LIBRARY_FILE, b->folder));
    if (rename(b->built, library) != 0)
        return status_fail(STATUS_IO, "%s: %s", library, strerror(errno));
    remove_tree(b->source);
    remove_tree(b->build);
    unlink(b->archive);
    remove_tree(b->place); /* without its library, or we would not be here */
    if (chmod(b->folder, 0755) != 0 || rename(b->folder, b->place) != 0)
        return status_fail(STATUS_IO, "%s: %s", b->place, strerror(errno));
    b->folder[0] = '\0';
    unlink(b->failed_log);
    return STATUS_OK;
}

static enum status build_in_folder(struct baseline *b)
{
    TRY(make_folder(b));
    fprintf(stderr, "building the kernels of %.*s, log: %s\n", SHORT_COMMIT, b->commit, b->log);
    TRY(export_source(b));
    TRY(configure(b));
    TRY(check_target(b));
    TRY(compile(b));
    return publish(b);
}

/* Unless another process has done so meanwhile. */
static enum status build(struct baseline *b)
{
    TRY(take_lock(b));
    const enum status s = is_there(b->library) ? STATUS_OK : build_in_folder(b);
    if (b->folder[0])
        remove_tree(b->folder);
    return s;
}

enum status baseline_build(const char *revision, const char *cache, char *library, size_t size, char *commit,
                           size_t commit_size)
{
    struct baseline *b = calloc(1, sizeof *b);
    if (!b)
        return status_no_memory("baseline");
    b->lock = -1;
    enum status s = resolve(b, revision);
    if (s == STATUS_OK)
        s = find_place(b, cache);
    if (s == STATUS_OK && !is_there(b->library))
        s = build(b);
    if (b->lock >= 0)
        close(b->lock);
    if (s == STATUS_OK && (snprintf(library, size, "%s", b->library) >= (int)size ||
                           snprintf(commit, commit_size, "%s", b->commit) >= (int)commit_size))
        s = status_fail(STATUS_LIMIT, "the path of the library is too long");
    free(b);
    return s;
}
