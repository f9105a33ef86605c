"""core/conduct.py: the ledger of conduct and the grounds to return somebody (C1-C9), findings, postings.

FindingRaised▶ RAISED ─FindingReviewed▶ REVIEWED     either ─FindingWithdrawn▶ WITHDRAWN

A year is the calendar year of `on_day` in hall time; half-days count; "or more" includes the number. A ground is
evidence: a person reviews the finding, and only then may somebody be returned. Pure: entries in, grounds out.
"""

from collections.abc import Iterable
from enum import IntEnum
from typing import Final, Literal, NamedTuple

from msgspec import Struct

from core.fact import Fact
from core.facts_cases import FindingReviewed, FindingWithdrawn

WARN_PERCENT: Final = (60, 80)


class Entry(Struct, array_like=True, gc=False):
    """One line of the ledger. `void`: it was wrong and counts no more."""

    entry: int
    staff: str
    kind: str
    on_day: int
    half_days: int = 1
    case: int = 0
    void: bool = False


class Ground(NamedTuple):
    """How far a rule is met: `num` of `den`, by these entries. `met` may need more than the number (C3)."""

    num: int
    den: int
    met: bool
    entries: tuple[int, ...]


ONE_KIND: Final[dict[str, tuple[str, int]]] = {
    "C1": ("sanction", 1),
    "C2a": ("absent", 10),
    "C4": ("complaint", 2),
    "C5": ("error", 1),
    "C6": ("criticised", 1),
    "C7": ("media", 2),
    "C8": ("disobedience", 1),
    "C9": ("unfit", 1),
}
"""Rules that count one kind. C2a counts half-days: five days of absence without leave."""
LATE_EARLY: Final = 30
ADMONISHED: Final = 3
RULES: Final = ("C1", "C2a", "C2b", "C3", "C4", "C5", "C6", "C7", "C8", "C9")
assert set(ONE_KIND) | {"C2b", "C3"} == set(RULES)


def grounds(entries: Iterable[Entry], late_early: Literal["sum", "each"]) -> dict[str, Ground]:
    """How far every rule is met by the entries of one clerk and one year; void ones do not count. O(entries)."""
    kinds: dict[str, list[Entry]] = {}
    for one in sorted(entries, key=lambda one: (one.on_day, one.entry)):
        if not one.void:
            kinds.setdefault(one.kind, []).append(one)
    found = {rule: _counted(kinds.get(kind, []), limit) for rule, (kind, limit) in ONE_KIND.items()}
    found["C2b"] = _late_early(kinds.get("late", []), kinds.get("early", []), late_early)
    found["C3"] = _admonished(kinds.get("admonished", []), kinds.get("noncompliance", []))
    return {rule: found[rule] for rule in RULES}


def _counted(entries: list[Entry], limit: int) -> Ground:
    num = sum(one.half_days if one.kind == "absent" else 1 for one in entries)
    return Ground(num, limit, num >= limit, tuple(one.entry for one in entries))


def _late_early(late: list[Entry], early: list[Entry], mode: Literal["sum", "each"]) -> Ground:
    if mode == "each":
        return _counted(max(late, early, key=len), LATE_EARLY)
    return _counted([*late, *early], LATE_EARLY)


def _admonished(admonished: list[Entry], noncompliance: list[Entry]) -> Ground:
    """Admonished three times, then one thing more after the third."""
    num = len(admonished)
    after: list[Entry] = []
    if num >= ADMONISHED:
        third = (admonished[ADMONISHED - 1].on_day, admonished[ADMONISHED - 1].entry)
        after = [one for one in noncompliance if (one.on_day, one.entry) > third]
    entries = tuple(one.entry for one in (*admonished, *after[:1]))
    return Ground(num, ADMONISHED, bool(after), entries)


def warning(before: int, after: int, limit: int) -> int:
    """The percentage, 60 or 80, that a count has just reached below its limit; 0: none. None where one is enough."""
    if limit == 1 or after >= limit:
        return 0
    reached = [percent for percent in WARN_PERCENT if before < max(1, limit * percent // 100) <= after]
    return max(reached, default=0)


class FindingState(IntEnum):
    """Where a finding is."""

    RAISED = 1
    REVIEWED = 2
    WITHDRAWN = 3


TRANSITIONS: Final[dict[FindingState, dict[type[Fact], FindingState]]] = {
    FindingState.RAISED: {
        FindingReviewed: FindingState.REVIEWED,
        FindingWithdrawn: FindingState.WITHDRAWN,
    },
    FindingState.REVIEWED: {FindingWithdrawn: FindingState.WITHDRAWN},
    FindingState.WITHDRAWN: {},
}
assert TRANSITIONS.keys() == set(FindingState), "every state has a row"


class Finding(Struct, array_like=True, gc=False):
    """Evidence for a person. `decision`: confirmed or dismissed, once reviewed."""

    finding: int
    rule: str
    subject: str
    day: int
    state: FindingState = FindingState.RAISED
    decision: str = ""

    def advance(self, fact: Fact) -> None:
        """Take the step of the table; the only line that sets `state`."""
        target = TRANSITIONS[self.state].get(type(fact))
        assert target is not None, f"finding {self.finding}: {type(fact).__name__} in {self.state.name}"
        self.state = target


class Posting(Struct, array_like=True, gc=False):
    """Somebody sent by a department. Days yyyymmdd; `last` 0: still here. `met`: the successor has signed on."""

    staff: str
    department: str
    first: int
    last: int = 0
    successor: str = ""
    met: bool = False
    returned: bool = False

    def over(self, day: int) -> bool:
        """Whether the posting has ended before this day."""
        return self.returned or 0 < self.last < day


def months_between(first: int, last: int) -> int:
    """Whole months from one day to another, yyyymmdd."""
    months = (last // 10000 - first // 10000) * 12 + last // 100 % 100 - first // 100 % 100
    return months - (last % 100 < first % 100)
