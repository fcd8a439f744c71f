"""How clients get to a stand-in: certificates made with openssl, kubeconfig files, the folder that a pod finds.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import json
import os
import subprocess

from . import server

DAYS = "30"


class Certificates:
    """An authority, the server's certificate for 127.0.0.1 and localhost, and a foreign authority, in a folder."""

    def __init__(self, folder, issuer="standin-ca"):
        self.folder, self.issuer = str(folder), issuer
        os.makedirs(self.folder, exist_ok=True)
        self.ca, self.ca_key = self.authority("ca", issuer)
        self.certificate, self.key = self.issue("server", "kube-apiserver", server_names="IP:127.0.0.1,DNS:localhost,"
                                                "DNS:kubernetes.default.svc")
        self.foreign_ca = None

    def path(self, name):
        return os.path.join(self.folder, name)

    def openssl(self, *arguments):
        done = subprocess.run(["openssl", *arguments], capture_output=True, text=True, timeout=30, check=False)
        if done.returncode:
            raise RuntimeError(f"openssl {' '.join(arguments)}: {done.stderr}")

    def authority(self, name, common_name):
        certificate, key = self.path(name + ".crt"), self.path(name + ".key")
        self.openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key,
                     "-out", certificate, "-days", DAYS, "-subj", f"/CN={common_name}")
        return certificate, key

    def issue(self, name, common_name, groups=(), server_names=None, authority=None):
        """(certificate, key) of a client (its user is common_name), or of a server with these names."""
        ca, ca_key = authority or (self.ca, self.ca_key)
        certificate, key, asked, more = (self.path(f"{name}.{end}") for end in ("crt", "key", "csr", "ext"))
        subject = "".join(f"/O={g}" for g in groups) + f"/CN={common_name}"
        self.openssl("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-keyout", key, "-out", asked,
                     "-subj", subject)
        with open(more, "w", encoding="utf-8") as f:
            f.write(f"subjectAltName={server_names}\n" if server_names else "extendedKeyUsage=clientAuth\n")
        self.openssl("x509", "-req", "-in", asked, "-CA", ca, "-CAkey", ca_key, "-CAcreateserial", "-out", certificate,
                     "-days", DAYS, "-extfile", more)
        return certificate, key

    def foreign(self, name, common_name):
        """A client's certificate that no API server should take: 401. To be made before the stand-in starts."""
        if not self.foreign_ca:
            self.foreign_ca = self.authority("foreign-ca", "foreign-ca")
        return self.issue(name, common_name, authority=self.foreign_ca)

    def context(self):
        return server.context(self.certificate, self.key, [self.ca] + ([self.foreign_ca[0]] if self.foreign_ca else []))


def read64(path):
    with open(path, "rb") as f:
        return base64.b64encode(f.read()).decode()


def kubeconfig(standin, path, token=None, client=None, embed=False, namespace="default", token_file=None):
    """Writes a kubeconfig and returns its path. client: (certificate, key); embed: as data rather than by path."""
    cluster = {"server": standin.url}
    if standin.tls:
        cluster.update({"certificate-authority-data": read64(standin.tls.ca)} if embed
                       else {"certificate-authority": os.path.abspath(standin.tls.ca)})
    user = {"token": token} if token else {"tokenFile": token_file} if token_file else {}
    if client:
        user.update({"client-certificate-data": read64(client[0]), "client-key-data": read64(client[1])} if embed else
                    {"client-certificate": os.path.abspath(client[0]), "client-key": os.path.abspath(client[1])})
    config = {"apiVersion": "v1", "kind": "Config", "current-context": "standin",
              "clusters": [{"name": "standin", "cluster": cluster}], "users": [{"name": "tester", "user": user}],
              "contexts": [{"name": "standin", "context": {"cluster": "standin", "user": "tester", "namespace": namespace}}]}
    with open(path, "w", encoding="utf-8") as f:
        f.write(block(config))
    os.chmod(path, 0o600)
    return str(path)


def block(value, indent=0):
    """Block YAML of plain maps, lists and strings, as kubectl writes its own files."""
    pad, out = " " * indent, ""
    if isinstance(value, list):
        for item in value:
            out += pad + "- " + block(item, indent + 2).lstrip(" ")
        return out or pad + "[]\n"
    for key, inner in value.items():
        if isinstance(inner, dict) and inner:
            out += f"{pad}{key}:\n{block(inner, indent + 2)}"
        elif isinstance(inner, list) and inner:
            out += f"{pad}{key}:\n{block(inner, indent)}"
        else:
            out += f"{pad}{key}: {json.dumps(inner)}\n"
    return out


def service_account(standin, folder, token, namespace="default"):
    """The folder that a pod finds at /var/run/secrets/kubernetes.io/serviceaccount: token, ca.crt, namespace.
    Returns the environment of a pod that uses it."""
    os.makedirs(folder, exist_ok=True)
    write_token(folder, token)
    with open(os.path.join(folder, "namespace"), "w", encoding="utf-8") as f:
        f.write(namespace)
    if standin.tls:
        with open(standin.tls.ca, "rb") as source, open(os.path.join(folder, "ca.crt"), "wb") as f:
            f.write(source.read())
    return {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(standin.port)}


def write_token(folder, token):
    """Puts a token in place at once, as the kubelet does it when it rotates."""
    new = os.path.join(folder, ".token.new")
    with open(new, "w", encoding="utf-8") as f:
        f.write(token)
    os.replace(new, os.path.join(folder, "token"))
