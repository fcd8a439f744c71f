"""The stand-in's controllers: readiness by script, graceful ends, victims, adoption, garbage, owned ReplicaSets.

SPDX-License-Identifier: Apache-2.0
"""
import ipaddress

import pytest

from kubeapi import pods

RCS = "/api/v1/namespaces/default/replicationcontrollers"


def names(found):
    return {p["metadata"]["name"] for p in found}


def test_addresses_are_loopback_and_unique(standin):
    standin.rc("my-web-v1", 20)
    standin.settle("my-web-v1")
    addresses = [p["status"]["podIP"] for p in standin.pods_of("my-web-v1")]
    assert len(set(addresses)) == 20
    assert all(ipaddress.ip_address(a) in ipaddress.ip_network("127.64.0.0/10") for a in addresses)


@pytest.mark.parametrize("image, reason", [("my-web:bad", "CrashLoopBackOff"), ("my-web:imgfail", "ImagePullBackOff")])
def test_bad_images_are_never_ready(standin, image, reason):
    standin.rc("my-web-v2", 2, image=image)
    standin.wait(lambda: len([p for p in standin.pods_of("my-web-v2") if "containerStatuses" in p["status"]]) == 2)
    states = [p["status"]["containerStatuses"][0]["state"] for p in standin.pods_of("my-web-v2")]
    assert {s["waiting"]["reason"] for s in states} == {reason}
    standin.wait(lambda: standin.replicas_of("my-web-v2") == (2, 2, 0))


def test_readiness_is_scripted(standin):
    standin.rc("slow", 1, annotations={"standin/ready-after": "0.3"})
    standin.rc("never", 1, image="my-web:x", annotations={"standin/never-ready": "true"})
    standin.pods.script(image="held", never_ready=True)
    standin.rc("held", 1, image="my-web:held")
    standin.rc("quick", 1)
    standin.settle("quick")
    assert standin.replicas_of("slow")[2] == 0
    standin.settle("slow")
    name = standin.pods_of("held")[0]["metadata"]["name"]
    assert standin.replicas_of("held")[2] == standin.replicas_of("never")[2] == 0
    standin.pods.set_ready(name)
    standin.settle("held")
    standin.pods.crash(name)
    standin.wait(lambda: standin.replicas_of("held") == (1, 1, 0))


def test_pods_terminate_for_a_while(standin):
    standin.pods.script(grace=30)
    standin.rc("my-web-v1", 2)
    standin.settle("my-web-v1")
    standin.scale("my-web-v1", 1)
    standin.wait(lambda: standin.replicas_of("my-web-v1") == (1, 1, 1))
    going = [p for p in standin.list("pods") if "deletionTimestamp" in p["metadata"]]
    assert len(standin.list("pods")) == 2 and len(going) == 1 and pods.is_ready(going[0])
    standin.pods.remove(going[0]["metadata"]["name"])
    assert len(standin.list("pods")) == 1


def test_unready_pods_go_first_then_the_cheap_ones(standin):
    standin.rc("my-web-v1", 4)
    standin.settle("my-web-v1")
    one, two, *rest = sorted(names(standin.pods_of("my-web-v1")))
    standin.change("pods", one, lambda o: {**o, "metadata": {**o["metadata"], "annotations": {
        "controller.kubernetes.io/pod-deletion-cost": "-5"}}})
    standin.pods.set_ready(two, False)
    standin.scale("my-web-v1", 3)
    standin.wait(lambda: len(standin.list("pods")) == 3)
    assert names(standin.list("pods")) == {one, *rest}
    standin.scale("my-web-v1", 2)
    standin.wait(lambda: len(standin.list("pods")) == 2)
    assert names(standin.list("pods")) == set(rest)


def test_a_default_delete_orphans_and_another_controller_adopts(standin, client):
    standin.rc("my-web-v1", 3)
    standin.settle("my-web-v1")
    before = names(standin.list("pods"))
    assert client.call("DELETE", RCS + "/my-web-v1")[0] == 200
    standin.wait(lambda: standin.get("replicationcontrollers", "my-web-v1") is None)
    assert names(standin.list("pods")) == before and standin.pods_of("my-web-v1") == []
    standin.rc("other", 3, "v1")
    standin.settle("other")
    assert names(standin.pods_of("other")) == before
    client.call("DELETE", RCS + "/other", {"propagationPolicy": "Background"})
    standin.wait(lambda: standin.list("pods") == [])


def test_an_owned_replica_set_is_scaled_back(standin, client):
    standin.create("deployments", {"metadata": {"name": "web"}, "spec": {
        "replicas": 2, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:v1"}]}}}})
    standin.settle("web", "deployments")
    owned = standin.list("replicasets")[0]["metadata"]["name"]
    path = f"/apis/apps/v1/namespaces/default/replicasets/{owned}/scale"
    assert client.call("PUT", path, {"spec": {"replicas": 5}})[0] == 200
    standin.rest()
    assert standin.replicas_of(owned, "replicasets") == (2, 2, 2) and len(standin.list("pods")) == 2


def test_rest_comes_after_all_work_but_not_after_a_deadline(standin):
    standin.pods.script(image="late", ready_after=0.3, grace=0.3)
    standin.create("deployments", {"metadata": {"name": "web"}, "spec": {
        "replicas": 2, "progressDeadlineSeconds": 600, "selector": {"matchLabels": {"app": "web"}}, "template": {
            "metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "web", "image": "web:late"}]}}}})
    standin.rest()
    assert standin.replicas_of("web", "deployments") == (2, 2, 2)
    standin.scale("web", 1, "deployments")
    standin.rest()
    assert standin.replicas_of("web", "deployments") == (1, 1, 1) and len(standin.list("pods")) == 1
    standin.faults.pause_controllers()
    standin.scale("web", 3, "deployments")
    standin.rest()
    assert standin.replicas_of("web", "deployments") == (3, 1, 1)


def test_a_limit_makes_a_replica_failure(standin):
    standin.limit_pods(1)
    standin.rc("my-web-v1", 2)
    standin.wait(lambda: "conditions" in standin.get("replicationcontrollers", "my-web-v1")["status"])
    condition = standin.get("replicationcontrollers", "my-web-v1")["status"]["conditions"][0]
    assert (condition["type"], condition["reason"]) == ("ReplicaFailure", "FailedCreate")
    assert "exceeded quota" in condition["message"]
