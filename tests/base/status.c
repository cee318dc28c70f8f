#include "harness/base/status.h"

#include "tests/test.h"

TEST(status, the_message_may_quote_the_one_before)
{
    EXPECT_EQ(STATUS_INPUT, status_fail(STATUS_INPUT, "line %d", 3));
    EXPECT_EQ(STATUS_IO, status_fail(STATUS_IO, "file: %s", status_message()));
    EXPECT_STREQ("file: line 3", status_message());
    EXPECT_EQ(STATUS_MEMORY, status_no_memory("%s: %d rows", status_message(), 12));
    EXPECT_STREQ("file: line 3: 12 rows: out of memory", status_message());
}
