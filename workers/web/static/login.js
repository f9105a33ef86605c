// A token for a cookie. One behind # is taken and wiped from the address at once.
import { $, lang, page, post, set, t } from "/static/page.js";
async function enter(token) {
  const found = await post("/api/v1/login", { token });
  if (found.status !== 200) return set("#said", t(found.status === 429 ? "error.rate" : "login.wrong"));
  const wanted = /^\/(?![\/\\])/.test(page.next) ? page.next : "";
  location.replace(wanted || `${found.home}?lang=${lang}`);
}
$("#form").addEventListener("submit", (event) => { event.preventDefault(); enter($("#token").value.trim()); });
const given = new URLSearchParams(location.hash.slice(1)).get("token");
if (given) {
  history.replaceState(null, "", location.pathname + location.search);
  enter(given);
}
