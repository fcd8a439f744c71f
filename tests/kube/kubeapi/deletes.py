"""Deletes: propagation policies, finalizers, preconditions, graceful ends of pods, collections.

SPDX-License-Identifier: Apache-2.0
"""
from . import convert, errors, jsonish, kinds, lists
from .errors import bad_request, invalid
from .request import Answer
from .store import changed
from .times import now

POLICIES = ("Foreground", "Background", "Orphan")


def options_of(request):
    """DeleteOptions of the body and the query; 422 where the policy is none."""
    data = {}
    if request.body:
        try:
            data = request.data = jsonish.loads(request.body.decode("utf-8", "replace"))
        except ValueError as e:
            raise bad_request(f"couldn't get version/kind; json parse error: {e}") from None
    out = {"policy": data.get("propagationPolicy") or request.query.get("propagationPolicy"),
           "preconditions": data.get("preconditions") or {}, "grace": data.get("gracePeriodSeconds")}
    if out["grace"] is None and request.query.get("gracePeriodSeconds", "").isdigit():
        out["grace"] = int(request.query["gracePeriodSeconds"])
    if data.get("orphanDependents") is not None and not out["policy"]:
        out["policy"] = "Orphan" if data["orphanDependents"] else "Background"
    if data.get("dryRun"):
        request.query["dryRun"] = "All"
    if out["policy"] and out["policy"] not in POLICIES:
        raise invalid("DeleteOptions", "meta.k8s.io", "", [(
            "FieldValueNotSupported", f'Unsupported value: "{out["policy"]}": supported values: "Foreground", "Background", '
            '"Orphan", "nil"', "propagationPolicy")])
    return out


def check_preconditions(resource, obj, wanted):
    meta = obj["metadata"]
    if wanted.get("uid") and wanted["uid"] != meta["uid"]:
        raise errors.delete_conflict(resource, meta["name"], f"the UID in the precondition ({wanted['uid']}) does not match "
                                     f"the UID in record ({meta['uid']}). The object might have been deleted and then "
                                     "recreated")
    if wanted.get("resourceVersion") and wanted["resourceVersion"] != meta["resourceVersion"]:
        raise errors.delete_conflict(resource, meta["name"], f"the ResourceVersion in the precondition "
                                     f"({wanted['resourceVersion']}) does not match the ResourceVersion in record "
                                     f"({meta['resourceVersion']}). The object might have been modified")


def delete_object(api, request):
    resource, options = request.resource, options_of(request)
    with api.store.lock:
        obj = api.store.get(resource.key, request.where, request.name)
        if obj is None:
            raise errors.not_found(resource, request.name)
        check_preconditions(resource, obj, options["preconditions"])
        kept = delete(api, obj, resource, options["policy"], options["grace"], request.dry_run)
    return Answer(body=convert.to_version(kept, resource) if kept else success(obj, resource))


def success(obj, resource):
    details = errors.about(resource, obj["metadata"]["name"], uid=obj["metadata"]["uid"])
    return {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "details": details}


def delete(api, obj, resource, policy=None, grace=None, dry_run=False):
    """Begins to delete an object. Returns it where something still holds it, None where it is gone."""
    meta = obj["metadata"]
    policy = policy or ("Orphan" if resource.key == kinds.RC else "Background")
    finalizers = [f for f in meta.get("finalizers") or [] if f not in ("orphan", "foregroundDeletion")]
    if policy != "Background" and resource.generation:
        finalizers.append("orphan" if policy == "Orphan" else "foregroundDeletion")
    if resource.key == kinds.POD:
        grace = obj["spec"].get("terminationGracePeriodSeconds", 30) if grace is None else grace
        if grace and obj["spec"].get("nodeName"):
            if "deletionTimestamp" in meta:
                return obj
            obj = changed(obj, deletionTimestamp=now(grace), deletionGracePeriodSeconds=grace)
            return obj if dry_run else api.store.put(resource.key, obj)
    if finalizers:
        if "deletionTimestamp" in meta and finalizers == (meta.get("finalizers") or []):
            return obj
        obj = changed(obj, deletionTimestamp=meta.get("deletionTimestamp") or now(), deletionGracePeriodSeconds=0,
                      finalizers=finalizers, generation=meta.get("generation", 0) + 1 if resource.generation else None)
        return obj if dry_run else api.store.put(resource.key, obj)
    if not dry_run:
        api.store.remove(resource.key, obj)
    return None


def delete_collection(api, request):
    resource, options = request.resource, options_of(request)
    with api.store.lock:
        found, version = lists.list_objects(api, request)
        for obj in found:
            delete(api, obj, resource, options["policy"], options["grace"], request.dry_run)
        meta = {"resourceVersion": str(version if request.dry_run else api.store.version)}
    return Answer(body=lists.listed(found, resource, "json", meta, request))
