import { $, el, lang, page, t } from "/static/page.js";
$("#boards").replaceChildren(...page.halls.split(",").filter(Boolean).map((hall) =>
  el("li", {}, el("a", { class: "button plain", href: `/board/${encodeURIComponent(hall)}?lang=${lang}`, text: t("home.board", { hall }) }))));
