/* Draws all routes as a table, a line each.
 * SPDX-License-Identifier: Apache-2.0 */
#include "rollout/cli/numbers.h"
#include "rollout/cli/status_parts.h"
#include "rollout/cli/status_render.h"

#include <cjson/cJSON.h>
#include <string.h>

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

/* Columns of the table of routes that depend on what stands in them. */
struct table_columns {
    size_t name, versions;
};

static struct table_columns measure_table(const cJSON *routes, const struct style *s)
{
    struct table_columns c = {strlen("ROUTE"), strlen("VERSIONS")};
    const cJSON *item;
    cJSON_ArrayForEach(item, routes)
    {
        struct status_view v = status_view_of(item);
        struct text versions = {0};
        status_part_versions(&versions, &v, s);
        c.versions = larger(c.versions, text_columns(text_str(&versions)));
        c.name = larger(c.name, text_columns(v.route));
        text_fini(&versions);
    }
    return c;
}

static void add_row(struct text *t, const struct status_view *v, const struct style *s,
                    const struct table_columns *c)
{
    size_t name_columns = c->name;
    struct text row = {0};
    text_add_clean(&row, v->route);
    text_pad(&row, name_columns + 2);
    text_add(&row, "%s", style_begin(s, status_part_colour(v)));
    text_add_clean(&row, v->phase);
    text_add(&row, "%s", style_end(s, status_part_colour(v)));
    text_pad(&row, name_columns + 15);
    if (v->step > 0)
        text_add(&row, "%u/%u", v->step, v->steps);
    text_pad(&row, name_columns + 22);
    text_add(&row, "%s", v->canary[0] ? number_percent(status_effective(v)).at : "-");
    text_pad(&row, name_columns + 31);
    status_part_versions(&row, v, s);
    if (v->why[0]) {
        text_pad(&row, name_columns + 31 + c->versions + 2);
        text_add(&row, "%s", style_begin(s, COLOUR_DIM));
        text_add_clean(&row, v->why);
    }
    if (v->why[0])
        text_add(&row, "%s", style_end(s, COLOUR_DIM));
    status_part_cut(t, s, text_str(&row), s->width);
    text_fini(&row);
}

void status_render_all(struct text *t, const struct cJSON *json, const struct style *s)
{
    const cJSON *item, *routes = cJSON_GetObjectItemCaseSensitive(json, "routes");
    if (cJSON_GetArraySize(routes) == 1) {
        struct status_view v = status_view_of(cJSON_GetArrayItem(routes, 0));
        status_render(t, &v, s);
        return;
    }
    struct table_columns columns = measure_table(routes, s);
    struct text titles = {0};
    text_add(&titles, "%s%-*s  %-13s%-7s%-9s%-*s%s", style_begin(s, COLOUR_DIM), (int)columns.name,
             "ROUTE", "PHASE", "STEP", "WEIGHT", (int)columns.versions + 2, "VERSIONS", "WHY");
    status_part_cut(t, s, text_str(&titles), s->width);
    text_fini(&titles);
    cJSON_ArrayForEach(item, routes)
    {
        struct status_view v = status_view_of(item);
        add_row(t, &v, s, &columns);
    }
    if (cJSON_GetArraySize(routes) == 0)
        text_add(t, "no routes\n");
}
