// The case desk: who has to do what by when, and the steps of a case. Texts are kept elsewhere; a case refers to them.
import { $, Device, el, fill, hallNow, has, logoutButton, name, page, set, t, told, watch } from "/static/page.js";
import * as over from "/static/oversight.js";

const ACTS = page.role === "operator", DAY_MS = 86_400_000;
const ref = (key) => ({ key, input: "ref" });
// By state: [step, what is asked for].
const STEPS = {
  opened: [["assign", { key: "handler", input: "staff" }]],
  assigned: [["verify", { key: "verdict", choice: ["substantiated", "unsubstantiated", "no_basis", "accepted"], text: "verdict." }]],
  rectifying: [["rectify", ref("action_ref")], ["extend", null]],
  rectified: [["reply", ref("text_ref")]],
  explaining: [["reply", ref("text_ref")], ["extend", null]],
  replied: [["revisit", { key: "satisfaction", choice: [3, 2, 1, 0], text: "satisfaction." }], ["close", null]],
  revisited: [["close", null]],
  closed: [["reopen", { key: "handler", input: "staff" }]],
};
let desk = null, wanted = null;

function left(ms) {
  const min = Math.max(0, Math.floor(ms / 60_000));
  if (min < 120) return t("minutes", { n: min });
  return min < 2880 ? t("hours", { n: Math.floor(min / 60) }) : t("days", { n: Math.floor(min / 1440) });
}
function due(one) {
  const lines = one.overdue.length ? [t("cases.overdue", { stages: one.overdue.map((stage) => t(`stage.${stage}`)).join(" ") })] : [];
  for (const clock of one.clocks) if (!one.overdue.includes(clock.stage)) lines.push(t("cases.left", { stage: t(`stage.${clock.stage}`), time: left(clock.due_ms - hallNow()) }));
  return lines.map((text) => el("span", { class: "due", text }));
}
async function send(body) {
  set("#said", t("sending"));
  const result = await desk.say(body);
  $("#said").className = result.ok ? "good" : "bad";
  set("#said", told(result));
}
function begin(one, step, asks) {
  if (step === "extend") {
    const clock = one.clocks.find((each) => each.stage !== "verify");
    return clock && send({ type: "case.extend", case: one.case, stage: clock.stage, to_ms: clock.due_ms + 3 * DAY_MS });
  }
  if (!asks) return send({ type: `case.${step}`, case: one.case });
  wanted = { one, step, asks };
  set("#act-title", `${t(`cases.${step}`)} ${one.case}`);
  set("#go", t(`cases.${step}`));
  const label = asks.choice ? (asks.key === "verdict" ? "cases.verdict" : "cases.satisfaction") : asks.input === "staff" ? "cases.handler" : "cases.ref";
  const input = asks.choice
    ? el("select", { id: "value" }, ...asks.choice.map((value) => el("option", { value, text: t(asks.text + value) })))
    : el("input", { id: "value", maxlength: 64, pattern: "[A-Za-z0-9_.@\\-]+", required: asks.input === "staff", autocomplete: "off" });
  const hard = step === "verify" ? [el("label", { class: "box" }, el("input", { id: "complex", type: "checkbox" }), ` ${t("cases.complex")}`)] : [];
  $("#field").replaceChildren(el("label", { for: "value", text: t(label) }), input, ...hard);
  $("#act").showModal();
}
$("#step").addEventListener("submit", () => {
  const { one, step, asks } = wanted, value = $("#value").value.trim();
  const body = { type: `case.${step}`, case: one.case, [asks.key]: asks.key === "satisfaction" ? Number(value) : value };
  if (asks.key === "satisfaction" && value === "0") body.reached = false;
  if (step === "verify") body.complex = $("#complex").checked;
  $("#act").close();
  send(body);
});
function row(one) {
  const steps = ACTS ? (STEPS[one.state] || []).filter(([step]) => step !== "extend" || one.clocks.some((clock) => clock.stage !== "verify")) : [];
  const key = `kind.${one.kind}`;
  return el("tr", { class: [one.overdue.length && one.state !== "closed" ? "late" : "", one.state === "closed" ? "closed" : ""].join(" ").trim(), "data-case": one.case },
    el("td", { class: "n", text: one.case }), el("td", { text: has(key) ? t(key) : one.kind }),
    el("td", { text: [one.counter || "", name(one.service)].filter(Boolean).join(" · ") || "—" }),
    el("td", {}, el("span", { text: one.level ? t(`level.${one.level}`) : "—" }), ...(one.texts ? [el("button", { class: "plain texts", text: t("cases.texts"), onclick: () => read(one) })] : [])),
    el("td", { text: t(`case.${one.state}`) + (one.round > 1 ? ` · ${t("cases.round", { n: one.round })}` : "") }),
    el("td", { text: one.handler || "—" }), el("td", {}, ...due(one)),
    el("td", {}, el("div", { class: "acts" }, ...steps.map(([step, asks]) => el("button", { class: "plain", text: t(`cases.${step}`), onclick: () => begin(one, step, asks) })))));
}
async function read(one) {
  const answer = await fetch(`/api/v1/cases/texts?hall=${encodeURIComponent(page.hall)}&case=${one.case}`), found = answer.ok ? await answer.json() : { texts: [], gone: [] };
  set("#texts-title", `${t("cases.texts")} ${one.case}`);
  $("#texts-list").replaceChildren(...found.texts.map((text) => el("p", { text })), ...(found.gone.length ? [el("p", { text: t("cases.gone", { refs: found.gone.join(" ") }) })] : []));
  $("#texts").showModal();
}
function draw(work) {
  set("#where", work.hall);
  set("#count", String(work.open));
  over.draw(work.over, ACTS ? send : null);
  fill($("#cases"), [work.cases, Math.floor(hallNow() / 60_000)], () => work.cases.length ? work.cases.map(row) : [el("tr", {}, el("td", { colspan: 8, text: t("cases.none") }))]);
}
$("#out").append(logoutButton());
$("#to-ops").href = `/ops?hall=${encodeURIComponent(page.hall)}&lang=${page.lang}`;
if (ACTS) {
  desk = new Device(page.hall, "", (text) => text && set("#said", text), "cases");
  $("#new").hidden = $("#record").hidden = false;
  over.prepare();
  $("#record").addEventListener("click", () => over.record(send));
  $("#open").addEventListener("submit", () => send({ type: "case.open", kind: $("#kind").value, source: "desk", counter: Number($("#counter").value) || 0, text_ref: $("#ref").value.trim(), real_name: $("#real").checked }));
} else set("#said", t("cases.read_only"));
watch("cases", { hall: page.hall }, draw);
