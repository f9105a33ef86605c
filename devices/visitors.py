"""devices/visitors.py: people of a simulated hall until they hold a slip: they come, queue at a kiosk, press, and wait.

arrivals ─▶ queue of a kiosk ─▶ slip, of the hall or of the kiosk's own numbers ─▶ (hall)      missed ─later▶ requeue
"""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from functools import partial
from typing import Any, Final

import msgspec

from core import commands as c
from core.policy import Policy
from devices import people, wire
from devices.clerk import Floor, Unit, remember
from devices.client import Device, SwitchedOff
from devices.kiosk import Kiosk, NoSlip, Slip
from devices.outbox import OutboxFull
from devices.people import Person

QUEUE_MAX: Final = 500  # before one kiosk; more turn round at the door, counted
TRIES: Final = 3
CHANGE_ONE_S_MIND_MS: Final = 2_000


class Booth:
    """A kiosk through its reboots, and the people before it. Its printer fails now and then."""

    def __init__(self, floor: Floor, unit: Unit) -> None:
        self.floor, self.unit = floor, unit
        self.queue = asyncio.Queue[Person](QUEUE_MAX)
        self.own: dict[str, Person] = {}  # by own number: whose ticket the hall does not know yet
        self._switched_on(unit.device)
        unit.on_new, unit.obey = self._switched_on, self._obey

    def _switched_on(self, device: Device) -> None:
        device.observer = self._observe
        self.kiosk = Kiosk(device, self._print, prefix=self.unit.part.offline_prefix)

    async def _print(self, slip: Slip) -> str:
        return "paper_out" if self.unit.rng.random() < self.floor.faults.paper_out else ""

    def _observe(self, device: str, boot: str, seq: int, kind: str, result: wire.Result) -> None:
        """Whoever took an own number has a ticket now."""
        self.floor.tally.observe(device, boot, seq, kind, result)
        if kind == "ticket.take" and result.ok is not None and result.ok.number in self.own:
            self.floor.takes(self.own.pop(result.ok.number), result.ok.ticket, result.ok.number)

    async def _obey(self, device: Device) -> None:
        await self.kiosk.obey()

    async def serve(self) -> None:
        """One person after the other: press, slip, next."""
        while True:
            person = await self.queue.get()
            if not await self._slip_for(person):
                self.floor.leaves(person)
            await self.floor.sleep(people.PRINT_MS)

    async def _slip_for(self, person: Person) -> bool:
        ref = self.floor.person_ref(person)
        command = c.TakeTicket(service=person.service, cls=person.cls, person_ref=ref, lang=person.lang)
        for _ in range(TRIES):
            pressed = asyncio.ensure_future(self._press(command))
            if person.presses_twice:
                await asyncio.sleep(0)
                self.unit.post(command)
            try:
                slip = await pressed
            except NoSlip as no:
                if str(no) not in ("pressed_twice", "paper_out"):
                    return False
            except (SwitchedOff, OutboxFull):
                pass
            else:
                self._gives(person, slip)
                return True
            await self.floor.sleep(CHANGE_ONE_S_MIND_MS)
        return False

    async def _press(self, command: c.TakeTicket) -> Slip:
        """SwitchedOff while it is."""
        if not self.unit.up:
            raise SwitchedOff(self.unit.part.id)
        self.unit.may_repeat()
        return await self.kiosk.take(command)

    def _gives(self, person: Person, slip: Slip) -> None:
        if slip.ticket:
            self.floor.takes(person, slip.ticket, slip.number)
        else:
            remember(self.own, slip.number, person)


class Door:
    """All people of a day, and the kiosks of the hall. `later`: hall ms, and what to do then."""

    def __init__(
        self,
        floor: Floor,
        kiosks: Sequence[Unit],
        policy: Policy,
        later: Callable[[float, Callable[[], object]], None],
    ) -> None:
        self.floor, self.policy, self._later = floor, policy, later
        self.booths = [Booth(floor, unit) for unit in kiosks]
        floor.comes_back = self._comes_back

    def parts(self) -> list[Coroutine[Any, Any, None]]:
        """What goes on all day."""
        return [self._arrivals(), *(booth.serve() for booth in self.booths)]

    async def _arrivals(self) -> None:
        floor, opened_ms = self.floor, self.floor.now_ms()
        choice = people.offers([service.code for service in self.policy.services])
        classes = [part.code for part in self.policy.classes]
        for person in people.crowd(floor.rng("people"), floor.habits, choice, classes):
            await floor.sleep(max(0, opened_ms + person.arrives_ms - floor.now_ms()))
            floor.tally.arrivals += 1
            if self.booths:
                self._join(min((booth.queue for booth in self.booths), key=lambda queue: queue.qsize()), person)

    def _join(self, queue: asyncio.Queue[Person], person: Person) -> None:
        try:
            queue.put_nowait(person)
            self.floor.inside += 1
        except asyncio.QueueFull:
            self.floor.tally.turned_away += 1

    def _comes_back(self, ticket: int, person: Person) -> None:
        """A missed call: back at a kiosk some minutes later, and there this time."""
        here = msgspec.structs.replace(person, shows_up=True)
        remember(self.floor.known, ticket, here)
        if self.booths:
            unit = self.booths[ticket % len(self.booths)].unit
            self._later(person.rating_ms + people.MINUTE_MS, partial(unit.post, c.RequeueTicket(ticket=ticket)))
