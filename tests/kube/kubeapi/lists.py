"""Reads: get, list with selectors, pages and resourceVersion rules; the forms in which objects are asked for.

SPDX-License-Identifier: Apache-2.0
"""
import base64
import json
import re

from . import convert, selectors, tables
from .errors import ApiError, bad_request, bad_version, not_found, too_large_version
from .request import Answer

NOT_ACCEPTABLE = ("406: Not Acceptable\n\nAvailable representations: application/json, application/yaml, "
                  "application/vnd.kubernetes.protobuf, application/json;stream=watch, "
                  "application/vnd.kubernetes.protobuf;stream=watch")
EXPIRED_TOKEN = ("The provided continue parameter is too old to display a consistent list result. You can start a new list "
                 "without the continue parameter, or use the continue token in this response to retrieve the remainder of the "
                 "results. Continuing with the provided token results in an inconsistent list - objects that were created, "
                 "modified, or deleted between the time the first chunk was returned and now may show up in the list.")


def form_of(request):
    """json, table or partial, by the Accept header; 406 where nothing of it can be given."""
    accept = request.headers.get("accept", "") or "*/*"
    for item in accept.split(","):
        parts = [p.strip() for p in item.split(";")]
        if parts[0] in ("application/json", "*/*", "application/*"):
            wanted = dict(p.split("=", 1) for p in parts[1:] if "=" in p)
            if wanted.get("as") == "Table" and wanted.get("v", "v1") == "v1":
                return "table"
            if wanted.get("as", "").startswith("PartialObjectMetadata"):
                return "partial"
            if "as" not in wanted:
                return "json"
    raise ApiError(406, "NotAcceptable", NOT_ACCEPTABLE, {})


def version_of(request):
    text = request.query.get("resourceVersion", "")
    if text and not re.fullmatch(r"\d+", text):
        raise bad_version(text)
    return text


def wait_for_version(api, version):
    """A version of the future is waited for, then 504."""
    store = api.store
    with store.lock:
        if int(version or 0) > store.version:
            store.moved.wait_for(lambda: store.version >= int(version) or api.stopping, api.options.future_wait_s)
        if int(version or 0) > store.version:
            raise too_large_version(version, store.version)


def matcher(request, resource):
    """A function that says whether an object is selected."""
    wanted = selectors.parse_labels(request.query.get("labelSelector", ""))
    fields = selectors.parse_fields(request.query.get("fieldSelector", ""), resource.key)
    return lambda obj: selectors.labels_match(wanted, obj["metadata"].get("labels")) and selectors.fields_match(fields, obj)


def token_of(version, start):
    text = json.dumps({"v": "meta.k8s.io/v1", "rv": version, "start": start + "\0"}, separators=(",", ":"))
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def read_token(text):
    """(version, name after which to go on) of a continue token."""
    try:
        raw = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        data = json.loads(raw)
        return int(data["rv"]), data["start"].rstrip("\0")
    except (ValueError, KeyError, TypeError):
        first = raw[:1].decode("latin1") if text else ""
        shown = first if first.isprintable() else "\\x%02x" % ord(first or "\0")
        raise bad_request(f"invalid continue token: continue key is not valid: invalid character '{shown}' looking for "
                          "beginning of value") from None


def snapshot(api, request, resource):
    """The objects to choose from, the version they are of, and the name after which a page begins."""
    store, version, token = api.store, version_of(request), request.query.get("continue")
    if token:
        if version:
            raise bad_request("specifying resource version is not allowed when using continue")
        at, start = read_token(token)
        if 0 <= at < store.compacted:
            raise ApiError(410, "Expired", EXPIRED_TOKEN, metadata={"continue": token_of(-1, start)})
        if at < 0:
            return store.list(resource.key, request.where), store.version, start
        return store.list_at(resource.key, request.where, at), at, start
    if request.query.get("resourceVersionMatch") == "Exact" and version not in ("", "0"):
        wait_for_version(api, version)
        if int(version) < store.compacted:
            raise ApiError(410, "Expired", "The resourceVersion for the provided list is too old.")
        return store.list_at(resource.key, request.where, int(version)), int(version), None
    wait_for_version(api, version)
    return store.list(resource.key, request.where), store.version, None


def list_objects(api, request):
    resource, form = request.resource, form_of(request)
    match = matcher(request, resource)
    try:
        limit = int(request.query.get("limit", "0"))
    except ValueError:
        limit = 0
    with api.store.lock:
        found, version, start = snapshot(api, request, resource)
        if start:
            found = [o for o in found if after(o, start, request.where)]
        found = [o for o in found if match(o)]
        meta = {"resourceVersion": str(version)}
        if limit > 0 and len(found) > limit and request.query.get("resourceVersion") != "0":
            last = found[limit - 1]["metadata"]
            name = last["name"] if request.where or not resource.namespaced else f"{last['namespace']}/{last['name']}"
            meta["continue"] = token_of(version, name)
            if not request.query.get("labelSelector") and not request.query.get("fieldSelector"):
                meta["remainingItemCount"] = len(found) - limit
            found = found[:limit]
    if request.method == "DELETE":
        return found, version
    return Answer(body=listed(found, resource, form, meta, request))


def after(obj, start, namespace):
    meta = obj["metadata"]
    return (meta["name"] if namespace or "namespace" not in meta else f"{meta['namespace']}/{meta['name']}") > start


def listed(found, resource, form, meta, request):
    if form == "table":
        return tables.table(found, resource, meta, request.query.get("includeObject"))
    if form == "partial":
        return {"kind": "PartialObjectMetadataList", "apiVersion": "meta.k8s.io/v1", "metadata": meta,
                "items": [tables.partial(o) for o in found]}
    items = [{k: v for k, v in convert.to_version(o, resource).items() if k not in ("kind", "apiVersion")} for o in found]
    return {"kind": resource.list_kind, "apiVersion": resource.api_version, "metadata": meta, "items": items}


def get_object(api, request):
    resource, form = request.resource, form_of(request)
    wait_for_version(api, version_of(request))
    obj = api.store.get(resource.key, request.where, request.name)
    if obj is None:
        raise not_found(resource, request.name)
    if form == "table":
        return Answer(body=tables.table([obj], resource, {"resourceVersion": obj["metadata"]["resourceVersion"]},
                                        request.query.get("includeObject")))
    return Answer(body=tables.partial(obj) if form == "partial" else convert.to_version(obj, resource))
