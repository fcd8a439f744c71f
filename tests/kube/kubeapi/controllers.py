"""The controllers of ReplicationControllers and ReplicaSets: pods are made, deleted, adopted, released; status is written.

SPDX-License-Identifier: Apache-2.0
"""
import time

from . import defaults, deletes, errors, kinds, managed, pods, selectors
from .store import changed
from .times import now

MANAGER = "kube-controller-manager"
COST = "controller.kubernetes.io/pod-deletion-cost"


def controller_of(obj):
    return next((r for r in obj["metadata"].get("ownerReferences") or [] if r.get("controller")), None)


def owner_reference(obj, resource):
    return {"apiVersion": resource.api_version, "kind": resource.kind, "name": obj["metadata"]["name"],
            "uid": obj["metadata"]["uid"], "controller": True, "blockOwnerDeletion": True}


def without_owner(obj, uid):
    return changed(obj, ownerReferences=[r for r in obj["metadata"].get("ownerReferences") or [] if r["uid"] != uid] or None)


class Replicas:
    """Keeps the number of pods of every ReplicationController and ReplicaSet."""

    def __init__(self, api, scheduler, options):
        self.api, self.store, self.scheduler, self.options = api, api.store, scheduler, options
        self.events = 0
        self.ready_since = {}   # pod uid -> when it was seen ready first, for minReadySeconds
        self.store.listeners.append(self._seen)

    def _seen(self, event):
        if event.key in (kinds.RC, kinds.RS):
            if event.type != "DELETED":
                self._queue(event.key, event.obj["metadata"])
        elif event.key == kinds.POD:
            self._pod_moved(event)

    def _queue(self, key, meta, after_s=None):
        after_s = self.options.controller_s if after_s is None else after_s
        self.scheduler.soon(after_s, ("replicas", key, meta["namespace"], meta["name"]), self.sync, key, meta["namespace"],
                            meta["name"])

    def _pod_moved(self, event):
        meta = event.obj["metadata"]
        uid, ready = meta["uid"], pods.is_ready(event.obj)
        if event.type == "DELETED" or not ready:
            self.ready_since.pop(uid, None)
        elif uid not in self.ready_since:
            self.ready_since[uid] = time.monotonic()
        for obj in filter(None, (event.obj, event.before)):
            owner = controller_of(obj)
            for key in (kinds.RC, kinds.RS):
                for one in self.store.list(key, meta["namespace"]):
                    if owner and owner["uid"] == one["metadata"]["uid"] or not owner and self._selects(one, obj):
                        self._queue(key, one["metadata"])

    @staticmethod
    def _selects(owner, pod):
        wanted = selectors.of_spec(owner["spec"].get("selector"))
        return bool(wanted) and selectors.labels_match(wanted, pod["metadata"].get("labels"))

    def sync(self, key, namespace, name):
        """One pass over a controller: claims, makes or deletes pods, writes status."""
        owner = self.store.get(key, namespace, name)
        if owner is None:
            return
        mine = self._claim(owner, kinds.of(key))
        failure = None
        if "deletionTimestamp" not in owner["metadata"]:
            failure = self._manage(owner, kinds.of(key), mine)
        self._write_status(key, self.store.get(key, namespace, name), mine, failure)

    def _claim(self, owner, resource):
        """The active pods of an owner, after adopting the free ones that match and releasing those that do not."""
        uid, going = owner["metadata"]["uid"], "deletionTimestamp" in owner["metadata"]
        out = []
        for pod in self.store.list(kinds.POD, owner["metadata"]["namespace"]):
            ref, match = controller_of(pod), self._selects(owner, pod)
            active = "deletionTimestamp" not in pod["metadata"] and pod["status"].get("phase") not in ("Succeeded", "Failed")
            if ref and ref["uid"] == uid:
                if not match and active:
                    self.store.put(kinds.POD, without_owner(pod, uid))
                elif match and active:
                    out.append(pod)
            elif not ref and match and active and not going:
                refs = (pod["metadata"].get("ownerReferences") or []) + [owner_reference(owner, resource)]
                out.append(self.store.put(kinds.POD, changed(pod, ownerReferences=refs)))
        return out

    def _manage(self, owner, resource, mine):
        """Makes or deletes pods. As in real life, status is computed from what was there before, so that it observes a new
        generation first and tells the new number of pods a moment later."""
        missing = owner["spec"].get("replicas", 0) - len(mine)
        try:
            for _ in range(max(0, missing)):
                pod = self._make(owner, resource)
                self._tell(owner, resource, "Normal", "SuccessfulCreate", f"Created pod: {pod['metadata']['name']}")
        except errors.ApiError as e:
            self._tell(owner, resource, "Warning", "FailedCreate", f"Error creating: {e.message}")
            return e.message
        if missing < 0:
            for pod in sorted(mine, key=self._worth)[:-missing]:
                deletes.delete(self.api, pod, kinds.of(kinds.POD))
                self._tell(owner, resource, "Normal", "SuccessfulDelete", f"Deleted pod: {pod['metadata']['name']}")
        return None

    def _tell(self, owner, resource, kind, reason, message):
        """An Event, as the real controllers make them."""
        meta = owner["metadata"]
        who = "replication-controller" if resource.key == kinds.RC else "replicaset-controller"
        about = {"kind": resource.kind, "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"],
                 "apiVersion": resource.api_version, "resourceVersion": meta["resourceVersion"]}
        self.events += 1
        self.api.make(kinds.of(kinds.EVENT), {
            "metadata": {"name": f"{meta['name']}.{0x18ea983e4e000000 + self.events:016x}"}, "involvedObject": about,
            "reason": reason, "message": message, "source": {"component": who}, "reportingComponent": who,
            "firstTimestamp": now(), "lastTimestamp": now(), "count": 1, "type": kind}, meta["namespace"])

    def _worth(self, pod):
        """Who goes first: not bound, not running, not ready, cheaper to delete, ready or made later."""
        notes, status = pod["metadata"].get("annotations") or {}, pod["status"]
        phase = {"Pending": 0, "Unknown": 1}.get(status.get("phase"), 2)
        cost = int(notes[COST]) if notes.get(COST, "").lstrip("-").isdigit() else 0
        since = self.ready_since.get(pod["metadata"]["uid"], 0)
        return (bool(pod["spec"].get("nodeName")), phase, pods.is_ready(pod), cost, -since,
                -int(pod["metadata"]["resourceVersion"]))

    def _make(self, owner, resource):
        template, meta = owner["spec"]["template"], owner["metadata"]
        inner = template.get("metadata") or {}
        obj = {"metadata": {"generateName": meta["name"] + "-", "labels": inner.get("labels"),
                            "annotations": inner.get("annotations"), "ownerReferences": [owner_reference(owner, resource)]},
               "spec": template["spec"]}
        return self.api.make_pod(obj, meta["namespace"])

    def _write_status(self, key, owner, mine, failure):
        spec, wanted = owner["spec"], (owner["spec"]["template"].get("metadata") or {}).get("labels") or {}
        wait = spec.get("minReadySeconds", 0)
        ready = [p for p in mine if pods.is_ready(p)]
        ages = [time.monotonic() - self.ready_since.get(p["metadata"]["uid"], 0) for p in ready]
        available = sum(1 for age in ages if age >= wait)
        if available < len(ready):
            self._queue(key, owner["metadata"], min(wait - age for age in ages if age < wait))
        full = sum(1 for p in mine if wanted.items() <= (p["metadata"].get("labels") or {}).items())
        status = {"replicas": len(mine), "fullyLabeledReplicas": full, "readyReplicas": len(ready),
                  "availableReplicas": available, "observedGeneration": owner["metadata"].get("generation", 0)}
        status = {k: v for k, v in status.items() if v or k == "replicas"}
        old = owner.get("status") or {}
        if failure:
            kept = next((c for c in old.get("conditions") or []), None)
            status["conditions"] = [{"type": "ReplicaFailure", "status": "True", "lastTransitionTime":
                                     kept["lastTransitionTime"] if kept else now(), "reason": "FailedCreate",
                                     "message": kept["message"] if kept else failure}]
        if status != old:
            self.put_status(key, owner, status)

    def put_status(self, key, owner, status):
        resource = kinds.of(key)
        obj = defaults.shape({**owner, "status": status}, resource)
        self.store.put(key, managed.record(owner, obj, resource, MANAGER, "Update", "status"))


class Garbage:
    """What goes with an owner, or is left alone by it."""

    def __init__(self, api, scheduler, options):
        self.api, self.store, self.scheduler, self.options = api, api.store, scheduler, options
        self.store.listeners.append(self._seen)

    def _seen(self, event):
        meta = event.obj["metadata"]
        if event.type == "DELETED":
            self.scheduler.soon(self.options.garbage_s, ("gone", meta["uid"]), self.gone, meta["uid"])
            for ref in meta.get("ownerReferences") or []:
                self.scheduler.soon(self.options.garbage_s, ("owner", ref["uid"]), self.foreground, ref["uid"])
        elif "deletionTimestamp" in meta and {"orphan", "foregroundDeletion"} & set(meta.get("finalizers") or ()):
            self.scheduler.soon(self.options.garbage_s, ("finish", meta["uid"]), self.finish, event.key,
                                meta.get("namespace"), meta["name"])

    def dependents(self, uid):
        for key in (kinds.RS, kinds.RC, kinds.POD):
            for obj in self.store.list(key):
                if any(r["uid"] == uid for r in obj["metadata"].get("ownerReferences") or []):
                    yield key, obj

    def gone(self, uid):
        """An owner is gone: its dependents go too, unless somebody else owns them as well."""
        for key, obj in list(self.dependents(uid)):
            if len(obj["metadata"]["ownerReferences"]) > 1:
                self.store.put(key, without_owner(obj, uid))
            elif "deletionTimestamp" not in obj["metadata"]:
                deletes.delete(self.api, obj, kinds.of(key), "Background")

    def finish(self, key, namespace, name):
        """An owner waits for its dependents: they are set free, or deleted first."""
        obj = self.store.get(key, namespace, name)
        if obj is None or "deletionTimestamp" not in obj["metadata"]:
            return
        finalizers, uid = obj["metadata"].get("finalizers") or [], obj["metadata"]["uid"]
        if "orphan" in finalizers:
            for inner, dependent in list(self.dependents(uid)):
                self.store.put(inner, without_owner(dependent, uid))
            self._drop(key, self.store.get(key, namespace, name), "orphan")
        elif "foregroundDeletion" in finalizers:
            left = list(self.dependents(uid))
            for inner, dependent in left:
                if "deletionTimestamp" not in dependent["metadata"]:
                    deletes.delete(self.api, dependent, kinds.of(inner), "Foreground" if inner == kinds.RS else None)
            if not left:
                self._drop(key, obj, "foregroundDeletion")

    def foreground(self, uid):
        for key in (kinds.RC, kinds.RS, kinds.DEPLOYMENT):
            for obj in self.store.list(key):
                if obj["metadata"]["uid"] == uid:
                    self.finish(key, obj["metadata"].get("namespace"), obj["metadata"]["name"])

    def _drop(self, key, obj, finalizer):
        left = [f for f in obj["metadata"]["finalizers"] if f != finalizer]
        obj = changed(obj, finalizers=left or None)
        if left:
            self.store.put(key, obj)
        else:
            self.store.remove(key, obj)
