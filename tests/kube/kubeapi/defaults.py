"""What the API server fills in when an object is created or replaced, in the order of the real answers.

SPDX-License-Identifier: Apache-2.0
"""

# Order of the fields in a real answer, so that bodies look alike; what is not named comes after.
META_ORDER = ("name", "generateName", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp",
              "deletionTimestamp", "deletionGracePeriodSeconds", "labels", "annotations", "ownerReferences", "finalizers",
              "managedFields")
TOP_ORDER = ("kind", "apiVersion", "metadata")


def ordered(obj, names):
    return {**{n: obj[n] for n in names if n in obj}, **{k: v for k, v in obj.items() if k not in names}}


def shape(obj, resource):
    """kind, apiVersion and metadata first, metadata without empty members."""
    meta = ordered({k: v for k, v in obj["metadata"].items() if v not in ({}, [], "", None)}, META_ORDER)
    return ordered({**obj, "kind": resource.kind, "apiVersion": resource.api_version, "metadata": meta}, TOP_ORDER)


def container(c):
    image = c.get("image", "")
    latest = ":" not in image.rsplit("/", 1)[-1] or image.endswith(":latest")
    out = {**c, "resources": c.get("resources") or {},
           "terminationMessagePath": c.get("terminationMessagePath") or "/dev/termination-log",
           "terminationMessagePolicy": c.get("terminationMessagePolicy") or "File",
           "imagePullPolicy": c.get("imagePullPolicy") or ("Always" if latest and "@" not in image else "IfNotPresent")}
    if c.get("ports"):
        out["ports"] = [{**p, "protocol": p.get("protocol") or "TCP"} for p in c["ports"]]
    return ordered(out, ("name", "image", "command", "args", "ports", "env", "resources", "volumeMounts"))


def pod_spec(spec):
    out = dict(spec)
    for name in ("initContainers", "containers"):
        if spec.get(name):
            out[name] = [container(c) for c in spec[name]]
    out["restartPolicy"] = spec.get("restartPolicy") or "Always"
    out["terminationGracePeriodSeconds"] = spec.get("terminationGracePeriodSeconds", 30)
    out["dnsPolicy"] = spec.get("dnsPolicy") or "ClusterFirst"
    out["securityContext"] = spec.get("securityContext") or {}
    out["schedulerName"] = spec.get("schedulerName") or "default-scheduler"
    return ordered(out, ("volumes", "initContainers", "containers", "restartPolicy", "terminationGracePeriodSeconds",
                         "dnsPolicy", "securityContext", "schedulerName"))


def template(t):
    meta = {"creationTimestamp": None, **(t.get("metadata") or {})}
    meta = {k: v for k, v in meta.items() if k == "creationTimestamp" or v not in ({}, [], "", None)}
    return {"metadata": meta, "spec": pod_spec(t.get("spec") or {})}


def sized_spec(obj, order):
    """spec of a controller: one replica, a defaulted template."""
    spec = dict(obj.get("spec") or {})
    spec["replicas"] = 1 if spec.get("replicas") is None else spec["replicas"]
    if not spec.get("minReadySeconds"):
        spec.pop("minReadySeconds", None)
    if spec.get("template") is not None:
        spec["template"] = template(spec["template"])
    return ordered(spec, order)


def replication_controller(obj):
    """Selector and labels default to the template's labels."""
    spec = sized_spec(obj, ("replicas", "minReadySeconds", "selector", "template"))
    labels = ((spec.get("template") or {}).get("metadata") or {}).get("labels")
    meta = dict(obj["metadata"])
    if labels:
        if not spec.get("selector"):
            spec["selector"] = labels
        if not meta.get("labels"):
            meta["labels"] = labels
    spec = ordered(spec, ("replicas", "minReadySeconds", "selector", "template"))
    return {**obj, "metadata": meta, "spec": spec, "status": {"replicas": 0, **(obj.get("status") or {})}}


def replica_set(obj):
    spec = sized_spec(obj, ("replicas", "minReadySeconds", "selector", "template"))
    return {**obj, "spec": spec, "status": {"replicas": 0, **(obj.get("status") or {})}}


def deployment(obj):
    spec = sized_spec(obj, ())
    strategy = dict(spec.get("strategy") or {})
    strategy["type"] = strategy.get("type") or "RollingUpdate"
    if strategy["type"] == "RollingUpdate":
        rolling = strategy.get("rollingUpdate") or {}
        strategy["rollingUpdate"] = {"maxUnavailable": rolling.get("maxUnavailable", "25%"),
                                     "maxSurge": rolling.get("maxSurge", "25%")}
    spec["strategy"] = strategy
    spec["revisionHistoryLimit"] = spec.get("revisionHistoryLimit", 10)
    spec["progressDeadlineSeconds"] = spec.get("progressDeadlineSeconds", 600)
    if not spec.get("paused"):
        spec.pop("paused", None)
    spec = ordered(spec, ("replicas", "selector", "template", "strategy", "minReadySeconds", "revisionHistoryLimit", "paused",
                          "progressDeadlineSeconds"))
    return {**obj, "spec": spec, "status": obj.get("status") or {}}


def pod(obj):
    spec = pod_spec(obj.get("spec") or {})
    spec["serviceAccountName"] = spec.get("serviceAccountName") or "default"
    spec["serviceAccount"] = spec["serviceAccountName"]
    spec["tolerations"] = spec.get("tolerations") or [
        {"key": f"node.kubernetes.io/{k}", "operator": "Exists", "effect": "NoExecute", "tolerationSeconds": 300}
        for k in ("not-ready", "unreachable")]
    spec.setdefault("priority", 0)
    spec.setdefault("enableServiceLinks", True)
    spec.setdefault("preemptionPolicy", "PreemptLowerPriority")
    spec = ordered(spec, ("volumes", "containers", "restartPolicy", "terminationGracePeriodSeconds", "dnsPolicy",
                          "serviceAccountName", "serviceAccount", "nodeName", "securityContext", "schedulerName",
                          "tolerations", "priority", "enableServiceLinks", "preemptionPolicy"))
    return {**obj, "spec": spec, "status": obj.get("status") or {"phase": "Pending", "qosClass": "BestEffort"}}


def event(obj):
    out = {**obj, "source": obj.get("source") or {}, "firstTimestamp": obj.get("firstTimestamp"),
           "lastTimestamp": obj.get("lastTimestamp"), "eventTime": obj.get("eventTime"),
           "reportingComponent": obj.get("reportingComponent") or "", "reportingInstance": obj.get("reportingInstance") or ""}
    return ordered(out, ("kind", "apiVersion", "metadata", "involvedObject", "reason", "message", "source", "firstTimestamp",
                         "lastTimestamp", "count", "type", "eventTime", "action", "reportingComponent", "reportingInstance"))


def service(obj):
    spec = dict(obj.get("spec") or {})
    spec["ports"] = [{**p, "protocol": p.get("protocol") or "TCP", "targetPort": p.get("targetPort", p.get("port"))}
                     for p in spec.get("ports") or []]
    for name, value in (("sessionAffinity", "None"), ("type", "ClusterIP"), ("ipFamilies", ["IPv4"]),
                        ("ipFamilyPolicy", "SingleStack"), ("internalTrafficPolicy", "Cluster")):
        spec.setdefault(name, value)
    return {**obj, "spec": spec, "status": obj.get("status") or {"loadBalancer": {}}}


def autoscaler(obj):
    spec = dict(obj.get("spec") or {})
    spec.setdefault("minReplicas", 1)
    return {**obj, "spec": spec, "status": obj.get("status") or {"desiredReplicas": 0, "currentMetrics": None}}


def namespace(obj):
    meta = dict(obj["metadata"])
    meta["labels"] = {**(meta.get("labels") or {}), "kubernetes.io/metadata.name": meta["name"]}
    return {**obj, "metadata": meta, "spec": obj.get("spec") or {"finalizers": ["kubernetes"]},
            "status": obj.get("status") or {"phase": "Active"}}


BY_KIND = {"ReplicationController": replication_controller, "ReplicaSet": replica_set, "Deployment": deployment, "Pod": pod,
           "Event": event, "Service": service, "HorizontalPodAutoscaler": autoscaler, "Namespace": namespace,
           "Lease": lambda obj: {**obj, "spec": obj.get("spec") or {}}}


def fill(obj, resource):
    """The object as the server keeps it."""
    return shape(BY_KIND.get(resource.kind, dict)(obj), resource)
