/* fastest plain HTTP/1.1 origin for proxy benchmarks: one thread, epoll, canned replies.
 * SPDX-License-Identifier: Apache-2.0
 *   backend [-e PCT500] PORT...          (first port answers as "v1", second as "v2", ...)
 * GET|POST /b/N        N body bytes, Content-Length       GET /c/N    N bytes in 4 KiB chunks (chunked)
 *          /d/MS/N     the same as /b/N after MS ms       GET /e/N    status 500, N bytes
 *          /stats      JSON counters of all ports since start
 * Request bodies (Content-Length or chunked) are drained before the reply.
 * "Connection: close" is ignored on purpose: the client (or the proxy) is the one that closes. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { INSZ = 16384, WHEEL = 8192, MAXPORT = 8, MAXREPLY = 64 };
struct reply {
    char kind;
    long n;
    int port;
    char *p;
    size_t len;
};
struct conn {
    int fd, port, in, want_out; /* in: bytes held in buf */
    long drain;                 /* body bytes still to swallow; -1: chunked body */
    int cstate;
    long csize; /* chunked request body parser */
    const char *out;
    size_t outlen; /* rest of the reply being written */
    struct reply *pend;
    long delay;
    int armed; /* reply chosen, not sent yet; armed: in the wheel */
    struct conn *next;
    char buf[INSZ + 1];
};
static struct {
    int fd;
    unsigned short num;
    unsigned long reqs, conns, open;
} port[MAXPORT];
static struct reply replies[MAXREPLY];
static struct conn *wheel[WHEEL];
static int ep, nport, nreply, armed;
static long pct500, tick;
static unsigned long total;
static char sink[1 << 18];

static long now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000L + t.tv_nsec / 1000000;
}

static struct reply *get_reply(char kind, long n, int p)
{
    for (int i = 0; i < nreply; i++)
        if (replies[i].kind == kind && replies[i].n == n && replies[i].port == p)
            return &replies[i];
    if (nreply == MAXREPLY || n < 0 || n > (64L << 20))
        return NULL;
    struct reply *r = &replies[nreply++];
    *r = (struct reply){kind, n, p, malloc(n + n / 4096 * 8 + 1024), 0};
    char *q = r->p;
    q += sprintf(
        q,
        "HTTP/1.1 %s\r\nDate: Thu, 01 Jan 2026 00:00:00 GMT\r\nServer: backend\r\n"
        "Content-Type: application/octet-stream\r\nCache-Control: no-store\r\nX-Version: v%d\r\n",
        kind == 'e' ? "500 Internal Server Error" : "200 OK", p + 1);
    if (kind == 'c') {
        q += sprintf(q, "Transfer-Encoding: chunked\r\n\r\n");
        for (long left = n; left > 0; left -= 4096) {
            long k = left < 4096 ? left : 4096;
            q += sprintf(q, "%lx\r\n", k);
            memset(q, 'x', k), q += k, *q++ = '\r', *q++ = '\n';
        }
        q += sprintf(q, "0\r\n\r\n");
    } else {
        q += sprintf(q, "Content-Length: %ld\r\n\r\n", n);
        memset(q, 'x', n), q += n;
    }
    r->len = q - r->p;
    return r;
}

static void drop(struct conn *c)
{
    port[c->port].open--;
    close(c->fd);
    c->fd = -1;
    if (!c->armed)
        free(c); /* else freed when its wheel slot comes up */
}

static int flush(struct conn *c) /* 0: written, 1: waits for EPOLLOUT, -1: dropped */
{
    while (c->outlen) {
        ssize_t k = send(c->fd, c->out, c->outlen, MSG_NOSIGNAL);
        if (k < 0 && errno != EAGAIN)
            return drop(c), -1;
        if (k > 0)
            c->out += k, c->outlen -= k;
        if (k < 0 || c->outlen) /* short write: the socket is full */
            break;
    }
    int want = c->outlen > 0;
    if (want != c->want_out) {
        struct epoll_event e = {.events = want ? EPOLLOUT : EPOLLIN, .data.ptr = c};
        epoll_ctl(ep, EPOLL_CTL_MOD, c->fd, &e);
        c->want_out = want;
    }
    return want;
}

static int answer(struct conn *c)
{
    static char stats[1024];
    struct reply *r = c->pend;
    c->pend = NULL;
    if (r) {
        port[c->port].reqs++;
        c->out = r->p, c->outlen = r->len;
    } else {
        char b[768];
        int k = 0;
        for (int i = 0; i < nport; i++)
            k += sprintf(b + k, "%s\"v%d\":{\"reqs\":%lu,\"conns\":%lu,\"open\":%lu}",
                         i ? "," : "{", i + 1, port[i].reqs, port[i].conns, port[i].open);
        k += sprintf(b + k, "}");
        c->outlen = sprintf(stats, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s", k, b);
        c->out = stats;
    }
    return flush(c);
}

/* swallow request body bytes from p..e; returns how many were used */
static long swallow(struct conn *c, const char *p, long have)
{
    if (c->drain >= 0) {
        long k = have < c->drain ? have : c->drain;
        c->drain -= k;
        return k;
    }
    const char *s = p, *e = p + have;
    while (s < e && c->drain) {
        switch (c->cstate) { /* 0 size digits, 1 rest of size line, 2 data + CRLF, 3 last line */
        case 0:
            if (*s == '\r' || *s == ';') {
                c->cstate = 1;
                break;
            }
            c->csize = c->csize * 16 + (*s <= '9' ? *s - '0' : (*s | 32) - 'a' + 10), s++;
            break;
        case 1:
            if (*s++ == '\n')
                c->cstate = c->csize ? 2 : 3, c->csize += c->csize ? 2 : 0;
            break;
        case 2: {
            long k = e - s < c->csize ? e - s : c->csize;
            s += k, c->csize -= k;
            if (!c->csize)
                c->cstate = 0;
            break;
        }
        case 3:
            if (*s++ == '\n')
                c->drain = c->cstate = 0;
        }
    }
    return s - p;
}

static int request(struct conn *c, char *h, int len) /* one complete head; 0 ok, -1 bad */
{
    char *u = memchr(h, ' ', len), *v;
    if (!u || u[1] != '/')
        return -1;
    h[len - 1] = 0;
    char kind = u[2];
    long n = 128;
    c->delay = 0, c->drain = 0, c->cstate = 0, c->csize = 0;
    if (kind == 's') {
        c->pend = NULL;
    } else {
        if (u[3] == '/')
            n = strtol(u + 4, &v, 10);
        if (kind == 'd' && *v == '/')
            c->delay = n, n = strtol(v + 1, &v, 10);
        if (pct500 && (long)(++total * 37 % 100) < pct500)
            kind = 'e';
        if (!(c->pend = get_reply(kind == 'c' || kind == 'e' ? kind : 'b', n, c->port)))
            return -1;
    }
    if (*h == 'P') {
        if ((v = strcasestr(h, "\ncontent-length:")))
            c->drain = atol(v + 16);
        else if (strcasestr(h, "\ntransfer-encoding:"))
            c->drain = -1;
        if (strcasestr(h, "\nexpect:"))
            send(c->fd, "HTTP/1.1 100 Continue\r\n\r\n", 25, MSG_NOSIGNAL);
    }
    return 0;
}

static void serve(struct conn *c)
{
    for (;;) {
        if (c->drain) { /* body bytes go to a big scratch buffer */
            ssize_t k = recv(c->fd, sink, sizeof sink, 0);
            if (k == 0 || (k < 0 && errno != EAGAIN)) {
                drop(c);
                return;
            }
            if (k < 0)
                return;
            long used = swallow(c, sink, k);
            if (k - used > INSZ) {
                drop(c);
                return;
            }
            memcpy(c->buf, sink + used, k - used), c->in = k - used;
            if (c->drain)
                return;
        } else {
            ssize_t k = recv(c->fd, c->buf + c->in, INSZ - c->in, 0);
            if (k == 0 || (k < 0 && errno != EAGAIN)) {
                drop(c);
                return;
            }
            if (k < 0 && !c->in)
                return;
            c->in += k > 0 ? k : 0;
        }
        int off = 0, ready = c->armed == 0 && c->cstate == 0 && c->pend != NULL && !c->outlen;
        while (ready || off < c->in) {
            if (!ready) {
                char *e = memmem(c->buf + off, c->in - off, "\r\n\r\n", 4);
                if (!e)
                    break;
                int len = e + 4 - (c->buf + off);
                if (request(c, c->buf + off, len)) {
                    drop(c);
                    return;
                }
                off += len;
                if (c->drain)
                    off += swallow(c, c->buf + off, c->in - off);
                if (c->drain)
                    break;
            }
            ready = 0;
            if (c->delay) {
                long slot = (tick + (c->delay < WHEEL ? c->delay : WHEEL - 1)) % WHEEL;
                c->next = wheel[slot], wheel[slot] = c, c->armed = 1, armed++;
                break;
            }
            int w = answer(c);
            if (w < 0)
                return;
            if (w)
                break;
        }
        memmove(c->buf, c->buf + off, c->in - off), c->in -= off;
        return; /* level-triggered: more input wakes us again */
    }
}

static void turn_wheel(void)
{
    for (long t = now_ms(); tick < t;) {
        struct conn *c = wheel[++tick % WHEEL], *n;
        wheel[tick % WHEEL] = NULL;
        for (; c; c = n) {
            n = c->next, c->armed = 0, armed--;
            if (c->fd < 0)
                free(c);
            else
                answer(c);
        }
    }
}

int main(int argc, char **argv)
{
    int i = 1, on = 1;
    if (argc > 2 && !strcmp(argv[1], "-e"))
        pct500 = atol(argv[2]), i = 3;
    signal(SIGPIPE, SIG_IGN);
    ep = epoll_create1(EPOLL_CLOEXEC);
    for (; i < argc && nport < MAXPORT; i++, nport++) {
        struct sockaddr_in a = {.sin_family = AF_INET,
                                .sin_port = htons(atoi(argv[i])),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        int fd = port[nport].fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
        setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on,
                   sizeof on); /* inherited by accepted sockets */
        struct epoll_event e = {.events = EPOLLIN, .data.ptr = &port[nport]};
        if (bind(fd, (void *)&a, sizeof a) || listen(fd, 65535) ||
            epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e))
            return perror(argv[i]), 1;
    }
    tick = now_ms();
    for (;;) {
        struct epoll_event ev[256];
        int n = epoll_wait(ep, ev, 256, armed ? 1 : -1);
        if (armed)
            turn_wheel();
        else
            tick = now_ms();
        for (int k = 0; k < n; k++) {
            if ((char *)ev[k].data.ptr >= (char *)port &&
                (char *)ev[k].data.ptr < (char *)(port + MAXPORT)) {
                int p = (int)(((char *)ev[k].data.ptr - (char *)port) / (long)sizeof port[0]), fd;
                for (int j = 0;
                     j < 64 && (fd = accept4(port[p].fd, NULL, NULL, SOCK_NONBLOCK)) >= 0; j++) {
                    struct conn *c = malloc(sizeof *c);
                    memset(c, 0, offsetof(struct conn, buf));
                    c->fd = fd, c->port = p, port[p].conns++, port[p].open++;
                    struct epoll_event e = {.events = EPOLLIN, .data.ptr = c};
                    epoll_ctl(ep, EPOLL_CTL_ADD, fd, &e);
                }
                continue;
            }
            struct conn *c = ev[k].data.ptr;
            if (c->armed) { /* reply pending in the wheel: only a hang-up matters */
                if (ev[k].events & (EPOLLHUP | EPOLLERR))
                    drop(c);
                else {
                    char b;
                    ssize_t r = recv(c->fd, &b, 1, MSG_PEEK);
                    if (r == 0)
                        drop(c);
                }
            } else if (c->want_out) {
                if (flush(c) == 0 && c->in)
                    serve(c);
            } else
                serve(c);
        }
    }
}
