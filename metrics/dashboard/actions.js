// What a person can do: which verbs a state allows, the question before each, and the token, asked once.
// SPDX-License-Identifier: Apache-2.0

import { ApiError, act, token } from "./api.js";
import { percent } from "./format.js";
import { h, put, show } from "./dom.js";

const WHO = "serin.who";

const isResting = (s) => ["STABLE", "COMPLETED", "ABORTED"].includes(s.state);
const isLeaving = (s) => ["ABORTING", "RESTORING", "FINALIZING"].includes(s.state);
const isQuarantined = (s) => (s.quarantine || []).some((q) => q.name === s.canary);
const hasFailed = (s) => s.state === "PAUSED" && ["failed", "critical"].includes(s.cause);
const hasRollout = (s) => Array.isArray(s.weights);

/** The verbs in the order of their buttons. allows: whether one makes sense now (serin has the last word). */
export const VERBS = [
  { verb: "start", label: "Start", kind: "go",
    allows: (s) => hasRollout(s) && s.state === "STABLE" && s.canary && s.result !== "completed" && !isQuarantined(s),
    says: (s) => `${s.canary} gets ${percent(s.weights[0])} of the users, then more while it stays healthy.` },
  { verb: "retry", label: "Retry", kind: "go",
    allows: (s) => hasRollout(s) && s.canary && (hasFailed(s) || (isResting(s) && isQuarantined(s))),
    says: (s) => `${s.canary} was taken back. It leaves the quarantine and starts again at ${percent(s.weights[0])}.` },
  { verb: "pause", label: "Pause", kind: "",
    allows: (s) => hasRollout(s) && !isResting(s) && !isLeaving(s) && s.state !== "PAUSED",
    says: (s) => `The weight stays at ${percent(s.weight.intended)} until somebody resumes. A canary that fails is still taken back.` },
  { verb: "resume", label: "Resume", kind: "go",
    allows: (s) => hasRollout(s) && s.state === "PAUSED" && !hasFailed(s),
    says: (s) => `The rollout goes on from ${percent(s.weight.intended)}.` },
  { verb: "promote", label: "Promote", kind: "",
    allows: (s) => hasRollout(s) && !isResting(s) && !isLeaving(s) && !hasFailed(s),
    says: (s) => `${s.canary} gets more users now, whatever the evidence says so far.`,
    choices: (s) => [
      { body: {}, text: s.step < s.steps ? `To the next step: ${percent(s.weights[s.step])}` : "To the end of the bake" },
      { body: { full: true }, text: `All the way: ${s.canary} serves everyone` }] },
  { verb: "abort", label: "Abort", kind: "stop",
    allows: (s) => hasRollout(s) && (!isResting(s) && !["RESTORING", "FINALIZING"].includes(s.state)),
    says: (s) => `Everybody goes back to ${s.stable}. ${s.canary} stays out until somebody retries it.` },
  { verb: "undo", label: "Undo", kind: "stop",
    allows: (s) => hasRollout(s) && s.state === "STABLE" && s.result === "completed",
    says: (s) => `${s.stable} was promoted. The version before it gets everybody back, in a rollout the other way.` },
];

/** Opens a modal dialog; resolves to what close() was given, or null where it was dismissed. fill(close) makes its content. */
function openDialog(title, fill) {
  return new Promise((resolve) => {
    const heading = h("h2", { id: "dialog-title" }, title);
    const dialog = h("dialog", { "aria-labelledby": "dialog-title" });
    let result = null;
    const close = (value) => {
      result = value;
      dialog.close();
    };
    dialog.addEventListener("close", () => {
      dialog.remove();
      resolve(result);
    });
    dialog.append(heading, fill(close));
    document.body.append(dialog);
    dialog.showModal(); // the browser keeps the focus inside, and gives it back afterwards
  });
}

const field = (label, properties) => h("label", { className: "field" }, h("span", {}, label), h("input", properties));

let asking = null;

/** Asks for the token; once, however many ask at the same time. Resolves to whether one was given. */
export function askToken(why) {
  asking ??= openDialog("The admin token", (close) => {
    const label = field("Token", { type: "password", name: "token", required: true, autocomplete: "off", spellcheck: false });
    const submit = (event) => {
      event.preventDefault();
      token.set(label.querySelector("input").value.trim());
      close(true);
    };
    return h("form", { onsubmit: submit },
      h("p", {}, "It stands in the file that ", h("code", {}, "admin.token_file"), " names. This tab keeps it until it is closed."),
      why ? h("p", { className: "note" }, `serin says: ${why}`) : null, label,
      h("div", { className: "buttons" },
        h("button", { type: "button", className: "quiet", onclick: () => close(null) }, "Cancel"),
        h("button", { type: "submit", className: "go" }, "Use it")));
  }).finally(() => {
    asking = null;
  });
  return asking;
}

/** Gives the verb, with the token where serin asks for it. Resolves to serin's answer, null where no token was given. */
async function give(route, verb, body) {
  for (;;) {
    try {
      return await act(route, verb, body);
    } catch (error) {
      if (!(error instanceof ApiError) || error.status !== 401) throw error;
      token.forget();
      if (!(await askToken(error.message))) return null;
    }
  }
}

function choiceOf(choices) {
  if (!choices) return { element: null, body: () => ({}) };
  const inputs = choices.map((_, i) => h("input", { type: "radio", name: "choice", checked: i === 0 }));
  const element = h("fieldset", {}, h("legend", { className: "unseen" }, "How far"),
    ...choices.map(({ text }, i) => h("label", { className: "choice" }, inputs[i], h("span", {}, text))));
  return { element, body: () => choices[inputs.findIndex((input) => input.checked)].body };
}

/** The question before a verb, then the verb. done(message) is told what serin answers. */
export async function confirm(entry, status, done) {
  await openDialog(`${entry.label} the rollout of ${status.route}?`, (close) => {
    const choice = choiceOf(entry.choices?.(status));
    const who = field("Your name, for the history", {
      type: "text", name: "who", maxLength: 64, autocomplete: "name", value: sessionStorage.getItem(WHO) || "" });
    const refusal = h("p", { className: "refusal", role: "alert", hidden: true });
    const go = h("button", { type: "submit", className: entry.kind || "go" }, entry.label);
    const submit = async (event) => {
      event.preventDefault();
      const name = who.querySelector("input").value.trim();
      sessionStorage.setItem(WHO, name);
      go.disabled = true;
      show(refusal, false);
      try {
        const answer = await give(status.route, entry.verb, { ...choice.body(), ...(name ? { who: name } : {}) });
        if (answer) {
          close(true);
          done(answer);
        }
      } catch (error) {
        put(refusal, error instanceof ApiError ? error.message : "serin cannot be reached");
        show(refusal, true);
      }
      go.disabled = false;
    };
    return h("form", { onsubmit: submit }, h("p", {}, entry.says(status)), choice.element, who, refusal,
      h("div", { className: "buttons" },
        h("button", { type: "button", className: "quiet", onclick: () => close(null) }, "Cancel"), go));
  });
}
