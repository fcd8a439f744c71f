"""Label and field selectors: parsing with the real server's complaints, matching, and the text form of a Scale.

SPDX-License-Identifier: Apache-2.0
"""
import re

from .errors import bad_request

TOKEN = re.compile(r"\s*(==|!=|=|!|,|\(|\)|[^\s=!,()]+)")
WORD = re.compile(r"[^\s=!,()]+$")


def tokens(text):
    out, at = [], 0
    while at < len(text.rstrip()):
        m = TOKEN.match(text, at)
        out.append(m[1])
        at = m.end()
    return out + [""]


def parse_labels(text):
    """Requirements of a label selector: (key, operator, values) with operators in, notin, exists, absent."""
    parts, at, out = tokens(text), 0, []

    def word(expected="identifier"):
        nonlocal at
        if not WORD.match(parts[at]):
            raise bad_request(f"unable to parse requirement: found '{parts[at]}', expected: {expected}")
        at += 1
        return parts[at - 1]

    while parts[at]:
        if parts[at] == "!":
            at += 1
            out.append((word(), "absent", ()))
        else:
            key, mark = word(), parts[at]
            if mark in ("", ","):
                out.append((key, "exists", ()))
            elif mark in ("=", "==", "!="):
                at += 1
                value = word() if parts[at] not in ("", ",") else ""
                out.append((key, "notin" if mark == "!=" else "in", (value,)))
            elif mark in ("in", "notin"):
                at += 1
                out.append((key, mark, values(parts, at)))
                at = parts.index(")", at) + 1
            else:
                raise bad_request(f"unable to parse requirement: found '{mark}', expected: in, notin, =, ==, !=, gt, lt")
        if parts[at] == ",":
            at += 1
        elif parts[at]:
            raise bad_request(f"found '{parts[at]}', expected: ',' or 'end of string'")
    return out


def values(parts, at):
    """The values between brackets, which begin at a token."""
    if parts[at] != "(" or ")" not in parts[at:]:
        raise bad_request(f"unable to parse requirement: found '{parts[at]}', expected: '('")
    return tuple(p for p in parts[at + 1:parts.index(")", at)] if p != ",")


def labels_match(requirements, labels):
    labels = labels or {}
    for key, operator, wanted in requirements:
        has = key in labels
        if operator == "in" and not (has and labels[key] in wanted) or operator == "notin" and has and labels[key] in wanted \
                or operator == "exists" and not has or operator == "absent" and has:
            return False
    return True


def of_spec(selector):
    """Requirements of a spec.selector: a map (ReplicationController), or matchLabels and matchExpressions."""
    selector = selector or {}
    if not any(k in selector and not isinstance(selector[k], str) for k in ("matchLabels", "matchExpressions")):
        return [(k, "in", (v,)) for k, v in sorted(selector.items())]
    out = [(k, "in", (v,)) for k, v in sorted((selector.get("matchLabels") or {}).items())]
    names = {"In": "in", "NotIn": "notin", "Exists": "exists", "DoesNotExist": "absent"}
    return out + [(e["key"], names[e["operator"]], tuple(e.get("values") or ())) for e in selector.get("matchExpressions") or ()]


def text_of(selector):
    """As status.selector of a Scale has it: app=my-web,version=v1."""
    words = {"exists": "{0}", "absent": "!{0}", "notin": "{0} notin ({1})"}
    out = []
    for key, operator, wanted in of_spec(selector):
        form = words.get(operator, "{0}={1}" if len(wanted) == 1 else "{0} in ({1})")
        out.append(form.format(key, ",".join(sorted(wanted))))
    return ",".join(out)


FIELDS = {
    ("", "replicationcontrollers"): {"status.replicas"},
    ("", "pods"): {"spec.nodeName", "spec.restartPolicy", "spec.schedulerName", "spec.serviceAccountName", "status.phase",
                   "status.podIP", "status.nominatedNodeName"},
    ("", "events"): {"involvedObject.kind", "involvedObject.namespace", "involvedObject.name", "involvedObject.uid",
                     "involvedObject.apiVersion", "involvedObject.resourceVersion", "involvedObject.fieldPath", "reason",
                     "reportingComponent", "source", "type"},
    ("apps", "replicasets"): {"status.replicas"},
    ("", "namespaces"): {"status.phase"},
    ("", "secrets"): {"type"},
}


def parse_fields(text, key):
    """Requirements of a field selector: (path, is equal, value)."""
    out = []
    for part in filter(None, text.split(",")):
        m = re.match(r"([^=!]+)(==|!=|=)(.*)$", part)
        if not m:
            raise bad_request(f"invalid selector: '{part}'; can't understand '{part}'")
        if m[1] not in {"metadata.name", "metadata.namespace"} | FIELDS.get(key, set()):
            raise bad_request(f"field label not supported: {m[1]}")
        out.append((m[1], m[2] != "!=", m[3]))
    return out


def fields_match(requirements, obj):
    for path, equal, wanted in requirements:
        value = obj
        for step in path.split("."):
            value = (value or {}).get(step) if isinstance(value, dict) else None
        if path == "source" and isinstance(value, dict):
            value = value.get("component")
        if (str("" if value is None else value) == wanted) != equal:
            return False
    return True
