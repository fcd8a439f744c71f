// Numbers, times and words as people read them: "1%", "45 ms", "3 min 20 s". Pure.
// SPDX-License-Identifier: Apache-2.0

const NONE = "–";
const NARROW = "\u202f"; // a narrow space that does not break

export function isNumber(value) {
  return typeof value === "number" && Number.isFinite(value);
}

/** A percentage of 0 to 100: "0%", "0.25%", "8.3%", "99%". */
export function percent(value) {
  if (!isNumber(value)) return NONE;
  return `${Number(value.toPrecision(value >= 10 ? 3 : 2))}%`;
}

/** A share of 0 to 1 as a percentage. */
export function share(value) {
  return isNumber(value) ? percent(100 * value) : NONE;
}

/** Two bounds of a share: "0.1%–0.9%". */
export function interval(pair) {
  if (!Array.isArray(pair) || !isNumber(pair[0]) || !isNumber(pair[1])) return NONE;
  return `${share(pair[0])}–${share(pair[1])}`;
}

export function count(value) {
  if (!isNumber(value)) return NONE;
  return String(Math.round(value)).replace(/\B(?=(\d{3})+$)/g, NARROW);
}

export function milliseconds(value) {
  if (!isNumber(value)) return NONE;
  if (value >= 1000) return `${Number((value / 1000).toPrecision(3))} s`;
  return `${Number(value.toPrecision(value >= 100 ? 3 : 2))} ms`;
}

/** A likelihood ratio: "12:1". */
export function odds(value) {
  if (!isNumber(value)) return NONE;
  if (value >= 1e6) return "over a million:1";
  return `${value >= 10 ? count(value) : Number(value.toPrecision(2))}:1`;
}

export function perSecond(value) {
  if (!isNumber(value)) return NONE;
  return `${value >= 10 ? count(value) : Number(value.toPrecision(2))}/s`;
}

/** Seconds, in the two largest units that say something. */
export function duration(seconds) {
  if (!isNumber(seconds)) return NONE;
  let rest = Math.max(0, Math.round(seconds));
  const parts = [];
  for (const [unit, size] of [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]]) {
    const n = Math.floor(rest / size);
    rest -= n * size;
    if (n > 0) parts.push(`${n} ${unit}`);
    if (parts.length === 2 || (parts.length === 1 && n === 0)) break;
  }
  return parts.join(" ") || "0 s";
}

/** By the clock of this machine: "14:03:22" today, otherwise with the day. */
export function clock(moment, now = new Date()) {
  const time = moment.toLocaleTimeString("en-GB");
  if (moment.toDateString() === now.toDateString()) return time;
  return `${moment.toLocaleDateString("en-GB", { day: "numeric", month: "short", year: "numeric" })} ${time}`;
}

/** Hours and minutes for an axis; seconds where it is a short one. */
export function axisClock(ms, withSeconds) {
  const style = { hour: "2-digit", minute: "2-digit", ...(withSeconds ? { second: "2-digit" } : {}) };
  return new Date(ms).toLocaleTimeString("en-GB", style);
}

export function utc(moment) {
  return moment.toISOString().replace("T", " ").replace(/\.\d+Z$/, " UTC");
}

/** The interval in which a share lies with 95 % (Wilson 1927), of what was counted in a few seconds. */
export function wilson(failed, requests) {
  if (!(requests > 0)) return null;
  const z = 1.96, p = failed / requests, z2 = (z * z) / requests;
  const centre = (p + z2 / 2) / (1 + z2);
  const half = (z / (1 + z2)) * Math.sqrt((p * (1 - p)) / requests + z2 / (4 * requests));
  return [Math.max(0, centre - half), p, Math.min(1, centre + half)];
}

const STATES = {
  STABLE: "at rest", PENDING: "about to start", SCALING: "waits for endpoints", SHIFTING: "moves the weight", ANALYZING: "watching",
  HOLDING: "holding", PAUSED: "paused", PROMOTING: "promoting", BAKING: "baking", FINALIZING: "finishing", COMPLETED: "completed",
  ABORTING: "going back", RESTORING: "going back", ABORTED: "taken back", FAILED_PROMOTION: "promotion failed",
};

export function stateWord(state) {
  return STATES[state] || String(state || NONE).toLowerCase();
}

const CHECKS = { errors: "errors", client_errors: "client errors (4xx)", ceiling: "error ceiling" };

export function checkWord(check) {
  const quantile = /^latency_p(.+)$/.exec(check);
  return quantile ? `slower than stable's p${quantile[1]}` : CHECKS[check] || check;
}
