// The operator's overview: tiles, two hours of lines, counters, services, devices. Reads only.
import { $, duration, el, fill, hallNow, has, lang, logoutButton, name, page, set, t, watch } from "/static/page.js";
import { look } from "/static/oversight.js";

const SVG = "http://www.w3.org/2000/svg", H = 190, LEFT = 40, BOTTOM = 22, TOP = 20;
const SAMPLE_MS = 5000, AUDIT_MS = 30_000, QUARTER_MS = 900_000;
let rows = [], at = {};

function shape(tag, more, text) {
  const made = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(more)) made.setAttribute(key, value);
  if (text !== undefined) made.textContent = text;
  return made;
}
const nice = (most) => [5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000, 10_000].find((one) => one >= most) || Math.ceil(most / 10_000) * 10_000;
let zone;
const clock = (ms) => new Date(ms).toLocaleTimeString(lang === "en" ? "en-GB" : "zh-CN", { hour: "2-digit", minute: "2-digit", timeZone: zone });
const width = (where) => Math.max(300, where.clientWidth);

// Lines over time: [{key, cls, points: [[ms, value]]}].
function lines(where, label, series) {
  const all = series.flatMap((one) => one.points);
  const W = width(where);
  const from = Math.min(...all.map((p) => p[0])), to = Math.max(...all.map((p) => p[0]), from + 1), most = nice(Math.max(...all.map((p) => p[1]), 1));
  const x = (ms) => LEFT + ((ms - from) / (to - from)) * (W - LEFT - 8), y = (v) => H - BOTTOM - (v / most) * (H - BOTTOM - TOP);
  const svg = shape("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label });
  for (const v of [0, most / 2, most]) svg.append(shape("line", { class: "grid", x1: LEFT, x2: W, y1: y(v), y2: y(v) }), shape("text", { x: LEFT - 4, y: y(v) + 4, "text-anchor": "end" }, String(v)));
  for (const [ms, anchor] of [[from, "start"], [to, "end"]]) svg.append(shape("text", { x: x(ms), y: H - 6, "text-anchor": anchor }, clock(ms)));
  series.forEach((one, i) => {
    svg.append(shape("polyline", { class: `line ${one.cls}`, points: one.points.map((p) => `${x(p[0]).toFixed(1)},${y(p[1]).toFixed(1)}`).join(" ") }));
    svg.append(shape("text", { class: `t${one.cls}`, x: LEFT + 8 + i * 130, y: 14, "font-weight": 700 }, `${i ? "- -" : "—"} ${one.key} ${one.points.at(-1)[1]}`));
  });
  where.replaceChildren(svg);
}
function bars(where, label, values) {
  const W = width(where), most = nice(Math.max(...values, 1)), svg = shape("svg", { viewBox: `0 0 ${W} ${H}`, role: "img", "aria-label": label });
  values.forEach((value, i) => {
    const wide = (W - 20) / values.length, height = (value / most) * (H - BOTTOM - TOP - 6);
    svg.append(shape("rect", { class: "bar", x: 10 + i * wide + 12, y: H - BOTTOM - height, width: wide - 24, height }),
      shape("text", { x: 10 + i * wide + wide / 2, y: H - 6, "text-anchor": "middle" }, t(`level.${5 - i}`)),
      shape("text", { x: 10 + i * wide + wide / 2, y: H - BOTTOM - height - 4, "text-anchor": "middle" }, String(value)));
  });
  where.replaceChildren(svg);
}
// Differences of a running total over a quarter of an hour.
function flow(index) {
  const found = [];
  let from = 0;
  for (const row of rows) {
    while (rows[from][at.at_ms] < row[at.at_ms] - QUARTER_MS) from += 1;
    found.push([row[at.at_ms], Math.max(0, row[index] - rows[from][index])]);
  }
  return found;
}
function charts() {
  if (document.hidden || !zone || rows.length < 2) return;
  const of = (key, index, cls, by = (v) => v) => ({ key, cls, points: rows.map((row) => [row[at.at_ms], by(row[index])]) });
  lines($("#chart-waiting"), t("ops.chart_waiting"), [of(t("ops.waiting"), at.waiting, "a"), of(t("ops.serving"), at.serving, "b")]);
  lines($("#chart-oldest"), t("ops.chart_oldest"), [of(t("ops.oldest"), at.oldest_s, "a", (v) => Math.round(v / 60))]);
  lines($("#chart-flow"), t("ops.chart_flow"), [{ key: t("ops.taken"), cls: "a", points: flow(at.taken) }, { key: t("ops.served"), cls: "b", points: flow(at.served) }]);
}
async function sample() {
  const answer = await fetch(`/api/v1/series?hall=${encodeURIComponent(page.hall)}`).catch(() => null);
  if (!answer || answer.status !== 200) return;
  const told = await answer.json();
  rows = told.rows;
  at = Object.fromEntries(told.fields.map((one, i) => [one, i]));
  charts();
}
async function audit() {
  const answer = await fetch(`/api/v1/audit?hall=${encodeURIComponent(page.hall)}`).catch(() => null);
  if (answer && answer.status === 200) look(await answer.json(), (ms) => new Date(ms).toLocaleString(lang === "en" ? "en-GB" : "zh-CN", { dateStyle: "short", timeStyle: "short", timeZone: zone }));
}
async function readiness() {
  const answer = await fetch("/readyz").catch(() => null);
  const checks = answer ? await answer.json().catch(() => ({})) : {};
  set("#ready", Object.entries(checks).map(([key, holds]) => `${holds ? "✓" : "✗"} ${key}`).join("  "));
}
const faults = (one) => [...one.faults, ...(one.suspect ? [t("device.suspect")] : []), ...(one.clock_ms ? [t("device.clock", { n: Math.round(Math.abs(one.clock_ms) / 60_000) })] : [])].join(" · ");
const tile = (key, value) => el("div", { class: "tile" }, t(key), el("b", { "data-tile": key, text: value }));
function draw(o) {
  const first = !zone;
  zone = o.tz;
  if (first) charts();
  const day = String(o.day);
  set("#where", `${o.hall} · ${day.slice(0, 4)}-${day.slice(4, 6)}-${day.slice(6)} · ${t(o.open ? "ops.open" : "ops.closed")}`);
  const rated = o.levels.reduce((a, b) => a + b, 0);
  const figures = [["ops.waiting", o.tickets.waiting], ["ops.oldest", o.oldest_ms ? duration(hallNow() - o.oldest_ms) : "—"], ["ops.called", o.tickets.called], ["ops.serving", o.tickets.serving], ["ops.held", o.tickets.held],
    ["ops.missed", o.tickets.missed], ["ops.taken", o.ended.taken], ["ops.served", o.ended.served], ["ops.rated", rated], ["ops.cases", o.cases]];
  fill($("#tiles"), figures, () => figures.map(([key, value]) => tile(key, value)));
  fill($("#counters"), [o.counters, Math.floor(hallNow() / 60_000)], () => o.counters.map((one) => el("tr", {}, el("td", { text: one.counter }), el("td", { text: t(`status.${one.status}`) }), el("td", { class: "number", text: one.number || "—" }), el("td", { text: one.staff || "—" }), el("td", { class: "n", text: one.since_ms ? duration(hallNow() - one.since_ms) : "" }))));
  fill($("#services"), o.rows, () => o.rows.map((one) => el("tr", {}, el("td", { text: name(one.name) }), el("td", { class: "n", text: one.waiting }))));
  fill($("#devices"), o.devices, () => o.devices.map((one) => el("tr", {}, el("td", { text: one.device }), el("td", { text: one.kind }), el("td", { text: one.counter || "—" }), el("td", { class: ["offline", "degraded", "quarantined"].includes(one.state) ? "bad" : "", text: has(`device.${one.state}`) ? t(`device.${one.state}`) : one.state }), el("td", { class: one.suspect || one.clock_ms ? "bad" : "", text: faults(one) }))));
  bars($("#chart-levels"), t("ops.levels"), o.levels.toReversed());
}
$("#out").append(logoutButton());
$("#to-cases").href = `/cases?hall=${encodeURIComponent(page.hall)}&lang=${page.lang}`;
watch("ops", { hall: page.hall }, draw);
await Promise.all([sample(), readiness(), audit()]);
setInterval(audit, AUDIT_MS);
setInterval(sample, SAMPLE_MS);
setInterval(readiness, SAMPLE_MS);
