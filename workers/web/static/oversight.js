// Appeals, findings and the ledger of conduct, for the case desk; the list of findings also for the overview.
import { $, el, fill, has, hallNow, name, t } from "/static/page.js";

const DAY_MS = 86_400_000;
const word = (key, code) => (has(`${key}.${code}`) ? t(`${key}.${code}`) : code);
const day = (n) => String(n).replace(/^(\d{4})(\d\d)(\d\d)$/, "$1-$2-$3");
const none = (columns) => [el("tr", {}, el("td", { colspan: columns, text: t("over.none") }))];
const staff = (key, label) => ({ key, label, id: true });
const DECISIONS = { decide: ["upheld", "mistaken", "malicious"], review: ["confirmed", "dismissed"] };
const CONDUCT = ["absent", "late", "early", "admonished", "noncompliance", "complaint", "error", "criticised", "media", "disobedience", "unfit", "sanction"];

// A small form: fields [{key, label, choice?, text?, id?, number?}], then `then(body)`.
let answer = null;
function ask(title, fields, then) {
  answer = () => then(Object.fromEntries(fields.map((one) => [one.key, one.number ? Number($(`#ask-${one.key}`).value) : $(`#ask-${one.key}`).value.trim()])));
  $("#ask-title").textContent = title;
  $("#ask-fields").replaceChildren(...fields.flatMap((one) => [
    el("label", { for: `ask-${one.key}`, text: t(one.label) }),
    one.choice
      ? el("select", { id: `ask-${one.key}` }, ...one.choice.map((value) => el("option", { value, text: t(`${one.text}.${value}`) })))
      : el("input", { id: `ask-${one.key}`, required: true, autocomplete: "off", maxlength: 64, pattern: one.number ? "[0-9]{1,8}" : "[A-Za-z0-9_.@\\-]+", inputmode: one.number ? "numeric" : "text", value: one.value }),
  ]));
  $("#ask").showModal();
}
export function prepare() {
  $("#asked").addEventListener("submit", () => { $("#ask").close(); answer(); });
  $("#ask-back").addEventListener("click", () => $("#ask").close());
}
const button = (key, action) => el("button", { class: "plain", text: t(key), onclick: action });
const acts = (...buttons) => el("td", {}, el("div", { class: "acts" }, ...buttons));

function appeal(one, send) {
  const left = one.due_ms - hallNow(), open = one.state === "submitted" && left > 0;
  const title = (key) => `${t(key)} · ${t("over.call")} ${one.call}`;
  return el("tr", { "data-appeal": one.call },
    el("td", { class: "n", text: one.call }), el("td", { text: `${one.counter} · ${name(one.service)}` }), el("td", { text: one.staff }),
    el("td", { text: t(`level.${one.level}`) }), el("td", { text: one.state === "submitted" && !open ? "—" : t(`appeal.${one.state}`) }),
    el("td", { text: one.by || "—" }), el("td", { text: open ? t("hours", { n: Math.max(1, Math.floor(left / (DAY_MS / 24))) }) : "—" }),
    acts(...(send && open ? [button("over.appeal", () => ask(title("over.appeal"), [{ ...staff("by", "over.appellant"), value: one.staff }, { key: "text_ref", label: "cases.ref" }], (body) => send({ type: "evaluation.appeal", call: one.call, ...body })))] : []),
      ...(send && one.state === "appealed" ? [button("over.decide", () => ask(title("over.decide"), [{ key: "decision", label: "over.decision", choice: DECISIONS.decide, text: "decision" }, staff("reviewer", "over.reviewer")], (body) => send({ type: "evaluation.decide", call: one.call, ...body })))] : [])));
}
export const rule = (one) => el("tr", { "data-finding": one.finding },
  el("td", { class: "n", text: one.finding }), el("td", { text: one.rule }), el("td", { text: one.subject }), el("td", { text: day(one.day) }),
  el("td", { class: one.state === "raised" ? "bad" : "", text: t(`finding.${one.state}`) + (one.decision ? ` · ${word("decision", one.decision)}` : "") }));
function finding(one, send) {
  const row = rule(one);
  row.append(acts(...(send && one.state === "raised" ? [button("over.review", () => ask(`${t("over.review")} · ${one.rule} ${one.subject}`, [{ key: "decision", label: "over.decision", choice: DECISIONS.review, text: "decision" }, staff("reviewer", "over.reviewer")], (body) => send({ type: "finding.review", finding: one.finding, ...body })))] : [])));
  return row;
}
function entry(one, send) {
  return el("tr", { class: one.void ? "closed" : "", "data-entry": one.entry },
    el("td", { class: "n", text: one.entry }), el("td", { text: one.staff }), el("td", { text: word("conduct", one.kind) }), el("td", { text: day(one.on_day) }),
    el("td", { class: "n", text: one.half_days }), el("td", { text: one.case || "—" }), el("td", { text: t(one.void ? "conduct.voided" : "conduct.valid") }),
    acts(...(send && !one.void ? [button("over.void", () => ask(`${t("over.void")} · ${one.entry}`, [{ key: "why", label: "cases.ref" }], (body) => send({ type: "conduct.void", entry: one.entry, ...body })))] : [])));
}
export function record(send) {
  const today = new Date(hallNow()).toISOString().slice(0, 10).replaceAll("-", "");
  ask(t("over.record"), [staff("staff", "over.staff"), { key: "kind", label: "over.kind", choice: CONDUCT, text: "conduct" }, { key: "on_day", label: "over.on_day", number: true, value: today }, { key: "half_days", label: "over.half_days", number: true, value: "1" }], (body) => send({ type: "conduct.record", ...body }));
}
// `send` is missing for those who only look.
export function draw(over, send) {
  const hour = Math.floor(hallNow() / 3_600_000);
  fill($("#appeals"), [over.appeals, hour], () => (over.appeals.length ? over.appeals.map((one) => appeal(one, send)) : none(8)));
  fill($("#findings"), over.findings, () => (over.findings.length ? over.findings.map((one) => finding(one, send)) : none(6)));
  fill($("#conduct"), over.conduct, () => (over.conduct.length ? over.conduct.map((one) => entry(one, send)) : none(8)));
}
// The overview: findings and the audit trail, read only.
export function look(told, clock) {
  fill($("#findings"), told.findings, () => (told.findings.length ? told.findings.map(rule) : none(5)));
  fill($("#audit"), told.audit, () => (told.audit.length ? told.audit.map((one) => el("tr", { "data-audit": one.kind },
    el("td", { text: clock(one.at_ms) }), el("td", { text: word("audit", one.kind) }), el("td", { text: one.what.map((each) => (has(`decision.${each}`) ? t(`decision.${each}`) : has(`conduct.${each}`) ? t(`conduct.${each}`) : each)).join(" · ") }), el("td", { text: one.by || t("over.process") }))) : none(4)));
}
