/* The families that shards count: which series a page has, and their sums over all workers.
 * SPDX-License-Identifier: Apache-2.0 */
#include "metrics/expo_cells.h"
#include "base/check.h"

/* Codes that are there from the start, so that the rates of success and of the usual failures have
 * their zero. */
static bool is_usual(unsigned cell)
{
    static const unsigned codes[] = {200, 404, 500, 502, 503, 504};
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (cell == code_cell(codes[i]))
            return true;
    return false;
}

static uint64_t requests(const struct variant_metrics *v, enum metric_role role,
                         enum metric_assigned assigned, unsigned code)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < v->workers; i++)
        n += cell_read(&v->cells[i]->requests[role][assigned][code]);
    return n;
}

static uint64_t errors(const struct variant_metrics *v, enum metric_role role,
                       enum metric_reason reason)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < v->workers; i++)
        n += cell_read(&v->cells[i]->errors[role][reason]);
    return n;
}

static bool has_counted(const struct variant_metrics *v, enum metric_role role)
{
    for (unsigned a = 0; a < ASSIGNED_COUNT; a++)
        for (unsigned code = 0; code < CODE_CELLS; code++)
            if (requests(v, role, a, code))
                return true;
    for (unsigned r = 0; r < REASON_COUNT; r++)
        if (errors(v, role, r))
            return true;
    return false;
}

static bool is_shown(const struct variant_metrics *v, enum metric_role role)
{
    return v->roles == 0 || (v->roles & 1u << role) != 0 || has_counted(v, role);
}

static void write_requests(struct expo *e, const struct variant_metrics *v, enum metric_role role)
{
    for (unsigned a = 0; a < ASSIGNED_COUNT; a++) {
        uint64_t n[CODE_CELLS], all = 0;
        for (unsigned code = 0; code < CODE_CELLS; code++)
            all += n[code] = requests(v, role, a, code);
        for (unsigned code = 0; code < CODE_CELLS; code++) {
            const char *labels[] = {v->route, v->version, metric_role_text(role),
                                    code_cell_text(code), metric_assigned_text(a)};
            if (n[code] || (is_usual(code) && (a == ASSIGNED_WEIGHT || all)))
                expo_sample(e, METRIC_REQUESTS_TOTAL, labels, (double)n[code]);
        }
    }
}

static void write_durations(struct expo *e, const struct variant_metrics *v, enum metric_role role)
{
    const char *labels[] = {v->route, v->version, metric_role_text(role)};
    struct hist_sum sum = {.sum_us = 0};
    metrics_durations(v, role, &sum);
    expo_histogram(e, METRIC_REQUEST_DURATION_SECONDS, labels, &sum);
}

static void write_errors(struct expo *e, const struct variant_metrics *v, enum metric_role role)
{
    for (unsigned r = 0; r < REASON_COUNT; r++) {
        const char *labels[] = {v->route, v->version, metric_role_text(role),
                                metric_reason_text(r)};
        expo_sample(e, METRIC_REQUEST_ERRORS_TOTAL, labels, (double)errors(v, role, r));
    }
}

/* One of the three families that a version has per role. */
static void write_roles(struct expo *e, const struct metrics *m, enum metric_id id)
{
    for (size_t i = 0; i < metrics_variant_count(m); i++) {
        const struct variant_metrics *v = metrics_variant_at(m, i);
        for (unsigned role = 0; role < ROLE_COUNT; role++) {
            if (!is_shown(v, role))
                continue;
            if (id == METRIC_REQUESTS_TOTAL)
                write_requests(e, v, role);
            else if (id == METRIC_REQUEST_DURATION_SECONDS)
                write_durations(e, v, role);
            else
                write_errors(e, v, role);
        }
    }
}

static void write_gauges(struct expo *e, const struct metrics *m, enum metric_id id)
{
    for (size_t i = 0; i < metrics_variant_count(m); i++) {
        const struct variant_metrics *v = metrics_variant_at(m, i);
        const char *labels[] = {v->route, v->version};
        expo_sample(e, id, labels,
                    (double)(id == METRIC_TUNNELS ? metrics_tunnels(v) : metrics_inflight(v)));
    }
}

/* Idle ones, those that carry a request, and those that are not up yet. Each sum is read apart: where one moves
 * meanwhile the difference must not fall below 0. */
static void write_connections(struct expo *e, const struct metrics *m)
{
    for (size_t i = 0; i < metrics_variant_count(m); i++) {
        const struct variant_metrics *v = metrics_variant_at(m, i);
        uint64_t open = 0, idle = 0, connecting = 0;
        for (unsigned w = 0; w < v->workers; w++) {
            idle += cell_read(&v->cells[w]->upstream_idle);
            connecting += cell_read(&v->cells[w]->upstream_connecting);
            open += cell_read(&v->cells[w]->upstream_open);
        }
        const char *of_idle[] = {v->route, v->version, "idle"};
        const char *of_active[] = {v->route, v->version, "active"};
        const char *of_connecting[] = {v->route, v->version, "connecting"};
        expo_sample(e, METRIC_UPSTREAM_CONNECTIONS, of_idle, (double)idle);
        expo_sample(e, METRIC_UPSTREAM_CONNECTIONS, of_active,
                    open > idle + connecting ? (double)(open - idle - connecting) : 0);
        expo_sample(e, METRIC_UPSTREAM_CONNECTIONS, of_connecting, (double)connecting);
    }
}

/* Of versions that have had any: the others may well be plain. */
static void write_handshakes(struct expo *e, const struct metrics *m)
{
    for (size_t i = 0; i < metrics_variant_count(m); i++) {
        const struct variant_metrics *v = metrics_variant_at(m, i);
        uint64_t n[HANDSHAKE_COUNT] = {0}, all = 0;
        for (unsigned result = 0; result < HANDSHAKE_COUNT; result++) {
            for (unsigned w = 0; w < v->workers; w++)
                n[result] += cell_read(&v->cells[w]->tls_handshakes[result]);
            all += n[result];
        }
        for (unsigned result = 0; all && result < HANDSHAKE_COUNT; result++) {
            const char *labels[] = {v->route, v->version, metric_handshake_text(result)};
            expo_sample(e, METRIC_UPSTREAM_TLS_HANDSHAKES_TOTAL, labels, (double)n[result]);
        }
    }
}

static void write_ejections(struct expo *e, const struct metrics *m)
{
    for (size_t i = 0; i < metrics_variant_count(m); i++) {
        const struct variant_metrics *v = metrics_variant_at(m, i);
        const char *labels[] = {v->route, v->version};
        uint64_t n = 0;
        for (unsigned w = 0; w < v->workers; w++)
            n += cell_read(&v->cells[w]->ejections);
        expo_sample(e, METRIC_EJECTIONS_TOTAL, labels, (double)n);
    }
}

/* All results and reasons, so that rate() sees the first of each. */
static void write_mirror(struct expo *e, const struct variant_metrics *v, enum metric_id id)
{
    bool counts_results = id == METRIC_MIRRORED_REQUESTS_TOTAL;
    unsigned n = counts_results ? MIRRORED_COUNT : MIRROR_SKIP_COUNT;
    for (unsigned i = 0; i < n; i++) {
        const char *labels[] = {v->route, v->version,
                                counts_results ? metric_mirrored_text(i)
                                               : metric_mirror_skip_text(i)};
        uint64_t sum = 0;
        for (unsigned w = 0; w < v->workers; w++) {
            const struct mirror_cells *c = &v->cells[w]->mirror;
            sum += cell_read(counts_results ? &c->results[i] : &c->skipped[i]);
        }
        expo_sample(e, id, labels, (double)sum);
    }
}

static void write_mirror_inflight(struct expo *e, const struct variant_metrics *v)
{
    const char *labels[] = {v->route, v->version};
    uint64_t n = 0;
    for (unsigned w = 0; w < v->workers; w++)
        n += cell_read(&v->cells[w]->mirror.inflight);
    expo_sample(e, METRIC_MIRRORED_INFLIGHT_REQUESTS, labels, (double)n);
}

static void write_mirrors(struct expo *e, const struct metrics *m, enum metric_id id)
{
    for (size_t i = 0; i < metrics_variant_count(m); i++) {
        const struct variant_metrics *v = metrics_variant_at(m, i);
        if (!v->is_mirror)
            continue;
        if (id == METRIC_MIRRORED_INFLIGHT_REQUESTS)
            write_mirror_inflight(e, v);
        else
            write_mirror(e, v, id);
    }
}

/* The directions of a retry that have happened or can: to stable, in which rate() must see the
 * first one too. With both results. */
static void write_retries(struct expo *e, const struct route_metrics *r)
{
    for (unsigned way = 0; way < ROLE_COUNT * ROLE_COUNT; way++) {
        unsigned from = way / ROLE_COUNT, to = way % ROLE_COUNT;
        uint64_t n[RETRY_RESULT_COUNT] = {0}, all = 0;
        for (unsigned result = 0; result < RETRY_RESULT_COUNT; result++) {
            for (unsigned i = 0; i < r->workers; i++)
                n[result] += cell_read(&r->cells[i]->retries[from][to][result]);
            all += n[result];
        }
        for (unsigned result = 0; (all || to == ROLE_STABLE) && result < RETRY_RESULT_COUNT;
             result++) {
            const char *labels[] = {r->route, metric_role_text(from), metric_role_text(to),
                                    metric_retry_result_text(result)};
            expo_sample(e, METRIC_RETRIES_TOTAL, labels, (double)n[result]);
        }
    }
}

static void write_retries_refused(struct expo *e, const struct route_metrics *r)
{
    const char *labels[] = {r->route};
    uint64_t n = 0;
    for (unsigned i = 0; i < r->workers; i++)
        n += cell_read(&r->cells[i]->retries_refused);
    expo_sample(e, METRIC_RETRIES_REFUSED_TOTAL, labels, (double)n);
}

static void write_responses(struct expo *e, const struct route_metrics *r)
{
    for (unsigned code = 0; code < CODE_CELLS; code++) {
        const char *labels[] = {r->route, code_cell_text(code)};
        uint64_t n = 0;
        for (unsigned i = 0; i < r->workers; i++)
            n += cell_read(&r->cells[i]->responses[code]);
        if (n || is_usual(code))
            expo_sample(e, METRIC_RESPONSES_TOTAL, labels, (double)n);
    }
}

static void write_routes(struct expo *e, const struct metrics *m, enum metric_id id)
{
    for (size_t i = 0; i < metrics_route_count(m); i++) {
        if (id == METRIC_RETRIES_TOTAL)
            write_retries(e, metrics_route_at(m, i));
        else if (id == METRIC_RETRIES_REFUSED_TOTAL)
            write_retries_refused(e, metrics_route_at(m, i));
        else
            write_responses(e, metrics_route_at(m, i));
    }
}

static void write_listeners(struct expo *e, const struct metrics *m, enum metric_id id)
{
    for (size_t i = 0; i < metrics_listener_count(m); i++) {
        const struct listener_metrics *l = metrics_listener_at(m, i);
        const char *labels[] = {l->listener};
        uint64_t n = 0;
        for (unsigned w = 0; w < l->workers; w++)
            n += cell_read(id == METRIC_CLIENT_CONNECTIONS ? &l->cells[w]->open
                                                           : &l->cells[w]->connections);
        expo_sample(e, id, labels, (double)n);
    }
}

/* Of listeners that have had any: most may well be plain. */
static void write_client_handshakes(struct expo *e, const struct metrics *m)
{
    static const char *const versions[] = {"1.2", "1.3"}, *const resumed[] = {"false", "true"};
    for (size_t i = 0; i < metrics_listener_count(m); i++) {
        const struct listener_metrics *l = metrics_listener_at(m, i);
        uint64_t n[4] = {0}, all = 0;
        for (unsigned k = 0; k < 4; k++) {
            for (unsigned w = 0; w < l->workers; w++)
                n[k] += cell_read(&l->cells[w]->tls_handshakes[k / 2][k % 2]);
            all += n[k];
        }
        for (unsigned k = 0; all && k < 4; k++) {
            const char *labels[] = {l->listener, versions[k / 2], resumed[k % 2]};
            expo_sample(e, METRIC_TLS_HANDSHAKES_TOTAL, labels, (double)n[k]);
        }
    }
}

static void write_client_errors(struct expo *e, const struct metrics *m)
{
    for (unsigned reason = 0; reason < CLIENT_ERROR_COUNT; reason++) {
        const char *labels[] = {metric_client_error_text(reason)};
        uint64_t n = 0;
        for (unsigned i = 0; i < metrics_workers(m); i++)
            n += cell_read(&metrics_worker_at(m, i)->client_errors[reason]);
        expo_sample(e, METRIC_CLIENT_ERRORS_TOTAL, labels, (double)n);
    }
}

static void write_spliced(struct expo *e, const struct metrics *m)
{
    for (unsigned direction = 0; direction < DIRECTION_COUNT; direction++) {
        const char *labels[] = {metric_direction_text(direction)};
        uint64_t n = 0;
        for (unsigned i = 0; i < metrics_workers(m); i++)
            n += cell_read(&metrics_worker_at(m, i)->spliced_bytes[direction]);
        expo_sample(e, METRIC_SPLICED_BYTES_TOTAL, labels, (double)n);
    }
}

static void write_workers(struct expo *e, const struct metrics *m, enum metric_id id)
{
    uint64_t n = 0;
    for (unsigned i = 0; i < metrics_workers(m); i++) {
        const struct worker_cells *c = metrics_worker_at(m, i);
        n += cell_read(id == METRIC_ACCEPT_PAUSES_TOTAL ? &c->accept_pauses : &c->access_dropped);
    }
    expo_sample(e, id, NULL, (double)n);
}

void expo_cells(struct expo *e, const struct metrics *m, enum metric_id id)
{
    switch ((int)id) {
    case METRIC_REQUESTS_TOTAL:
    case METRIC_REQUEST_DURATION_SECONDS:
    case METRIC_REQUEST_ERRORS_TOTAL:
        write_roles(e, m, id);
        return;
    case METRIC_RETRIES_TOTAL:
    case METRIC_RETRIES_REFUSED_TOTAL:
    case METRIC_RESPONSES_TOTAL:
        write_routes(e, m, id);
        return;
    case METRIC_UPSTREAM_CONNECTIONS:
        write_connections(e, m);
        return;
    case METRIC_UPSTREAM_TLS_HANDSHAKES_TOTAL:
        write_handshakes(e, m);
        return;
    case METRIC_EJECTIONS_TOTAL:
        write_ejections(e, m);
        return;
    case METRIC_MIRRORED_REQUESTS_TOTAL:
    case METRIC_MIRROR_SKIPPED_TOTAL:
    case METRIC_MIRRORED_INFLIGHT_REQUESTS:
        write_mirrors(e, m, id);
        return;
    case METRIC_INFLIGHT_REQUESTS:
    case METRIC_TUNNELS:
        write_gauges(e, m, id);
        return;
    case METRIC_CLIENT_CONNECTIONS:
    case METRIC_CONNECTIONS_TOTAL:
        write_listeners(e, m, id);
        return;
    case METRIC_TLS_HANDSHAKES_TOTAL:
        write_client_handshakes(e, m);
        return;
    case METRIC_CLIENT_ERRORS_TOTAL:
        write_client_errors(e, m);
        return;
    case METRIC_ACCEPT_PAUSES_TOTAL:
    case METRIC_ACCESS_LINES_DROPPED_TOTAL:
        write_workers(e, m, id);
        return;
    case METRIC_SPLICED_BYTES_TOTAL:
        write_spliced(e, m);
        return;
    default:
        CHECK(metric_get(id)->source != METRIC_FROM_CELLS); /* a row of the catalog without code */
    }
}
