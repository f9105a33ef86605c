"""devices/tally.py: what all devices of a hall saw acknowledged, and what is wrong when the journal says otherwise.

Nothing is assumed: `compare` looks for each acknowledged event in the journal, and for effects that happened twice.
"""

from array import array
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Final, NamedTuple

import msgspec
from msgspec.structs import replace

from core import facts as f
from core import facts_tickets as t
from core import record
from core.fact import Fact
from core.refusals import NEVER_SETTLES
from core.state import HallState
from devices import pictures, wire

Row = tuple[int, int, int, str, str, int, bytes]
"""A journal row: at_ms, kind, v, device, boot, seq, payload."""
Cause = tuple[str, str, int]
KEPT: Final = 1_000_000
LEAVES: Final = (
    t.TicketMissed,
    t.TicketReleased,
    t.TicketAbandoned,
    t.TicketHeld,
    t.TicketTransferred,
    t.ServingFinished,
    t.TicketExpired,
)


class Tally:
    """Live counters. `acked` holds the causes to look for, the first KEPT of them; press times in real ms."""

    def __init__(self) -> None:
        self.arrivals = self.turned_away = 0
        self.taken = self.called = self.served = self.rated = self.refused = 0
        self.commands_acked = self.presses = 0
        self.press_ms: array[float] = array("d")
        self.reasons: Counter[str] = Counter()
        self.acked: list[Cause] = []

    def observe(self, device: str, boot: str, seq: int, kind: str, result: wire.Result) -> None:
        """The observer of every device: one event, its one answer."""
        self.commands_acked += 1
        if len(self.acked) < KEPT:
            self.acked.append((device, boot, seq))
        if result.refused is not None:
            self.refused += 1
            self.reasons[result.refused] += 1
        elif result.ok is not None:
            self.taken += result.ok.type == "ticket"
            self.called += result.ok.type == "called"
            self.served += kind == "serving.finish"
            self.rated += kind == "evaluation.submit"

    def press_quantile_ms(self, share: float) -> float:
        """Press to the counter's own screen; 0 where nothing was pressed."""
        if not self.press_ms:
            return 0.0
        ordered = sorted(self.press_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    def summary(self) -> dict[str, object]:
        """For a report."""
        names = ("arrivals", "taken", "called", "served", "rated", "refused", "commands_acked", "presses")
        found: dict[str, object] = {name: getattr(self, name) for name in names}
        quantiles = {"p50": round(self.press_quantile_ms(0.5), 2), "p99": round(self.press_quantile_ms(0.99), 2)}
        return {**found, "press_to_screen_ms": quantiles, "reasons": dict(self.reasons)}


class Comparison(NamedTuple):
    """`lost`: acknowledged, and no fact. `duplicated`: what happened twice, in words. `facts`: rows read."""

    lost: list[Cause]
    duplicated: list[str]
    facts: int


def compare(acked: Iterable[Cause], rows: Iterable[tuple[str, int, Row]]) -> Comparison:
    """Rows of one hall in order of n, as (hall, n, row)."""
    audit = Audit()
    for _, n, row in rows:
        audit.read(n, row)
    lost = [cause for cause in acked if cause not in audit.last_n and cause not in audit.heard]
    return Comparison(lost, audit.duplicated, audit.facts)


class Audit:
    """Reads a journal from outside the rules: what must happen once, and what did twice."""

    def __init__(self) -> None:
        self.facts = 0
        self.duplicated: list[str] = []
        self.last_n: dict[Cause, int] = {}
        self.heard: set[Cause] = set()
        self._decision: set[int] = set()
        self._numbers: dict[tuple[int, str], int] = {}
        self._at: dict[int, int] = {}
        self._holder: dict[int, int] = {}
        self._rated: set[int] = set()

    def read(self, n: int, row: Row) -> None:
        """One fact."""
        _, kind, v, device, boot, seq, payload = row
        self.facts += 1
        fact, _, _ = record.decode(kind, v, payload)
        if device:
            self._caused(n, kind, (device, boot, seq), fact)
        if isinstance(fact, t.TicketTaken):
            self._once(self._numbers, (fact.day, fact.number), fact.ticket, f"number {fact.number} on {fact.day}")
        elif isinstance(fact, t.TicketCalled | t.TicketResumed):
            self._called(fact)
        elif isinstance(fact, LEAVES):
            self._holder.pop(self._at.pop(fact.ticket, 0), None)
        elif isinstance(fact, f.EvaluationSubmitted):
            if fact.call in self._rated:
                self.duplicated.append(f"call {fact.call} rated twice")
            self._rated.add(fact.call)

    def _caused(self, n: int, kind: int, cause: Cause, fact: Fact) -> None:
        """The facts of one decision stand together, each kind once. More under the same cause is a second decision."""
        before = self.last_n.get(cause)
        if isinstance(fact, f.Refused) and fact.reason in NEVER_SETTLES:
            self.heard.add(cause)  # about the envelope: may be said again
            return
        if before is None:
            self._decision = {kind}
        elif before != n - 1 or kind in self._decision:
            self.duplicated.append(f"{'/'.join(map(str, cause))} decided twice: {type(fact).__name__}")
        else:
            self._decision.add(kind)
        self.last_n[cause] = n

    def _once(self, table: dict[tuple[int, str], int], key: tuple[int, str], value: int, what: str) -> None:
        if key in table:
            self.duplicated.append(f"{what} twice: tickets {table[key]} and {value}")
        table[key] = value

    def _called(self, fact: t.TicketCalled | t.TicketResumed) -> None:
        """A ticket is at one counter at most, a counter has one ticket at most."""
        if fact.ticket in self._at:
            self.duplicated.append(f"ticket {fact.ticket} called to {self._at[fact.ticket]} and {fact.counter}")
        if fact.counter in self._holder:
            self.duplicated.append(f"counter {fact.counter} holds {self._holder[fact.counter]} and {fact.ticket}")
        self._at[fact.ticket], self._holder[fact.counter] = fact.counter, fact.ticket


def screens_wrong(state: HallState, screens: Mapping[str, bytes]) -> list[str]:
    """Devices whose last picture is not that of the state: another one, or none. A token must name the call shown."""
    wrong = []
    for device in state.devices.values():
        picture = pictures.draw(state, device)
        shown = screens.get(device.device)
        if isinstance(picture, pictures.EvaluatorPicture) and shown is not None:
            shown = _without_token(shown, state.hall)
        if picture is not None and shown != msgspec.json.encode(picture):
            wrong.append(device.device)
    return wrong


def _without_token(shown: bytes, hall: str) -> bytes:
    """An evaluator's picture as the state alone draws it, if its token is of the serving that it asks for."""
    picture = msgspec.json.decode(shown, type=pictures.EvaluatorPicture)
    named = f".{hall}.{picture.call}." in picture.token and picture.address.endswith(picture.token)
    return msgspec.json.encode(replace(picture, token="", address="")) if named else shown
