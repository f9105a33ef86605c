"""workers/web/pages.py: the HTML of each page: a skeleton, a fragment in one language, its module and style.

Text reaches a page escaped, or by `textContent`. All of it is served from here: nothing from elsewhere, nothing inline.
"""

import asyncio
import html
import re
from functools import cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import msgspec
from aiohttp import web

from core.state import HallState
from workers.web import qr
from workers.web.commands_api import Rateable, rateable
from workers.web.gate import SITE, Refuse, address, entitled, grant_of, paced
from workers.web.site import Site
from workers.web.sse import Full, Topic
from workers.web.texts import CATALOGUES, HTML_LANG

STATIC: Final = Path(__file__).parent / "static"
TYPES: Final = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
WRITE_S: Final = 30.0
PUBLIC_SHARE: Final = 80  # per cent of all streams: a crowd before the board does not shut the staff out
STREAM: Final = {"Content-Type": "text/event-stream", "X-Accel-Buffering": "no"}
_KEY: Final = re.compile(r"\{\{([a-z0-9_.]+)\}\}")


@cache
def static(name: str) -> bytes | None:
    """A file of static/; None: there is none. Read once."""
    path = STATIC / name
    return path.read_bytes() if re.fullmatch(r"[a-z0-9_-]+\.(js|css|svg|html)", name) and path.is_file() else None


def language(request: web.Request) -> str:
    """zh, unless the address says otherwise."""
    return "en" if request.query.get("lang") == "en" else "zh"


def render(request: web.Request, page: str, *, status: int = 200, **more: object) -> web.Response:
    """A page. `more` reaches its module as data attributes."""
    lang = language(request)
    said = CATALOGUES[lang]
    fragment = (static(f"{page}.html") or b"").decode()
    main = _KEY.sub(lambda found: html.escape(said[found[1]]), fragment)
    site = request.app[SITE]
    known: dict[str, object] = {"page": page, "lang": lang, "speed": site.speed} | more
    data = " ".join(f'data-{name}="{html.escape(str(value))}"' for name, value in known.items())
    other = "zh" if lang == "en" else "en"
    text = f"""<!doctype html>
<html lang="{HTML_LANG[lang]}" {data}>
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{html.escape(said[f"{page}.title"])}</title>
<link rel="icon" href="/static/icon.svg">
<link rel="stylesheet" href="/static/page.css">
<link rel="stylesheet" href="/static/{page}.css">
<script type="module" src="/static/{page}.js"></script>
</head>
<body class="{page}">
{main}
<noscript>{html.escape(said["noscript"])}</noscript>
<a id="language" lang="{HTML_LANG[other]}" href="?{_query(request, other)}">{html.escape(said["language"])}</a>
</body>
</html>
"""
    return web.Response(text=text, status=status, content_type="text/html")


def _query(request: web.Request, lang: str) -> str:
    kept = {name: value for name, value in request.query.items() if name != "lang"} | {"lang": lang}
    return html.escape("&".join(f"{quote(name)}={quote(value)}" for name, value in kept.items()))


def failure(request: web.Request, refuse: Refuse) -> web.Response:
    """A page that says what is wrong."""
    key = f"error.{refuse.error}"
    text = CATALOGUES[language(request)].get(key, CATALOGUES[language(request)]["error.other"])
    return render(request, "error", status=refuse.status, text=text)


def the_state(request: web.Request, hall: str) -> HallState:
    """A hall of this process. Refuse 404."""
    state = request.app[SITE].state(hall)
    if state is None:
        raise Refuse(404, "not_found", "path")
    return state


async def home(request: web.Request) -> web.Response:
    """GET /."""
    return render(request, "home", halls=",".join(request.app[SITE].halls()))


async def login(request: web.Request) -> web.Response:
    """GET /login. A token may stand behind #: it never leaves the browser but in the login itself."""
    return render(request, "login", next=request.query.get("next", ""))


async def board(request: web.Request) -> web.Response:
    """GET /board/{hall} and /board/{hall}/{zone}: for everybody."""
    hall, zone = request.match_info["hall"], request.match_info.get("zone", "")
    _zone(the_state(request, hall), zone)
    return render(request, "board", hall=hall, zone=zone)


def _zone(state: HallState, zone: str) -> None:
    policy = state.policy
    if zone and (policy is None or zone not in {part.code for part in policy.zones}):
        raise Refuse(404, "not_found", "path")


async def staff(request: web.Request) -> web.Response:
    """GET /console, /guide, /ops, /cases, /pad, /pad/{device}: by role; who has none is sent to log in."""
    page = request.path.split("/")[1]
    grant = grant_of(request)
    if grant is None:
        request.app[SITE].refused["token"] += 1
        lang = "lang=en&" if language(request) == "en" else ""
        raise web.HTTPSeeOther(f"/login?{lang}next={quote(request.path_qs, safe='')}")
    hall = request.query.get("hall", grant.halls[0] if grant.halls else "")
    entitled(request, page, hall)
    device = request.match_info.get("device", request.query.get("device", ""))
    return render(request, page, hall=hall, device=device, role=grant.role)


async def rating(request: web.Request) -> web.Response:
    """GET /e/{token}: the rating of one serving, or a page that says why not."""
    site = request.app[SITE]
    paced(request, "rating_address", address(request))
    claim = site.proofs.read(request.match_info["token"])
    found: Rateable = await rateable(site, claim)
    status = {"open": 200, "more": 200, "bad": 404}.get(found.phase, 410)
    if status != 200:
        site.refused["token"] += 1
    lang = language(request)
    what = CATALOGUES[lang]["rate.what"].format(counter=found.counter, service=found.service.get(lang, ""))
    more = {
        "phase": found.phase,
        "what": what if found.counter else "",
        "set": found.option_set,
        "reasons": ",".join(found.reasons),
    }
    return render(request, "rate", status=status, **more)


def entitled_to_metrics(request: web.Request) -> None:
    """Off this machine: role metrics. Refuse 401, 403."""
    grant = grant_of(request) if SITE in request.app else None
    if grant is None:
        raise Refuse(401, "unauthorized", "token")
    if grant.role != "metrics":
        raise Refuse(403, "forbidden", "role")


async def asset(request: web.Request) -> web.Response:
    """GET /static/{name}."""
    name = request.match_info["name"]
    found, kind = static(name), TYPES.get(Path(name).suffix)
    if found is None or kind is None:
        raise Refuse(404, "not_found", "path")
    return web.Response(body=found, content_type=kind, charset="utf-8")


async def texts(request: web.Request) -> web.Response:
    """GET /texts/{lang}."""
    found = CATALOGUES.get(request.match_info["lang"])
    if found is None:
        raise Refuse(404, "not_found", "path")
    return web.Response(body=msgspec.json.encode(found), content_type="application/json")


async def code(request: web.Request) -> web.Response:
    """GET /qr/{token}.svg: the address of a rating as a picture, for whoever shows it."""
    site = request.app[SITE]
    grant, claim = grant_of(request), site.proofs.read(request.match_info["token"])
    if grant is None or claim is None or not claim.sound or not grant.sees("pad", claim.hall):
        raise Refuse(403, "forbidden", "role")
    svg = qr.svg(site.proofs.address(request.match_info["token"]))
    return web.Response(body=svg, content_type="image/svg+xml")


# Streams.


async def events(request: web.Request) -> web.StreamResponse:
    """GET /events/{page}?hall=&name=: the page's picture, again whenever it changes."""
    site = request.app[SITE]
    topic = Topic(request.match_info["page"], request.query.get("hall", ""), request.query.get("name", ""))
    _may_see(request, site, topic)
    paced(request, "stream", address(request))
    everybodys = max(1, site.limit.sse_clients * PUBLIC_SHARE // 100)
    try:
        if topic.page == "board" and site.hub.count >= everybodys:
            raise Full
        client = site.hub.join(topic)
    except Full:
        raise Refuse(503, "busy", "busy", 5.0) from None
    response = web.StreamResponse(headers=STREAM)
    try:
        await response.prepare(request)
        await response.write(b"retry: 1000\n\n")
        while (frames := await client.frames()) is not None:
            async with asyncio.timeout(WRITE_S):
                await response.write(frames)
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()  # a browser that has not read for so long is dead
    except ConnectionError:
        pass
    finally:
        site.hub.leave(client)
    return response


def _may_see(request: web.Request, site: Site, topic: Topic) -> None:
    state = the_state(request, topic.hall)
    if topic.page == "board":
        return _zone(state, topic.name)
    grant = entitled(request, topic.page, topic.hall)
    device = site.device(state, topic.name)
    if topic.page in ("ops", "cases"):
        named = not topic.name
    elif topic.page == "guide":
        named = not topic.name or (device is not None and grant.speaks_for(topic.hall, topic.name, device.kind))
    else:
        named = device is not None and grant.speaks_for(topic.hall, topic.name, device.kind)
    if not named:
        raise Refuse(403, "forbidden", "role")
    return None


def routes() -> list[Any]:
    """All of them."""
    return [
        web.get("/", home),
        web.get("/login", login),
        web.get("/board/{hall}", board),
        web.get("/board/{hall}/{zone}", board),
        *(web.get(f"/{page}", staff) for page in ("console", "guide", "ops", "pad", "cases")),
        web.get("/pad/{device}", staff),
        web.get("/e/{token}", rating),
        web.get("/qr/{token}.svg", code),
        web.get("/static/{name}", asset),
        web.get("/texts/{lang}", texts),
        web.get("/events/{page}", events),
    ]
