"""devices/kit_broker.py: a broker that is there, or said to be absent. test_scripted_core.py uses both kinds."""

import asyncio

import pytest

from devices.kit_broker import Absent, broker, free_port


def test_a_broker_that_is_not_here_is_absent(monkeypatch: pytest.MonkeyPatch) -> None:
    async def scenario() -> None:
        async with broker("mosquitto"):
            pass

    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(Absent, match="mosquitto is not installed"):
        asyncio.run(scenario())
    assert free_port() != free_port()
