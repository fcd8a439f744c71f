"""A rollout on Kubernetes while the server, the objects and the file change under it: no pod too few, nobody forgotten.

SPDX-License-Identifier: Apache-2.0
"""
import pytest

from cluster import leader_of, manifest, reach
from rig import ask, wait_until

pytestmark = pytest.mark.long


def configure(proxy, route, **top):
    proxy.config.update(top, routes=[route])
    proxy.write()


def change_manifest(container):
    made = manifest()
    made["spec"]["template"]["spec"]["containers"][0].update(container)
    return made


def test_nothing_shrinks_before_the_pods_are_known(cluster, proxies, users):
    """Where the list of pods takes its time, none is taken away: nobody knows which of them serve."""
    slow = cluster.standin.faults.delay(4, times=50, resource="pods", verb="list")
    proxy, = proxies(1, rollout={"steps": ["50%"]})
    proxy.cli("start", "my-web")
    wait_until(lambda: cluster.replicas() == (4, 1), 20)
    wait_until(lambda: "does not know yet the pods of" in proxy.status("my-web")["why"], 3)
    slow.remove()
    users(proxy.address, users=10, rate=100)
    reach(proxy, "ANALYZING", 40, weight=50)
    assert (cluster.watcher.least_ready, cluster.watcher.most_pods) == (4, 5)


def test_pods_that_may_not_be_listed_are_named(cluster, serin):
    """It stands still, says why, and is not ready."""
    cluster.standin.faults.status(403, times=10 ** 6, resource="pods", message="pods is forbidden")
    proxy = serin(cluster.route(), start=False, **cluster.top()).start(ready=False)
    wait_until(lambda: "admin_listening" in proxy.log(), 20)
    leader_of([proxy])
    assert ask(proxy.admin, target="/readyz", host=proxy.admin_host).status == 503
    proxy.cli("start", "my-web")
    wait_until(lambda: "pods is forbidden" in proxy.status("my-web")["why"], 10)
    assert cluster.replicas()[0] == 4


def test_a_canary_that_a_reload_names_has_its_pods(cluster, serin, users):
    """The route was stable's alone when serin started: the two proxies agree on one that decides all the same."""
    alone = {k: v for k, v in cluster.route().items() if k not in ("canary", "rollout")}
    both = [serin({**alone, "versions": {"v1": alone["versions"]["v1"]}}, **cluster.top()) for _ in range(2)]
    for proxy in both:
        users(proxy.address, users=10, rate=100)
        configure(proxy, cluster.route({"steps": ["50%"]}), **cluster.top())
        proxy.cli("reload")
    leader = leader_of(both)
    leader.cli("start", "my-web")
    for proxy in both:
        wait_until(lambda p=proxy: p.status("my-web")["stable"] == "v2", 60)
    wait_until(lambda: cluster.replicas() == (0, 4), 20)
    assert (cluster.watcher.least_ready, cluster.watcher.most_pods) == (4, 5)


def test_a_canary_that_the_file_drops_gives_the_pods_back(cluster, proxies, users):
    """Also where the file does not even name its workload any more."""
    proxy, = proxies(1, rollout={"hold": "30s"})
    users(proxy.address, users=10, rate=100)
    proxy.cli("start", "my-web")
    wait_until(lambda: cluster.replicas() == (3, 1), 20)
    route = cluster.route({"hold": "30s"})
    del route["canary"], route["rollout"], route["versions"]["v2"]
    configure(proxy, route, **cluster.top())
    proxy.cli("reload")
    wait_until(lambda: cluster.replicas() == (4, 0), 30)
    reach(proxy, "STABLE", 20)


def test_a_canary_that_the_file_of_a_start_drops_gives_stable_its_pods(cluster, proxies, users):
    proxy, = proxies(1, rollout={"hold": "30s"})
    users(proxy.address, users=10, rate=100)
    proxy.cli("start", "my-web")
    wait_until(lambda: cluster.replicas() == (3, 1), 20)
    proxy.kill()
    route = cluster.route({"hold": "30s"})
    del route["canary"], route["rollout"], route["versions"]["v2"]
    configure(proxy, route, **cluster.top())
    proxy.start()
    wait_until(lambda: cluster.replicas()[0] == 4, 30)
    reach(proxy, "STABLE", 20)


def test_a_reload_with_credentials_that_cannot_be_read_is_refused_each_time(cluster, serin, tmp_path):
    """The first workload comes with a reload, and nobody has said how to reach its cluster."""
    plain = {"name": "my-web", "stable": "v1", "versions": {"v1": {"endpoints": [cluster.shops["v1"].address]}}}
    proxy = serin(plain, start=False)
    proxy.environment["KUBECONFIG"] = str(tmp_path / "not-there")
    proxy.start()
    configure(proxy, cluster.route())
    for _ in range(3):
        assert "not-there" in proxy.cli("reload", expect=None).stderr
    assert proxy.ask().get("x-version") == "v1"
    cluster.standin.kubeconfig(str(tmp_path / "not-there"))
    proxy.cli("reload")
    leader_of([proxy])


def test_a_manifest_in_another_spelling_is_made_once(cluster, proxies, users):
    """The server writes quantities in its own way and leaves out what is empty: that is no other template."""
    cluster.write_manifest(change_manifest({"resources": {"limits": {"cpu": 1, "memory": "1024Mi"}}, "args": [], "stdin": False}))
    proxy, = proxies(1, rollout={"steps": ["50%"]})
    users(proxy.address, users=10, rate=100)
    made = cluster.standin.get("replicationcontrollers", "my-web-v2")
    assert made is None

    def spell(entry):
        def respell(obj):
            copy = {**obj, "spec": {**obj["spec"], "template": {**obj["spec"]["template"]}}}
            pod = {**copy["spec"]["template"]["spec"]}
            first = {k: v for k, v in pod["containers"][0].items() if k not in ("args", "stdin")}
            pod["containers"] = [{**first, "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]
            copy["spec"]["template"]["spec"] = pod
            return copy
        cluster.standin.change("replicationcontrollers", "my-web-v2", respell)
    hook = cluster.standin.on_write(1, spell, "acted", resource="replicationcontrollers", verb="create")
    proxy.cli("start", "my-web")
    wait_until(lambda: proxy.status("my-web")["stable"] == "v2", 60)
    del hook
    assert [w.verb for w in cluster.writes() if w.verb in ("create", "delete")] == ["create"]


def test_stable_deleted_with_its_pods_left_is_a_promotion_that_failed_once(cluster, proxies, users):
    """The default of an API client: the controller goes, its pods stay. Everyone gets the canary, which grows."""
    proxy, = proxies(1, rollout={"steps": ["25%"], "hold": "30s"})
    users(proxy.address, users=10, rate=100)
    proxy.cli("start", "my-web")
    reach(proxy, "ANALYZING", 20, weight=25)
    cluster.standin.delete("replicationcontrollers", "my-web-v1", policy="Orphan")
    reach(proxy, "FAILED_PROMOTION", 20, weight=100)
    wait_until(lambda: cluster.replicas()[1] == 4, 20)
    before = proxy.log().count("to=FAILED_PROMOTION")
    wait_until(lambda: proxy.status("my-web")["state"] == "FAILED_PROMOTION", 2)
    assert before == 1 and proxy.log().count("to=FAILED_PROMOTION") == 1


def test_an_autoscaler_of_after_the_last_rollout_is_seen(cluster, proxies, users):
    """What was asked for the one before says nothing of now."""
    proxy, = proxies(1, rollout={"steps": ["50%"]})
    users(proxy.address, users=10, rate=150)
    proxy.cli("start", "my-web")
    reach(proxy, "ANALYZING", 20)
    proxy.cli("abort", "my-web")
    reach(proxy, "ABORTED", 30)
    cluster.standin.create("horizontalpodautoscalers", {
        "metadata": {"name": "web"}, "spec": {"maxReplicas": 9, "scaleTargetRef": {
            "apiVersion": "v1", "kind": "ReplicationController", "name": "my-web-v1"}}})
    n = len([w for w in cluster.writes() if "spec" in (w.body or {})])
    proxy.cli("retry", "my-web")
    wait_until(lambda: "horizontalpodautoscaler web moves" in proxy.status("my-web")["why"], 60)
    assert len([w for w in cluster.writes() if "spec" in (w.body or {})]) == n


def test_a_record_of_garbage_is_written_over(cluster, proxies, users):
    """Whatever number it bears: the other proxy must hear of the next step."""
    both = proxies(2, rollout={"hold": "2s"})
    for proxy in both:
        users(proxy.address, users=10, rate=100)
    leader = leader_of(both)
    leader.cli("start", "my-web")
    reach(leader, "ANALYZING", 20, weight=25)
    for name in ("my-web-v1", "my-web-v2"):
        cluster.standin.change("replicationcontrollers", name, lambda o: {**o, "metadata": {
            **o["metadata"], "annotations": {**o["metadata"]["annotations"],
                                             "serin.io/rollout": '{"route":"my-web","epoch":1,"seq":9007199254740990}'}}})
    for proxy in both:
        reach(proxy, "ANALYZING", 30, weight=50)
    assert cluster.record("v1")["route"] == "my-web" and "state" in cluster.record("v1")
