"""devices/conformance_voice.py: a box that speaks as it likes fails; the reference box passes in test_conformance."""

import asyncio
from typing import Any

import pytest

from core import commands as c
from devices import wire
from devices.client import Device
from devices.conformance import FAILED
from tests.test_conformance import VOICE, Reference, results, tried


class Chorus:
    """A box without a queue: each call is spoken as it comes. What is late is left out in silence."""

    def __init__(self, device: Device, play: Any) -> None:
        self.device, self.play = device, play

    async def obey(self) -> None:
        async with asyncio.TaskGroup() as group:
            async for message in self.device.commands():
                if isinstance(message.body, wire.VoiceSay):
                    group.create_task(self.speak(message.body))

    async def speak(self, order: wire.VoiceSay) -> None:
        await self.play(order)
        self.device.post(c.ReportCall(order.call))


class Choir(Reference):
    box = Chorus


@pytest.mark.parametrize("case", VOICE)
def test_a_box_without_a_queue_fails_and_says_nothing_of_what_is_late(case: str) -> None:
    report = tried(lambda port: Choir(port, "voice"), "voice", only=(case,))
    assert results(report) == {case: FAILED}
    assert ("at once" if case == "C21" else "too late") in report.cases[0].why
