// Pieces that both views show: the badge of a phase, the ladder of steps, the meter of evidence.
// SPDX-License-Identifier: Apache-2.0

import { isNumber, odds, percent } from "./format.js";
import { fit, h, put, setClass } from "./dom.js";

const SIGNS = { Healthy: "✓", Progressing: "▸", Paused: "‖", Degraded: "✕" }; // never by colour alone

export function badge() {
  const sign = h("span", { "aria-hidden": "true" }), word = h("span");
  const element = h("span", { className: "badge" }, sign, word);
  return { element, update(phase) {
    put(sign, SIGNS[phase] || "?");
    put(word, phase);
    setClass(element, `badge ${phase.toLowerCase()}`);
  } };
}

/** The steps as segments: behind, here, ahead; failed: it stopped here. */
export function ladder(withWords) {
  const element = h("ol", { className: withWords ? "ladder words" : "ladder", "aria-hidden": withWords ? "false" : "true" });
  return { element, update(status) {
    const isOver = status.result === "completed" && status.step === 0;
    const has = Boolean(status.weights && status.canary) || isOver;
    element.hidden = !has;
    if (!has) return;
    fit(element, status.weights, () => h("li", {}, h("span")), (li, weight, i) => {
      const isHere = i + 1 === status.step;
      const kind = isOver || i + 1 < status.step ? "behind" : isHere ? (status.state === "ABORTED" ? "failed" : "here") : "ahead";
      setClass(li, kind);
      put(li.firstChild, withWords ? percent(weight) : "");
      if (isHere) li.setAttribute("aria-current", "step");
      else li.removeAttribute("aria-current");
    });
  } };
}

/** Evidence against its limit, on a logarithmic scale from 1:1. */
export function meter(label) {
  const bar = h("span"), element = h("span", { className: "meter", role: "meter", "aria-label": label, "aria-valuemin": "0",
    "aria-valuemax": "100" }, bar);
  return { element, update(value, limit) {
    const reach = isNumber(value) && limit > 1 ? Math.log(Math.max(1, value)) / Math.log(limit) : 0;
    const part = Math.min(100, Math.round(100 * reach));
    element.setAttribute("aria-valuenow", String(part));
    element.setAttribute("aria-valuetext", `${odds(value)} of ${odds(limit)}`);
    bar.style.width = `${part}%`;
    setClass(element, part >= 100 ? "meter full" : part >= 50 ? "meter half" : "meter");
  } };
}

export function versionOf(status, role) {
  return (status.versions || []).find((version) => version.role === role) || null;
}
