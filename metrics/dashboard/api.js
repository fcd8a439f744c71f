// The admin API: reading, verbs, and events over fetch, since an EventSource cannot carry the token.
// SPDX-License-Identifier: Apache-2.0

const TOKEN = "serin.token"; // of this tab's session alone: never in an address, never on disk

/** Silence after which a stream is taken for dead: serin says something at least every 15 s. */
const SILENCE_MS = 25000;

export class ApiError extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

export const token = {
  get: () => sessionStorage.getItem(TOKEN),
  set: (value) => sessionStorage.setItem(TOKEN, value),
  forget: () => sessionStorage.removeItem(TOKEN),
};

async function ask(path, options = {}) {
  const headers = { ...options.headers };
  if (token.get()) headers.Authorization = `Bearer ${token.get()}`;
  const answer = await fetch(`/api/v1/${path}`, { ...options, headers, cache: "no-store", credentials: "omit" });
  if (answer.ok) return answer;
  let message = `${answer.status} ${answer.statusText}`;
  try {
    message = (await answer.json()).error.message;
  } catch { /* no JSON: the status has to do */ }
  throw new ApiError(answer.status, message);
}

export async function read(path) {
  return (await ask(path)).json();
}

/** A verb on a route; resolves to serin's answer. */
export async function act(route, verb, body) {
  const answer = await ask(`routes/${encodeURIComponent(route)}/${verb}`, {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body),
  });
  return answer.json();
}

/** Parses server-sent events piece by piece (HTML living standard, section 9.2.6): feed(text) calls take(name, data). */
export function eventParser(take) {
  let rest = "", name = "", data = [];
  return (text) => {
    const lines = (rest + text).split(/\r\n|\n/);
    rest = lines.pop();
    for (const line of lines) {
      if (line === "") {
        if (data.length) take(name || "message", data.join("\n"));
        [name, data] = ["", []];
      } else if (line.startsWith("event:")) name = line.slice(6).trim();
      else if (line.startsWith("data:")) data.push(line.slice(5).replace(/^ /, ""));
    }
  };
}

/** Follows the events until the stream ends or control aborts it, both errors; opened() is called once it is there. */
export async function follow(control, opened, take) {
  let timer = setTimeout(() => control.abort(), SILENCE_MS);
  try {
    const answer = await ask("events", { signal: control.signal });
    await opened();
    const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
    const feed = eventParser((name, data) => take(name, JSON.parse(data)));
    for (;;) {
      const { done, value } = await reader.read();
      if (done) throw new Error("serin has closed the stream");
      clearTimeout(timer);
      timer = setTimeout(() => control.abort(), SILENCE_MS);
      feed(value);
    }
  } finally {
    clearTimeout(timer);
    control.abort();
  }
}
