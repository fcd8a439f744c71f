"""The known fields of the kinds: unknown ones are dropped with a warning (or refused), wrong types are refused.

SPDX-License-Identifier: Apache-2.0

A schema is a dict of fields, a list of one schema, or a leaf: a type's name, or None for "anything goes". Structures
that no test writes are None.
"""
import re
from datetime import datetime, timezone

from .errors import bad_request

LABELS = "labels"           # map[string]string
OWNERS = [{"apiVersion": "string", "kind": "string", "name": "string", "uid": "string", "controller": "bool",
           "blockOwnerDeletion": "bool"}]
META = {"name": "string", "generateName": "string", "namespace": "string", "selfLink": "string", "uid": "string",
        "resourceVersion": "string", "generation": "int64", "creationTimestamp": "time", "deletionTimestamp": "time",
        "deletionGracePeriodSeconds": "int64", "labels": LABELS, "annotations": LABELS, "ownerReferences": OWNERS,
        "finalizers": ["string"], "managedFields": None}
CONTAINER = {"name": "string", "image": "string", "command": ["string"], "args": ["string"], "workingDir": "string",
             "ports": [{"name": "string", "hostPort": "int32", "containerPort": "int32", "protocol": "string",
                        "hostIP": "string"}],
             "envFrom": None, "env": None, "resources": None, "volumeMounts": None, "volumeDevices": None,
             "livenessProbe": None, "readinessProbe": None, "startupProbe": None, "lifecycle": None,
             "terminationMessagePath": "string", "terminationMessagePolicy": "string", "imagePullPolicy": "string",
             "securityContext": None, "stdin": "bool", "stdinOnce": "bool", "tty": "bool"}
POD_SPEC = {"volumes": None, "initContainers": [CONTAINER], "containers": [CONTAINER], "ephemeralContainers": None,
            "restartPolicy": "string", "terminationGracePeriodSeconds": "int64", "activeDeadlineSeconds": "int64",
            "dnsPolicy": "string", "nodeSelector": LABELS, "serviceAccountName": "string", "serviceAccount": "string",
            "automountServiceAccountToken": "bool", "nodeName": "string", "hostNetwork": "bool", "hostPID": "bool",
            "hostIPC": "bool", "shareProcessNamespace": "bool", "securityContext": None, "imagePullSecrets": None,
            "hostname": "string", "subdomain": "string", "affinity": None, "schedulerName": "string", "tolerations": None,
            "hostAliases": None, "priorityClassName": "string", "priority": "int32", "dnsConfig": None,
            "readinessGates": None, "runtimeClassName": "string", "enableServiceLinks": "bool",
            "preemptionPolicy": "string", "overhead": None, "topologySpreadConstraints": None,
            "setHostnameAsFQDN": "bool", "os": None, "hostUsers": "bool", "schedulingGates": None, "resourceClaims": None}
TEMPLATE = {"metadata": META, "spec": POD_SPEC}
SELECTOR = {"matchLabels": LABELS, "matchExpressions": None}
REFERENCE = {"kind": "string", "namespace": "string", "name": "string", "uid": "string", "apiVersion": "string",
             "resourceVersion": "string", "fieldPath": "string"}
KINDS = {
    "ReplicationController": {"spec": {"replicas": "int32", "minReadySeconds": "int32", "selector": LABELS,
                                       "template": TEMPLATE}, "status": None},
    "ReplicaSet": {"spec": {"replicas": "int32", "minReadySeconds": "int32", "selector": SELECTOR, "template": TEMPLATE},
                   "status": None},
    "Deployment": {"spec": {"replicas": "int32", "selector": SELECTOR, "template": TEMPLATE, "strategy": None,
                            "minReadySeconds": "int32", "revisionHistoryLimit": "int32", "paused": "bool",
                            "progressDeadlineSeconds": "int32"}, "status": None},
    "Pod": {"spec": POD_SPEC, "status": None},
    "Lease": {"spec": {"holderIdentity": "string", "leaseDurationSeconds": "int32", "acquireTime": "microtime",
                       "renewTime": "microtime", "leaseTransitions": "int32"}},
    "ServiceAccount": {"secrets": None, "imagePullSecrets": None, "automountServiceAccountToken": "bool"},
    "Role": {"rules": [{"apiGroups": ["string"], "resources": ["string"], "resourceNames": ["string"], "verbs": ["string"],
                        "nonResourceURLs": ["string"]}]},
    "RoleBinding": {"subjects": [{"kind": "string", "apiGroup": "string", "name": "string", "namespace": "string"}],
                    "roleRef": {"kind": "string", "apiGroup": "string", "name": "string"}},
    "PodDisruptionBudget": {"spec": {"minAvailable": None, "maxUnavailable": None, "selector": SELECTOR,
                                     "unhealthyPodEvictionPolicy": "string"}, "status": None},
    "ConfigMap": {"data": LABELS, "binaryData": LABELS, "immutable": "bool"},
    "Scale": {"spec": {"replicas": "int32"}, "status": None},
    "Event": {"involvedObject": REFERENCE, "reason": "string", "message": "string", "source": None, "firstTimestamp": "time",
              "lastTimestamp": "time", "count": "int32", "type": "string", "eventTime": "microtime", "series": None,
              "action": "string", "related": REFERENCE, "reportingComponent": "string", "reportingInstance": "string"},
    "events.k8s.io/Event": {"regarding": REFERENCE, "reason": "string", "note": "string", "type": "string",
                            "eventTime": "microtime", "series": None, "action": "string", "related": REFERENCE,
                            "reportingController": "string", "reportingInstance": "string", "deprecatedSource": None,
                            "deprecatedFirstTimestamp": "time", "deprecatedLastTimestamp": "time",
                            "deprecatedCount": "int32"},
}
STRUCTS = {"spec": "Spec", "metadata": "ObjectMeta"}
MICRO = "2006-01-02T15:04:05.000000Z07:00"
SECOND = "2006-01-02T15:04:05Z07:00"


class Findings:
    """What a look at an object found: unknown and duplicate fields (warnings, or one refusal)."""

    def __init__(self):
        self.said = []

    def add(self, what, path):
        line = f'{what} field "{path}"'
        if line not in self.said:
            self.said.append(line)


def read(obj, kind, group):
    """The object with unknown fields dropped and times made uniform, and the findings. Wrong types raise 400."""
    known = KINDS.get(f"{group}/{kind}") or KINDS.get(kind)
    found = Findings()
    schema = {"apiVersion": "string", "kind": "string", "metadata": META, **(known or {})}
    try:
        out = walk(obj, schema if known else {**{k: None for k in obj}, "metadata": META}, "", found, kind)
    except TypeError as e:
        raise bad_request(f'{kind} in version "{obj.get("apiVersion", "v1").split("/")[-1]}" cannot be handled as a {kind}: '
                          f"{e}") from None
    return out, found.said


def walk(value, schema, path, found, kind):
    if schema is None or value is None:
        return value
    if isinstance(schema, str):
        return leaf(value, schema, path, kind)
    if isinstance(schema, list):
        if not isinstance(value, list):
            raise TypeError(unmarshal(value, path, kind, "[]"))
        return [walk(v, schema[0], f"{path}[{n}]", found, kind) for n, v in enumerate(value)]
    if not isinstance(value, dict):
        raise TypeError(unmarshal(value, path, kind, "struct"))
    for key in getattr(value, "twice", ()):
        found.add("duplicate", f"{path}.{key}".lstrip("."))
    out = {}
    for key, inner in value.items():
        where = f"{path}.{key}".lstrip(".")
        if key not in schema:
            found.add("unknown", where)
        elif inner is not None or schema[key] == "time":
            out[key] = walk(inner, schema[key], where, found, kind)
    return out


def leaf(value, kind_of, path, kind):
    if kind_of == LABELS:
        if not isinstance(value, dict):
            raise TypeError(unmarshal(value, path, kind, "map[string]string"))
        for v in value.values():
            if not isinstance(v, str) and v is not None:
                raise TypeError(unmarshal(v, path, kind, "string"))
        return {k: v or "" for k, v in sorted(value.items())}
    if kind_of in ("time", "microtime"):
        if not isinstance(value, str):
            raise TypeError(unmarshal(value, path, kind, "string"))
        return micro(value) if kind_of == "microtime" else second(value)
    right = {"string": str, "bool": bool}.get(kind_of, int)
    if not isinstance(value, right) or isinstance(value, bool) != (right is bool):
        raise TypeError(unmarshal(value, path, kind, kind_of))
    if right is int and not -2 ** (31 if kind_of == "int32" else 63) <= value < 2 ** (31 if kind_of == "int32" else 63):
        raise TypeError(unmarshal(value, path, kind, kind_of, f"number {value}"))
    return value


def unmarshal(value, path, kind, wanted, what=None):
    """The complaint of Go's decoder."""
    names = {str: "string", bool: "bool", int: "number", float: "number", list: "array"}
    what = what or names.get(type(value), "object")
    plain = re.sub(r"\[\d+\]", "", path)
    outer = plain.split(".")[-2] if "." in plain else ""
    struct = "ObjectMeta" if outer == "metadata" or plain.endswith(("labels", "annotations")) and "metadata" in plain else \
        kind + "Spec" if outer == "spec" else kind
    return f"json: cannot unmarshal {what} into Go struct field {struct}.{plain} of type {wanted}"


def bad_time(value, rest, wanted, layout):
    return TypeError(f'parsing time "{value}" as "{layout}": cannot parse "{rest}" as "{wanted}"')


def date_part(value, layout):
    """What follows the seconds of a time; the complaint names where reading stopped."""
    at = 0
    for pattern, wanted in ((r"\d{4}", "2006"), ("-", "-"), (r"\d\d", "01"), ("-", "-"), (r"\d\d", "02"), ("T", "T"),
                            (r"\d\d", "15"), (":", ":"), (r"\d\d", "04"), (":", ":"), (r"\d\d", "05")):
        m = re.compile(pattern).match(value, at)
        if not m:
            raise bad_time(value, value[at:], wanted, layout)
        at = m.end()
    return value[at:]


def zone(value, rest, layout):
    if not re.fullmatch(r"Z|[+-]\d\d:\d\d", rest):
        raise bad_time(value, rest, "Z07:00", layout)
    return datetime.fromisoformat(value.replace("Z", "+00:00")).astimezone(timezone.utc)


def micro(value):
    """A MicroTime has exactly six digits of fraction; it comes back in UTC."""
    rest = date_part(value, MICRO)
    m = re.match(r"\.\d{6}", rest)
    if not m:
        raise bad_time(value, rest, ".000000", MICRO)
    return zone(value, rest[7:], MICRO).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def second(value):
    """A Time may have a fraction, which is dropped."""
    rest = re.sub(r"^\.\d+", "", date_part(value, SECOND))
    return zone(value, rest, SECOND).strftime("%Y-%m-%dT%H:%M:%SZ")
