/* The families of /metrics that no cell holds: endpoints, rollouts, reloads.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/gauges.h"

#include "base/check.h"
#include "metrics/process.h"
#include "proxy/control/certificates.h"
#include "proxy/control/control.h"
#include "proxy/control/names.h"
#include "proxy/control/upstream_tls.h"
#include "proxy/wire/time.h"
#include "rollout/notify/notifier.h"
#include <math.h>

/* A gauge that has no value now is left out rather than shown as NaN. */
static void sample(struct expo *e, enum metric_id id, const char *const *labels, double value)
{
    if (!isnan(value))
        expo_sample(e, id, labels, value);
}

static void expose_endpoints(const struct control *c, struct expo *e, enum metric_id id)
{
    int64_t now_us = time_monotonic_us();
    for (struct list *l = c->known.endpoints.next; l != &c->known.endpoints; l = l->next) {
        const struct known_endpoint *p = CONTAINER_OF(l, struct known_endpoint, link);
        const char *labels[] = {p->route, p->version, p->text};
        if (!p->is_barred)
            sample(e, id, labels, endpoint_may_serve(p->state, now_us) ? 1 : 0);
    }
}

static void expose_replicas(const struct control *c, struct expo *e)
{
    for (struct list *l = c->known.versions.next; l != &c->known.versions; l = l->next) {
        const struct known_version *v = CONTAINER_OF(l, struct known_version, link);
        const struct known_replicas *r = &v->replicas;
        const struct {
            const char *kind;
            uint32_t value;
        } rows[] = {{"wanted", r->wanted},
                    {"current", r->current},
                    {"ready", r->ready},
                    {"available", r->available}};
        for (unsigned i = 0; r->is_known && i < ARRAY_LEN(rows); i++) {
            const char *labels[] = {v->route, v->version, rows[i].kind};
            sample(e, METRIC_REPLICAS, labels, rows[i].value);
        }
    }
}

static void expose_kubernetes(const struct control *c, struct expo *e)
{
    char code[16];
    for (unsigned i = 0; i < c->kube_counts.n; i++) {
        const struct kube_count *row = &c->kube_counts.rows[i];
        const char *labels[] = {row->verb, code};
        (void)snprintf(code, sizeof code, row->code ? "%u" : "none", row->code);
        sample(e, METRIC_KUBERNETES_REQUESTS_TOTAL, labels, (double)row->total);
    }
}

static void expose_lookups(const struct control *c, struct expo *e)
{
    for (unsigned i = 0; c->names && i < LOOKUP_RESULTS; i++) {
        const char *labels[] = {lookup_result_text((enum lookup_result)i)};
        sample(e, METRIC_DNS_LOOKUPS_TOTAL, labels,
               (double)names_lookups(c->names, (enum lookup_result)i));
    }
}

static void expose_age(void *arg, const char *name, double age_s)
{
    const char *labels[] = {name};
    sample(arg, METRIC_DNS_ANSWER_AGE_SECONDS, labels, age_s);
}

static void expose_expiry(void *arg, const char *listener, const char *file, int64_t expires)
{
    const char *labels[] = {listener, file};
    sample(arg, METRIC_CERTIFICATE_EXPIRY_TIMESTAMP_SECONDS, labels, (double)expires);
}

static void expose_notifications(const struct control *c, struct expo *e, enum metric_id id)
{
    uint64_t counts[NOTIFIER_RESULTS];
    const char *target;
    for (size_t i = 0; c->notifier && (target = notifier_counts(c->notifier, i, counts)); i++)
        for (unsigned k = 0; k < NOTIFIER_RESULTS; k++) {
            const char *labels[] = {target, notifier_result_name((enum notifier_result)k)};
            sample(e, id, labels, (double)counts[k]);
        }
}

static void expose_weight(struct expo *e, const char *route, double intended, double observed)
{
    const char *of_intended[] = {route, "intended"}, *of_observed[] = {route, "observed"};
    sample(e, METRIC_ROLLOUT_WEIGHT_RATIO, of_intended, intended);
    sample(e, METRIC_ROLLOUT_WEIGHT_RATIO, of_observed, observed);
}

static void expose_checks(struct expo *e, enum metric_id id, const struct known_route *r)
{
    struct rollout_check_metrics checks[JUDGE_CHECK_COUNT];
    size_t n = rollout_metrics_checks(r->rollout, checks);
    for (size_t i = 0; i < n; i++) {
        const char *labels[] = {r->name, checks[i].check};
        sample(e, id, labels,
               id == METRIC_ROLLOUT_CHECK_VALUE   ? checks[i].value
               : id == METRIC_ROLLOUT_CHECK_LIMIT ? checks[i].limit
                                                  : checks[i].evidence);
    }
}

static void expose_phase(struct expo *e, const struct rollout_metrics *m)
{
    for (unsigned i = 0; i < ROLLOUT_PHASE_COUNT; i++) {
        const char *labels[] = {m->route, rollout_phase_name((enum rollout_phase)i)};
        sample(e, METRIC_ROLLOUT_PHASE, labels, i == (unsigned)m->phase ? 1 : 0);
    }
}

static void expose_verdicts(struct expo *e, const struct rollout_metrics *m)
{
    for (unsigned i = 0; i < JUDGE_VERDICT_COUNT; i++) {
        const char *labels[] = {m->route, judge_verdict_name((enum judge_verdict)i)};
        sample(e, METRIC_ROLLOUT_VERDICTS_TOTAL, labels, (double)m->verdicts[i]);
    }
}

static void expose_results(struct expo *e, const struct rollout_metrics *m)
{
    for (unsigned i = ROLLOUT_RESULT_NONE + 1; i < ROLLOUT_RESULT_COUNT; i++) {
        const char *labels[] = {m->route, rollout_result_name((enum rollout_result)i)};
        sample(e, METRIC_ROLLOUTS_TOTAL, labels, (double)m->results[i]);
    }
}

/* One family of one route's rollout. */
static void expose_rollout(struct expo *e, enum metric_id id, const struct rollout_metrics *m)
{
    const char *labels[] = {m->route};
    switch (id) {
    case METRIC_ROLLOUT_WEIGHT_RATIO:
        expose_weight(e, m->route, m->weight_intended, m->weight_observed);
        break;
    case METRIC_ROLLOUT_PHASE:
        expose_phase(e, m);
        break;
    case METRIC_ROLLOUT_STEP:
        sample(e, id, labels, m->step);
        break;
    case METRIC_ROLLOUT_STEPS:
        sample(e, id, labels, m->steps);
        break;
    case METRIC_ROLLOUT_VERDICTS_TOTAL:
        expose_verdicts(e, m);
        break;
    case METRIC_ROLLOUTS_TOTAL:
        expose_results(e, m);
        break;
    case METRIC_ROLLOUT_REVERTED_SECONDS:
        sample(e, id, labels, m->reverted_seconds);
        break;
    default:
        break;
    }
}

static bool is_of_checks(enum metric_id id)
{
    return id == METRIC_ROLLOUT_CHECK_VALUE || id == METRIC_ROLLOUT_CHECK_LIMIT ||
           id == METRIC_ROLLOUT_CHECK_EVIDENCE;
}

static void expose_routes(const struct control *c, struct expo *e, enum metric_id id)
{
    for (struct list *l = c->known.routes.next; l != &c->known.routes; l = l->next) {
        const struct known_route *r = CONTAINER_OF(l, struct known_route, link);
        struct rollout_metrics m;
        if (r->rollout && is_of_checks(id)) {
            expose_checks(e, id, r);
        } else if (r->rollout) {
            rollout_metrics(r->rollout, &m);
            expose_rollout(e, id, &m);
        } else if (r->conf && r->split.canary[0] && id == METRIC_ROLLOUT_WEIGHT_RATIO) {
            expose_weight(e, r->name, r->split.weight_bp / (double)SHARE_FULL_BP, NAN);
        }
    }
}

void gauges_expose(void *host, struct expo *e, enum metric_id id)
{
    const struct control *c = host;
    const char *ok[] = {"ok"}, *failed[] = {"failed"};
    if (process_expose(e, id))
        return;
    switch (id) {
    case METRIC_ENDPOINT_UP:
        expose_endpoints(c, e, id);
        break;
    case METRIC_REPLICAS:
        expose_replicas(c, e);
        break;
    case METRIC_KUBERNETES_REQUESTS_TOTAL:
        expose_kubernetes(c, e);
        break;
    case METRIC_DNS_LOOKUPS_TOTAL:
        expose_lookups(c, e);
        break;
    case METRIC_DNS_ANSWER_AGE_SECONDS:
        if (c->names)
            names_ages(c->names, expose_age, e);
        break;
    case METRIC_CERTIFICATE_EXPIRY_TIMESTAMP_SECONDS:
        certificates_expiries(c->keep->certificates, expose_expiry, e);
        upstream_tls_expiries(c->keep->upstream_tls, expose_expiry, e);
        break;
    case METRIC_NOTIFICATIONS_TOTAL:
        expose_notifications(c, e, id);
        break;
    case METRIC_CONFIG_RELOADS_TOTAL:
        sample(e, id, ok, (double)c->reloads_ok);
        sample(e, id, failed, (double)c->reloads_failed);
        break;
    case METRIC_CONFIG_GENERATION:
        sample(e, id, NULL, (double)(c->reloads_ok + 1));
        break;
    default:
        expose_routes(c, e, id);
    }
}
