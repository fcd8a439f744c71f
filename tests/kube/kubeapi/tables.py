"""Tables and metadata-only forms, which kubectl get asks for.

SPDX-License-Identifier: Apache-2.0
"""
from datetime import datetime, timezone

from . import selectors


def age(obj):
    """As kubectl shows it: 9s, 4m10s, 3h, 2d."""
    made = datetime.strptime(obj["metadata"]["creationTimestamp"], "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    s = max(0, int((datetime.now(timezone.utc) - made).total_seconds()))
    if s < 120:
        return f"{s}s"
    if s < 3600:
        return f"{s // 60}m" + (f"{s % 60}s" if s < 600 and s % 60 else "")
    return f"{s // 3600}h" if s < 172800 else f"{s // 86400}d"


def of(obj, *path):
    for step in path:
        obj = (obj or {}).get(step)
    return obj


def containers(obj):
    spec = of(obj, "spec", "template", "spec") or obj.get("spec") or {}
    return spec.get("containers") or []


def names(obj):
    return ",".join(c.get("name", "") for c in containers(obj))


def images(obj):
    return ",".join(c.get("image", "") for c in containers(obj))


def count(*path):
    return lambda o: of(o, *path) or 0


def selector(obj):
    return selectors.text_of(of(obj, "spec", "selector"))


def pod_reason(pod):
    if of(pod, "metadata", "deletionTimestamp"):
        return "Terminating"
    for status in of(pod, "status", "containerStatuses") or []:
        if of(status, "state", "waiting", "reason"):
            return status["state"]["waiting"]["reason"]
    return of(pod, "status", "phase")


def pod_ready(pod):
    statuses = of(pod, "status", "containerStatuses") or []
    return f"{sum(1 for s in statuses if s.get('ready'))}/{len(containers(pod))}"


NAME, AGE = ("Name", "string", 0, lambda o: o["metadata"]["name"]), ("Age", "string", 0, age)
WIDE = [("Containers", "string", 1, names), ("Images", "string", 1, images), ("Selector", "string", 1, selector)]
SIZED = [NAME, ("Desired", "integer", 0, count("spec", "replicas")), ("Current", "integer", 0, count("status", "replicas")),
         ("Ready", "integer", 0, count("status", "readyReplicas")), AGE, *WIDE]
COLUMNS = {
    "ReplicationController": SIZED,
    "ReplicaSet": SIZED,
    "Deployment": [NAME, ("Ready", "string", 0, lambda o: f"{count('status', 'readyReplicas')(o)}/{o['spec']['replicas']}"),
                   ("Up-to-date", "string", 0, count("status", "updatedReplicas")),
                   ("Available", "string", 0, count("status", "availableReplicas")), AGE, *WIDE],
    "Pod": [NAME, ("Ready", "string", 0, pod_ready), ("Status", "string", 0, pod_reason),
            ("Restarts", "string", 0, lambda o: str(sum(s.get("restartCount", 0) for s in
                                                        of(o, "status", "containerStatuses") or []))), AGE,
            ("IP", "string", 1, lambda o: of(o, "status", "podIP") or "<none>"),
            ("Node", "string", 1, lambda o: of(o, "spec", "nodeName") or "<none>"),
            ("Nominated Node", "string", 1, lambda o: "<none>"), ("Readiness Gates", "string", 1, lambda o: "<none>")],
    "Namespace": [NAME, ("Status", "string", 0, lambda o: of(o, "status", "phase")), AGE],
    "Lease": [NAME, ("Holder", "string", 0, lambda o: of(o, "spec", "holderIdentity")), AGE],
    "Event": [("Last Seen", "string", 0, age), ("Type", "string", 0, lambda o: o.get("type", "")),
              ("Reason", "string", 0, lambda o: o.get("reason", "")),
              ("Object", "string", 0, lambda o: f"{(of(o, 'involvedObject', 'kind') or '').lower()}/"
                                                f"{of(o, 'involvedObject', 'name') or ''}"),
              ("Message", "string", 0, lambda o: o.get("message", "")), ("Name", "string", 1, NAME[3])],
    "HorizontalPodAutoscaler": [NAME, ("Reference", "string", 0, lambda o: f"{of(o, 'spec', 'scaleTargetRef', 'kind')}/"
                                                                           f"{of(o, 'spec', 'scaleTargetRef', 'name')}"),
                                ("MinPods", "string", 0, lambda o: str(of(o, "spec", "minReplicas"))),
                                ("MaxPods", "integer", 0, count("spec", "maxReplicas")), AGE],
}


def partial(obj):
    return {"kind": "PartialObjectMetadata", "apiVersion": "meta.k8s.io/v1", "metadata": obj["metadata"]}


def table(found, resource, meta, include):
    columns = COLUMNS.get(resource.kind, [NAME, AGE])
    rows = []
    for obj in found:
        shown = {"None": None, "Object": obj}.get(include, partial(obj))
        rows.append({"cells": [c[3](obj) for c in columns], **({"object": shown} if shown else {})})
    heads = [{"name": n, "type": t, "format": "name" if n == "Name" else "", "description": f"{n} of the object.",
              "priority": p} for n, t, p, _ in columns]
    return {"kind": "Table", "apiVersion": "meta.k8s.io/v1", "metadata": meta, "columnDefinitions": heads, "rows": rows}
