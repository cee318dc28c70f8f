// shim.cc: hands the C tests to GoogleTest. The only C++ file of the tests; see test.h.
#include "tests/test.h"

#include <cerrno>
#include <cmath>
#include <csignal>
#include <cstdarg>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>

#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <gtest/gtest.h>

// harness/cli/caller.h, whose _Noreturn is C alone.
extern "C" int is_caller(int argc, char **argv);
extern "C" [[noreturn]] void caller_main(int argc, char **argv);

namespace {

struct test_case *first = nullptr;
int begun; // tests
std::string note;
std::string temporary_directory;

class CTest : public ::testing::Test {
public:
    explicit CTest(const struct test_case *t) : test(t) {}
    void TestBody() override
    {
        begun++;
        test->run();
    }
    void TearDown() override
    {
        note.clear();
        if (!temporary_directory.empty())
            std::filesystem::remove_all(temporary_directory);
        temporary_directory.clear();
    }

private:
    const struct test_case *test;
};

bool report(bool ok, const char *file, int line, const std::string &text)
{
    if (!ok)
        GTEST_MESSAGE_AT_(file, line, (text + (note.empty() ? "" : "\n  at: " + note)).c_str(),
                          ::testing::TestPartResult::kNonFatalFailure);
    return ok;
}

std::string hex(uint64_t v)
{
    char buffer[32];
    std::snprintf(buffer, sizeof buffer, "0x%llx", static_cast<unsigned long long>(v));
    return buffer;
}

} // namespace

extern "C" {

void test_register(struct test_case *t)
{
    t->next = first;
    first = t;
}

bool test_check(bool ok, const char *file, int line, const char *expression)
{
    return report(ok, file, line, std::string("expected: ") + expression);
}

bool test_equal_i64(int64_t want, int64_t got, const char *file, int line, const char *a, const char *b)
{
    return report(want == got, file, line,
                  std::string("expected ") + a + " = " + std::to_string(want) + "\n     got " + b + " = " +
                      std::to_string(got));
}

bool test_equal_u64(uint64_t want, uint64_t got, const char *file, int line, const char *a, const char *b)
{
    return report(want == got, file, line,
                  std::string("expected ") + a + " = " + hex(want) + "\n     got " + b + " = " + hex(got));
}

bool test_near(double want, double got, double tolerance, const char *file, int line, const char *expression)
{
    return report(std::fabs(want - got) <= tolerance, file, line,
                  "expected " + std::to_string(want) + " +- " + std::to_string(tolerance) + "\n     got " +
                      expression + " = " + std::to_string(got));
}

bool test_equal_string(const char *want, const char *got, const char *file, int line, const char *expression)
{
    bool ok = want && got ? std::strcmp(want, got) == 0 : want == got;
    return report(ok, file, line,
                  std::string("expected \"") + (want ? want : "(null)") + "\"\n     got " + expression + " = \"" +
                      (got ? got : "(null)") + "\"");
}

bool test_contains(const char *text, const char *part, const char *file, int line, const char *expression)
{
    return report(text && std::strstr(text, part), file, line,
                  std::string("expected \"") + part + "\" in " + expression + " = \"" + (text ? text : "(null)") +
                      "\"");
}

void test_note(const char *format, ...)
{
    note.clear();
    if (!format)
        return;
    char buffer[512];
    va_list ap;
    va_start(ap, format);
    std::vsnprintf(buffer, sizeof buffer, format, ap);
    va_end(ap);
    note = buffer;
}

void test_skip(const char *reason, const char *file, int line)
{
    GTEST_MESSAGE_AT_(file, line, reason, ::testing::TestPartResult::kSkip);
}

void test_missing(const char *what, const char *file, int line)
{
    if (std::getenv("NF4BENCH_TEST_ALL"))
        report(false, file, line, what);
    else
        test_skip(what, file, line);
}

const char *test_path(const char *relative)
{
    static std::string path;
    path = std::string(NF4BENCH_SOURCE_DIR) + "/tests/" + relative;
    return path.c_str();
}

const char *test_temporary_directory(void)
{
    if (temporary_directory.empty()) {
        std::string pattern = (std::filesystem::temp_directory_path() / "nf4bench-test-XXXXXX").string();
        if (!mkdtemp(pattern.data()))
            std::abort();
        temporary_directory = pattern;
    }
    return temporary_directory.c_str();
}

} // extern "C"

namespace {

int run_tests()
{
    int failed = RUN_ALL_TESTS();
    if (::testing::GTEST_FLAG(list_tests))
        return failed;
    // A filter, a shard or a number of repetitions that runs nothing proves nothing. GoogleTest counts tests as
    // successful that GTEST_REPEAT=0 did not run.
    if (begun == 0) {
        std::fprintf(stderr, "shim: no test ran\n");
        return 1;
    }
    int disabled = ::testing::UnitTest::GetInstance()->disabled_test_count();
    if (disabled > 0) {
        std::fprintf(stderr, "shim: %d tests are DISABLED_: remove them, or SKIP() with a reason\n", disabled);
        return 1;
    }
    return failed;
}

} // namespace

// The tests run in a child process, which marks shared memory once all of them ended: a test that calls exit(0) or
// _exit(0) ends the child with exit code 0, and without the mark. Under gdb: set follow-fork-mode child.
int main(int argc, char **argv)
{
    if (is_caller(argc, argv))
        caller_main(argc, argv);
    ::testing::InitGoogleTest(&argc, argv);
    if (!first) {
        std::fprintf(stderr, "shim: no tests are registered: the test objects were not linked\n");
        return 1;
    }
    for (const struct test_case *t = first; t; t = t->next)
        ::testing::RegisterTest(t->suite, t->name, nullptr, nullptr, t->file, t->line,
                                [t]() -> ::testing::Test * { return new CTest(t); });
    void *page = mmap(nullptr, sizeof(pid_t), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (page == MAP_FAILED) {
        std::perror("shim: mmap");
        return 1;
    }
    pid_t *ended = static_cast<pid_t *>(page); // 0, then the number of the process in which all tests ended
    pid_t parent = getpid();
    pid_t child = fork();
    if (child < 0) {
        std::perror("shim: fork");
        return 1;
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent)
            return 1;
        int failed = run_tests();
        *ended = getpid();
        return failed;
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0)
        if (errno != EINTR) {
            std::perror("shim: waitpid");
            return 1;
        }
    if (WIFSIGNALED(status)) {
        std::fprintf(stderr, "shim: signal %d (%s) ended the tests\n", WTERMSIG(status), strsignal(WTERMSIG(status)));
        return 1;
    }
    if (*ended != child) {
        std::fprintf(stderr, "shim: a test ended the process with exit code %d; the tests after it did not run\n",
                     WEXITSTATUS(status));
        return 1;
    }
    return WEXITSTATUS(status);
}
