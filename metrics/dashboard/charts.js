// The charts of one route, drawn by dygraphs where it was built in; every chart has its latest values as text.
// SPDX-License-Identifier: Apache-2.0

import { axisClock, clock, isNumber, milliseconds, odds, perSecond, percent, share, wilson } from "./format.js";
import { h, put } from "./dom.js";

export const hasCharts = typeof window.Dygraph === "function";

// Its legend writes style attributes, which the page's policy forbids, and the others are not used.
if (hasCharts) window.Dygraph.PLUGINS = [window.Dygraph.Plugins.Axes, window.Dygraph.Plugins.Grid];

/** The columns of a point (GET /api/v1/routes/{route}/series). */
const T = 0, SPAN = 1, WEIGHT = 2, EVIDENCE = 3, LIMIT = 4, STABLE = 5, CANARY = 9;
const REQUESTS = 0, FAILED = 1, P50 = 2, P99 = 3;

const EVIDENCE_LOW = 0.1, EVIDENCE_HIGH = 100; // less says nothing, and a logarithm needs a floor
const HEIGHT = 176;
const SECONDS_BELOW_MS = 300000; // a shorter axis names seconds

const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

function shares(point, side) {
  const three = wilson(point[side + FAILED], point[side + REQUESTS]);
  return three ? three.map((value) => 100 * value) : [null, null, null];
}

const rateOf = (point, side) => (point[SPAN] > 0 ? point[side + REQUESTS] / point[SPAN] : null);
const errorsOf = (point, side) => (point[side + REQUESTS] > 0 ? point[side + FAILED] / point[side + REQUESTS] : null);

/** What each chart shows. lines: name, colour, dashes; row(point): the values; words(point): what they are, in words. */
const CHARTS = [
  { key: "weight", title: "Canary's share of users", isWide: true, lines: [["weight", "canary"]],
    options: { stepPlot: true, fillGraph: true, fillAlpha: 0.15, valueRange: [0, 104] }, format: percent,
    row: (p) => [p[WEIGHT]], words: (p) => [percent(p[WEIGHT])] },
  { key: "errors", title: "Failed requests", isWide: true, note: "the band is the 95% interval", lines: [["stable", "stable"], ["canary", "canary"]],
    options: { customBars: true, fillAlpha: 0.18, includeZero: true }, format: percent,
    row: (p) => [shares(p, STABLE), shares(p, CANARY)], words: (p) => [share(errorsOf(p, STABLE)), share(errorsOf(p, CANARY))],
    top: (rows) => Math.max(1, ...rows.flatMap((row) => [row[1][1], row[2][1]].filter(isNumber))) * 1.6 },
  { key: "latency", title: "Latency", note: "p50 dashed, p99 solid",
    lines: [["stable p50", "stable", [3, 3]], ["stable p99", "stable"], ["canary p50", "canary", [3, 3]], ["canary p99", "canary"]],
    options: { includeZero: true }, format: milliseconds,
    row: (p) => [p[STABLE + P50], p[STABLE + P99], p[CANARY + P50], p[CANARY + P99]],
    words: (p) => [`${milliseconds(p[STABLE + P50])} / ${milliseconds(p[STABLE + P99])}`,
      `${milliseconds(p[CANARY + P50])} / ${milliseconds(p[CANARY + P99])}`] },
  { key: "evidence", title: "Evidence against the canary", lines: [["evidence", "canary"]],
    options: { logscale: true }, format: odds, ticker: decades,
    row: (p) => [isNumber(p[EVIDENCE]) ? Math.max(EVIDENCE_LOW, p[EVIDENCE]) : null], words: (p) => [odds(p[EVIDENCE])] },
  { key: "requests", title: "Requests", lines: [["stable", "stable"], ["canary", "canary"]],
    options: { includeZero: true }, format: perSecond,
    row: (p) => [rateOf(p, STABLE), rateOf(p, CANARY)], words: (p) => [perSecond(rateOf(p, STABLE)), perSecond(rateOf(p, CANARY))] },
];

/** Ticks of the logarithmic axis. */
function decades(low, high) {
  const ticks = [];
  for (let v = EVIDENCE_LOW; v <= high; v *= 10) ticks.push({ v, label: odds(Number(v.toPrecision(1))) });
  return ticks;
}

const MARKS = { step: "muted", good: "good", bad: "bad", hold: "warn" };

/** Draws steps, verdicts and the limit under the lines. */
function underlay(chart, state) {
  return (context, area, graph) => {
    const inside = (x) => x >= area.x && x <= area.x + area.w;
    context.save();
    context.font = `11px ${getComputedStyle(document.body).fontFamily}`;
    const taken = { step: -Infinity, end: -Infinity }; // labels that would lie on each other are left out
    for (const mark of state.marks) {
      const x = Math.round(graph.toDomXCoord(mark.t)) + 0.5;
      if (!inside(x)) continue;
      context.strokeStyle = context.fillStyle = colour(MARKS[mark.kind]);
      context.setLineDash(mark.kind === "step" ? [2, 3] : []);
      context.beginPath();
      context.moveTo(x, area.y);
      context.lineTo(x, area.y + area.h);
      context.stroke();
      const width = context.measureText(mark.text).width;
      const row = mark.kind === "step" ? "step" : "end";
      const left = x + 3 + width < area.x + area.w ? x + 3 : x - 3 - width;
      if (chart.key !== "weight" || left < taken[row]) continue;
      context.fillText(mark.text, left, area.y + (row === "step" ? 10 : 24));
      taken[row] = left + width + 6;
    }
    if (chart.key === "evidence" && isNumber(state.limit)) {
      const y = Math.round(graph.toDomYCoord(state.limit)) + 0.5;
      context.strokeStyle = context.fillStyle = colour("bad");
      context.setLineDash([6, 4]);
      context.beginPath();
      context.moveTo(area.x, y);
      context.lineTo(area.x + area.w, y);
      context.stroke();
      context.fillText(`revert at ${odds(state.limit)}`, area.x + 4, y - 4);
    }
    context.restore();
  };
}

/** One chart: its caption with values (the latest, or those under the pointer), and the drawing. */
function figure(chart, state, hover) {
  const values = chart.lines.filter(([name]) => !name.endsWith("p50")).map(([name, tint]) => {
    const value = h("b", {}, "–");
    return { value, element: h("span", { className: `key ${tint}` }, h("i", { "aria-hidden": "true" }),
      `${name.replace(" p99", " p50 / p99")} `, value) };
  });
  const moment = h("span", { className: "moment" });
  const note = chart.note ? h("span", { className: "note" }, chart.note) : null;
  const plot = h("div", { className: "plot" });
  const element = h("figure", { className: chart.isWide ? "chart wide" : "chart" },
    h("figcaption", {}, h("span", { className: "chart-title" }, chart.title), note, moment,
      h("span", { className: "keys" }, ...values.map(({ element: key }) => key))));
  if (hasCharts) element.append(plot);
  let graph = null;

  const build = (rows, options) => {
    graph = new window.Dygraph(plot, rows, {
      labels: ["t", ...chart.lines.map(([name]) => name)], colors: chart.lines.map(([, tint]) => colour(tint)),
      strokeWidth: 1.6, height: HEIGHT, connectSeparatedPoints: false, interactionModel: {}, legend: "never", highlightCircleSize: 3,
      series: Object.fromEntries(chart.lines.map(([name, , dashes]) => [name, { strokePattern: dashes || null }])),
      gridLineColor: colour("line"), axisLineColor: colour("line"), axisLabelFontSize: 11, rightGap: 8,
      axes: { x: { axisLabelFormatter: (x) => axisClock(+x, state.range[1] - state.range[0] < SECONDS_BELOW_MS), axisLabelWidth: 62 },
        y: { axisLabelFormatter: (y) => chart.format(y), axisLabelWidth: chart.key === "evidence" ? 56 : 48, pixelsPerLabel: 32,
          ...(chart.ticker ? { ticker: chart.ticker } : {}) } },
      underlayCallback: underlay(chart, state),
      highlightCallback: (event, x, points, row) => hover(row), unhighlightCallback: () => hover(-1),
      ...chart.options, ...options, // with its range: a logarithm of nothing is none
    });
  };

  return { element, plot,
    draw(rows, range) {
      const options = { dateWindow: range };
      if (chart.top) options.valueRange = [0, Math.min(100, chart.top(rows.filter((row) => row[0] >= range[0])))];
      if (chart.key === "evidence") {
        const most = Math.max(state.limit || 0, EVIDENCE_HIGH, ...rows.filter((row) => row[0] >= range[0]).map((row) => row[1] || 0));
        options.valueRange = [EVIDENCE_LOW, 3 * most];
      }
      if (graph) graph.updateOptions({ file: rows, ...options });
      else build(rows, options);
    },
    say(point, isLatest) {
      const words = point ? chart.words(point) : [];
      values.forEach(({ value }, i) => put(value, words[i] ?? "–"));
      put(moment, point && !isLatest ? clock(new Date(1000 * point[T])) : "");
    },
    select: (row) => (row >= 0 ? graph?.setSelection(row) : graph?.clearSelection()),
    drop: () => {
      graph?.destroy();
      graph = null;
    } };
}

/** All charts of a route. update(points, marks, seconds): what is known, and how far back to look. */
export function charts() {
  const state = { marks: [], limit: NaN, points: [] };
  let hovered = -1, isSelecting = false;
  const hover = (row) => {
    if (isSelecting || row === hovered) return;
    hovered = row;
    isSelecting = true; // selecting a row in the others calls back
    for (const f of figures) f.select(row);
    isSelecting = false;
    say();
  };
  const figures = CHARTS.map((chart) => figure(chart, state, hover));
  const element = h("div", { className: "charts" }, ...figures.map((f) => f.element));
  if (!hasCharts) element.append(h("p", { className: "note" }, "This serin was built without dygraphs: numbers only, no charts."));

  const say = () => {
    const last = state.points.length - 1, row = hovered >= 0 && hovered <= last ? hovered : last;
    for (const f of figures) f.say(state.points[row], row === last);
  };
  const draw = () => {
    if (!hasCharts || !element.isConnected || state.points.length < 2) return; // dygraphs measures what it draws on
    figures.forEach((f, i) => f.draw(state.points.map((p) => [new Date(1000 * p[T]), ...CHARTS[i].row(p)]), state.range));
  };
  const redraw = () => {
    for (const f of figures) f.drop();
    draw();
  };
  const scheme = matchMedia("(prefers-color-scheme: dark)");
  scheme.addEventListener("change", redraw);

  return { element,
    update(points, marks, seconds) {
      const end = points.length ? 1000 * points[points.length - 1][T] : Date.now();
      const limit = points.findLast((point) => isNumber(point[LIMIT]))?.[LIMIT];
      Object.assign(state, { points, marks, limit, range: [end - 1000 * seconds, end] });
      say();
      draw();
    },
    leave() {
      scheme.removeEventListener("change", redraw);
      for (const f of figures) f.drop();
    } };
}
