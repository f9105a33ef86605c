"""workers/web: pages in the process of the dispatcher: they read committed state and act through the same commands.

server.py        the HTTP server, its headers and its own routes: /metrics, /healthz, /readyz, /digest
pages.py         the HTML of each page, its texts and static files; what may be seen by whom
sse.py           the hub: whole pictures to every open page, at most 4 a second
drawings.py      what each page shows, from the state of a hall; guidance.py: people ahead, waits, advice
ring.py          two hours of samples for the operator's charts
commands_api.py  POST: commands, ratings by token, login; look-ups. cases_api.py: the steps of a case
casework.py      the work list of the case desk
access.py        tokens, roles, cookies, origins
limits.py        rates by token and address
texts.py         every text in zh and en
static/          plain ES modules and style sheets: no build step, nothing from elsewhere
"""

from workers.web.server import Web

__all__ = ["Web"]
