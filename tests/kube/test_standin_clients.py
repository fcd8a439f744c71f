"""Real clients use the stand-in: kubectl and the Python client.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import subprocess
import sys

import pytest

from kubeapi import access, yamlish
from standin import StandIn

RC = """apiVersion: v1
kind: ReplicationController
metadata:
  name: my-web-v1
spec:
  replicas: 2
  selector: {app: my-web, version: v1}
  template:
    metadata:
      labels: {app: my-web, version: v1}   # the same
    spec:
      containers:
      - name: my-web
        image: my-web:v1
        ports:
        - {containerPort: 80, protocol: TCP}
"""
DEPLOYMENT = """apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      containers: [{name: web, image: "web:VERSION"}]
"""
PYTHON_CLIENT = """
import sys
from datetime import datetime, timezone
from kubernetes import client, config, watch
from kubernetes.client.rest import ApiException
config.load_kube_config(sys.argv[1])
core, leases, apps, sizes = client.CoreV1Api(), client.CoordinationV1Api(), client.AppsV1Api(), client.AutoscalingV1Api()
core.create_namespaced_replication_controller("default", {"metadata": {"name": "py"}, "spec": {"replicas": 1, "template": {
    "metadata": {"labels": {"app": "py"}}, "spec": {"containers": [{"name": "c", "image": "c:1"}]}}}})
version = core.list_namespaced_replication_controller("default").metadata.resource_version
for event in watch.Watch().stream(core.list_namespaced_replication_controller, "default", timeout_seconds=10):
    if event["object"].status.ready_replicas == 1:
        break
scale = core.read_namespaced_replication_controller_scale("py", "default")
scale.spec.replicas = 2
core.replace_namespaced_replication_controller_scale("py", "default", scale)
core.patch_namespaced_replication_controller("py", "default", {"metadata": {"annotations": {"a": "b"}}})
try:
    core.replace_namespaced_replication_controller_scale("py", "default", scale)
except ApiException as e:
    assert e.status == 409, e
else:
    raise AssertionError("no conflict")
moment = datetime(2024, 1, 1, 0, 0, 0, 123456, timezone.utc)
lease = leases.create_namespaced_lease("default", {"metadata": {"name": "l"}, "spec": {
    "holderIdentity": "me", "leaseDurationSeconds": 15, "renewTime": "2024-01-01T00:00:00.123456Z"}})
assert lease.spec.renew_time == moment, lease
assert sizes.list_namespaced_horizontal_pod_autoscaler("default").items == []
assert len(core.list_namespaced_pod("default", label_selector="app=py").items) >= 1
core.delete_namespaced_replication_controller("py", "default", propagation_policy="Background")
print("done")
"""


@pytest.fixture
def kubectl(standin, tmp_path):
    """kubectl with its own home; answers (code, standard output, standard error)."""
    config = standin.kubeconfig(tmp_path / "config")
    environment = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "KUBECONFIG": config}

    def run(*arguments, given=None, fails=False):
        done = subprocess.run(["kubectl", *arguments], env=environment, input=given, capture_output=True, text=True,
                              timeout=30, check=False)
        assert bool(done.returncode) == fails, done.stdout + done.stderr
        return done.stdout + done.stderr
    return run


def test_kubectl_and_replication_controllers(standin, kubectl):
    assert "created" in kubectl("create", "-f", "-", given=RC)
    standin.settle("my-web-v1")
    assert kubectl("get", "rc").split("\n")[1].split()[:4] == ["my-web-v1", "2", "2", "2"]
    assert "scaled" in kubectl("scale", "rc", "my-web-v1", "--replicas=4")
    standin.settle("my-web-v1")
    assert "annotated" in kubectl("annotate", "rc", "my-web-v1", "a=b")
    assert "Error from server (AlreadyExists)" in kubectl("create", "-f", "-", given=RC, fails=True)
    shown = json.loads(kubectl("get", "rc", "my-web-v1", "-o", "json"))
    assert shown["metadata"]["annotations"]["a"] == "b" and shown["status"]["readyReplicas"] == 4
    assert kubectl("get", "pods", "-l", "version=v1", "-o", "name").count("pod/my-web-v1-") == 4
    assert "configured" in kubectl("apply", "-f", "-", given=RC)
    assert "unchanged" in kubectl("apply", "-f", "-", given=RC)
    assert "SuccessfulCreate" in kubectl("get", "events")
    assert "deleted" in kubectl("delete", "rc", "my-web-v1")
    standin.wait(lambda: standin.list("pods") == [])
    assert "NotFound" in kubectl("get", "rc", "my-web-v1", fails=True)


def test_kubectl_and_deployments(standin, kubectl):
    kubectl("apply", "-f", "-", given=DEPLOYMENT.replace("VERSION", "v1"))
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=10s")
    kubectl("apply", "-f", "-", given=DEPLOYMENT.replace("VERSION", "v2"))
    assert "successfully rolled out" in kubectl("rollout", "status", "deployment/web", "--timeout=10s")
    assert {r["spec"]["replicas"] for r in standin.list("replicasets")} == {0, 3}
    kubectl("rollout", "undo", "deployment/web")
    kubectl("rollout", "status", "deployment/web", "--timeout=10s")
    assert standin.get("deployments", "web")["spec"]["template"]["spec"]["containers"][0]["image"] == "web:v1"
    kubectl("delete", "deployment", "web")
    standin.wait(lambda: standin.list("replicasets") == [] and standin.list("pods") == [])


def python_with(module):
    for python in (sys.executable, "/usr/bin/python3"):
        if subprocess.run([python, "-c", f"import {module}"], capture_output=True, check=False).returncode == 0:
            return python
    raise AssertionError(f"no python has {module}")


def test_the_python_client_over_tls(tmp_path):
    certificates = access.Certificates(tmp_path / "tls")
    with StandIn(tls=certificates, strict=True) as s:
        s.auth.token("t", "admin")
        config = s.kubeconfig(tmp_path / "config", token="t")
        done = subprocess.run([python_with("kubernetes"), "-c", PYTHON_CLIENT, config], capture_output=True, text=True,
                              timeout=60, check=False, env={"PATH": os.environ["PATH"], "HOME": str(tmp_path)})
        assert done.returncode == 0 and done.stdout.startswith("done"), done.stdout + done.stderr
        s.wait(lambda: s.list("pods") == [])


TEXTS = [RC, DEPLOYMENT, "a: 1\nb: [x, 'y z', {c: d}]\n",
         "c:\n- - 1\n  - 2\n- k: v\n  l: |\n    one\n     two\n\n    three\nd: >-\n  a\n  b\n",
         "# only\n\nkey: \"q\\n\" # tail\nurl: http://x:80/#a\nnone:\nyes: true\nf: 1.5\nt: '0123'\nempty: {}\n",
         "- a\n-\n  b: c\n- [1,\n   2]\n", '{"a": {"b": [1, "x", null]}}', "plain text\n",
         "a:\n  b: c\n  d:\n  - e\n  - f: 1\n    g: 2\n"]


def test_manifests_are_read_as_others_read_them():
    code = "import json, sys, yaml; print(json.dumps([list(yaml.safe_load_all(t)) for t in json.load(sys.stdin)]))"
    done = subprocess.run([python_with("yaml"), "-c", code], input=json.dumps(TEXTS), capture_output=True, text=True,
                          timeout=30, check=True)
    for text, wanted in zip(TEXTS, json.loads(done.stdout)):
        if "yes: true" in text:
            wanted = [{("yes" if k == "true" else k): v for k, v in wanted[0].items()}]   # 1.1's yes, 1.2's word
        assert yamlish.load_all(text) == wanted, text
    for text in ("a: b: c\n", "a: 1\na: 2\n", "a: [1\n", "a:\n\t- b\n", "a: &x 1\n"):
        with pytest.raises(ValueError):
            yamlish.load_all(text)
