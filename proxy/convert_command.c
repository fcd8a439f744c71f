/* serin convert: a configuration out of the objects of ingress-nginx, Argo Rollouts or Flagger.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/convert_command.h"
#include "proxy/conf/load.h"
#include "proxy/convert/convert.h"
#include "proxy/convert/yaml.h"
#include "rollout/cli/text.h"
#include "rollout/cli/usage.h"
#include "rollout/kube/manifest.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>
#include <sysexits.h>

#define EXIT_FAILED    1
#define ERROR_LINE_MAX 1024

static const char help[] =
    "Usage: serin convert [--from KIND] [--strict] [--json] FILE\n"
    "\n"
    "Reads Kubernetes objects (YAML of one or more documents, or JSON; - is standard input) and\n"
    "writes a configuration for serin to standard output. What could not be carried over, or is "
    "only\n"
    "something like it, is said on standard error as FILE:LINE: OBJECT: PATH: what and why, and as "
    "a\n"
    "comment at its place. Nothing is asked of a cluster, and nothing is changed anywhere.\n"
    "\n"
    "      --from KIND   ingress   Ingresses of ingress-nginx, each with its canary Ingress\n"
    "                    argo      Rollouts of Argo Rollouts with the strategy canary\n"
    "                    flagger   Canaries of Flagger\n"
    "                    Left out: what the file has. Services, Ingresses, AnalysisTemplates and\n"
    "                    MetricTemplates in the same file are used by what names them.\n"
    "      --strict      exit with 1 where anything was not carried over\n"
    "      --json        one JSON object: from, yaml, notes\n"
    "  -h, --help        this text\n"
    "\n"
    "Example:\n"
    "  kubectl get ingress -n shop -o yaml | serin convert - > serin.yaml\n"
    "  serin check -c serin.yaml\n"
    "\n"
    "Exit codes: 0 done, 1 the file cannot be read or holds nothing to convert, 2 usage, 70 out "
    "of\n"
    "memory.\n";

struct convert_options {
    const char *path;
    enum convert_from from;
    bool strict, json, help;
};

static enum err parse_options(int argc, char **argv, struct convert_options *o, struct why *why)
{
    static const struct option options[] = {{"from", required_argument, NULL, 'f'},
                                            {"strict", no_argument, NULL, 's'},
                                            {"json", no_argument, NULL, 'j'},
                                            {"help", no_argument, NULL, 'h'},
                                            {0}};
    int option;
    optind = 1;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":h", options, NULL)) != -1) {
        if (option == 'f')
            o->from = convert_from_name(optarg);
        else if (option == 's')
            o->strict = true;
        else if (option == 'j')
            o->json = true;
        else if (option == 'h')
            o->help = true;
        else
            return usage_option(why, option, argv, options);
        if (o->from == CONVERT_KINDS)
            return why_set(why, ERR_INVALID, "--from \"%s\" (expected ingress, argo or flagger)",
                           optarg);
    }
    if (o->help)
        return OK;
    if (optind == argc)
        return why_set(why, ERR_INVALID, "the file is missing: serin convert FILE");
    if (optind + 1 < argc)
        return why_set(why, ERR_INVALID, "unexpected argument \"%s\" (one file)", argv[optind + 1]);
    o->path = argv[optind];
    return OK;
}

static const char *kind_text(enum note_kind kind)
{
    return kind == NOTE_LEFT ? "not carried over" : "approximated";
}

static void print_notes(const struct draft *d)
{
    for (size_t i = 0; i < d->n_notes; i++) {
        const struct note *n = &d->notes[i];
        char line[16] = "";
        if (n->line)
            (void)snprintf(line, sizeof line, ":%u", n->line);
        fprintf(stderr, "%s%s: %s: %s%s%s: %s\n", d->file, line, n->object, n->path,
                n->path[0] ? ": " : "", kind_text(n->kind), n->text);
    }
    if (d->n_dropped)
        fprintf(stderr, "%s: ... and %zu more\n", d->file, d->n_dropped);
}

static bool add_note(cJSON *list, const struct draft *d, const struct note *n)
{
    cJSON *item = cJSON_CreateObject();
    bool ok = item && cJSON_AddStringToObject(item, "kind", kind_text(n->kind)) &&
              cJSON_AddStringToObject(item, "file", d->file) &&
              cJSON_AddNumberToObject(item, "line", n->line) &&
              cJSON_AddStringToObject(item, "object", n->object) &&
              cJSON_AddStringToObject(item, "path", n->path) &&
              cJSON_AddStringToObject(item, "text", n->text) && cJSON_AddItemToArray(list, item);
    if (!ok)
        cJSON_Delete(item);
    return ok;
}

/* Returns the exit code. */
static int print_json(const struct draft *d, enum convert_from from, const char *yaml)
{
    cJSON *json = cJSON_CreateObject();
    bool ok = json && cJSON_AddStringToObject(json, "from", convert_name(from)) &&
              cJSON_AddStringToObject(json, "yaml", yaml);
    cJSON *notes = ok ? cJSON_AddArrayToObject(json, "notes") : NULL;
    ok = ok && notes && cJSON_AddNumberToObject(json, "notes_dropped", (double)d->n_dropped);
    for (size_t i = 0; ok && i < d->n_notes; i++)
        ok = add_note(notes, d, &d->notes[i]);
    char *text = ok ? cJSON_Print(json) : NULL;
    if (text)
        puts(text);
    cJSON_free(text);
    cJSON_Delete(json);
    return text ? 0 : EX_SOFTWARE;
}

/* A last look, with the eyes of `serin check`: what was read was written by others. False: it would be refused, which
 * is said. */
static bool is_taken(const struct text *yaml)
{
    struct config_errors *errors = malloc(sizeof *errors);
    struct config *config =
        errors ? config_load_text("the result", text_str(yaml), yaml->len, errors) : NULL;
    if (!config && errors)
        config_errors_print(errors, stderr);
    free(errors);
    config_free(config);
    return config != NULL;
}

static int print_all(const struct draft *d, const struct convert_options *o, enum convert_from from)
{
    struct text yaml = {0};
    int code = 0;
    yaml_write(&yaml, d->config);
    if (yaml.failed)
        code = EX_SOFTWARE;
    else if (o->json)
        code = print_json(d, from, text_str(&yaml));
    else
        (void)fputs(text_str(&yaml), stdout);
    if (code == 0 && fflush(stdout) != 0)
        code = EXIT_FAILED;
    if (!o->json)
        print_notes(d);
    if (code == 0 && (!is_taken(&yaml) || (o->strict && d->n_left)))
        code = EXIT_FAILED;
    text_fini(&yaml);
    return code;
}

static int run(const struct convert_options *o, struct draft *d)
{
    struct why why = {""};
    enum convert_from from = o->from;
    struct cJSON *documents = manifest_read(o->path, &why);
    enum err err = documents ? draft_init(d, o->path, documents, &why) : ERR_INVALID;
    int code = EXIT_FAILED;
    if (!err)
        err = convert(d, &from, &why);
    if (!err) {
        code = print_all(d, o, from);
    } else {
        if (documents)
            print_notes(d);
        fprintf(stderr, "serin convert: %s\n", why.text);
    }
    if (documents)
        draft_fini(d);
    cJSON_Delete(documents);
    return err == ERR_MEMORY ? EX_SOFTWARE : code;
}

int convert_command(int argc, char **argv)
{
    static struct draft draft; /* too large for a stack */
    struct convert_options o = {.from = CONVERT_ANY};
    struct why why;
    if (parse_options(argc, argv, &o, &why))
        return usage_error("convert", "%s", why.text);
    if (!o.help)
        return run(&o, &draft);
    (void)fputs(help, stdout);
    return 0;
}
