"""devices/voice.py: the reference voice box (语音): announcements one at a time in each zone, in order, to their end.

voice.say ─late, or 32 wait already▶ call.report ok: false
          ─its call waits already (a recall)▶ said once, where it stands
          ─▶ queue of its zone ─in time▶ spoken `times` over ─▶ call.report
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

from core import commands as c
from devices import wire
from devices.client import Device
from devices.outbox import OutboxFull

WAITING_MAX: Final = 32
Play = Callable[[wire.VoiceSay], Awaitable[None]]
"""Speaks once, and returns when it is over. OSError: the loudspeaker does not work."""


class Zone:
    """One queue. `waiting`: by call, in order; what is being spoken is not in it any more."""

    def __init__(self) -> None:
        self.waiting: dict[int, tuple[wire.Message, wire.VoiceSay]] = {}
        self.task: asyncio.Task[None] | None = None


class VoiceBox:
    """A device with a loudspeaker in each zone. Run `obey` beside it."""

    def __init__(self, device: Device, play: Play) -> None:
        self.device, self._play = device, play
        self._zones: dict[str, Zone] = {}

    async def obey(self) -> None:
        """Until the device ends; then it is silent at once."""
        try:
            async for message in self.device.commands(late=True):
                if isinstance(message.body, wire.VoiceSay):
                    self._take(message, message.body)
        finally:
            tasks = [zone.task for zone in self._zones.values() if zone.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    def _take(self, message: wire.Message, order: wire.VoiceSay) -> None:
        zone = self._zones.setdefault(order.zone, Zone())
        if zone.task is not None and zone.task.done():
            zone.task.result()  # a mistake of ours, or of `play`, is loud
        if self.device.is_late(message):
            return self._report(order, ok=False)
        if len(zone.waiting) >= WAITING_MAX and order.call not in zone.waiting:
            return self._report(order, ok=False)
        zone.waiting[order.call] = message, order
        if zone.task is None or zone.task.done():
            zone.task = asyncio.create_task(self._speak(zone), name=f"voice of zone {order.zone!r}")
        return None

    async def _speak(self, zone: Zone) -> None:
        """One after the other, while any waits."""
        while zone.waiting:
            call = next(iter(zone.waiting))
            message, order = zone.waiting.pop(call)
            if self.device.is_late(message):
                self._report(order, ok=False)
                continue
            try:
                for _ in range(order.times):
                    await self._play(order)
            except OSError:
                self._report(order, ok=False)
            else:
                self._report(order, ok=True)

    def _report(self, order: wire.VoiceSay, *, ok: bool) -> None:
        with suppress(OutboxFull):  # the hall has not answered for so long that this is not its trouble
            self.device.post(c.ReportCall(call=order.call, zone=order.zone, medium="voice", ok=ok))
