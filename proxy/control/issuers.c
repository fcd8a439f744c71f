/* Whom to trust: the issuers of a PEM file, or those that the machine trusts.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/issuers.h"

#include "base/slice.h"
#include <dirent.h>
#include <openssl/x509.h>
#include <stdlib.h>
#include <string.h>

#define PATH_BYTES 4096

enum err issuers_read(const char *path, int64_t now, struct pem_certificates *out, struct why *why)
{
    char text[PEM_TIME_MAX];
    int64_t last = INT64_MIN;
    enum err e = pem_read_certificates(path, out, why);
    if (e != OK)
        return e;
    for (int i = 0; i < sk_X509_num(out->list); i++) {
        int64_t end = pem_not_after(sk_X509_value(out->list, i));
        last = end > last ? end : last;
    }
    if (now < last)
        return OK;
    sk_X509_pop_free(out->list, X509_free);
    out->list = NULL;
    return why_set(why, ERR_INVALID, "holds no issuer that has not expired (the last one at %s)",
                   pem_format_time(last, text));
}

/* The issuers of one more file. False: out of memory. */
static bool add_file(struct pem_certificates *all, const char *path)
{
    struct pem_certificates more;
    unsigned char both[2 * PEM_DIGEST_BYTES];
    if (pem_read_certificates(path, &more, NULL) != OK)
        return true;
    memcpy(both, all->digest, PEM_DIGEST_BYTES);
    memcpy(both + PEM_DIGEST_BYTES, more.digest, PEM_DIGEST_BYTES);
    bool ok = EVP_Digest(both, sizeof both, all->digest, NULL, EVP_sha256(), NULL) == 1;
    for (X509 *x; ok && (x = sk_X509_shift(more.list));) {
        ok = sk_X509_push(all->list, x) > 0;
        if (!ok)
            X509_free(x);
    }
    sk_X509_pop_free(more.list, X509_free);
    return ok;
}

/* "1a2b3c4d.0": how a directory of issuers names them for OpenSSL; the same ones often stand there under other names too. */
static int is_hash_name(const struct dirent *entry)
{
    return strspn(entry->d_name, "0123456789abcdef") == 8 && entry->d_name[8] == '.' &&
           entry->d_name[9] >= '0' && entry->d_name[9] <= '9';
}

static bool add_directory(struct pem_certificates *all, const char *directory)
{
    struct dirent **entries = NULL;
    char path[PATH_BYTES];
    bool ok = true;
    int n = scandir(directory, &entries, is_hash_name, alphasort);
    for (int i = 0; i < n; i++) {
        int len = snprintf(path, sizeof path, "%s/%s", directory, entries[i]->d_name);
        if (ok && len < (int)sizeof path)
            ok = add_file(all, path);
        free(entries[i]);
    }
    free(entries);
    return ok;
}

/* The directories of a list with colons between them. */
static bool add_directories(struct pem_certificates *all, const char *list)
{
    struct slice one, rest = slice_str(list);
    char path[PATH_BYTES];
    bool ok = true, more = true;
    while (ok && more) {
        more = slice_cut(rest, ':', &one, &rest);
        int len = snprintf(path, sizeof path, "%.*s", SLICE_ARG(one));
        if (len > 0 && len < (int)sizeof path)
            ok = add_directory(all, path);
    }
    return ok;
}

static const char *setting(const char *variable, const char *standard)
{
    const char *set = getenv(variable);
    return set ? set : standard;
}

enum err issuers_read_system(struct pem_certificates *out, struct why *why)
{
    const char *file = setting(X509_get_default_cert_file_env(), X509_get_default_cert_file());
    const char *directory = setting(X509_get_default_cert_dir_env(), X509_get_default_cert_dir());
    memset(out, 0, sizeof *out);
    out->list = sk_X509_new_null();
    bool ok = out->list && add_file(out, file) && add_directories(out, directory);
    if (ok && sk_X509_num(out->list) > 0)
        return OK;
    sk_X509_pop_free(out->list, X509_free);
    out->list = NULL;
    if (!ok)
        return why_set(why, ERR_MEMORY, "out of memory");
    return why_set(why, ERR_NOT_FOUND,
                   "this machine trusts no issuer: there is none in %.100s or %.100s (expected the "
                   "key ca)",
                   file, directory);
}
