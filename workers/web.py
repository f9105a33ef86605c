"""workers/web.py: what the process shows over HTTP: /metrics, /healthz, /readyz, /digest of its halls."""

from collections.abc import Callable, Mapping

from aiohttp import web
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from workers.ports import Missing


class Web:
    """An HTTP server in the same loop. Loopback by default; nothing here changes anything."""

    def __init__(
        self,
        listen: str,
        *,
        registry: CollectorRegistry,
        ready: Callable[[], Mapping[str, bool]],
        alive: Callable[[], bool],
        digests: Callable[[], Mapping[str, tuple[int, str]]],
    ) -> None:
        self._listen, self._registry = listen, registry
        self._ready, self._alive, self._digests = ready, alive, digests
        self._runner: web.AppRunner | None = None
        self.url = ""

    async def start(self) -> None:
        """Listening when it returns; port 0 takes a free one. Missing: the address is taken."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._healthz)
        app.router.add_get("/readyz", self._readyz)
        app.router.add_get("/digest", self._digest)
        self._runner = web.AppRunner(app, handler_cancellation=True, access_log=None)
        await self._runner.setup()
        host, _, port = self._listen.rpartition(":")
        try:
            await web.TCPSite(self._runner, host, int(port)).start()
        except OSError as error:
            await self.stop()
            raise Missing(f"cannot listen on {self._listen}: {error.strerror}") from error
        self.url = f"http://{host}:{self._runner.addresses[0][1]}"

    async def stop(self) -> None:
        """No request is answered any more."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

    async def _metrics(self, _: web.Request) -> web.Response:
        return web.Response(body=generate_latest(self._registry), headers={"Content-Type": CONTENT_TYPE_LATEST})

    async def _healthz(self, _: web.Request) -> web.Response:
        return web.json_response({"alive": self._alive()}, status=200 if self._alive() else 503)

    async def _readyz(self, _: web.Request) -> web.Response:
        checks = dict(self._ready())
        return web.json_response(checks, status=200 if all(checks.values()) else 503)

    async def _digest(self, _: web.Request) -> web.Response:
        """By hall: n and the digest of the running state. Between two batches, so both belong together."""
        found = {hall: {"n": n, "digest": digest} for hall, (n, digest) in self._digests().items()}
        return web.json_response(found)
