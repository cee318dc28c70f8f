#include "harness/base/yaml.h"

#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/closest.h"

enum { NODES_MAX = 65536, SHOWN_LINE_MAX = 160, SHOWN_BEFORE_CARET = 100, UTF8_MAX = 4 };

/* ---- source lines ---- */

/* Length of the line break at text[i], 0 for none. YAML breaks lines at CR, LF, CR LF, NEL, LS and PS, and
 * libyaml counts them all. */
static size_t line_break(const char *text, size_t size, size_t i)
{
    if (text[i] == '\r')
        return i + 1 < size && text[i + 1] == '\n' ? 2 : 1;
    if (text[i] == '\n')
        return 1;
    if (size - i >= 2 && memcmp(text + i, "\xc2\x85", 2) == 0)
        return 2;
    if (size - i >= 3 &&
        (memcmp(text + i, "\xe2\x80\xa8", 3) == 0 || memcmp(text + i, "\xe2\x80\xa9", 3) == 0))
        return 3;
    return 0;
}

/* Bytes of the UTF-8 sequence at text[i]; 1 for a stray byte. Enough to count columns as libyaml does. */
static size_t utf8_width(const char *text, size_t size, size_t i)
{
    unsigned char c = (unsigned char)text[i];
    size_t width = c >= 0xf0 ? 4 : c >= 0xe0 ? 3 : c >= 0xc0 ? 2 : 1;
    if (width > size - i)
        return 1;
    for (size_t j = 1; j < width; j++)
        if (((unsigned char)text[i + j] & 0xc0) != 0x80)
            return 1;
    return width;
}

/* Appends the line and a caret under `column` (both counted from 0, in characters) to `out`: each character
 * takes one cell, control characters and stray bytes show as '?', a long line as the part around the column.
 */
static void show_line(const struct yaml_file *y, size_t line, size_t column, char *out, size_t out_size)
{
    size_t i = 0;
    for (size_t l = 0; l < line && i < y->size;) {
        size_t n = line_break(y->text, y->size, i);
        l += n != 0;
        i += n ? n : 1;
    }
    size_t hidden = column > SHOWN_BEFORE_CARET ? column - SHOWN_BEFORE_CARET : 0;
    size_t used = 0, caret = column - hidden;
    for (size_t at = 0; i < y->size && at < hidden + SHOWN_LINE_MAX && !line_break(y->text, y->size, i);
         at++) {
        size_t width = utf8_width(y->text, y->size, i);
        unsigned char c = (unsigned char)y->text[i];
        if (at >= hidden && used + UTF8_MAX < out_size) {
            if (width > 1)
                memcpy(out + used, y->text + i, width);
            else
                out[used] = c == '\t' ? ' ' : (char)(c < 0x20 || c >= 0x7f ? '?' : c);
            used += width;
        }
        i += width;
    }
    /* A mark past the end of its line (an unexpected end) still gets its caret there. */
    snprintf(out + used, out_size - used, "\n%*s^", (int)caret, "");
}

enum status yaml_file_fail(const struct yaml_file *y, const yaml_node_t *at, const char *nearest,
                           const char *format, ...)
{
    char what[1024], shown[SHOWN_LINE_MAX * UTF8_MAX + SHOWN_BEFORE_CARET + 16];
    const yaml_mark_t *mark = &at->start_mark;
    va_list ap;
    va_start(ap, format);
    vsnprintf(what, sizeof what, format, ap);
    va_end(ap);
    show_line(y, mark->line, mark->column, shown, sizeof shown);
    return status_fail(STATUS_INPUT, "%.1024s:%zu:%zu: %s\n%s%s%s%s", y->name, mark->line + 1,
                       mark->column + 1, what, shown, nearest ? "\ndid you mean \"" : "",
                       nearest ? nearest : "", nearest ? "\"?" : "");
}

/* While there are no nodes yet. */
#define FAIL_MARK(y, mark, ...) yaml_file_fail(y, &(yaml_node_t){.start_mark = (mark)}, NULL, __VA_ARGS__)

/* ---- parsing ---- */

/* A glob that is not quoted becomes YAML syntax: say so instead of "did not find expected ...". */
static const char *quoting_hint(const struct yaml_file *y, const yaml_mark_t *mark)
{
    size_t i = 0;
    for (size_t index = 0; i < y->size && index < mark->index; index++)
        i += utf8_width(y->text, y->size, i);
    if (i < y->size && y->text[i] == '*')
        return "; a pattern that begins with * must stand in quotes";
    if (i < y->size && y->text[i] == '!')
        return "; a pattern that begins with ! must stand in quotes";
    return "";
}

static enum status parser_fail(const struct yaml_file *y, const yaml_parser_t *parser)
{
    const char *problem = parser->problem ? parser->problem : "cannot be read";
    if (parser->error == YAML_MEMORY_ERROR)
        return status_no_memory("%.1024s", y->name);
    if (parser->error == YAML_READER_ERROR) {
        yaml_mark_t mark = {0};
        for (size_t i = 0; i < y->size && i < parser->problem_offset;) {
            size_t n = line_break(y->text, y->size, i);
            mark.line += n != 0;
            mark.column = n ? 0 : mark.column + 1;
            i += n ? n : utf8_width(y->text, y->size, i);
        }
        return FAIL_MARK(y, mark, "not YAML text: %s", problem);
    }
    const yaml_mark_t at = parser->problem_mark;
    const char *hint = parser->context_mark.line == at.line ? quoting_hint(y, &parser->context_mark) : "";
    return FAIL_MARK(y, at, "not valid YAML: %s%s%s%s", problem, parser->context ? " " : "",
                     parser->context ? parser->context : "", hint);
}

/* Refuses what no suite needs, while nothing is built yet. `*depth` follows the event. */
static enum status check_event(const struct yaml_file *y, const yaml_event_t *e, size_t *depth)
{
    const yaml_char_t *anchor = NULL, *tag = NULL;
    switch (e->type) {
    case YAML_ALIAS_EVENT:
        return FAIL_MARK(y, e->start_mark,
                         "aliases are not supported; a pattern that begins with * must stand in quotes");
    case YAML_SCALAR_EVENT:
        anchor = e->data.scalar.anchor;
        tag = e->data.scalar.tag;
        break;
    case YAML_SEQUENCE_START_EVENT:
        anchor = e->data.sequence_start.anchor;
        tag = e->data.sequence_start.tag;
        ++*depth;
        break;
    case YAML_MAPPING_START_EVENT:
        anchor = e->data.mapping_start.anchor;
        tag = e->data.mapping_start.tag;
        ++*depth;
        break;
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT:
        --*depth;
        break;
    default:
        break;
    }
    if (anchor)
        return FAIL_MARK(y, e->start_mark, "anchors are not supported");
    if (tag)
        return FAIL_MARK(y, e->start_mark,
                         "tags are not supported; a pattern that begins with ! must stand in quotes");
    if (*depth > YAML_FILE_DEPTH_MAX)
        return FAIL_MARK(y, e->start_mark, "nested more than %d deep", YAML_FILE_DEPTH_MAX);
    return STATUS_OK;
}

static enum status start_parser(const struct yaml_file *y, yaml_parser_t *parser)
{
    if (!yaml_parser_initialize(parser))
        return status_no_memory("%.1024s", y->name);
    yaml_parser_set_encoding(parser, YAML_UTF8_ENCODING);
    yaml_parser_set_input_string(parser, (const unsigned char *)y->text, y->size);
    return STATUS_OK;
}

/* Reads all events once: after this, loading the document cannot meet an error, a second document, a cycle or
 * more than NODES_MAX nodes. */
static enum status check_events(const struct yaml_file *y)
{
    enum status s = STATUS_OK;
    yaml_parser_t parser;
    TRY(start_parser(y, &parser));
    bool end = false;
    size_t depth = 0, events = 0, documents = 0;
    while (s == STATUS_OK && !end) {
        yaml_event_t event;
        if (!yaml_parser_parse(&parser, &event)) {
            s = parser_fail(y, &parser);
            break;
        }
        end = event.type == YAML_STREAM_END_EVENT;
        s = check_event(y, &event, &depth);
        if (s == STATUS_OK && event.type == YAML_DOCUMENT_START_EVENT && ++documents > 1)
            s = FAIL_MARK(y, event.start_mark, "a second document begins here");
        if (s == STATUS_OK && ++events > NODES_MAX)
            s = FAIL_MARK(y, event.start_mark, "more than %d values", NODES_MAX);
        yaml_event_delete(&event);
    }
    if (s == STATUS_OK && !documents)
        s = status_fail(STATUS_INPUT, "%.1024s:1:1: the file is empty", y->name);
    yaml_parser_delete(&parser);
    return s;
}

enum status yaml_file_read(const char *path, char **text, size_t *size)
{
    enum status s = STATUS_OK;
    FILE *f = fopen(path, "rb");
    if (!f)
        return status_fail(STATUS_IO, "%s: cannot open: %s", path, strerror(errno));
    /* Not sized beforehand: a pipe has no size. One byte more than allowed shows that there is too much. */
    char *bytes = malloc(YAML_FILE_BYTES_MAX + 1);
    *size = bytes ? fread(bytes, 1, YAML_FILE_BYTES_MAX + 1, f) : 0;
    if (!bytes)
        s = status_no_memory("%s", path);
    else if (ferror(f))
        s = status_fail(STATUS_IO, "%s: cannot read: %s", path, strerror(errno));
    else if (*size > YAML_FILE_BYTES_MAX)
        s = status_fail(STATUS_LIMIT, "%s: more than %d bytes", path, YAML_FILE_BYTES_MAX);
    fclose(f);
    if (s == STATUS_OK)
        *text = bytes;
    else
        free(bytes);
    return s;
}

enum status yaml_file_parse(const char *text, size_t size, const char *name, struct yaml_file *out)
{
    *out = (struct yaml_file){.name = name, .text = text, .size = size};
    if (!text) {
        TRY(yaml_file_read(name, &out->read, &out->size));
        out->text = out->read;
    }
    if (out->size > YAML_FILE_BYTES_MAX)
        return status_fail(STATUS_LIMIT, "%.1024s: more than %d bytes", name, YAML_FILE_BYTES_MAX);
    yaml_parser_t parser;
    TRY(check_events(out));
    TRY(start_parser(out, &parser));
    enum status s = STATUS_OK;
    if (!yaml_parser_load(&parser, &out->document)) {
        s = parser_fail(out, &parser);
        memset(&out->document, 0, sizeof out->document);
    }
    yaml_parser_delete(&parser);
    return s;
}

void yaml_file_release(struct yaml_file *y)
{
    if (y->document.nodes.start)
        yaml_document_delete(&y->document);
    free(y->read);
    *y = (struct yaml_file){0};
}

yaml_node_t *yaml_file_root(struct yaml_file *y)
{
    return yaml_document_get_root_node(&y->document);
}

yaml_node_t *yaml_file_node(struct yaml_file *y, int id)
{
    return yaml_document_get_node(&y->document, id);
}

/* ---- values ---- */

static const char *kind(const yaml_node_t *node)
{
    switch (node->type) {
    case YAML_MAPPING_NODE:
        return "a mapping";
    case YAML_SEQUENCE_NODE:
        return "a list";
    default:
        return node->data.scalar.length ? "a single value" : "nothing";
    }
}

static bool plain(const yaml_node_t *node)
{
    return node->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
}

enum status yaml_file_keys(struct yaml_file *y, yaml_node_t *map, const char *what, const char *const *names,
                           size_t count, yaml_node_t **values, yaml_node_t **keys)
{
    memset(values, 0, count * sizeof *values);
    memset(keys, 0, count * sizeof *keys);
    if (map->type != YAML_MAPPING_NODE)
        return yaml_file_fail(y, map, NULL, "%s must be a mapping (key: value), not %s", what, kind(map));
    for (const yaml_node_pair_t *p = map->data.mapping.pairs.start; p < map->data.mapping.pairs.top; p++) {
        yaml_node_t *key = yaml_file_node(y, p->key);
        const char *word;
        TRY(yaml_file_string(y, key, "a key", &word));
        size_t i = 0;
        while (i < count && strcmp(names[i], word) != 0)
            i++;
        if (i == count)
            return yaml_file_fail(y, key, closest(word, names, count), "unknown key \"%s\" in %s", word,
                                  what);
        if (values[i])
            return yaml_file_fail(y, key, NULL, "key \"%s\" stands twice; first on line %zu", word,
                                  keys[i]->start_mark.line + 1);
        keys[i] = key;
        values[i] = yaml_file_node(y, p->value);
    }
    return STATUS_OK;
}

enum status yaml_file_list(struct yaml_file *y, yaml_node_t *node, const char *what, yaml_node_t ***out,
                           size_t *count)
{
    bool list = node->type == YAML_SEQUENCE_NODE;
    const yaml_node_item_t *items = list ? node->data.sequence.items.start : NULL;
    size_t n = list ? (size_t)(node->data.sequence.items.top - items) : 1;
    *out = NULL;
    *count = 0;
    if (!n)
        return yaml_file_fail(y, node, NULL, "%s: the list is empty", what);
    if (n > YAML_FILE_LIST_MAX)
        return yaml_file_fail(y, node, NULL, "%s: more than %d entries", what, YAML_FILE_LIST_MAX);
    yaml_node_t **nodes = malloc(n * sizeof *nodes);
    if (!nodes)
        return status_no_memory("%.1024s", y->name);
    for (size_t i = 0; i < n; i++)
        nodes[i] = list ? yaml_file_node(y, items[i]) : node;
    *out = nodes;
    *count = n;
    return STATUS_OK;
}

/* The text goes to terminals, file names and C strings: no NUL, no escape sequences. libyaml has checked the
 * UTF-8. */
static enum status check_text(const struct yaml_file *y, const yaml_node_t *node, const char *what,
                              bool lines)
{
    if (node->type != YAML_SCALAR_NODE || !node->data.scalar.length)
        return yaml_file_fail(y, node, NULL, "%s must be text, not %s", what, kind(node));
    const yaml_char_t *text = node->data.scalar.value;
    for (size_t i = 0; i < node->data.scalar.length; i++) {
        bool c1 = text[i] == 0xc2 && text[i + 1] < 0xa0;
        if ((text[i] < 0x20 || text[i] == 0x7f || c1) && !(lines && text[i] == '\n'))
            return yaml_file_fail(y, node, NULL, "%s holds a control character (code %u)", what,
                                  c1 ? text[i + 1] : text[i]);
    }
    return STATUS_OK;
}

enum status yaml_file_string(const struct yaml_file *y, const yaml_node_t *node, const char *what,
                             const char **out)
{
    TRY(check_text(y, node, what, false));
    *out = (const char *)node->data.scalar.value;
    return STATUS_OK;
}

enum status yaml_file_check_text(const struct yaml_file *y, const yaml_node_t *node, const char *what)
{
    return check_text(y, node, what, true);
}

const char *yaml_size_from_text(const char *text, size_t *out)
{
    size_t value = 0;
    if (!*text || (text[0] == '0' && text[1]))
        return "is not a whole number";
    for (const char *c = text; *c; c++)
        if (*c < '0' || *c > '9')
            return "is not a whole number";
    for (const char *c = text; *c; c++) {
        size_t digit = (size_t)(*c - '0');
        if (value > (SIZE_MAX - digit) / 10)
            return "is too large";
        value = value * 10 + digit;
    }
    *out = value;
    return NULL;
}

/* The text of what must be `number`. */
static enum status number_text(const struct yaml_file *y, const yaml_node_t *node, const char *what,
                               const char *number, const char **text)
{
    if (node->type != YAML_SCALAR_NODE || !node->data.scalar.length)
        return yaml_file_fail(y, node, NULL, "%s must be %s, not %s", what, number, kind(node));
    return yaml_file_string(y, node, what, text);
}

enum status yaml_file_size(const struct yaml_file *y, const yaml_node_t *node, const char *what, size_t min,
                           size_t max, size_t *out)
{
    const char *text = "";
    TRY(number_text(y, node, what, "a whole number", &text));
    size_t value = 0;
    const char *fault = plain(node) ? yaml_size_from_text(text, &value) : "is text, not a whole number";
    if (fault)
        return yaml_file_fail(y, node, NULL, "%s: \"%.64s\" %s", what, text, fault);
    if (value < min || value > max)
        return yaml_file_fail(y, node, NULL, "%s must be from %zu to %zu, not %zu", what, min, max, value);
    *out = value;
    return STATUS_OK;
}

enum status yaml_file_number(const struct yaml_file *y, const yaml_node_t *node, const char *what, double min,
                             double max, double *out)
{
    const char *text = "";
    TRY(number_text(y, node, what, "a number", &text));
    /* strtod alone would also take hexadecimal, "inf" and "nan". */
    char *end;
    double value = strtod(text, &end);
    if (!plain(node) || *end || text[strspn(text, "0123456789.eE+-")])
        return yaml_file_fail(y, node, NULL, "%s: \"%.64s\" is not a number", what, text);
    if (!(value >= min && value <= max))
        return yaml_file_fail(y, node, NULL, "%s must be from %g to %g, not %.64s", what, min, max, text);
    *out = value;
    return STATUS_OK;
}

enum status yaml_file_bool(const struct yaml_file *y, const yaml_node_t *node, const char *what, bool *out)
{
    bool scalar = node->type == YAML_SCALAR_NODE && plain(node);
    const char *text = scalar ? (const char *)node->data.scalar.value : "";
    if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
        return yaml_file_fail(y, node, NULL, "%s must be true or false", what);
    *out = text[0] == 't';
    return STATUS_OK;
}
