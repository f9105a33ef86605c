// A clerk's console: a virtual keypad on F1 to F9. It knows no rule: the hall says what can be done, and why not.
import { $, Device, duration, el, fill, hallNow, lang, logoutButton, mine, name, page, set, t, told, watch } from "/static/page.js";

const KEYS = [
  ["F1", "next", { type: "ticket.call_next" }, (c) => c.status === "idle" || c.status === "serving"],
  ["F2", "recall", { type: "ticket.recall" }, (c) => c.status === "calling"],
  ["F3", "start", { type: "serving.start" }, (c) => c.status === "calling"],
  ["F4", "finish", { type: "serving.finish" }, (c) => c.status === "calling" || c.status === "serving"],
  ["F5", "miss", { type: "ticket.miss" }, (c) => c.status === "calling"],
  ["F6", "hold", { type: "ticket.hold" }, (c) => c.status === "calling" || c.status === "serving"],
  ["F7", "resume", { type: "ticket.resume" }, (c) => c.status === "idle" && c.held.length > 0],
  ["F8", "transfer", null, (c) => c.status === "calling" || c.status === "serving"],
  ["F9", "pause", null, (c) => c.status !== "closed"],
];
let device = null, shown = null, busy = false;

function occupied(now) {
  busy = now;
  $("#keys").setAttribute("aria-busy", String(now));
}
async function send(body) {
  if (busy) return; // one at a time: what is pressed meanwhile was pressed twice
  occupied(true);
  set("#said", t("sending"));
  const result = await device.say(body);
  occupied(false);
  $("#said").className = result.ok ? "good" : "bad";
  set("#said", result.ok && result.ok.number ? `${result.ok.number} · ${told(result)}` : told(result));
}
function press(key) {
  if (!shown) return;
  if (key[1] === "transfer") return openTransfer();
  if (key[1] === "pause") return send(shown.status === "paused" ? { type: "counter.resume" } : { type: "counter.pause", after_current: Boolean(shown.number) });
  return send(key[2]);
}
function openTransfer() {
  fill($("#targets"), shown.services, () => shown.services.map((row) =>
    el("button", { class: "plain", text: `${name(row.name)} (${row.waiting})`, onclick: () => { $("#transfer").close(); send({ type: "ticket.transfer", to_service: row.code }); } })));
  $("#transfer").showModal();
}
addEventListener("keydown", (event) => {
  const key = KEYS.find((one) => one[0] === event.key);
  if (!key || event.repeat || event.ctrlKey || event.altKey || event.metaKey) return;
  event.preventDefault();
  if (shown && !$("#transfer").open && !$(`#key-${key[1]}`).disabled) press(key);
});

function draw(c) {
  shown = c;
  set("#where", `${name(c.label)} · ${c.device}`);
  fill($("#who"), [c.staff, c.status === "idle"], () => c.staff
    ? [`${t("console.staff")} ${c.staff} `, el("button", { class: "plain", text: t("console.sign_off"), disabled: Boolean(c.number), onclick: () => send({ type: "staff.sign_off" }) })] : []);
  $("#sign").hidden = c.status !== "closed";
  set("#status", t(`status.${c.status}`));
  set("#number", c.number || "—");
  set("#waiting", t("console.waiting", { n: c.waiting }));
  set("#recalls", c.status === "calling" ? t("console.recalls", { n: c.recalls, max: c.recalls_max }) : "");
  $("#pausing").hidden = !c.pausing;
  set("#why", c.why[lang] || "");
  for (const key of KEYS) $(`#key-${key[1]}`).disabled = !key[3](c);
  set("#key-pause span", t(c.status === "paused" ? "console.unpause" : "console.pause"));
  fill($("#held"), [c.held, c.status], () => c.held.length ? c.held.map((one) =>
    el("li", {}, el("button", { class: "plain number", text: one.number, disabled: c.status !== "idle", onclick: () => send({ type: "ticket.resume", ticket: one.ticket }) }))) : [el("li", { text: t("console.none_held") })]);
  fill($("#rows"), c.rows, () => c.rows.map((row) => el("li", {}, el("span", { text: name(row.name) }), el("b", { text: row.waiting }))));
  tick();
}
function tick() {
  if (!shown) return;
  const parts = shown.number ? [name(shown.service), name(shown.cls), `${t("console.waited")} ${duration(shown.waited_ms)}`, `${t("console.since")} ${duration(hallNow() - shown.since_ms)}`] : [];
  set("#detail", parts.join(" · "));
}

function choose(devices) {
  $("#choose").hidden = false;
  $("#choices").replaceChildren(...(devices.length ? devices.map((one) => el("a", { class: "button", text: `${one.counter} · ${one.device}`,
    href: `/console?hall=${encodeURIComponent(one.hall)}&device=${encodeURIComponent(one.device)}&lang=${lang}` })) : [el("p", { text: t("console.nothing") })]));
  return null;
}
$("#out").append(logoutButton());
$("#keys").replaceChildren(...KEYS.map((key) => el("button", { id: `key-${key[1]}`, class: key[1] === "next" ? "wide" : "", disabled: true, "aria-keyshortcuts": key[0], onclick: () => press(key) },
  el("span", { text: t(`console.${key[1]}`) }), el("kbd", { text: key[0] }))));
$("#sign").addEventListener("submit", (event) => { event.preventDefault(); send({ type: "staff.sign_on", staff: $("#staff").value.trim() }); });
const own = await mine("caller", choose);
if (own) {
  device = new Device(own.hall, own.device, (text) => text && set("#said", text));
  $("#desk").hidden = false;
  watch("console", { hall: own.hall, name: own.device }, draw);
  setInterval(tick, 1000);
} else if (page.device) choose([]);
