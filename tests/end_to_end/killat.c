/*
 * killat.c: kills a program at a chosen write. For LD_PRELOAD:
 *
 *   KILLAT_MATCH=/abs/dir/run.h5   count the calls that touch a path that begins so (run.h5, run.h5.tmp),
 *                                  and fsync of its directory; absolute and free of symbolic links
 *   KILLAT_N=17                    SIGKILL just before the 17th of them (none or 0: only count), to the process
 *                                  that makes the call and to the program; calls of forked processes count too
 *   KILLAT_TORN=1                  instead: write half of the bytes and die; other calls are made first
 *   KILLAT_ERRNO=28                instead: the call fails so, and the program lives on
 *   KILLAT_ALLOCATION=17           the 17th allocation of memory fails, and no other; not in callers of kernels
 *   KILLAT_ONCE=/path              kill only the first process that gets there, and no other; each process
 *                                  counts for itself; the file /path is made then
 *   KILLAT_COUNT_FILE=/path        at exit, the number of calls is written there, and that of allocations
 *
 * A program can also arm it itself, after a fork for instance: see killat_arm().
 */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

static char match[4096];
static unsigned long kill_at;
static bool torn;
static int fail_with; /* errno */
static unsigned long fail_allocation;
static atomic_ulong allocations;
static atomic_ulong own_calls,
    *calls = &own_calls; /* shared with processes that are forked, where that matters */
static pid_t armed;      /* the process that was told to */

void killat_arm(const char *path_prefix, unsigned long n, bool torn_write);
unsigned long killat_calls(void);

/* Forgets what was counted. An empty prefix matches nothing. */
void killat_arm(const char *path_prefix, unsigned long n, bool torn_write)
{
    snprintf(match, sizeof match, "%s", path_prefix);
    kill_at = n;
    torn = torn_write;
    armed = getpid();
    calls = &own_calls;
    atomic_store(calls, 0);
}

unsigned long killat_calls(void)
{
    return atomic_load(calls);
}

/* `nf4bench caller ...` */
static bool is_caller(void)
{
    char command[64] = "";
    FILE *f = fopen("/proc/self/cmdline", "r");
    size_t size = f ? fread(command, 1, sizeof command - 1, f) : 0;
    if (f)
        fclose(f);
    return strnlen(command, size) + 1 < size && strcmp(command + strlen(command) + 1, "caller") == 0;
}

__attribute__((constructor)) static void arm_from_environment(void)
{
    const char *path = getenv("KILLAT_MATCH"), *n = getenv("KILLAT_N"), *t = getenv("KILLAT_TORN");
    const char *error = getenv("KILLAT_ERRNO"), *allocation = getenv("KILLAT_ALLOCATION");
    killat_arm(path ? path : "", n ? strtoul(n, NULL, 10) : 0, t && strcmp(t, "1") == 0);
    fail_with = error ? atoi(error) : 0;
    atomic_store(&allocations, 0);
    fail_allocation = allocation && !is_caller() ? strtoul(allocation, NULL, 10) : 0;
    void *shared = mmap(NULL, sizeof *calls, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared != MAP_FAILED && !getenv("KILLAT_ONCE"))
        calls = shared;
}

__attribute__((destructor)) static void write_count(void)
{
    const char *path = getenv("KILLAT_COUNT_FILE");
    FILE *f = path && getpid() == armed ? fopen(path, "w") : NULL;
    if (f) {
        fprintf(f, "%lu %lu\n", killat_calls(), atomic_load(&allocations));
        fclose(f);
    }
}

/* The next definition of a function: the sanitizer's or libc's. */
#define NEXT(name)                                                                                           \
    static __typeof__(&name) next;                                                                           \
    if (!next)                                                                                               \
    next = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

static bool path_matches(int directory, const char *path)
{
    char absolute[8192] = "", link[64];
    if (!match[0] || !path)
        return false;
    if (path[0] != '/' && directory == AT_FDCWD) {
        if (!getcwd(absolute, sizeof absolute / 2))
            return false;
    } else if (path[0] != '/') {
        snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
        ssize_t n = readlink(link, absolute, sizeof absolute / 2 - 1);
        if (n < 0)
            return false;
        absolute[n] = '\0';
    }
    size_t used = strlen(absolute);
    snprintf(absolute + used, sizeof absolute - used, "%s%s", used > 0 ? "/" : "", path);
    return strncmp(absolute, match, strlen(match)) == 0;
}

static bool fd_matches(int fd)
{
    char path[4096], link[64];
    if (!match[0])
        return false;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t n = readlink(link, path, sizeof path - 1);
    if (n < 0)
        return false;
    path[n] = '\0';
    const char *slash = strrchr(match, '/');
    bool is_directory = slash && (size_t)n == (size_t)(slash - match) && strncmp(path, match, (size_t)n) == 0;
    return is_directory || strncmp(path, match, strlen(match)) == 0;
}

static void die(void)
{
    if (!getenv("KILLAT_ONCE"))
        kill(armed, SIGKILL);
    raise(SIGKILL);
}

/* Counts a call that matched. Dies now for a whole kill; returns true when the call is to be torn. */
static bool due(void)
{
    if (atomic_fetch_add(calls, 1) + 1 != kill_at)
        return false;
    const char *once = getenv("KILLAT_ONCE");
    if (once && open(once, O_CREAT | O_EXCL | O_WRONLY, 0600) < 0)
        return false;
    if (!torn && !fail_with)
        die();
    return true;
}

static int failed(void)
{
    errno = fail_with;
    return -1;
}

/* glibc's headers may redirect the 64-bit names to the plain ones; both symbols exist in the library. */
#define WRITER(name, parameters, arguments, half_arguments)                                                  \
    ssize_t name parameters                                                                                  \
    {                                                                                                        \
        NEXT(name);                                                                                          \
        if (fd_matches(fd) && due()) {                                                                       \
            if (fail_with)                                                                                   \
                return failed();                                                                             \
            (void)!next half_arguments;                                                                      \
            die();                                                                                           \
        }                                                                                                    \
        return next arguments;                                                                               \
    }
WRITER(write, (int fd, const void *buffer, size_t size), (fd, buffer, size), (fd, buffer, size / 2))
WRITER(pwrite, (int fd, const void *buffer, size_t size, off_t at), (fd, buffer, size, at),
       (fd, buffer, size / 2, at))
WRITER(pwrite64, (int fd, const void *buffer, size_t size, off64_t at), (fd, buffer, size, at),
       (fd, buffer, size / 2, at))
WRITER(writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), (fd, parts, count / 2))

#define CALL(name, parameters, arguments, matches)                                                           \
    int name parameters                                                                                      \
    {                                                                                                        \
        NEXT(name);                                                                                          \
        bool last = (matches) && due();                                                                      \
        if (last && fail_with)                                                                               \
            return failed();                                                                                 \
        int result = next arguments;                                                                         \
        if (last)                                                                                            \
            die();                                                                                           \
        return result;                                                                                       \
    }
CALL(fsync, (int fd), (fd), fd_matches(fd))
CALL(fdatasync, (int fd), (fd), fd_matches(fd))
CALL(ftruncate, (int fd, off_t size), (fd, size), fd_matches(fd))
CALL(ftruncate64, (int fd, off64_t size), (fd, size), fd_matches(fd))
CALL(unlink, (const char *path), (path), path_matches(AT_FDCWD, path))
CALL(unlinkat, (int directory, const char *path, int flags), (directory, path, flags),
     path_matches(directory, path))
CALL(rename, (const char *from, const char *to), (from, to),
     path_matches(AT_FDCWD, from) || path_matches(AT_FDCWD, to))
CALL(renameat, (int from_directory, const char *from, int to_directory, const char *to),
     (from_directory, from, to_directory, to),
     path_matches(from_directory, from) || path_matches(to_directory, to))
CALL(renameat2, (int from_directory, const char *from, int to_directory, const char *to, unsigned flags),
     (from_directory, from, to_directory, to, flags),
     path_matches(from_directory, from) || path_matches(to_directory, to))

/* ---- memory ---- */

#ifndef KILLAT_LEAVES_MEMORY
void *__libc_malloc(size_t size), *__libc_calloc(size_t count, size_t size), *__libc_realloc(void *old, size_t size);
void *__libc_memalign(size_t alignment, size_t size);

static bool none_left(void)
{
    if (atomic_fetch_add(&allocations, 1) + 1 != fail_allocation)
        return false;
    errno = ENOMEM;
    return true;
}

void *malloc(size_t size)
{
    return none_left() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    return none_left() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    return none_left() ? NULL : __libc_realloc(old, size);
}

void *aligned_alloc(size_t alignment, size_t size)
{
    return none_left() ? NULL : __libc_memalign(alignment, size);
}

int posix_memalign(void **to, size_t alignment, size_t size)
{
    void *new = none_left() ? NULL : __libc_memalign(alignment, size);
    if (new)
        *to = new;
    return new ? 0 : ENOMEM;
}
#endif
