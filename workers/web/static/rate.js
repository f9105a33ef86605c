// The rating of one serving on one's own phone. None of the levels is chosen beforehand, and all ask the same.
import { $, el, has, page, post, set, t, told } from "/static/page.js";

const OPTIONS = page.reasons.split(",").filter(Boolean), MORE = page.phase === "more";
const END = { bad: ["rate.bad", "rate.bad_more"], used: ["rate.used", "rate.used_more"], over: ["rate.over", "rate.over_more"] };
const REFUSED = { already_rated: "used", window_over: "over", bad_token: "bad", no_serving: "bad" };

function end(phase) {
  $("#form").hidden = true;
  set("#said", t(END[phase][0]));
  set("#more", t(END[phase][1]));
}
async function send(event) {
  event.preventDefault();
  const chosen = $("#levels input:checked"), options = [...document.querySelectorAll("#reasons input:checked")].map((one) => one.value);
  if (!chosen && !MORE) return set("#said", t("rate.choose_first"));
  const comment = $("#comment").value.trim();
  if (MORE && !options.length && !comment) return set("#said", t("rate.add_first"));
  if ($("#send").disabled) return;
  $("#send").disabled = true;
  set("#said", t("sending"));
  const body = { option_set: page.set, options, comment, ...(MORE ? {} : { level: Number(chosen.value), real_name: $("#real").checked }) };
  for (let tries = 0; tries < 12; tries += 1) {
    const found = await post(`/api/v1${location.pathname}${MORE ? "/more" : ""}`, body).catch(() => ({ status: 0, wait: 1 }));
    if (found.status === 200 && found.ok) {
      $("#form").hidden = true;
      set("#said", t(found.dropped ? "rate.dropped" : "pad.thanks"));
      return;
    }
    // Sent, but its answer was lost on the way: it was ours that was counted.
    if (found.status === 200 && found.refused === "already_rated" && tries) { $("#form").hidden = true; return set("#said", t("pad.thanks")); }
    if (found.refused === "personal_data") { $("#send").disabled = false; return set("#said", told(found)); }
    if (found.status === 200) return REFUSED[found.refused] ? end(REFUSED[found.refused]) : set("#said", told(found));
    if (found.status === 404) return end("bad");
    if (![0, 429, 503, 504].includes(found.status)) break;
    set("#said", t("retrying"));
    await new Promise((done) => setTimeout(done, 1000 * found.wait));
  }
  $("#send").disabled = false;
  set("#said", t("error.other"));
}
set("#what", page.what);
if (page.phase === "open" || MORE) {
  $("#levels").hidden = $("#named").hidden = MORE;
  if (MORE) {
    set("#title", t("rate.used"));
    set("#send", t("rate.add"));
  }
  $("#levels").append(...[5, 4, 3, 2, 1].map((level) => el("label", {}, el("input", { type: "radio", name: "level", value: level }), el("span", { text: t(`level.${level}`) }))));
  $("#reasons").append(...OPTIONS.map((one) => el("label", {}, el("input", { type: "checkbox", value: one }), el("span", { text: has(`options.${one}`) ? t(`options.${one}`) : one }))));
  $("#form").hidden = false;
  $("#form").addEventListener("submit", send);
} else end(page.phase in END ? page.phase : "bad");
