// Elements made and changed without markup from data: what comes from outside is only ever text.
// SPDX-License-Identifier: Apache-2.0

import { clock, utc } from "./format.js";

/** An element with properties (on... = listener, a name with a dash = attribute), and children: nodes or texts. */
export function h(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for" || name === "scope") element.setAttribute(name, value);
    else element[name] = value;
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

/** Sets a text where it differs, so that selections and screen readers are left alone. */
export function put(node, text) {
  if (node.textContent !== text) node.textContent = text;
}

/** The same for a sentence of serin's, in which `...` is a command to type. */
export function putProse(node, text) {
  if (node.textContent === text.replaceAll("`", "")) return;
  node.replaceChildren(...text.split("`").map((part, i) => (i % 2 ? h("code", {}, part) : part)));
}

export function show(node, isShown) {
  if (node.hidden === isShown) node.hidden = !isShown;
}

export function setClass(node, name) {
  if (node.className !== name) node.className = name;
}

/** A <time> by the local clock, with UTC as its title. */
export function timeOf(text) {
  if (!text) return "–";
  const moment = new Date(text);
  return h("time", { dateTime: text, title: utc(moment) }, clock(moment));
}

/** Makes a parent's children fit a list: one element an item, made once, updated each time. */
export function fit(parent, items, make, update) {
  while (parent.children.length > items.length) parent.lastElementChild.remove();
  while (parent.children.length < items.length) parent.append(make());
  items.forEach((item, i) => update(parent.children[i], item, i));
}

/** A table: head cells are {text, title, kind}; fill(rows) takes cells that are texts or {text, kind, title}. */
export function table(caption, heads) {
  const body = h("tbody");
  const head = h("tr", {}, ...heads.map((cell) =>
    h("th", { scope: "col", className: cell.kind || "", title: cell.title || "" }, cell.text)));
  const element = h("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": caption },
    h("table", {}, h("caption", { className: "unseen" }, caption), h("thead", {}, head), body));
  const cell = (i) => (i === 0 ? h("th", { scope: "row" }) : h("td"));
  const fill = (rows) => fit(body, rows, () => h("tr", {}, ...heads.map((_, i) => cell(i))), (row, cells) => {
    cells.forEach((value, i) => {
      const { text, kind = "", title = "" } = typeof value === "string" ? { text: value } : value;
      const at = row.children[i];
      put(at, text);
      setClass(at, [heads[i].kind, kind].filter(Boolean).join(" "));
      if (at.title !== title) at.title = title;
    });
  });
  return { element, fill };
}
