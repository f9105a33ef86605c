// A kiosk, written from devices/README.md and deploy/asyncapi.yaml alone, with the package `mqtt` and nothing of ours.
//
//   node device.mjs URL HALL DEVICE [--v5]
//
// Standard input: `press` takes a ticket, `power` switches it off and on (it has no storage: a new boot), `end` ends it.
// Standard output: one JSON line for each answer of the hall, and for each birth.
import { randomBytes } from "node:crypto";
import { createInterface } from "node:readline";
import mqtt from "mqtt";

const [url, hall, name, ...options] = process.argv.slice(2);
const topic = (leaf) => `jh/v1/${hall}/${name}/${leaf}`;
const tell = (what) => console.log(JSON.stringify(what));
const RESEND_MS = Number(process.env.RESEND_MS ?? 30_000);
const KEEP_MS = Number(process.env.KEEP_MS ?? 60_000);

let boot, seq, link, outbox, skewMs, holdUntil, timer, client, done, newest;

function begin() {
  boot = randomBytes(6).toString("base64url"); // one life of seq; without storage drawn anew at each start
  seq = link = skewMs = holdUntil = 0;
  outbox = [];
  done = [];
  newest = [-1, -1];
  connect();
}

function state(word) {
  return JSON.stringify({ state: word, boot, link, fw: "node-1", profile: "kiosk", faults: [] });
}

function connect() {
  link += 1; // will and birth name the connection
  client = mqtt.connect(url, {
    clientId: `${hall}.${name}`,
    clean: true,
    keepalive: 30,
    reconnectPeriod: 0, // by hand, since each connection has a will of its own
    protocolVersion: options.includes("--v5") ? 5 : 4,
    will: { topic: topic("state"), payload: state("lost"), qos: 1, retain: true },
  });
  const mine = client;
  mine.on("connect", async () => {
    try {
      await mine.subscribeAsync(["ack", "command", "screen"].map(topic), { qos: 1 });
      await birth();
      send();
    } catch {
      mine.end(true);
    }
  });
  mine.on("message", (where, payload) => hear(where.split("/").at(-1), payload));
  mine.on("error", () => {});
  mine.on("close", () => {
    clearTimeout(timer);
    if (mine === client) setTimeout(() => mine === client && connect(), 50 + Math.random() * 150);
  });
}

async function birth() {
  await client.publishAsync(topic("state"), state("ready"), { qos: 1, retain: true });
  tell({ birth: boot, link });
}

function put(body) {
  seq += 1;
  outbox.push({ boot, seq, body, born: performance.now() });
  if (outbox.length === 1) send();
}

// One message at a time: the oldest, until its ack has come.
function send() {
  clearTimeout(timer);
  if (outbox.length === 0) return;
  const wait = holdUntil - performance.now();
  if (wait > 0) {
    timer = setTimeout(send, wait);
    return;
  }
  if (!client.connected) return;
  const { born, ...event } = outbox[0];
  const message = { ...event, sent_ms: Date.now(), age_ms: Math.round(performance.now() - born) };
  client.publish(topic("event"), JSON.stringify(message), { qos: 1 }, () => {});
  timer = setTimeout(send, RESEND_MS * (0.8 + Math.random() * 0.4));
}

function hear(leaf, payload) {
  let message;
  try {
    message = JSON.parse(payload.toString("utf-8"));
  } catch {
    return; // not ours, or of a later version
  }
  if (message === null || typeof message !== "object") return;
  if (leaf === "ack" && Array.isArray(message.results)) acked(message);
  if (leaf === "command" && message.body) ordered(message);
  if (leaf === "screen" && message.body) shown(message);
}

function acked({ boot: whose, now_ms, results }) {
  skewMs = now_ms - Date.now();
  for (const result of results) {
    const entry = outbox.find((one) => one.boot === whose && one.seq === result.seq);
    if (entry === undefined) continue;
    if (result.keep) {
      holdUntil = performance.now() + KEEP_MS;
    } else if (["seq_reused", "boot_retired"].includes(result.refused)) {
      boot = randomBytes(6).toString("base64url"); // our numbers are somebody else's
      seq = 0;
      outbox = outbox.map((one) => ({ ...one, boot, seq: ++seq }));
    } else {
      outbox = outbox.filter((one) => one !== entry);
      tell({ seq: result.seq, ...(result.ok ?? { refused: result.refused }) });
    }
  }
  send();
}

function ordered({ id, until_ms, body }) {
  if (body.type === "device.sync") {
    skewMs = body.now_ms - Date.now();
    setTimeout(() => birth().then(send, () => {}), Math.random() * body.within_ms);
  }
  if (body.type !== "kiosk.print") return;
  if (done.includes(id) || Date.now() + skewMs > until_ms) return;
  done = [...done, id].slice(-64);
  put({ type: "ticket.report_print", ticket: body.ticket, ok: true });
}

function shown({ epoch, revision, body }) {
  if (epoch < newest[0] || (epoch === newest[0] && revision <= newest[1])) return;
  newest = [epoch, revision];
  tell({ screen: body.type });
}

const deeds = {
  press: () => put({ type: "ticket.take", service: "si" }),
  power: () => {
    const old = client;
    client = undefined;
    clearTimeout(timer);
    old.stream.destroy(); // no DISCONNECT: the power is gone
    old.end(true);
    begin();
  },
  end: async () => {
    await client.publishAsync(topic("state"), state("closed"), { qos: 1, retain: true });
    await client.endAsync();
    process.exit(0);
  },
};
createInterface({ input: process.stdin }).on("line", (line) => deeds[line.trim()]?.());
begin();
