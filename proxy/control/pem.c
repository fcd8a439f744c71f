/* Certificates and keys from PEM files, with the reason where one is of no use.
 * SPDX-License-Identifier: Apache-2.0 */
#include "proxy/control/pem.h"

#include "proxy/conf/file.h"
#include <openssl/err.h>
#include <openssl/pem.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

/* Of one file: guard memory, and the time of a reload, against a file that was named by mistake. The authorities that
 * browsers know are 150 certificates in 220 KiB. */
#define PEM_FILE_BYTES_MAX    (1u << 20)
#define PEM_CERTIFICATES_MAX  1024
#define DAY_S                 (24 * 60 * 60)
#define PEM_STRENGTH_BITS_MIN 112 /* RSA of 2048 bits (NIST SP 800-57 part 1, table 2) */

/* What OpenSSL says of its last failure. */
static const char *reason(void)
{
    const char *text = ERR_reason_error_string(ERR_peek_last_error());
    return text ? text : "unknown reason";
}

/* The whole file, from malloc. */
static char *read_whole(const char *path, size_t *len, struct why *why)
{
    char *bytes = file_read(path, PEM_FILE_BYTES_MAX, len, why);
    if (!bytes || *len < PEM_FILE_BYTES_MAX)
        return bytes;
    OPENSSL_cleanse(bytes, *len);
    free(bytes);
    (void)why_set(why, ERR_LIMIT, "is larger than %u KiB (expected a PEM file)",
                  PEM_FILE_BYTES_MAX / 1024);
    return NULL;
}

/* No more PEM object is no failure. */
static bool is_at_end(void)
{
    unsigned long e = ERR_peek_last_error();
    return ERR_GET_LIB(e) == ERR_LIB_PEM && ERR_GET_REASON(e) == PEM_R_NO_START_LINE;
}

static enum err read_all(BIO *bio, STACK_OF(X509) * list, struct why *why)
{
    X509 *x;
    ERR_clear_error();
    while ((x = PEM_read_bio_X509(bio, NULL, NULL, NULL))) {
        if (sk_X509_num(list) >= PEM_CERTIFICATES_MAX || !sk_X509_push(list, x)) {
            X509_free(x);
            return why_set(why, ERR_LIMIT, "holds more than %d certificates", PEM_CERTIFICATES_MAX);
        }
    }
    if (!is_at_end())
        return why_set(why, ERR_INVALID, "holds a certificate that is damaged (%s)", reason());
    ERR_clear_error();
    if (sk_X509_num(list) == 0)
        return why_set(why, ERR_INVALID,
                       "holds no certificate (expected PEM: -----BEGIN CERTIFICATE-----)");
    return OK;
}

enum err pem_read_certificates(const char *path, struct pem_certificates *out, struct why *why)
{
    size_t len = 0;
    char *bytes = read_whole(path, &len, why);
    if (!bytes)
        return ERR_IO;
    BIO *bio = BIO_new_mem_buf(bytes, (int)len);
    out->list = sk_X509_new_null();
    enum err e = ERR_MEMORY;
    if (bio && out->list && EVP_Digest(bytes, len, out->digest, NULL, EVP_sha256(), NULL) == 1)
        e = read_all(bio, out->list, why);
    else
        (void)why_set(why, ERR_MEMORY, "cannot be read: out of memory");
    BIO_free(bio);
    free(bytes);
    if (e == OK)
        return OK;
    sk_X509_pop_free(out->list, X509_free);
    out->list = NULL;
    return e;
}

/* In place of OpenSSL's own, which would ask on the terminal. */
static int on_passphrase(char *buf, int size, int is_writing, void *was_asked)
{
    (void)buf;
    (void)size;
    (void)is_writing;
    *(bool *)was_asked = true;
    return -1;
}

static EVP_PKEY *parse_key(const char *bytes, size_t len, struct why *why)
{
    bool was_asked = false;
    BIO *bio = BIO_new_mem_buf(bytes, (int)len);
    ERR_clear_error();
    EVP_PKEY *key = bio ? PEM_read_bio_PrivateKey(bio, NULL, on_passphrase, &was_asked) : NULL;
    if (!key && was_asked)
        (void)why_set(why, ERR_INVALID, "has a passphrase (expected a key without one)");
    else if (!key && !memmem(bytes, len, "PRIVATE KEY-----", 16))
        (void)why_set(why, ERR_INVALID,
                      "holds no private key (expected PEM: -----BEGIN PRIVATE KEY-----)");
    else if (!key)
        (void)why_set(why, ERR_INVALID, "holds a private key that is damaged (%s)", reason());
    ERR_clear_error();
    BIO_free(bio);
    return key;
}

enum err pem_read_key(const char *path, EVP_PKEY **out, bool *is_public, struct why *why)
{
    struct stat st;
    size_t len = 0;
    char *bytes = read_whole(path, &len, why);
    *out = NULL;
    if (!bytes)
        return ERR_IO;
    *is_public = stat(path, &st) == 0 && (st.st_mode & S_IROTH);
    *out = parse_key(bytes, len, why);
    OPENSSL_cleanse(bytes, len);
    free(bytes);
    return *out ? OK : ERR_INVALID;
}

enum err pem_check_key(const EVP_PKEY *key, struct why *why)
{
    static const struct {
        int id;
        const char *name;
    } kinds[] = {{EVP_PKEY_RSA, "an RSA"},
                 {EVP_PKEY_RSA_PSS, "an RSA-PSS"},
                 {EVP_PKEY_EC, "an elliptic curve"},
                 {EVP_PKEY_ED25519, "an Ed25519"},
                 {EVP_PKEY_ED448, "an Ed448"}};
    const char *name = NULL;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
        if (EVP_PKEY_get_base_id(key) == kinds[i].id)
            name = kinds[i].name;
    if (!name)
        return why_set(why, ERR_INVALID,
                       "holds a key of a kind that TLS has no use for (expected RSA, an elliptic "
                       "curve, Ed25519 or Ed448)");
    if (EVP_PKEY_get_security_bits(key) < PEM_STRENGTH_BITS_MIN)
        return why_set(why, ERR_INVALID,
                       "holds %s key of %d bits, which is too weak (expected RSA of 2048 or more, "
                       "or a curve of 256 or more)",
                       name, EVP_PKEY_get_bits(key));
    return OK;
}

static int64_t seconds_of(const ASN1_TIME *time, int64_t unknown)
{
    struct tm tm;
    return time && ASN1_TIME_to_tm(time, &tm) ? (int64_t)timegm(&tm) : unknown;
}

int64_t pem_not_before(const X509 *certificate)
{
    return seconds_of(X509_get0_notBefore(certificate), INT64_MIN);
}

int64_t pem_not_after(const X509 *certificate)
{
    return seconds_of(X509_get0_notAfter(certificate), INT64_MAX);
}

const char *pem_format_time(int64_t seconds, char out[PEM_TIME_MAX])
{
    struct tm tm;
    time_t time = (time_t)seconds;
    if (!gmtime_r(&time, &tm) || !strftime(out, PEM_TIME_MAX, "%Y-%m-%dT%H:%M:%SZ", &tm))
        (void)snprintf(out, PEM_TIME_MAX, "an unknown time");
    return out;
}

bool pem_warn_of_expiry(int64_t expires, int64_t now, char out[PEM_WARNING_MAX])
{
    char time[PEM_TIME_MAX];
    int64_t left = expires - now;
    if (left >= PEM_WARN_DAYS * DAY_S)
        return false;
    (void)pem_format_time(expires, time);
    if (left <= 0)
        (void)snprintf(out, PEM_WARNING_MAX, "has expired at %s", time);
    else
        (void)snprintf(out, PEM_WARNING_MAX, "expires in %lld day%s, at %s",
                       (long long)(left / DAY_S), left / DAY_S == 1 ? "" : "s", time);
    return true;
}

enum err pem_check_pair(X509 *certificate, EVP_PKEY *key, int64_t now, bool *is_key,
                        struct why *why)
{
    char text[PEM_TIME_MAX];
    *is_key = true;
    enum err e = pem_check_key(key, why);
    if (e != OK)
        return e;
    if (X509_check_private_key(certificate, key) != 1) {
        ERR_clear_error();
        return why_set(why, ERR_INVALID,
                       "is not the key of the certificate (expected that of the first one in its "
                       "file)");
    }
    *is_key = false;
    if (now < pem_not_before(certificate))
        return why_set(why, ERR_INVALID, "is not valid before %s",
                       pem_format_time(pem_not_before(certificate), text));
    if (now >= pem_not_after(certificate))
        return why_set(why, ERR_INVALID, "has expired at %s",
                       pem_format_time(pem_not_after(certificate), text));
    return OK;
}
