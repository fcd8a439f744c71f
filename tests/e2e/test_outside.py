"""What a rollout asks of others: a real Prometheus, webhooks, gates.

SPDX-License-Identifier: Apache-2.0
"""
import json
import threading

from backends import reply
from rig import route, wait_until

# widens within seconds, by time where proof is short
PLAN = {"steps": ["10%", {"weight": "50%", "pause": True}, "100%"], "hold": "1s", "max_hold": "2s", "min_requests": 1, "bake": "1s", "harm_budget": "50%",
        "checks": {"client_errors": {"enabled": False}, "latency": {"enabled": False}}}


def steady(proxy, stop):
    """Requests until stop is set."""
    with proxy.client() as c:
        while not stop.is_set():
            c.ask()


def with_traffic(proxy, cleanup):
    stop = threading.Event()
    threads = [threading.Thread(target=steady, args=(proxy, stop), daemon=True) for _ in range(2)]
    cleanup.append(lambda: (stop.set(), [t.join(10) for t in threads]))
    for t in threads:
        t.start()


def is_held(proxy, text):
    status = proxy.status()
    return status["state"] == "HOLDING" and text in status["why"]


def test_prometheus_is_asked_and_its_outage_holds(serin, v1, v2, cleanup, prometheus, free_port):
    check = {"name": "lost", "url": f"http://127.0.0.1:{free_port}", "max": 10, "interval": "1s", "failures": 2,
             "query": 'sum(serin_requests_total{route="$route",version="$canary",code="404"}) or vector(0)'}
    proxy = serin(route(v1.address, v2.address, rollout={**PLAN, "more_checks": [{"prometheus": check}]}))
    with_traffic(proxy, cleanup)
    proxy.cli("start", "web")
    wait_until(lambda: is_held(proxy, "check lost ERROR: no answer"), 15, "the hold while it is away")
    assert proxy.status()["weight"]["intended"] == 10
    prometheus(proxy.admin, free_port)
    wait_until(lambda: proxy.status()["weight"]["intended"] == 50, 30, "the second step, once it answers")
    assert proxy.status()["more_checks"][0]["verdict"] == "PASS" and proxy.status()["more_checks"][0]["value"] == 0
    v2.answer = lambda connection, request: connection.send(reply(404))
    wait_until(lambda: proxy.status()["state"] == "ABORTED", 30, "the abort")
    status = proxy.status()
    assert status["result"] == "reverted" and "check lost FAIL" in status["why"], status["why"]


def test_webhook_and_gates(serin, v1, v2, cleanup, backend):
    seen = []
    says = {"/gate": 403, "/smoke": 200, "/event": 200}
    ci = backend("ci")

    def read(connection):
        if not connection.buffer:
            connection.fill()
        request = connection.head()
        request.body = connection.exactly(int(request.get("content-length")))
        return request

    def answer(connection, request):
        seen.append((request.target, json.loads(request.body)))
        connection.send(reply(says[request.target]))
    ci.read, ci.answer = read, answer
    url = f"http://{ci.address}"
    proxy = serin(route(v1.address, v2.address, rollout={
        **PLAN, "more_checks": [{"webhook": {"name": "smoke", "url": url + "/smoke", "interval": "1s", "failures": 2}}],
        "gates": [{"on": "before_start", "url": url + "/gate"}, {"on": "event", "url": url + "/event"},
                  {"on": "after_end", "url": url + "/event"}]}))
    with_traffic(proxy, cleanup)
    proxy.cli("start", "web")
    wait_until(lambda: is_held(proxy, "gate before_start is not open: it answered 403"), 10, "the closed gate")
    assert proxy.status()["weight"]["intended"] == 0 and "gate" in proxy.cli("status", "web", expect=3)
    says["/gate"] = 204
    wait_until(lambda: proxy.status()["weight"]["intended"] == 10, 20, "the first step, once it is open")
    wait_until(lambda: proxy.status()["more_checks"][0]["verdict"] == "PASS", 10, "the first answer of the check")
    says["/smoke"] = 400
    wait_until(lambda: proxy.status()["state"] == "ABORTED", 20, "the abort")
    assert proxy.status()["result"] == "reverted" and "check smoke FAIL" in proxy.status()["why"]
    wait_until(lambda: any(body["on"] == "after_end" for _, body in seen), 10, "the word of its end")
    gate = next(body for target, body in seen if target == "/gate")
    assert gate["on"] == "before_start" and gate["route"] == "web" and gate["canary"] == "v2" and gate["next_weight"] == 10
    names = {body["name"] for target, body in seen if target == "/event"}
    assert {"RolloutStarted", "WeightChanged", "RolloutAborted", "StableRestored"} <= names, names
