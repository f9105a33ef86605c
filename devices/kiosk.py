"""devices/kiosk.py: the reference kiosk (取号机): a slip within three seconds, with the hall or without it.

press ─online▶ ticket.take ─answered in 3 s▶ the hall's slip        silence ▶ an own number that `replaces` the take
      ─cut off▶ an own number, kept ─▶ slip ─back on the line▶ reported in order ─ack▶ ticket.report_print

Own numbers come from the kiosk's prefix, X001 to X999, and go on over midnight and restarts: the outbox must be kept.
"""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Final

import msgspec
from msgspec import Struct

from core import commands as c
from devices import wire
from devices.client import Device

TAKE_S: Final = 3.0
OWN_NUMBERS: Final = 999


class Slip(Struct, frozen=True):
    """What is printed. `ticket` 0: an own number, of which the hall does not know yet; no people ahead on it."""

    number: str
    ticket: int = 0
    ahead: int | None = None
    eta_s: int | None = None


Printer = Callable[[Slip], Awaitable[str]]
"""Prints; nothing when it came out, else a short word such as `paper_out`, which becomes the state of the kiosk."""


class NoSlip(Exception):
    """Why there is no slip: the hall's refusal, or the fault of the printer."""


class Kiosk:
    """A device with a printer. `prefix` "": it gives no numbers of its own. Run `obey` beside it."""

    def __init__(self, device: Device, printer: Printer, *, prefix: str = "", patience_s: float = TAKE_S) -> None:
        self.device, self.prefix = device, prefix
        self._printer, self._patience_s = printer, patience_s
        self._fault = ""
        self._spoilt: set[str] = set()
        self._before = device.observer
        device.observer = self._answered

    async def take(self, command: c.TakeTicket) -> Slip:
        """One person's slip. NoSlip; OutboxFull; SwitchedOff when the kiosk ended before the answer."""
        if self.prefix and not self.device.online.is_set():
            return await self._own(command)
        answer = self.device.post(command)
        boot, seq = self.device.outbox.newest
        await asyncio.wait([answer], timeout=self._patience_s if self.prefix else None)
        if not answer.done():
            known = boot == self.device.outbox.boot  # else the counter was lost meanwhile, and names another event
            return await self._own(msgspec.structs.replace(command, replaces=seq if known else 0))
        result = answer.result()
        if result.ok is None:
            raise NoSlip(result.refused)
        slip = Slip(result.ok.number, result.ok.ticket, result.ok.ahead, result.ok.eta_s)
        return await self._out(slip)

    async def _own(self, command: c.TakeTicket) -> Slip:
        """Kept before it is printed: a slip in somebody's hand is one that will be reported."""
        number = f"{self.prefix}{self.device.outbox.draw(OWN_NUMBERS):03}"
        self.device.post(msgspec.structs.replace(command, number=number))
        return await self._out(Slip(number))

    async def _out(self, slip: Slip) -> Slip:
        """Printed, and the printer's state said."""
        fault = await self._printer(slip)
        if fault != self._fault:
            self._fault = fault
            self.device.report((fault,) if fault else ())
        if slip.ticket:
            self.device.post(c.ReportPrint(slip.ticket, not fault, fault))
        elif fault:
            self._spoilt.add(slip.number)
        if fault:
            raise NoSlip(fault)
        return slip

    def _answered(self, device: str, boot: str, seq: int, kind: str, result: wire.Result) -> None:
        """The hall knows an own number now: what became of its slip is told. Also of a life before a restart."""
        if self._before is not None:
            self._before(device, boot, seq, kind, result)
        if kind == "ticket.take" and result.ok is not None and self._is_own(result.ok.number):
            spoilt = result.ok.number in self._spoilt
            self._spoilt.discard(result.ok.number)
            self.device.post(c.ReportPrint(result.ok.ticket, not spoilt, self._fault or "spoilt" if spoilt else ""))

    def _is_own(self, number: str) -> bool:
        return bool(self.prefix) and number.startswith(self.prefix) and number[len(self.prefix) :].isdecimal()

    async def obey(self) -> None:
        """Slips that the hall orders once more (补打)."""
        async for message in self.device.commands():
            if isinstance(message.body, wire.KioskPrint):
                with suppress(NoSlip):  # said already
                    await self._out(Slip(message.body.number, message.body.ticket))
