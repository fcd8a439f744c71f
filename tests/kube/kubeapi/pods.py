"""The lives of pods: bound to a node, started with an address, ready (or never), terminating, gone.

SPDX-License-Identifier: Apache-2.0

What a pod does is scripted, the later word counts: the image's name ("crash" and "bad" crash, "imgfail" cannot be pulled,
"never" fits no node), annotations of the pod (standin/ready-after, standin/grace: seconds; standin/never-ready: any),
and the rules of Pods.script().
"""
import ipaddress

from . import kinds
from .store import changed
from .times import now

FIRST_ADDRESS = ipaddress.IPv4Address("127.64.0.1")    # to 127.127.255.254: loopback, one address a pod
ADDRESSES = 2 ** 22 - 2
IMAGES = (("imgfail", {"state": "ImagePullBackOff"}), ("crash", {"state": "CrashLoopBackOff"}),
          ("bad", {"state": "CrashLoopBackOff"}), ("never", {"state": "Unschedulable"}))


class Pods:
    """Moves pods along; script() and the set_... methods are for tests."""

    def __init__(self, store, scheduler, options):
        self.store, self.scheduler, self.options = store, scheduler, options
        self.rules, self.given, self.addresses, self.hand = [], 0, -1, {}
        store.listeners.append(self._seen)

    # What tests say.

    def script(self, image=None, labels=None, name=None, ready_after=None, never_ready=None, grace=None, state=None):
        """Pods whose image contains a word, that carry labels, or whose name begins so, behave like this from now on."""
        rule = {k: v for k, v in (("ready_after", ready_after), ("never_ready", never_ready), ("grace", grace),
                                  ("state", state)) if v is not None}
        with self.store.lock:
            self.rules.append((image, labels or {}, name, rule))

    def set_ready(self, name, ready=True, namespace="default"):
        """Makes a running pod ready or unready now, whatever its script says."""
        with self.store.lock:
            pod = self.store.get(kinds.POD, namespace, name)
            self.hand[pod["metadata"]["uid"]] = ready
            self._write(pod, self._status(pod, ready, {"running": {"startedAt": now()}}))

    def crash(self, name, namespace="default", state="CrashLoopBackOff"):
        """The container of a pod fails and stays down."""
        with self.store.lock:
            pod = self.store.get(kinds.POD, namespace, name)
            self.hand[pod["metadata"]["uid"]] = False
            self._write(pod, self._status(pod, False, {"waiting": {"reason": state}}))

    def remove(self, name, namespace="default"):
        """A pod is gone at once, as when its node dies and it is force-deleted."""
        with self.store.lock:
            self.store.remove(kinds.POD, self.store.get(kinds.POD, namespace, name))

    # What happens by itself.

    def behaviour(self, pod):
        meta, out = pod["metadata"], {"ready_after": self.options.ready_after_s, "grace": self.options.grace_s, "state": None}
        images = " ".join(c.get("image", "") for c in pod["spec"].get("containers") or [])
        for word, rule in IMAGES:
            if word in images.rsplit(":", 1)[-1] or word in images:
                out.update(rule)
                break
        notes = meta.get("annotations") or {}
        for note, name in (("standin/ready-after", "ready_after"), ("standin/grace", "grace")):
            if note in notes:
                out[name] = float(notes[note])
        if notes.get("standin/never-ready"):
            out["never_ready"] = True
        for image, labels, name, rule in self.rules:
            if (image is None or image in images) and (name is None or meta["name"].startswith(name)) and \
                    labels.items() <= (meta.get("labels") or {}).items():
                out.update(rule)
        return out

    def _seen(self, event):
        if event.key != kinds.POD:
            return
        where = (event.obj["metadata"]["namespace"], event.obj["metadata"]["name"], event.obj["metadata"]["uid"])
        if event.type == "ADDED":
            self.scheduler.at(self.options.bind_s, self._bind, *where)
        elif event.type == "MODIFIED" and "deletionTimestamp" in event.obj["metadata"] and \
                "deletionTimestamp" not in event.before["metadata"]:
            self.scheduler.at(self.behaviour(event.obj)["grace"], self._end, *where)

    def _find(self, namespace, name, uid):
        pod = self.store.get(kinds.POD, namespace, name)
        return pod if pod and pod["metadata"]["uid"] == uid else None

    def _bind(self, *where):
        pod = self._find(*where)
        if not pod or pod["spec"].get("nodeName"):
            return
        if self.behaviour(pod)["state"] == "Unschedulable":
            condition = {**self._condition("PodScheduled", False), "reason": "Unschedulable",
                         "message": "0/2 nodes are available"}
            self._write(pod, {**pod["status"], "conditions": [condition]})
            return
        self.given += 1
        pod = {**pod, "spec": {**pod["spec"], "nodeName": f"node-{self.given % 2}"}}
        self._write(pod, {**pod["status"], "conditions": [self._condition("PodScheduled", True)]})
        self.scheduler.at(self.options.start_s, self._start, *where)

    def _start(self, *where):
        pod = self._find(*where)
        if not pod or "deletionTimestamp" in pod["metadata"]:
            return
        how = self.behaviour(pod)
        self.addresses = (self.addresses + 1) % ADDRESSES
        address = str(FIRST_ADDRESS + self.addresses)
        pod = {**pod, "status": {**pod["status"], "hostIP": f"192.168.49.{2 + int(pod['spec']['nodeName'][-1])}",
                                 "podIP": address, "podIPs": [{"ip": address}], "startTime": now()}}
        if how["state"]:
            self._write(pod, self._status(pod, False, {"waiting": {"reason": how["state"]}}))
            return
        self._write(pod, self._status(pod, False, {"running": {"startedAt": now()}}))
        if not how.get("never_ready"):
            self.scheduler.at(how["ready_after"], self._ready, *where)

    def _ready(self, *where):
        pod = self._find(*where)
        if pod and "deletionTimestamp" not in pod["metadata"] and pod["metadata"]["uid"] not in self.hand \
                and not self.behaviour(pod).get("never_ready"):
            self._write(pod, self._status(pod, True, {"running": {"startedAt": now()}}))

    def _end(self, *where):
        pod = self._find(*where)
        if pod:
            pod = self.store.put(kinds.POD, changed(pod, deletionTimestamp=now(), deletionGracePeriodSeconds=0))
            self.store.remove(kinds.POD, pod)

    def _write(self, pod, status):
        self.store.put(kinds.POD, {**pod, "status": status})

    @staticmethod
    def _condition(name, true, reason=None):
        return {"type": name, "status": "True" if true else "False", "lastProbeTime": None, "lastTransitionTime": now(),
                **({"reason": reason} if reason else {})}

    def _status(self, pod, ready, state):
        """The status of a bound pod whose containers are all in one state. As recorded, the reason stays when it is ready."""
        why, uid = "ContainersNotReady", pod["metadata"]["uid"]
        pulled = state.get("waiting", {}).get("reason") not in ("ImagePullBackOff", "ErrImagePull")
        statuses = []
        for c in pod["spec"]["containers"]:
            one = {"name": c["name"], "state": state, "lastState": {}, "ready": ready,
                   "restartCount": 1 if state.get("waiting", {}).get("reason") == "CrashLoopBackOff" else 0,
                   "image": c["image"], "imageID": f"fake://{c['image']}"}
            if "running" in state:
                one["containerID"] = f"fake://{uid}/{c['name']}"
            statuses.append({**one, "started": "running" in state})
        old = pod["status"]
        fields = {k: old[k] for k in ("hostIP", "podIP", "podIPs", "startTime") if k in old}
        conditions = [self._condition("Initialized", True), self._condition("Ready", ready, why),
                      self._condition("ContainersReady", ready, why), self._condition("PodScheduled", True)]
        return {"phase": "Running" if pulled else "Pending", "conditions": conditions, **fields,
                "containerStatuses": statuses, "qosClass": "BestEffort"}


def is_ready(pod):
    return any(c["type"] == "Ready" and c["status"] == "True" for c in (pod.get("status") or {}).get("conditions") or [])
