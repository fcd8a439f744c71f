"""The resources that the stand-in knows: group, version, kind, where they live and what may be done with them.

SPDX-License-Identifier: Apache-2.0
"""

ALL = ("create", "delete", "deletecollection", "get", "list", "patch", "update", "watch")


class Resource:
    """One resource of one group and version."""

    def __init__(self, group, version, plural, kind, short=(), subresources=(), registry=None, namespaced=True,
                 generation=False, unconditional=True, categories=(), verbs=ALL, same_as=None):
        self.group, self.version, self.plural, self.kind = group, version, plural, kind
        self.short, self.subresources, self.registry = list(short), subresources, registry or plural
        self.namespaced, self.generation = namespaced, generation
        self.unconditional = unconditional  # a PUT without resourceVersion overwrites; where not, it is 422
        self.categories, self.verbs = list(categories), verbs
        self.key = same_as or (group, plural)  # where the objects are kept: two versions of a kind share them

    @property
    def api_version(self):
        return f"{self.group}/{self.version}" if self.group else self.version

    @property
    def title(self):
        return self.plural + (f".{self.group}" if self.group else "")

    @property
    def list_kind(self):
        return self.kind + "List"

    @property
    def singular(self):
        return self.kind.lower()


SIZED = ("scale", "status")
RC, RS, DEPLOYMENT, POD = ("", "replicationcontrollers"), ("apps", "replicasets"), ("apps", "deployments"), ("", "pods")
HPA, EVENT, NAMESPACE, LEASE = ("autoscaling", "horizontalpodautoscalers"), ("", "events"), ("", "namespaces"), \
    ("coordination.k8s.io", "leases")

RESOURCES = [
    Resource("", "v1", "replicationcontrollers", "ReplicationController", ["rc"], SIZED, "controllers", generation=True,
             categories=["all"]),
    Resource("", "v1", "pods", "Pod", ["po"], ("status",), categories=["all"]),
    Resource("", "v1", "events", "Event", ["ev"]),
    Resource("", "v1", "services", "Service", ["svc"], ("status",), "services/specs", categories=["all"]),
    Resource("", "v1", "namespaces", "Namespace", ["ns"], ("status",), namespaced=False),
    Resource("", "v1", "configmaps", "ConfigMap", ["cm"]),
    Resource("", "v1", "secrets", "Secret"),
    Resource("", "v1", "serviceaccounts", "ServiceAccount", ["sa"]),
    Resource("apps", "v1", "deployments", "Deployment", ["deploy"], SIZED, generation=True, categories=["all"]),
    Resource("apps", "v1", "replicasets", "ReplicaSet", ["rs"], SIZED, generation=True, categories=["all"]),
    Resource("coordination.k8s.io", "v1", "leases", "Lease", unconditional=False),
    Resource("autoscaling", "v2", "horizontalpodautoscalers", "HorizontalPodAutoscaler", ["hpa"], ("status",),
             categories=["all"]),
    Resource("autoscaling", "v1", "horizontalpodautoscalers", "HorizontalPodAutoscaler", ["hpa"], ("status",),
             categories=["all"], same_as=HPA),
    Resource("events.k8s.io", "v1", "events", "Event", ["ev"], same_as=EVENT),
    Resource("rbac.authorization.k8s.io", "v1", "roles", "Role"),
    Resource("rbac.authorization.k8s.io", "v1", "rolebindings", "RoleBinding"),
    Resource("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", ["pdb"], ("status",), generation=True),
    Resource("authorization.k8s.io", "v1", "selfsubjectaccessreviews", "SelfSubjectAccessReview", namespaced=False,
             verbs=("create",)),
    Resource("authorization.k8s.io", "v1", "selfsubjectrulesreviews", "SelfSubjectRulesReview", namespaced=False,
             verbs=("create",)),
]
GROUPS = ["apps", "events.k8s.io", "authorization.k8s.io", "autoscaling", "coordination.k8s.io",
          "rbac.authorization.k8s.io", "policy"]
VERSIONS = {"autoscaling": ["v2", "v1"]}  # where there is more than v1; the first is preferred

_BY_PATH = {(r.group, r.version, r.plural): r for r in RESOURCES}
_BY_KEY = {}
for _r in RESOURCES:
    _BY_KEY.setdefault(_r.key, _r)


def find(group, version, plural):
    """The resource of a path, or None."""
    return _BY_PATH.get((group, version, plural))


def of(key):
    """The preferred resource of a (group, plural)."""
    return _BY_KEY[key]


def versions(group):
    return VERSIONS.get(group, ["v1"])
