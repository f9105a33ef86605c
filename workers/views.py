"""workers/views.py: ticket, device, evaluation, case, conduct: pictures for people. The core never reads them.

fact ─note▶ touched ─each 0.5 s▶ sweep, ≤ 250 rows with each batch ─its last row▶ proj_seq = the seq at its start
Tickets and devices are coalesced: a row pictures its record as it is when written, maybe newer than the watermark.
Evaluations, cases and conduct go with their facts. Ended records are held here until written; a snapshot waits for the
sweep. After a crash the facts behind the snapshot are noted again; everything can be rebuilt from the journal.
"""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any, Final

from core import facts_tickets as t
from core.cases import Case
from core.conduct import Entry
from core.device import Device
from core.evaluation import Evaluation, EvaluationState
from core.facts import KINDS, EvaluationShown, EvaluationSubmitted
from core.facts_cases import EvaluationAppealed, EvaluationExcluded, EvaluationUpheld
from core.state import HallState
from core.ticket import OPEN, Ticket
from workers.clock import monotonic_s

SWEEP_S: Final = 0.5
ROWS_MAX: Final = 250  # a batch; 2,000 would hold the loop 8 ms
ROWS_MIN: Final = 32  # beside few facts: a press waits for its whole batch, and 250 rows take 3 ms
FLUSH: Final = 4  # times as many where nothing else is waiting: before a snapshot, at the end
HALL_SHIFT: Final = 40
TICKET: Final = (
    "INSERT INTO ticket VALUES(?,?,?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET state = excluded.state, "
    "service = excluded.service, class = excluded.class, counter = excluded.counter, "
    "staff = coalesce(excluded.staff, staff), called_ms = excluded.called_ms, start_ms = excluded.start_ms, "
    "end_ms = excluded.end_ms, seq = excluded.seq"
)
EVALUATION: Final = (  # how and when it was rated: from the rating alone, whatever comes of it
    "INSERT INTO evaluation VALUES(?,?,?,?,?,?,?,?,?,?,?) ON CONFLICT(id) DO UPDATE SET state = excluded.state, "
    "level = excluded.level, channel = coalesce(excluded.channel, channel), "
    "rated_ms = coalesce(excluded.rated_ms, rated_ms), end_ms = excluded.end_ms, seq = excluded.seq"
)
DEVICE: Final = "INSERT OR REPLACE INTO device VALUES(?,?,?,?,?,?,?,?)"
CASE: Final = 'INSERT OR REPLACE INTO "case" VALUES(?,?,?,?,?,?,?,?,?,?)'
CONDUCT: Final = "INSERT OR REPLACE INTO conduct VALUES(?,?,?,?,?,?,?)"
WIPE: Final = (
    "DELETE FROM ticket", "DELETE FROM evaluation", "DELETE FROM device", 'DELETE FROM "case"', "DELETE FROM conduct"
)  # fmt: skip
Rows = list[tuple[Any, ...]]
Statements = list[tuple[str, Rows]]
Words = dict[str, int]
Queue = deque[tuple[str, Any]]

UNSEEN: Final = frozenset(  # they change no column
    (t.TicketPrinted, t.TicketPrintFailed, t.TicketReprinted, t.TicketRecalled, t.TicketEligible, EvaluationShown)
)
OF_TICKET: Final = frozenset(kind for kind in KINDS.values() if "ticket" in kind.__struct_fields__) - UNSEEN
OF_DEVICE: Final = frozenset(kind for kind in KINDS.values() if kind.__name__.startswith("Device"))
OF_EVALUATION: Final = frozenset(
    kind for kind in KINDS.values() if kind.__name__.startswith("Evaluation") and "call" in kind.__struct_fields__
) - {EvaluationShown}
OF_CASE: Final = frozenset(kind for kind in KINDS.values() if kind.__name__.startswith("Case"))
OF_APPEAL: Final = frozenset((EvaluationAppealed, EvaluationUpheld, EvaluationExcluded))
OF_ENTRY: Final = frozenset(kind for kind in KINDS.values() if "entry" in kind.__struct_fields__)
WITH_STAFF: Final = frozenset((t.TicketCalled, t.TicketResumed, t.ServingFinished))
assert all("staff" in kind.__struct_fields__ for kind in WITH_STAFF)


class Touched:
    """The records of one hall whose rows are out of date. Records are the hall's own: they go on changing."""

    __slots__ = ("_state", "cases", "devices", "entries", "evaluations", "staff", "tickets")

    def __init__(self, state: HallState) -> None:
        self._state = state
        self.tickets: dict[int, tuple[Ticket, int, int]] = {}  # with business day and time of the last fact
        self.staff: dict[int, str] = {}  # who called or served, since the last sweep
        self.devices: dict[str, tuple[Device, int]] = {}
        self.evaluations: dict[int, tuple[Evaluation, str, int, int]] = {}  # channel and time of the rating; last fact
        self.cases: dict[int, Case] = {}
        self.entries: dict[int, Entry] = {}

    @property
    def hall(self) -> str:
        """Whose records these are."""
        return self._state.hall

    def note(self, fact: Any, at_ms: int) -> None:
        """A fact that was just folded. O(1)."""
        kind, state = type(fact), self._state
        if kind in OF_TICKET:
            ticket = state.tickets.get(fact.ticket)
            if ticket is not None:
                self.tickets[fact.ticket] = (ticket, state.day, at_ms)
                if kind in WITH_STAFF:
                    self.staff[fact.ticket] = fact.staff
        elif kind in OF_EVALUATION:
            evaluation = state.evaluations.get(fact.call)
            if evaluation is not None:
                rated = (fact.channel, at_ms) if kind is EvaluationSubmitted else ("", 0)
                if fact.call in self.evaluations and not rated[1]:
                    rated = self.evaluations[fact.call][1:3]
                self.evaluations[fact.call] = (evaluation, *rated, at_ms)
        elif kind in OF_DEVICE:
            device = state.devices.get(fact.device)
            if device is not None:
                self.devices[fact.device] = (device, at_ms)
        elif kind in OF_CASE and fact.case in state.cases:
            self.cases[fact.case] = state.cases[fact.case]
        elif kind in OF_ENTRY and fact.entry in state.conduct:
            self.entries[fact.entry] = state.conduct[fact.entry]
        if kind in OF_APPEAL:
            self.cases.update((case.case, case) for case in state.cases.values() if case.call == fact.call)

    def dirty(self) -> bool:
        """Is any row out of date?"""
        return bool(self.tickets or self.devices or self.evaluations or self.cases or self.entries)

    def everything(self) -> None:
        """What a new month begins with: open tickets, all devices, open evaluations."""
        state = self._state
        for ticket in state.tickets.values():
            if ticket.state in OPEN:
                self.tickets[ticket.ticket] = (ticket, state.day, state.at_ms)
        self.devices.update((name, (device, state.at_ms)) for name, device in state.devices.items())
        for one in state.evaluations.values():
            if one.state is EvaluationState.OPENED:
                self.evaluations[one.call] = (one, "", 0, state.at_ms)
        self.cases.update(state.cases)
        self.entries.update(state.conduct)

    def swept(self) -> Iterator[tuple[Ticket, str, str, str, int, int]]:
        """Each touched ticket with staff, codes of service and class, day, time; it is touched no more."""
        tickets, staff, self.tickets, self.staff = self.tickets, self.staff, {}, {}
        services, classes = self._state.services, self._state.rules.class_codes
        for number, (ticket, day, at_ms) in tickets.items():
            cls = classes[ticket.cls] if ticket.cls < len(classes) else ""  # ended under another policy
            yield ticket, staff.get(number, ""), services[ticket.service], cls, day, at_ms


def ticket_row(words: Words, seq: int, hall: str, held: tuple[Ticket, str, str, str, int, int]) -> tuple[Any, ...]:
    """Columns of table ticket; 0 and the empty word are NULL where it may be."""
    one, staff, service, cls, day, at_ms = held
    ended = at_ms if one.state not in OPEN else None
    return (
        words[hall] << HALL_SHIFT | one.ticket, int(one.state), words[service], words[cls], day, one.number,
        one.counter or None, words[staff] or None, one.taken_ms, one.called_ms or None, one.started_ms or None, ended,
        seq,
    )  # fmt: skip


def device_row(words: Words, seq: int, hall: str, held: tuple[Device, int]) -> tuple[Any, ...]:
    """Columns of table device."""
    one, at_ms = held
    return (
        words[hall] << HALL_SHIFT | words[one.device], words[hall], one.kind, one.profile, int(one.state),
        one.counter or None, at_ms, seq,
    )  # fmt: skip


def evaluation_row(words: Words, seq: int, hall: str, held: tuple[Evaluation, str, int, int]) -> tuple[Any, ...]:
    """Columns of table evaluation. `end_ms`: of the last that came of it, the rating itself or an appeal."""
    one, channel, rated, at_ms = held
    ended = at_ms if one.state is not EvaluationState.OPENED else None
    return (
        words[hall] << HALL_SHIFT | one.call, int(one.state), one.level or None, words[one.staff], one.counter,
        words[one.service], words[channel] or None, one.opened_ms, rated or None, ended, seq,
    )  # fmt: skip


def case_row(words: Words, seq: int, hall: str, one: Case) -> tuple[Any, ...]:
    """Columns of table case."""
    return (
        words[hall] << HALL_SHIFT | one.case, words[one.kind], int(one.state), one.call or None, one.opened_ms,
        one.verify_due_ms or None, one.rectify_due_ms or None, one.reply_due_ms or None, one.closed_ms or None, seq,
    )  # fmt: skip


def entry_row(words: Words, seq: int, hall: str, one: Entry) -> tuple[Any, ...]:
    """Columns of table conduct."""
    key = words[hall] << HALL_SHIFT | one.entry
    return key, words[one.staff], words[one.kind], one.on_day, one.half_days, int(one.void), seq


class Views:
    """What is touched in all halls, and the sweep under way. Asked by the journal for each batch, on the loop."""

    def __init__(self, proj_seq: int, clock: Callable[[], float] = monotonic_s) -> None:
        self.proj_seq = proj_seq
        self.rows = 0
        self._clock = clock
        self._halls: dict[str, Touched] = {}
        self._tickets: Queue = deque()
        self._devices: Queue = deque()
        self._until = proj_seq
        self._swept_at = clock()

    def of(self, state: HallState) -> Touched:
        """Where the records of a hall are noted."""
        found = self._halls.get(state.hall)
        if found is None:
            found = self._halls[state.hall] = Touched(state)
        return found

    @property
    def sweeping(self) -> bool:
        """Is part of a sweep still to be written?"""
        return bool(self._tickets or self._devices)

    @property
    def behind(self) -> bool:
        """Is anything out of date?"""
        return self.sweeping or any(one.dirty() for one in self._halls.values())

    def due(self) -> bool:
        """Should something be written, even if there are no facts?"""
        return self.sweeping or (self._clock() - self._swept_at >= SWEEP_S and self.behind)

    def lag(self, last: int) -> int:
        """Facts behind the watermark; 0 when no row is out of date."""
        return last - self.proj_seq if self.behind else 0

    def take(self, words: Words, last: int, facts: int = 0, *, now: bool = False) -> tuple[Statements, int]:
        """Rows for a batch that ends at `last`, and the watermark it sets (0: none). `facts`: how many it holds, and
        about so many rows of the sweep come with them. `now`: not when it is time."""
        if not self.sweeping and (now or self.due()):
            self._begin(last)
        found = self._with_facts(words, last)
        room = ROWS_MAX * FLUSH if now else min(ROWS_MAX, max(ROWS_MIN, facts or ROWS_MAX))
        for sql, queue, row in ((TICKET, self._tickets, ticket_row), (DEVICE, self._devices, device_row)):
            some: Rows = []
            while queue and len(some) < room:
                some.append(row(words, last, *queue.popleft()))
            room -= len(some)
            found.append((sql, some))
        self.rows += sum(len(rows) for _, rows in found)
        return [(sql, rows) for sql, rows in found if rows], self._finished()

    def _begin(self, last: int) -> None:
        """All that is touched now; what the batch in hand brings is among it."""
        self._swept_at, self._until = self._clock(), last
        for one in self._halls.values():
            self._tickets.extend((one.hall, held) for held in one.swept())
            self._devices.extend((one.hall, held) for held in one.devices.values())
            one.devices = {}

    def _finished(self) -> int:
        if self.sweeping or self._until <= self.proj_seq:
            return 0
        self.proj_seq = self._until
        return self._until

    def _with_facts(self, words: Words, last: int) -> Statements:
        """Evaluations, cases and conduct go with the batch of their facts."""
        rated, cases, entries = Rows(), Rows(), Rows()
        for one in self._halls.values():
            if one.evaluations:
                rated += [evaluation_row(words, last, one.hall, held) for held in one.evaluations.values()]
                one.evaluations = {}
            if one.cases or one.entries:
                cases += [case_row(words, last, one.hall, case) for case in one.cases.values()]
                entries += [entry_row(words, last, one.hall, entry) for entry in one.entries.values()]
                one.cases, one.entries = {}, {}
        return [(EVALUATION, rated), (CASE, cases), (CONDUCT, entries)]
