"""Two versions of a kind share their objects: events (core/v1, events.k8s.io/v1) and autoscalers (v2, v1).

SPDX-License-Identifier: Apache-2.0
"""
EVENT_NAMES = {"regarding": "involvedObject", "note": "message", "reportingController": "reportingComponent",
               "deprecatedSource": "source", "deprecatedFirstTimestamp": "firstTimestamp",
               "deprecatedLastTimestamp": "lastTimestamp", "deprecatedCount": "count"}
EVENT_BACK = {v: k for k, v in EVENT_NAMES.items()}


def from_version(obj, resource):
    """As it is kept: core/v1 events, autoscaling/v2."""
    if resource.group == "events.k8s.io":
        return {EVENT_NAMES.get(k, k): v for k, v in obj.items()}
    if resource.group == "autoscaling" and resource.version == "v1" and "spec" in obj:
        spec = dict(obj["spec"])
        percent = spec.pop("targetCPUUtilizationPercentage", None)
        if percent is not None:
            spec["metrics"] = [{"type": "Resource", "resource": {
                "name": "cpu", "target": {"type": "Utilization", "averageUtilization": percent}}}]
        return {**obj, "spec": spec}
    return obj


def to_version(obj, resource):
    """As a path of this version shows it."""
    if resource.kind == "Event" or resource.kind == "HorizontalPodAutoscaler":
        obj = {**obj, "apiVersion": resource.api_version}
    if resource.group == "events.k8s.io":
        return {EVENT_BACK.get(k, k): v for k, v in obj.items()}
    if resource.group == "autoscaling" and resource.version == "v1":
        spec, status = dict(obj["spec"]), dict(obj.get("status") or {})
        for metric in spec.pop("metrics", None) or []:
            if metric.get("type") == "Resource":
                spec["targetCPUUtilizationPercentage"] = metric["resource"]["target"].get("averageUtilization")
        status.pop("currentMetrics", None)
        return {**obj, "spec": spec, "status": {"currentReplicas": 0, "desiredReplicas": 0, **status}}
    return obj
