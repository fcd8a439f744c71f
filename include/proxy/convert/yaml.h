/* A draft as the YAML of a configuration file. SPDX-License-Identifier: Apache-2.0 */
#ifndef SERIN_PROXY_CONVERT_YAML_H
#define SERIN_PROXY_CONVERT_YAML_H

struct cJSON;
struct text;

/* Appends an object as YAML with its comments (DRAFT_COMMENT), broken at 100 columns: small mappings and lists of plain
 * values on one line, the rest in blocks. What a reader would take for another type, or for YAML's own signs, is quoted;
 * bytes that are no UTF-8 become '?'. out->failed where memory was short. O(n). */
void yaml_write(struct text *out, const struct cJSON *object);

#endif
