"""The three kinds of patches: JSON merge patch (RFC 7386), JSON patch (RFC 6902), and strategic merge of Kubernetes.

SPDX-License-Identifier: Apache-2.0
"""
import copy

from .errors import bad_request, rejected

# Lists that a strategic merge patch merges by a key; all others it replaces.
MERGE_KEYS = {"containers": "name", "initContainers": "name", "env": "name", "volumes": "name", "volumeMounts": "mountPath",
              "ownerReferences": "uid", "conditions": "type", "imagePullSecrets": "name", "tolerations": "key",
              "hostAliases": "ip", "podIPs": "ip"}
PORT_KEYS = ("containerPort", "port")   # ports of a container, ports of a service
SETS = {"finalizers"}                   # lists of plain values that merge as sets


def merge(target, patch):
    """RFC 7386: null removes, maps merge, everything else replaces."""
    if not isinstance(patch, dict):
        return patch
    out = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            out.pop(key, None)
        else:
            out[key] = merge(out.get(key), value)
    return out


def merge_key(name, items):
    if name == "ports":
        return next((k for k in PORT_KEYS if any(isinstance(i, dict) and k in i for i in items)), None)
    return MERGE_KEYS.get(name)


def strategic(target, patch):
    """Merges maps, and the lists that have a merge key; understands $patch, $deleteFromPrimitiveList, $retainKeys."""
    if patch.get("$patch") == "replace":
        return {k: v for k, v in patch.items() if k != "$patch"}
    if patch.get("$patch") == "delete":
        return {}
    out = dict(target) if isinstance(target, dict) else {}
    if "$retainKeys" in patch:
        out = {k: v for k, v in out.items() if k in patch["$retainKeys"]}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.split("/", 1)[1]
            out[name] = [v for v in out.get(name) or [] if v not in value]
        elif key.startswith("$"):
            continue
        elif value is None:
            out.pop(key, None)
        elif isinstance(value, dict):
            out[key] = strategic(out.get(key), value)
        elif isinstance(value, list):
            out[key] = strategic_list(key, out.get(key) or [], value)
        else:
            out[key] = value
    return out


def strategic_list(name, target, patch):
    key = merge_key(name, list(target) + patch)
    if key is None:
        return target + [v for v in patch if v not in target] if name in SETS else patch
    if any(isinstance(i, dict) and i.get("$patch") == "replace" for i in patch):
        return [i for i in patch if "$patch" not in i]
    out = list(target)
    for item in patch:
        if not isinstance(item, dict) or key not in item:
            raise bad_request(f"map: map[] does not contain declared merge key: {key}")
        at = next((n for n, old in enumerate(out) if old.get(key) == item[key]), None)
        if item.get("$patch") == "delete":
            if at is not None:
                del out[at]
        elif at is None:
            out.append({k: v for k, v in item.items() if not k.startswith("$")})
        else:
            out[at] = strategic(out[at], item)
    return out


def json_patch(target, operations):
    """RFC 6902; whatever goes wrong, a failing test as well, is a 422 without a word."""
    if not isinstance(operations, list):
        raise bad_request("error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch")
    doc = copy.deepcopy(target)
    try:
        for op in operations:
            doc = one(doc, op)
    except (KeyError, IndexError, ValueError, TypeError, AttributeError):
        raise rejected() from None
    return doc


def steps(pointer):
    if pointer and not pointer.startswith("/"):
        raise ValueError(pointer)
    return [s.replace("~1", "/").replace("~0", "~") for s in pointer.split("/")[1:]]


def look(doc, path):
    for step in path:
        doc = doc[int(step)] if isinstance(doc, list) else doc[step]
    return doc


def one(doc, op):
    """Applies one operation; raises what look-ups raise."""
    kind, path = op["op"], steps(op["path"])
    if kind == "test":
        if look(doc, path) != op.get("value"):
            raise ValueError("test")
        return doc
    if kind in ("move", "copy"):
        source = steps(op["from"])
        value = copy.deepcopy(look(doc, source))
        if kind == "move":
            doc = one(doc, {"op": "remove", "path": op["from"]})
        return one(doc, {"op": "add", "path": op["path"], "value": value})
    if kind not in ("add", "remove", "replace"):
        raise ValueError(kind)
    if not path:
        return op["value"]
    parent, last = look(doc, path[:-1]), path[-1]
    if isinstance(parent, list):
        at = len(parent) if last == "-" else int(last)
        if kind == "add":
            if at > len(parent):
                raise IndexError(at)
            parent.insert(at, op["value"])
        elif kind == "replace":
            parent[at] = op["value"]
        else:
            del parent[at]
    else:
        if kind != "add" and last not in parent:
            raise KeyError(last)
        if kind == "remove":
            del parent[last]
        else:
            parent[last] = op["value"]
    return doc
