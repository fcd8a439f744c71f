/* Puts keys into words, for errors and for the list of all keys.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/conf/describe.h"
#include "base/check.h"
#include "proxy/conf/units.h"
#include <inttypes.h>

const char *describe_number(const struct config_field *f, int64_t number, char out[DESCRIBE_MAX])
{
    switch (f->type) {
    case TYPE_DURATION:
        return units_format_duration(number, out);
    case TYPE_SIZE:
        return units_format_size(number, out);
    case TYPE_SHARE:
    case TYPE_SHARES:
        return units_format_share(number, out);
    default:
        (void)snprintf(out, DESCRIBE_MAX, "%" PRId64, number);
        return out;
    }
}

const char *describe_amount(struct plan_amount amount, char out[DESCRIBE_MAX])
{
    if (amount.is_share)
        return units_format_share(amount.value, out);
    (void)snprintf(out, DESCRIBE_MAX, "%" PRIu32, amount.value);
    return out;
}

/* "a, b, c" */
static void join_choices(const struct config_choice *choices, char out[DESCRIBE_MAX])
{
    size_t at = 0;
    out[0] = '\0';
    for (; choices->name && at < DESCRIBE_MAX; choices++)
        at += (size_t)snprintf(out + at, DESCRIBE_MAX - at, "%s%s", at ? ", " : "", choices->name);
}

static void expect_number(const struct config_field *f, char out[DESCRIBE_MAX])
{
    static const char *const nouns[] = {[TYPE_INTEGER] = "an integer",
                                        [TYPE_DURATION] = "a duration",
                                        [TYPE_SIZE] = "a size",
                                        [TYPE_SHARE] = "a share"};
    char least[DESCRIBE_MAX], most[DESCRIBE_MAX];
    (void)snprintf(out, DESCRIBE_MAX, "%s from %.32s to %.32s%s%s%s%s", nouns[f->type],
                   describe_number(f, f->min, least), describe_number(f, f->max, most),
                   f->zero ? ", or 0 for " : "", f->zero ? f->zero : "", f->word ? ", or " : "",
                   f->word ? f->word : "");
}

static void expect_items(const struct config_field *f, const char *items, char out[DESCRIBE_MAX])
{
    if (f->min)
        (void)snprintf(out, DESCRIBE_MAX, "a list of %" PRId64 " to %" PRId64 "%s%.80s", f->min,
                       f->max, *items ? ": " : " items", items);
    else
        (void)snprintf(out, DESCRIBE_MAX, "a list of at most %" PRId64 "%s%.80s", f->max,
                       *items ? ": " : " items", items);
}

const char *describe_item(const struct config_field *f, char out[DESCRIBE_MAX])
{
    char choices[DESCRIBE_MAX];
    if (f->type == TYPE_TEXTS)
        return text_expectation(f->form);
    if (f->type == TYPE_SHARES)
        return "a share from 0% to 100%";
    join_choices(f->choices, choices);
    (void)snprintf(out, DESCRIBE_MAX, "one of %.140s", choices);
    return out;
}

const char *describe_expectation(const struct config_field *f, char out[DESCRIBE_MAX])
{
    char choices[DESCRIBE_MAX];
    switch (f->type) {
    case TYPE_MAPPING:
    case TYPE_NAMED:
        (void)snprintf(out, DESCRIBE_MAX, "a mapping: %s", f->help);
        break;
    case TYPE_LIST:
        expect_items(f, "", out);
        break;
    case TYPE_INTEGER:
    case TYPE_DURATION:
    case TYPE_SIZE:
    case TYPE_SHARE:
        expect_number(f, out);
        break;
    case TYPE_BOOL:
        return "true or false";
    case TYPE_CHOICE:
        return describe_item(f, out);
    case TYPE_SET:
        join_choices(f->choices, choices);
        expect_items(f, choices, out);
        break;
    case TYPE_TEXT:
        return text_expectation(f->form);
    case TYPE_TEXTS:
        expect_items(f, text_expectation(f->form), out);
        break;
    case TYPE_SHARES:
        expect_items(f, "shares from 0% to 100%", out);
        break;
    case TYPE_AMOUNT:
        (void)snprintf(out, DESCRIBE_MAX,
                       "a count from %" PRId64 " to %" PRId64 ", or a share from 0%% to 100%%",
                       f->min, f->max);
        break;
    }
    return out;
}

const char *describe_type(const struct config_field *f)
{
    static const char *const names[] = {
        [TYPE_MAPPING] = "mapping",      [TYPE_LIST] = "list",
        [TYPE_NAMED] = "by name",        [TYPE_INTEGER] = "integer",
        [TYPE_DURATION] = "duration",    [TYPE_SIZE] = "size",
        [TYPE_SHARE] = "share",          [TYPE_BOOL] = "switch",
        [TYPE_CHOICE] = "choice",        [TYPE_SET] = "list of choices",
        [TYPE_TEXTS] = "list of texts",  [TYPE_SHARES] = "list of shares",
        [TYPE_AMOUNT] = "count or share"};
    return f->type == TYPE_TEXT ? text_form_name(f->form) : names[f->type];
}

const char *describe_range(const struct config_field *f, char out[DESCRIBE_MAX])
{
    char least[DESCRIBE_MAX], most[DESCRIBE_MAX];
    switch (f->type) {
    case TYPE_INTEGER:
    case TYPE_DURATION:
    case TYPE_SIZE:
    case TYPE_SHARE:
        (void)snprintf(out, DESCRIBE_MAX, "%.32s..%.32s%s%s%s%s", describe_number(f, f->min, least),
                       describe_number(f, f->max, most), f->zero ? ", 0 = " : "",
                       f->zero ? f->zero : "", f->word ? ", " : "", f->word ? f->word : "");
        break;
    case TYPE_BOOL:
        return "true, false";
    case TYPE_CHOICE:
        join_choices(f->choices, out);
        break;
    case TYPE_SET:
        join_choices(f->choices, out);
        break;
    case TYPE_LIST:
    case TYPE_NAMED:
    case TYPE_TEXTS:
    case TYPE_SHARES:
        (void)snprintf(out, DESCRIBE_MAX, "%" PRId64 "..%" PRId64 " items", f->min, f->max);
        break;
    case TYPE_AMOUNT:
        (void)snprintf(out, DESCRIBE_MAX, "%" PRId64 "..%" PRId64 ", 0%%..100%%", f->min, f->max);
        break;
    case TYPE_MAPPING:
    case TYPE_TEXT:
        return "";
    }
    return out;
}

const char *describe_standard(const struct config_field *f)
{
    if (f->standard)
        return f->standard;
    if (f->absent_help)
        return f->absent_help;
    if (f->type == TYPE_MAPPING)
        return "";
    return f->flags & FIELD_REQUIRED ? "(required)" : "(none)";
}

const char *describe_unit(const struct config_field *f)
{
    switch (f->type) {
    case TYPE_DURATION:
        return "ms s m h";
    case TYPE_SIZE:
        return "B KiB MiB GiB";
    case TYPE_SHARE:
    case TYPE_SHARES:
    case TYPE_AMOUNT:
        return "%";
    default:
        return "";
    }
}

const char *describe_reload(const struct config_field *f)
{
    static const char *const names[] = {
        [RELOAD_YES] = "yes", [RELOAD_ROLLOUT] = "next rollout", [RELOAD_RESTART] = "restart"};
    return names[f->reload];
}
