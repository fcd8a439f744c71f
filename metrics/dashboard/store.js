// What is known of the routes, kept live: loaded whole at each connection, then changed event by event.
// SPDX-License-Identifier: Apache-2.0

import { ApiError, follow, read } from "./api.js";

const EVENTS_MAX = 50, POINTS_MAX = 3000;
const BACKOFF_MS = [500, 1000, 2000, 4000, 8000];
const SILENT_MS = 5000;
const HIDDEN_MS = 10000; // a tab that nobody sees for so long gives its connection back: a browser has six for one host
const lastTick = new Map(); // name -> when

export const store = {
  order: [], // names, as in the file
  routes: new Map(), // name -> status
  samples: new Map(), // name -> [point]; of the routes that were looked at
  histories: new Map(),
  endpoints: new Map(),
  events: new Map(), // name -> [{at, name, why}], the newest first
  link: { state: "connecting", since: null, why: "" }, // state: connecting, live, asleep, lost, locked
};

const listeners = new Set();
let isDue = false;

export function onChange(listener) {
  listeners.add(listener);
}

/** Tells the views, once for all that came before the next frame; a page that nobody sees has none. */
function changed() {
  if (isDue) return;
  isDue = true;
  requestAnimationFrame(() => {
    isDue = false;
    for (const listener of listeners) listener();
  });
}

const announcers = new Set();

export function onEvent(listener) {
  announcers.add(listener);
}

function setLink(state, why = "") {
  const isDown = state === "lost" || state === "locked";
  const since = isDown ? store.link.since || new Date() : null;
  store.link = { state, since, why };
  changed();
}

async function loadRoutes() {
  const { routes } = await read("routes");
  store.order = routes.map((status) => status.route);
  store.routes = new Map(routes.map((status) => [status.route, status]));
  const looked = [...store.samples.keys()];
  for (const name of looked) if (!store.routes.has(name)) forget(name);
  await Promise.all(looked.filter((name) => store.routes.has(name)).map(loadDetails));
  changed();
}

function forget(name) {
  for (const map of [store.samples, store.histories, store.endpoints]) map.delete(name);
}

async function loadHistory(name) {
  const { history } = await read(`routes/${encodeURIComponent(name)}/history`);
  store.histories.set(name, history);
  changed();
}

/** What the page of one route needs beside its status. */
export async function loadDetails(name) {
  const path = `routes/${encodeURIComponent(name)}`;
  const [series, endpoints] = await Promise.all([read(`${path}/series`), read(`${path}/endpoints`), loadHistory(name)]);
  store.samples.set(name, series.points.sort((a, b) => a[0] - b[0]));
  store.endpoints.set(name, endpoints);
  changed();
}

function takeSample({ route, point }) {
  const points = store.samples.get(route);
  if (!points) return;
  const isLate = points.length > 0 && point[0] <= points[points.length - 1][0];
  points.push(point);
  if (isLate) points.sort((a, b) => a[0] - b[0]); // the clock was set back
  if (points.length > POINTS_MAX) points.splice(0, points.length - POINTS_MAX);
}

function takeEvent(name, data) {
  const list = store.events.get(data.route) || [];
  list.unshift({ at: new Date().toISOString(), name, why: data.why || "" });
  store.events.set(data.route, list.slice(0, EVENTS_MAX));
  for (const announcer of announcers) announcer(data.route, name, data.why || "");
  const swallow = () => {}; // the next connection loads it anew
  if (store.histories.has(data.route)) loadHistory(data.route).catch(swallow);
}

function take(name, data) {
  if (name === "tick") {
    if (!store.routes.has(data.route)) loadRoutes().catch(() => {}); // a reload has brought it
    else store.routes.set(data.route, data);
    lastTick.set(data.route, performance.now());
  } else if (name === "sample") takeSample(data);
  else if (name === "endpoints") {
    if (store.endpoints.has(data.route)) store.endpoints.set(data.route, data);
  } else takeEvent(name, data);
  changed();
}

/** Resolves once the tab can be seen. */
function seen() {
  return new Promise((resolve) => {
    const look = () => {
      if (document.hidden) return;
      document.removeEventListener("visibilitychange", look);
      resolve();
    };
    document.addEventListener("visibilitychange", look);
    look();
  });
}

/** Ends a stream once the tab has been hidden for a while; returns what stops looking. */
function endWhenHidden(control) {
  let timer = 0;
  const look = () => {
    clearTimeout(timer);
    if (document.hidden) timer = setTimeout(() => control.abort(), HIDDEN_MS);
  };
  document.addEventListener("visibilitychange", look);
  look();
  return () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", look);
  };
}

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A route that a reload has dropped has no ticks any more. */
function dropSilent() {
  const now = performance.now();
  const isSilent = (name) => now - (lastTick.get(name) ?? now) > SILENT_MS;
  if (store.link.state === "live" && store.order.some(isSilent)) {
    lastTick.clear();
    loadRoutes().catch(() => {});
  }
}

/** Connects, and connects again, for as long as the page is open. unlock: resolves once a token was given. */
export async function run(unlock) {
  setInterval(dropSilent, SILENT_MS);
  for (let failures = 0; ; failures++) {
    const control = new AbortController(), stopLooking = endWhenHidden(control);
    try {
      await follow(control, async () => {
        await loadRoutes();
        failures = 0;
        setLink("live");
      }, take);
    } catch (error) {
      if (document.hidden && control.signal.aborted) {
        setLink("asleep");
        await seen();
        failures = -1;
        continue;
      }
      if (error instanceof ApiError && error.status === 401) {
        setLink("locked", error.message);
        await unlock(error.message);
        failures = -1;
        continue;
      }
      const isFull = error instanceof ApiError && error.status === 503;
      if (isFull) await loadRoutes().catch(() => {}); // not live, but not stale either
      setLink("lost", isFull ? error.message : "");
    } finally {
      stopLooking();
    }
    await pause(BACKOFF_MS[Math.min(failures, BACKOFF_MS.length - 1)] * (0.75 + Math.random() / 2));
  }
}
