// The hall board. New calls are shown large one at a time; the list has all of them at once.
import { $, el, fill, name, page, set, spell, t, watch } from "/static/page.js";

const HOLD_MS = 3500, HURRY_MS = 1200, MANY = 5, SPOKEN_MAX_MS = 12_000, PER_TURN = 20, TURN_MS = 8000;
const seen = new Map(); // call -> how often it was said
const queue = [];
let current = null, lastBoard = null, turn = 0, first = true, timer = 0, voice = localStorage.getItem("voice") === "1";

function draw(board) {
  const calls = board.calls;
  for (const call of calls) {
    if ((seen.get(call.call) || 0) >= call.times) continue;
    seen.set(call.call, call.times);
    if (!first) queue.push(call);
  }
  if (first && calls.length) show(calls.at(-1), false);
  if (first && !calls.length) set("#nobody", t(board.open ? "board.nobody" : "board.closed"));
  first = false;
  const known = new Set(calls.map((one) => one.call));
  for (const call of seen.keys()) if (!known.has(call)) seen.delete(call);
  list(calls);
  waiting();
  if (!timer) next();
}

// Of many services some at a time, in turn.
function waiting() {
  const rows = lastBoard ? lastBoard.waiting : [], turns = Math.ceil(rows.length / PER_TURN) || 1;
  const some = rows.slice((turn % turns) * PER_TURN, (turn % turns + 1) * PER_TURN);
  set("#queue-title", t("board.waiting") + (turns > 1 ? ` ${turn % turns + 1}/${turns}` : ""));
  fill($("#waiting"), some, () => some.map((row) => el("li", {}, el("span", { text: name(row.name) }), el("b", { text: row.waiting }))));
}
function list(calls) {
  const rows = calls.toReversed().slice(0, 8);
  fill($("#calls"), [rows, current && current.call], () => rows.map((one) =>
    el("li", { class: current && one.call === current.call ? "current" : "" },
      el("span", { class: "number", text: one.number }), el("span", { text: name(one.label) }))));
}

function next() {
  timer = 0;
  const call = queue.shift();
  if (!call) return;
  show(call, true);
  const held = queue.length > MANY ? HURRY_MS : HOLD_MS;
  const spoken = voice ? say(call) : Promise.resolve();
  timer = setTimeout(() => Promise.race([spoken, new Promise((done) => setTimeout(done, SPOKEN_MAX_MS))]).then(next), held);
}

function show(call, fresh) {
  current = call;
  $("#nobody").hidden = true;
  $("#call").hidden = false;
  set("#number", call.number);
  set("#counter", name(call.label));
  document.body.dataset.shown = `${document.body.dataset.shown || ""} ${call.number}`.trim().split(" ").slice(-20).join(" ");
  document.body.classList.remove("new");
  if (fresh) requestAnimationFrame(() => document.body.classList.add("new"));
  if (lastBoard) list(lastBoard.calls);
}

function say(call) {
  return new Promise((done) => {
    if (!("speechSynthesis" in window)) return done();
    const words = new SpeechSynthesisUtterance(t("board.say", { number: spell(call.number), counter: name(call.label) }));
    words.lang = document.documentElement.lang;
    words.onend = words.onerror = done;
    speechSynthesis.speak(words);
  });
}

function button() {
  $("#voice").setAttribute("aria-pressed", String(voice));
  set("#voice", t(voice ? "board.voice_off" : "board.voice_on"));
}
$("#voice").addEventListener("click", () => {
  voice = !voice;
  localStorage.setItem("voice", voice ? "1" : "0");
  button();
});
button();
setInterval(() => { turn += 1; waiting(); }, TURN_MS);
watch("board", { hall: page.hall, name: page.zone }, (board) => { lastBoard = board; draw(board); });
