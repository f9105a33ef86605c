// An evaluator: five levels of equal size and weight, none chosen beforehand. One tap is the rating; a second does nothing.
import { $, Device, el, fill, hallNow, lang, mine, page, realMs, set, t, told, watch } from "/static/page.js";

const THANKS_MS = 3000;
let device = null, shown = null, rated = 0, asked = 0, thanking = 0;

async function rate(level) {
  const call = shown && shown.call;
  if (!call || rated === call) return;
  rated = call;
  for (const button of document.querySelectorAll("#levels button")) button.disabled = true;
  const result = await device.say({ type: "evaluation.submit", call, level, option_set: shown.option_set, channel: "pad" });
  if (result.ok || result.refused === "already_rated") {
    thanking = performance.now() + THANKS_MS;
    setTimeout(draw, THANKS_MS + 50);
  } else {
    set("#said", told(result));
    if (result.error) rated = 0;
    setTimeout(() => set("#said", ""), 6000);
  }
  draw();
}
function draw() {
  if (!shown) return;
  const left = realMs(shown.until_ms - hallNow());
  const asking = shown.phase === "rating" && left > 0 && rated !== shown.call;
  const thanks = performance.now() < thanking;
  $("#rating").hidden = !asking || thanks;
  $("#thanks").hidden = !thanks;
  $("#idle").hidden = asking || thanks;
  if (asking) return ask(left);
  const phase = ["paused", "signed_out"].includes(shown.phase) ? shown.phase : "idle";
  set("#idle-title", t(`pad.${phase}`));
  set("#idle-more", phase === "idle" ? t("pad.idle_more") : "");
}
function ask(left) {
  set("#staff", shown.staff ? t("pad.staff", { staff: shown.staff }) : "");
  fill($("#levels"), [shown.call, shown.levels], () => shown.levels.map((level) => el("button", { "data-level": level, text: t(`level.${level}`), onclick: () => rate(level) })));
  $("#phone").hidden = !shown.token;
  const address = shown.token ? `/qr/${shown.token}.svg` : "";
  if (address && $("#qr").getAttribute("src") !== address) {
    $("#qr").src = address;
    $("#qr").alt = t("pad.phone");
  }
  document.body.dataset.token = shown.token;
  if (asked === shown.call) return;
  asked = shown.call;
  device.say({ type: "evaluation.report_shown", call: shown.call });
  setTimeout(draw, left + 50);
}
function choose(devices) {
  $("#idle").replaceChildren(el("h1", { text: t("pad.title") }), ...(devices.length ? devices.map((one) => el("a", { class: "button", text: one.device, href: `/pad/${encodeURIComponent(one.device)}?hall=${encodeURIComponent(one.hall)}&lang=${lang}` })) : [el("p", { text: t("console.nothing") })]));
  return null;
}
const own = await mine("evaluator", choose);
if (own) {
  device = new Device(own.hall, own.device, (text) => set("#said", text));
  watch("pad", { hall: own.hall, name: own.device }, (body) => { shown = body; draw(); });
} else if (page.device) choose([]);
