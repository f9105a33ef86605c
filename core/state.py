"""core/state.py: all tables of one hall, their digest and their snapshot. state = fold(facts), byte for byte.

Only `evolve` rules write here. `pool`, `deadlines`, `rules` are indices over the tables: rebuilt, never stored.
"""

import hashlib
from collections import Counter as Count
from typing import Final, NamedTuple

import msgspec
from msgspec import Struct

from core.cases import Case
from core.conduct import Entry as ConductEntry
from core.conduct import Finding, Posting
from core.counter import Counter, CounterState
from core.deadlines import STAGE_DUE, STAGE_OF, Deadlines, Due, Entry
from core.device import Device
from core.evaluation import Evaluation, EvaluationState
from core.policy import MINUTE_MS, ClassPart, CounterPart, Policy, ProfilePart, ServicePart
from core.policy_parts import AlertsPart
from core.ranking import ClassRule, RankingPool, ViewTable
from core.ticket import OPEN, State, Ticket
from core.visit import Booking, BookingState, Visit
from core.waiting import WaitModel
from core.window import DeviceWindows
from core.worktime import due_ms

FORMAT: Final = 1
PPM: Final = 1_000_000
QUARTER_MS: Final = 900_000
DUES_KEPT: Final = 1000


class Tally(Struct, array_like=True):
    """How the tickets of the day ended; open states are counted from the table."""

    taken: int = 0
    served: int = 0
    cancelled: int = 0
    abandoned: int = 0
    expired: int = 0


class Tables(Struct, array_like=True):
    """Everything that a hall knows. `services`: codes by dense index, in journal order."""

    hall: str
    n: int = 0
    at_ms: int = 0
    policy: Policy | None = None
    pending: Policy | None = None
    pending_ms: int = 0
    day: int = 0
    day_start_ms: int = 0
    next_cutover_ms: int = 0
    periods: tuple[tuple[int, int], ...] = ()
    day_is_open: bool = False
    first_ticket: int = 1
    next_ticket: int = 1
    next_call: int = 1
    next_visit: int = 1
    next_booking: int = 1
    next_case: int = 1
    given_up: int = 0
    tally: Tally = msgspec.field(default_factory=Tally)
    services: list[str] = []
    numbers: dict[str, int] = {}
    printed: dict[str, int] = {}
    taken_of: dict[int, int] = {}
    tickets: dict[int, Ticket] = {}
    visits: dict[int, Visit] = {}
    visit_of_person: dict[str, int] = {}
    bookings: dict[int, Booking] = {}
    counters: dict[int, Counter] = {}
    evaluations: dict[int, Evaluation] = {}
    devices: dict[str, Device] = {}
    windows: dict[str, DeviceWindows] = {}
    calls: dict[int, int] = {}
    held: dict[int, list[int]] = {}
    ranking: ViewTable | None = None
    rings: dict[int, list[int]] = {}
    waits: dict[int, WaitModel] = {}
    last_calls: list[tuple[int, str, int]] = []
    forgotten_call: int = 0
    cases: dict[int, Case] = {}
    next_entry: int = 1
    next_finding: int = 1
    next_inspection: int = 1
    conduct: dict[int, ConductEntry] = {}
    findings: dict[int, Finding] = {}
    postings: dict[str, Posting] = {}
    retired_sets: dict[str, int] = {}
    level_ms: dict[int, int] = {}
    cusum: dict[str, int] = {}
    noted: dict[str, int] = {}
    honors: dict[str, list[str]] = {}
    facilities: dict[str, int] = {}
    alerts: dict[str, int] = {}
    told_s: dict[int, int] = {}
    probes: dict[str, int] = {}
    zone_people: dict[str, int] = {}


class Crowd(NamedTuple):
    """How far an alert of a queue is from its limit. `kind`: waiting, eta (of a service) or seats (of a zone)."""

    kind: str
    subject: str
    num: int
    den: int
    over: bool


class Rules(Struct):
    """Look-ups over a policy, so that no rule walks a list."""

    services: dict[str, tuple[int, ServicePart]]
    classes: dict[str, int]
    class_codes: list[str]
    counters: dict[int, CounterPart]
    profiles: dict[str, ProfilePart]
    due: dict[tuple[int, str], int] = {}
    alerts: bool = False


def class_rule(part: ClassPart) -> ClassRule:
    """The ranking parameters of a class."""
    return ClassRule(rate=part.rate, head_start_ms=part.head_start_min * MINUTE_MS, tier=part.tier, cap=part.cap)


class HallState(Tables):
    """The tables with their indices. `react` and pictures read it; only `evolve` writes."""

    pool: RankingPool = msgspec.field(default_factory=lambda: RankingPool(()))
    deadlines: Deadlines = msgspec.field(default_factory=lambda: Deadlines([]))
    rules: Rules = msgspec.field(default_factory=lambda: Rules({}, {}, [], {}, {}))
    views_open: dict[int, list[int]] = {}
    queued: dict[int, int] = {}

    def waiting(self, service: int) -> int:
        """How many wait for a service: the length of its view, without a walk over its classes."""
        return self.queued.get(service, 0)

    def open_views(self, service: int) -> list[int]:
        """The distinct sets of services, among open counters, that serve this one first. Remembered until a change."""
        found = self.views_open.get(service)
        if found is None:
            profiles = [one.profile for one in self.counters.values() if one.state is not CounterState.CLOSED]
            serving = [one for one in dict.fromkeys(profiles) if service in self.pool.skills_of(one).primary]
            found = list(dict.fromkeys(self.pool.view_of(one) for one in serving))
            self.views_open[service] = found
        return found

    def due_ms(self, at_ms: int, duration: str) -> int:
        """When a duration that begins now is over; 0 for none. Days end alike for all of a quarter of an hour."""
        assert self.policy is not None
        if not duration or duration.endswith("wh"):
            return due_ms(self.policy, at_ms, duration) if duration else 0
        key = (at_ms // QUARTER_MS, duration)
        found = self.rules.due.get(key)
        if found is None:
            if len(self.rules.due) > DUES_KEPT:
                self.rules.due.clear()
            found = self.rules.due[key] = due_ms(self.policy, at_ms, duration)
        return found

    def serial(self, ticket: int) -> int:
        """The ranking's number of a ticket: from 1 each day."""
        return ticket - self.first_ticket + 1

    def ticket_of(self, serial: int) -> int:
        """The inverse of `serial`."""
        return serial + self.first_ticket - 1

    def t(self, at_ms: int) -> int:
        """Milliseconds since the business day's midnight: the time of the ranking."""
        return at_ms - self.day_start_ms

    def uncovered_due(self, counter: Counter) -> int:
        """When an empty rostered counter will have been empty too long inside a period of today; 0: never."""
        part = self.rules.counters.get(counter.counter)
        minutes = self.policy.conduct.uncovered_min if self.policy is not None else 0
        away = counter.state is CounterState.CLOSED and not counter.uncovered and self.day_is_open
        if not minutes or part is None or not part.rostered or not away:
            return 0
        dues = [(max(start, counter.closed_ms) + minutes * MINUTE_MS, end) for start, end in self.periods]
        return next((due for due, end in dues if due < end), 0)

    def crowd(self, ident: int) -> Crowd:
        """The alert `ident`: service or zone index, times three, plus the kind. A raised one ends at three quarters."""
        assert self.policy is not None
        limits, (index, which) = self.policy.alerts, divmod(ident, 3)
        if which == 2:
            zone = self.policy.zones[index]
            num, den = self._seated(zone.code) * zone.party_ppm // PPM, zone.seats * limits.seats_ppm // PPM + 1
            kind, subject, on = "seats", zone.code, bool(zone.seats and limits.seats_ppm)
        else:
            waiting, subject = self.waiting(index), self.services[index]
            kind = ("waiting", "eta")[which]
            num = (waiting, self.told_s.get(index, 0) if waiting else 0)[which]
            den = (limits.waiting, limits.eta_min * 60)[which]
            on = bool(den)
        raised = f"{kind}:{subject}" in self.alerts
        return Crowd(kind, subject, num, den, on and (num >= den or (raised and num * 4 >= den * 3)))

    def _seated(self, zone: str) -> int:
        """How many wait for a service of the zone."""
        indices = [index for index, part in self.rules.services.values() if part.zone == zone]
        return sum(map(self.waiting, indices))

    def watch(self, service: int) -> None:
        """The queue of a service has changed: alerts that no longer say what is so become due at once."""
        for ident in self._idents(service):
            if self.alert_differs(ident):
                self.deadlines.add(self.at_ms, Due.ALERT, ident)

    def _idents(self, service: int) -> list[int]:
        assert self.policy is not None
        part = next((part for index, part in self.rules.services.values() if index == service), None)
        zones = [i for i, zone in enumerate(self.policy.zones) if part is not None and zone.code == part.zone]
        return [service * 3, service * 3 + 1, *(zone * 3 + 2 for zone in zones)]

    def alert_differs(self, ident: int) -> bool:
        """Whether an alert is to be raised or cleared; not for a zone that is gone."""
        if self.policy is None or (ident % 3 == 2 and ident // 3 >= len(self.policy.zones)):
            return False
        crowd = self.crowd(ident)
        return crowd.over != (f"{crowd.kind}:{crowd.subject}" in self.alerts)

    def admit(self, ticket: Ticket) -> None:
        """Into the ranking, if the ticket waits and nothing holds it back (early booking, busy visit)."""
        visit = self.visits.get(ticket.visit)
        ticket.eligible = not ticket.eligible_ms and not (visit is not None and visit.busy)
        if ticket.eligible:
            service, serial = ticket.service, ticket.ticket - self.first_ticket + 1
            self.pool.add(serial, service, ticket.cls, ticket.t_eff_ms - self.day_start_ms)
            self.queued[service] = self.queued.get(service, 0) + 1
            if self.rules.alerts:
                self.watch(ticket.service)

    def withdraw(self, ticket: Ticket) -> None:
        """Out of the ranking, if it was in."""
        if ticket.eligible:
            self.pool.remove(ticket.ticket - self.first_ticket + 1)
            self.queued[ticket.service] -= 1
            ticket.eligible = False
            if self.rules.alerts:
                self.watch(ticket.service)

    def occupy(self, ticket: Ticket) -> None:
        """The ticket is at a counter: the rest of its visit steps back, so that nobody is called to two counters."""
        visit = self.visits.get(ticket.visit) if ticket.visit else None
        if visit is not None:
            visit.busy = ticket.ticket
            for other in self._siblings(visit, ticket):
                self.withdraw(other)

    def leave(self, ticket: Ticket) -> None:
        """The ticket has left its counter: the rest of its visit may be called again."""
        self.calls.pop(ticket.call, None)
        visit = self.visits.get(ticket.visit) if ticket.visit else None
        if visit is not None:
            visit.busy = 0
            for other in self._siblings(visit, ticket):
                self.admit(other)

    def _siblings(self, visit: Visit, ticket: Ticket) -> list[Ticket]:
        others = [self.tickets[other] for other in visit.tickets if other != ticket.ticket]
        return [other for other in others if other.state is State.WAITING]

    def end(self, ticket: Ticket) -> None:
        """The ticket has ended: out of the ranking, of hold and of its visit."""
        self.withdraw(ticket)
        ticket.until_ms = 0
        visit = self.visits.get(ticket.visit) if ticket.visit else None
        if visit is not None:
            visit.tickets.remove(ticket.ticket)

    def unhold(self, ticket: Ticket) -> None:
        """No longer on hold at its counter."""
        here = self.held[ticket.counter]
        here.remove(ticket.ticket)
        if not here:
            del self.held[ticket.counter]

    def next_due_ms(self) -> int:
        """When time itself will next produce a fact (UTC ms)."""
        return self.deadlines.next_ms(self.holds)

    def holds(self, entry: Entry) -> bool:
        """Whether a deadline still means anything."""
        due_ms, what, ident = entry
        if what is Due.EVALUATION_OVER:
            evaluation = self.evaluations.get(ident)
            return evaluation is not None and evaluation.state is EvaluationState.OPENED
        if what in STAGE_OF:
            case = self.cases.get(ident)
            return case is not None and case.due_of(STAGE_OF[what]) == due_ms
        if what is Due.UNCOVERED:
            counter = self.counters.get(ident)
            return counter is not None and self.uncovered_due(counter) == due_ms
        if what is Due.ALERT:
            return self.rules.alerts and self.day_is_open and self.alert_differs(ident)
        if what is Due.CUTOVER:
            return self.policy is not None and ident == self.day and due_ms == self.next_cutover_ms
        if what is Due.POLICY:
            return self.pending is not None and self.pending_ms == due_ms
        if what is Due.BOOKING_LAPSE:
            booking = self.bookings.get(ident)
            return booking is not None and booking.state is BookingState.MADE
        ticket = self.tickets.get(ident)
        return ticket is not None and due_ms == _due_of(ticket, what)

    def counted(self) -> dict[State, int]:
        """How many tickets of the day are in each open state."""
        counts = dict.fromkeys(OPEN, 0)
        for ticket in self.tickets.values():
            if ticket.state in counts:
                counts[ticket.state] += 1
        return counts

    def snapshot(self) -> bytes:
        """The tables as MessagePack; equal states give equal bytes."""
        self.ranking = self.pool.profiles()
        self.rings = self.pool.rings()
        return _ENCODER.encode([getattr(self, name) for name in FIELDS])

    def digest(self) -> str:
        """SHA-256 of the snapshot: what replay is compared with."""
        return hashlib.sha256(self.snapshot()).hexdigest()


_ENCODER: Final = msgspec.msgpack.Encoder()
_DECODER: Final = msgspec.msgpack.Decoder(Tables)
FIELDS: Final = Tables.__struct_fields__
UNTIL: Final = {State.MISSED: Due.RETURN_OVER, State.HELD: Due.HOLD_OVER, State.CALLED: Due.NO_ARRIVAL}
"""What is over at the `until_ms` of a ticket, by its state."""


def _due_of(ticket: Ticket, what: Due) -> int:
    """When `what` is due for a ticket as it is now; 0: never."""
    if what is Due.ELIGIBLE:
        return ticket.eligible_ms if ticket.state is State.WAITING else 0
    return ticket.until_ms if UNTIL.get(ticket.state) is what else 0


def restored(data: bytes) -> HallState:
    """The state of a snapshot, its indices rebuilt. msgspec.DecodeError when the bytes are none."""
    tables = _DECODER.decode(data)
    state = HallState(*[getattr(tables, name) for name in FIELDS])
    if state.policy is not None:
        state.rules = compiled(state.policy, state.services)
        rules = [class_rule(part) for part in state.policy.classes]
        assert state.ranking is not None, "a snapshot with a policy has its ranking table"
        first, start_ms = state.first_ticket - 1, state.day_start_ms  # as `serial` and `t` have it
        ranked = [
            (one.ticket - first, one.service, one.cls, one.t_eff_ms - start_ms)
            for one in state.tickets.values()
            if one.eligible and one.state is State.WAITING
        ]
        state.pool = RankingPool.rebuilt(rules, state.ranking, ranked)
        state.pool.restore_rings(state.rings)
        state.queued = dict(Count(service for _, service, _, _ in ranked))
    state.deadlines = Deadlines(_deadlines(state))
    return state


def compiled(policy: Policy, codes: list[str]) -> Rules:
    """The look-ups of a policy; every service of it must already have its index in `codes`."""
    index = {code: i for i, code in enumerate(codes)}
    return Rules(
        services={part.code: (index[part.code], part) for part in policy.services},
        classes={part.code: i for i, part in enumerate(policy.classes)},
        class_codes=[part.code for part in policy.classes],
        counters={part.no: part for part in policy.counters},
        profiles={part.id: part for part in policy.profiles},
        alerts=policy.alerts != AlertsPart(),
    )


def _deadlines(state: HallState) -> list[Entry]:
    """Every deadline that holds, from the tables."""
    tickets = [one for one in state.tickets.values() if one.eligible_ms or one.until_ms]  # most wait for nothing else
    entries = [(_due_of(one, what), what, one.ticket) for one in tickets for what in (Due.ELIGIBLE, *UNTIL.values())]
    opened = [one for one in state.evaluations.values() if one.state is EvaluationState.OPENED]
    entries += [(one.due_ms, Due.EVALUATION_OVER, one.call) for one in opened]
    entries += [(c.due_of(stage), due, c.case) for c in state.cases.values() for stage, due in STAGE_DUE.items()]
    entries += [(b.lapse_ms, Due.BOOKING_LAPSE, b.booking) for b in state.bookings.values()]
    if state.policy is not None:
        entries.append((state.next_cutover_ms, Due.CUTOVER, state.day))
    entries += [(state.uncovered_due(one), Due.UNCOVERED, one.counter) for one in state.counters.values()]
    if state.rules.alerts:
        services = [index for index, _ in state.rules.services.values()]
        idents = [ident for index in services for ident in state._idents(index)]
        entries += [(state.at_ms, Due.ALERT, ident) for ident in dict.fromkeys(idents)]
    if state.pending is not None:
        entries.append((state.pending_ms, Due.POLICY, 0))
    return [entry for entry in entries if entry[0] and state.holds(entry)]
