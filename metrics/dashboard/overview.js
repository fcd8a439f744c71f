// The first view: every route with its phase, step, weight, errors, evidence and sentence, one row each.
// SPDX-License-Identifier: Apache-2.0

import { count, odds, percent, share, stateWord } from "./format.js";
import { fit, h, put, putProse, setClass, show } from "./dom.js";
import { badge, ladder, meter, versionOf } from "./parts.js";
import { store } from "./store.js";

const PHASES = ["Degraded", "Paused", "Progressing", "Healthy"];

function cell(label, ...children) {
  return h("div", { className: "cell" }, h("span", { className: "label" }, label), ...children);
}

/** One row; all of it is the link's, so that it has one stop of the keyboard and one name. */
function row() {
  const name = h("a", { className: "name" }), phase = badge(), steps = ladder(false), evidence = meter("evidence against the canary");
  const text = () => h("span", { className: "value" });
  const [state, step, weight, stable, canary, odd, why] = [text(), text(), text(), text(), text(), text(), h("p", { className: "why" })];
  const element = h("li", { className: "route" },
    h("div", { className: "cell head" }, h("h2", {}, name), h("span", { className: "state" }, phase.element, state)),
    cell("step", h("span", { className: "pair" }, step, steps.element)), cell("canary's share", weight),
    cell("errors of stable", stable), cell("errors of canary", canary),
    cell("evidence against it", h("span", { className: "pair" }, odd, evidence.element)), why);
  element.serin = { update(s) {
    put(name, s.route);
    name.href = `#/${encodeURIComponent(s.route)}`;
    phase.update(s.phase);
    put(state, stateWord(s.state));
    put(step, s.step ? `${s.step} of ${s.steps}` : "–");
    steps.update(s);
    put(weight, s.canary ? percent(s.weight.intended) : "–");
    const sides = [[stable, versionOf(s, "stable")], [canary, versionOf(s, "canary")]];
    for (const [at, version] of sides) put(at, version?.requests ? `${share(version.error_rate)} of ${count(version.requests)}` : "–");
    const isJudged = s.evidence && s.step > 0;
    put(odd, isJudged ? odds(s.evidence.against) : "–");
    show(evidence.element, Boolean(isJudged));
    if (isJudged) evidence.update(s.evidence.against, s.evidence.revert_at);
    putProse(why, s.why);
    setClass(element, `route ${s.phase.toLowerCase()}`);
  } };
  return element;
}

function summary(list) {
  const parts = PHASES.map((phase) => [list.filter((s) => s.phase === phase).length, phase.toLowerCase()]).filter(([n]) => n > 0);
  return `${list.length} ${list.length === 1 ? "route" : "routes"}: ${parts.map(([n, word]) => `${n} ${word}`).join(", ")}`;
}

export function overview() {
  const list = h("ul", { className: "routes" }), line = h("p", { className: "summary" });
  const element = h("section", {}, h("div", { className: "title" }, h("h1", {}, "Routes"), line), list);
  return { element, title: "serin", update() {
    const all = store.order.map((name) => store.routes.get(name)).filter(Boolean);
    put(line, all.length ? summary(all) : "");
    fit(list, all, row, (at, status) => at.serin.update(status));
  } };
}
