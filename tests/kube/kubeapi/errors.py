"""The Status answers of an API server, worded as the real one words them (checked against recorded answers).

SPDX-License-Identifier: Apache-2.0
"""

MODIFIED = "the object has been modified; please apply your changes to the latest version and try again"
REJECTED = "the server rejected our request due to an error in our request"


class ApiError(Exception):
    """Raised anywhere below a request: becomes a Status answer."""

    def __init__(self, code, reason, message, details=None, headers=(), metadata=None):
        super().__init__(message)
        self.code, self.reason, self.message = code, reason, message
        self.details, self.headers, self.metadata = details, list(headers), metadata or {}

    def status(self):
        out = {"kind": "Status", "apiVersion": "v1", "metadata": self.metadata, "status": "Failure", "message": self.message}
        if self.reason:
            out["reason"] = self.reason
        if self.details is not None:
            out["details"] = self.details
        out["code"] = self.code
        return out


class PlainError(Exception):
    """An answer in plain text, as the layers before the API give it."""

    def __init__(self, code, text, headers=()):
        super().__init__(text)
        self.code, self.text, self.headers = code, text, list(headers)


def about(resource, name=None, **more):
    """details of a Status: name, group and kind (which is the plural, except where the real server names the kind)."""
    out = {"name": name} if name else {}
    if resource.group:
        out["group"] = resource.group
    out["kind"] = resource.plural
    out.update(more)
    return out


def bad_request(message):
    return ApiError(400, "BadRequest", message)


def not_found(resource, name):
    return ApiError(404, "NotFound", f'{resource.title} "{name}" not found', about(resource, name))


def scale_not_found(resource, name):
    kind = resource.plural + "/scale"
    return ApiError(404, "NotFound", f'{kind}.autoscaling "{name}" not found',
                    {"name": name, "group": "autoscaling", "kind": kind})


def no_such_resource():
    return ApiError(404, "NotFound", "the server could not find the requested resource", {})


def method_not_allowed():
    return ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource", {})


def already_exists(resource, name, terminating=False):
    before = "object is being deleted: " if terminating else ""
    return ApiError(409, "AlreadyExists", f'{before}{resource.title} "{name}" already exists', about(resource, name))


def conflict(resource, name, why=MODIFIED):
    return ApiError(409, "Conflict", f'Operation cannot be fulfilled on {resource.title} "{name}": {why}',
                    about(resource, name))


def uid_conflict(resource, namespace, name, asked, uid):
    where = f"/registry/{resource.registry}/" + (f"{namespace}/" if namespace else "") + name
    return conflict(resource, name, f"StorageError: invalid object, Code: 4, Key: {where}, ResourceVersion: 0, "
                    f"AdditionalErrorMsg: Precondition failed: UID in precondition: {asked}, UID in object meta: {uid}")


def delete_conflict(resource, name, why):
    """The real server names the kind here, not the plural."""
    title = resource.kind + (f".{resource.group}" if resource.group else "")
    details = {"name": name, **({"group": resource.group} if resource.group else {}), "kind": resource.kind}
    return ApiError(409, "Conflict", f'Operation cannot be fulfilled on {title} "{name}": {why}', details)


def invalid(kind, group, name, causes):
    """causes: (reason, message, field), e.g. ("FieldValueInvalid", "Invalid value: -1: must ...", "spec.replicas")."""
    said = []
    for _, message, field in causes:
        line = f"{field}: {message}"
        if line not in said:
            said.append(line)
    text = said[0] if len(said) == 1 else "[" + ", ".join(said) + "]"
    details = {"name": name} if name else {}
    if group:
        details["group"] = group
    details["kind"] = kind
    details["causes"] = [{"reason": r, "message": m, "field": f} for r, m, f in causes]
    title = kind + (f".{group}" if group else "")
    return ApiError(422, "Invalid", f'{title} "{name}" is invalid: {text}', details)


def rejected():
    """What a failed test of a JSON patch looks like."""
    return ApiError(422, "Invalid", REJECTED, {})


def unauthorized():
    return ApiError(401, "Unauthorized", "Unauthorized")


def forbidden(message, details):
    return ApiError(403, "Forbidden", message, details, [("X-Content-Type-Options", "nosniff")])


def expired(version, floor):
    return ApiError(410, "Expired", f"too old resource version: {version} ({floor})")


def too_large_version(version, current):
    return ApiError(504, "Timeout", f"Timeout: Too large resource version: {version}, current: {current}",
                    {"causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
                     "retryAfterSeconds": 1}, [("Retry-After", "1")])


def bad_version(text):
    return ApiError(500, None, f'resourceVersion: Invalid value: "{text}": strconv.ParseUint: parsing "{text}": invalid syntax')
