"""devices/bus.py: one address of an RS-485 bus: what its frames ask of the hall, what it shows, whether it is there.

frame ─▶ same as 300 ms ago? ─no▶ outbox, synced ─▶ echo       hall ─▶ picture ─▶ three digits, till they are echoed
"""

import asyncio
from collections.abc import Callable
from typing import Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct

from core import commands as c
from devices import frames, keys, wire
from devices.client import Device
from devices.frames import Frame
from devices.intake import Shown
from devices.outbox import OutboxFull
from devices.pictures import CallerPicture

DEBOUNCE_MS: Final = 300
ECHO_S: Final = 1.0
SILENT_AFTER: Final = 3  # displays without an echo
BEEP_GAP_S: Final = 0.3
_CALLER: Final = msgspec.json.Decoder(CallerPicture)


class Table(Struct, frozen=True, forbid_unknown_fields=True):
    """A table of gateway.toml."""


class Address(Table, frozen=True):
    """One address of a bus. `transfer_to`: services that a digit before 转移 chooses, the first without a digit.

    `polled`: whether it is asked in turn, where the port asks at all.
    """

    addr: Annotated[int, Meta(ge=0, le=255)]
    device: c.Id
    kind: Literal["caller", "evaluator"] = "caller"
    password_file: str = ""
    transfer_to: tuple[c.Id, ...] = ()
    polled: bool = True


class Counts(Struct):
    """What happened on one port since the start. Bad frames are counted by its reader."""

    pressed: int = 0
    bounced: int = 0
    unused: int = 0
    strangers: int = 0
    full: int = 0
    opened: int = 0
    unsaid: int = 0
    polled: int = 0


class Unit:
    """One address: what its frames mean, what it shows, whether it is there. `say` puts a frame on the line."""

    def __init__(self, address: Address, device: Device, say: Callable[[Frame], None], counts: Counts) -> None:
        self.address, self.device = address, device
        self._say, self._counts = say, counts
        self._last: tuple[int, bytes] = (-1, b"")
        self._last_ms = -DEBOUNCE_MS
        self.pending: set[asyncio.Future[wire.Result]] = set()
        self._number = ""
        self._paused = False
        self._unechoed = 0
        self._patience: asyncio.TimerHandle | None = None

    def heard(self, frame: Frame, at_ms: int) -> None:
        """A frame of this address. It is echoed when what it asks for is in the outbox, synced, and not before."""
        self._is_there()
        if frame.function in frames.FROM_HOST:
            return
        again = (frame.function, frame.data) == self._last and at_ms - self._last_ms < DEBOUNCE_MS
        if again:
            self._counts.bounced += 1
        elif not self._press(frame):
            return
        else:
            self._last, self._last_ms = (frame.function, frame.data), at_ms
        self._say(frames.echo(frame))

    def _is_there(self) -> None:
        """Heard. One that was silent may have been off: its display is told again."""
        self.rest()
        self._unechoed = 0
        if self.device.faults:
            self.device.report(())
            self._show()

    def _press(self, frame: Frame) -> bool:
        """Whether it is taken care of: posted, or a key that means nothing."""
        command = keys.command(frame, paused=self._paused, transfer_to=self.address.transfer_to)
        if command is None:
            self._counts.unused += 1
            return True
        try:
            answer = self.device.post(command)
        except OutboxFull:
            self._counts.full += 1
            return False
        self.pending.add(answer)
        answer.add_done_callback(self._answered)
        self._counts.pressed += 1
        return True

    def _answered(self, answer: "asyncio.Future[wire.Result]") -> None:
        self.pending.discard(answer)
        if not answer.cancelled() and answer.exception() is None and answer.result().refused:
            self._beep(2)

    def _beep(self, times: int) -> None:
        for at in range(times):
            loop = asyncio.get_running_loop()
            loop.call_later(at * BEEP_GAP_S, self._say, frames.beep(self.address.addr))

    def on_screen(self, shown: Shown) -> None:
        """A picture of the hall: its number goes onto the display, if it is another."""
        try:
            picture = _CALLER.decode(shown.body)
        except msgspec.MsgspecError:
            return  # of another kind, which has no display
        self._paused = picture.status == "paused"
        if picture.number != self._number:
            self._number, self._unechoed = picture.number, 0
            self._show()

    def _show(self) -> None:
        """On the display, again each second until it echoes; after the third time it is said to be silent."""
        self.rest()
        self._unechoed += 1
        self._say(frames.show(self.address.addr, self._number))
        self._patience = asyncio.get_running_loop().call_later(ECHO_S, self._unheard)

    def _unheard(self) -> None:
        if self._unechoed < SILENT_AFTER:
            self._show()
        else:
            self.is_silent()

    def is_silent(self) -> None:
        """It answers nothing: said once."""
        if not self.device.faults:
            self.device.report(("silent",))

    def ask(self) -> None:
        """The question of a poll: its display once more. A box echoes it, or answers with the key that waits in it."""
        self._say(frames.show(self.address.addr, self._number))

    def rest(self) -> None:
        """Waits for no echo any more."""
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    async def obey(self) -> None:
        """One-shot orders of the hall."""
        async for message in self.device.commands():
            if isinstance(message.body, wire.Beep):
                self._beep(message.body.times)
