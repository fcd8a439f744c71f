"""managedFields: who owns which field of an object; server-side apply asks it for conflicts.

SPDX-License-Identifier: Apache-2.0

A path is a tuple of steps "f:name" and, in lists with keys, 'k:{"name":"x"}'; "." stands for the thing itself.
"""
import json

from .errors import ApiError
from .patch import strategic
from .times import now

SERVERS = {"name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "deletionTimestamp",
           "deletionGracePeriodSeconds", "managedFields", "generateName", "selfLink"}
KEYS = {"containers": ("name",), "initContainers": ("name",), "ports": ("containerPort", "port", "protocol"),
        "conditions": ("type",), "env": ("name",), "volumes": ("name",), "volumeMounts": ("mountPath",),
        "ownerReferences": ("uid",), "podIPs": ("ip",)}
ATOMIC = {"selector"}   # owned as a whole


def leaves(value, path=(), name=""):
    """path -> value of everything in an object that can have an owner."""
    if isinstance(value, dict) and value and name not in ATOMIC:
        out = {} if len(path) < 2 else {path + (".",): None}
        for key, inner in value.items():
            if not (path == ("f:metadata",) and key in SERVERS or not path and key in ("kind", "apiVersion", "metadata")):
                out.update(leaves(inner, path + (f"f:{key}",), key))
        if not path:
            out.update(leaves(value.get("metadata") or {}, ("f:metadata",)))
        return out
    if isinstance(value, list) and name in KEYS and all(isinstance(v, dict) for v in value):
        out = {path + (".",): None}
        for item in value:
            key = {k: item[k] for k in sorted(KEYS[name]) if k in item}
            out.update(leaves(item, path + ("k:" + json.dumps(key, separators=(",", ":")),)))
        return out
    return {path: value}


def tree(paths):
    """fieldsV1 of some paths."""
    out = {}
    for path in sorted(paths):
        at = out
        for step in path:
            at = at.setdefault(step, {})
    return out


def paths(fields, before=()):
    out = set()
    for step, inner in (fields or {}).items():
        out |= paths(inner, before + (step,)) if inner else {before + (step,)}
    return out


def record(before, obj, resource, manager, operation, subresource=None):
    """The object with its managedFields moved on: what changed belongs to the manager now."""
    old, new = leaves(before) if before else {}, leaves(obj)
    moved = {p for p, v in new.items() if p not in old or old[p] != v}
    if operation == "Update" and subresource != "status":
        moved = {p for p in moved if p[0] != "f:status"}
    entries, mine = [], None
    for entry in (before or {}).get("metadata", {}).get("managedFields") or []:
        same = (entry["manager"], entry["operation"], entry.get("subresource")) == (manager, operation, subresource)
        owned = paths(entry.get("fieldsV1")) & set(new)
        if same:
            mine, owned = entry, owned | moved
        else:
            owned -= {p for p in moved if p[-1] != "."}
        if owned:
            entries.append({**entry, "time": now() if same and moved else entry["time"], "fieldsV1": tree(owned)})
    if mine is None and moved:
        entries.append({"manager": manager, "operation": operation, "apiVersion": resource.api_version, "time": now(),
                        "fieldsType": "FieldsV1", "fieldsV1": tree(moved),
                        **({"subresource": subresource} if subresource else {})})
    meta = {k: v for k, v in obj["metadata"].items() if k != "managedFields"}
    return {**obj, "metadata": {**meta, "managedFields": entries}}


def applied(current, wanted, request):
    """The object after an apply; 409 where somebody else owns a field that would change."""
    theirs, have = leaves({k: v for k, v in wanted.items()}), leaves(current)
    clashes = []
    for entry in current["metadata"].get("managedFields") or []:
        if (entry["manager"], entry["operation"]) == (request.manager, "Apply"):
            continue
        for path in sorted(paths(entry.get("fieldsV1"))):
            if path in theirs and path[-1] != "." and path in have and have[path] != theirs[path]:
                clashes.append((entry, "".join("." + s[2:] if s[0] == "f" else f"[{s[2:]}]" for s in path)))
    if clashes and request.query.get("force") != "true":
        causes = [{"reason": "FieldManagerConflict",
                   "message": f'conflict with "{e["manager"]}" using {e["apiVersion"]}', "field": f} for e, f in clashes]
        many = "conflict" if len(causes) == 1 else "conflicts"
        said = f"{causes[0]['message']}: {clashes[0][1]}" if len(causes) == 1 else \
            "conflicts " + ", ".join(f"{c['message'][9:]}:\n- {f}" for c, (_, f) in zip(causes, clashes))
        raise ApiError(409, "Conflict", f"Apply failed with {len(causes)} {many}: {said}", {"causes": causes})
    return strategic(current, {k: v for k, v in wanted.items() if k not in ("kind", "apiVersion")})
