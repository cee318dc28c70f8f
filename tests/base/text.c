#include "harness/base/text.h"

#include <stdlib.h>
#include <string.h>

#include "tests/test.h"

/* By both ways of writing. Caller frees. */
static char *written(enum text_form form, const char *text)
{
    char *stream = NULL, *escaped = text_escaped(form, text, SIZE_MAX);
    size_t size;
    FILE *out = open_memstream(&stream, &size);
    if (out) {
        text_put(form, text, out);
        fclose(out);
    }
    EXPECT_STREQ(stream ? stream : "(no memory)", escaped ? escaped : "(no memory)");
    free(escaped);
    return stream;
}

/* Each form keeps what is not its own markup. */
TEST(text, each_form_escapes_what_would_mean_something_else)
{
    static const char all[] = "a<&>\"'\\`*_[|%:,\n\t\r\x7f";
    static const struct {
        enum text_form form;
        const char *in, *out;
    } rows[] = {
        {TEXT_LINE, all, "a<&>\"'\\`*_[|%:,    "},
        {TEXT_HTML, all, "a&lt;&amp;&gt;&quot;&#39;\\`*_[|%:,\n\t\r\x7f"},
        {TEXT_XML, all, "a&lt;&amp;&gt;&quot;'\\`*_[|%:,&#10;&#9;&#13;\x7f"},
        {TEXT_JSON, all, "\"a<&>\\\"'\\\\`*_[|%:,\\u000a\\u0009\\u000d\\u007f\""},
        {TEXT_JSON, "", "\"\""},
        {TEXT_CSV, all, "\"a<&>\"\"'\\`*_[|%:,\n\t\r\x7f\""},
        {TEXT_CSV, "plain 'text'", "plain 'text'"},
        {TEXT_CSV, "", ""},
        {TEXT_SHELL, all, "'a<&>\"'\\''\\`*_[|%:,\n\t\r\x7f'"},
        {TEXT_SHELL, "a-b_c/d.e=f:g,h", "a-b_c/d.e=f:g,h"},
        {TEXT_SHELL, "", "''"},
        {TEXT_MARKDOWN, all, "a\\<\\&>\"'\\\\\\`\\*_[|%:,    "},
        {TEXT_MARKDOWN_STRICT, all, "a\\<&>\"'\\\\`\\*\\_\\[|%:,    "},
        {TEXT_MARKDOWN_LINE, all, "a\\<&>\"'\\`*_[|%:,    "},
        {TEXT_MARKDOWN_CODE, all, "`a<&>\"'\\'*_[|%:,    `"},
        {TEXT_MARKDOWN_CELL, all, "a<&>\"'\\`*_[\\|%:,    "},
        {TEXT_GITHUB_MESSAGE, all, "a<&>\"'\\`*_[|%25:,%0A\t%0D\x7f"},
        {TEXT_GITHUB_PROPERTY, all, "a<&>\"'\\`*_[|%25%3A%2C%0A\t%0D\x7f"},
    };
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char *text = written(rows[i].form, rows[i].in);
        test_note("form %d", (int)rows[i].form);
        EXPECT_STREQ(rows[i].out, text ? text : "(no memory)");
        test_note(NULL);
        free(text);
    }
}

TEST(text, is_cut_between_characters)
{
    static const char *const cut[] = {"...", "...", "\xc3\xa9...", "\xc3\xa9&lt;..."};
    for (size_t most = 0; most < 4; most++) {
        char *text = text_escaped(TEXT_HTML, "\xc3\xa9<b", most);
        EXPECT_STREQ(cut[most], text ? text : "(no memory)");
        free(text);
    }
    char *text = text_escaped(TEXT_HTML, "\xc3\xa9<b", 4);
    EXPECT_STREQ("\xc3\xa9&lt;b", text ? text : "(no memory)");
    free(text);
}

TEST(text, is_repaired_in_place)
{
    static const struct {
        const char *in, *out;
    } rows[] = {{"plain", "plain"},
                {"caf\xc3\xa9", "caf\xc3\xa9"},
                {"cut \xe2\x82", "cut ??"},
                {"\xff\xfe", "??"},
                {"overlong \xc0\xaf \xe0\x80\xaf", "overlong ?? ???"},
                {"surrogate \xed\xa0\x80", "surrogate ???"},
                {"beyond \xf4\x90\x80\x80", "beyond ????"},
                {"last \xf4\x8f\xbf\xbf", "last \xf4\x8f\xbf\xbf"},
                {"lonely \x80 end", "lonely ? end"},
                {"\xe2\x82z", "??z"}};
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        char text[32];
        memset(text, 'Z', sizeof text);
        snprintf(text, sizeof text, "%s", rows[i].in);
        text_repair(text, sizeof text);
        EXPECT_STREQ(rows[i].out, text);
        for (size_t at = strlen(text); at < sizeof text; at++)
            EXPECT_EQ(0, text[at]);
    }
    char full[4] = {'a', 'b', 'c', 'd'};
    text_repair(full, sizeof full);
    EXPECT_STREQ("abc", full);
}
