/* Load client for what wrk and h2load do not do: open-loop latency corrected for coordinated omission,
 * TLS handshake rates (full and resumed), idle, slow and stalled connection populations. One thread, epoll.
 *   lg [options] PORT PATH
 *   -c CONNS  -n REQUESTS  -t SECONDS (whichever first)      -w SECONDS warm-up not counted
 *   -r RATE   open loop: Poisson arrivals; latency counts from the scheduled time, queueing included
 *   -k        a new connection for every request
 *   -s full|resume|ka   TLS: full handshakes, resumed ones (both imply -k), or keep-alive
 *   -b BYTES  POST with a body     -H 'Name: value' (repeatable)
 *   -i        hold: after one request on each connection print the JSON, wait for EOF on stdin, exit
 *   -z        stall: send the request, never read the reply (tiny receive buffer); then as -i
 * Prints one JSON line; latencies in microseconds.
 * SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { IDLE, CONNECTING, SHAKING, SENDING, READING };
struct conn {
    int fd, st, nhead;
    SSL *ssl;
    long left, body;
    size_t sent;
    double due, fresh;
    unsigned ev;
    char head[4096];
};
static int ep, nconn = 1, lport, newconn, hold, stall, resume, tls, nidle, ringsz, nopening;
static struct conn *conns, **idle;
static double rate, *ring;
static unsigned long started, done, errs, connected, resumed, bytes, status[6], hist[64 * 40],
    rhead, rtail, limit = ~0UL;
static double secs = 1e9, warm, t0, t_end, t_warm, due, vmax, vsum;
static char *req, scratch[1 << 17];
static size_t reqlen;
static SSL_CTX *ctx;
static SSL_SESSION *session;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec + t.tv_nsec / 1e9;
}

static void record(double sec)
{
    double us = sec * 1e6;
    int e = us < 1 ? 0 : (int)(log2(us) * 32); /* 32 buckets an octave: 2.2 % wide */
    hist[e < 64 * 40 ? e : 64 * 40 - 1]++;
    vsum += us;
    if (us > vmax)
        vmax = us;
}

static double quantile(double q)
{
    unsigned long n = 0, want, seen = 0;
    for (int i = 0; i < 64 * 40; i++)
        n += hist[i];
    want = (unsigned long)(q * n);
    for (int i = 0; i < 64 * 40; i++)
        if ((seen += hist[i]) > want)
            return exp2((i + 0.5) / 32);
    return 0;
}

static int on_session(SSL *s, SSL_SESSION *ss)
{
    (void)s;
    if (!resume)
        return 0;
    if (session)
        SSL_SESSION_free(session);
    session = ss;
    return 1;
}

static void want(struct conn *c, unsigned ev)
{
    struct epoll_event x = {.events = ev, .data.ptr = c};
    if (c->ev != ev)
        epoll_ctl(ep, c->ev ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &x), c->ev = ev;
}

static void hangup(struct conn *c)
{
    nopening -= c->st == CONNECTING || c->st == SHAKING;
    if (c->ssl) {
        SSL_set_quiet_shutdown(c->ssl, 1); /* keeps the session resumable */
        SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
    }
    if (c->fd >= 0)
        close(c->fd);
    c->ssl = NULL, c->fd = -1, c->ev = 0, c->st = IDLE;
}

static void step(struct conn *c);

static void start(struct conn *c, double due)
{
    c->due = due, c->sent = 0, c->nhead = 0, c->left = -1;
    if (c->fd < 0) {
        struct sockaddr_in a = {.sin_family = AF_INET,
                                .sin_port = htons(lport),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int on = 1, small = 2048;
        c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        if (stall)
            setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        c->st = CONNECTING;
        connected++, nopening++;
        if (connect(c->fd, (void *)&a, sizeof a) && errno != EINPROGRESS) {
            errs++;
            hangup(c);
            idle[nidle++] = c;
            return;
        }
        want(c, EPOLLOUT);
        return;
    }
    c->st = SENDING;
    step(c);
}

static void next(struct conn *c) /* c is free: queued arrival, next closed-loop request, or idle */
{
    if (rate > 0) {
        if (rhead != rtail)
            start(c, ring[rtail++ % ringsz]);
        else
            idle[nidle++] = c;
    } else if (!hold && started < limit && now() < t_end) {
        started++;
        start(c, now());
    }
}

static void finish(struct conn *c, int ok, int code)
{
    double t = now();
    if (t >= t_warm) {
        if (ok)
            done++, record(t - c->due), status[code / 100 < 6 ? code / 100 : 0]++;
        else
            errs++;
    }
    c->st = IDLE;
    if (!ok || newconn)
        hangup(c);
    next(c);
}

static ssize_t io(struct conn *c, void *p, size_t n, int wr) /* -1 error, -2 again */
{
    if (!c->ssl) {
        ssize_t k = wr ? send(c->fd, p, n, MSG_NOSIGNAL) : recv(c->fd, p, n, 0);
        return k < 0 ? errno == EAGAIN ? -2 : -1 : k;
    }
    ERR_clear_error();
    int k = wr ? SSL_write(c->ssl, p, (int)n) : SSL_read(c->ssl, p, (int)n);
    if (k > 0)
        return k;
    int e = SSL_get_error(c->ssl, k);
    return e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE ? -2
           : e == SSL_ERROR_ZERO_RETURN                          ? 0
                                                                 : -1;
}

/* ---- one state after another: true where the next one may be tried at once ---- */

static bool connected_now(struct conn *c)
{
    int e = 0;
    socklen_t l = sizeof e;
    getsockopt(c->fd, SOL_SOCKET, SO_ERROR, &e, &l);
    if (e) {
        finish(c, 0, 0);
        return false;
    }
    c->st = SENDING;
    nopening -= !tls;
    if (!tls)
        return true;
    c->ssl = SSL_new(ctx);
    SSL_set_fd(c->ssl, c->fd);
    SSL_set_connect_state(c->ssl);
    if (resume &&
        session) { /* a copy: OpenSSL retires a TLS 1.3 session once it gets a newer ticket */
        SSL_SESSION *d = SSL_SESSION_dup(session);
        SSL_set_session(c->ssl, d);
        SSL_SESSION_free(d);
    }
    c->st = SHAKING;
    return true;
}

static bool shake(struct conn *c)
{
    ERR_clear_error();
    int r = SSL_do_handshake(c->ssl);
    if (r != 1) {
        int e = SSL_get_error(c->ssl, r);
        if (e == SSL_ERROR_WANT_READ || e == SSL_ERROR_WANT_WRITE)
            want(c, e == SSL_ERROR_WANT_WRITE ? EPOLLOUT : EPOLLIN);
        else
            finish(c, 0, 0);
        return false;
    }
    nopening--;
    resumed += SSL_session_reused(c->ssl);
    c->st = SENDING;
    return true;
}

static bool ask(struct conn *c)
{
    while (c->sent < reqlen) {
        ssize_t k = io(c, req + c->sent, reqlen - c->sent, 1);
        if (k < 0) {
            if (k == -2)
                want(c, EPOLLOUT);
            else
                finish(c, 0, 0);
            return false;
        }
        c->sent += k;
    }
    c->st = READING;
    if (stall) {
        done++, want(c, EPOLLERR);
        return false;
    }
    want(c, EPOLLIN);
    return c->ssl; /* without TLS the reply cannot be here yet */
}

/* More of the head has come. False: it is wrong. */
static bool take_head(struct conn *c, ssize_t k)
{
    char *end, *length;
    c->nhead += k, c->head[c->nhead] = 0;
    end = strstr(c->head, "\r\n\r\n");
    if (!end)
        return c->nhead < (int)sizeof c->head - 1;
    length = strcasestr(c->head, "\ncontent-length:");
    if (!length || length > end)
        return false;
    long left = atol(length + 16) - (c->head + c->nhead - (end + 4));
    c->left = left > 0 ? left : 0;
    return true;
}

static void take_reply(struct conn *c)
{
    while (c->st == READING) {
        bool in_head = c->left < 0;
        ssize_t k = in_head ? io(c, c->head + c->nhead, sizeof c->head - 1 - c->nhead, 0)
                            : io(c, scratch, sizeof scratch, 0);
        if (k == -2)
            return;
        if (k <= 0 || (in_head && !take_head(c, k))) {
            finish(c, 0, 0);
            return;
        }
        bytes += k;
        if (!in_head)
            c->left -= k;
        else if (c->left < 0)
            continue;
        if (c->left <= 0) {
            finish(c, 1, atoi(c->head + 9));
            return;
        }
    }
}

static void step(struct conn *c)
{
    if (c->st == CONNECTING && !connected_now(c))
        return;
    if (c->st == SHAKING && !shake(c))
        return;
    if (c->st == SENDING && !ask(c))
        return;
    if (c->st == READING) {
        take_reply(c);
        return;
    }
    if (c->st == IDLE && c->fd >= 0) { /* closed by the proxy while idle, or TLS ticket records */
        ssize_t k = io(c, scratch, sizeof scratch, 0);
        if (k != -2 && k <= 0)
            hangup(c);
    }
}

/* ---- the whole of it ---- */

static void read_options(int argc, char **argv, char *fields, size_t room, long *body)
{
    int o;
    while ((o = getopt(argc, argv, "c:n:t:w:r:ks:b:H:iz")) != -1)
        switch (o) {
        case 'c':
            nconn = atoi(optarg);
            break;
        case 'n':
            limit = atol(optarg);
            break;
        case 't':
            secs = atof(optarg);
            break;
        case 'w':
            warm = atof(optarg);
            break;
        case 'r':
            rate = atof(optarg);
            break;
        case 'k':
            newconn = 1;
            break;
        case 's':
            tls = 1, newconn = *optarg != 'k', resume = *optarg == 'r';
            break;
        case 'b':
            *body = atol(optarg);
            break;
        case 'H':
            if (strlen(fields) + strlen(optarg) < room - 3)
                strcat(strcat(fields, optarg), "\r\n");
            break;
        case 'i':
            hold = 1;
            break;
        case 'z':
            hold = stall = 1;
            break;
        }
}

static void write_request(const char *path, const char *fields, long body)
{
    req = malloc(16384 + body);
    reqlen = sprintf(req, "%s %s HTTP/1.1\r\nHost: localhost:%d\r\n%s%s", body ? "POST" : "GET",
                     path, lport, fields, newconn ? "Connection: close\r\n" : "");
    if (body)
        reqlen += sprintf(req + reqlen, "Content-Length: %ld\r\n", body);
    reqlen += sprintf(req + reqlen, "\r\n");
    memset(req + reqlen, 'x', body), reqlen += body;
}

static void prepare(void)
{
    signal(SIGPIPE, SIG_IGN);
    if (tls) {
        ctx = SSL_CTX_new(TLS_client_method());
        SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
        SSL_CTX_sess_set_new_cb(ctx, on_session);
        SSL_CTX_set_mode(ctx, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    }
    ep = epoll_create1(EPOLL_CLOEXEC);
    conns = calloc(nconn, sizeof *conns), idle = calloc(nconn + 1, sizeof *idle);
    ringsz = 1 << 20, ring = calloc(ringsz, sizeof *ring);
    for (int i = 0; i < nconn; i++)
        conns[i].fd = -1;
    for (int i = 0; rate > 0 && i < nconn; i++)
        idle[nidle++] = &conns[nconn - 1 - i];
    t0 = due = now();
    t_warm = t0 + warm, t_end = t_warm + secs;
}

/* Requests whose time has come by t. A closed loop opens gently: no listen queue overflows. */
static void begin_requests(double t, int *opened)
{
    int busy = (int)(hold ? *opened - (long)done - (long)errs : 0);
    while (rate <= 0 && *opened < nconn && busy++ < 128 && nopening < 128)
        started++, start(&conns[(*opened)++], now());
    while (rate > 0 && due <= t && due < t_end) {
        if (nidle)
            start(idle[--nidle], due);
        else if (rhead - rtail < (unsigned long)ringsz)
            ring[rhead++ % ringsz] = due;
        due -= log(drand48()) / rate;
    }
}

static bool is_over(double t)
{
    if (hold)
        return done + errs >= (unsigned long)nconn || t > t0 + 60;
    return t >= t_end || (done + errs >= limit && rate <= 0);
}

static void run(void)
{
    int opened = 0;
    for (;;) {
        double t = now();
        begin_requests(t, &opened);
        if (is_over(t))
            return;
        double wait = rate > 0 && due < t_end ? due - t
                      : t_end - t < 0.1       ? t_end - t
                      : opened < nconn        ? 0.001
                                              : 0.1;
        struct timespec ts = {0, wait <= 0 ? 0 : (long)((wait < 0.1 ? wait : 0.1) * 1e9)};
        struct epoll_event ev[256];
        int n = epoll_pwait2(ep, ev, 256, &ts, NULL);
        for (int i = 0; i < n; i++)
            step(ev[i].data.ptr);
    }
}

static void report(void)
{
    double dt = now() - (warm > 0 ? t_warm : t0);
    printf("{\"requests\":%lu,\"secs\":%.4f,\"rps\":%.1f,\"errors\":%lu,\"non2xx\":%lu,\"conns\":%"
           "lu,\"resumed\":%lu,\"bytes\":%lu,"
           "\"queued\":%lu,\"mean\":%.1f,\"p50\":%.1f,\"p90\":%.1f,\"p99\":%.1f,\"p999\":%.1f,"
           "\"max\":%.1f}\n",
           done, dt, done / dt, errs, stall ? 0 : done - status[2], connected, resumed, bytes,
           rhead - rtail, done ? vsum / done : 0, quantile(.5), quantile(.9), quantile(.99),
           quantile(.999), vmax);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    char fields[8192] = "";
    long body = 0;
    read_options(argc, argv, fields, sizeof fields, &body);
    if (argc - optind != 2)
        return fprintf(stderr, "lg [options] PORT PATH\n"), 2;
    lport = atoi(argv[optind]);
    write_request(argv[optind + 1], fields, body);
    prepare();
    run();
    report();
    while (hold && read(0, scratch, 64) > 0)
        ;
    return 0;
}
