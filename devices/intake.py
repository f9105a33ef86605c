"""devices/intake.py: what the hall says to a device unasked: pictures, of which the newest counts, and one-shot orders.

Pictures may come late and repeatedly; orders come at least once, and each is done once and in time or not at all.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

import msgspec
from msgspec import Struct

from devices import wire
from devices.flight import Counts

REMEMBERED: Final = 64  # orders by (id, type)
ORDERS_MAX: Final = 64  # not yet taken; beyond, the oldest goes: its time is nearly over


class Shown(Struct, frozen=True):
    """A picture as it came: `body` its very bytes."""

    epoch: int
    revision: int
    sent_ms: int
    body: msgspec.Raw

    @property
    def order(self) -> tuple[int, int]:
        """Newer is larger."""
        return self.epoch, self.revision


_SHOWN: Final = msgspec.json.Decoder(Shown)
_MESSAGE: Final = msgspec.json.Decoder(wire.Message)


class Pictures:
    """The newest picture, and who waits for the next."""

    def __init__(self, counts: Counts, on_screen: Callable[[Shown], None] | None) -> None:
        self.newest: Shown | None = None
        self._counts, self._on_screen = counts, on_screen
        self._watchers: list[asyncio.Future[Shown]] = []

    def take(self, payload: bytes) -> None:
        """A picture has come. msgspec.MsgspecError, UnicodeDecodeError: it is none."""
        shown = _SHOWN.decode(payload)
        if self.newest is not None and shown.order <= self.newest.order:
            self._counts.old_screens += 1
            return
        self.newest = shown
        self._counts.screens += 1
        watchers, self._watchers = self._watchers, []
        for future in watchers:
            if not future.done():
                future.set_result(shown)
        if self._on_screen is not None:
            self._on_screen(shown)

    def next(self) -> "asyncio.Future[Shown]":
        """The next one that is newer than what is held now."""
        future: asyncio.Future[Shown] = asyncio.get_running_loop().create_future()
        self._watchers.append(future)
        return future

    def end(self, over: Exception) -> None:
        """Nobody waits for ever."""
        for future in self._watchers:
            if not future.done():
                future.set_exception(over)
                future.exception()


class Orders:
    """One-shot orders, each once. `device.sync` is obeyed apart."""

    def __init__(self, counts: Counts, on_sync: Callable[[wire.DeviceSync], None]) -> None:
        self._counts, self._on_sync = counts, on_sync
        self._done: OrderedDict[tuple[int, str], None] = OrderedDict()
        self._queue: asyncio.Queue[wire.Message | None] = asyncio.Queue()

    def take(self, payload: bytes) -> None:
        """An order has come. msgspec.MsgspecError, UnicodeDecodeError: not one that is known here."""
        message = _MESSAGE.decode(payload)
        if isinstance(message.body, wire.DeviceSync):
            # Not deduplicated: its id is the hall's position, which a restart of an idle hall does not move.
            self._on_sync(message.body)
            return
        key = (message.id, str(message.body.__struct_config__.tag))
        if key in self._done:
            self._counts.repeated += 1
            return
        self._done[key] = None
        if len(self._done) > REMEMBERED:
            self._done.popitem(last=False)
        if self._queue.qsize() >= ORDERS_MAX:
            self._queue.get_nowait()
            self._counts.overflowed += 1
        self._queue.put_nowait(message)

    async def next(self) -> wire.Message | None:
        """The oldest that nobody has taken; None when the device has ended."""
        return await self._queue.get()

    def end(self) -> None:
        """No more orders: wakes whoever waits for one."""
        self._queue.put_nowait(None)
