"""workers/web.py: pages over HTTP; nothing there changes anything."""

import asyncio
import json
import socket
import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any

import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

from workers.ports import Missing
from workers.web import Web


class One(Collector):
    def collect(self) -> Any:
        family = GaugeMetricFamily("jiaohao_one", "One.")
        family.add_metric((), 1.0)
        yield family


def a_web(listen: str = "127.0.0.1:0", **more: Any) -> Web:
    registry = CollectorRegistry(auto_describe=False)
    registry.register(One())
    parts: dict[str, Callable[[], Any]] = {
        "ready": lambda: {"broker": True, "journal": True},
        "alive": lambda: True,
        "digests": lambda: {"h1": (7, "ab")},
    }
    return Web(listen, registry=registry, **(parts | more))


def fetch(web: Web, *paths: str, method: str = "GET") -> list[tuple[int, str, str]]:
    """Status, type and body of each path."""

    def get(path: str) -> tuple[int, str, str]:
        request = urllib.request.Request(web.url + path, method=method)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, answer.headers["Content-Type"], answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.headers["Content-Type"], error.read().decode()

    async def scenario() -> list[tuple[int, str, str]]:
        await web.start()
        try:
            return [await asyncio.to_thread(get, path) for path in paths]
        finally:
            await web.stop()

    return asyncio.run(scenario())


def test_the_pages_of_a_good_process() -> None:
    metrics, health, ready, digest, none = fetch(a_web(), "/metrics", "/healthz", "/readyz", "/digest", "/admin")
    assert metrics[0] == 200 and metrics[1].startswith("text/plain") and "jiaohao_one 1.0" in metrics[2]
    assert (health[0], json.loads(health[2])) == (200, {"alive": True})
    assert (ready[0], json.loads(ready[2])) == (200, {"broker": True, "journal": True})
    assert (digest[0], json.loads(digest[2])) == (200, {"h1": {"n": 7, "digest": "ab"}})
    assert none[0] == 404


def test_what_is_not_well_says_so_and_which_check_it_is() -> None:
    web = a_web(alive=lambda: False, ready=lambda: {"broker": True, "journal": False})
    health, ready = fetch(web, "/healthz", "/readyz")
    assert (health[0], json.loads(health[2])) == (503, {"alive": False})
    assert (ready[0], json.loads(ready[2])) == (503, {"broker": True, "journal": False})


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
def test_nothing_can_be_changed(method: str) -> None:
    assert {status for status, *_ in fetch(a_web(), "/metrics", "/digest", method=method)} == {405}


def test_an_address_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Missing, match=f"cannot listen on {listen}: "):
            asyncio.run(a_web(listen).start())


def test_it_stops_twice_and_before_it_began() -> None:
    async def scenario() -> None:
        web = a_web()
        await web.stop()
        await web.start()
        assert web.url.startswith("http://127.0.0.1:") and not web.url.endswith(":0")
        await web.stop()
        await web.stop()

    asyncio.run(scenario())
