"""What serin says about itself in numbers: clean for promtool, scraped by a real Prometheus, true to what happened.

SPDX-License-Identifier: Apache-2.0
"""
import json
import subprocess
import urllib.parse

import pytest

from rig import ask, die_with_me, route, wait_until

STEPS = {"steps": ["50%", "100%"], "hold": "5m", "max_hold": "10m"}


@pytest.fixture
def busy(serin, shop):
    """serin in a rollout with some traffic of every kind behind it; both versions fail alike, so it goes on."""
    proxy = serin(route(shop("v1", errors=20).address, shop("v2", errors=20).address, override={"header": "X-Canary"},
                        rollout=STEPS, breaker={"min_requests": 0}, hosts=["web.test"]), workers=2)
    with proxy.client() as c:
        for _ in range(20):
            c.ask()
        proxy.cli("start", "web")
        wait_until(lambda: proxy.metrics().sum("serin_rollout_weight_ratio", kind="intended") == 0.5, 10, "the first step")
        for _ in range(20):
            c.ask()
            c.ask(headers={"X-Canary": "always"})
        c.ask(host="nobody.test")
    with proxy.client() as c:
        c.send("nonsense\r\n\r\n")
        c.response()
    return proxy


def promtool(page):
    return subprocess.run(["promtool", "check", "metrics"], input=page, capture_output=True, text=True, timeout=30,
                          preexec_fn=die_with_me)


def test_promtool_finds_nothing(busy):
    done = promtool(busy.metrics().text)
    assert done.returncode == 0 and not done.stdout + done.stderr, done


def test_promtool_finds_what_is_wrong():
    assert promtool("# TYPE a counter\na 1\na 2\n").returncode != 0     # the test above can fail


def test_openmetrics_by_accept(busy):
    accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"
    answer = ask(busy.admin, target="/metrics", host=busy.admin_host, headers={"Accept": accept})
    assert answer.get("content-type").startswith("application/openmetrics-text") and answer.body.endswith(b"# EOF\n")
    plain = ask(busy.admin, target="/metrics", host=busy.admin_host)
    assert plain.get("content-type").startswith("text/plain; version=0.0.4") and b"# EOF" not in plain.body


def test_series_are_there_and_add_up(busy):
    m = busy.metrics()
    total = m.sum("serin_requests_total", route="web")
    assert total == 60 == m.sum("serin_request_duration_seconds_count", route="web")
    assert m.sum("serin_requests_total", assigned="header", role="canary", version="v2") == 20
    assert m.sum("serin_request_errors_total", version="v2", reason="5xx") == m.sum("serin_requests_total", version="v2", code="500")
    assert m.sum("serin_responses_total", route="web") == 60
    assert m.sum("serin_request_duration_seconds_bucket", le=r"\+Inf") == 60
    assert m.sum("serin_client_errors_total") == 2
    assert m.sum("serin_inflight_requests") == 0
    assert m.sum("serin_rollout_weight_ratio", kind="intended") == 0.5
    assert m.sum("serin_rollout_phase") == 1 == m.sum("serin_rollout_phase", phase="Progressing|progressing")
    assert m.sum("serin_endpoint_up") == 2
    assert m.sum("serin_build_info") == 1 and m.sum("serin_config_generation") >= 1
    for name in ("serin_connections_total", "process_resident_memory_bytes", "process_open_fds", "process_cpu_seconds_total",
                 "process_start_time_seconds", "serin_rollout_step", "serin_rollout_steps"):
        assert m.sum(name) > 0, name


def test_series_do_not_fall(busy):
    before = busy.metrics()
    for _ in range(10):
        busy.ask()
    after = busy.metrics()
    for name, labels, value in before.samples:
        if name.endswith(("_total", "_count", "_sum", "_bucket")):
            assert after.sum(name, **{k: v.replace("+", r"\+") for k, v in labels.items()}) >= value, (name, labels)


def query(port, expression):
    answer = ask(f"127.0.0.1:{port}", target="/api/v1/query?query=" + urllib.parse.quote(expression))
    return {r["metric"].get("version"): float(r["value"][1]) for r in json.loads(answer.body)["data"]["result"]} \
        if answer.status == 200 else {}


def test_prometheus_answers_the_error_ratio_of_each_version(serin, shop, prometheus, free_port):
    proxy = serin(route(shop("v1").address, shop("v2", errors=20).address, weight="50%", breaker={"min_requests": 0}))
    prometheus(proxy.admin, free_port)

    def ratios():
        with proxy.client() as c:
            for _ in range(50):
                c.ask()
        return query(free_port, "sum by (route, version) (rate(serin_request_errors_total[30s]))"
                                " / sum by (route, version) (rate(serin_requests_total[30s]))")
    wait_until(lambda: 0.1 < ratios().get("v2", 0) < 0.3, 40, "v2's error ratio of a fifth")
    assert ratios().get("v1", 0) == 0
    up = query(free_port, "up")
    assert list(up.values()) == [1]
