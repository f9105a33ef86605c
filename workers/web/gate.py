"""workers/web/gate.py: before a handler: who asks, from where, how often; every refusal counted and said in JSON.

Order: size and form, origin, token, role, rate. A cookie acts only with our own header and the same Origin (CSRF); a
bearer token is sent by a program and needs neither.
"""

import asyncio
import math
from typing import Any, Final
from urllib.parse import urlsplit

import msgspec
from aiohttp import web

from workers.door import Busy
from workers.web.access import COOKIE, Grant
from workers.web.site import Site

SITE: Final = web.AppKey("site", Site)
ANSWER_S: Final = 10.0
OWN_HEADER: Final = "X-Jiaohao"
LOOPBACK: Final = ("127.0.0.1", "::1", "localhost", "[::1]")


class Refuse(Exception):
    """A request that is not answered: status, the word of `error.*`, the reason it is counted under."""

    def __init__(self, status: int, error: str, counted: str, wait_s: float = 0.0) -> None:
        super().__init__(error)
        self.status, self.error, self.counted, self.wait_s = status, error, counted, wait_s


def answer(body: object, status: int = 200) -> web.Response:
    """JSON."""
    return web.Response(body=msgspec.json.encode(body), status=status, content_type="application/json")


def refusal(refuse: Refuse) -> web.Response:
    """What the asker reads."""
    response = answer({"error": refuse.error}, refuse.status)
    if refuse.wait_s:
        response.headers["Retry-After"] = str(math.ceil(refuse.wait_s))
    return response


def address(request: web.Request) -> str:
    """Who is at the other end: the peer, or what a proxy of ours says of it."""
    peer = request.remote or ""
    if peer in request.app[SITE].limit.trusted_proxies:
        return request.headers.get("X-Forwarded-For", peer).rpartition(",")[2].strip() or peer
    return peer


def grant_of(request: web.Request) -> Grant | None:
    """Whose request it is: a bearer token, else a cookie."""
    access = request.app[SITE].access
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return access.by_token(token.strip())
    cookie = request.cookies.get(COOKIE)
    return access.by_cookie(cookie) if cookie else None


def entitled(request: web.Request, page: str, hall: str) -> Grant:
    """The grant that sees this page. Refuse 401 without one, 403 for another role or hall."""
    grant = grant_of(request)
    if grant is None:
        raise Refuse(401, "unauthorized", "token")
    if not grant.sees(page, hall):
        raise Refuse(403, "forbidden", "role")
    return grant


def paced(request: web.Request, kind: str, who: str) -> None:
    """Refuse 429 when it is too often."""
    wait_s = request.app[SITE].limits.take(kind, who)
    if wait_s:
        raise Refuse(429, "rate", "rate", wait_s)


async def posted(request: web.Request) -> bytes:
    """The body of a POST that comes from our own page or from a program with a token."""
    if request.content_type != "application/json":
        raise Refuse(415, "other", "csrf")
    if not request.headers.get("Authorization"):
        if request.headers.get(OWN_HEADER) != "1":
            raise Refuse(403, "forbidden", "csrf")
        if not same_origin(request):
            raise Refuse(403, "forbidden", "origin")
    try:
        return await request.read()
    except web.HTTPRequestEntityTooLarge:
        raise Refuse(413, "size", "size") from None


def same_origin(request: web.Request) -> bool:
    """Whether the page that sent it is ours."""
    origin = urlsplit(request.headers.get("Origin", ""))
    public = urlsplit(request.app[SITE].limit.public_url)
    return bool(origin.netloc) and origin.netloc in (request.host, public.netloc)


def host_is_ours(request: web.Request, listens_on: str) -> bool:
    """On loopback: a name that resolves to us but is not ours (DNS rebinding) is turned away."""
    if listens_on not in LOOPBACK:
        return True
    host = request.host
    name = host if host.endswith("]") else host.rpartition(":")[0] or host
    site = request.app.get(SITE)
    return name in LOOPBACK or (site is not None and host == urlsplit(site.limit.public_url).netloc)


def loopback(request: web.Request) -> bool:
    """Whether it comes from this machine itself, not through a proxy on it."""
    return request.remote in LOOPBACK and "X-Forwarded-For" not in request.headers


def decoded(decoder: "msgspec.json.Decoder[Any]", body: bytes) -> Any:
    """The form; Refuse 400 when it is none."""
    try:
        return decoder.decode(body)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        raise Refuse(400, "other", "form") from None


async def answered(asked: Any) -> Any:
    """What the loop says, at most 10 s later: a page then asks again under the same number."""
    try:
        async with asyncio.timeout(ANSWER_S):
            return await asked
    except Busy:
        raise Refuse(503, "busy", "busy", 1.0) from None
    except TimeoutError:
        raise Refuse(504, "busy", "late", 1.0) from None
