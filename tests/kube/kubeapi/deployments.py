"""The Deployment controller, light: a ReplicaSet for each template, rolling updates, pause, rollback, conditions.

SPDX-License-Identifier: Apache-2.0
"""
import copy
import hashlib
import math
import time

from . import controllers, defaults, deletes, jsonish, kinds, managed, writes
from .store import changed
from .times import now

REVISION, HISTORY = "deployment.kubernetes.io/revision", "deployment.kubernetes.io/revision-history"
DESIRED, MOST = "deployment.kubernetes.io/desired-replicas", "deployment.kubernetes.io/max-replicas"
HASH = "pod-template-hash"


def fence(value, total, up):
    if isinstance(value, str) and value.endswith("%"):
        part = total * int(value[:-1]) / 100
        return math.ceil(part) if up else math.floor(part)
    return int(value)


def fences(deployment):
    """(surge, unavailable) in pods; both 0 makes one unavailable."""
    spec = deployment["spec"]
    rolling = spec["strategy"].get("rollingUpdate")
    if not rolling:
        return 0, spec["replicas"]
    surge = fence(rolling["maxSurge"], spec["replicas"], True)
    unavailable = fence(rolling["maxUnavailable"], spec["replicas"], False)
    return surge, unavailable if surge or unavailable else 1


def bare(template):
    """A template without the label that the controller adds."""
    out = copy.deepcopy(template)
    (out["metadata"].get("labels") or {}).pop(HASH, None)
    return out


def hash_of(template):
    digest = hashlib.sha256(jsonish.dumps(template).encode()).hexdigest()
    return "".join(writes.SUFFIX[int(c, 16)] for c in digest[:10])


def handed_on(deployment):
    """Annotations of a Deployment that its ReplicaSet gets as well."""
    return {k: v for k, v in (deployment["metadata"].get("annotations") or {}).items()
            if not k.startswith("deployment.kubernetes.io/") and k != "kubectl.kubernetes.io/last-applied-configuration"}


def status(rs, name):
    return (rs.get("status") or {}).get(name, 0)


class Deployments:
    """Moves ReplicaSets towards their Deployments."""

    def __init__(self, api, scheduler, options, replicas):
        self.api, self.store, self.scheduler, self.options, self.replicas = api, api.store, scheduler, options, replicas
        self.progressed = {}    # uid -> when the rollout last got on, for progressDeadlineSeconds
        self.store.listeners.append(self._seen)

    def _seen(self, event):
        meta = event.obj["metadata"]
        if event.key == kinds.DEPLOYMENT and event.type != "DELETED":
            self._queue(meta["namespace"], meta["name"])
        elif event.key == kinds.RS:
            owner = controllers.controller_of(event.obj)
            if owner and owner["kind"] == "Deployment":
                self._queue(meta["namespace"], owner["name"])

    def _queue(self, namespace, name, after_s=None):
        self.scheduler.soon(self.options.controller_s if after_s is None else after_s, ("deployment", namespace, name),
                            self.sync, namespace, name)

    def sync(self, namespace, name):
        deployment = self.store.get(kinds.DEPLOYMENT, namespace, name)
        if deployment is None or "deletionTimestamp" in deployment["metadata"]:
            return
        mine = [r for r in self.store.list(kinds.RS, namespace)
                if any(o["uid"] == deployment["metadata"]["uid"] for o in r["metadata"].get("ownerReferences") or [])]
        new = next((r for r in mine if bare(r["spec"]["template"]) == bare(deployment["spec"]["template"])), None)
        paused = deployment["spec"].get("paused", False)
        if not paused:
            deployment, new = self._revise(deployment, new, mine)
        mine = [self.store.get(kinds.RS, namespace, r["metadata"]["name"]) for r in mine]
        old = [r for r in mine if r and (new is None or r["metadata"]["uid"] != new["metadata"]["uid"])]
        if paused:
            if new and sum(r["spec"]["replicas"] for r in old) == 0:
                self._scale(new, deployment["spec"]["replicas"], deployment)
        else:
            self._roll(deployment, new, old)
        self._write_status(namespace, name, new, old, paused)

    def _revise(self, deployment, new, mine):
        """The ReplicaSet of the template, with the highest revision; the Deployment carries it too."""
        revisions = [int((r["metadata"].get("annotations") or {}).get(REVISION, 0)) for r in mine]
        top = max(revisions, default=0)
        if new is None:
            new, revision = self._make(deployment, top + 1), top + 1
        else:
            notes = {**(new["metadata"].get("annotations") or {}), **handed_on(deployment)}
            revision = int(notes.get(REVISION, 0))
            if revision < top or revision == 0:
                history = ",".join(filter(None, (notes.get(HISTORY), str(revision) if revision else None)))
                revision = top + 1
                notes = {**notes, REVISION: str(revision), **({HISTORY: history} if history else {})}
            if notes != new["metadata"].get("annotations"):
                new = self.store.put(kinds.RS, changed(new, annotations=dict(sorted(notes.items()))))
        if (deployment["metadata"].get("annotations") or {}).get(REVISION) != str(revision):
            notes = {**(deployment["metadata"].get("annotations") or {}), REVISION: str(revision)}
            deployment = self._keep(deployment, changed(deployment, annotations=dict(sorted(notes.items()))))
            self.progressed[deployment["metadata"]["uid"]] = time.monotonic()
        return deployment, new

    def _make(self, deployment, revision):
        meta, spec = deployment["metadata"], deployment["spec"]
        mark = hash_of(spec["template"])
        template = copy.deepcopy(spec["template"])
        template["metadata"]["labels"] = {**template["metadata"]["labels"], HASH: mark}
        selector = copy.deepcopy(spec["selector"])
        selector["matchLabels"] = {**(selector.get("matchLabels") or {}), HASH: mark}
        surge, _ = fences(deployment)
        notes = {**handed_on(deployment), DESIRED: str(spec["replicas"]), MOST: str(spec["replicas"] + surge),
                 REVISION: str(revision)}
        return self.api.make(kinds.of(kinds.RS), {
            "metadata": {"name": f"{meta['name']}-{mark}", "labels": template["metadata"]["labels"], "annotations": notes,
                         "ownerReferences": [controllers.owner_reference(deployment, kinds.of(kinds.DEPLOYMENT))]},
            "spec": {"replicas": 0, "selector": selector, "template": template,
                     **({"minReadySeconds": spec["minReadySeconds"]} if spec.get("minReadySeconds") else {})}},
            meta["namespace"])

    def _scale(self, rs, replicas, deployment):
        surge, _ = fences(deployment)
        notes = {**(rs["metadata"].get("annotations") or {}), DESIRED: str(deployment["spec"]["replicas"]),
                 MOST: str(deployment["spec"]["replicas"] + surge)}
        if replicas == rs["spec"]["replicas"] and notes == rs["metadata"].get("annotations"):
            return rs
        generation = rs["metadata"]["generation"] + (replicas != rs["spec"]["replicas"])
        obj = changed({**rs, "spec": {**rs["spec"], "replicas": replicas}}, generation=generation,
                      annotations=dict(sorted(notes.items())))
        self.progressed[deployment["metadata"]["uid"]] = time.monotonic()
        return self.store.put(kinds.RS, obj)

    def _roll(self, deployment, new, old):
        """One move: up to the surge, then down to what may be unavailable."""
        wanted, (surge, unavailable) = deployment["spec"]["replicas"], fences(deployment)
        total = sum(r["spec"]["replicas"] for r in old + [new])
        if not deployment["spec"]["strategy"].get("rollingUpdate"):     # Recreate: all old ones first
            for rs in old:
                self._scale(rs, 0, deployment)
            if not any(status(r, "replicas") for r in old):
                self._scale(new, wanted, deployment)
            return
        if new["spec"]["replicas"] > wanted or not any(r["spec"]["replicas"] for r in old):
            new = self._scale(new, wanted, deployment)
        elif new["spec"]["replicas"] < wanted:
            up = min(wanted + surge - total, wanted - new["spec"]["replicas"])
            new = self._scale(new, new["spec"]["replicas"] + max(0, up), deployment)
        else:
            new = self._scale(new, wanted, deployment)
        total = sum(r["spec"]["replicas"] for r in old + [new])
        unready = max(0, new["spec"]["replicas"] - status(new, "availableReplicas"))
        spare = total - (wanted - unavailable) - unready
        for rs in sorted(old, key=lambda r: (status(r, "availableReplicas"), r["metadata"]["creationTimestamp"])):
            sick = max(0, rs["spec"]["replicas"] - status(rs, "availableReplicas"))
            down = min(rs["spec"]["replicas"], max(0, min(spare, sick or spare)))
            if down:
                self._scale(rs, rs["spec"]["replicas"] - down, deployment)
                spare -= down

    def _keep(self, before, obj):
        resource = kinds.of(kinds.DEPLOYMENT)
        obj = defaults.shape(obj, resource)
        return self.store.put(kinds.DEPLOYMENT, managed.record(before, obj, resource, controllers.MANAGER, "Update", "status"))

    def _write_status(self, namespace, name, new, old, paused):
        deployment = self.store.get(kinds.DEPLOYMENT, namespace, name)
        new = new and self.store.get(kinds.RS, namespace, new["metadata"]["name"])
        all_of = [r for r in (self.store.get(kinds.RS, namespace, o["metadata"]["name"]) for o in old) if r] + \
            ([new] if new else [])
        total, ready, up = (sum(status(r, n) for r in all_of) for n in ("replicas", "readyReplicas", "availableReplicas"))
        wanted, (_, unavailable) = deployment["spec"]["replicas"], fences(deployment)
        before = deployment.get("status") or {}
        out = {"observedGeneration": deployment["metadata"]["generation"], "replicas": total,
               "updatedReplicas": status(new, "replicas") if new else 0, "readyReplicas": ready, "availableReplicas": up,
               "unavailableReplicas": max(0, max(total, wanted) - up)}
        out = {k: v for k, v in out.items() if v or k == "observedGeneration"}
        enough = up >= wanted - unavailable
        reason, message = ("MinimumReplicasAvailable", "Deployment has minimum availability.") if enough else \
            ("MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
        conditions = [self._condition(before, "Available", enough, reason, message),
                      self._progressing(deployment, before, out, new, paused)]
        out["conditions"] = conditions
        done = out.get("updatedReplicas", 0) == wanted == up == total
        if out != before:
            self._keep(deployment, {**deployment, "status": out})
        if done:
            self._tidy(deployment, all_of)

    def _progressing(self, deployment, before, out, new, paused):
        wanted, title = deployment["spec"]["replicas"], f'ReplicaSet "{new["metadata"]["name"]}"' if new else "Deployment"
        uid, deadline = deployment["metadata"]["uid"], deployment["spec"].get("progressDeadlineSeconds", 600)
        if paused:
            return self._condition(before, "Progressing", None, "DeploymentPaused", "Deployment is paused")
        if out.get("updatedReplicas", 0) == wanted == out.get("availableReplicas", 0) == out.get("replicas", 0):
            return self._condition(before, "Progressing", True, "NewReplicaSetAvailable",
                                   f"{title} has successfully progressed.")
        if any(out.get(k, 0) > before.get(k, 0) for k in ("updatedReplicas", "readyReplicas", "availableReplicas")):
            self.progressed[uid] = time.monotonic()
        left = self.progressed.setdefault(uid, time.monotonic()) + deadline - time.monotonic()
        if left <= 0:
            return self._condition(before, "Progressing", False, "ProgressDeadlineExceeded",
                                   f"{title} has timed out progressing.")
        # The look at the deadline is queued apart, so that it does not stand in the way of other work.
        self.scheduler.soon(left + 0.01, ("deadline", uid), self.sync, deployment["metadata"]["namespace"],
                            deployment["metadata"]["name"])
        return self._condition(before, "Progressing", True, "ReplicaSetUpdated", f"{title} is progressing.")

    @staticmethod
    def _condition(before, kind, true, reason, message):
        word = "Unknown" if true is None else "True" if true else "False"
        old = next((c for c in before.get("conditions") or [] if c["type"] == kind), None)
        if old and (old["status"], old["reason"], old["message"]) == (word, reason, message):
            return old
        since = old["lastTransitionTime"] if old and old["status"] == word else now()
        return {"type": kind, "status": word, "lastUpdateTime": now(), "lastTransitionTime": since, "reason": reason,
                "message": message}

    def _tidy(self, deployment, all_of):
        """Old ReplicaSets beyond the history go."""
        empty = [r for r in all_of if not r["spec"]["replicas"] and not status(r, "replicas")]
        empty.sort(key=lambda r: int((r["metadata"].get("annotations") or {}).get(REVISION, 0)))
        for rs in empty[:max(0, len(empty) - deployment["spec"].get("revisionHistoryLimit", 10))]:
            deletes.delete(self.api, rs, kinds.of(kinds.RS), "Background")
