/* One version of the demo's web application: a page that names its version, with errors and delay
 * that can be set while it runs. SPDX-License-Identifier: Apache-2.0
 *
 *     app VERSION [PORT [ADDRESS]]      PORT 0 or none: any free port; the first line of output is the port;
 *                                       ADDRESS: 127.0.0.1 where it is left out
 *
 *     GET  /                      the page (500 for as many of a hundred requests as errors says)
 *     GET  /healthz               200
 *     POST /control?errors=5&delay_ms=20      errors in percent, delay before each answer in
 * milliseconds */
#include <event2/buffer.h>
#include <event2/event.h>
#include <event2/http.h>
#include <event2/keyvalq_struct.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/queue.h>

#define DELAY_MAX_MS 60000L

struct app {
    struct event_base *base;
    const char *version;
    double errors_percent;
    long delay_ms;
};

/* A request whose answer waits for its delay. */
struct delayed {
    struct app *app;
    struct evhttp_request *request;
    struct event *timer;
};

static void answer_page(struct app *app, struct evhttp_request *request)
{
    struct evkeyvalq *headers = evhttp_request_get_output_headers(request);
    struct evbuffer *body = evbuffer_new();
    if (!body) {
        evhttp_send_error(request, 503, NULL);
        return;
    }
    evhttp_add_header(headers, "X-Version", app->version);
    evhttp_add_header(headers, "Content-Type", "text/html; charset=utf-8");
    bool is_error = (double)(random() % 10000) < app->errors_percent * 100;
    evbuffer_add_printf(body,
                        "<!doctype html>\n<html lang=\"en\"><title>Shop %s</title>\n"
                        "<h1>%s</h1>\n<p>This page was made by version %s.</p></html>\n",
                        app->version, is_error ? "Something broke" : "Welcome to the shop",
                        app->version);
    evhttp_send_reply(request, is_error ? 500 : 200, is_error ? "Internal Server Error" : "OK",
                      body);
    evbuffer_free(body);
}

static void delayed_free(struct delayed *d)
{
    event_free(d->timer);
    free(d);
}

static void on_delay_over(int fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    struct delayed *d = ctx;
    struct evhttp_connection *connection = evhttp_request_get_connection(d->request);
    if (connection)
        evhttp_connection_set_closecb(connection, NULL, NULL);
    answer_page(d->app, d->request);
    delayed_free(d);
}

/* The client left before its answer: evhttp frees the request with its connection. */
static void on_client_gone(struct evhttp_connection *connection, void *ctx)
{
    evhttp_connection_set_closecb(connection, NULL, NULL);
    delayed_free(ctx);
}

static void on_page(struct evhttp_request *request, void *ctx)
{
    struct app *app = ctx;
    struct delayed *d = app->delay_ms > 0 ? calloc(1, sizeof *d) : NULL;
    if (d)
        d->timer = evtimer_new(app->base, on_delay_over, d);
    if (!d || !d->timer) {
        free(d);
        answer_page(app, request);
        return;
    }
    d->app = app;
    d->request = request;
    evhttp_connection_set_closecb(evhttp_request_get_connection(request), on_client_gone, d);
    struct timeval delay = {.tv_sec = app->delay_ms / 1000, .tv_usec = app->delay_ms % 1000 * 1000};
    evtimer_add(d->timer, &delay);
}

static void on_healthz(struct evhttp_request *request, void *ctx)
{
    (void)ctx;
    evhttp_send_reply(request, 200, "OK", NULL);
}

/* Reads a number of the query, 0 to max; leaves *value where it is not named. False for anything
 * else. */
static bool query_number(struct evkeyvalq *query, const char *name, double max, double *value)
{
    const char *text = evhttp_find_header(query, name);
    if (!text)
        return true;
    char *end;
    double number = strtod(text, &end);
    if (end == text || *end || !(number >= 0 && number <= max))
        return false;
    *value = number;
    return true;
}

static void on_control(struct evhttp_request *request, void *ctx)
{
    struct app *app = ctx;
    const char *text = evhttp_uri_get_query(evhttp_request_get_evhttp_uri(request));
    struct evkeyvalq query = TAILQ_HEAD_INITIALIZER(query);
    double errors = app->errors_percent, delay_ms = (double)app->delay_ms;
    if (evhttp_request_get_command(request) != EVHTTP_REQ_POST) {
        evhttp_send_error(request, 405, NULL);
        return;
    }
    bool is_good = text && evhttp_parse_query_str(text, &query) == 0 &&
                   query_number(&query, "errors", 100, &errors) &&
                   query_number(&query, "delay_ms", (double)DELAY_MAX_MS, &delay_ms);
    evhttp_clear_headers(&query);
    if (!is_good) {
        evhttp_send_error(request, 400, NULL);
        return;
    }
    app->errors_percent = errors;
    app->delay_ms = (long)delay_ms;
    evhttp_send_reply(request, 204, "No Content", NULL);
}

static void on_signal(int number, short what, void *ctx)
{
    (void)number;
    (void)what;
    event_base_loopbreak(ctx);
}

static unsigned bound_port(struct evhttp_bound_socket *bound)
{
    struct sockaddr_in address;
    socklen_t len = sizeof address;
    if (getsockname(evhttp_bound_socket_get_fd(bound), (struct sockaddr *)&address, &len))
        return 0;
    return ntohs(address.sin_port);
}

int main(int argc, char **argv)
{
    int port = argc > 2 ? atoi(argv[2]) : 0;
    const char *address = argc > 3 ? argv[3] : "127.0.0.1";
    if (argc < 2 || port < 0 || port > 65535) {
        fprintf(stderr, "usage: app VERSION [PORT [ADDRESS]]\n");
        return 2;
    }
    struct app app = {.base = event_base_new(), .version = argv[1]};
    struct evhttp *http = app.base ? evhttp_new(app.base) : NULL;
    struct evhttp_bound_socket *bound =
        http ? evhttp_bind_socket_with_handle(http, address, (ev_uint16_t)port) : NULL;
    if (!bound) {
        fprintf(stderr, "app: cannot listen on %s:%d\n", address, port);
        return 1;
    }
    evhttp_set_cb(http, "/healthz", on_healthz, NULL);
    evhttp_set_cb(http, "/control", on_control, &app);
    evhttp_set_gencb(http, on_page, &app);
    struct event *stops[] = {evsignal_new(app.base, SIGTERM, on_signal, app.base),
                             evsignal_new(app.base, SIGINT, on_signal, app.base)};
    event_add(stops[0], NULL);
    event_add(stops[1], NULL);
    printf("%u\n", bound_port(bound));
    fflush(stdout);
    event_base_dispatch(app.base);
    event_free(stops[0]);
    event_free(stops[1]);
    evhttp_free(http);
    event_base_free(app.base);
    return 0;
}
