"""devices/conformance_stage.py: what a case of the kit works with: the hall, the gate, hands, patience."""

import asyncio
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from devices.gate import Gate
from devices.scripted_core import Core, Json, Sending, granted

Key = tuple[str, int]


class Limits(Struct, frozen=True):
    """Seconds. `press`: a person or a program makes an event; `resend`: 30 and a fifth, and some room."""

    press: float = 60.0
    answer: float = 5.0
    quiet: float = 3.0
    resend: float = 45.0
    reconnect: float = 40.0
    keep: tuple[float, float] = (59.0, 90.0)
    offline: float = 5.0
    boot: float = 120.0


class Hands(Protocol):
    """Whoever stands at the device."""

    async def press(self) -> bool:
        """Make it send one event. False: nobody can."""

    async def power(self) -> bool:
        """Off and on again. False: nobody can."""

    async def shown(self) -> str | None:
        """What stands on its screen; None: nobody can say."""


class Failed(Exception):
    """The device did what it must not, or did not what it must."""


class Skipped(Exception):
    """Cannot be seen here; the reason is the text."""


class Stage(NamedTuple):
    """Everything that a case works with."""

    core: Core
    gate: Gate
    hands: Hands
    limits: Limits
    profile: str
    hall: str
    device: str
    broker_port: int
    offline_prefix: str = ""

    async def press(self) -> bool:
        """Makes it send one event. A voice box has no keys: it is given a call to announce, and reports it."""
        if self.profile != "voice":
            return await self.hands.press()
        await self.core.order(announcement(1 + len(self.core.said)))
        return True

    async def event(self) -> Sending:
        """One press, and the first sending of the event that it makes."""
        before = set(self.core.seen())
        if not await self.press():
            raise Skipped("nobody can press a key")
        return await self.fresh(before, self.limits.press, "no event after a key was pressed")

    async def fresh(self, before: set[Key], seconds: float, otherwise: str) -> Sending:
        """The first event that was not there before."""

        def new() -> list[Sending]:
            return [one for one in self.core.sendings if one.key not in before]

        need(await self.core.until(lambda: bool(new()), seconds), otherwise)
        return new()[0]

    async def again(self, event: Sending, seconds: float, otherwise: str) -> Sending:
        """The next sending of this very event; its body must be the same."""
        seen = len(self.sendings_of(event))
        need(await self.core.until(lambda: len(self.sendings_of(event)) > seen, seconds), otherwise)
        found = self.sendings_of(event)[-1]
        need(found.body == event.body, f"event {event.key} was resent with another body: {found.body}")
        return found

    def sendings_of(self, event: Sending) -> list[Sending]:
        """Every time it was sent."""
        return [one for one in self.core.sendings if one.key == event.key]

    async def released(self) -> None:
        """The hall answers everything again, and everything is settled."""
        self.core.answer = granted
        sent = list({one.key: one for one in self.core.sendings}.values())
        for one in sent[-64:]:
            await self.core.tell("ack", self.core.ack(one, **granted(one)))
        await self.quiet()

    async def quiet(self) -> None:
        """So long that what would come has come."""
        await asyncio.sleep(self.limits.quiet)

    async def born(self, births: int, seconds: float) -> dict[str, Any]:
        """The next birth after so many."""
        need(await self.core.until(lambda: len(self.core.births()) > births, seconds), "no birth after a connection")
        return self.core.births()[births]


def announcement(call: int) -> Json:
    """An order for a voice box."""
    body: Json = {"type": "voice.say", "call": call, "text": "请A零零一号到1号窗口", "lang": "zh", "times": 1}
    return body | {"number": "A001", "counter": 1, "zone": ""}


def need(holds: bool, otherwise: str) -> None:
    """Failed, unless it holds."""
    if not holds:
        raise Failed(otherwise)
