"""tests/simulation/invariants.py: the invariants of the overview, read off the journal by somebody who knows no rules.

`Ledger` reads each fact as it is committed: tickets, counters, numbers, ratings, cases, causes, the law of
conservation, and what the answer to each command must be. `against_model` asks tests/model.py about every decision.
What is read of `core` is the catalogue of facts and their encoding; no rule, no table, no window.
"""

from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from core import commands as c
from core import facts as f
from core import facts_tickets as t
from core import record
from core.fact import Fact
from tests.model import Plain, Said
from workers.ports import Row

Cause = tuple[str, str, int]
ENVELOPE = ("seq_old", "seq_reused", "boot_retired")  # said about a number, not about what was asked
UNREAD = ("bad_field", "unknown_kind", "too_large", "personal_data", "profile_mismatch")
KEPT = 64  # first answers a device and boot; an older one is only said to be seen
GOES_TO: dict[type[Fact], str] = {
    t.TicketCalled: "called",
    t.TicketResumed: "called",
    t.ServingStarted: "serving",
    t.ServingFinished: "served",
    t.TicketMissed: "missed",
    t.TicketReleased: "waiting",
    t.TicketTransferred: "waiting",
    t.TicketRequeued: "waiting",
    t.TicketHeld: "held",
    t.TicketAbandoned: "abandoned",
    t.TicketCancelled: "cancelled",
    t.TicketExpired: "expired",
}
COMES_FROM: dict[type[Fact], tuple[str, ...]] = {
    t.TicketCalled: ("waiting",),
    t.TicketResumed: ("held",),
    t.ServingStarted: ("called",),
    t.ServingFinished: ("serving",),
    t.TicketMissed: ("called",),
    t.TicketReleased: ("called",),
    t.TicketTransferred: ("waiting", "called", "serving", "held"),
    t.TicketRequeued: ("missed",),
    t.TicketHeld: ("called", "serving"),
    t.TicketAbandoned: ("called", "held", "missed"),
    t.TicketCancelled: ("waiting", "held", "missed"),
    t.TicketExpired: ("waiting", "called", "serving", "held", "missed"),
}
BY_TIME = (  # without a cause only when time brings it; what else has none (devices, probes) the model leaves out
    *GOES_TO,
    t.TicketTaken,
    t.TicketEligible,
    f.EvaluationOpened,
    f.EvaluationSubmitted,
    f.EvaluationExpired,
    f.EvaluationDefaulted,
    f.CaseOpened,
    f.BookingLapsed,
    f.DayClosed,
)
AT_COUNTER = ("called", "serving")
ENDED = ("served", "abandoned", "cancelled", "expired")


class Line(NamedTuple):
    """One fact of the journal, decoded."""

    n: int
    at_ms: int
    cause: Cause | None
    digest: int
    fact: Fact


class Ledger:
    """Reads facts in order. `wrong`: what must not be, in words."""

    def __init__(self) -> None:
        self.lines: list[Line] = []
        self.wrong: list[str] = []
        self.by_cause: dict[Cause, list[Line]] = {}
        self.place: dict[Cause, int] = {}  # the how-many-th settled number of its boot
        self._settled: Counter[tuple[str, str]] = Counter()
        self.tickets: dict[int, str] = {}
        self.number_of: dict[int, str] = {}
        self.counter_of: dict[int, int] = {}
        self.holder: dict[int, int] = {}
        self._numbers: set[tuple[int, str]] = set()
        self._ended: Counter[str] = Counter()
        self._serving_of: dict[int, str] = {}
        self._rated: set[int] = set()
        self._bad = self._cases = 0
        self.told_apart: set[tuple[Cause, int]] = set()  # refused for its number alone: cause, digest
        self.orders: dict[int, int] = {}  # n of a call that must be spoken -> at_ms
        self.over_ms: dict[int, int] = {}  # n -> when nobody was called by it any more
        self._orders_of: dict[int, list[int]] = {}  # ticket -> n

    def read(self, n: int, row: Row) -> None:
        """The next fact."""
        fact, digest, _ = record.decode(row.kind, row.v, row.payload)
        cause = (row.device, row.boot, row.dseq) if row.device else None
        line = Line(n, row.at_ms, cause, digest, fact)
        if n != len(self.lines) + 1:
            self.wrong.append(f"fact {n} stands at {len(self.lines) + 1}")
        if self.lines and row.at_ms < self.lines[-1].at_ms:
            self.wrong.append(f"fact {n} goes back in time")
        self._caused(line)
        self.lines.append(line)
        self._tickets(line)
        self._ratings(fact)

    def _caused(self, line: Line) -> None:
        """Facts of one cause stand together: more of them elsewhere would be a second decision."""
        cause = line.cause
        if cause is None:
            return
        if getattr(line.fact, "reason", "") in ENVELOPE:
            self.told_apart.add((cause, line.digest))
            return
        known = self.by_cause.get(cause)
        if known is None:
            self.by_cause[cause] = [line]
            self._settled[cause[:2]] += 1
            self.place[cause] = self._settled[cause[:2]]
            return
        if known[-1].n != line.n - 1 or type(known[0].fact) is type(line.fact):
            self.wrong.append(f"{cause} was decided twice: facts {known[0].n} and {line.n}")
        known.append(line)

    def _tickets(self, line: Line) -> None:
        fact = line.fact
        if isinstance(fact, t.TicketTaken):
            if (fact.day, fact.number) in self._numbers:
                self.wrong.append(f"number {fact.number} twice")
            self._numbers.add((fact.day, fact.number))
            self.tickets[fact.ticket], self.number_of[fact.ticket] = "waiting", fact.number
        elif isinstance(fact, t.TicketCalled | t.TicketResumed | t.TicketRecalled):
            self.orders[line.n] = line.at_ms
            self._orders_of.setdefault(fact.ticket, []).append(line.n)
        if type(fact) in GOES_TO:
            self._moves(line.n, fact)
            if self.tickets[fact.ticket] != "called":
                self.over_ms |= dict.fromkeys(self._orders_of.pop(fact.ticket, ()), line.at_ms)
        elif isinstance(fact, f.DayClosed):
            still = [ticket for ticket, state in self.tickets.items() if state not in ENDED]
            self.wrong += [f"ticket {one} is open after the day" for one in still]

    def _moves(self, n: int, fact: Any) -> None:
        ticket, before = fact.ticket, self.tickets.get(fact.ticket, "unknown")
        if before not in COMES_FROM[type(fact)]:
            self.wrong.append(f"fact {n}: {type(fact).__name__} of ticket {ticket}, which is {before}")
        after = self.tickets[ticket] = GOES_TO[type(fact)]
        if before in AT_COUNTER and after not in AT_COUNTER:
            self.holder.pop(self.counter_of.pop(ticket, 0), None)
        if before not in AT_COUNTER and after in AT_COUNTER:
            if fact.counter in self.holder:
                self.wrong.append(f"fact {n}: counter {fact.counter} holds {self.holder[fact.counter]} and {ticket}")
            self.holder[fact.counter], self.counter_of[ticket] = ticket, fact.counter
        if after in ENDED:
            self._ended[after] += 1

    def _ratings(self, fact: Fact) -> None:
        if isinstance(fact, t.ServingFinished):
            self._serving_of[fact.call] = fact.staff
        elif isinstance(fact, f.EvaluationSubmitted):
            if fact.call in self._rated:
                self.wrong.append(f"call {fact.call} was rated twice")
            if self._serving_of.get(fact.call) != fact.staff:
                self.wrong.append(f"the rating of call {fact.call} is not of the clerk who finished it")
            self._rated.add(fact.call)
            self._bad += fact.level <= 2
        elif isinstance(fact, f.CaseOpened):
            self._cases += 1

    def conserved(self, tally: Any) -> list[str]:
        """At a batch's end: what the hall counts is what happened, and each bad rating has its case."""
        counts = {name: getattr(tally, name) for name in ENDED}
        mine = {name: self._ended[name] for name in counts}
        wrong = [] if counts == mine else [f"the hall counts {counts}, the journal {mine}"]
        still = sum(state not in ENDED for state in self.tickets.values())
        if tally.taken != len(self.tickets) or tally.taken != still + sum(mine.values()):
            wrong.append(f"{tally.taken} tickets taken, {still} open, {mine}")
        if self._bad != self._cases:
            wrong.append(f"{self._bad} bad ratings, {self._cases} cases")
        return wrong

    def answer(self, cause: Cause) -> dict[str, Any]:
        """What the device must hear of these facts: the last that tells more than that it was done."""
        said: dict[str, Any] = {"ok": {"type": "done"}}
        for line in self.by_cause[cause]:
            fact = line.fact
            if isinstance(fact, t.TicketTaken):
                said = {"ok": {"type": "ticket", "ticket": fact.ticket, "number": fact.number, "ahead": fact.ahead}}
            elif isinstance(fact, t.TicketCalled | t.TicketResumed):
                ok = {"call": fact.call, "ticket": fact.ticket, "number": fact.number, "counter": fact.counter}
                said = {"ok": {"type": "called", **ok}}
            elif isinstance(fact, f.Refused | f.EvaluationRejected):
                said = {"refused": str(fact.reason)}
        return said

    def confused(self, cause: Cause, digest: int) -> bool:
        """Whether something else that has the number of what is stored was taken for it. Old numbers are only seen."""
        lines = self.by_cause.get(cause)
        if not lines or lines[0].digest == digest or (cause, digest) in self.told_apart:
            return False
        return self._settled[cause[:2]] - self.place[cause] < KEPT

    def misheard(self, cause: Cause, result: Mapping[str, Any]) -> str:
        """What is wrong with an answer; nothing if it is the first answer, or too old to be kept."""
        if cause not in self.by_cause:
            return "acknowledged, and not in the journal"
        if result.get("refused") in ENVELOPE:
            return ""
        ok = result.get("ok") or {}
        if ok.get("type") == "seen":
            later = self._settled[cause[:2]] - self.place[cause]
            return "" if later >= KEPT else f"its first answer was not kept, though only {later} came after it"
        first = self.answer(cause)
        told = {"ok": {name: ok.get(name) for name in first["ok"]}} if ok and "ok" in first else dict(result)
        told = {name: value for name, value in told.items() if name in ("ok", "refused")}
        return "" if told == first else f"told {told}, the first answer is {first}"


def against_model(lines: Sequence[Line], asked: Mapping[tuple[Cause, int], c.Command]) -> list[str]:
    """Every decision in the journal once more by the plain model, in the journal's order. Empty: they agree."""
    first = next((one.fact for one in lines if isinstance(one.fact, f.PolicyChanged)), None)
    if not isinstance(first, f.PolicyChanged):
        return []
    plain = Plain(first.policy, lines[0].at_ms)
    rest = deque(one for one in lines if not isinstance(one.fact, f.PolicyChanged | f.DayOpened | f.DeviceRegistered))
    while rest:
        line = rest[0]
        left_out = line.cause is None and not isinstance(line.fact, BY_TIME)
        due = None if left_out else plain.due(line.at_ms)
        if due is not None:
            expected: Any = due
            group = [rest.popleft() for _ in range(min(len(due), len(rest)))]
        elif line.cause is None:
            rest.popleft()
            if left_out:
                continue
            return [f"fact {line.n}: {type(line.fact).__name__} without a cause, though nothing is due"]
        else:
            group = _group(rest)
            command = asked.get((line.cause, line.digest))
            reason = str(getattr(line.fact, "reason", ""))
            if reason in ENVELOPE or reason in UNREAD:
                continue
            if command is None:
                return [f"fact {line.n}: nobody asked {line.cause} with digest {line.digest}"]
            expected = plain.ask(command, line.cause[0], line.at_ms)
        wrong = differs([one.fact for one in group], expected)
        if wrong:
            return [f"facts {line.n}-{line.n + len(group) - 1}: {wrong}"]
    return []


def _group(rest: "deque[Line]") -> list[Line]:
    """The facts of one decision."""
    found = [rest.popleft()]
    while rest and rest[0].cause == found[0].cause and rest[0].n == found[-1].n + 1:
        if getattr(rest[0].fact, "reason", "") in ENVELOPE:
            break
        found.append(rest.popleft())
    return found


def differs(facts: Sequence[Fact], expected: str | list[Said]) -> str:
    """In words, where the facts are not what the model expects."""
    if isinstance(expected, str):
        reasons = [str(getattr(fact, "reason", type(fact).__name__)) for fact in facts]
        return "" if reasons == [expected] else f"{reasons}, the model refuses: {expected}"
    kinds = [type(fact).__name__ for fact in facts]
    if kinds != [said["fact"] for said in expected]:
        return f"{kinds}, the model says {[said['fact'] for said in expected]}"
    for fact, said in zip(facts, expected, strict=True):
        for name, value in said.items():
            here: Any = fact
            if name == "contested":
                here = here.why
            if name != "fact" and getattr(here, name) != value:
                return f"{type(fact).__name__}.{name} is {getattr(here, name)}, the model says {value}"
    return ""
