/* Listening sockets of one worker.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/worker/listener.h"

#include "base/log.h"
#include "proxy/flow/client.h"
#include "proxy/wire/reserve.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

/* True where a file is a UNIX socket on which nobody listens any more. */
static bool is_stale(const struct sockaddr_un *un, socklen_t len)
{
    struct stat st;
    if (stat(un->sun_path, &st) < 0 || !S_ISSOCK(st.st_mode))
        return false;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    bool refused =
        fd >= 0 && connect(fd, (const struct sockaddr *)un, len) < 0 && errno == ECONNREFUSED;
    if (fd >= 0)
        (void)close(fd);
    return refused;
}

/* A bound, listening socket, or -1 with errno. is_shared: with SO_REUSEPORT. file: of a UNIX socket. */
static int open_one(const struct wire_addr *addr, bool is_shared, struct unix_file *file)
{
    struct sockaddr_storage ss;
    int on = 1, family = wire_addr_family(addr);
    memcpy(&ss, addr->bytes, sizeof ss);
    int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        return -1;
    if (family == AF_UNIX) {
        struct sockaddr_un un;
        memcpy(&un, addr->bytes, sizeof un);
        if (is_stale(&un, addr->len))
            (void)unlink(un.sun_path);
    } else {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
        stream_prepare(fd);
        if (is_shared)
            (void)setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    }
    if (family == AF_INET6)
        (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&ss, addr->len) == 0 &&
        (family != AF_UNIX || unix_file_claim(file, addr, LISTEN_UNIX_MODE) == OK) &&
        listen(fd, LISTEN_BACKLOG) == 0)
        return fd;
    int failure = errno;
    (void)close(fd);
    errno = failure;
    return -1;
}

/* With SO_REUSEPORT a second process of the same user would take a part of the connections without a word: a socket
 * without it is refused there. */
static bool is_free(const struct wire_addr *addr)
{
    if (wire_addr_family(addr) == AF_UNIX)
        return true;
    int fd = open_one(addr, false, NULL);
    if (fd < 0)
        return false;
    (void)close(fd);
    return true;
}

enum err listener_open(const struct wire_addr *addr, int fds[], unsigned n,
                       struct listener_place *place, struct why *why)
{
    char text[WIRE_TEXT_MAX];
    bool is_unix = wire_addr_family(addr) == AF_UNIX;
    struct wire_addr *bound = &place->bound;
    *place = (struct listener_place){.bound = *addr};
    for (unsigned i = 0; i < n; i++) {
        fds[i] = i == 0 && !is_free(addr) ? -1
                 : i && is_unix           ? fcntl(fds[0], F_DUPFD_CLOEXEC, 0)
                                          : open_one(bound, true, &place->file);
        if (fds[i] < 0) {
            int failure = errno;
            while (i)
                (void)close(fds[--i]);
            unix_file_remove(&place->file);
            wire_addr_text(addr, text);
            return why_set(why, ERR_IO, "cannot listen on %s: %s", text, strerror(failure));
        }
        if (i == 0 && !is_unix)
            wire_addr_local(bound, fds[0]);
    }
    return OK;
}

enum err listener_add(const struct wire_addr *bound, int fds[], unsigned have, unsigned n,
                      unsigned *own, struct why *why)
{
    char text[WIRE_TEXT_MAX];
    int is_shared = 0;
    socklen_t len = sizeof is_shared;
    (void)getsockopt(fds[0], SOL_SOCKET, SO_REUSEPORT, &is_shared, &len);
    for (unsigned i = have; i < n; i++) {
        fds[i] = is_shared ? open_one(bound, true, NULL) : fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
        if (fds[i] < 0) {
            int failure = errno;
            while (i > have)
                (void)close(fds[--i]);
            wire_addr_text(bound, text);
            return why_set(why, ERR_IO, "cannot listen on %s: %s", text, strerror(failure));
        }
        *own += is_shared != 0;
    }
    return OK;
}

static bool has_room(const struct listener *l)
{
    int next = fcntl(l->fd, F_DUPFD_CLOEXEC, 0);
    if (next < 0)
        return false;
    (void)close(next);
    return !reserve_has(l->reserve_begin, next);
}

static void pause_accept(struct listener *l)
{
    struct timeval soon = {0, ACCEPT_PAUSE_MS * 1000};
    (void)event_del(&l->accept);
    (void)event_add(&l->resume, &soon);
}

static void on_resume(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    (void)fd;
    (void)what;
    if (has_room(l))
        (void)event_add(&l->accept, NULL);
    else
        pause_accept(l);
}

/* Said once per stretch, not ten times a second. */
static void say_paused(struct listener *l, const char *why)
{
    if (l->is_paused)
        return;
    l->is_paused = true;
    cell_add(&l->flow->cells->accept_pauses, 1);
    log_warn("accept_paused", "worker=%u why=\"%s\"", l->flow->worker, why);
}

/* Takes one place among limits.connections. */
static bool take_place(struct listener *l)
{
    uint32_t most = l->flow->world->snapshot->config->limits.connections;
    uint32_t before =
        atomic_fetch_add_explicit(&l->flow->shared->connections, 1, memory_order_relaxed);
    if (most == 0 || before < most)
        return true;
    atomic_fetch_sub_explicit(&l->flow->shared->connections, 1, memory_order_relaxed);
    return false;
}

static void give_place_back(struct listener *l)
{
    atomic_fetch_sub_explicit(&l->flow->shared->connections, 1, memory_order_relaxed);
}

/* Accepts one connection. False: nothing more now. */
static bool accept_one(struct listener *l)
{
    struct sockaddr_storage ss;
    struct wire_addr peer = {.len = 0};
    socklen_t len = sizeof ss;
    if (!take_place(l)) {
        if (!l->is_paused) /* once a stretch: how many wait is the kernel's secret, and this is asked again and again */
            cell_add(&l->flow->cells->client_errors[CLIENT_ERROR_LIMIT], 1);
        say_paused(l, "limits.connections is reached");
        pause_accept(l);
        return false;
    }
    int fd = accept4(l->fd, (struct sockaddr *)&ss, &len, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        give_place_back(l);
        if (errno == ECONNABORTED || errno == EINTR || errno == EPROTO)
            return true;
        if (errno != EAGAIN && errno != EWOULDBLOCK) {
            say_paused(
                l, strerror(
                       errno)); /* EMFILE, ENFILE, ENOBUFS, ENOMEM: the queue waits in the kernel */
            pause_accept(l);
        }
        return false;
    }
    bool was_last = reserve_has(l->reserve_begin, fd);
    l->is_paused = l->is_paused && was_last;
    memcpy(peer.bytes, &ss, sizeof ss);
    peer.len = (uint32_t)len;
    if (!client_accept(l->flow, fd, &peer, l->index, l->cells)) {
        (void)close(fd);
        give_place_back(l);
    }
    if (was_last) {
        say_paused(l, "the last file descriptors are kept for upstreams");
        pause_accept(l);
    }
    return !was_last;
}

static void on_accept(evutil_socket_t fd, short what, void *arg)
{
    struct listener *l = arg;
    (void)fd;
    (void)what;
    flow_refresh_now(l->flow);
    for (unsigned i = 0; i < ACCEPT_BATCH && accept_one(l); i++)
        continue;
}

void listener_start(struct listener *l, struct flow *f, unsigned index, int fd,
                    struct listener_cells *cells)
{
    *l = (struct listener){
        .flow = f, .cells = cells, .index = index, .fd = fd, .reserve_begin = reserve_begin()};
    l->is_lent =
        slice_starts(slice_str(f->world->snapshot->config->listeners[index].bind), SLICE("fd:"));
    CHECK(event_assign(&l->accept, f->base, fd, EV_READ | EV_PERSIST, on_accept, l) == 0);
    CHECK(event_assign(&l->resume, f->base, -1, 0, on_resume, l) == 0);
    (void)event_add(&l->accept, NULL);
}

static bool is_tcp(int fd)
{
    int protocol = 0;
    socklen_t len = sizeof protocol;
    return getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &len) == 0 && protocol == IPPROTO_TCP;
}

/* A SYN is dropped; sent again after a second it is refused, as nobody listens any more. */
void listener_turn_away(struct listener *l)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_B | BPF_ABS,
                 offsetof(struct tcphdr, th_flags)), /* no IP header is seen here */
        BPF_STMT(BPF_ALU | BPF_AND | BPF_K, TH_SYN | TH_ACK),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, TH_SYN, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, 0),
        BPF_STMT(BPF_RET | BPF_K, UINT32_MAX),
    };
    struct sock_fprog program = {ARRAY_LEN(code), code};
    if (l->is_lent)
        listener_stop(l);
    else if (l->fd >= 0 && is_tcp(l->fd))
        (void)setsockopt(l->fd, SOL_SOCKET, SO_ATTACH_FILTER, &program, sizeof program);
}

void listener_stop(struct listener *l)
{
    if (l->fd < 0)
        return;
    (void)event_del(&l->accept);
    (void)event_del(&l->resume);
    for (unsigned i = 0; !l->is_lent && i < LISTEN_BACKLOG && accept_one(l); i++)
        continue;
    (void)event_del(&l->resume);
    (void)close(l->fd);
    l->fd = -1;
}
