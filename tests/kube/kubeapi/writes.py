"""Writes: create, update, patch and their preconditions, /status and /scale.

SPDX-License-Identifier: Apache-2.0
"""
import random
import uuid

from . import body, convert, defaults, errors, jsonish, managed, patch, schema, selectors, validate, yamlish
from .errors import ApiError, bad_request, invalid
from .request import Answer
from .times import now

SUFFIX = "bcdfghjklmnpqrstvwxz2456789"  # letters of generated names, without vowels
PATCHES = {"application/merge-patch+json": patch.merge, "application/strategic-merge-patch+json": patch.strategic,
           "application/json-patch+json": patch.json_patch}
APPLY = "application/apply-patch+yaml"


def suffix(chance=random):
    return "".join(chance.choice(SUFFIX) for _ in range(5))


def namespace_exists(api, request, resource):
    """Objects are only made in a namespace that exists and is not on its way out."""
    if not resource.namespaced:
        return
    found = api.store.get(("", "namespaces"), None, request.namespace or "")
    if found is None:
        raise ApiError(404, "NotFound", f'namespaces "{request.namespace}" not found',
                       {"name": request.namespace, "kind": "namespaces"})


def same_namespace(obj, request, resource):
    if resource.namespaced and obj["metadata"].get("namespace", request.namespace) != request.namespace:
        raise bad_request("the namespace of the provided object does not match the namespace sent on the request")


def create(api, request):
    resource = request.resource
    obj = convert.from_version(body.read(request, resource), resource)
    same_namespace(obj, request, resource)
    if obj["metadata"].get("resourceVersion"):
        raise ApiError(500, None, "resourceVersion should not be set on objects to be created")
    with api.store.lock:
        namespace_exists(api, request, resource)
        obj = build(api, obj, resource, request.where, request.manager)
        there = api.store.get(resource.key, request.where, obj["metadata"]["name"])
        if there is not None:
            raise errors.already_exists(resource, obj["metadata"]["name"], "deletionTimestamp" in there["metadata"])
        if not request.dry_run:
            obj = api.store.put(resource.key, obj)
    return Answer(201, convert.to_version(obj, resource))


def build(api, obj, resource, namespace, manager):
    """A new object: names, defaults, what the server alone sets, checks. The controllers make theirs here too."""
    meta = {k: v for k, v in obj["metadata"].items()
            if k not in ("uid", "selfLink", "deletionTimestamp", "deletionGracePeriodSeconds", "managedFields")}
    if not meta.get("name") and meta.get("generateName"):
        meta["name"] = meta["generateName"] + suffix(api.chance)
    if resource.namespaced:
        meta["namespace"] = namespace
    meta.update(uid=str(uuid.uuid4()), creationTimestamp=now())
    if resource.generation:
        meta["generation"] = 1
    obj = {**obj, "metadata": meta}
    if "status" in resource.subresources:
        obj.pop("status", None)
    obj = defaults.fill(obj, resource)
    validate.check(obj, resource)
    return managed.record(None, obj, resource, manager, "Update")


def precondition(api, obj, current, resource, request, patching):
    """resourceVersion and uid of a PUT or PATCH against what is stored."""
    meta, name = obj["metadata"], request.name
    version = meta.get("resourceVersion")
    if version and version != current["metadata"]["resourceVersion"]:
        raise errors.conflict(resource, name)
    if not version and not resource.unconditional and not patching and request.subresource != "scale":
        message = "Invalid value: 0x0: must be specified for an update"
        raise invalid(resource.plural, resource.group, name, [("FieldValueInvalid", message, "metadata.resourceVersion")])
    asked = meta.get("uid")
    if asked and asked != current["metadata"]["uid"] and not patching:
        raise errors.uid_conflict(resource, request.where, name, asked, current["metadata"]["uid"])


def update(api, request):
    resource = request.resource
    obj = convert.from_version(body.read(request, resource), resource)
    same_namespace(obj, request, resource)
    if obj["metadata"].get("name", "") != request.name:
        raise bad_request(f"the name of the object ({obj['metadata'].get('name', '')}) does not match the name on the URL "
                          f"({request.name})")
    with api.store.lock:
        current = existing(api, request)
        precondition(api, obj, current, resource, request, False)
        return Answer(body=convert.to_version(replace(api, request, obj, current), resource))


def existing(api, request):
    found = api.store.get(request.resource.key, request.where, request.name)
    if found is None:
        raise errors.not_found(request.resource, request.name)
    return found


def replace(api, request, obj, current, operation="Update"):
    """Stores the new state of an object, if it differs; the last finalizer's removal ends a deleted one."""
    resource, status_only = request.resource, request.subresource == "status"
    meta = {**obj["metadata"]}
    for name in ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "namespace",
                 "resourceVersion", "managedFields", "generateName", "selfLink"):
        meta.pop(name, None)
        if name in current["metadata"]:
            meta[name] = current["metadata"][name]
    meta["uid"] = meta.get("uid") or current["metadata"]["uid"]
    obj = {**obj, "metadata": meta}
    if status_only:
        obj = {**current, "metadata": meta, "status": obj.get("status") or {}}
    elif "status" in resource.subresources:
        obj["status"] = current.get("status") or {}
    obj = defaults.fill(obj, resource)
    validate.check(obj, resource, current)
    if resource.generation and obj.get("spec") != current.get("spec"):
        obj["metadata"]["generation"] = current["metadata"].get("generation", 0) + 1
    if plain(obj) == plain(current):
        return current
    obj = managed.record(current, obj, resource, request.manager, operation, request.subresource)
    if request.dry_run:
        return obj
    if "deletionTimestamp" in obj["metadata"] and not obj["metadata"].get("finalizers"):
        return api.store.remove(resource.key, obj)
    return api.store.put(resource.key, obj)


def plain(obj):
    """The object without what the server itself keeps count of."""
    meta = {k: v for k, v in obj["metadata"].items() if k not in ("managedFields", "resourceVersion")}
    return {**obj, "metadata": meta}


def read_patch(request):
    """The patch in the body, and how to apply it."""
    body.check_size(request)
    media = body.media_type(request)
    if media not in PATCHES:
        raise ApiError(415, "UnsupportedMediaType", "415: Unsupported Media Type", {})
    try:
        request.data = jsonish.loads(request.body.decode("utf-8", "replace"))
    except ValueError as e:
        raise bad_request(f"error decoding patch: {e}") from None
    if not isinstance(request.data, dict) and PATCHES[media] is not patch.json_patch:
        raise bad_request("error decoding patch: json: cannot unmarshal array into Go value of type map[string]interface {}")
    return PATCHES[media]


def patched(request, current, kind, group, apply):
    """The object after the patch, read as a body is. What it does not fit is 422 with the whole of it, as in real life."""
    obj = apply(current, request.data)
    try:
        obj, said = schema.read(obj, kind, group)
    except ApiError as e:
        shown = jsonish.dumps(obj)
        why = e.message.split("cannot be handled as a " + kind + ": ", 1)[-1]
        message = f"Invalid value: {validate.quoted(shown)}: {why}"
        raise ApiError(422, "Invalid", f' "" is invalid: patch: {message}', {
            "causes": [{"reason": "FieldValueInvalid", "message": message, "field": "patch"}]}) from None
    body.strictness(request, said, kind, obj.get("apiVersion", "v1"))
    return obj


def patch_object(api, request):
    resource = request.resource
    if body.media_type(request) == APPLY:
        return apply_patch(api, request)
    apply = read_patch(request)
    with api.store.lock:
        current = existing(api, request)
        shown = convert.to_version(current, resource)
        obj = convert.from_version(patched(request, shown, resource.kind, resource.group, apply), resource)
        precondition(api, obj, current, resource, request, True)
        return Answer(body=convert.to_version(replace(api, request, obj, current), resource))


def apply_patch(api, request):
    """Server-side apply: a merge that minds who owns which field."""
    resource = request.resource
    if not request.query.get("fieldManager"):
        raise invalid("PatchOptions", "meta.k8s.io", "", [("FieldValueRequired", "Required value: is required for apply patch",
                                                           "fieldManager")])
    try:
        wanted = request.data = yamlish.load(request.body.decode())
    except ValueError as e:
        raise bad_request(f"error decoding YAML: {e}") from None
    with api.store.lock:
        current = api.store.get(resource.key, request.where, request.name)
        if current is None:
            wanted["metadata"] = {**wanted.get("metadata", {}), "name": request.name}
            namespace_exists(api, request, resource)
            obj = build(api, wanted, resource, request.where, request.manager)
            return Answer(201, obj if request.dry_run else api.store.put(resource.key, obj))
        obj = managed.applied(current, wanted, request)
        return Answer(body=replace(api, request, obj, current, "Apply"))


def scale_of(obj):
    """The Scale of a sized object: its replicas are left out when they are 0, as the real server does it."""
    meta = {k: obj["metadata"][k] for k in ("name", "namespace", "uid", "resourceVersion", "creationTimestamp")
            if k in obj["metadata"]}
    replicas = obj["spec"].get("replicas", 0)
    return {"kind": "Scale", "apiVersion": "autoscaling/v1", "metadata": meta,
            "spec": {"replicas": replicas} if replicas else {},
            "status": {"replicas": (obj.get("status") or {}).get("replicas", 0),
                       "selector": selectors.text_of(obj["spec"].get("selector"))}}


def get_scale(api, request):
    obj = api.store.get(request.resource.key, request.where, request.name)
    if obj is None:
        raise errors.scale_not_found(request.resource, request.name)
    return Answer(body=scale_of(obj))


def put_scale(api, request):
    scale = body.read(request, request.resource, "Scale", "autoscaling/v1")
    with api.store.lock:
        return resize(api, request, scale, existing(api, request), False)


def patch_scale(api, request):
    apply = read_patch(request)
    with api.store.lock:
        current = existing(api, request)
        return resize(api, request, patched(request, scale_of(current), "Scale", "autoscaling", apply), current, True)


def resize(api, request, scale, current, patching):
    name = scale["metadata"].get("name")
    if name and name != request.name:
        raise bad_request(f"the name of the object ({name}) does not match the name on the URL ({request.name})")
    validate.check_scale(scale, request.name)
    precondition(api, scale, current, request.resource, request, patching)
    spec = {**current["spec"], "replicas": (scale.get("spec") or {}).get("replicas", 0)}
    obj = replace(api, request, {**current, "spec": spec}, current)
    return Answer(body=scale_of(obj))
