"""workers/web/server.py: the HTTP server: /metrics, /healthz, /readyz, /digest, and the pages of a site."""

import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST

from workers.collector import exposition
from workers.ports import Missing
from workers.web import commands_api, pages
from workers.web.gate import SITE, Refuse, host_is_ours, loopback, refusal
from workers.web.site import Site

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
CSP: Final = "default-src 'self'; object-src 'none'; base-uri 'none'; frame-ancestors 'none'; form-action 'self'"
HEADERS: Final = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
    "Server": "jiaohao",
}
BODY_MAX: Final = 8192
STOP_S: Final = 2.0
JSON_PATHS: Final = ("/api/", "/events/", "/texts/", "/static/", "/qr/")
GROUPS: Final = ("metrics", "health", "board", "staff", "rating", "api", "events", "static")
_GROUP: Final = {
    **dict.fromkeys(("metrics",), "metrics"),
    **dict.fromkeys(("healthz", "readyz", "digest"), "health"),
    **dict.fromkeys(("board", ""), "board"),
    **dict.fromkeys(("e",), "rating"),
    **dict.fromkeys(("api",), "api"),
    **dict.fromkeys(("events",), "events"),
    **dict.fromkeys(("static", "texts", "qr"), "static"),
}


class Web:
    """An HTTP server in the same loop. Loopback by default. Without a site it shows and changes nothing."""

    def __init__(
        self,
        listen: str,
        *,
        registry: CollectorRegistry,
        ready: Callable[[], Mapping[str, bool]],
        alive: Callable[[], bool],
        digests: Callable[[], Mapping[str, tuple[int, str]]],
        site: Site | None = None,
        halls_registry: CollectorRegistry | None = None,
    ) -> None:
        self._listen, self._registry, self._site = listen, registry, site
        self._halls_registry = halls_registry or registry
        self._ready, self._alive, self._digests = ready, alive, digests
        self._runner: web.AppRunner | None = None
        self._host = listen.rpartition(":")[0]
        self.url = ""

    async def start(self) -> None:
        """Listening when it returns; port 0 takes a free one. Missing: the address is taken."""
        body = self._site.limit.body if self._site is not None else BODY_MAX
        app = web.Application(client_max_size=body, middlewares=[self._guarded])
        app.on_response_prepare.append(_dressed)
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/metrics/halls", self._metrics_of_halls)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/digest", self._digest)
        if self._site is not None:
            app[SITE] = self._site
            app.router.add_routes([*pages.routes(), *commands_api.routes()])
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None, shutdown_timeout=STOP_S)
        await self._runner.setup()
        host, _, port = self._listen.rpartition(":")
        try:
            await web.TCPSite(self._runner, host.strip("[]"), int(port)).start()
        except OSError as error:
            await self._close()
            raise Missing(f"cannot listen on {self._listen}: {error.strerror}") from error
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"
        if self._site is not None:
            self._site.start(self.url)

    async def stop(self) -> None:
        """Streams end, then no request is answered any more."""
        if self._site is not None:
            self._site.stop()
        await self._close()

    async def _close(self) -> None:
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    @web.middleware
    async def _guarded(self, request: web.Request, handler: Handler) -> web.StreamResponse:
        """What is refused is counted, and said in the form that was asked for."""
        status, began_s = 500, time.perf_counter()
        try:
            if not host_is_ours(request, self._host):
                raise Refuse(403, "forbidden", "origin")
            response = await handler(request)
            status = response.status
            return response
        except Refuse as refuse:
            status = refuse.status
            return self._refused(request, refuse)
        except web.HTTPException as error:
            status = error.status
            if self._site is None or error.status not in (404, 405):
                raise
            return self._refused(request, Refuse(error.status, "not_found", "path"))
        finally:
            if self._site is not None:
                group = _GROUP.get(request.path.split("/")[1], "staff")
                self._site.request(group, f"{status // 100}xx", time.perf_counter() - began_s)

    def _refused(self, request: web.Request, refuse: Refuse) -> web.Response:
        if self._site is None:
            return refusal(refuse)
        self._site.refused[refuse.counted] += 1
        plain = request.path.startswith(JSON_PATHS) or request.method != "GET"
        return refusal(refuse) if plain else pages.failure(request, refuse)

    async def _metrics(self, request: web.Request) -> web.Response:
        """For this machine, and for whoever has the role."""
        return await self._page_of(request, self._registry)

    async def _metrics_of_halls(self, request: web.Request) -> web.Response:
        """The gauges that each hall has, when the other page shows all halls as one."""
        return await self._page_of(request, self._halls_registry)

    async def _page_of(self, request: web.Request, registry: CollectorRegistry) -> web.Response:
        if not loopback(request):
            pages.entitled_to_metrics(request)
        return web.Response(body=await exposition(registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"alive": self._alive()}, status=200 if self._alive() else 503)

    async def _readyz(self, _: web.Request) -> web.Response:
        checks = dict(self._ready())
        return web.json_response(checks, status=200 if all(checks.values()) else 503)

    async def _digest(self, request: web.Request) -> web.Response:
        """By hall: n and the digest of the running state. Between two batches, so both belong together."""
        if not loopback(request):
            pages.entitled_to_metrics(request)
        found = {hall: {"n": n, "digest": digest} for hall, (n, digest) in self._digests().items()}
        return web.json_response(found)


async def _dressed(_: web.Request, response: web.StreamResponse) -> None:
    """The headers of every answer."""
    response.headers.update(HEADERS)
