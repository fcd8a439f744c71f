"""conf/kubernetes in use: the README's example as it is written, under the Role's rights, all of which are needed.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import json
import os
import re
import shutil
import socket
import subprocess

import pytest

from cluster import NAMES, StandIn, Watcher, leader_of, manifest
from rig import SERIN, die_with_me, wait_until

import rights  # from tests/kube, to which cluster has shown the way
from kubeapi import access

pytestmark = pytest.mark.long

QUICK = {"steps": ["50%"], "hold": "1s", "bake": "0", "min_requests": 20, "harm_budget": "5%", "checks": {"latency": {"warmup": "10m"}}}

# No daemon of docker, no protobuf in the stand-in, and no kubelet: these three do what is left to do.
DOCKER = """#!/bin/sh
# Looks for what docker build is given.
while [ $# -gt 1 ]; do [ "$1" != -f ] || test -f "$2" || exit 1; shift; done
test -d "$1"
"""
KUBECTL = """#!/bin/sh
# kubectl, but a Secret goes over as JSON, and exec runs serin here.
case "$1 $2" in
"create secret") "$KUBECTL" "$@" --dry-run=client -o json | "$KUBECTL" create -f - ;;
exec*)
    test "$2 $3 $4" = "$POD -- serin" || { echo "no such pod: $2" >&2; exit 1; }
    shift 4
    n=$#
    while [ $n -gt 0 ]; do
        word=$1 n=$((n - 1))
        shift
        [ "$word" != /etc/serin-admin/token ] || word=$FOLDER/token
        set -- "$@" "$word"
    done
    SERIN_ADMIN=$(cat "$FOLDER/admin") exec "$SERIN" "$@" ;;
*) exec "$KUBECTL" "$@" ;;
esac
"""


def example():
    """The README's block of commands."""
    with open(os.path.join(rights.ROOT, "README.md"), encoding="utf-8") as f:
        return re.search(r"<!-- kubernetes -->\n```sh\n(.*?)```", f.read(), re.S)[1]


class Installed:
    """A cluster that knows nothing but its controllers; what a person does there is done with kubectl."""

    def __init__(self, folder, cleanup, shop, role):
        self.folder, self.standin = str(folder), StandIn(strict=True, tls=access.Certificates(folder / "tls"))
        cleanup.append(self.standin.stop)
        self.shops = {v: shop(v, "0.0.0.0") for v in NAMES}
        self.standin.auth.token("a-person's", "admin")
        self.kubeconfig = self.standin.kubeconfig(folder / "person", token="a-person's")
        rights.give(self.standin, role)

    def configure(self, serin):
        """A proxy with what the ConfigMap and the Secret in the cluster say. Adapted: folders, ports, steps and times."""
        files = self.standin.get("configmaps", "serin")["data"]
        with open(os.path.join(self.folder, "token"), "wb") as f:
            f.write(base64.b64decode(self.standin.get("secrets", "serin-admin")["data"]["token"]))
        config = rights.yamlish.load(files["serin.yaml"])
        route, = config.pop("routes")
        route["versions"] = {v: {**c, "port": int(self.shops[v].address.rpartition(":")[2])} for v, c in route["versions"].items()}
        config.pop("state_dir")
        proxy = serin({**route, "rollout": {**route["rollout"], **QUICK}}, start=False, **{
            **config, "workers": 1, "listeners": [{"bind": "127.0.0.1:0"}], "timeouts": {},
            "admin": {"bind": "127.0.0.1:0", "token_file": os.path.join(self.folder, "token")},
            "kubernetes": {**config["kubernetes"], "lease_duration": "3s",
                           "kubeconfig": self.standin.kubeconfig(os.path.join(self.folder, "pod"), token=rights.TOKEN)}})
        for name in set(files) - {"serin.yaml"}:
            with open(os.path.join(proxy.folder, name), "w", encoding="utf-8") as f:
                f.write(files[name])
        return proxy

    def person(self, script):
        """A shell in the project's folder; what it says is in said()."""
        tools = os.path.join(self.folder, "tools")
        os.mkdir(tools)
        for name, text in (("docker", DOCKER), ("kubectl", KUBECTL)):
            with open(os.path.join(tools, name), "w", encoding="utf-8") as f:
                f.write(text)
            os.chmod(os.path.join(tools, name), 0o755)
        environment = {"PATH": tools + ":" + os.environ["PATH"], "HOME": self.folder, "KUBECONFIG": self.kubeconfig, "SERIN": SERIN,
                       "KUBECTL": shutil.which("kubectl"), "FOLDER": self.folder, "POD": socket.gethostname()}
        with open(os.path.join(self.folder, "said"), "wb") as said:
            return subprocess.Popen(["bash", "-euc", script], cwd=rights.ROOT, env=environment, preexec_fn=die_with_me,
                                    stdin=subprocess.DEVNULL, stdout=said, stderr=said)

    def said(self):
        with open(os.path.join(self.folder, "said"), encoding="utf-8") as f:
            return f.read()


def test_the_example_of_the_readme(tmp_path, cleanup, shop, serin, users):
    """From nothing to v2 and back, with the rights of rbac.yaml: none is missing, and all of them were used."""
    role = rights.one("Role")
    installed = Installed(tmp_path, cleanup, shop, role)
    standin = installed.standin
    standin.pods.script(labels={"app.kubernetes.io/name": "serin"}, never_ready=True)
    standin.faults.status(409, times=1, verb="patch", resource="replicationcontrollers", user=rights.USER)
    person = installed.person(example())
    cleanup.append(person.kill)
    wait_until(lambda: person.poll() is not None or standin.get("deployments", "serin"), 30, "the Deployment")
    assert person.poll() is None, installed.said()
    proxy = installed.configure(serin).start()
    standin.settle("my-web-v1")
    watcher = Watcher(standin)
    cleanup.append(watcher.stop)
    leader_of([proxy])
    with open(tmp_path / "admin", "w", encoding="utf-8") as f:
        f.write(proxy.admin_url)
    load = users(proxy.address, users=400, rate=400)
    for pod in standin.list("pods"):
        if pod["metadata"]["labels"].get("app.kubernetes.io/name") == "serin":
            standin.pods.set_ready(pod["metadata"]["name"], True)
    wait_until(lambda: person.poll() is not None, 60, "the end of the example")
    said = installed.said()
    assert person.returncode == 0, said
    assert re.search(r"ANALYZING  watches v2 at 50%.*v2 was promoted.*RolloutCompleted.*v1 serves everyone", said, re.S), said
    assert proxy.status("my-web")["stable"] == "v1" and watcher.road[-1] == (4, 0)
    assert (0, 4) in watcher.road and (watcher.least_ready, watcher.most_pods) == (4, 5)
    assert load.stop()["failed"] == 0
    assert not standin.requests(user=rights.USER, status=403)
    assert rights.used(standin) == rights.of_role(role)
    assert {e.name for e in standin.requests(user=rights.USER, resource="leases")} == {"serin", None}


def test_a_right_that_is_missing_is_named(tmp_path, cleanup, serin):
    """Each of them, in the log of the proxy that lacks it; all of them at once."""
    role = rights.one("Role")
    lacking = {}
    for n, right in enumerate(sorted(rights.of_role(role))):
        standin = StandIn(strict=True)
        cleanup.append(standin.stop)
        standin.rc("my-web-v1", 1)
        rights.give(standin, rights.without(role, right))
        if right == ("get", "", "replicationcontrollers"):
            standin.faults.status(409, times=None, verb="patch", resource="replicationcontrollers")
        folder = tmp_path / f"made{n}"
        folder.mkdir()
        (folder / "v2.yaml").write_text(json.dumps(manifest()))
        route = {"name": "my-web", "stable": "v1", "canary": "v2", "versions": {
            "v1": {"workload": "rc/my-web-v1", "port": 80},
            "v2": {"workload": "rc/my-web-v2", "port": 80, "manifest": str(folder / "v2.yaml")}}}
        kubernetes = {"kubeconfig": standin.kubeconfig(folder / "config", token=rights.TOKEN), "lease_duration": "3s"}
        lacking[right] = serin(route, start=False, kubernetes=kubernetes)
        lacking[right].start(ready=False)

    def all_are_named():
        for right, proxy in list(lacking.items()):
            if "admin_listening" not in proxy.log():
                continue
            status = proxy.status("my-web")
            if rights.is_named(right, proxy.log()):
                del lacking[right]
            elif status["state"] == "STABLE" and status.get("cluster", {}).get("standing") == "leads":
                proxy.api("POST", "routes/my-web/start")
        return not lacking
    try:
        wait_until(all_are_named, 30)
    except AssertionError:
        pytest.fail("\n".join(f"{right}: {proxy.status('my-web')['why']}\n{proxy.log()[-1500:]}" for right, proxy in lacking.items()))
