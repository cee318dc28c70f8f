#include "plots/command.h"

#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "harness/base/text.h"

static const char *without_folder(const char *word)
{
    const char *slash = word[0] == '/' ? strrchr(word, '/') : NULL;
    return slash && slash[1] ? slash + 1 : word;
}

char *command_of(const struct result_set *set)
{
    const char *argv = result_set_attribute(set, "argv");
    char *text = NULL;
    size_t size = 0, i;
    json_t *words = argv ? json_loads(argv, 0, NULL) : NULL, *word;
    FILE *out = json_array_size(words) > 0 ? open_memstream(&text, &size) : NULL;
    if (out) {
        json_array_foreach(words, i, word)
        {
            const char *w = json_string_value(word);
            if (!w)
                continue;
            fputs(i ? " " : "", out);
            if (i == 0) /* the program and its command, "nf4bench run", stand in one */
                fputs(without_folder(w), out);
            else
                text_put(TEXT_SHELL, without_folder(w), out);
        }
        if (fclose(out) != 0) {
            free(text);
            text = NULL;
        }
    }
    json_decref(words);
    return text;
}
