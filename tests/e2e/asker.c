/* Clients that count every request which does not get its whole answer: each thread has one connection at a time and asks
 * again as soon as it has read. SPDX-License-Identifier: Apache-2.0
 *
 *     asker HOST PORT THREADS REQUESTS close|keep PAUSE_US [tls]
 *
 * close: a connection for each request; keep: kept until an answer says close. A kept connection that ends before an answer is a
 * failure, too: nothing is tried again. tls: each thread resumes its last session; the certificate is not looked at. Stops early
 * at SIGTERM, between two requests. Prints one line of JSON. */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

#define THREADS_MAX  512
#define ANSWER_BYTES 65536
#define PATIENCE_S   20

enum fault {
    FAULT_CONNECT,
    FAULT_HANDSHAKE,
    FAULT_SEND,
    FAULT_CLOSED,
    FAULT_RESET,
    FAULT_TIMEOUT,
    FAULT_SHORT,
    FAULT_STATUS,
    FAULTS
};
static const char *const fault_names[FAULTS] = {"connect", "handshake", "send",  "closed",
                                                "reset",   "timeout",   "short", "status"};

static struct sockaddr_in address;
static long limit, pause_us;
static bool keeps;
static SSL_CTX *tls; /* NULL = plain */
static _Atomic long taken, done, connections, resumed, closes, faults[FAULTS];

/* What a thread asks on. */
struct line {
    int fd; /* -1 = none */
    SSL *ssl;
    SSL_SESSION *session; /* of the connection before */
};
static volatile sig_atomic_t stops;

static void on_signal(int number)
{
    (void)number;
    stops = 1;
}

static int dial(void)
{
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval patience = {PATIENCE_S, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
        return fd;
    if (fd >= 0)
        close(fd);
    return -1;
}

static void hang_up(struct line *l)
{
    if (l->ssl) {
        SSL_SESSION_free(l->session);
        l->session = SSL_get1_session(l->ssl);
        SSL_shutdown(l->ssl); /* without it the session is not resumed */
        SSL_free(l->ssl);
    }
    if (l->fd >= 0)
        close(l->fd);
    l->ssl = NULL;
    l->fd = -1;
}

static enum fault reach(struct line *l)
{
    l->fd = dial();
    if (l->fd < 0)
        return FAULT_CONNECT;
    connections++;
    if (!tls)
        return FAULTS;
    l->ssl = SSL_new(tls);
    SSL_set_fd(l->ssl, l->fd);
    SSL_set_tlsext_host_name(l->ssl, "web.test");
    if (l->session)
        SSL_set_session(l->ssl, l->session);
    if (SSL_connect(l->ssl) != 1)
        return FAULT_HANDSHAKE;
    resumed += SSL_session_reused(l->ssl);
    return FAULTS;
}

static ssize_t put(const struct line *l, const char *bytes, size_t n)
{
    return l->ssl ? SSL_write(l->ssl, bytes, (int)n) : send(l->fd, bytes, n, MSG_NOSIGNAL);
}

static ssize_t get(const struct line *l, char *bytes, size_t room)
{
    errno = 0;
    return l->ssl ? SSL_read(l->ssl, bytes, (int)room) : recv(l->fd, bytes, room, 0);
}

/* Value of a field of the head, or NULL. */
static const char *field(const char *head, const char *name)
{
    for (const char *line = strstr(head, "\r\n"); line && line[2] != '\r';
         line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, strlen(name)) == 0 && line[2 + strlen(name)] == ':')
            return line + 3 + strlen(name);
    return NULL;
}

static enum fault why_none(ssize_t n, size_t had)
{
    if (n < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
        return FAULT_TIMEOUT;
    if (had)
        return FAULT_SHORT;
    return n < 0 ? FAULT_RESET : FAULT_CLOSED;
}

/* One request and its whole answer. FAULTS: it was good. */
static enum fault ask(const struct line *l, bool *is_last)
{
    static const char kept[] = "GET /ask HTTP/1.1\r\nHost: web.test\r\n\r\n",
                      once[] = "GET /ask HTTP/1.1\r\nHost: web.test\r\nConnection: close\r\n\r\n";
    char answer[ANSWER_BYTES + 1], *end = NULL;
    size_t len = 0, total = 0, n = keeps ? sizeof kept - 1 : sizeof once - 1;
    if (put(l, keeps ? kept : once, n) != (ssize_t)n)
        return FAULT_SEND;
    while (!end || len < total) {
        ssize_t got = len < ANSWER_BYTES ? get(l, answer + len, ANSWER_BYTES - len) : 0;
        if (got <= 0)
            return why_none(got, len);
        len += (size_t)got;
        answer[len] = '\0';
        if (end || !(end = strstr(answer, "\r\n\r\n")))
            continue;
        const char *length = field(answer, "Content-Length"),
                   *connection = field(answer, "Connection");
        total = (size_t)(end + 4 - answer) + (length ? strtoul(length, NULL, 10) : 0);
        *is_last = !keeps || (connection && strncasecmp(connection, " close", 6) == 0);
    }
    return len == total && strncmp(answer, "HTTP/1.1 200 ", 13) == 0 ? FAULTS : FAULT_STATUS;
}

static void *run(void *arg)
{
    struct line l = {.fd = -1};
    struct timespec pause = {0, pause_us * 1000};
    (void)arg;
    while (!stops && taken++ < limit) {
        bool is_last = true;
        enum fault fault = l.fd < 0 ? reach(&l) : FAULTS;
        if (fault == FAULTS)
            fault = ask(&l, &is_last);
        done++;
        if (fault != FAULTS)
            faults[fault]++;
        else if (keeps && is_last)
            closes++;
        if (fault != FAULTS || is_last)
            hang_up(&l);
        if (pause_us)
            nanosleep(&pause, NULL);
    }
    hang_up(&l);
    SSL_SESSION_free(l.session);
    return NULL;
}

int main(int argc, char **argv)
{
    pthread_t threads[THREADS_MAX];
    long n = argc >= 6 ? atol(argv[3]) : 0, failed = 0;
    limit = argc >= 6 ? atol(argv[4]) : 0;
    if (n < 1 || n > THREADS_MAX || limit < 1 ||
        inet_pton(AF_INET, argv[1], &address.sin_addr) != 1) {
        fprintf(stderr,
                "usage: asker HOST PORT THREADS(1..%d) REQUESTS close|keep [PAUSE_US [tls]]\n",
                THREADS_MAX);
        return 2;
    }
    address.sin_family = AF_INET;
    address.sin_port = htons((unsigned short)atoi(argv[2]));
    keeps = strcmp(argv[5], "keep") == 0;
    pause_us = argc > 6 ? atol(argv[6]) : 0;
    if (argc > 7 && strcmp(argv[7], "tls") == 0)
        tls = SSL_CTX_new(TLS_client_method());
    signal(SIGPIPE, SIG_IGN);
    signal(SIGTERM, on_signal);
    for (long i = 0; i < n; i++)
        if (pthread_create(&threads[i], NULL, run, NULL) != 0)
            return 1;
    for (long i = 0; i < n; i++)
        pthread_join(threads[i], NULL);
    for (unsigned i = 0; i < FAULTS; i++)
        failed += faults[i];
    printf("{\"requests\": %ld, \"failed\": %ld, \"connections\": %ld, \"closes\": %ld, "
           "\"resumed\": %ld",
           (long)done, failed, (long)connections, (long)closes, (long)resumed);
    for (unsigned i = 0; i < FAULTS; i++)
        printf(", \"%s\": %ld", fault_names[i], (long)faults[i]);
    printf("}\n");
    return 0;
}
