"""Who asks and what they may: bearer tokens, client certificates, RBAC rules of manifests.

SPDX-License-Identifier: Apache-2.0
"""
from . import body, yamlish
from .errors import ApiError, forbidden, unauthorized
from .request import Answer

ANONYMOUS = "system:anonymous"
PUBLIC = ("/healthz", "/livez", "/readyz", "/version")              # open to everyone
DISCOVERY = ("/api", "/apis", "/openapi", "/version", "/healthz", "/livez", "/readyz")
EVERYONE = [{"verbs": ["create"], "apiGroups": ["authorization.k8s.io"],
             "resources": ["selfsubjectaccessreviews", "selfsubjectrulesreviews"]}]


class User:
    """A name, groups, and whether everything is allowed."""

    def __init__(self, name, groups=(), everything=False):
        self.name, self.groups = name, list(groups)
        self.everything = everything or "system:masters" in self.groups


class Grant:
    """Rules that a subject has, in one namespace or (None) everywhere; title is what a review answers."""

    def __init__(self, namespace, rules, title=""):
        self.namespace, self.rules, self.title = namespace, rules, title


class Auth:
    """Tokens and grants of one stand-in. Unless strict, whoever shows nothing may do everything."""

    def __init__(self, strict=False):
        self.strict, self.tokens, self.certificates, self.grants, self.issuer = strict, {}, {}, {}, None

    # What tests say.

    def token(self, token, name="admin", groups=(), everything=None):
        """A token is good from now on. Without grants for its name, and not told otherwise, its user may do nothing -
        but for "admin", who may do everything."""
        self.tokens[token] = User(name, groups, name == "admin" if everything is None else everything)

    def revoke(self, token):
        self.tokens.pop(token, None)

    def rotate(self, old, new, keep_old=False):
        """The user of a token has a new one; the old one is bad from now on, unless kept."""
        self.tokens[new] = self.tokens[old]
        if not keep_old:
            self.revoke(old)

    def grant(self, name, rules, namespace="default", title=""):
        """rules as in a Role: [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]; namespace None: everywhere."""
        self.grants.setdefault(name, []).append(Grant(namespace, rules, title))

    def load(self, text, namespace="default"):
        """Takes the Roles and bindings of a manifest; returns the names of the users they are bound to."""
        objects = []
        for doc in yamlish.load_all(text):
            objects += doc.get("items", []) if doc.get("kind", "").endswith("List") else [doc]
        roles = {(o["kind"], o["metadata"].get("namespace") or namespace if o["kind"] == "Role" else None,
                  o["metadata"]["name"]): o.get("rules") or [] for o in objects if o["kind"] in ("Role", "ClusterRole")}
        users = []
        for o in objects:
            if o["kind"] not in ("RoleBinding", "ClusterRoleBinding"):
                continue
            where = (o["metadata"].get("namespace") or namespace) if o["kind"] == "RoleBinding" else None
            ref = o["roleRef"]
            rules = roles.get((ref["kind"], where if ref["kind"] == "Role" else None, ref["name"]), [])
            for subject in o.get("subjects") or []:
                name = self._subject(subject, where or namespace)
                binding = o["metadata"]["name"] + (f"/{where}" if where else "")
                account = f"{subject['name']}/{subject.get('namespace') or where or namespace}" \
                    if subject["kind"] == "ServiceAccount" else subject["name"]
                self.grant(name, rules, where, f'{o["kind"]} "{binding}" of {ref["kind"]} "{ref["name"]}" to '
                                               f'{subject["kind"]} "{account}"')
                users.append(name)
        return users

    @staticmethod
    def _subject(subject, namespace):
        if subject["kind"] == "ServiceAccount":
            return f"system:serviceaccount:{subject.get('namespace') or namespace}:{subject['name']}"
        return f"group:{subject['name']}" if subject["kind"] == "Group" else subject["name"]

    # What the server asks.

    def authenticate(self, request):
        """The user of a request; 401 for a credential that is none. A good certificate counts before a token."""
        if request.certificate:
            fields = {k: v for part in request.certificate["subject"] for k, v in part}
            issuer = {k: v for part in request.certificate["issuer"] for k, v in part}
            if self.issuer and issuer.get("commonName") != self.issuer:
                raise unauthorized()
            groups = [v for part in request.certificate["subject"] for k, v in part if k == "organizationName"]
            return self.certificates.get(fields["commonName"]) or User(fields["commonName"], groups)
        kind, _, token = request.headers.get("authorization", "").partition(" ")
        if kind.lower() != "bearer" or not token.strip():
            return User(ANONYMOUS, ["system:unauthenticated"], not self.strict)
        if token.strip() not in self.tokens:
            raise unauthorized()
        return self.tokens[token.strip()]

    def allowing(self, user, verb, group, resource, namespace, name=None):
        """The grant that allows something, or None."""
        grants = list(self.grants.get(user.name, []))
        for one in user.groups:
            grants += self.grants.get(f"group:{one}", [])
        if user.name != ANONYMOUS:
            grants.append(Grant(None, EVERYONE))
        for grant in grants:
            if grant.namespace is None or namespace and grant.namespace == namespace:
                if any(allows(rule, verb, group, resource, name) for rule in grant.rules):
                    return grant
        return None

    def authorize(self, user, request):
        """403 where a user may not do what is asked; answers the user that acts, which impersonation changes."""
        other = request.headers.get("impersonate-user")
        if other:
            if not user.everything and not self.allowing(user, "impersonate", "", "users", None, other):
                raise refusal(user, "impersonate", "", "users", None, other)
            user = User(other)
        if user.everything:
            return user
        if not request.is_resource:
            path = request.path.rstrip("/")
            if not any(path == p or path.startswith(p + "/") for p in (PUBLIC if user.name == ANONYMOUS else DISCOVERY)):
                raise no_path(user, request)
            return user
        resource = request.plural + (f"/{request.subresource}" if request.subresource else "")
        if not self.allowing(user, request.verb, request.group, resource, request.namespace, request.name):
            raise refusal(user, request.verb, request.group, resource, request.namespace, request.name)
        return user


def allows(rule, verb, group, resource, name):
    def has(key, wanted):
        return "*" in (rule.get(key) or []) or wanted in (rule.get(key) or [])
    named = not rule.get("resourceNames") or name in rule["resourceNames"]
    return has("verbs", verb) and has("apiGroups", group) and named and (
        has("resources", resource) or "/" in resource and "*/" + resource.split("/")[1] in (rule.get("resources") or []))


def no_path(user, request):
    return forbidden(f'forbidden: User "{user.name}" cannot {request.verb} path "{request.path}"', {})


def refusal(user, verb, group, resource, namespace, name):
    plural = resource.split("/")[0]
    title = plural + (f".{group}" if group else "") + (f' "{name}"' if name else "")
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    details = {"name": name} if name else {}
    if group:
        details["group"] = group
    return forbidden(f'{title} is forbidden: User "{user.name}" cannot {verb} resource "{resource}" in API group "{group}" '
                     f"{where}", {**details, "kind": plural})


def review(api, request):
    """SelfSubjectAccessReview and SelfSubjectRulesReview."""
    resource, user = request.resource, request.user
    obj = body.parse(request, resource.kind)
    out = {"kind": resource.kind, "apiVersion": resource.api_version, "metadata": {"creationTimestamp": None}}
    if resource.kind == "SelfSubjectRulesReview":
        rules = [] if user.everything else EVERYONE + [
            r for g in api.auth.grants.get(user.name, []) for r in g.rules if g.namespace in (None, obj["spec"]["namespace"])]
        return Answer(201, {**out, "spec": {}, "status": {"resourceRules": rules, "nonResourceRules": [], "incomplete": False}})
    ask = obj["spec"].get("resourceAttributes")
    if ask is None:
        raise ApiError(422, "Invalid", 'SelfSubjectAccessReview.authorization.k8s.io "" is invalid')
    name = ask.get("resource", "") + (f"/{ask['subresource']}" if ask.get("subresource") else "")
    grant = Grant(None, []) if user.everything else \
        api.auth.allowing(user, ask.get("verb", ""), ask.get("group", ""), name, ask.get("namespace"), ask.get("name"))
    status = {"allowed": grant is not None}
    if grant and grant.title:
        status["reason"] = f"RBAC: allowed by {grant.title}"
    return Answer(201, {**out, "spec": obj["spec"], "status": status})
