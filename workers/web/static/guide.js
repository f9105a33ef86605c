// The guide's page: who is ahead and how long it takes; takes a ticket for somebody, moves one, changes its class.
import { $, Device, el, fill, lang, logoutButton, mine as ownDevice, name, page, set, t, told, watch } from "/static/page.js";

let device = null, shown = null, found = null, hall = page.hall, asked = 0;

const minutes = (s) => Math.max(1, Math.round(s / 60));
function eta(one) {
  if (one.eta_s === null || one.eta_s === undefined) return t("guide.eta_unknown");
  return one.eta_p90_s === 0 && !one.ahead ? t("guide.eta_now") : t("guide.eta", { low: minutes(one.eta_s), high: minutes(one.eta_p90_s) });
}
function ahead(n, numbers) {
  if (!n) return t("guide.ahead", { n });
  const listed = numbers.join(" ") + (n > numbers.length ? ` ${t("guide.more")}` : "");
  return t("guide.ahead_named", { n, numbers: listed });
}
async function act(body) {
  set("#said", t("sending"));
  const result = await device.say(body);
  $("#said").className = result.ok ? "good" : "bad";
  const ticket = result.ok && result.ok.type === "ticket" ? result.ok : null;
  set("#said", ticket ? t("guide.taken", { number: ticket.number, n: ticket.ahead ?? 0 }) : told(result));
  const number = ticket ? ticket.number : found && found.number;
  if (number) look(number);
}
function divert(event) {
  event.preventDefault();
  act({ type: "queue.divert", from_service: $("#from").value, to_service: $("#to").value, count: Number($("#many").value), why: "guide" });
}
async function look(number) {
  const mine = ++asked; // an answer that was overtaken is not shown
  const answer = await fetch(`/api/v1/ticket?hall=${encodeURIComponent(hall)}&number=${encodeURIComponent(number)}`);
  if (answer.status !== 200) return set("#said", t(answer.status === 429 ? "error.rate" : "error.other"));
  const answered = await answer.json();
  if (mine !== asked) return;
  found = answered;
  drawFound();
}
function option(code, text) { return el("option", { value: code, text }); }
function drawFound() {
  const where = $("#found");
  if (!found) return where.replaceChildren(el("p", { class: "bad", text: t("guide.not_found") }));
  const lines = [el("p", {}, el("b", { class: "number", text: found.number }), ` ${name(found.service_name)} · ${name(found.cls_name)} · ${t(`state.${found.state}`)}`)];
  if (found.state === "waiting") lines.push(el("p", { id: "ahead", text: ahead(found.ahead, found.before) }), el("p", { text: eta(found) }));
  if (device && shown) lines.push(acts());
  where.replaceChildren(el("div", { class: "card" }, ...lines));
}
function acts() {
  const made = [], ticket = found.ticket;
  if (["waiting", "held"].includes(found.state)) {
    const to = el("select", { "aria-label": t("guide.move") }, ...shown.services.filter((one) => one.code !== found.service).map((one) => option(one.code, name(one.name))));
    made.push(to, el("button", { id: "move", class: "plain", text: t("guide.move"), onclick: () => act({ type: "ticket.transfer", ticket, to_service: to.value, why: "guide" }) }));
  }
  if (found.state === "waiting") {
    const cls = el("select", { id: "to-class", "aria-label": t("guide.reclass") }, ...shown.classes.filter((one) => one.code !== found.cls).map((one) => option(one.code, name(one.name))));
    made.push(cls, el("button", { id: "reclass", class: "plain", text: t("guide.reclass"), onclick: () => act({ type: "ticket.reclass", ticket, class: cls.value, why: "guide" }) }));
  }
  if (found.state === "missed") made.push(el("button", { text: t("guide.requeue"), onclick: () => act({ type: "ticket.requeue", ticket }) }));
  if (["waiting", "held", "missed"].includes(found.state)) made.push(el("button", { class: "plain", text: t("guide.cancel"), onclick: () => act({ type: "ticket.cancel", ticket, why: "guide" }) }));
  return el("div", { class: "acts" }, ...made);
}
function draw(g) {
  const fresh = !shown;
  shown = g;
  fill($("#class"), [g.classes], () => {
    const kept = $("#class").value || "ordinary";
    return g.classes.map((one) => el("option", { value: one.code, text: name(one.name), selected: one.code === kept }));
  });
  fill($("#missed"), g.missed, () => g.missed.length ? g.missed.map((one) => el("li", {}, el("button", { class: "plain number", text: one.number, onclick: () => look(one.number) }))) : [el("li", { text: t("guide.none_missed") })]);
  const names = new Map(g.services.map((one) => [one.code, one.name]));
  for (const [select, at] of [[$("#from"), 0], [$("#to"), 1]]) fill(select, [g.services.map((one) => one.code)], () => {
    const kept = select.value || (g.services[at] || {}).code;
    return g.services.map((one) => el("option", { value: one.code, text: name(one.name), selected: one.code === kept }));
  });
  const rows = $("#services");
  if (rows.children.length !== g.services.length) rows.replaceChildren(...g.services.map(row));
  g.services.forEach((one, at) => {
    const cells = rows.children[at].children;
    set(cells[0].firstChild, name(one.name));
    set(cells[0].lastChild, one.advice ? t("guide.divert", { name: name(names.get(one.advice)) }) : "");
    [one.waiting, eta(one), one.open_counters, one.left < 0 ? "—" : one.left, one.first.join(" ")].forEach((text, i) => set(cells[i + 1], String(text)));
  });
  if (fresh && found) drawFound();
}
function row(one) {
  const button = el("button", { class: "plain take", "data-service": one.code, text: t("guide.take"), "aria-label": `${t("guide.take")} ${name(one.name)}`, disabled: !device,
    onclick: () => act({ type: "ticket.take", service: one.code, class: $("#class").value, assisted_by: "guide", lang }) });
  return el("tr", {}, el("td", {}, el("span"), el("span", { class: "advice" })), el("td", { class: "n" }), el("td"), el("td", { class: "n" }), el("td", { class: "n" }), el("td", { class: "number" }), el("td", {}, button));
}
$("#out").append(logoutButton());
$("#find").addEventListener("submit", (event) => { event.preventDefault(); look($("#number").value.trim()); });
$("#divert").addEventListener("submit", divert);
const own = await ownDevice("guide", (devices) => devices[0] || null);
if (own) {
  hall = own.hall;
  device = new Device(own.hall, own.device, (text) => text && set("#said", text));
  $("#diversion").hidden = false;
} else set("#said", t("guide.no_device"));
set("#where", own ? `${hall} · ${own.device}` : hall);
watch("guide", { hall, name: own ? own.device : "" }, draw);
