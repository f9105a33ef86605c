"""devices/kit_broker.py: a broker that is there, or said to be absent. test_scripted_core.py uses both kinds."""

import asyncio
import contextlib
import itertools

import pytest

from devices import kit_broker
from devices.kit_broker import Absent, broker


def test_a_broker_that_is_not_here_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with broker("mosquitto"):
            pass

    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(Absent, match="mosquitto is not installed"):
        asyncio.run(scenario())


def test_a_second_port_is_another_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """A port that nobody listens on yet is free still, and may be found again."""
    found = itertools.count(40_000)

    class Held(contextlib.AbstractContextManager["Held"]):
        def __init__(self) -> None:
            self.port = next(found)

        def __exit__(self, *_: object) -> None: ...

        def bind(self, _: object) -> None: ...

        def getsockname(self) -> tuple[str, int]:
            return "127.0.0.1", self.port

    monkeypatch.setattr(kit_broker.socket, "socket", Held)
    assert (kit_broker.free_port(40_000), kit_broker.free_port(40_005)) == (40_001, 40_002)
