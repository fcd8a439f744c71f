"""The stand-in answers as real API servers did: recorded requests are replayed and the answers compared.

SPDX-License-Identifier: Apache-2.0

Compared: status, content type and the telling headers, every member of every body. Not compared: versions, uids, times and
made-up names (but they are followed from answer to request), managedFields, the volumes that an admission plugin adds.
What happened between the recorded requests stands in BETWEEN. 19_startup is in test_standin_access.py.
"""
import re
import threading

import pytest

from recorded import Client, Replay, exchanges
from standin import StandIn

# Recordings that are not replayed, and why.
LEFT_OUT = {
    "01_rc": {"15-get-scale-again": "the same as 14"},
    "02_update_patch": {"29-put-status-ignored-spec": "the recorder's body had been cut by hand: its status was its own"},
    "04_auth": {n: "about certificates, expiring tokens or service accounts: test_standin_access.py has what of it is here"
                for n in ("11-client-cert", "12-client-cert-admin", "13-foreign-cert", "14-bad-token-and-good-cert",
                          "15-expired-sa-token", "16-not-yet-valid", "17-wrong-audience", "18-tampered", "21-self-rules",
                          "23-token-request-too-short", "24-sa-live", "25-sa-deleted",
                          "26-sa-deleted-later")},
    "06_watch": {"17-bookmarks-60s": "takes 75 s; test_standin_watch.py has bookmarks"},
    "12_limits": {n: "quotas, budgets and evictions are no resources here; limit_pods() does what a quota does to pods"
                  for n in ("01-create-quota", "05-create-rc-3-over-quota", "06-events", "07-create-pdb", "08-evict-429")},
}
SA = "system:serviceaccount:default:rollout"
ALL = ["get", "list", "watch", "create", "update", "patch", "delete"]
RULES = [   # the Role of the recordings' ServiceAccount, as far as resources are here
    (["authorization.k8s.io"], ["selfsubjectaccessreviews"], ["create"]), ([""], ["replicationcontrollers"], ALL),
    ([""], ["replicationcontrollers/scale"], ["get", "update", "patch"]), (["apps"], ["deployments", "replicasets"], ALL),
    (["apps"], ["deployments/scale", "replicasets/scale"], ["get", "update", "patch"]),
    ([""], ["pods"], ["get", "list", "watch"]),
    (["", "events.k8s.io"], ["events"], ["create", "patch", "get", "list", "watch"]),
    (["coordination.k8s.io"], ["leases"], ["get", "list", "watch", "create", "update", "patch", "delete"]),
]


def recorded_users(s):
    """Who asked in the recordings."""
    s.auth.token("<SA-JWT>", SA)
    s.auth.token("admin-static-token-0001")
    s.auth.token("dev-static-token-0002", "dev", everything=True)
    s.auth.token("nobody-static-token-0003", "nobody-token")
    s.auth.grant(SA, [{"apiGroups": g, "resources": r, "verbs": v} for g, r, v in RULES], "default",
                 'RoleBinding "rollout/default" of Role "rollout" to ServiceAccount "rollout/default"')


def rc(s, version, replicas=1, name=None, image=None, **more):
    return s.rc(name or version, replicas, version, image, **more)


def settle(*names):
    return lambda s: [s.settle(n) for n in names]


def paused(*work):
    """Controllers rest from here on; status stays as it was."""
    def run(s):
        for one in work:
            one(s)
        s.faults.pause_controllers()
    return run


def go_on(*names):
    def run(s):
        s.faults.resume_controllers()
        settle(*names)(s)
    return run


def rest(s):
    s.rest()


def gone(plural, name):
    return lambda s: s.wait(lambda: s.get(plural, name) is None, what=f"{name} gone")


def no_pods(version):
    return lambda s: s.wait(lambda: not [p for p in s.list("pods") if p["metadata"]["labels"].get("version") == version])


def made(version, replicas, *more):
    """Makes a controller and waits for its pods."""
    def run(s):
        rc(s, version, replicas)
        s.settle(version)
        for one in more:
            one(s)
    return run


def all_of(*work):
    return lambda s: [one(s) for one in work]


def labelled(name, **labels):
    def change(obj):
        kept = {**obj["metadata"]["labels"], **labels}
        return {**obj, "metadata": {**obj["metadata"], "labels": {k: v for k, v in kept.items() if v}}}
    return lambda s: s.change("replicationcontrollers", name, change)


def scaled(name, replicas):
    return lambda s: (s.scale(name, replicas), s.settle(name))


def finalizer(name):
    return lambda s: s.change("replicationcontrollers", name, lambda o: {
        **o, "metadata": {**o["metadata"], "finalizers": ["example.com/hold"]}})


def page(*numbers):
    def run(s):
        for n in numbers:
            s.rc(f"page-{n}", 0, f"p{n}")
            s.settle(f"page-{n}")
    return run


def relabel_one(s):
    pod = next(p for p in s.pods_of("my-web-v1") if "deletionTimestamp" not in p["metadata"])
    s.change("pods", pod["metadata"]["name"], lambda o: {**o, "metadata": {
        **o["metadata"], "labels": {**o["metadata"]["labels"], "version": "quarantine"}}})
    s.wait(lambda: pod["metadata"]["name"] not in [p["metadata"]["name"] for p in s.pods_of("my-web-v1")])
    s.settle("my-web-v1")
    s.wait(lambda: len(s.list("pods")) == 4)


def cheap(s):
    """One of the pods costs less than the others."""
    name = s.pods_of("my-web-v1")[1]["metadata"]["name"]
    s.change("pods", name, lambda o: {**o, "metadata": {**o["metadata"], "annotations": {
        "controller.kubernetes.io/pod-deletion-cost": "-100"}}})


def sick(s):
    for version, name, image in (("vc", "my-web-crash", "my-web:crash"), ("vi", "my-web-img", "my-web:imgfail"),
                                 ("vp", "my-web-pend", "my-web:never")):
        s.rc(name, 2 if version == "vc" else 1, version, image)
    s.wait(lambda: (s.get("replicationcontrollers", "my-web-crash")["status"]).get("replicas") == 2)
    s.wait(lambda: all(p["status"].get("conditions") for p in s.list("pods"))
           and all(p["status"].get("containerStatuses") or "pend" in p["metadata"]["name"] for p in s.list("pods")))


def min_ready(s):
    template = {"metadata": {"labels": {"app": "my-web", "version": "vm"}}, "spec": {"containers": [
        {"name": "my-web", "image": "my-web:vm", "ports": [{"containerPort": 80}]}]}}
    s.create("replicationcontrollers", {"metadata": {"name": "my-web-min"}, "spec": {
        "replicas": 2, "minReadySeconds": 1, "template": template}})
    s.wait(lambda: s.replicas_of("my-web-min") == (2, 2, 2))


def available(name):
    return lambda s: s.wait(lambda: s.get("replicationcontrollers", name)["status"].get("availableReplicas") == 2)


def set_image(image):
    def change(obj):
        spec = obj["spec"]["template"]["spec"]
        template = {**obj["spec"]["template"], "spec": {**spec, "containers": [{**spec["containers"][0], "image": image}]}}
        return {**obj, "spec": {**obj["spec"], "template": template}}
    return lambda s: s.change("deployments", "my-web", change)


def hurry(s):
    """The deadline of the progress comes early."""
    with s.store.lock:
        for uid in s.deployments.progressed:
            s.deployments.progressed[uid] -= 60
        s.deployments.sync("default", "my-web")


BETWEEN = {     # what happened before a recording
    "01_rc/03-get-rc": settle("my-web-v1"), "01_rc/16-put-scale-4": paused(), "01_rc/26-get-rc-settled": go_on("my-web-v1"),
    "02_update_patch/02-get": settle("my-web-v1"), "02_update_patch/16-strategic-patch": paused(),
    "02_update_patch/18-json-patch": all_of(go_on("my-web-v1"), paused()),
    "02_update_patch/24-patch-type-error": go_on("my-web-v1"), "02_update_patch/26-apply-force": paused(),
    "02_update_patch/30-get4": go_on("my-web-v1"), "02_update_patch/32-put-selector-and-template": paused(),
    "02_update_patch/33-list-pods-after-selector-change": all_of(go_on("my-web-v1"), lambda s: s.wait(
        lambda: len(s.list("pods")) == 4)),
    "05_delete/01-delete-default": made("d-default", 2, paused()),
    "05_delete/02-pods-after-default": all_of(go_on(), gone("replicationcontrollers", "d-default")),
    "05_delete/03-pods-adopted": all_of(lambda s: s.rc("d-adopt", 2, "d-default"), settle("d-adopt")),
    "05_delete/05-delete-background": made("d-bg", 2), "05_delete/07-pods-after-background": no_pods("d-bg"),
    "05_delete/08-delete-orphan": made("d-orphan", 2, paused()),
    "05_delete/10-get-later-orphan": all_of(go_on(), gone("replicationcontrollers", "d-orphan")),
    "05_delete/12-delete-foreground": made("d-fg", 2, paused()),
    "05_delete/15-get-after-foreground": all_of(go_on(), gone("replicationcontrollers", "d-fg")),
    "05_delete/16-get": made("d-pre", 1),
    "05_delete/23-delete-collection": all_of(made("d-c1", 1), made("d-c2", 1)),
    "05_delete/24-delete-with-finalizer": all_of(paused(), lambda s: rc(s, "d-fin"), finalizer("d-fin")),
    "06_watch/05-no-rv": lambda s: (s.rc("my-web-v1"), s.settle("my-web-v1")),
    "06_watch/10-pods": lambda s: s.wait(lambda: len(s.list("pods")) == 1),
    "07_paging/01-limit-3": page(*range(7)),
    "07_paging/02-continue-2": page(9),
    "07_paging/08-continue-expired": lambda s: s.faults.expire_history(),
    "09_deployment/02-get": rest,
    "09_deployment/05-put-scale": paused(),
    "09_deployment/06-get-rv": all_of(go_on(), rest, paused(), lambda s: s.scale("my-web", 4, "deployments")),
    "09_deployment/08-list-rs-after": rest,
    "09_deployment/11-scale-owned-rs": paused(),
    "09_deployment/12-owned-rs-undone": all_of(go_on(), rest),
    "09_deployment/13-rollback-by-template": paused(),
    "09_deployment/14-list-rs-after-rollback": all_of(go_on(), rest),
    "09_deployment/15-pause": paused(), "09_deployment/18-stuck": all_of(go_on(), rest),
    "09_deployment/19-progress-deadline-exceeded": hurry,
    "09_deployment/24-rs-after-delete": rest,
    "09_deployment/26-rs-get": rest,
    "09_deployment/28-rs-scale-put": paused(),
    "12_limits/02-create-rc-4": lambda s: s.limit_pods(2),
    "12_limits/03-rc-replica-failure": lambda s: s.wait(
        lambda: s.replicas_of("my-web-v1")[1:] == (2, 2)
        and "conditions" in s.get("replicationcontrollers", "my-web-v1")["status"]),
    "12_limits/09-scale-down-despite-pdb": paused(),
    "12_limits/10-pods-after": all_of(go_on(), lambda s: s.wait(lambda: not s.list("pods"))),
    "14_pods/01-list": lambda s: (s.rc("my-web-v1", 4), s.settle("my-web-v1"), s.pods.script(grace=1)),
    "14_pods/02-scale-to-3": cheap,
    "14_pods/03-during": settle("my-web-v1"),
    "14_pods/05-after-relabel": all_of(lambda s: s.wait(lambda: len(s.list("pods")) == 3), relabel_one),
    "14_pods/06-crash-loop": sick,
    "14_pods/10-min-ready-seconds-1": min_ready, "14_pods/11-min-ready-seconds-2": available("my-web-min"),
}
DURING = {      # what happened while a watch was open
    "06_watch/02-life-of-an-rc": all_of(lambda s: (s.rc("my-web-v1"), s.settle("my-web-v1")), scaled("my-web-v1", 2),
                                        labelled("my-web-v1", tier="x"),
                                        lambda s: s.delete("replicationcontrollers", "my-web-v1")),
    "06_watch/08-label-selector-leaves": all_of(labelled("my-web-v1", tier="a"), labelled("my-web-v1", tier="b"),
                                                labelled("my-web-v1", tier="a")),
    "06_watch/09-single-object": all_of(scaled("my-web-v1", 3), scaled("my-web-v1", 1)),
    "06_watch/10-pods": all_of(scaled("my-web-v1", 3), scaled("my-web-v1", 1), lambda s: s.wait(
        lambda: len(s.list("pods")) == 1)),
    "09_deployment/07-watch-rollout": all_of(go_on(), rest, set_image("my-web:v2"), rest),
}
LOOSE = {       # members that are not compared, and why
    "07_paging": {"resourceVersion"},
    "02_update_patch/26-apply-force": {"readyReplicas", "availableReplicas"},  # a pod of the recording was not ready yet
    "02_update_patch/28-get3": {"readyReplicas", "availableReplicas"},
    "05_delete/09-get-right-after-orphan": {"observedGeneration"},     # here the controllers rest
    "05_delete/24-delete-with-finalizer": {"observedGeneration"},
    "05_delete/25-delete-with-finalizer-again": {"observedGeneration"}, "05_delete/27-remove-finalizer": {"status"},
    "14_pods/06-crash-loop": {"restartCount"}, "09_deployment/20-list-pods-stuck": {"restartCount", "state", "phase"},
    "14_pods/11-min-ready-seconds-2": {"minReadySeconds"},     # 1 s here, 3 s there
    "14_pods/10-min-ready-seconds-1": {"minReadySeconds"},
}
UNITS = {       # watches whose steps differ in number: how many statuses a controller writes on the way is chance
    "06_watch/09-single-object", "06_watch/10-pods", "09_deployment/07-watch-rollout",
}
FULL = ["01_rc", "02_update_patch", "03_errors", "04_auth", "05_delete", "06_watch", "07_paging", "08_lease",
        "09_deployment", "11_events", "12_limits", "14_pods", "21_microtime"]


def play(s, replay, exchange):
    where = f"{exchange.group}/{exchange.name}"
    if where in BETWEEN:
        BETWEEN[where](s)
    loose = LOOSE.get(where, set()) | LOOSE.get(exchange.group, set())
    if exchange.group == "09_deployment":
        loose = loose | {"generation", "observedGeneration", "conditions"}
    if where not in DURING:
        replay.step(exchange, 1, loose)
        return
    opened = set(s.api.watches)
    out = []
    thread = threading.Thread(target=lambda: out.append(replay.request(exchange, 600)))
    thread.start()
    s.wait(lambda: s.api.watches - opened, what="the watch")
    DURING[where](s)
    if "BOOKMARK" in str(exchange.answer.body):
        s.faults.bookmark()
    s.faults.cut_watches(clean=True)
    thread.join(10)
    if where in UNITS:
        kinds = {x["type"] for x in out[0].lines}
        assert kinds == {x["type"] for x in exchange.answer.lines}, (where, kinds)
        replay.look(where, exchange.answer.lines[0], out[0].lines[0], loose)
        replay.look(where, exchange.answer.lines[-1], out[0].lines[-1], loose)
    else:
        replay.compare(exchange, out[0], loose)


@pytest.mark.parametrize("group", FULL)
def test_recorded(group):
    with StandIn(future_wait_s=0.02, second_s=0.05, strict=True) as s:
        recorded_users(s)
        replay = Replay(s, Client(s))
        for exchange in exchanges(group):
            if exchange.name not in LEFT_OUT.get(group, {}):
                try:
                    play(s, replay, exchange)
                except (AssertionError, OSError, TypeError) as e:
                    replay.found.append(f"{exchange.name}: {type(e).__name__}: {e}")
                    break
        assert not replay.found, "\n".join([""] + replay.found)


def test_every_recording_is_played_or_left_out_with_a_reason():
    for group, names in LEFT_OUT.items():
        assert set(names) <= {e.name for e in exchanges(group)}, group
    wheres = {f"{g}/{e.name}" for g in FULL for e in exchanges(g)}
    assert set(BETWEEN) | set(DURING) <= wheres
    assert sum(len(v) for v in LEFT_OUT.values()) < 25
    assert not [w for w in wheres if not re.match(r"\d\d_\w+/\d\d-", w)]
