"""Who is told of rollouts: forms, signatures, tries, secrets; receivers that are slow, gone or refuse.

SPDX-License-Identifier: Apache-2.0
"""
import json
import os
import re
import subprocess

import pytest

from backends import full_listener
from receivers import Alertmanager, Receiver
from rig import route, run_serin, wait_until

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..", "README.md")
SECRET = "0123456789abcdef0123456789abcdef"
ALL = ["started", "step", "judged", "weight", "held", "paused", "resumed", "failed", "aborted", "restored", "completed", "reset",
       "warning", "leader"]
STEPS = {"steps": ["10%", "50%"], "hold": "1h", "max_hold": "2h"}


@pytest.fixture
def receiver(cleanup):
    def make():
        made = Receiver()
        cleanup.append(made.stop)
        return made
    return make


@pytest.fixture
def start(serin, v1, v2):
    """Starts serin with these notifications."""
    def make(*notifications, **more):
        return serin(route(v1.address, v2.address, rollout=STEPS), notifications=list(notifications), **more)
    return make


def begin_and_abort(proxy):
    proxy.cli("start", "web")
    proxy.at_weight(10)
    proxy.cli("abort", "web", "--who", "ada")
    wait_until(lambda: proxy.status()["state"] == "ABORTED", 10, "the end")


def sum_of(proxy, target, result):
    return proxy.metrics().sum("serin_notifications_total", target=target, result=result)


def test_generic_events_in_order(start, receiver):
    to = receiver()
    proxy = start({"name": "ci", "url": to.url + "/hook", "events": ALL}, admin={"bind": "127.0.0.1:0", "url": "https://serin.test/"})
    begin_and_abort(proxy)
    restored = to.wait_for("StableRestored")
    assert to.events()[:3] == ["RolloutStarted", "StepStarted", "WeightChanged"]
    assert to.events().index("RolloutAborted") < to.events().index("StableRestored") == len(to.events()) - 1
    aborted = to.wait_for("RolloutAborted").json
    assert aborted["schema"] == 1 and aborted["kind"] == "aborted" and aborted["route"] == "web"
    assert (aborted["stable"], aborted["canary"], aborted["step"], aborted["steps"]) == ("v1", "v2", 1, 3)
    assert aborted["weight"] == {"from": 10, "to": 0, "step": 10} and "aborted by ada" in aborted["why"]
    assert aborted["rates"]["canary"] == {"requests": 0, "failed": 0, "error_rate": None}
    assert aborted["url"] == "https://serin.test/#/web" and aborted["headline"] == "web: v2 is aborted, everyone goes back to v1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", aborted["time"]) and aborted["rollout_id"].startswith("web-")
    assert len({p.id for p in to.seen()}) == len(to.seen()) and restored.json["id"] == restored.id
    assert restored.path == "/hook" and restored.headers["Content-Type"] == "application/json"
    assert "X-Serin-Signature" not in restored.headers
    wait_until(lambda: sum_of(proxy, "ci", "sent") == len(to.seen()), 5, "the count of all")


def test_a_restart_tells_nothing_anew(start, receiver):
    to = receiver()
    proxy = start({"name": "ci", "url": to.url})
    proxy.cli("start", "web")
    to.wait_for("StepStarted")
    proxy.at_weight(10)
    proxy.kill()
    proxy.start()
    proxy.at_weight(10)
    proxy.cli("pause", "web")
    to.wait_for("RolloutPaused")
    assert to.events() == ["RolloutStarted", "StepStarted", "RolloutPaused"]


def test_whom_what_concerns(serin, v1, v2, backend, receiver):
    """events and routes choose."""
    ends, others = receiver(), receiver()
    web, shop = route(v1.address, v2.address, rollout=STEPS), route(backend("v1").address, backend("v2").address, rollout=STEPS)
    web["paths"], shop["paths"], shop["name"] = ["/web"], ["/shop"], "shop"
    proxy = serin([web, shop], notifications=[{"name": "ends", "url": ends.url, "events": ["aborted"]},
                                              {"name": "others", "url": others.url, "routes": ["shop"]}])
    begin_and_abort(proxy)
    proxy.cli("start", "shop")
    others.wait_for("StepStarted")
    wait_until(lambda: ends.events() == ["RolloutAborted"], 10, "the abort")
    assert {p.json["route"] for p in others.seen()} == {"shop"}


def test_slack_message_and_its_secret_url(start, receiver, tmp_path, cleanup):
    to = receiver()
    path = "/services/T000/B000/tOpSeCrEt"
    file = tmp_path / "chat.url"
    file.write_text(f" {to.url}{path} \r\n")
    file.chmod(0o600)
    proxy = start({"name": "chat", "format": "slack", "url_file": str(file)})
    to.answers[:] = [(503, {}), (404, {})]      # the log has something to say
    begin_and_abort(proxy)
    wait_until(lambda: any("is aborted" in p.json["text"] for p in to.seen()), 20, "the word of the abort")
    message = next(p for p in to.seen() if "is aborted" in p.json["text"])
    assert message.path == path and message.json["text"] == "web: v2 is aborted, everyone goes back to v1"
    attachment, = message.json["attachments"]
    assert "aborted by ada" in attachment["text"] and attachment["fallback"] == attachment["text"]
    assert re.fullmatch("#[0-9a-f]{6}", attachment["color"]) and "title_link" not in attachment
    proxy.config["notifications"][0]["url_file"] = str(tmp_path / "other.url")
    (tmp_path / "other.url").write_text(f"{to.url}{path}2\n")
    proxy.write()
    said = proxy.cli("reload") + json.dumps(proxy.status()) + proxy.metrics().text + proxy.log()
    assert "notification chat: url_file" in said and "target=chat" in said
    assert "can be read by every user" in said          # the second file
    assert "tOpSeCrEt" not in said and "/services/" not in said
    checked = run_serin("check", "-c", proxy.file)
    assert checked.returncode == 0 and "tOpSeCrEt" not in checked.stdout + checked.stderr


def test_the_signature_is_what_the_readme_verifies(start, receiver, tmp_path):
    with open(README) as f:
        snippet = re.search(r"<!-- signature -->\n```sh\n(.*?)```", f.read(), re.S)[1]
    to = receiver()
    secret = tmp_path / "webhook.secret"
    secret.write_text(SECRET + "\n")
    secret.chmod(0o600)
    proxy = start({"name": "ci", "url": to.url, "secret_file": str(secret)})
    proxy.cli("start", "web")
    post = to.wait_for("RolloutStarted")

    def verify(body, signature):
        (tmp_path / "body").write_bytes(body)
        done = subprocess.run(["sh", "-c", snippet], cwd=tmp_path, capture_output=True, text=True, timeout=20,
                              env={**os.environ, "signature": signature, "body": "body"})
        return done.returncode == 0 and "serin" in done.stdout
    signature = post.headers["X-Serin-Signature"]
    assert re.fullmatch(r"t=\d{10},v1=[0-9a-f]{64}", signature)
    assert verify(post.body, signature)
    assert not verify(post.body + b" ", signature)
    assert not verify(post.body, signature.replace("t=1", "t=2"))
    assert SECRET not in proxy.log()


def test_it_is_tried_again_and_order_is_kept(start, receiver):
    to = receiver()
    to.answers[:] = [(503, {}), (429, {"Retry-After": "2"})]
    proxy = start({"name": "ci", "url": to.url, "events": ["started", "step", "aborted"]})
    begin_and_abort(proxy)
    to.wait_for("RolloutAborted", 30)
    first, second, third = to.seen()[:3]
    assert first.id == second.id == third.id and first.body == second.body == third.body
    assert third.at - second.at >= 2
    assert to.events() == ["RolloutStarted"] * 3 + ["StepStarted", "RolloutAborted"]
    wait_until(lambda: sum_of(proxy, "ci", "sent") == 3, 5, "the count of all")
    assert sum_of(proxy, "ci", "retried") == 2 and sum_of(proxy, "ci", "dropped") == 0
    assert proxy.log().count("notification_delayed") == 1 and proxy.log().count("notification_sent") == 1


def test_what_is_refused_is_not_sent_again(start, receiver):
    to, elsewhere = receiver(), receiver()
    to.answers[:] = [(404, {}), (307, {"Location": elsewhere.url})]
    proxy = start({"name": "ci", "url": to.url, "events": ["started", "step", "aborted"]})
    begin_and_abort(proxy)
    to.wait_for("RolloutAborted")
    assert to.events() == ["RolloutStarted", "StepStarted", "RolloutAborted"] and not elsewhere.seen()
    wait_until(lambda: sum_of(proxy, "ci", "sent") == 1, 5, "the count of the third")
    assert sum_of(proxy, "ci", "refused") == 2 and proxy.log().count("notification_refused") == 2


def test_a_dead_receiver_costs_nothing(start, receiver, free_port):
    """One that never answers and one that is not there: the other is told all the same, and every second is judged."""
    to = receiver()
    with full_listener() as deaf:
        proxy = start({"name": "deaf", "url": f"http://{deaf}", "timeout": "60s"}, {"name": "gone", "url": f"http://127.0.0.1:{free_port}"},
                      {"name": "ci", "url": to.url, "events": ALL})
        proxy.cli("start", "web")
        proxy.at_weight(10)
        before = proxy.metrics().sum("serin_rollout_verdicts_total")
        wait_until(lambda: proxy.metrics().sum("serin_rollout_verdicts_total") >= before + 3, 20, "three more verdicts")
        proxy.cli("abort", "web")
        to.wait_for("StableRestored")
        assert sum_of(proxy, "deaf", "sent") == sum_of(proxy, "gone", "sent") == 0
        assert sum_of(proxy, "gone", "retried") >= 1 and "notification_delayed target=gone" in proxy.log()
        log = proxy.log_file
        proxy.stop()
    with open(log) as f:
        text = f.read()
    assert "notifications_dropped target=deaf" in text and "notifications_dropped target=gone" in text


def test_a_stop_delivers_what_waits(start, receiver):
    to = receiver()
    to.answers[:] = [(503, {"Retry-After": "600"})]
    proxy = start({"name": "ci", "url": to.url, "events": ["started", "step"]}, timeouts={"drain": "10s"})
    proxy.cli("start", "web")
    proxy.at_weight(10)
    wait_until(lambda: sum_of(proxy, "ci", "retried") == 1, 10, "the first try")
    proxy.stop()
    assert to.events() == ["RolloutStarted", "RolloutStarted", "StepStarted"]


def test_a_hand_over_delivers_what_waits(start, receiver):
    to = receiver()
    to.answers[:] = [(503, {"Retry-After": "600"})]
    proxy = start({"name": "ci", "url": to.url, "events": ["started", "step", "paused"]})
    proxy.cli("start", "web")
    proxy.at_weight(10)
    wait_until(lambda: sum_of(proxy, "ci", "retried") == 1, 10, "the first try")
    proxy.hand_over()
    proxy.cli("pause", "web")
    wait_until(lambda: sorted(to.events()) == ["RolloutPaused", "RolloutStarted", "RolloutStarted", "StepStarted"], 15, "all of them, once")


def test_a_reload_takes_receivers_and_gives_them_up(start, receiver):
    first, second = receiver(), receiver()
    first.answers[:] = [(503, {"Retry-After": "600"})] * 2
    proxy = start({"name": "stays", "url": first.url, "events": ["started", "step"]}, {"name": "goes", "url": first.url})
    proxy.cli("start", "web")
    wait_until(lambda: sum_of(proxy, "goes", "retried") == sum_of(proxy, "stays", "retried") == 1, 10, "the first tries")
    proxy.config["notifications"] = [{"name": "stays", "url": second.url, "events": ["started", "step", "paused"], "timeout": "5s"},
                                     {"name": "new", "url": second.url, "events": ["resumed"]}]
    proxy.write()
    said = proxy.cli("reload")
    for line in ("notification stays: url: another one", "notification stays: timeout: 5s (before: 10s)", "notification goes: removed",
                 "notification new: added"):
        assert line in said, said
    assert first.url not in said and second.url not in said
    assert "notifications_dropped target=goes" in proxy.log()
    proxy.cli("pause", "web")
    proxy.cli("resume", "web")
    second.wait_for("RolloutResumed")
    assert proxy.metrics().sum("serin_notifications_total", target="goes") == 0


def test_errors_of_the_file_show_no_secret(serin, v1, tmp_path):
    """With file, line and key; what stands there is not repeated."""
    short, empty, wrong = (tmp_path / n for n in ("short", "empty", "wrong"))
    short.write_text("tooshort\n")
    empty.write_text("\n")
    wrong.write_text("ftp://hooks/tOpSeCrEt\n")
    proxy = serin(route(v1.address), start=False, notifications=[
        {"name": "a", "url": "htps://hooks.test/tOpSeCrEt"},
        {"name": "b", "url": "https://hooks.test/tOpSeCrEt", "url_file": str(empty)},
        {"name": "a"},
        {"name": "c", "url": "https://hooks.test/tOpSeCrEt", "routes": ["web", "nowhere"], "events": ["abroted"]},
        {"name": "d", "url": "https://hooks.test/tOpSeCrEt\r\nX: y"}])
    done = run_serin("check", "-c", proxy.file)
    assert done.returncode == 78
    for said in ("notifications[0].url: what stands here does not begin with http:// or https://", "notifications[1].url_file: stands beside url",
                 "notifications[2].url: is missing", 'notifications[2].name: "a" is the name of notifications[0] too',
                 'notifications[3].routes[1]: "nowhere" is no route', 'notifications[3].events[0]: "abroted" is not known',
                 "notifications[4].url: what stands here holds a control character"):
        assert said in done.stderr, done.stderr
    assert "tOpSeCrEt" not in done.stdout + done.stderr
    proxy.config["notifications"] = [{"name": "a", "url": "https://hooks.test/", "secret_file": str(short)}, {"name": "b", "url_file": str(empty)},
                                     {"name": "c", "url_file": str(wrong)}, {"name": "d", "url_file": str(tmp_path / "none")}]
    proxy.write()
    done = run_serin("check", "-c", proxy.file)
    assert done.returncode == 78
    for said in ('notifications[0].secret_file: "%s" holds a secret of 8 characters' % short, 'notifications[1].url_file: "%s" holds no text' % empty,
                 'notifications[2].url_file: "%s" holds no URL' % wrong, "notifications[3].url_file"):
        assert said in done.stderr, done.stderr
    assert "tOpSeCrEt" not in done.stderr and "tooshort" not in done.stderr


def test_a_real_alertmanager(start, tmp_path, free_port, cleanup):
    manager = Alertmanager(tmp_path, free_port)
    cleanup.append(manager.stop)
    proxy = start({"name": "pager", "format": "alertmanager", "url": f"http://{manager.address}/"},
                  admin={"bind": "127.0.0.1:0", "url": "https://serin.test"})
    begin_and_abort(proxy)
    wait_until(lambda: list(manager.alerts()) == ["SerinRolloutAborted"], 15, "the alert")
    alert = manager.alerts()["SerinRolloutAborted"]
    assert alert["labels"] == {"alertname": "SerinRolloutAborted", "route": "web", "version": "v2", "severity": "critical"}
    assert alert["annotations"]["summary"] == "web: v2 is aborted, everyone goes back to v1" and "aborted by ada" in alert["annotations"]["description"]
    assert alert["generatorURL"] == "https://serin.test/#/web" and alert["status"]["state"] == "active"
    shown = subprocess.run(["amtool", "alert", "query", "--alertmanager.url", f"http://{manager.address}", "route=web", "-o", "simple"],
                           capture_output=True, text=True, timeout=30, check=True).stdout
    assert "SerinRolloutAborted" in shown
    proxy.cli("retry", "web")
    wait_until(lambda: not manager.alerts(), 15, "its end")
    assert sum_of(proxy, "pager", "refused") == 0


def test_serin_notify_sends_everybody_a_test(start, receiver):
    ci, chat = receiver(), receiver()
    proxy = start({"name": "ci", "url": ci.url, "events": ["aborted"]}, {"name": "chat", "url": chat.url, "format": "slack"})
    assert "on its way to 2 receivers" in proxy.cli("notify", "--who", "ada")
    assert ci.wait_for("NotificationTest").json["route"] == ""
    wait_until(lambda: chat.seen() and chat.seen()[0].json["text"] == "NotificationTest", 10, "the word in the chat")
    assert 'verb=notify route="-" who="ada"' in proxy.log()
    proxy.config["notifications"] = []
    proxy.write()
    proxy.cli("reload")
    done = proxy.cli("notify", expect=None)
    assert done.returncode == 1 and "names nobody" in done.stderr


@pytest.mark.long
def test_the_leader_tells(cluster, serin, receiver):
    from cluster import leader_of
    to = receiver()
    both = [serin(cluster.route(), **cluster.top(notifications=[{"name": "ci", "url": to.url}])) for _ in range(2)]
    leader = leader_of(both)
    leader.cli("start", "my-web")
    wait_until(lambda: all(p.status("my-web")["weight"]["intended"] == 25 for p in both), 30, "the first step, everywhere")
    leader.cli("abort", "my-web")
    to.wait_for("StableRestored", 40)
    names = to.events()
    assert names.count("RolloutStarted") == names.count("RolloutAborted") == names.count("StableRestored") == 1, names
