"""tests/halls.py: a small hall for tests, driven by hand: who asks, what was answered, what stands in the journal."""

import itertools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NamedTuple, TypeVar
from zoneinfo import ZoneInfo

import msgspec

from core import commands as c
from core import facts as f
from core import facts_tickets as t
from core.fact import Cause, Fact
from core.hall import Hall
from core.policy import Policy, digest, document, parse
from core.record import decode, encode
from core.refusals import Refusal
from core.state import HallState
from core.ticket import Ticket
from core.why import Why
from core.window import Answer

F = TypeVar("F", bound=Fact)
MIN = 60_000
HALL = "h1"


def clock(text: str) -> int:
    """UTC ms of `2026-11-23 08:30` in the hall's time zone."""
    return int(datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Asia/Shanghai")).timestamp()) * 1000


MONDAY = clock("2026-11-23 00:00")
MORNING = clock("2026-11-23 08:30")
TEXT = """
version = 1
hall = { id = "h1" }
calendar = { periods = ["08:30-17:30"] }
calling = { picking = true, arrive_timeout_s = 0 }
booking = { days_ahead = 3 }
services = [
  { code = "si", prefix = "A", department = "hrss", quota_day = 40 },
  { code = "tax", prefix = "B", department = "tax" },
  { code = "id", prefix = "C", department = "police", classes = ["ordinary", "care"] },
]
counters = [
  { no = 1, primary = ["si"], overflow = ["tax"], theta_min = 10 },
  { no = 2, primary = ["tax", "si"], zone = "w1" },
  { no = 3, primary = ["id"] },
]
zones = [ { code = "w1" } ]
profiles = [
  { id = "pad", levels = { 5 = 5, 4 = 4, 3 = 3, 2 = 2, 1 = 1 } },
  { id = "keys4", levels = { 3 = 5, 2 = 4, 0 = 2 }, ignore = [1], call_id = false },
]
devices = [
  { id = "kiosk-1", kind = "kiosk", offline_prefix = "X" },
  { id = "kiosk-2", kind = "kiosk" },
  { id = "caller-1", kind = "caller", counter = 1 },
  { id = "caller-2", kind = "caller", counter = 2 },
  { id = "caller-3", kind = "caller", counter = 3 },
  { id = "ev-1", kind = "evaluator", profile = "pad", counter = 1 },
  { id = "ev-2", kind = "evaluator", profile = "keys4", counter = 2 },
  { id = "board-1", kind = "board" },
]
"""
POLICY = parse(TEXT)


def changed(policy: Policy = POLICY, **parts: Any) -> Policy:
    """Another policy, one version up: `changed(calling={"max_recalls": 0}, hall={"cutover": "04:00"})`."""
    new: dict[str, Any] = {"version": policy.version + 1}
    for name, values in parts.items():
        part = getattr(policy, name)
        new[name] = msgspec.structs.replace(part, **values) if isinstance(values, dict) else values
    return msgspec.structs.replace(policy, **new)


class Line(NamedTuple):
    """A line of the journal."""

    kind: int
    v: int
    payload: bytes
    at_ms: int
    cause: Cause | None


@dataclass
class Driven:
    """A hall and its journal. `facts` of the last command; `boots`, `seqs`: what each device sends next."""

    policy: Policy = POLICY
    at_ms: int = MORNING
    hall: Hall = field(default_factory=lambda: Hall(HallState(HALL)))
    journal: list[Line] = field(default_factory=list)
    facts: list[Fact] = field(default_factory=list)
    seqs: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.change(self.policy)

    @property
    def state(self) -> HallState:
        return self.hall.state

    def change(self, policy: Policy, effective_ms: int = 0) -> list[Fact]:
        return self.ask(c.ChangePolicy(policy.version, digest(policy), document(policy), effective_ms))

    def ask(self, command: c.Command, device: str = "") -> list[Fact]:
        """What the shell asks: no envelope, no window."""
        self.due()
        self.facts = self.hall.decide(command, self.at_ms, device)
        self.fold(self.facts, self.at_ms)
        return self.facts

    def send(self, device: str, command: c.Command, *, seq: int = 0, boot: str = "boot", body: int = 7) -> Answer:
        """What a device sends; the next seq unless one is given. Returns what it hears."""
        self.due()
        seq = seq or self.seqs.get(device, 0) + 1
        self.seqs[device] = max(seq, self.seqs.get(device, 0))
        cause = Cause(device, boot, seq, body)
        answer = self.hall.judge(cause)
        self.facts = []
        if answer is None:
            self.facts = self.hall.decide(command, self.at_ms, device)
            self.fold(self.facts, self.at_ms, cause)
            answer = self.hall.judge(cause)
        assert answer is not None
        return answer

    def fold(self, facts: list[Fact], at_ms: int, cause: Cause | None = None) -> None:
        for fact in facts:
            self.hall.evolve(fact, at_ms, cause)
            self.hall.react(fact, cause)
            self.journal.append(Line(*encode(fact, cause), at_ms, cause))

    def due(self) -> list[Fact]:
        """Everything that time has brought until now."""
        brought: list[Fact] = []
        while (found := self.hall.due(self.at_ms)) is not None:
            due_ms, facts = found
            assert facts, "what is due leaves a fact, or it would be due for ever"
            self.fold(facts, due_ms)
            brought += facts
        return brought

    def wait(self, ms: int) -> list[Fact]:
        """Time passes."""
        self.at_ms += ms
        return self.due()

    def replayed(self, start: Hall | None = None, skip: int = 0) -> Hall:
        """A hall folded from the bytes of the journal alone."""
        hall = start or Hall(HallState(HALL))
        for line in self.journal[skip:]:
            fact, body, _ = decode(line.kind, line.v, line.payload)
            assert body == (line.cause.body if line.cause else 0)
            hall.evolve(fact, line.at_ms, line.cause)
        return hall

    # Everyday steps.

    def take(self, service: str = "si", device: str = "kiosk-1", **more: Any) -> Ticket:
        """Take a ticket, well after the last press."""
        self.at_ms += 2000
        self.send(device, c.TakeTicket(service, **more))
        taken = [fact for fact in self.facts if isinstance(fact, t.TicketTaken)]
        assert taken, self.facts
        return self.state.tickets[taken[-1].ticket]

    def sign_on(self, *counters: int) -> None:
        for no in counters or (1, 2, 3):
            self.ask(c.SignOnStaff(f"staff-{no}", no))

    def call(self, counter: int = 1) -> t.TicketCalled:
        self.ask(c.CallNext(counter))
        called = self.facts[-1]
        assert isinstance(called, t.TicketCalled), self.facts
        return called

    def serve(self, counter: int = 1, ms: int = MIN) -> f.EvaluationOpened:
        """Call, serve for a while, finish."""
        self.call(counter)
        self.ask(c.StartServing(counter))
        self.at_ms += ms
        self.ask(c.FinishServing(counter))
        return self.only(f.EvaluationOpened)

    def only(self, kind: type[F]) -> F:
        """The one fact of this kind among the last."""
        (found,) = [fact for fact in self.facts if isinstance(fact, kind)]
        return found

    def refused(self, command: c.Command, device: str = "") -> str:
        """The reason why not; the hall did nothing else."""
        (fact,) = self.ask(command, device)
        assert isinstance(fact, f.Refused | f.EvaluationRejected), fact
        return str(fact.reason)


def opened(**parts: Any) -> Driven:
    """A hall on Monday morning with staff at every counter."""
    driven = Driven(changed(**parts) if parts else POLICY)
    driven.sign_on(*driven.state.counters)
    return driven


def kinds(facts: list[Fact]) -> list[str]:
    """The names of facts."""
    return [type(fact).__name__ for fact in facts]


FILLED: dict[type, Any] = {int: 1, str: "x", bool: False, Refusal: Refusal.FORBIDDEN, Policy: POLICY}


def _filled(kind: type[Fact]) -> Fact:
    """A fact of this kind with something in every field that has no default."""
    needed = [spec for spec in msgspec.structs.fields(kind) if spec.required]
    made = {spec.name: FILLED.get(spec.type, ()) for spec in needed}
    return kind(**{**made, **({"why": Why("score", 1, (), False, 0)} if "why" in made else {})})


EXAMPLES: dict[type[Fact], Fact] = {kind: _filled(kind) for kind in f.KINDS.values()}


def off_the_table(
    transitions: dict[Any, dict[type[Fact], Any]], made: Callable[[Any], Any], facts: dict[type[Fact], Fact] = EXAMPLES
) -> list[str]:
    """Each state against each fact: where the record `made` in it does otherwise than the table says."""
    wrong = []
    for state, kind in itertools.product(transitions, facts):
        record, target, said = made(state), transitions[state].get(kind), None
        try:
            record.advance(facts[kind])
        except AssertionError as error:
            said = str(error)
        right = said is None if target else f"{kind.__name__} in {state.name}" in (said or "")
        if not right or record.state is not (target or state):
            wrong.append(f"{kind.__name__} in {state.name}: {record.state.name}, not {target and target.name}; {said}")
    return wrong


def table(text: str) -> dict[str, dict[str, str]]:
    """A state table as the design writes it: `state: Fact next, Fact next`."""
    rows = [line.split(":") for line in text.strip().splitlines()]
    return {state.strip(): dict(one.split() for one in steps.split(",") if one.strip()) for state, steps in rows}


def written(transitions: dict[Any, dict[type[Fact], Any]]) -> dict[str, dict[str, str]]:
    """A table of the code in the same form."""
    return {
        state.name.lower(): {kind.__name__: target.name.lower() for kind, target in row.items()}
        for state, row in transitions.items()
    }


TIGHT = changed(
    tickets={"digits": 2, "reprints": 1},
    calling={"max_recalls": 1},
    returns={"return_min": 10, "after": (1, 2), "holds": 2, "hold_max_min": 30, "senior_hops": 1, "max_hops": 2},
    evaluation={"window_days": 1},
    booking={"slot_places": 2, "days_ahead": 2},
    services=(msgspec.structs.replace(POLICY.services[0], quota_day=12), *POLICY.services[1:]),
)


def variants() -> list[Policy]:
    """The policies a hall may have or get: each differs in one matter."""
    classes = tuple(
        msgspec.structs.replace(cls, rate={"ordinary": 2, "care": 6}.get(cls.code, 4)) for cls in POLICY.classes
    )
    skilled = (msgspec.structs.replace(TIGHT.counters[0], overflow=("id",)), *TIGHT.counters[1:])
    fewer = tuple(device for device in TIGHT.devices if device.id != "caller-3")
    return [
        TIGHT,
        changed(TIGHT, calling={"start": "explicit", "arrive_timeout_s": 60, "next_while_serving": "refuse"}),
        changed(
            TIGHT, evaluation={"unrated": "default3"}, tickets={"on_print_failed": "cancel"}, hall={"cutover": "05:00"}
        ),
        changed(TIGHT, calling={"picking": False}, tickets={"one_open_per_person": False}, classes=classes),
        changed(TIGHT, counters=skilled),
        *watched(),
        changed(TIGHT, counters=TIGHT.counters[:2], services=TIGHT.services[:2], devices=fewer),
    ]


def watched() -> list[Policy]:
    """Halls that look after themselves: queues and seats, empty counters, flags on ratings."""
    rules = ("R1", "R2", "R3", "R6", "R10", "R12", "CUSUM")
    seated = tuple(msgspec.structs.replace(one, zone="w1") for one in TIGHT.services[:2])
    zones = (msgspec.structs.replace(TIGHT.zones[0], seats=2, party_ppm=1_300_000),)
    full = changed(
        TIGHT,
        alerts={"waiting": 4, "seats_ppm": 1_000_000},
        conduct={"uncovered_min": 15},
        evaluation={"watch": rules},
        zones=zones,
        services=(*seated, *TIGHT.services[2:]),
    )
    some = changed(TIGHT, alerts={"waiting": 2}, conduct={"uncovered_min": 40}, evaluation={"watch": ("R6", "CUSUM")})
    idle = changed(TIGHT, calendar={"periods": ("08:30-12:00", "14:00-17:30")}, conduct={"uncovered_min": 5})
    return [full, some, idle]


VARIANTS = variants()
