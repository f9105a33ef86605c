"""bench/load.py: a day of public-service halls as bytes with intended times. A pure function of scope, seed and mix.

people ─▶ kiosks, clerks, evaluators ─▶ messages; the hall itself (core, no wire) answers while the day is drawn up, so
tickets and calls have the numbers they will have. Curve, mixes, rates: proposals, no public data was found.
"""

import hashlib
from collections.abc import Callable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Final

import msgspec

from bench.scopes import OPENS_MS, Scope, clock_ms, offers, scope_policy
from core import commands as c
from core import facts_tickets as t
from core import policy as rules
from core.fact import Fact
from core.hall import Hall
from core.policy import Policy
from core.state import HallState
from devices import people, wire
from devices.people import MINUTE_MS, Person

BREATH_MS: Final = (4_000, 9_000)  # between two people
RECALL_MS: Final = 21_000  # the hall wants 20 s between two
PAUSE_EVERY_MS, PAUSE_MS = 60 * MINUTE_MS, 5 * MINUTE_MS
BOOKED: Final = 0.15
RESENT: Final = 0.01
AGAIN_MS: Final = 1_500
GONE_MS: Final = 15_000  # a lost connection, a reboot
OFFLINE_MS: Final = (75 * MINUTE_MS, 95 * MINUTE_MS)  # kiosk-1 without the hall, in the peak


class Said(msgspec.Struct, frozen=True, order=True, gc=False):
    """One message: when, so many ms after the door opens, and which. Sorted by time, then as it came about."""

    at_ms: int
    order: int
    topic: str
    payload: bytes
    screen: str = ""
    status: str = ""


class Expected(msgspec.Struct):
    """What the day comes to without a wire: the same people, clerks and rules at their very times."""

    facts: int = 0
    refused: int = 0
    waits: list[tuple[int, int]] = []  # taken, ms since midnight UTC; waited, ms


class Day(msgspec.Struct):
    """Everything of one hall: its policy, the bookings made before, its messages in order, and how it comes out."""

    policy: Policy
    bookings: list[c.MakeBooking]
    said: list[Said]
    expected: Expected


def days(scope: Scope, seed: int, *, mix: str = "usual", factor: float = 1.0) -> list[Day]:
    """The day of every hall of a scope."""
    return [_HallDay(scope, f"h{at}", seed, mix, factor).whole() for at in range(scope.halls)]


def opening(day: Day, minutes: float) -> Day:
    """Its first minutes after the door opens: what is said until then, who is called until then."""
    end_ms = int(minutes * MINUTE_MS)
    said = [one for one in day.said if one.at_ms < end_ms]
    waits = [(taken, waited) for taken, waited in day.expected.waits if taken + waited < OPENS_MS + end_ms]
    return Day(day.policy, day.bookings, said, Expected(0, 0, waits))


def digest(found: Sequence[Day]) -> str:
    """SHA-256 over every message and its time."""
    total = hashlib.sha256()
    for day in found:
        for one in day.said:
            total.update(b"%d %s %s\n" % (one.at_ms, one.topic.encode(), one.payload))
    return total.hexdigest()


class _HallDay:
    """One hall and everybody in it, event by event."""

    def __init__(self, scope: Scope, hall: str, seed: int, mix: str, factor: float) -> None:
        self._scope, self._name = scope, hall
        self._rng = Random(f"{seed}/{scope.name}/{hall}")
        self._hall = Hall(HallState(hall))
        self._policy = scope_policy(scope, hall)
        self._mix, self._factor = mix, factor
        self._due: list[tuple[int, int, Callable[[int], None]]] = []
        self._order = 0
        self._said: list[Said] = []
        self._expected = Expected()
        self._boots: dict[str, int] = {}
        self._seqs: dict[str, int] = {}
        self._persons: dict[int, Person] = {}
        self._idle: dict[int, None] = {}
        self._works: dict[int, int] = {}  # counter -> call of the person at it
        self._held: dict[int, tuple[int, Person]] = {}
        self._next_pause: dict[int, int] = {}
        self._printed = 0
        self._kept: list[tuple[int, Person]] = []
        self._response = self._rng.uniform(0.35, 0.9)

    def whole(self) -> Day:
        """From before the door opens until nobody waits."""
        self._ask(c.ChangePolicy(1, rules.digest(self._policy), rules.document(self._policy)), -MINUTE_MS * 20)
        crowd, bookings = self._crowd()
        for booking in bookings:
            self._ask(booking, -MINUTE_MS * 20)
        for no in range(1, self._scope.counters + 1):
            self._at(-MINUTE_MS * 2 + no * 50, lambda at, no=no: self._sign_on(at, no))  # type: ignore[misc]  # mypy cannot infer a bound default
        for person, booked in crowd:
            self._at(clock_ms(person.arrives_ms), lambda at, who=person, to=booked: self._comes(at, who, to))  # type: ignore[misc]  # mypy cannot infer a bound default
        self._faults()
        self._at(OFFLINE_MS[1], self._catch_up)
        while self._due:
            at, _, act = heappop(self._due)
            act(at)
        self._said.sort()
        return Day(self._policy, bookings, self._said, self._expected)

    def _crowd(self) -> tuple[list[tuple[Person, int]], list[c.MakeBooking]]:
        """Everybody of the day with the booking they have, 0 for none; the bookings get ids from 1 in this order."""
        habits = people.Habits(
            visits_day=round(self._scope.visits * self._factor),
            kiosks=self._scope.kiosks,
            with_ref=0.0,
            response=self._response,
            double_press=0.0,
        )
        choice = offers([one.code for one in self._policy.services], self._mix)
        classes = [one.code for one in self._policy.classes]
        found: list[tuple[Person, int]] = []
        bookings: list[c.MakeBooking] = []
        for person in people.crowd(self._rng, habits, choice, classes):
            if person.arrives_ms >= people.DAY_MS:
                return found, bookings
            if self._rng.random() < BOOKED:
                slot = -(-clock_ms(person.arrives_ms) // people.QUARTER_MS) * people.QUARTER_MS
                bookings.append(c.MakeBooking(person.service, OPENS_MS + slot))
                found.append((person, len(bookings)))
            else:
                found.append((person, 0))
        raise AssertionError("a crowd has no end")

    # What is said, and what the hall makes of it.

    def _at(self, at: int, act: Callable[[int], None]) -> None:
        self._order += 1
        heappush(self._due, (at, self._order, act))

    def _ask(self, command: c.Command, at: int) -> None:
        self._fold(self._hall.decide(command, OPENS_MS + at), at)

    def _fold(self, facts: list[Fact], at: int) -> list[Fact]:
        for fact in facts:
            self._hall.evolve(fact, max(OPENS_MS + at, self._hall.state.at_ms))
            self._expected.facts += 1
            if isinstance(fact, t.TicketCalled) and fact.first:
                ticket = self._hall.state.tickets[fact.ticket]
                self._expected.waits.append((ticket.taken_ms, fact.waited_ms))
        return facts

    def _event(self, device: str, body: str, at: int, age_ms: int = 0) -> bytes:
        boot = f"{device[:6]}-{self._boots.get(device, 0)}"
        seq = self._seqs[boot + device] = self._seqs.get(boot + device, 0) + 1
        aged = f'"age_ms":{age_ms},' if age_ms else ""
        return f'{{"boot":"{boot}","seq":{seq},"sent_ms":{OPENS_MS + at},{aged}"body":{{{body}}}}}'.encode()

    def _send(self, at: int, device: str, payload: bytes, status: str = "") -> None:
        topic = f"jh/v1/{self._name}/{device}/event"
        screen = f"jh/v1/{self._name}/{device.replace('caller', 'screen')}/screen" if status else ""
        self._order += 1
        self._said.append(Said(at, self._order, topic, payload, screen, status))
        if self._rng.random() < RESENT:
            self._order += 1
            self._said.append(Said(at + AGAIN_MS, self._order, topic, payload))

    def _says(self, at: int, device: str, body: str, status: str = "") -> list[Fact]:
        """A device speaks; the facts, as the dispatcher would find them."""
        payload = self._event(device, body, at)
        facts = self._decide(at, device, payload)
        refused = type(facts[0]).__name__ in ("Refused", "EvaluationRejected")
        self._send(at, device, payload, "" if refused else status)
        return facts

    def _decide(self, at: int, device: str, payload: bytes) -> list[Fact]:
        while (due := self._hall.due(OPENS_MS + at)) is not None:
            self._fold(due[1], due[0] - OPENS_MS)
        found: list[Fact] = []
        for heard in wire.decode(payload, device):
            assert isinstance(heard, wire.Heard), heard
            command = heard.command
            if heard.age_ms and isinstance(command, c.TakeTicket):
                command = msgspec.structs.replace(command, happened_ms=OPENS_MS + at - heard.age_ms)
            facts = self._hall.decide(command, OPENS_MS + at, device)
            found += self._fold(facts, at)
            self._expected.refused += type(facts[0]).__name__ in ("Refused", "EvaluationRejected")
        return found

    # Before the counters.

    def _kiosk(self) -> str:
        return f"kiosk-{self._rng.randrange(self._scope.kiosks) + 1}"

    def _comes(self, at: int, person: Person, booking: int) -> None:
        kiosk = self._kiosk()
        if not booking and kiosk == "kiosk-1" and OFFLINE_MS[0] <= at < OFFLINE_MS[1]:
            self._kept.append((at, person))
            return
        body = f'"type":"ticket.take","service":"{person.service}","class":"{person.cls}"'
        if booking:
            body = f'"type":"booking.check_in","booking":{booking}'
        for fact in self._says(at, kiosk, body):
            if isinstance(fact, t.TicketTaken):
                self._takes(at, fact, person)
                self._at(at + people.PRINT_MS, lambda then: self._printed_out(then, kiosk, fact.ticket))  # noqa: B023 - one ticket a take

    def _printed_out(self, at: int, kiosk: str, ticket: int) -> None:
        self._says(at, kiosk, f'"type":"ticket.report_print","ticket":{ticket}')

    def _takes(self, at: int, fact: t.TicketTaken, person: Person) -> None:
        self._persons[fact.ticket] = person
        self._wake(at, fact.service)

    def _wake(self, at: int, service: str) -> None:
        """A clerk without anybody sees a number go up."""
        no = next((no for no in self._idle if service in self._policy.counters[no - 1].primary), 0)
        if no:
            del self._idle[no]
            self._at(at + self._rng.randrange(1_000, 4_000), lambda then: self._next(then, no))

    def _catch_up(self, at: int) -> None:
        """The kiosk is back: what it gave out alone, up to 64 events a message."""
        for first in range(0, len(self._kept), wire.MAX_BATCH):
            events = []
            for took, person in self._kept[first : first + wire.MAX_BATCH]:
                self._printed += 1
                body = f'"type":"ticket.take","service":"{person.service}","class":"{person.cls}"'
                events.append(self._event("kiosk-1", f'{body},"number":"X{self._printed:04d}"', at, at - took))
            payload = b"[" + b",".join(events) + b"]"
            taken = [one for one in self._decide(at, "kiosk-1", payload) if isinstance(one, t.TicketTaken)]
            self._send(at, "kiosk-1", payload)
            for fact, (_, person) in zip(taken, self._kept[first:], strict=False):
                self._takes(at, fact, person)

    # Behind the counters.

    def _sign_on(self, at: int, no: int) -> None:
        self._next_pause[no] = self._rng.randrange(PAUSE_EVERY_MS)
        self._says(at, f"caller-{no}", f'"type":"staff.sign_on","staff":"{self._name}-{no}"')
        self._idle[no] = None

    def _next(self, at: int, no: int) -> None:
        """Pause, resume what was held, or call."""
        caller = f"caller-{no}"
        if at >= self._next_pause[no]:
            self._next_pause[no] += PAUSE_EVERY_MS
            self._says(at, caller, '"type":"counter.pause"')
            self._at(at + PAUSE_MS, lambda then: self._back(then, no))
            return
        if no in self._held:
            ticket, person = self._held.pop(no)
            facts = self._says(at, caller, f'"type":"ticket.resume","ticket":{ticket}', "calling")
            if isinstance(facts[-1], t.TicketResumed):
                self._starts(at, no, facts[-1].call, person)
                return
        called = self._says(at, caller, '"type":"ticket.call_next"', "calling")[-1]
        if not isinstance(called, t.TicketCalled):
            self._idle[no] = None
            return
        self._called(at, no, called)

    def _back(self, at: int, no: int) -> None:
        self._says(at, f"caller-{no}", '"type":"counter.resume"')
        self._next(at + 500, no)

    def _called(self, at: int, no: int, called: t.TicketCalled) -> None:
        person = self._persons[called.ticket]
        for turn in range(person.recalls):
            self._at(
                at + (turn + 1) * RECALL_MS, lambda then: self._press(then, no, '"type":"ticket.recall"', "calling")
            )
        here = at + max(person.walk_ms, person.recalls * RECALL_MS + 1_000)
        if person.shows_up:
            self._at(here, lambda then: self._starts(then, no, called.call, person))
        else:
            self._at(here, lambda then: self._missed(then, no, called, person))

    def _press(self, at: int, no: int, body: str, status: str) -> None:
        self._says(at, f"caller-{no}", body, status)

    def _missed(self, at: int, no: int, called: t.TicketCalled, person: Person) -> None:
        self._press(at, no, '"type":"ticket.miss"', "idle")
        if person.returns:
            self._persons[called.ticket] = msgspec.structs.replace(person, shows_up=True)
            self._at(at + 8 * MINUTE_MS, lambda then: self._returns(then, called))
        self._free(at, no)

    def _returns(self, at: int, called: t.TicketCalled) -> None:
        self._says(at, self._kiosk(), f'"type":"ticket.requeue","ticket":{called.ticket}')
        self._wake(at, called.service)

    def _starts(self, at: int, no: int, call: int, person: Person) -> None:
        self._press(at, no, '"type":"serving.start"', "serving")
        if person.is_held:
            self._at(at + person.service_ms // 3, lambda then: self._holds(then, no, person))
        else:
            self._at(at + person.service_ms, lambda then: self._ends(then, no, call, person))

    def _holds(self, at: int, no: int, person: Person) -> None:
        ticket = self._hall.state.counters[no].ticket
        self._press(at, no, '"type":"ticket.hold"', "idle")
        self._held[no] = (ticket, msgspec.structs.replace(person, is_held=False))
        self._free(at, no)

    def _ends(self, at: int, no: int, call: int, person: Person) -> None:
        ticket = self._hall.state.counters[no].ticket
        if person.transfer_to:
            facts = self._says(
                at, f"caller-{no}", f'"type":"ticket.transfer","to_service":"{person.transfer_to}"', "idle"
            )
            if isinstance(facts[0], t.TicketTransferred):
                self._persons[ticket] = msgspec.structs.replace(person, transfer_to="", service=person.transfer_to)
                self._wake(at, person.transfer_to)
                return self._free(at, no)
        self._press(at, no, '"type":"serving.finish"', "idle")
        self._at(at + 300, lambda then: self._asked(then, no, call))
        if person.level:
            late = f'"call":{call},' if person.rating_ms >= people.SHORTEST_MS else ""  # else: who was served last
            body = f'"type":"evaluation.submit",{late}"level":{person.level}'
            self._at(at + 300 + person.rating_ms, lambda then: self._evaluator(then, no, body))
        return self._free(at, no)

    def _asked(self, at: int, no: int, call: int) -> None:
        self._evaluator(at, no, f'"type":"evaluation.report_shown","call":{call}')

    def _evaluator(self, at: int, no: int, body: str) -> None:
        self._says(at, f"ev-{no}", body)

    def _free(self, at: int, no: int) -> None:
        self._at(at + self._rng.randrange(*BREATH_MS), lambda then: self._next(then, no))

    # Faults.

    def _faults(self) -> None:
        """Each device reboots once and loses its connection once."""
        last = clock_ms(people.DAY_MS)
        for device in self._policy.devices:
            boots, lost = self._rng.randrange(last), self._rng.randrange(last)
            self._at(boots, lambda at, who=device.id: self._reboots(at, who))  # type: ignore[misc]  # mypy cannot infer a bound default
            self._at(lost, lambda at, who=device.id: self._loses(at, who))  # type: ignore[misc]  # mypy cannot infer a bound default

    def _reboots(self, at: int, device: str) -> None:
        self._boots[device] = self._boots.get(device, 0) + 1
        self._loses(at, device)

    def _loses(self, at: int, device: str) -> None:
        self._state(at, device, "lost")
        self._at(at + GONE_MS, lambda then: self._state(then, device, "ready"))

    def _state(self, at: int, device: str, state: str) -> None:
        boot = f"{device[:6]}-{self._boots.get(device, 0)}"
        payload = f'{{"state":"{state}","boot":"{boot}","link":1}}'.encode()
        self._order += 1
        self._said.append(Said(at, self._order, f"jh/v1/{self._name}/{device}/state", payload))
