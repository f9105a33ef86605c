"""devices/scripted_core.py: the core hears, keeps and answers, on both brokers."""

import asyncio
import json

import aiomqtt
import pytest

from devices.gate import Gate
from devices.kit_broker import broker
from devices.scripted_core import connected, granted, retained_state, silent

KINDS = ["embedded", pytest.param("mosquitto", marks=pytest.mark.broker)]
V3 = aiomqtt.ProtocolVersion.V311


@pytest.mark.parametrize("kind", KINDS)
def test_what_is_said_is_kept_and_answered(kind: str) -> None:
    async def scenario() -> None:
        async with asyncio.timeout(20), broker(kind) as port, connected(port, "h1", "d") as core:
            gate = Gate(port)
            await gate.start("127.0.0.1", 0)
            async with aiomqtt.Client("127.0.0.1", gate.port, protocol=V3) as device:
                await device.subscribe("jh/v1/h1/d/ack", qos=1)
                await device.publish("jh/v1/h1/d/state", b'{"state":"ready","boot":"b"}', qos=1, retain=True)
                event = {"boot": "boot", "seq": 1, "age_ms": 3, "body": {"type": "ticket.take"}}
                await device.publish("jh/v1/h1/d/event", json.dumps(event), qos=1)
                ack = json.loads((await anext(aiter(device.messages))).payload)
                assert ack["boot"] == "boot" and ack["results"] == [{"seq": 1, **granted(core.sendings[0])}]
                for junk in (b"", b"\xff", b"[1]", b'{"boot":1,"seq":"x"}'):
                    await device.publish("jh/v1/h1/d/event", junk, qos=1)
                assert await core.until(lambda: len(core.said) == 6, 5)
            assert [one.key for one in core.sendings] == [("boot", 1)] and core.sendings[0].age_ms == 3
            assert core.births() == [{"state": "ready", "boot": "b"}]
            assert await retained_state(port, "h1", "d", 2) == (1, {"state": "ready", "boot": "b"})
            assert await retained_state(port, "h1", "x", 0.1) is None
            assert gate.levels == [4]
            await gate.stop()

    asyncio.run(scenario())


def test_until_is_over_in_time() -> None:
    async def scenario() -> None:
        async with broker("embedded") as port, connected(port, "h1", "d") as core:
            assert not await core.until(lambda: False, 0.05)
            core.answer = silent
            assert core.answer(core) is None  # type: ignore[arg-type]  # it does not look

    asyncio.run(scenario())
