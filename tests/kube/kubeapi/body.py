"""Reading request bodies: media types, JSON and YAML, kind and version, unknown fields.

SPDX-License-Identifier: Apache-2.0
"""
from . import jsonish, schema, yamlish
from .errors import ApiError, bad_request

MOST = 3145728
ACCEPTED = "application/json, application/yaml, application/vnd.kubernetes.protobuf"
SHOWN = 1024    # bytes of an unreadable body that the complaint repeats
INTERNAL = {"": "core", "apps": "apps", "coordination.k8s.io": "coordination", "autoscaling": "autoscaling"}


def media_type(request):
    return request.headers.get("content-type", "").split(";")[0].strip()


def shown(body):
    text = body.decode("utf-8", "replace")
    return "<empty>" if not text else text if len(text) <= SHOWN else text[:SHOWN] + " ..."


def check_size(request):
    if len(request.body) > MOST:
        raise ApiError(413, "RequestEntityTooLarge", f"Request entity too large: limit is {MOST}")


def parse(request, kind):
    """The body as data; an object is required."""
    check_size(request)
    media = media_type(request)
    if media not in ("", "application/json", "application/yaml"):
        raise ApiError(415, "UnsupportedMediaType", "the body of the request was in an unknown format - accepted media types "
                       f"include: {ACCEPTED}")
    text = request.body.decode("utf-8", "replace")
    try:
        data = yamlish.load(text) if media == "application/yaml" else jsonish.loads(text)
    except ValueError as e:
        what = "yaml" if media == "application/yaml" else "json"
        raise bad_request(f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; "
                          f"{what} parse error: {e} ({shown(request.body)})") from None
    if not isinstance(data, dict):
        raise bad_request(f"the object provided is unrecognized (must be of type {kind}): couldn't get version/kind; "
                          f"json parse error: json: cannot unmarshal into Go value ({shown(request.body)})")
    return data


def read(request, resource, kind=None, api_version=None):
    """The object in a body: its kind checked, its unknown fields dropped with a warning (or refused, if asked so)."""
    kind, api_version = kind or resource.kind, api_version or resource.api_version
    data = parse(request, kind)
    request.data = data
    given, version = data.get("kind") or kind, data.get("apiVersion") or api_version
    if (given, version) != (kind, api_version):
        inner = INTERNAL.get(resource.group, resource.group.split(".")[0])
        raise bad_request(f'{given} in version "{version.split("/")[-1]}" cannot be handled as a {kind}: converting '
                          f'({version.split("/")[-1]}.{given}) to ({inner}.{kind}): unknown conversion')
    obj, said = schema.read({"metadata": {}, **data, "kind": kind, "apiVersion": api_version}, kind,
                            resource.group if kind == resource.kind else "autoscaling")
    strictness(request, said, kind, api_version)
    return obj


def strictness(request, said, kind, api_version):
    wanted = request.query.get("fieldValidation", "Warn")
    if said and wanted == "Strict":
        raise bad_request(f'{kind} in version "{api_version.split("/")[-1]}" cannot be handled as a {kind}: strict decoding '
                          f'error: {", ".join(said)}')
    if wanted == "Warn":
        request.warnings += said
