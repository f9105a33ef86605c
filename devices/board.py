"""devices/board.py: the reference board (综合屏): the newest picture, and a word on it when the hall is out of reach.

picture ─newer▶ drawn, its new calls and recalls called out, each call reported once      no broker for a minute ▶ stale
What was missed meanwhile is not made up for: a picture is whole.
"""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Final

import msgspec

from core import commands as c
from devices.client import Device
from devices.intake import Shown
from devices.outbox import OutboxFull
from devices.pictures import BoardPicture, Line

STALE_S: Final = 60.0
_BOARD: Final = msgspec.json.Decoder(BoardPicture)
Draw = Callable[[BoardPicture, list[Line], bool], None]
"""The picture, what is new on it (to be called out), and whether it is stale. Called when one of them changes."""


class Board:
    """A device with a wall to draw on. Run `watch` beside it."""

    def __init__(self, device: Device, draw: Draw, *, stale_s: float = STALE_S) -> None:
        self.device, self._draw, self._stale_s = device, draw, stale_s
        self._picture: BoardPicture | None = None
        self._stale = False
        self._said: dict[int, int] = {}  # call -> how often it was called out
        self._reported = 0

    async def watch(self) -> None:
        """Task, until cancelled: looks twenty times in the time after which a picture is stale."""
        loop = asyncio.get_running_loop()
        seen_s = loop.time()
        while True:
            await asyncio.sleep(self._stale_s / 20)
            if self.device.online.is_set():
                seen_s = loop.time()
            self._note(stale=loop.time() - seen_s >= self._stale_s)

    def _note(self, *, stale: bool) -> None:
        if stale != self._stale:
            self._stale = stale
            if self._picture is not None:
                self._draw(self._picture, [], stale)

    def show(self, shown: Shown) -> None:
        """A newer picture has come: the device's `on_screen`."""
        try:
            picture = _BOARD.decode(shown.body)
        except msgspec.MsgspecError:
            return  # of a later version
        first, self._picture = self._picture is None, picture
        fresh = [] if first else [line for line in picture.calls if line.times > self._said.get(line.call, 0)]
        self._said = {line.call: line.times for line in picture.calls}
        self._draw(picture, fresh, self._stale)
        for line in picture.calls:
            if line.call > self._reported:
                self._reported = line.call
                with suppress(OutboxFull):
                    self.device.post(c.ReportCall(call=line.call, medium="board"))
