/* Writes YAML that people would have written: blocks, short things on one line, quotes only where they are needed.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert/yaml.h"
#include "base/utf8.h"
#include "proxy/convert/draft.h"
#include "rollout/cli/text.h"
#include "rollout/kube/scalar.h"

#include <cjson/cJSON.h>
#include <string.h>

#define WIDTH         100 /* columns of a line */
#define INDENT        2
#define FLOW_KEYS_MAX 6 /* of a mapping on one line */

static bool is_comment(const struct cJSON *item)
{
    return item->string && strcmp(item->string, DRAFT_COMMENT) == 0;
}

static bool is_container(const struct cJSON *item)
{
    return cJSON_IsObject(item) || cJSON_IsArray(item);
}

static bool is_one_of(char c, const char *set)
{
    return c != '\0' && strchr(set, c) != NULL;
}

static bool is_alnum(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* Text without signs of YAML's, in a block and on one line with others. */
static bool is_word(const char *text)
{
    if (!is_alnum(text[0]) && text[0] != '/')
        return false;
    for (const char *p = text; *p; p++)
        if (!is_alnum(*p) && !is_one_of(*p, "_./%-"))
            return false;
    return true;
}

static void write_quoted(struct text *out, const char *text)
{
    struct slice rest = slice_str(text);
    text_add(out, "\"");
    while (rest.len) {
        uint32_t c = '?';
        unsigned n = utf8_next(rest, &c);
        if (n == 0)
            c = '?', n = 1;
        if (c == '"' || c == '\\')
            text_add(out, "\\%c", (char)c);
        else if (c >= 0x20 && c < 0x7f)
            text_add(out, "%c", (char)c);
        else
            text_add(out, c > 0xffff ? "\\U%08x" : "\\u%04x", c);
        rest = slice_of(rest.at + n, rest.len - n);
    }
    text_add(out, "\"");
}

/* Keys are texts to serin, whatever they look like (on, 1.2). */
static void write_key(struct text *out, const char *key)
{
    if (is_word(key))
        text_add(out, "%s", key);
    else
        write_quoted(out, key);
}

static void write_text(struct text *out, const char *text)
{
    double number;
    if (is_word(text) && scalar_read(slice_str(text), &number) == SCALAR_TEXT)
        text_add(out, "%s", text);
    else
        write_quoted(out, text);
}

static void write_scalar(struct text *out, const struct cJSON *item)
{
    if (cJSON_IsString(item))
        write_text(out, item->valuestring);
    else if (cJSON_IsNumber(item))
        text_add(out, "%.15g", item->valuedouble);
    else
        text_add(out, "%s", cJSON_IsTrue(item) ? "true" : cJSON_IsFalse(item) ? "false" : "null");
}

static void write_flow(struct text *out, const struct cJSON *item)
{
    bool is_object = cJSON_IsObject(item);
    if (!is_container(item)) {
        write_scalar(out, item);
        return;
    }
    text_add(out, is_object ? "{" : "[");
    const struct cJSON *child;
    cJSON_ArrayForEach(child, item)
    {
        text_add(out, "%s%s", child == item->child ? "" : ",",
                 is_object || child != item->child ? " " : "");
        if (is_object) {
            write_key(out, child->string);
            text_add(out, ": ");
        }
        write_flow(out, child);
    }
    text_add(out, is_object && item->child ? " }" : is_object ? "}" : "]");
}

/* Whether it may stand on one line: no comment within, plain values or lists of them. */
static bool is_flat(const struct cJSON *item, bool may_nest)
{
    const struct cJSON *child;
    cJSON_ArrayForEach(child, item)
    {
        bool is_list_of_plain = may_nest && cJSON_IsArray(child) && is_flat(child, false);
        if (is_comment(child) || (is_container(child) && !is_list_of_plain))
            return false;
    }
    return !is_container(item) || cJSON_IsArray(item) || cJSON_GetArraySize(item) <= FLOW_KEYS_MAX;
}

/* The value as it stands behind its key or dash; false: it is too much for that line. */
static bool fits_on_line(const struct text *out, const struct cJSON *item, struct text *flow)
{
    const char *all = text_str(out), *line = strrchr(all, '\n');
    size_t columns = strlen(line ? line + 1 : all) + 1;
    if (!is_flat(item, cJSON_IsObject(item)))
        return false;
    write_flow(flow, item);
    return !is_container(item) || columns + flow->len <= WIDTH;
}

static void write_indent(struct text *out, unsigned depth)
{
    text_add(out, "%*s", (int)(depth * INDENT), "");
}

static void write_comment(struct text *out, const char *words, unsigned depth)
{
    struct text wrapped = {0};
    size_t indent = (size_t)depth * INDENT;
    text_add_wrapped(&wrapped, words, 0, WIDTH - indent - 2);
    const char *line = text_str(&wrapped);
    for (const char *end = line; end; line = end ? end + 1 : line) {
        end = strchr(line, '\n');
        write_indent(out, depth);
        text_add(out, "# ");
        text_add_bytes(out, line, end ? (size_t)(end - line) : strlen(line));
        text_add(out, "\n");
    }
    out->failed |= wrapped.failed;
    text_fini(&wrapped);
}

static void write_block(struct text *out, const struct cJSON *first, unsigned depth, bool is_begun);

/* Behind a key or a dash. */
static void write_value(struct text *out, const struct cJSON *item, unsigned depth, bool is_item)
{
    struct text flow = {0};
    const struct cJSON *first = item->child;
    if (fits_on_line(out, item, &flow)) {
        text_add(out, " %s\n", text_str(&flow));
    } else {
        text_add(out, is_item ? " " : "\n");
        while (is_item && first && is_comment(first))
            first = first->next; /* these stand above the dash */
        write_block(out, first, depth + 1, is_item);
    }
    out->failed |= flow.failed;
    text_fini(&flow);
}

/* The members from first on, in lines of their own; is_begun: the first one goes on in a line. The draft's depth is
 * that of a configuration. */
static void write_block(struct text *out, const struct cJSON *first, unsigned depth, bool is_begun)
{
    for (const struct cJSON *child = first; child; child = child->next) {
        if (is_comment(child)) {
            write_comment(out, child->valuestring, depth);
            continue;
        }
        for (const struct cJSON *c = child->child; !child->string && c && is_comment(c);
             c = c->next)
            write_comment(out, c->valuestring, depth);
        if (!is_begun)
            write_indent(out, depth);
        is_begun = false;
        if (child->string)
            write_key(out, child->string);
        text_add(out, child->string ? ":" : "-");
        write_value(out, child, depth, !child->string);
    }
}

void yaml_write(struct text *out, const struct cJSON *object)
{
    write_block(out, object->child, 0, false);
}
