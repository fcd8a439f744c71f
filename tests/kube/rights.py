"""The manifests in conf/kubernetes for tests: their objects, the rights that a Role gives, and those that were used.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os

from kubeapi import yamlish

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
FOLDER = os.path.join(ROOT, "conf", "kubernetes")
USER = "system:serviceaccount:default:serin"
TOKEN = "the-token-of-the-service-account"


def files():
    """Every manifest, as a path."""
    return sorted(os.path.join(folder, name) for folder, _, names in os.walk(FOLDER) for name in names if name.endswith(".yaml"))


def text_of(name):
    with open(os.path.join(FOLDER, name), encoding="utf-8") as f:
        return f.read()


def objects(name=None):
    """The objects of a manifest, or of all."""
    return [o for path in ([name] if name else files()) for o in yamlish.load_all(text_of(path))]


def one(kind, name="serin"):
    return next(o for o in objects() if o["kind"] == kind and o["metadata"]["name"] == name)


def of_role(role):
    """What a Role allows: {(verb, group, resource)}."""
    return {(v, g, r) for rule in role["rules"] for v in rule["verbs"] for g in rule["apiGroups"] for r in rule["resources"]}


def without(role, right):
    """The Role without one right."""
    verb, group, resource = right
    rules = [{**rule, "verbs": [v for v in rule["verbs"] if v != verb or group not in rule["apiGroups"]
                                or resource not in rule["resources"]]} for rule in role["rules"]]
    return {**role, "rules": rules}


def give(standin, role):
    """The service account serin has this Role, by a binding like the one in rbac.yaml, and a token."""
    binding = {**one("RoleBinding"), "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role",
                                                 "name": role["metadata"]["name"]}}
    assert standin.auth.load(json.dumps({"kind": "List", "apiVersion": "v1", "items": [role, binding]})) == [USER]
    standin.auth.token(TOKEN, USER)


def used(standin):
    """What the service account has asked for, as of_role says it."""
    return {(e.verb, e.group, e.resource + (f"/{e.subresource}" if e.subresource else ""))
            for e in standin.requests(user=USER) if e.resource}


def is_named(right, said):
    """Whether a text says which right is missing: serin's words come first, the API server's may be cut short."""
    verb, _, resource = right
    return f"cannot {verb} {resource} " in said and "forbidden" in said
