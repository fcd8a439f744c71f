// The view of one route: what it does and why, what a person can do, charts, versions, checks, endpoints, history.
// SPDX-License-Identifier: Apache-2.0

import { confirm, VERBS } from "./actions.js";
import { charts } from "./charts.js";
import { checkWord, count, duration, interval, milliseconds, odds, percent, share, stateWord } from "./format.js";
import { fit, h, put, putProse, setClass, show, table, timeOf } from "./dom.js";
import { badge, ladder, meter, versionOf } from "./parts.js";
import { loadDetails, store } from "./store.js";

const ROLLOUT = 0; // a range: as far back as the newest rollout began
const RANGES = [["Rollout", ROLLOUT], ["5 min", 300], ["1 h", 3600], ["24 h", 86400]];
const SHORTEST_S = 30, REST_S = 300, BEFORE_S = 5;
const RESULTS = { completed: "good", reverted: "bad", aborted: "hold", superseded: "hold" };
const VERDICTS = { promote: "good", revert: "bad" };

/** Steps and verdicts of the past rollouts, as marks on the time axis. */
export function marksOf(history) {
  const marks = [];
  for (const run of history) {
    (run.steps || []).forEach((step, i) => {
      const before = run.steps[i - 1];
      marks.push({ t: Date.parse(step.entered_at), kind: "step", text: `${before?.verdict === "promote" ? "✓ " : ""}${percent(step.weight)}` });
    });
    if (run.result) marks.push({ t: Date.parse(run.ended_at), kind: RESULTS[run.result] || "hold", text: run.result });
  }
  return marks.filter((mark) => Number.isFinite(mark.t)).sort((a, b) => a.t - b.t);
}

/** The seconds that a range looks back. A rollout that is long over is history: then the last minutes are more of use. */
function secondsOf(range, history) {
  if (range !== ROLLOUT) return range;
  const [newest] = history, now = Date.now() / 1000;
  const ended = newest?.ended_at ? Date.parse(newest.ended_at) / 1000 : now;
  if (!newest || now - ended > REST_S) return REST_S;
  return Math.max(SHORTEST_S, now - Date.parse(newest.started_at) / 1000 + BEFORE_S);
}

/** How far the present step is: "4 s of 1 min at least". */
function progress(s) {
  if (!s.step) return "";
  const hold = s.hold_s ? ` of ${duration(s.hold_s)} at least` : "";
  return s.state === "ABORTED" ? "" : `step ${s.step} of ${s.steps}, for ${duration(s.step_elapsed_s)}${hold}; ${duration(s.elapsed_s)} in all`;
}

function buttons(isViewer, getStatus, announce) {
  const element = h("div", { className: "actions", role: "group", "aria-label": "Actions" });
  if (isViewer) return { element: null, update() {} };
  const made = VERBS.map((entry) => {
    const button = h("button", { type: "button", className: entry.kind, hidden: true, onclick: () =>
      confirm(entry, getStatus(), (answer) => announce(`${entry.label}: ${answer.message || "done"}`)) }, entry.label);
    element.append(button);
    return { entry, button };
  });
  return { element, update(status) {
    for (const { entry, button } of made) show(button, Boolean(entry.allows(status)));
  } };
}

function versionsTable() {
  const heads = [{ text: "version" }, { text: "requests", kind: "number" }, { text: "failed", kind: "number" }, { text: "error rate", kind: "number" },
    { text: "95% interval", kind: "number", title: "of the error rate, at this step" }, { text: "p50", kind: "number" },
    { text: "p99", kind: "number" }, { text: "endpoints", kind: "number", title: "available of all" },
    { text: "replicas", kind: "number", title: "available, ready and wanted, of a workload" }];
  const made = table("Both versions, since this step began", heads);
  return { element: made.element, update(s) {
    const isCluster = (s.versions || []).some((v) => v.replicas);
    setClass(made.element, isCluster ? "scroll" : "scroll without-last");
    made.fill((s.versions || []).map((v) => [
      { text: `${v.name} (${v.role})`, kind: v.role, title: v.workload || "" }, count(v.requests), count(v.failed), share(v.error_rate),
      v.requests ? interval(v.interval) : "–", milliseconds(v.p50_ms), milliseconds(v.p99_ms),
      { text: `${v.available} of ${v.endpoints}`, kind: v.available < v.endpoints ? "warn" : "" },
      v.replicas?.known ? `${v.replicas.available}/${v.replicas.ready}/${v.replicas.wanted}` : "–"]));
  } };
}

function checksTable() {
  const made = table("What is compared", [{ text: "check" }, { text: "canary", kind: "number" }, { text: "allowed", kind: "number" },
    { text: "evidence", kind: "number", title: "that the canary is worse than allowed" }]);
  const more = table("What others say", [{ text: "asked" }, { text: "answer" }, { text: "why" }]);
  const element = h("div", {}, made.element, more.element);
  return { element, update(s) {
    const checks = s.step ? s.checks || [] : [];
    show(made.element, checks.length > 0);
    made.fill(checks.map((c) => [checkWord(c.check), share(c.value), share(c.limit), odds(c.evidence)]));
    const others = [
      ...(s.more_checks || []).map((c) => [c.name + (c.dry_run ? " (dry run)" : ""), c.verdict, c.why || "–"]),
      ...(s.gates || []).map((g) => [`gate ${g.on.replaceAll("_", " ")}`, g.open ? "open" : "closed", g.why || "–"]),
      ...(s.window_open === undefined ? [] : [["time windows", s.window_open ? "open" : "closed", "–"]])];
    show(more.element, others.length > 0);
    more.fill(others);
    show(element, checks.length + others.length > 0);
  } };
}

function endpointsTable() {
  const made = table("Endpoints", [{ text: "endpoint" }, { text: "version" }, { text: "health" }]);
  const rest = h("p", { className: "note", hidden: true });
  const kinds = { up: "good", down: "bad", ejected: "warn", untried: "muted" };
  return { element: h("div", {}, made.element, rest), update(known) {
    made.fill(known.endpoints.map((e) => [e.address, e.version, { kind: kinds[e.state] || "",
      text: e.state === "ejected" ? "ejected, returns by itself" : e.state === "untried" ? "not tried yet" : e.state }]));
    show(rest, known.left_out > 0);
    put(rest, `and ${count(known.left_out)} more`);
  } };
}

/** One past rollout; its steps unfold. */
function run() {
  const line = h("summary"), why = h("p", { className: "why" });
  const steps = table("Steps", [{ text: "step" }, { text: "began" }, { text: "verdict" }, { text: "why" }]);
  const element = h("details", {}, line, why, steps.element);
  let said = "";
  element.serin = { update(r) {
    const text = JSON.stringify(r);
    if (text === said) return;
    said = text;
    const took = r.ended_at ? duration((Date.parse(r.ended_at) - Date.parse(r.started_at)) / 1000) : "running";
    line.replaceChildren(h("span", { className: `result ${RESULTS[r.result] || "running"}` }, r.result || "running"),
      h("span", {}, `${r.stable} → ${r.canary}`), timeOf(r.started_at), h("span", { className: "muted" }, took),
      h("span", { className: "muted" }, `${r.verb}${r.who ? ` by ${r.who}` : ""}`));
    putProse(why, r.why);
    steps.fill((r.steps || []).map((step) => [percent(step.weight), new Date(step.entered_at).toLocaleTimeString("en-GB"),
      { text: step.verdict || "–", kind: VERDICTS[step.verdict] || "" }, step.why || "–"]));
  } };
  return element;
}

function eventsList() {
  const list = h("ol", { className: "events" }), none = h("p", { className: "muted" }, "None since this page was opened.");
  return { element: h("div", {}, none, list), update(events) {
    show(none, events.length === 0);
    fit(list, events, () => h("li", {}, h("span"), h("b"), h("span", { className: "muted" })), (li, event, i) => {
      put(li.children[0], new Date(event.at).toLocaleTimeString("en-GB"));
      put(li.children[1], event.name);
      putProse(li.children[2], event.why === events[i - 1]?.why ? "" : event.why); // one cause, several events
    });
  } };
}

function ranges(pick) {
  const inputs = RANGES.map(([text, seconds], i) => h("label", {},
    h("input", { type: "radio", name: "range", checked: i === 0, onchange: () => pick(seconds) }), h("span", {}, text)));
  return h("fieldset", { className: "ranges" }, h("legend", { className: "unseen" }, "How far back the charts look"), ...inputs);
}

/** The sentence, the state and the ladder at the top. */
function headline(name, actions) {
  const phase = badge(), steps = ladder(true), evidence = meter("evidence against the canary");
  const [state, pair, weight, since, why, odd] = ["span", "span", "p", "p", "p", "span"].map((tag) => h(tag));
  why.className = "sentence";
  weight.className = "weight";
  since.className = "muted";
  const against = h("p", { className: "against" }, odd, evidence.element);
  const element = h("header", { className: "headline" }, h("p", { className: "crumb" }, h("a", { href: "#/" }, "← All routes")),
    h("div", { className: "title" }, h("h1", {}, name), phase.element, state, pair, h("span", { className: "grow" }), actions || ""),
    why, h("div", { className: "now" }, weight, steps.element, since, against));
  return { element, update(s) {
    phase.update(s.phase);
    put(state, stateWord(s.state));
    put(pair, s.canary ? `stable ${s.stable}, canary ${s.canary}` : `stable ${s.stable}`);
    setClass(pair, "muted");
    const seen = s.weight.observed === null || s.weight.observed === undefined ? "" : ` (seen: ${percent(s.weight.observed)})`;
    put(weight, s.canary ? `${percent(s.weight.intended)} to ${s.canary}${seen}` : `everyone to ${s.stable}`);
    steps.update(s);
    put(since, progress(s));
    putProse(why, s.why);
    const isJudged = s.evidence && s.step > 0;
    show(against, Boolean(isJudged));
    if (!isJudged) return;
    put(odd, `evidence against it ${odds(s.evidence.against)}, reverts at ${odds(s.evidence.revert_at)}`);
    evidence.update(s.evidence.against, s.evidence.revert_at);
  } };
}

const section = (title, ...children) => h("section", { className: "panel" }, h("h2", {}, title), ...children);

export function routeView(name, isViewer, announce) {
  let range = ROLLOUT;
  const actions = buttons(isViewer, () => store.routes.get(name), announce);
  const top = headline(name, actions.element), drawn = charts(), versions = versionsTable(), checks = checksTable();
  const endpoints = endpointsTable(), events = eventsList(), past = h("div", { className: "history" });
  const pickRange = ranges((value) => {
    range = value;
    update();
  });
  const checksSection = section("Checks", checks.element);
  const body = h("div", {}, top.element,
    h("section", { className: "panel" }, h("div", { className: "title" }, h("h2", {}, "Over time"), h("span", { className: "grow" }), pickRange), drawn.element),
    section("Versions at this step", versions.element),
    h("div", { className: "columns" }, h("div", {}, checksSection, section("Endpoints", endpoints.element)), section("Events", events.element)),
    section("History", past));
  const nothing = h("p", { className: "empty", hidden: true }, `There is no route "${name}". `, h("a", { href: "#/" }, "All routes"));
  const element = h("div", {}, body, nothing);

  const update = () => {
    const status = store.routes.get(name);
    show(body, Boolean(status));
    show(nothing, !status && store.link.state === "live");
    if (!status) return;
    top.update(status);
    actions.update(status);
    versions.update(status);
    checks.update(status);
    show(checksSection, !checks.element.hidden);
    endpoints.update(store.endpoints.get(name) || { endpoints: [], left_out: 0 });
    events.update(store.events.get(name) || []);
    const history = store.histories.get(name) || [];
    fit(past, history.length ? history : [null], () => h("div"), (at, r) => {
      if (!r) return at.replaceChildren(h("p", { className: "muted" }, "No rollout yet."));
      if (!at.firstChild?.serin) at.replaceChildren(run());
      return at.firstChild.serin.update(r);
    });
    drawn.update(store.samples.get(name) || [], marksOf(history), secondsOf(range, history));
  };

  if (!store.samples.has(name)) {
    store.samples.set(name, []); // from here on its samples are kept
    if (store.link.state === "live" && store.routes.has(name)) loadDetails(name).catch(() => {});
  }
  return { element, title: `${name} – serin`, update, leave: drawn.leave };
}
