"""What others watch serin with: the rules of conf/prometheus and the dashboard of conf/grafana ask for what serin has.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import subprocess
import urllib.parse

import pytest
import yaml

from rig import ask, die_with_me, route, wait_until

ROOT = os.path.abspath(os.path.join(os.path.dirname(__file__), "..", ".."))
RULES = {name: os.path.join(ROOT, "conf", "prometheus", name + ".yml") for name in ("recording", "alerts")}
RULES_TEST = os.path.join(ROOT, "tests", "fixtures", "prometheus", "rules_test.yml")
DASHBOARD = os.path.join(ROOT, "conf", "grafana", "serin.json")
OUTSIDE = {"job", "instance", "le"}                 # labels that Prometheus adds, and the histogram's
OTHERS = {"up": set(), "ALERTS": set()}             # metrics that are Prometheus' own
PARTS = ("_bucket", "_sum", "_count")
# What has no value in the test's serin: features that it has not switched on, and failures that it does not have.
ABSENT = re.compile(r"serin_(replicas|certificate_|mirror|tls_|upstream_tls_|kubernetes_|dns_)"
                    r"|> 0$|offset 1m")


def load(path):
    with open(path, encoding="utf-8") as f:
        return yaml.safe_load(f)        # JSON is YAML


def rules(name):
    return [r for g in load(RULES[name])["groups"] for r in g["rules"]]


def alerts():
    return {r["alert"]: r for r in rules("alerts")}


def catalog():
    """{metric: its labels}, of the table that serin itself uses."""
    with open(os.path.join(ROOT, "include", "metrics", "catalog.h"), encoding="utf-8") as f:
        rows = re.findall(r'X\(\w+, "(\w+)", \w+, "\w*", \w+, \\\s+METRIC_(?:LABELS\(([^)]*)\)|NO_LABELS)', f.read())
    return {name: set(re.findall(r'"(\w+)"', labels)) for name, labels in rows}


def labels_of_recorded():
    """{recorded metric: its labels}: what its name says before the colon, and the job."""
    return {r["record"]: set(re.findall("route|version|role|le", r["record"].split(":")[0])) | {"job"} for r in rules("recording")}


def dashboard_queries():
    """(panel, expression) of every query of the dashboard, the one of its annotation and of its variables too."""
    board = load(DASHBOARD)
    found = [(p["title"], t["expr"]) for p in board["panels"] for t in p.get("targets", [])]
    found += [(a["name"], a["expr"]) for a in board["annotations"]["list"] if "expr" in a]
    for v in board["templating"]["list"]:
        if v["type"] == "query":
            found.append((v["name"], re.fullmatch(r"label_values\((.*), \w+\)", v["query"]["query"])[1]))
    return found


EXPRESSIONS = [(r.get("record") or r["alert"], r["expr"]) for name in RULES for r in rules(name)] + dashboard_queries()


def promtool(*words):
    return subprocess.run(["promtool", *words], capture_output=True, text=True, timeout=120, preexec_fn=die_with_me)


# --- the rules ---

def test_rules_are_well_formed():
    done = promtool("check", "rules", "--lint=all", "--lint-fatal", *RULES.values())
    assert done.returncode == 0 and done.stdout.count("SUCCESS") == 2, done


def test_rules_do_what_they_should():
    done = promtool("test", "rules", RULES_TEST)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_is_tested_both_ways():
    cases = [c for t in load(RULES_TEST)["tests"] for c in t.get("promql_expr_test", [])]
    for name in alerts():
        mine = [c for c in cases if f'alertname="{name}"' in c["expr"]]
        assert any(c["exp_samples"] for c in mine), f"{name} never fires"
        assert any(not c["exp_samples"] for c in mine), f"{name} always fires"
    recorded = " ".join(c["expr"] for c in cases)
    for rule in rules("recording"):
        name = rule["record"]
        assert name in recorded or any(name in other["expr"] for other in rules("recording")), f"{name} is not tested"


def test_every_alert_says_what_to_do():
    for name, rule in alerts().items():
        assert rule["labels"] in ({"severity": "page"}, {"severity": "ticket"}), name
        assert set(rule["annotations"]) == {"summary", "description", "runbook"}, name
        for key, text in rule["annotations"].items():
            assert len(text.split()) > 4 and "\n" not in text.strip(), (name, key)
            for label in re.findall(r"\$labels\.(\w+)", text):
                assert label in OUTSIDE | set().union(*catalog().values()), (name, key, label)


# --- what they ask for is there ---

@pytest.mark.parametrize("title, expression", EXPRESSIONS, ids=[f"{n}-{t}" for n, (t, _) in enumerate(EXPRESSIONS)])
def test_metrics_and_labels_exist(title, expression):
    known = {**catalog(), **labels_of_recorded(), **OTHERS}
    names = re.findall(r"(?<![\w:$\"])((?:serin|process|route)(?:_\w+|\w*:)[\w:]*|up|ALERTS)\b(?!\s*[\w:]*\()", expression)
    assert names, expression
    for name in names:
        plain = next((name[:-len(p)] for p in PARTS if name.endswith(p) and name[:-len(p)] in known), name)
        assert plain in known, f"{title}: no metric {name}"
    matched = re.findall(r"([\w:]+)\{([^}]*)\}", expression)
    for name, matchers in matched:
        plain = next((name[:-len(p)] for p in PARTS if name.endswith(p) and name[:-len(p)] in known), name)
        for label in re.findall(r"(\w+)\s*[=!]~?\s*\"", matchers):
            assert label in known[plain] | OUTSIDE, f"{title}: {name} has no label {label}"
    every = OUTSIDE | set().union(*known.values())
    for group in re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", expression):
        assert {w.strip() for w in group.split(",")} <= every, f"{title}: {group}"


# --- the dashboard ---

def test_dashboard_is_well_formed():
    board = load(DASHBOARD)
    ids = [p["id"] for p in board["panels"]]
    assert len(set(ids)) == len(ids) > 20 and board["schemaVersion"] >= 36 and board["uid"] == "serin"
    variables = {v["name"]: v for v in board["templating"]["list"]}
    assert variables["datasource"]["type"] == "datasource" and set(variables) == {"datasource", "job", "route"}
    source = {"type": "prometheus", "uid": "${datasource}"}
    for panel in board["panels"]:
        assert panel["title"], panel
        if panel["type"] == "row":
            continue
        assert panel["datasource"] == source and panel["description"] and panel["targets"], panel["title"]
        assert all(t["datasource"] == source for t in panel["targets"]), panel["title"]
        refs = [t["refId"] for t in panel["targets"]]
        assert len(set(refs)) == len(refs), panel["title"]
    assert [p["repeat"] for p in board["panels"] if p.get("repeat")] == ["route"]


def test_panels_do_not_overlap():
    taken = {}
    for panel in load(DASHBOARD)["panels"]:
        g = panel["gridPos"]
        assert g["x"] + g["w"] <= 24
        for cell in ((x, y) for x in range(g["x"], g["x"] + g["w"]) for y in range(g["y"], g["y"] + g["h"])):
            assert cell not in taken, f"{panel['title']} lies on {taken.get(cell)}"
            taken[cell] = panel["title"]


def query(port, expression):
    return ask(f"127.0.0.1:{port}", target="/api/v1/query?query=" + urllib.parse.quote(expression))


def filled(expression):
    return expression.replace("$job", "serin").replace("$route", "web")


def test_a_real_prometheus_answers_every_query(serin, shop, users, prometheus, free_port):
    """serin in a rollout with traffic; each query parses, and gives a series where there must be one."""
    proxy = serin(route(shop("v1", errors=2).address, shop("v2", errors=2).address, breaker={"min_requests": 0},
                        rollout={"steps": ["50%", "100%"], "hold": "5m", "max_hold": "10m", "checks": {"latency": {"warmup": "0"}}}))
    users(proxy.address, users=50, rate=300)
    prometheus(proxy.admin, free_port, rules=RULES.values())
    proxy.cli("start", "web")
    wanted = {e: t for t, e in dashboard_queries() if not ABSENT.search(e)}
    wanted.update({r["record"]: r["record"] for r in rules("recording")})
    assert len(wanted) > 35

    def missing():
        gone = {}
        for expression, title in wanted.items():
            answer = query(free_port, filled(expression))
            if answer.status != 200 or not json.loads(answer.body)["data"]["result"]:
                gone[title] = expression
        return gone
    try:
        wait_until(lambda: not missing(), 90, "a series for every query")
    except AssertionError:
        raise AssertionError(f"without a series: {missing()}")
    for title, expression in EXPRESSIONS:
        answer = query(free_port, filled(expression))
        assert answer.status == 200, (title, answer.body)
    loaded = json.loads(ask(f"127.0.0.1:{free_port}", target="/api/v1/rules").body)["data"]["groups"]
    assert {r["name"]: r["health"] for g in loaded for r in g["rules"] if r["health"] != "ok"} == {}
    ratio = json.loads(query(free_port, 'route:serin_canary_requests:ratio_rate5m{route="web"}').body)["data"]["result"]
    assert 0 < float(ratio[0]["value"][1]) <= 0.55
