#include "harness/base/output.h"

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/test.h"

static const char hdf5[] = "\211HDF\r\n\032\n and more", journal[] = "nf4bench journal 2\nand more";

/* The path of a file of these bytes. */
static const char *file(const char *name, const char *bytes, size_t size)
{
    static char path[4][512];
    static unsigned next;
    char *p = path[next++ % 4];
    snprintf(p, sizeof path[0], "%s/%s", test_temporary_directory(), name);
    FILE *f = fopen(p, "w");
    if (!f || fwrite(bytes, 1, size, f) != size || fclose(f) != 0)
        abort();
    return p;
}

static const char *text_of(const char *path)
{
    static char text[64];
    memset(text, 0, sizeof text);
    FILE *f = fopen(path, "r");
    if (!f || (fread(text, 1, sizeof text - 1, f) == 0 && ferror(f)) || fclose(f) != 0)
        abort();
    return text;
}

static size_t files_in(const char *folder)
{
    size_t count = 0;
    DIR *d = opendir(folder);
    if (!d)
        abort();
    while (readdir(d))
        count++;
    closedir(d);
    return count;
}

TEST(output, measurements_are_not_replaced)
{
    char late[1024 + sizeof hdf5] = {0}, link_name[512];
    memcpy(late + 1024, hdf5, sizeof hdf5);
    const char *paths[] = {file("a", hdf5, sizeof hdf5), file("b", late, sizeof late),
                           file("c", journal, sizeof journal)};
    for (size_t i = 0; i < 3; i++)
        for (enum output_form form = 0; form < OUTPUT_HDF5; form++) {
            EXPECT_EQ(STATUS_USAGE, output_allowed(paths[i], form, false));
            EXPECT_CONTAINS(status_message(), paths[i]);
            EXPECT_EQ(STATUS_USAGE, output_allowed(paths[i], form, true));
        }
    snprintf(link_name, sizeof link_name, "%s/page.html", test_temporary_directory());
    ASSERT_EQ(0, symlink(paths[0], link_name));
    EXPECT_EQ(STATUS_USAGE, output_allowed(link_name, OUTPUT_HTML, false));
    EXPECT_CONTAINS(status_message(), "holds measurements (HDF5)");
    EXPECT_EQ(STATUS_OK, output_allowed(file("d", "an old page", 11), OUTPUT_HTML, false));
}

TEST(output, force_replaces_hdf5_and_nothing_else)
{
    EXPECT_EQ(STATUS_USAGE, output_allowed(file("a.h5", hdf5, sizeof hdf5), OUTPUT_HDF5, false));
    EXPECT_CONTAINS(status_message(), "--force replaces it");
    EXPECT_EQ(STATUS_OK, output_allowed(file("a.h5", hdf5, sizeof hdf5), OUTPUT_HDF5, true));
    EXPECT_EQ(STATUS_OK, output_allowed(file("empty", "", 0), OUTPUT_HDF5, true));
    EXPECT_EQ(STATUS_USAGE, output_allowed(file("suite", "suite: mine", 11), OUTPUT_HDF5, true));
    EXPECT_EQ(STATUS_USAGE, output_allowed(file("run", journal, sizeof journal), OUTPUT_HDF5, true));
}

TEST(output, an_ending_belongs_to_its_form)
{
    static const struct {
        const char *path;
        enum output_form form;
    } wrong[] = {{"r.h5", OUTPUT_HTML},  {"r.HDF5", OUTPUT_CSV},          {"r.html", OUTPUT_MARKDOWN},
                 {"r.csv", OUTPUT_HDF5}, {"suite.yaml", OUTPUT_MARKDOWN}, {"r.h5.journal", OUTPUT_HDF5},
                 {"lib.so", OUTPUT_JSON}},
      right[] = {{"r.htm", OUTPUT_HTML},    {"r.h5", OUTPUT_HDF5}, {"r.h5.md", OUTPUT_MARKDOWN},
                 {"notes.txt", OUTPUT_CSV}, {"-", OUTPUT_CSV},    {NULL, OUTPUT_HTML}};
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        test_note("%s", wrong[i].path);
        EXPECT_EQ(STATUS_USAGE, output_allowed(wrong[i].path, wrong[i].form, true));
    }
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
        EXPECT_EQ(STATUS_OK, output_allowed(right[i].path, right[i].form, false));
}

TEST(output, a_file_gets_its_name_when_it_is_whole)
{
    struct output out;
    const char *old = file("page", "old", 3);
    const size_t files = files_in(test_temporary_directory());
    ASSERT_EQ(STATUS_OK, output_begin(old, false, &out));
    fputs("new", out.stream);
    EXPECT_STREQ("old", text_of(old));
    EXPECT_EQ(STATUS_OK, output_end(&out, STATUS_OK));
    EXPECT_STREQ("new", text_of(old));

    ASSERT_EQ(STATUS_OK, output_begin(old, false, &out));
    fputs("half", out.stream);
    EXPECT_EQ(STATUS_INPUT, output_end(&out, STATUS_INPUT));
    EXPECT_STREQ("new", text_of(old));

    ASSERT_EQ(STATUS_OK, output_begin(old, true, &out));
    fputs("er", out.stream);
    EXPECT_EQ(STATUS_OK, output_end(&out, STATUS_OK));
    EXPECT_STREQ("newer", text_of(old));
    EXPECT_EQ(files, files_in(test_temporary_directory()));
}

TEST(output, a_full_disk_leaves_what_was_there)
{
    struct output out;
    struct rlimit before, small = {.rlim_cur = 4096, .rlim_max = RLIM_INFINITY};
    const char *old = file("full", "old", 3);
    const size_t files = files_in(test_temporary_directory());
    ASSERT_EQ(0, getrlimit(RLIMIT_FSIZE, &before));
    small.rlim_max = before.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &small));
    const enum status began = output_begin(old, false, &out);
    for (int i = 0; i < 10000 && began == STATUS_OK; i++)
        fputs("0123456789", out.stream);
    const enum status ended = began == STATUS_OK ? output_end(&out, STATUS_OK) : began;
    ASSERT_EQ(0, setrlimit(RLIMIT_FSIZE, &before));
    signal(SIGXFSZ, SIG_DFL);
    EXPECT_EQ(STATUS_IO, ended);
    EXPECT_CONTAINS(status_message(), old);
    EXPECT_STREQ("old", text_of(old));
    EXPECT_EQ(files, files_in(test_temporary_directory()));
}

TEST(output, a_link_stays_a_link)
{
    struct output out;
    struct stat st;
    char name[512];
    const char *old = file("target", "old", 3);
    snprintf(name, sizeof name, "%s/link", test_temporary_directory());
    ASSERT_EQ(0, symlink(old, name));
    ASSERT_EQ(STATUS_OK, output_begin(name, false, &out));
    fputs("new", out.stream);
    EXPECT_EQ(STATUS_OK, output_end(&out, STATUS_OK));
    EXPECT_STREQ("new", text_of(old));
    ASSERT_EQ(0, lstat(name, &st));
    EXPECT_TRUE(S_ISLNK(st.st_mode));
    EXPECT_TRUE(output_is(name, old));
    EXPECT_FALSE(output_is(name, file("other", "", 0)));
}
