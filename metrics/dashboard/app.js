// The page: which view is shown, the link to serin, and what screen readers are told.
// SPDX-License-Identifier: Apache-2.0

import { token } from "./api.js";
import { askToken } from "./actions.js";
import { clock } from "./format.js";
import { h, put, show } from "./dom.js";
import { overview } from "./overview.js";
import { routeView } from "./route.js";
import { onChange, onEvent, run, store } from "./store.js";

const at = (id) => document.getElementById(id);
const isViewer = new URLSearchParams(location.search).has("view");
const ANNOUNCEMENTS_MAX = 5;
let view = null;

/** "#/my-web" is a route, everything else the overview. */
function routeOfAddress() {
  try {
    return decodeURIComponent(/^#\/(.+)$/.exec(location.hash)?.[1] || "");
  } catch {
    return "";
  }
}

function navigate() {
  const name = routeOfAddress();
  const isFirst = view === null;
  view?.leave?.();
  view = name ? routeView(name, isViewer, announce) : overview();
  at("main").replaceChildren(view.element);
  document.title = view.title;
  update();
  if (!isFirst) { // a reader hears where it is, and the keyboard goes on from there
    at("main").focus();
    scrollTo(0, 0);
  }
}

/** Each is a line of its own: the next one, which may follow at once, takes no word from a reader that is not done. */
function announce(text) {
  at("announcer").append(h("p", {}, text));
  while (at("announcer").children.length > ANNOUNCEMENTS_MAX) at("announcer").firstElementChild.remove();
}

const WORDS = { connecting: "connecting", live: "live", asleep: "asleep", lost: "not connected", locked: "locked" };

function banner({ state, since, why }) {
  if (["live", "connecting", "asleep"].includes(state)) return "";
  if (state === "locked") return "serin asks for its token.";
  const from = `since ${clock(since)}`;
  return why ? `Not live ${from}: ${why}. Numbers are read again every few seconds.`
    : `Not connected ${from}. What you see is what was known then; connecting again by itself.`;
}

function update() {
  const { state } = store.link;
  put(at("live"), WORDS[state]);
  at("live").dataset.state = state;
  put(at("banner"), banner(store.link));
  show(at("banner"), Boolean(at("banner").textContent));
  show(at("forget"), Boolean(token.get()));
  document.body.classList.toggle("stale", state === "lost");
  if (store.order.length || state === "live") view?.update();
}

/** Asks until it is given; one who declines finds a button. */
async function unlock(why) {
  while (!(await askToken(token.get() ? why : ""))) {
    await new Promise((resolve) => {
      const button = h("button", { type: "button", onclick: resolve }, "Enter the token");
      at("main").replaceChildren(h("p", { className: "empty" }, "Reading needs the token of this admin port. ", button));
      button.focus();
    });
  }
  if (!at("main").contains(view.element)) at("main").replaceChildren(view.element);
}

put(at("where"), location.host);
show(at("viewer"), isViewer);
at("forget").addEventListener("click", () => {
  token.forget();
  update();
  announce("The token is forgotten.");
});
document.querySelector(".skip").addEventListener("click", (event) => {
  event.preventDefault(); // the address says which view it is
  at("main").focus();
});
addEventListener("hashchange", navigate);
onChange(update);
onEvent((route, name, why) => announce(`${route}: ${name.replace(/(?!^)([A-Z])/g, " $1").toLowerCase()}. ${why}`));
navigate();
run(unlock);
