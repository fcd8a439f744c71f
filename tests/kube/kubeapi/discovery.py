"""What is no object: discovery, version, health, an OpenAPI document without anything in it.

SPDX-License-Identifier: Apache-2.0
"""
from . import kinds
from .errors import PlainError
from .request import Answer

VERSION = {"major": "1", "minor": "26", "gitVersion": "v1.26.0", "gitCommit": "0000000000000000000000000000000000000000",
           "gitTreeState": "clean", "buildDate": "2022-12-08T19:51:45Z", "goVersion": "go1.19.4", "compiler": "gc",
           "platform": "linux/amd64"}
NOSNIFF = [("X-Content-Type-Options", "nosniff")]
PROTOBUF = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"


def page_not_found():
    return PlainError(404, "404 page not found\n", NOSNIFF)


def group_version(group, version):
    return {"groupVersion": f"{group}/{version}", "version": version}


def group(name):
    versions = [group_version(name, v) for v in kinds.versions(name)]
    return {"name": name, "versions": versions, "preferredVersion": versions[0]}


def resources(group_name, version):
    """An APIResourceList, subresources included."""
    out = []
    for r in kinds.RESOURCES:
        if (r.group, r.version) != (group_name, version):
            continue
        one = {"name": r.plural, "singularName": r.singular, "namespaced": r.namespaced, "kind": r.kind,
               "verbs": sorted(r.verbs)}
        if r.short:
            one["shortNames"] = r.short
        if r.categories:
            one["categories"] = r.categories
        out.append(one)
        for sub in r.subresources:
            scale = sub == "scale"
            out.append({"name": f"{r.plural}/{sub}", "singularName": "", "namespaced": r.namespaced,
                        **({"group": "autoscaling", "version": "v1"} if scale else {}),
                        "kind": "Scale" if scale else r.kind, "verbs": ["get", "patch", "update"]})
    if not out:
        raise page_not_found()
    gv = f"{group_name}/{version}" if group_name else version
    return {"kind": "APIResourceList", **({"apiVersion": "v1"} if group_name else {}), "groupVersion": gv, "resources": out}


def answer(api, request):
    """The answer to a path that names no object."""
    path, parts = request.path.rstrip("/"), [p for p in request.path.split("/") if p]
    if request.method not in ("GET", "HEAD"):
        raise page_not_found()
    if path in ("/healthz", "/livez", "/readyz"):
        return Answer(200, text=b"ok", content_type="text/plain; charset=utf-8", headers=NOSNIFF)
    if path == "/version":
        return Answer(body=VERSION)
    if path == "/api":
        cidr = [{"clientCIDR": "0.0.0.0/0", "serverAddress": request.headers.get("host", "")}]
        return Answer(body={"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": cidr})
    if path == "/apis":
        return Answer(body={"kind": "APIGroupList", "apiVersion": "v1", "groups": [group(g) for g in kinds.GROUPS]})
    if parts[:1] == ["api"] and len(parts) == 2:
        return Answer(body=resources("", parts[1]))
    if parts[:1] == ["apis"] and len(parts) == 2 and parts[1] in kinds.GROUPS:
        return Answer(body={"kind": "APIGroup", "apiVersion": "v1", **group(parts[1])})
    if parts[:1] == ["apis"] and len(parts) == 3:
        return Answer(body=resources(parts[1], parts[2]))
    if path == "/openapi/v2":
        if "protobuf" in request.headers.get("accept", ""):
            return Answer(200, text=b"", content_type=PROTOBUF)
        return Answer(body={"swagger": "2.0", "info": {"title": "Kubernetes", "version": "v1.26.0"}, "paths": {}})
    if path == "/openapi/v3":
        return Answer(body={"paths": {}})
    if not path:
        return Answer(body={"paths": ["/api", "/apis", "/healthz", "/livez", "/openapi/v2", "/readyz", "/version"]})
    raise page_not_found()
