"""devices/conformance_voice.py: a box that speaks as it likes fails; the reference box passes in test_conformance."""

import asyncio
from functools import partial
from typing import Any

import pytest

from core import commands as c
from devices import wire
from devices.client import Device
from devices.conformance import FAILED
from tests.test_conformance import VOICE, Reference, results, tried


class Chorus:
    """A box without a queue: so many calls are spoken at once, and over at once, however busy the machine is. What is
    late is left out in silence."""

    def __init__(self, device: Device, play: Any, voices: int) -> None:
        self.device, self.play, self.voices = device, play, voices

    async def obey(self) -> None:
        told: list[wire.VoiceSay] = []
        async for message in self.device.commands():
            if isinstance(message.body, wire.VoiceSay):
                told.append(message.body)
            if len(told) == self.voices:
                await asyncio.gather(*map(self.play, told))
                for order in told:
                    self.device.post(c.ReportCall(order.call))
                told.clear()


@pytest.mark.parametrize("case", VOICE)
def test_a_box_without_a_queue_fails_and_says_nothing_of_what_is_late(case: str) -> None:
    def choir(port: int) -> Reference:
        box = Reference(port, "voice")
        box.box = partial(Chorus, voices=3 if case == "C21" else 1)
        return box

    report = tried(choir, "voice", only=(case,))
    assert results(report) == {case: FAILED}
    assert ("at once" if case == "C21" else "too late") in report.cases[0].why
