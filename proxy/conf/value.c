/* Reads, compares and stores single values of the configuration.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/value.h"
#include "base/check.h"
#include "proxy/conf/config.h"
#include "proxy/conf/describe.h"
#include "proxy/conf/units.h"

struct value_reader {
    const struct config_field *field;
    struct arena *scratch;
    struct config_errors *errors;
    const struct node *list; /* whose items are read; NULL for a scalar */
};

static const char *expectation(const struct value_reader *r, const struct node *node,
                               char out[DESCRIBE_MAX])
{
    return node == r->list || !r->list ? describe_expectation(r->field, out)
                                       : describe_item(r->field, out);
}

static bool refuse_kind(struct value_reader *r, struct node *node)
{
    char expected[DESCRIBE_MAX];
    node_complain(node, r->errors, "%s (expected %s)", node_kind_text(node),
                  expectation(r, node, expected));
    return false;
}

/* what: a predicate to stand behind the value. */
static bool refuse(struct value_reader *r, struct node *node, const char *what)
{
    char quoted[TREE_QUOTE_MAX], expected[DESCRIBE_MAX];
    bool is_secret = r->field->flags & FIELD_SECRET;
    node_complain(node, r->errors, "%s %s (%s)",
                  is_secret ? "what stands here" : tree_quote(node->text, quoted), what,
                  expectation(r, node, expected));
    return false;
}

static enum err parse_number(enum config_type type, struct slice text, int64_t *out,
                             struct why *why)
{
    switch (type) {
    case TYPE_INTEGER:
        return units_parse_integer(text, out, why);
    case TYPE_DURATION:
        return units_parse_duration(text, out, why);
    case TYPE_SIZE:
        return units_parse_size(text, out, why);
    default:
        CHECK(type == TYPE_SHARE || type == TYPE_SHARES);
        return units_parse_share(text, out, why);
    }
}

static bool check_range(struct value_reader *r, struct node *node, int64_t number, int64_t min,
                        int64_t max)
{
    char limit[DESCRIBE_MAX], expected[DESCRIBE_MAX];
    if (number >= min && number <= max)
        return true;
    node_complain(node, r->errors, "%.*s is %s %.32s (%s)", SLICE_ARG(node->text),
                  number < min ? "below" : "above",
                  describe_number(r->field, number < min ? min : max, limit),
                  expectation(r, node, expected));
    return false;
}

static bool read_number(struct value_reader *r, struct node *node, int64_t *out)
{
    const struct config_field *f = r->field;
    struct why why;
    if (f->word && slice_equal(node->text, slice_str(f->word))) {
        *out = 0;
        return true;
    }
    if (parse_number(f->type, node->text, out, &why))
        return refuse(r, node, why.text);
    if (f->zero && *out == 0)
        return true;
    if (f->type == TYPE_SHARES)
        return check_range(r, node, *out, 0, SHARE_FULL_BP);
    return check_range(r, node, *out, f->min, f->max);
}

/* "2" is a count, "25%" a share; a bare 0 is none, whatever it is a share of. */
static bool read_amount(struct value_reader *r, struct node *node, struct value *v)
{
    const struct config_field *f = r->field;
    struct slice text = node->text;
    struct why why;
    v->is_share = text.len && text.at[text.len - 1] == '%';
    if (!v->is_share && units_parse_integer(text, &v->number, &why))
        return refuse(r, node, why.text);
    if (!v->is_share)
        return check_range(r, node, v->number, f->min, f->max);
    if (units_parse_share(text, &v->number, &why))
        return refuse(r, node, why.text);
    return v->number <= SHARE_FULL_BP || refuse(r, node, "is above 100%");
}

static bool read_bool(struct value_reader *r, struct node *node, int64_t *out)
{
    *out = slice_equal(node->text, SLICE("true"));
    if (*out || slice_equal(node->text, SLICE("false")))
        return true;
    return refuse(r, node, "is not a switch");
}

static bool read_choice(struct value_reader *r, struct node *node, int64_t *out)
{
    for (const struct config_choice *c = r->field->choices; c->name; c++) {
        if (!slice_equal(node->text, slice_str(c->name)))
            continue;
        *out = c->value;
        return true;
    }
    return refuse(r, node, "is not known");
}

static bool read_text(struct value_reader *r, struct node *node, struct slice *out)
{
    struct why why;
    if (text_check(r->field->form, node->text, &why))
        return refuse(r, node, why.text);
    *out = node->text;
    return true;
}

static bool read_scalar(struct value_reader *r, struct node *node, struct value *v)
{
    if (node->kind != NODE_SCALAR || node_is_null(node))
        return refuse_kind(r, node);
    switch (r->field->type) {
    case TYPE_BOOL:
        return read_bool(r, node, &v->number);
    case TYPE_CHOICE:
        return read_choice(r, node, &v->number);
    case TYPE_TEXT:
        return read_text(r, node, &v->text);
    case TYPE_AMOUNT:
        return read_amount(r, node, v);
    default:
        return read_number(r, node, &v->number);
    }
}

/* Items go one by one: to texts, to shares, or into the sum of a set. */
static bool read_item(struct value_reader *r, struct node *item, struct value *v)
{
    char quoted[TREE_QUOTE_MAX];
    int64_t choice;
    if (item->bad)
        return false;
    if (item->kind != NODE_SCALAR || node_is_null(item))
        return refuse_kind(r, item);
    if (r->field->type == TYPE_TEXTS)
        return read_text(r, item, &v->texts[item->index]);
    if (r->field->type == TYPE_SHARES)
        return read_number(r, item, &v->shares_bp[item->index]);
    if (!read_choice(r, item, &choice))
        return false;
    if (v->number & choice) {
        node_complain(item, r->errors, "%s is there twice", tree_quote(item->text, quoted));
        return false;
    }
    v->number |= choice;
    return true;
}

static bool make_room(struct value_reader *r, struct value *v)
{
    if (r->field->type == TYPE_TEXTS) {
        v->texts = arena_alloc(r->scratch, v->n * sizeof *v->texts);
        return v->texts != NULL;
    }
    if (r->field->type == TYPE_SHARES) {
        v->shares_bp = arena_alloc(r->scratch, v->n * sizeof *v->shares_bp);
        return v->shares_bp != NULL;
    }
    return true;
}

static bool read_list(struct value_reader *r, struct node *node, struct value *v)
{
    char expected[DESCRIBE_MAX];
    bool ok = true;
    if (node->kind != NODE_LIST)
        return refuse_kind(r, node);
    v->n = node->n;
    if ((int64_t)v->n < r->field->min || (int64_t)v->n > r->field->max) {
        node_complain(node, r->errors, "has %zu items (%s)", v->n,
                      describe_expectation(r->field, expected));
        return false;
    }
    if (!make_room(r, v))
        return false;
    for (struct node *item = node->first; item; item = item->next)
        ok = read_item(r, item, v) && ok;
    node->bad = node->bad || !ok;
    return ok;
}

bool value_read(struct value *v, const struct config_field *f, struct node *node,
                struct arena *scratch, struct config_errors *errors)
{
    bool is_list = f->type == TYPE_SET || f->type == TYPE_TEXTS || f->type == TYPE_SHARES;
    struct value_reader r = {f, scratch, errors, is_list ? node : NULL};
    *v = (struct value){.number = 0};
    if (is_list)
        return read_list(&r, node, v);
    return read_scalar(&r, node, v);
}

static const char *keep_text(const struct config_field *f, struct slice text, struct arena *keep)
{
    char *copy = arena_alloc(keep, text.len + 1);
    if (!copy)
        return NULL;
    for (size_t i = 0; i < text.len; i++)
        copy[i] = f->flags & FIELD_LOWER_CASE ? ascii_lower(text.at[i]) : text.at[i];
    copy[text.len] = '\0';
    return copy;
}

static bool store_texts(const struct value *v, const struct config_field *f,
                        struct config_string_list *list, struct arena *keep)
{
    CHECK(f->width == sizeof *list);
    const char **items = arena_alloc(keep, v->n * sizeof *items);
    if (!items)
        return false;
    for (size_t i = 0; i < v->n; i++) {
        items[i] = keep_text(f, v->texts[i], keep);
        if (!items[i])
            return false;
    }
    *list = (struct config_string_list){items, v->n};
    return true;
}

static void store_shares(const struct value *v, const struct config_field *f, char *target)
{
    double *fractions = (double *)(void *)(target + f->offset);
    CHECK(v->n <= f->width / sizeof *fractions);
    for (size_t i = 0; i < v->n; i++)
        fractions[i] = (double)v->shares_bp[i] / SHARE_FULL_BP;
    memcpy(target + f->count_offset, &v->n, sizeof v->n);
}

/* By the width of its place; the fields' ranges fit (a unit test holds the table to that). */
static void store_number(int64_t number, const struct config_field *f, void *place)
{
    double fraction = (double)number / SHARE_FULL_BP;
    uint16_t half = (uint16_t)number;
    uint32_t word = (uint32_t)number;
    uint8_t byte = (uint8_t)number;
    if (f->type == TYPE_SHARE && f->width == sizeof fraction)
        memcpy(place, &fraction, sizeof fraction);
    else if (f->width == sizeof number)
        memcpy(place, &number, sizeof number);
    else if (f->width == sizeof word)
        memcpy(place, &word, sizeof word);
    else if (f->width == sizeof half)
        memcpy(place, &half, sizeof half);
    else
        memcpy(place, &byte, sizeof byte);
}

bool value_store(const struct value *v, const struct config_field *f, void *target,
                 struct arena *keep)
{
    if (f->scope == SCOPE_NONE)
        return true;
    CHECK(target);
    char *place = (char *)target + f->offset;
    if (f->type == TYPE_TEXTS)
        return store_texts(v, f, (struct config_string_list *)(void *)place, keep);
    if (f->type == TYPE_SHARES) {
        store_shares(v, f, target);
        return true;
    }
    if (f->type == TYPE_AMOUNT) {
        struct plan_amount amount = {v->is_share, (uint32_t)v->number};
        memcpy(place, &amount, sizeof amount);
        return true;
    }
    if (f->type != TYPE_TEXT) {
        store_number(v->number, f, place);
        return true;
    }
    const char *text = keep_text(f, v->text, keep);
    memcpy(place, &text, sizeof text);
    return text != NULL;
}
