import { page, set } from "/static/page.js";
set("#text", page.text);
