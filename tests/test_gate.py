"""devices/gate.py: a cut is no farewell, and a shut gate lets nobody in."""

import asyncio

import aiomqtt
import pytest

from devices.gate import Gate
from devices.kit_broker import broker
from devices.scripted_core import connected

V3 = aiomqtt.ProtocolVersion.V311


def test_a_cut_lets_the_will_speak_and_a_shut_gate_lets_nobody_in() -> None:
    async def scenario() -> None:
        async with asyncio.timeout(20), broker("embedded") as port, connected(port, "h1", "d") as core:
            gate = Gate(port)
            await gate.start("127.0.0.1", 0)
            will = aiomqtt.Will("jh/v1/h1/d/state", b"", 1, True)
            with pytest.raises(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", gate.port, protocol=V3, will=will) as device:
                    gate.shut(True)
                    async for _ in device.messages:
                        pass
            assert await core.until(lambda: core.states() == [{"state": "lost"}], 5), "an empty will is `lost`"
            with pytest.raises(aiomqtt.MqttError):
                async with aiomqtt.Client("127.0.0.1", gate.port, protocol=V3, timeout=1):
                    pass
            gate.shut(False)
            async with aiomqtt.Client("127.0.0.1", gate.port, protocol=V3):
                pass
            await gate.stop()

    asyncio.run(scenario())
