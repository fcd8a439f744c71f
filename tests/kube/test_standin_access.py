"""Who may talk to the stand-in: TLS, certificates, tokens, RBAC, kubeconfig files and a pod's folder.

SPDX-License-Identifier: Apache-2.0
"""
import os
import socket

import pytest

from kubeapi import access, yamlish
from recorded import Client, Replay, exchanges
from standin import StandIn

RCS = "/api/v1/namespaces/default/replicationcontrollers"
RBAC = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: serin, namespace: default}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: serin, namespace: default}
rules:
- apiGroups: [""]
  resources: [replicationcontrollers]
  verbs: [get, list]
- apiGroups: [""]
  resources: [replicationcontrollers/scale]
  resourceNames: [my-web-v1]
  verbs: [update]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: serin, namespace: default}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: serin}
subjects: [{kind: ServiceAccount, name: serin, namespace: default}]
"""


@pytest.fixture(scope="module")
def certificates(tmp_path_factory):
    made = access.Certificates(tmp_path_factory.mktemp("tls"))
    made.dev = made.issue("dev", "dev", ["system:masters"])
    made.other = made.issue("other", "other")
    made.stranger = made.foreign("foreign", "dev")
    return made


@pytest.fixture
def secure(certificates):
    with StandIn(tls=certificates, strict=True) as one:
        yield one


def test_certificates(secure, certificates):
    by_name = {e.name: e for e in exchanges("04_auth")}
    for name, certificate in (("11-client-cert", certificates.dev), ("13-foreign-cert", certificates.stranger),
                              ("14-bad-token-and-good-cert", certificates.dev)):
        replay = Replay(secure, Client(secure, certificate=certificate))
        replay.step(by_name[name])
        assert not replay.found
    assert Client(secure, certificate=certificates.other).call("GET", RCS)[0] == 403
    assert secure.requests()[-1].user == "other"


def test_plain_http_to_the_tls_port(secure):
    with socket.create_connection(("127.0.0.1", secure.port), timeout=5) as sock:
        sock.sendall(b"GET /version HTTP/1.1\r\nHost: x\r\n\r\n")
        assert sock.recv(200).startswith(b"HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.")


def test_tokens_rotate(secure):
    secure.auth.token("first", "admin")
    first, second = Client(secure, "first"), Client(secure, "second")
    assert (first.call("GET", RCS)[0], second.call("GET", RCS)[0]) == (200, 401)
    secure.auth.rotate("first", "second", keep_old=True)
    assert (first.call("GET", RCS)[0], second.call("GET", RCS)[0]) == (200, 200)
    secure.auth.revoke("first")
    assert (first.call("GET", RCS)[0], second.call("GET", RCS)[0]) == (401, 200)


def test_roles_of_a_manifest_are_enforced(secure):
    assert secure.auth.load(RBAC) == ["system:serviceaccount:default:serin"]
    secure.auth.token("t", "system:serviceaccount:default:serin")
    secure.rc("my-web-v1")
    secure.rc("my-web-v2")
    client = Client(secure, "t")
    scale = {"spec": {"replicas": 2}}
    assert client.call("GET", RCS + "/my-web-v1")[0] == 200
    assert client.call("PUT", RCS + "/my-web-v1/scale", scale)[0] == 200
    assert client.call("PUT", RCS + "/my-web-v2/scale", scale)[0] == 403
    code, status = client.call("DELETE", RCS + "/my-web-v1")
    assert code == 403 and status["message"] == (
        'replicationcontrollers "my-web-v1" is forbidden: User "system:serviceaccount:default:serin" cannot delete resource '
        '"replicationcontrollers" in API group "" in the namespace "default"')
    assert client.call("GET", "/apis/apps/v1")[0] == 200


def test_a_server_that_starts():
    """A starting server refuses what it will allow a moment later."""
    account, by_name = "system:serviceaccount:default:rollout", {e.name: e for e in exchanges("19_startup")}
    with StandIn(strict=True) as s:
        s.auth.token("<SA-JWT>", account, everything=True)
        s.auth.token("dev-static-token-0002", "dev", everything=True)
        replay = Replay(s, Client(s))
        s.faults.status(403, times=3, user=account)
        for name in ("01-sa-list-403", "02-sa-scale-403", "03-sa-readyz-403", "05-dev-scale-404", "10-sa-list-200",
                     "11-sa-scale-404", "13-dev-readyz-200", "15-sa-readyz-200"):
            if "list-200" in name:
                s.settle(s.rc("my-web-v1", 4)["metadata"]["name"])
                there = by_name[name].answer
                assert replay.request(by_name[name]).status == there.status
            else:
                replay.step(by_name[name])
        assert not replay.found, "\n".join(replay.found)


def test_kubeconfig_and_folder_of_a_pod(secure, certificates, tmp_path):
    path = secure.kubeconfig(tmp_path / "config", token="abc", client=certificates.dev, embed=True, namespace="prod")
    with open(path, encoding="utf-8") as f:
        config = yamlish.load(f.read())
    assert config["clusters"][0]["cluster"]["server"] == f"https://127.0.0.1:{secure.port}"
    assert config["contexts"][0]["context"]["namespace"] == "prod"
    assert set(config["users"][0]["user"]) == {"token", "client-certificate-data", "client-key-data"}
    assert os.stat(path).st_mode & 0o777 == 0o600
    environment = secure.service_account(tmp_path / "sa", "abc", "prod")
    assert environment == {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(secure.port)}
    assert sorted(os.listdir(tmp_path / "sa")) == ["ca.crt", "namespace", "token"]
    access.write_token(tmp_path / "sa", "def")
    assert (tmp_path / "sa" / "token").read_text() == "def"
