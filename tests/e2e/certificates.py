"""Certificates for tests, made while they run: an authority, what it issues to servers and clients, and every kind of bad one.

SPDX-License-Identifier: Apache-2.0
"""
import datetime
import ipaddress
import os
import ssl
from collections import namedtuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import BestAvailableEncryption, Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEYS = {"ecdsa": lambda: ec.generate_private_key(ec.SECP256R1()),
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "weak": lambda: rsa.generate_private_key(65537, 1024)}
VALID = (-1, 30)                # days from now: from, to
EXPIRED, FUTURE = (-30, -1), (1, 30)

Pair = namedtuple("Pair", "certificate key")     # names of two PEM files


def subject_of(*parts):
    """A distinguished name: ("CN", "alice"), ("O", "Example")."""
    known = {"CN": NameOID.COMMON_NAME, "O": NameOID.ORGANIZATION_NAME, "OU": NameOID.ORGANIZATIONAL_UNIT_NAME}
    return x509.Name([x509.NameAttribute(known[name], value) for name, value in parts])


def alternative(name):
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)


def write_key(path, key, passphrase=None):
    how = BestAvailableEncryption(passphrase.encode()) if passphrase else NoEncryption()
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as f:
        f.write(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, how))


class Authority:
    """A certificate authority in a folder; `ca` is the file that trusts it. parent: it is an intermediate one of that."""

    def __init__(self, folder, name="ca", parent=None):
        self.folder, self.name, self.parent = str(folder), name, parent
        os.makedirs(self.folder, exist_ok=True)
        self.private, self.subject = KEYS["ecdsa"](), subject_of(("CN", name))
        self.public = self.build(self.subject, self.private, VALID, parent or self,
                                 [(x509.BasicConstraints(True, None), True),
                                  (x509.KeyUsage(True, False, False, False, False, True, True, False, False), True)])
        self.ca = self.path(name + ".crt")
        self.write(self.ca, self.public)

    def path(self, name):
        return os.path.join(self.folder, name)

    @staticmethod
    def write(path, *certificates):
        """Puts a chain on disk at once: a reader sees the old file or the new one."""
        with open(path + ".new", "wb") as f:
            f.write(b"".join(c.public_bytes(Encoding.PEM) for c in certificates))
        os.replace(path + ".new", path)

    @staticmethod
    def build(subject, private, days, issuer, extensions):
        now = datetime.datetime.utcnow()
        builder = (x509.CertificateBuilder().subject_name(subject).issuer_name(issuer.subject)
                   .public_key(private.public_key()).serial_number(x509.random_serial_number())
                   .not_valid_before(now + datetime.timedelta(days=days[0]))
                   .not_valid_after(now + datetime.timedelta(days=days[1]))
                   .add_extension(x509.SubjectKeyIdentifier.from_public_key(private.public_key()), False)
                   .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.private.public_key()), False))
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        return builder.sign(issuer.private, hashes.SHA256())

    def chain(self):
        """The intermediate certificates from here up, without the root."""
        return [self.public, *self.parent.chain()] if self.parent else []

    def issue(self, name, hosts=(), key="ecdsa", days=VALID, subject=None, passphrase=None):
        """Makes NAME.crt (with its chain) and NAME.key. hosts: names and addresses of a server, wildcards too; without any it
        is a client's. key: ecdsa, rsa or weak; days: VALID, EXPIRED, FUTURE or (from, to)."""
        usage = ExtendedKeyUsageOID.SERVER_AUTH if hosts else ExtendedKeyUsageOID.CLIENT_AUTH
        extensions = [(x509.BasicConstraints(False, None), True), (x509.ExtendedKeyUsage([usage]), False)]
        if hosts:
            extensions.append((x509.SubjectAlternativeName([alternative(h) for h in hosts]), False))
        private = KEYS[key]()
        subject = subject or subject_of(("CN", hosts[0] if hosts else name))
        pair = Pair(self.path(name + ".crt"), self.path(name + ".key"))
        write_key(pair.key, private, passphrase)
        self.write(pair.certificate, self.build(subject, private, days, self, extensions), *self.chain())
        return pair

    def server(self, name="server", hosts=("web.test", "127.0.0.1"), **more):
        return self.issue(name, hosts, **more)

    def client(self, name="client", **more):
        return self.issue(name, **more)

    def context(self, pair=None, **options):
        """What a client of Python's ssl uses that trusts this authority: host names are checked. pair: its own certificate."""
        context = ssl.create_default_context(cafile=self.ca)
        if pair:
            context.load_cert_chain(*pair)
        for name, value in options.items():
            setattr(context, name, value)
        return context


def self_signed(folder, name="alone", hosts=("web.test", "127.0.0.1"), days=VALID):
    """A certificate that is its own authority."""
    one = Authority(folder, name + "-ca")
    one.subject, one.private = subject_of(("CN", hosts[0])), KEYS["ecdsa"]()
    pair = Pair(one.path(name + ".crt"), one.path(name + ".key"))
    write_key(pair.key, one.private)
    names = x509.SubjectAlternativeName([alternative(h) for h in hosts])
    one.write(pair.certificate, one.build(one.subject, one.private, days, one, [(names, False)]))
    return pair


def as_config(*pairs):
    """The value of tls.certificates for these."""
    return [{"certificate": p.certificate, "key": p.key} for p in pairs]
