/* yardstick: the least CPU a user-space one-thread proxy can spend per request.
 * SPDX-License-Identifier: Apache-2.0
 *   floor [-m rw|splice] [-b BUFSIZE] [-e] -p PORT -u PORT:WEIGHT[,PORT:WEIGHT...]
 * L4 relay without any parsing: each client connection borrows one pooled backend connection (chosen by
 * weight) and returns it when the client leaves. Sockets are registered once (one EPOLL_CTL_ADD each) and
 * never modified unless a peer's socket buffer fills. Per request: 2 reads, 2 writes, a share of one
 * epoll_wait. -m splice moves the bytes through a pipe instead; -e uses EPOLLET and reads until EAGAIN. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

struct end {    /* one socket; bytes read here go to peer */
    int fd, up; /* up: index of the upstream, -1 for a client */
    int pipe[2];
    size_t piped; /* splice: bytes sitting in the pipe for the peer */
    char *pend;
    size_t plen, poff; /* rw: what the peer's socket did not take */
    unsigned ev;       /* events registered */
    struct end *peer, *next;
};
static struct {
    unsigned short port;
    int weight, cur;
    struct end *idle;
} ups[8];
static int ep, nup, use_splice, edge;
static size_t bufsz = 65536;
static char *buf;

static void watch(struct end *e, unsigned ev)
{
    if (e->ev == ev || edge)
        return;
    struct epoll_event x = {.events = ev, .data.ptr = e};
    epoll_ctl(ep, EPOLL_CTL_MOD, e->fd, &x);
    e->ev = ev;
}

static struct end *new_end(int fd, int up)
{
    struct end *e = calloc(1, sizeof *e);
    int on = 1;
    e->fd = fd, e->up = up, e->pipe[0] = e->pipe[1] = -1;
    e->ev = edge ? EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET : EPOLLIN;
    if (up >= 0) /* accepted sockets inherit it from the listener */
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event x = {.events = e->ev, .data.ptr = e};
    if (epoll_ctl(ep, EPOLL_CTL_ADD, fd, &x))
        perror("epoll_ctl");
    return e;
}

static void kill_end(struct end *e)
{
    close(e->fd);
    e->fd = -1;
    if (e->pipe[0] >= 0)
        close(e->pipe[0]), close(e->pipe[1]);
    free(e->pend);
    e->pend = NULL;
    if (e->up >= 0) /* may sit in an idle list */
        for (struct end **p = &ups[e->up].idle; *p; p = &(*p)->next)
            if (*p == e) {
                *p = e->next;
                break;
            }
}

static struct end *borrow(void)
{
    int best = 0, sum = 0;
    for (int i = 0; i < nup; i++) { /* smooth weighted round robin */
        ups[i].cur += ups[i].weight, sum += ups[i].weight;
        if (ups[i].cur > ups[best].cur)
            best = i;
    }
    ups[best].cur -= sum;
    struct end *e = ups[best].idle;
    if (e) {
        ups[best].idle = e->next;
        return e;
    }
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_port = htons(ups[best].port),
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    if (fd < 0 || (connect(fd, (void *)&a, sizeof a) && errno != EINPROGRESS))
        return perror("connect"), NULL;
    return new_end(fd, best);
}

static struct end *dead[4096];
static int ndead;

static void hangup(struct end *e)
{
    struct end *c = e->up < 0 ? e : e->peer, *b = e->up < 0 ? e->peer : e;
    int clean = e == c && !c->plen && !b->plen && !c->piped && !b->piped;
    if (c)
        kill_end(c), dead[ndead++] = c;
    if (b && clean) { /* client left between requests: the backend connection is reusable */
        b->peer = NULL, b->next = ups[b->up].idle, ups[b->up].idle = b;
    } else if (b)
        kill_end(b), dead[ndead++] = b;
}

static void drained(struct end *e) /* e's data all reached the peer */
{
    watch(e, EPOLLIN | (e->ev & EPOLLOUT)), watch(e->peer, e->peer->ev & ~EPOLLOUT);
}

static void stuck(struct end *e) /* the peer is full: stop reading here until it drains */
{
    watch(e, e->ev & ~EPOLLIN), watch(e->peer, e->peer->ev | EPOLLOUT);
}

static int push(struct end *e) /* retry e's leftover; 0: all gone, 1: still stuck, -1: error */
{
    struct end *p = e->peer;
    if (e->plen) {
        ssize_t w = send(p->fd, e->pend + e->poff, e->plen, MSG_NOSIGNAL);
        if (w < 0 && errno != EAGAIN)
            return -1;
        if (w > 0)
            e->poff += w, e->plen -= w;
    }
    while (e->piped) {
        ssize_t w =
            splice(e->pipe[0], NULL, p->fd, NULL, e->piped, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
        if (w <= 0)
            return w < 0 && errno == EAGAIN ? 1 : -1;
        e->piped -= w;
    }
    return e->plen ? 1 : 0;
}

static void pull(struct end *e) /* e readable */
{
    struct end *p = e->peer;
    do {
        if (!p) { /* idle backend connection: it can only be closing */
            kill_end(e), dead[ndead++] = e;
            return;
        }
        if (e->plen || e->piped)
            return;
        if (use_splice) {
            if (e->pipe[0] < 0) {
                if (pipe2(e->pipe, O_NONBLOCK)) {
                    hangup(e);
                    return;
                }
                fcntl(e->pipe[1], F_SETPIPE_SZ, (int)bufsz);
            }
            ssize_t r =
                splice(e->fd, NULL, e->pipe[1], NULL, bufsz, SPLICE_F_MOVE | SPLICE_F_NONBLOCK);
            if (r < 0 && errno == EAGAIN)
                return;
            if (r <= 0) {
                hangup(e);
                return;
            }
            e->piped = r;
            int s = push(e);
            if (s < 0) {
                hangup(e);
                return;
            }
            if (s) {
                stuck(e);
                return;
            }
            continue;
        }
        ssize_t r = recv(e->fd, buf, bufsz, 0);
        if (r < 0 && errno == EAGAIN)
            return;
        if (r <= 0) {
            hangup(e);
            return;
        }
        ssize_t w = send(p->fd, buf, r, MSG_NOSIGNAL);
        if (w < 0 && errno != EAGAIN && errno != ENOTCONN) {
            hangup(e);
            return;
        }
        if (w < 0)
            w = 0;
        if (w < r) {
            free(e->pend);
            e->pend = malloc(r - w);
            memcpy(e->pend, buf + w, r - w);
            e->poff = 0, e->plen = r - w;
            stuck(e);
            return;
        }
    } while (edge);
}

/* Accepts who waits, each with a borrowed upstream. */
static void take_clients(int lfd)
{
    for (int fd, j = 0; j < 64 && (fd = accept4(lfd, NULL, NULL, SOCK_NONBLOCK)) >= 0; j++) {
        struct end *c = new_end(fd, -1), *b = borrow();
        c->peer = b;
        if (b)
            b->peer = c;
        else
            hangup(c);
    }
}

int main(int argc, char **argv)
{
    int o, lport = 0, on = 1;
    while ((o = getopt(argc, argv, "m:b:p:u:e")) != -1)
        switch (o) {
        case 'm':
            use_splice = !strcmp(optarg, "splice");
            break;
        case 'b':
            bufsz = atol(optarg);
            break;
        case 'p':
            lport = atoi(optarg);
            break;
        case 'e':
            edge = 1;
            break;
        case 'u':
            for (char *t = strtok(optarg, ","); t && nup < 8; t = strtok(NULL, ","), nup++)
                ups[nup].weight = 1, sscanf(t, "%hu:%d", &ups[nup].port, &ups[nup].weight);
        }
    signal(SIGPIPE, SIG_IGN);
    buf = malloc(bufsz);
    ep = epoll_create1(EPOLL_CLOEXEC);
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_port = htons(lport), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int lfd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    setsockopt(lfd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(lfd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    struct epoll_event x = {.events = EPOLLIN, .data.ptr = NULL};
    if (!nup || bind(lfd, (void *)&a, sizeof a) || listen(lfd, 65535) ||
        epoll_ctl(ep, EPOLL_CTL_ADD, lfd, &x))
        return perror("floor"), 1;
    for (;;) {
        struct epoll_event ev[256];
        int n = epoll_wait(ep, ev, 256, -1);
        for (int i = 0; i < n; i++) {
            struct end *e = ev[i].data.ptr;
            if (!e) {
                take_clients(lfd);
                continue;
            }
            if (e->fd < 0)
                continue;
            if (ev[i].events & EPOLLOUT && e->peer && (e->peer->plen || e->peer->piped)) {
                int s = push(e->peer);
                if (s < 0) {
                    hangup(e);
                    continue;
                }
                if (s == 0) {
                    drained(e->peer);
                    if (edge)
                        pull(e->peer);
                }
            }
            if (e->fd >= 0 && ev[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR | EPOLLRDHUP))
                pull(e);
        }
        while (ndead)
            free(dead[--ndead]);
    }
}
