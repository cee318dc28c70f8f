/* Tests of harness/gate/baseline.c on a small repository that has a target of the library's name. */
#include "harness/gate/baseline.h"

#include <dlfcn.h>
#include <glob.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/test.h"

static char root[PATH_MAX / 2], library[PATH_MAX], commit[80];

/* CMake runs once for a build: each run leaves a letter in the file `configured`. */
static const char make_repository[] =
    "set -e; mkdir repository repository/sub outside bin; cd repository; git init -q .\n"
    "commit() { git add -A; git -c user.name=t -c user.email=t -c commit.gpgsign=false commit -q -m \"$1\"; "
    "git tag "
    "\"$1\"; }\n"
    "cat >CMakeLists.txt <<'END'\n"
    "cmake_minimum_required(VERSION 3.25)\n"
    "project(tiny C)\n"
    "file(APPEND $ENV{BASELINE_CONFIGURED} x)\n"
    "add_library(other MODULE tiny.c)\n"
    "END\n"
    "echo 'int tiny(void) { return 7; }' >tiny.c; touch sub/file; commit old\n"
    "sed -i s/other/nf4bench_kernels/ CMakeLists.txt; commit good\n"
    "echo 'int tiny(void) { return 8; }' >tiny.c; commit better\n"
    "echo 'int tiny(void) { return no_such_thing; }' >tiny.c; commit broken\n";

/* git makes the repository, and checks revisions out. */
#define NEEDS_GIT()                                                                                          \
    do {                                                                                                     \
        if (system("git --version >/dev/null 2>&1") != 0)                                                    \
            MISSING("git is not installed");                                                                 \
    } while (0)

static bool start(void)
{
    char configured[PATH_MAX];
    snprintf(root, sizeof root, "%s", test_temporary_directory());
    snprintf(configured, sizeof configured, "%s/configured", root);
    setenv("BASELINE_CONFIGURED", configured, 1);
    pid_t child = fork();
    if (child == 0) {
        if (chdir(root) == 0)
            execlp("sh", "sh", "-c", make_repository, (char *)NULL);
        _exit(1);
    }
    int wait_status = 1;
    return child > 0 && waitpid(child, &wait_status, 0) == child && wait_status == 0;
}

/* From a folder under `root`, with the cache `name` there. */
static enum status build_in(const char *folder, const char *revision, const char *name)
{
    char here[PATH_MAX], there[PATH_MAX], cache[PATH_MAX];
    snprintf(there, sizeof there, "%s/%s", root, folder);
    snprintf(cache, sizeof cache, "%s/%s", root, name ? name : "");
    EXPECT_TRUE(getcwd(here, sizeof here) && chdir(there) == 0);
    enum status s =
        baseline_build(revision, name ? cache : NULL, library, sizeof library, commit, sizeof commit);
    EXPECT_EQ(0, chdir(here));
    return s;
}

static enum status build(const char *revision)
{
    return build_in("repository", revision, "cache");
}

static int configured_count(void)
{
    struct stat file;
    return stat(getenv("BASELINE_CONFIGURED"), &file) == 0 ? (int)file.st_size : 0;
}

/* How many paths there are of this pattern under `root`. */
static size_t count_paths(const char *pattern)
{
    char text[PATH_MAX];
    glob_t found;
    snprintf(text, sizeof text, "%s/%s", root, pattern);
    size_t count = glob(text, 0, NULL, &found) == 0 ? found.gl_pathc : 0;
    if (count)
        globfree(&found);
    return count;
}

/* What the library that was built last returns. */
static int tiny(void)
{
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    int (*f)(void) = handle ? (int (*)(void))dlsym(handle, "tiny") : NULL;
    int value = f ? f() : -1;
    if (handle)
        dlclose(handle);
    return value;
}

TEST(baseline, is_built_once_and_kept)
{
    char first[PATH_MAX];
    NEEDS_GIT();
    ASSERT_TRUE(start());
    ASSERT_EQ(STATUS_OK, build("good"));
    EXPECT_EQ(7, tiny());
    EXPECT_EQ(40, strlen(commit));
    EXPECT_CONTAINS(library, commit);
    EXPECT_EQ(1, configured_count());
    /* The library and the log, and nothing else. */
    EXPECT_EQ(2, count_paths("cache/*/*"));
    EXPECT_EQ(1, count_paths("cache/*/build.log"));
    EXPECT_EQ(0, count_paths("cache/*.building.*"));
    snprintf(first, sizeof first, "%s", library);
    /* By another name, from another folder of the repository. */
    ASSERT_EQ(STATUS_OK, build_in("repository/sub", commit, "cache"));
    EXPECT_STREQ(first, library);
    EXPECT_EQ(1, configured_count());
    /* Another commit is another library. */
    ASSERT_EQ(STATUS_OK, build("better"));
    EXPECT_EQ(8, tiny());
    EXPECT_EQ(2, configured_count());
}

TEST(baseline, what_an_interrupted_build_left_is_done_again)
{
    char left[PATH_MAX];
    NEEDS_GIT();
    ASSERT_TRUE(start());
    ASSERT_EQ(STATUS_OK, build("good"));
    EXPECT_EQ(0, unlink(library));
    char *slash = strrchr(library, '/');
    snprintf(left, sizeof left, "%.*s.building.aaaaaa", (int)(slash - library), library);
    EXPECT_EQ(0, mkdir(left, 0777));
    ASSERT_EQ(STATUS_OK, build("good"));
    EXPECT_EQ(7, tiny());
    EXPECT_EQ(2, configured_count());
    EXPECT_EQ(0, count_paths("cache/*.building.*"));
}

TEST(baseline, two_at_once_build_once)
{
    NEEDS_GIT();
    ASSERT_TRUE(start());
    pid_t children[2];
    for (int i = 0; i < 2; i++)
        if ((children[i] = fork()) == 0)
            _exit(build("good") == STATUS_OK && tiny() == 7 ? 0 : 1);
    for (int i = 0; i < 2; i++) {
        int wait_status = 1;
        EXPECT_TRUE(children[i] > 0 && waitpid(children[i], &wait_status, 0) == children[i]);
        EXPECT_EQ(0, wait_status);
    }
    EXPECT_EQ(1, configured_count());
}

TEST(baseline, what_is_no_revision_is_said)
{
    NEEDS_GIT();
    ASSERT_TRUE(start());
    EXPECT_EQ(STATUS_USAGE, build("nobody"));
    EXPECT_CONTAINS(status_message(), "'nobody' is no revision of the repository");
    EXPECT_EQ(STATUS_USAGE, build("--all"));
    EXPECT_STREQ("'--all' is no revision", status_message()); /* git was not asked */
    EXPECT_EQ(STATUS_USAGE, build(""));
    EXPECT_EQ(STATUS_USAGE, build("good:tiny.c")); /* a file */
    EXPECT_EQ(STATUS_USAGE, build_in("outside", "good", "cache"));
    EXPECT_CONTAINS(status_message(), "no git repository");
    EXPECT_EQ(0, count_paths("cache"));
}

TEST(baseline, what_cannot_be_built_is_said)
{
    NEEDS_GIT();
    ASSERT_TRUE(start());
    EXPECT_EQ(STATUS_INPUT, build("old"));
    EXPECT_CONTAINS(status_message(), "that revision has no target nf4bench_kernels: it is older than");
    EXPECT_EQ(0, count_paths("cache/*.failed.log"));
    EXPECT_EQ(STATUS_INPUT, build("broken"));
    EXPECT_CONTAINS(status_message(), "they do not compile");
    EXPECT_CONTAINS(status_message(), "no_such_thing"); /* the compiler's words */
    EXPECT_CONTAINS(status_message(), ".failed.log:\n");
    EXPECT_EQ(1, count_paths("cache/*.failed.log"));
    EXPECT_EQ(0, count_paths("cache/*/*"));
}

TEST(baseline, programs_that_are_missing_are_named)
{
    char path[PATH_MAX], *kept = strdup(getenv("PATH"));
    NEEDS_GIT();
    ASSERT_TRUE(kept && start());
    snprintf(path, sizeof path, "%s/bin", root);
    setenv("PATH", path, 1);
    EXPECT_EQ(STATUS_USAGE, build("good"));
    EXPECT_CONTAINS(status_message(), "the program git is needed");
    /* Those that are found, one more each time; `git` finds its own. */
    static const struct {
        const char *found, *missing;
    } steps[] = {{"git", "tar"}, {"tar", "cmake"}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        char script[3 * PATH_MAX];
        setenv("PATH", kept, 1);
        snprintf(script, sizeof script,
                 "ln -s \"$(command -v %s)\" '%s/%s'; ln -sf \"$(command -v rm)\" '%s/rm'", steps[i].found,
                 path, steps[i].found, path);
        EXPECT_EQ(0, system(script));
        setenv("PATH", path, 1);
        EXPECT_EQ(STATUS_USAGE, build("good"));
        snprintf(script, sizeof script, "the program %s is needed", steps[i].missing);
        EXPECT_CONTAINS(status_message(), script);
        EXPECT_EQ(0, count_paths("cache/*.building.*"));
    }
    setenv("PATH", kept, 1);
    free(kept);
}

TEST(baseline, the_cache_is_where_caches_are)
{
    char cache[PATH_MAX], *kept = getenv("XDG_CACHE_HOME") ? strdup(getenv("XDG_CACHE_HOME")) : NULL;
    NEEDS_GIT();
    ASSERT_TRUE(start());
    snprintf(cache, sizeof cache, "%s/mine", root);
    setenv("XDG_CACHE_HOME", cache, 1);
    EXPECT_EQ(STATUS_OK, build_in("repository", "good", NULL));
    EXPECT_EQ(1, count_paths("mine/nf4bench/*/libnf4bench_kernels.so"));
    if (kept)
        setenv("XDG_CACHE_HOME", kept, 1);
    else
        unsetenv("XDG_CACHE_HOME");
    free(kept);
}
