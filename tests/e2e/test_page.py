"""The page of the admin port: what it is over the wire, and what an operator does with it in Chromium.

SPDX-License-Identifier: Apache-2.0
"""
import glob
import json
import os
import re

import pytest
from selenium.webdriver.common.keys import Keys

from browser import Browser
from rig import QUICK, Client, ask, route, wait_until

SOURCES = os.path.join(os.path.dirname(__file__), "..", "..", "metrics", "dashboard")
DYGRAPHS = "/usr/share/javascript/dygraphs/dygraph.min.js"
PLAN = {**QUICK, "steps": ["5%", "25%", "50%", "100%"], "hold": "3s", "bake": "3s"}
STANDING = {"steps": ["10%", "50%", "100%"], "hold": "5m", "max_hold": "10m", "bake": "1s"}
TOKEN = "s3cret-of-the-test"


# --- over the wire ---

@pytest.fixture
def standing(serin, v1, v2):
    return serin(route(v1.address, v2.address, rollout=STANDING))


def get(proxy, path, headers=()):
    return ask(proxy.admin, target=path, headers=headers, host=proxy.admin_host)


def test_files_and_their_fields(standing):
    page = get(standing, "/")
    assert page.status == 200 and page.get("content-type") == "text/html; charset=utf-8"
    named = re.findall(r'(?:src|href)="(/page/[^"]+)"', page.body.decode())
    scripts = [f"/page/{os.path.basename(p)}" for p in glob.glob(f"{SOURCES}/*.js")]
    assert "/page/app.js" in named and len(scripts) > 5
    assert ("/page/dygraph.min.js" in named) == os.path.exists(DYGRAPHS)
    for path in {"/", *named, *scripts}:
        answer = get(standing, path)
        assert answer.status == 200, path
        policy = answer.get("content-security-policy")
        assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self'") and "unsafe" not in policy
        assert "frame-ancestors 'none'" in policy and "form-action 'none'" in policy
        assert answer.get("x-content-type-options") == "nosniff" and answer.get("referrer-policy") == "no-referrer"
        again = get(standing, path, [("If-None-Match", answer.get("etag"))])
        assert again.status == 304 and again.body == b""
    assert get(standing, "/page/nothing.js").status == 404


def test_nothing_from_outside_and_no_markup_from_data():
    for path in glob.glob(f"{SOURCES}/*.*"):
        with open(path) as f:
            source = f.read()
        if not path.endswith(".cmake"):
            assert not re.search(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)[\w-]+\.\w", re.sub(r"^ *//.*", "", source, flags=re.M)), path
        assert not re.search(r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|localStorage|<script>| style=",
                             source), path
        assert source.count("\n") <= 500, path


def test_series_and_endpoints(standing, v1, v2):
    def series():
        code, body = standing.api("GET", "routes/web/series")
        assert code == 200 and body["route"] == "web" and all(len(p) == len(body["columns"]) for p in body["points"])
        return [dict(zip(body["columns"], p)) for p in body["points"]]
    standing.cli("start", "web")
    standing.at_weight(10)
    for _ in range(40):
        standing.ask()
    last = wait_until(lambda: [p for p in series() if p["canary_requests"] and p["weight"] == 10], 10, "a point at 10 %")[-1]
    assert last["stable_requests"] > 0 and last["stable_failed"] == 0 and last["stable_p50_ms"] > 0 and last["span_s"] > 0
    points = series()
    assert [p["t"] for p in points] == sorted({p["t"] for p in points})
    states = lambda: {e["address"]: e["state"] for e in standing.api("GET", "routes/web/endpoints")[1]["endpoints"]}
    assert states() == {v1.address: "up", v2.address: "up"}
    v2.refuse()
    wait_until(lambda: standing.ask() and states()[v2.address] == "down", 20, "the endpoint being down")
    assert standing.api("GET", "routes/shop/series")[0] == 404


def test_events_tell_of_every_route(serin, v1, v2, backend):
    other = backend("v1")
    proxy = serin([route(v1.address, v2.address, rollout=STANDING),
                   {**route(other.address), "name": "plain", "hosts": ["plain.test"]}])
    found, text = set(), ""
    with Client(proxy.admin, timeout=15) as client:
        client.send(f"GET /api/v1/events HTTP/1.1\r\nHost: {proxy.admin_host}\r\n\r\n")
        client.head()
        while not {(n, r) for n in ("tick", "sample", "endpoints") for r in ("web", "plain")} <= found:
            text += client.exactly(int(client.until(b"\r\n"), 16)).decode()
            client.exactly(2)
            found = {(n, json.loads(d)["route"]) for n, d in re.findall(r"event: (\S+)\ndata: (.*)\n\n", text)}


# --- in a browser ---

@pytest.fixture
def browser(cleanup, tmp_path):
    made = Browser(tmp_path)
    cleanup.append(made.stop)
    return made


@pytest.fixture
def clean(browser):
    """The browser; at the end its console has said nothing, and nobody but serin was asked for anything."""
    yield browser
    assert not browser.complaints()
    assert not browser.strangers()


def open_route(browser, proxy, name="web", query=""):
    browser.open(f"{proxy.admin_url}/{query}#/{name}")
    browser.wait(lambda: "live" in browser.texts("#live") and browser.text(".sentence"), "the route's sentence")


def test_a_rollout_watched_from_start_to_revert(serin, shop, users, clean):
    browser, versions = clean, (shop("v1"), shop("v2"))
    plain = shop("v1")
    proxy = serin([route(*[v.address for v in versions], rollout=PLAN),
                   {**route(plain.address), "name": "plain", "hosts": ["plain.test"]}], workers=2)
    users(proxy.address, users=300, rate=600)
    browser.open(proxy.admin_url)
    browser.wait(lambda: len(browser.texts(".route")) == 2, "both routes")
    assert browser.text(".summary") == "2 routes: 2 healthy"
    browser.press("web", ".name")
    browser.wait(lambda: browser.shown("button", "Start"), "the route's page")
    assert browser.run("return document.title") == "web – serin"
    browser.press("Start")
    assert "v2 gets 5% of the users" in browser.text("dialog")
    browser.keep("1-confirm")
    browser.press("Start", "dialog button")
    browser.wait(lambda: not browser.all("dialog") and "Progressing" in browser.text(".badge"), "the rollout going")
    browser.wait(lambda: browser.texts(".ladder.words .here") == ["25%"], "the step of 25%", 30)
    versions[1].control(errors=5)
    browser.wait(lambda: re.search("canary failed", browser.text(".sentence")), "the sentence about failures", 40)
    browser.keep("2-failing")
    browser.wait(lambda: "Degraded" in browser.text(".badge"), "the revert", 60)
    browser.wait(lambda: browser.texts(".result") == ["reverted"] and browser.shown("button", "Retry"), "the history")
    assert not browser.shown("button", "Abort")
    assert "RolloutAborted" in browser.text(".events") and "0% to v2" in browser.text(".now")
    assert browser.texts(".ladder.words .failed") == ["25%"]
    body = proxy.api("GET", "routes/web/series")[1]
    evidence, limit = (body["columns"].index(c) for c in ("evidence", "evidence_limit"))
    assert max(p[evidence] or 0 for p in body["points"]) >= 99 and {p[limit] for p in body["points"]} <= {None, 100}, "what decided it"
    requests = [int(re.sub(r"\D", "", r)) for r in browser.texts("section.panel td:nth-child(2)")[:2]]
    assert all(n > 0 for n in requests), requests
    if os.path.exists(DYGRAPHS):
        assert browser.run("""return [...document.querySelectorAll(".plot")].map((plot) => [...plot.querySelectorAll("canvas")].some((c) =>
            c.width && new Uint32Array(c.getContext("2d").getImageData(0, 0, c.width, c.height).data.buffer).some((p) => p)))""") == [True] * 5
    browser.keep("3-reverted")
    browser.scheme("dark")
    browser.keep("4-reverted-dark")
    browser.size(360, 800)
    browser.keep("5-narrow-dark")
    assert browser.run("return document.documentElement.scrollWidth") <= 360, "the page is wider than a small screen"
    browser.press("← All routes", "a")
    browser.wait(lambda: "1 degraded" in browser.text(".summary"), "the overview")
    browser.keep("6-overview-narrow-dark")
    assert browser.run("return document.documentElement.scrollWidth") <= 360
    browser.scheme("light")
    browser.size(1600)
    browser.keep("7-overview")


@pytest.fixture
def guarded(serin, v1, v2, tmp_path):
    (tmp_path / "token").write_text(TOKEN + "\n")
    return serin(route(v1.address, v2.address, rollout=STANDING), admin={"bind": "127.0.0.1:0", "token_file": str(tmp_path / "token")})


def test_buttons_and_a_token_that_is_asked_for_once(guarded, browser):
    open_route(browser, guarded)
    browser.press("Start")
    browser.all("dialog input[name=who]")[0].send_keys("Ada")
    browser.press("Start", "dialog button")
    for word, is_right in (("wrong", False), (TOKEN, True)):
        browser.wait(lambda: browser.all("input[name=token]"), "the question for the token")
        browser.keep("8-token")
        browser.all("input[name=token]")[0].send_keys(word)
        browser.press("Use it")
        if not is_right:
            browser.wait(lambda: "not the token" in browser.text("dialog"), "the refusal of a wrong token")
    browser.wait(lambda: not browser.all("dialog") and browser.shown("button", "Pause"), "the start")
    guarded.at_weight(10)
    for verb, phase in (("Pause", "Paused"), ("Resume", "Progressing"), ("Promote", "Progressing"), ("Abort", "Degraded")):
        browser.press(verb)
        browser.wait(lambda: browser.all("dialog"), "the confirmation")
        assert browser.all("dialog input[name=who]")[0].get_attribute("value") == "Ada"
        browser.press(verb, "dialog button")
        browser.wait(lambda: not browser.all("dialog") and phase in browser.text(".badge"), f"the phase {phase}")
        if verb == "Promote":
            guarded.at_weight(50)
    assert browser.wait(lambda: "by Ada" in browser.text("summary"), "the history's name")
    assert guarded.api("GET", "routes/web/history")[1]["history"][0]["who"] == "Ada"
    kept = browser.run("return [sessionStorage.getItem('serin.token'), localStorage.length, document.cookie, location.href]")
    assert kept[0] == TOKEN and kept[1:3] == [0, ""] and TOKEN not in kept[3]
    browser.press("Forget the token")
    assert browser.run("return sessionStorage.getItem('serin.token')") is None
    assert TOKEN not in guarded.log()
    assert not browser.complaints(["401"])
    assert not any(TOKEN in url for url in browser.asked) and not browser.strangers()


def test_where_reading_needs_the_token(serin, v1, v2, tmp_path, browser):
    (tmp_path / "token").write_text(TOKEN + "\n")
    proxy = serin(route(v1.address, v2.address, rollout=STANDING), admin={"bind": "0.0.0.0:0", "token_file": str(tmp_path / "token")})
    address = proxy.admin_url.replace("0.0.0.0", "127.0.0.1")
    browser.open(address + "/#/web")
    browser.wait(lambda: browser.all("dialog input[name=token]"), "the question for the token")
    browser.press("Cancel")
    browser.wait(lambda: "Reading needs the token" in browser.text("main"), "the page without it")
    assert "v1" not in browser.text("main")
    browser.press("Enter the token")
    browser.wait(lambda: browser.all("dialog input[name=token]"), "the question for the token")
    browser.all("dialog input[name=token]")[0].send_keys(TOKEN + Keys.ENTER)
    browser.wait(lambda: "live" in browser.texts("#live") and browser.shown("button", "Start"), "the route")
    browser.open(address + "/#/")
    browser.wait(lambda: browser.texts(".name") == ["web"], "the overview, and no second question")
    assert not browser.all("dialog") and not browser.complaints(["401"])


def test_a_refusal_is_shown_where_it_was_asked(guarded, browser):
    open_route(browser, guarded)
    browser.run("sessionStorage.setItem('serin.token', arguments[0])", TOKEN)
    browser.press("Start")
    guarded.cli("start", "web", environment={"SERIN_TOKEN": TOKEN})      # somebody was faster
    browser.press("Start", "dialog button")
    browser.wait(lambda: browser.shown("[role=alert]", browser.text("[role=alert]") or "?"), "the reason")
    assert not browser.complaints(["409"])


def test_it_connects_again(serin, v1, v2, browser, free_port):
    proxy = serin(route(v1.address, v2.address, rollout=STANDING), admin={"bind": f"127.0.0.1:{free_port}"})
    open_route(browser, proxy)
    proxy.kill()
    browser.wait(lambda: "Not connected since" in browser.text("#banner"), "the banner")
    browser.keep("9-not-connected")
    proxy.start()
    browser.wait(lambda: "live" in browser.texts("#live") and not browser.shown("#banner", browser.text("#banner")), "the link")
    proxy.cli("start", "web")
    browser.wait(lambda: "Progressing" in browser.text(".badge"), "the news after it")
    assert not browser.complaints(["ERR_CONNECTION_REFUSED", "ERR_INCOMPLETE_CHUNKED_ENCODING", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"])


def test_a_hidden_tab_gives_its_connection_back(standing, clean):
    hide = """Object.defineProperty(document, "hidden", { configurable: true, get: () => arguments[0] });
              document.dispatchEvent(new Event("visibilitychange"));"""
    open_route(clean, standing)
    clean.run(hide.replace("arguments[0]", "true"))
    clean.wait(lambda: clean.texts("#live") == ["asleep"], "the tab being asleep")
    standing.cli("start", "web")
    clean.run(hide.replace("arguments[0]", "false"))
    clean.wait(lambda: clean.texts("#live") == ["live"] and "Progressing" in clean.text(".badge"), "the tab being awake")


def test_all_the_way_and_back(standing, clean):
    open_route(clean, standing)
    clean.press("Start")
    clean.press("Start", "dialog button")
    standing.at_weight(10)
    clean.press("Promote")
    assert clean.texts("dialog .choice") == ["To the next step: 50%", "All the way: v2 serves everyone"]
    clean.all("dialog input[type=radio]")[1].click()
    clean.press("Promote", "dialog button")
    clean.wait(lambda: clean.shown("button", "Undo"), "the promotion")
    assert clean.texts(".result") == ["completed"] and not clean.shown("button", "Start")
    clean.press("Undo")
    clean.press("Undo", "dialog button")
    wait_until(lambda: standing.status()["stable"] == "v1" and standing.status()["result"] == "completed", 20, "v1 serving everyone")
    clean.wait(lambda: clean.texts(".result") == ["completed", "completed"] and "stable v1" in clean.text(".title"), "the way back")
    assert {standing.ask().get("x-version") for _ in range(10)} == {"v1"}


def test_a_viewer_has_nothing_to_press(standing, clean):
    open_route(clean, standing, query="?view")
    standing.cli("start", "web")
    clean.wait(lambda: "Progressing" in clean.text(".badge"), "the news")
    assert "read-only" in clean.text(".top") and not [b for b in clean.all("button") if b.is_displayed()]
    clean.press("← All routes", "a")
    clean.wait(lambda: clean.texts(".route"), "the overview")
    assert not [b for b in clean.all("button") if b.is_displayed()] and clean.run("return location.search") == "?view"


def test_a_reload_changes_the_routes(standing, clean, backend):
    clean.open(standing.admin_url)
    clean.wait(lambda: clean.texts(".name") == ["web"], "the route")
    standing.config["routes"].append({**route(backend("v1").address), "name": "late", "hosts": ["late.test"]})
    standing.write()
    standing.cli("reload")
    clean.wait(lambda: clean.texts(".name") == ["web", "late"], "the new route")
    del standing.config["routes"][1]
    standing.write()
    standing.cli("reload")
    clean.wait(lambda: clean.texts(".name") == ["web"], "the dropped route being gone")


def test_keyboard_alone(standing, clean):
    clean.open(standing.admin_url)
    clean.wait(lambda: clean.texts(".name") == ["web"], "the route")
    focus = lambda: clean.run("const e = document.activeElement; return e.innerText || e.name || e.id")
    keys = lambda *what: clean.driver.switch_to.active_element.send_keys(*what)

    def tab_to(name):
        for _ in range(30):
            keys(Keys.TAB)
            if focus() == name:
                assert clean.run("return document.activeElement.matches(':focus-visible')"), f"the focus on {name} cannot be seen"
                return
        raise AssertionError(f"tab does not reach {name}")
    tab_to("web")
    keys(Keys.ENTER)
    clean.wait(lambda: clean.shown("button", "Start"), "the route's page")
    assert clean.run("return document.activeElement.id") == "main"
    tab_to("Start")
    keys(Keys.ENTER)
    clean.wait(lambda: clean.all("dialog"), "the confirmation")
    assert clean.run("return document.activeElement.closest('dialog') !== null")
    keys(Keys.ESCAPE)
    clean.wait(lambda: not clean.all("dialog"), "the end of the dialog")
    assert focus() == "Start" and standing.status()["phase"] == "Healthy"
    keys(Keys.ENTER)
    clean.wait(lambda: clean.all("dialog"), "the confirmation")
    tab_to("Start")
    keys(Keys.ENTER)
    clean.wait(lambda: "Progressing" in clean.text(".badge"), "the start")
    clean.wait(lambda: {"web:", "Start:"} <= {said.split()[0] for said in clean.texts("#announcer p")}, "what a screen reader hears")


# An answer that comes long after the event that it caused, as with a slow line.
LATE_ANSWERS = """
const ask = window.fetch;
window.fetch = async (address, options) => {
  const answer = await ask(address, options);
  if (options && options.method === "POST") await new Promise((done) => setTimeout(done, 500));
  return answer;
};
"""


def test_nothing_that_is_said_takes_the_place_of_another(standing, clean):
    open_route(clean, standing)
    clean.run(LATE_ANSWERS)
    said = lambda: [text.split()[0] for text in clean.texts("#announcer p")]
    clean.press("Start")
    clean.press("Start", "dialog button")
    clean.wait(lambda: "Start:" in said(), "the answer")
    assert "web:" in said()[:said().index("Start:")]
    for _ in range(3):
        standing.cli("pause", "web")
        clean.wait(lambda: clean.shown("button", "Resume"), "the pause")
        standing.cli("resume", "web")
        clean.wait(lambda: clean.shown("button", "Pause"), "the rollout going on")
    clean.wait(lambda: said() == ["web:"] * 5, "the last five")


# Contrast of every text that can be seen (WCAG 2.2, 1.4.3), with what lies behind it; the worst first.
CONTRAST = """
const channel = (v) => (v /= 255, v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
const parts = (text) => text.match(/[\\d.]+/g).map(Number);
const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
const behind = (e) => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor); if (c[3] !== 0) return c; } };
const found = [];
for (const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT); walker.nextNode();) {
  const e = walker.currentNode.parentElement, box = e.getBoundingClientRect();
  if (!walker.currentNode.data.trim() || box.width < 2 || e.closest("[hidden], noscript, script, .unseen, .skip")) continue;
  const a = light(parts(getComputedStyle(e).color)), b = light(behind(e));
  found.push([(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), e.className || e.tagName, walker.currentNode.data.trim()]);
}
return found.sort((a, b) => a[0] - b[0]);
"""


def tree(browser):
    """The page as a screen reader has it: (role, name) of everything that is not ignored."""
    browser.cdp("Accessibility.enable")
    nodes = browser.cdp("Accessibility.getFullAXTree")["nodes"]
    return [(n["role"]["value"], n.get("name", {}).get("value", "").strip()) for n in nodes if not n["ignored"]]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_everybody_can_read_it(standing, clean, scheme):
    clean.scheme(scheme)
    standing.cli("start", "web")
    open_route(clean, standing)
    clean.wait(lambda: "Progressing" in clean.text(".badge") and clean.shown("button", "Abort"), "the rollout")
    for view in ("route", "dialog", "overview"):
        if view == "dialog":
            clean.press("Abort")
        if view == "overview":
            clean.press("Cancel", "dialog button")
            clean.press("← All routes", "a")
            clean.wait(lambda: clean.texts(".route"), "the overview")
        texts = clean.run(CONTRAST)
        assert len(texts) > 8 and texts[0][0] >= 4.5, texts[:5]
        seen = tree(clean)
        nameless = [role for role, name in seen if role in ("button", "link", "textbox", "radio", "meter", "region", "table", "dialog") and not name]
        assert not nameless, f"{view}: without a name: {nameless}"
        assert {"main", "banner"} <= {role for role, _ in seen} or view == "dialog"
    levels = clean.run("return [...document.querySelectorAll('h1, h2, h3')].filter((h) => h.offsetParent).map((h) => +h.tagName[1])")
    assert levels[0] == 1 and levels.count(1) == 1 and all(b - a <= 1 for a, b in zip(levels, levels[1:]))
    assert clean.run("return document.documentElement.lang") == "en"
