"""What the API server refuses with 422, in the words of the recorded answers.

SPDX-License-Identifier: Apache-2.0
"""
import json
import re

from . import selectors
from .errors import invalid

SUBDOMAIN = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*"
LABEL = r"[a-z0-9]([-a-z0-9]*[a-z0-9])?"
SUBDOMAIN_SAID = ("a lowercase RFC 1123 subdomain must consist of lower case alphanumeric characters, '-' or '.', and must "
                  f"start and end with an alphanumeric character (e.g. 'example.com', regex used for validation is '{SUBDOMAIN}')")
LABEL_SAID = ("a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end "
              f"with an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is '{LABEL}')")
NEGATIVE = "must be greater than or equal to 0"
MISMATCH = "`selector` does not match template `labels`"
ANNOTATIONS_BYTES = 262144  # all annotations of an object together
REQUIRED = ("FieldValueRequired", "Required value")


def value(shown, why, field):
    return "FieldValueInvalid", f"Invalid value: {shown}: {why}", field


def quoted(text):
    return json.dumps(text, ensure_ascii=False)


def go_map(labels):
    return "map[string]string{" + ", ".join(f'{quoted(k)}:{quoted(v)}' for k, v in sorted((labels or {}).items())) + "}"


def go_selector(selector):
    """A LabelSelector as Go prints it with %#v."""
    labels = selector.get("matchLabels")
    shown = go_map(labels) if labels else "map[string]string(nil)"
    return f"v1.LabelSelector{{MatchLabels:{shown}, MatchExpressions:[]v1.LabelSelectorRequirement(nil)}}"


def metadata(meta):
    out = []
    name, prefix = meta.get("name"), meta.get("generateName")
    if not name and not prefix:
        out.append(("FieldValueRequired", "Required value: name or generateName is required", "metadata.name"))
    elif not re.fullmatch(SUBDOMAIN, name or ""):
        out.append(value(quoted(name), SUBDOMAIN_SAID, "metadata.name"))
    elif len(name) > 253:
        out.append(value(quoted(name), "must be no more than 253 characters", "metadata.name"))
    if sum(len(k) + len(v) for k, v in (meta.get("annotations") or {}).items()) > ANNOTATIONS_BYTES:
        out.append(("FieldValueTooLong", f"Too long: must have at most {ANNOTATIONS_BYTES} bytes", "metadata.annotations"))
    return out


def containers(spec, path):
    out, seen = [], set()
    if not spec.get("containers"):
        return [(*REQUIRED, f"{path}.containers")]
    for n, c in enumerate(spec["containers"]):
        at, name = f"{path}.containers[{n}]", c.get("name")
        if not name:
            out.append((*REQUIRED, f"{at}.name"))
        elif not re.fullmatch(LABEL, name):
            out.append(value(quoted(name), LABEL_SAID, f"{at}.name"))
        elif name in seen:
            out.append(("FieldValueDuplicate", f"Duplicate value: {quoted(name)}", f"{at}.name"))
        seen.add(name)
        if not c.get("image"):
            out.append((*REQUIRED, f"{at}.image"))
        for i, port in enumerate(c.get("ports") or []):
            if not 1 <= port.get("containerPort", 0) <= 65535:
                out.append(value(port.get("containerPort", 0), "must be between 1 and 65535, inclusive",
                                 f"{at}.ports[{i}].containerPort"))
    return out


def sized(obj, group):
    """spec of ReplicationController, ReplicaSet and Deployment."""
    spec, out = obj["spec"], []
    for name in ("replicas", "minReadySeconds"):
        if spec.get(name, 0) < 0:
            out.append(value(spec[name], NEGATIVE, f"spec.{name}"))
    selector = spec.get("selector") or {}
    wanted = selectors.of_spec(selector)
    if not wanted:
        out.append((*REQUIRED, "spec.selector"))
    if spec.get("template") is None:
        return out + [(*REQUIRED, "spec.template")]
    labels = spec["template"]["metadata"].get("labels")
    if wanted and not selectors.labels_match(wanted, labels):
        out.append(value(go_map(labels), MISMATCH, "spec.template.metadata.labels"))
    return out + containers(spec["template"]["spec"], "spec.template.spec")


def lease(spec):
    out = []
    for name, least, why in (("leaseDurationSeconds", 1, "must be greater than 0"), ("leaseTransitions", 0, NEGATIVE)):
        if spec.get(name, least) < least:
            out.append(value(spec[name], why, f"spec.{name}"))
    return out


def event(obj, resource):
    where = obj.get("involvedObject") or {}
    if where.get("namespace", "") != obj["metadata"].get("namespace"):
        if where.get("namespace") or obj["metadata"].get("namespace") != "default":
            return [value(quoted(where.get("namespace", "")), "does not match event.namespace", "involvedObject.namespace")]
    out = []
    if resource.group == "events.k8s.io":
        prefix = obj["metadata"].get("generateName")
        if prefix and not re.fullmatch(SUBDOMAIN, re.sub("-$", "a", prefix)):
            out.append(value(quoted(prefix), SUBDOMAIN_SAID, "metadata.generateName"))
        if not obj.get("eventTime"):
            return out + [(*REQUIRED, "eventTime")]
        if not obj.get("reportingComponent"):
            out.append((*REQUIRED, "reportingController"))
        if not obj.get("reportingInstance"):
            out.append((*REQUIRED, "reportingInstance"))
        for name in ("action", "reason"):
            if not obj.get(name):
                out.append((*REQUIRED, name))
    return out


def changes(obj, before):
    """What an update may not touch."""
    out = []
    for name in ("uid", "creationTimestamp", "namespace", "name"):
        new, old = obj["metadata"].get(name), before["metadata"].get(name)
        if new and new != old:
            out += [value(quoted(new), "field is immutable", f"metadata.{name}")] * (2 if name == "uid" else 1)
    if obj["apiVersion"].startswith("apps/") and obj["spec"].get("selector") != before["spec"].get("selector"):
        out.append(value(go_selector(obj["spec"]["selector"]), "field is immutable", "spec.selector"))
    return out


def check(obj, resource, before=None):
    """Raises 422 with all that is wrong with a defaulted object."""
    causes = metadata(obj["metadata"])
    if before:
        causes = changes(obj, before)[:0 if resource.group == "apps" else None] + causes
    if resource.kind in ("ReplicationController", "ReplicaSet", "Deployment"):
        causes += sized(obj, resource.group) * (2 if before and resource.kind == "ReplicationController" else 1)  # really
    elif resource.kind == "Pod":
        causes += containers(obj["spec"], "spec")
    elif resource.kind == "Lease":
        causes += lease(obj["spec"])
    elif resource.kind == "Event":
        causes += event(obj, resource)
    if before and resource.group == "apps":
        causes += changes(obj, before)
    if causes:
        raise invalid(resource.kind, "" if resource.key[1] == "events" else resource.group, obj["metadata"].get("name", ""),
                      causes)


def check_scale(scale, name):
    replicas = (scale.get("spec") or {}).get("replicas", 0)
    if replicas < 0:
        raise invalid("Scale", "autoscaling", name, [value(replicas, NEGATIVE, "spec.replicas")])
