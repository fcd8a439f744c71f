/* The buffers through which the TLS sessions of a thread read and write, and OpenSSL's way to them.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire/records.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

static _Thread_local struct records *own;
static BIO_METHOD *method;
static pthread_once_t method_once = PTHREAD_ONCE_INIT;

static int bio_read(BIO *bio, char *buf, int room)
{
    struct records *r = BIO_get_data(bio);
    size_t n = r->in_len < (size_t)room ? r->in_len : (size_t)room;
    BIO_clear_retry_flags(bio);
    if (n == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    memcpy(buf, r->in, n);
    r->in += n;
    r->in_len -= n;
    return (int)n;
}

static int bio_write(BIO *bio, const char *buf, int len)
{
    struct records *r = BIO_get_data(bio);
    BIO_clear_retry_flags(bio);
    if (len <= 0 || (size_t)len > RECORDS_OUT_BYTES)
        return -1;
    if ((size_t)len > RECORDS_OUT_BYTES - r->out_len && records_send(r) == STREAM_FAILED)
        return -1;
    memcpy(r->out + r->out_len, buf, (size_t)len);
    r->out_len += (size_t)len;
    return len;
}

static long bio_ctrl(BIO *bio, int command, long larg, void *parg)
{
    (void)bio;
    (void)larg;
    (void)parg;
    return command == BIO_CTRL_FLUSH;
}

/* Kept for the life of the process. */
static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "records");
    if (!method)
        return;
    (void)BIO_meth_set_read(method, bio_read);
    (void)BIO_meth_set_write(method, bio_write);
    (void)BIO_meth_set_ctrl(method, bio_ctrl);
}

static struct records *make(void)
{
    (void)pthread_once(&method_once, make_method);
    struct records *r = malloc(sizeof *r);
    BIO *bio = r && method ? BIO_new(method) : NULL;
    if (!bio) {
        free(r);
        return NULL;
    }
    r->sessions = 0;
    r->bio = bio;
    BIO_set_data(bio, r);
    BIO_set_init(bio, 1);
    return r;
}

struct records *records_hold(void)
{
    if (!own)
        own = make();
    if (own)
        own->sessions++;
    return own;
}

void records_release(struct records *r)
{
    if (--r->sessions)
        return;
    (void)BIO_free(r->bio);
    if (own == r)
        own = NULL;
    free(r);
}

struct records *records_of(struct bio_st *bio)
{
    return BIO_get_data(bio);
}

void records_begin(struct records *r, struct stream *s)
{
    r->now = s;
    r->in_len = r->out_len = 0;
}

enum stream_result records_send(struct records *r)
{
    struct iovec part = {r->out, r->out_len};
    r->out_len = 0;
    return stream_send_raw(r->now, &part, 1);
}
