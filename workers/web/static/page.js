// Shared by all pages: texts, elements, the stream of pictures, the page as a device.
export const root = document.documentElement;
export const page = root.dataset;
export const lang = page.lang === "en" ? "en" : "zh";
const speed = Number(page.speed) || 1;
addEventListener("submit", (event) => event.preventDefault()); // no form ever leaves the page
let leaving = false; // a request cut short by going on to another page is no fault
addEventListener("beforeunload", () => { leaving = true; });
for (const kind of ["error", "unhandledrejection"]) addEventListener(kind, (event) => { if (leaving) event.preventDefault(); });
const said = await (await fetch(`/texts/${lang}`)).json();

export const t = (key, values = {}) =>
  (said[key] ?? key).replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
export const has = (key) => key in said;
export const name = (names) => (names && (names[lang] || names.zh || names.en)) || "";
export const $ = (selector) => document.querySelector(selector);

// Elements: text always by textContent.
export function el(tag, more = {}, ...children) {
  const made = document.createElement(tag);
  for (const [key, value] of Object.entries(more)) {
    if (key === "text") made.textContent = value;
    else if (key.startsWith("on")) made.addEventListener(key.slice(2), value);
    else if (value === true) made.setAttribute(key, "");
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(key, value);
  }
  made.append(...children.filter((one) => one !== null && one !== undefined));
  return made;
}
// A list is rebuilt only when it says something else: focus and screen readers are left alone.
export function fill(parent, key, make) {
  const text = JSON.stringify(key);
  if (parent.dataset.shown === text) return;
  parent.dataset.shown = text;
  parent.replaceChildren(...make());
}
export function set(selector, text) {
  const found = typeof selector === "string" ? $(selector) : selector;
  if (found && found.textContent !== text) found.textContent = text;
}

export function duration(ms) {
  const s = Math.max(0, Math.round(ms / 1000));
  return s < 60 ? t("seconds", { n: s }) : t("minutes", { n: Math.floor(s / 60) });
}
export const spell = (number) => [...String(number)].join(" ");

// The hall's clock, which in a simulated day runs faster than ours.
let stamp = { at: Date.now(), got: performance.now() };
export const hallNow = () => stamp.at + (performance.now() - stamp.got) * speed;
export const realMs = (hallMs) => hallMs / speed;

// The stream: one whole picture after the other. On a lost connection the picture stays, and its age is shown.
const DEAD_MS = 40_000;
export function watch(what, { hall = "", name: of = "" } = {}, show) {
  const banner = el("div", { id: "lost", role: "status", hidden: true });
  document.body.prepend(banner);
  let source = null, heard = performance.now(), up = false, shown = 0, seen = false;
  const tell = () => {
    const silent = performance.now() - heard > DEAD_MS;
    if (silent && source) open();
    banner.hidden = up && !silent;
    if (banner.hidden) return;
    const s = Math.round((performance.now() - shown) / 1000);
    const age = s < 120 ? t("age.s", { n: s }) : t("age.min", { n: Math.floor(s / 60) });
    set(banner, seen ? t("lost", { age }) : t("connecting"));
    root.dataset.stale = seen ? "1" : "0";
  };
  const alive = (event) => {
    heard = performance.now();
    up = true;
    const told = JSON.parse(event.data);
    stamp = { at: told.at_ms, got: heard };
    delete root.dataset.stale;
    return told;
  };
  function open() {
    if (source) source.close();
    heard = performance.now();
    source = new EventSource(`/events/${what}?hall=${encodeURIComponent(hall)}&name=${encodeURIComponent(of)}`);
    source.onmessage = (event) => {
      const told = alive(event);
      shown = performance.now();
      seen = true;
      if (told.body) show(told.body, told.n);
      tell();
    };
    source.addEventListener("alive", (event) => { alive(event); shown = performance.now(); tell(); });
    source.onerror = () => {
      up = false;
      if (source.readyState === EventSource.CLOSED) setTimeout(open, 2000);
      tell();
    };
  }
  addEventListener("offline", () => { up = false; tell(); });
  addEventListener("pagehide", () => source && source.close());
  open();
  setInterval(tell, 1000);
}

export async function post(path, body, more = {}) {
  const answer = await fetch(path, {
    method: "POST",
    headers: { "Content-Type": "application/json", "X-Jiaohao": "1", ...more },
    body: JSON.stringify(body),
  });
  const found = await answer.json().catch(() => ({}));
  return { status: answer.status, wait: Number(answer.headers.get("Retry-After")) || 1, ...found };
}

// The page as a device: one event at a time, sent again under its number until it is answered.
const sleep = (ms) => new Promise((done) => setTimeout(done, ms));
const newBoot = () => "w" + Array.from(crypto.getRandomValues(new Uint8Array(9)), (n) => "abcdefghijklmnopqrstuvwxyz234567"[n % 32]).join("");
const LOST_NUMBER = new Set(["boot_retired", "seq_reused", "seq_old"]);
export class Device {
  constructor(hall, device, onstate = () => {}, path = "commands") {
    this.path = `/api/v1/${path}?hall=${encodeURIComponent(hall)}&device=${encodeURIComponent(device)}`;
    this.boot = newBoot();
    this.seq = 0;
    this.onstate = onstate;
    this.line = Promise.resolve();
  }
  // Resolves to {ok} or {refused}, or {error} after a minute without an answer.
  say(body) {
    const answer = this.line.then(() => this.deliver(body));
    this.line = answer.catch(() => {});
    return answer;
  }
  async deliver(body, again = true) {
    this.seq += 1;
    const event = { boot: this.boot, seq: this.seq, sent_ms: Math.round(hallNow()), body };
    const until = performance.now() + 60_000;
    for (let pause = 300; ; pause = Math.min(5000, pause * 2)) {
      try {
        const found = await post(this.path, event, { "Idempotency-Key": `${event.boot}:${event.seq}` });
        if (found.status === 200) {
          this.onstate("");
          if (again && LOST_NUMBER.has(found.result.refused)) {
            this.boot = newBoot();
            this.seq = 0;
            return this.deliver(body, false);
          }
          return found.result;
        }
        if (found.status === 401) location.assign(`/login?next=${encodeURIComponent(location.pathname + location.search)}`);
        if (![429, 503, 504].includes(found.status)) return { error: found.error || "other" };
        pause = Math.max(pause, found.wait * 1000);
      } catch {
        this.onstate(t("retrying"));
      }
      if (performance.now() > until) return { error: "busy" };
      await sleep(pause);
    }
  }
}
export function told(result) {
  if (result.error) return t(has(`error.${result.error}`) ? `error.${result.error}` : "error.other");
  return result.refused ? t(`refused.${result.refused}`) : t("done");
}

// Which device this page is: the one of the address, else the only one, else a choice.
export async function mine(kind, choose) {
  const known = await (await fetch("/api/v1/me")).json();
  const fitting = (known.devices || []).filter((one) => one.kind === kind && (!page.hall || one.hall === page.hall));
  if (page.device) return fitting.find((one) => one.device === page.device) || null;
  return fitting.length === 1 ? fitting[0] : choose(fitting);
}
export function logoutButton() {
  return el("button", { class: "plain", text: t("logout"), onclick: async () => { await post("/api/v1/logout", {}); location.assign("/login"); } });
}
