"""workers/scans.py: flags that take many ratings to see: R2, R4, R5, R7-R9, R11 over the totals of reports.

Each is of a period: R4 and R5 of a device and one day, the others of all ratings of the days asked for. A flag marks
for a person; nothing is deleted, hidden or reordered. Scans over many subjects keep the share of false ones at a tenth
(Benjamini-Hochberg).
"""

from collections.abc import Iterable, Sequence
from math import exp
from operator import add
from typing import Final, NamedTuple

from msgspec import Struct

from core.commands_cases import RaiseFinding
from core.statistics import (
    discoveries,
    fewer_good,
    independence,
    is_channel_gap,
    is_too_perfect,
    is_without_negatives,
    poisson_at_least,
)
from workers import rhythm
from workers.mix import PPM, USUAL_BAD
from workers.report import Period, Report, report
from workers.totals import AGAIN, ASKED, PRIVATE, HallTotals, Totals

UNLIKELY: Final = 0.001
BAD: Final = 2
OF_A_DAY: Final = ("R4", "R5")


class Marked(Struct, frozen=True):
    """One mark: `num` against `den` is what was counted, up to and with `day`."""

    hall: str
    rule: str
    subject: str
    num: int
    den: int
    day: int

    def finding(self) -> RaiseFinding:
        """As a command for the hall."""
        return RaiseFinding(self.rule, self.subject, (), self.num, self.den)


class Tried(NamedTuple):
    """A subject that was looked at: how likely chance alone does it, and whether the rule holds."""

    marked: Marked
    chance: float
    holds: bool


def scan(totals: Totals, span: Period) -> list[Marked]:
    """Every mark of a period."""
    clerks = report(totals, span, "clerk")
    found: list[Marked] = []
    for name, hall in totals.halls.items():
        asked, private = _sums(hall, span)
        last = max((day for day, _ in hall.days if day <= span.last), default=span.first)
        found += _kept(_early(name, clerks, last))
        found += [_of_day(name, one) for one in days_of(hall) if span.first <= one.day <= span.last]
        found += _kept(_perfect(name, clerks, last))
        found += _kept(_choosy(name, asked, last))
        found += _kept(_no_bad(name, hall, span, last))
        found += _kept(_gaps(name, private, last))
    return found + _kept(_halls_without_bad(totals, span))


def _kept(tried: Iterable[Tried]) -> list[Marked]:
    """Those whose rule holds and that are not among the false discoveries."""
    tried = list(tried)
    real = discoveries([one.chance for one in tried]) if tried else []
    return [one.marked for one, kept in zip(tried, real, strict=True) if kept and one.holds]


def _of_day(name: str, one: rhythm.DayMark) -> Marked:
    return Marked(name, one.rule, one.subject, one.num, one.den, one.day)


def days_of(hall: HallTotals) -> list[rhythm.DayMark]:
    """R4 and R5 of every day, that of today as far as it has come."""
    return [*hall.marks, *rhythm.of_day(hall.day, hall.times, hall.periods)]


def _sums(hall: HallTotals, span: Period) -> tuple[dict[str, list[int]], dict[str, list[int]]]:
    """By clerk over the period: who was asked; and good and all ratings, at the counter and in private."""
    asked: dict[str, list[int]] = {}
    rated: dict[str, list[int]] = {}
    for (_, day, _, clerk, _), cell in zip(hall.keys, hall.cells, strict=True):
        if clerk and span.first <= day <= span.last:
            asked[clerk] = list(map(add, asked.get(clerk) or [0] * ASKED, cell.asked))
            private = cell.private
            more = (sum(cell.n[BAD:]) - private[0], sum(cell.n) - private[1], *private)
            rated[clerk] = list(map(add, rated.get(clerk) or [0] * 4, more))
    return asked, rated


def _early(name: str, clerks: Report, last: int) -> Iterable[Tried]:
    """R2: more servings among the shortest hundredth of their service than chance gives."""
    for line in clerks.lines:
        if line.hall == name and line.early_expected:
            chance = poisson_at_least(line.early, line.early_expected)
            yield Tried(Marked(name, "R2", line.clerk, line.early, line.served, last), chance, chance < UNLIKELY)


def _perfect(name: str, clerks: Report, last: int) -> Iterable[Tried]:
    """R7: all of them 5, where the others of the hall would hardly have managed it."""
    lines = [line for line in clerks.lines if line.hall == name and line.good_den]
    fives, active = sum(line.n5 for line in lines), sum(line.good_den for line in lines)
    for line in lines:
        share = (fives - line.n5) / (active - line.good_den) if active > line.good_den else 1.0
        chance = share**line.good_den if line.n5 == line.good_den else 1.0
        holds = is_too_perfect(line.n5, line.good_den, share)
        yield Tried(Marked(name, "R7", line.clerk, line.n5, line.good_den, last), chance, holds)


def _choosy(name: str, asked: dict[str, list[int]], last: int) -> Iterable[Tried]:
    """R8: who waited long, or was called again, is asked less, or answers less, than others, beyond chance."""
    for clerk, row in asked.items():
        if not sum(row):
            continue
        again = row[AGAIN * 3 :]
        waits = [row[at : at + 3] for at in range(0, AGAIN * 3, 3)]
        others = [sum(column) - more for column, more in zip(zip(*waits, strict=True), again, strict=True)]
        tests = [
            (chance, at, rows[-1])
            for rows in (waits, [others, again])
            for at in (1, 2)
            if (chance := _falls([(one[at], one[0] - one[at]) for one in rows])) < 1
        ]
        chance, at, worst = min(tests, default=(1.0, 1, again))
        chance = min(1.0, chance * 4)
        yield Tried(Marked(name, "R8", clerk, worst[at], worst[0], last), chance, chance < UNLIKELY)


def _falls(rows: Sequence[tuple[int, int]]) -> float:
    """Chi-square's p of yes and no by row, 1 where the share does not fall from the first row to the last."""
    seen = [row for row in rows if sum(row)]
    if len(seen) < 2 or seen[0][0] * sum(seen[-1]) <= seen[-1][0] * sum(seen[0]):
        return 1.0
    return independence(seen)[1]


def _no_bad(name: str, hall: HallTotals, span: Period, last: int) -> Iterable[Tried]:
    """R9: a device or profile without a bad rating, where the others of the hall let expect five or more."""
    devices: dict[str, list[int]] = {}
    for device, days in hall.given.items():
        for day, n in days.items():
            if span.first <= day <= span.last:
                devices[device] = list(map(add, devices.get(device) or [0] * 5, n))
    profiles: dict[str, list[int]] = {}
    for device, n in devices.items():
        profile = hall.profiles.get(device, "")
        if profile:
            profiles[f"profile-{profile}"] = list(map(add, profiles.get(f"profile-{profile}") or [0] * 5, n))
    whole = [sum(column) for column in zip(*devices.values(), strict=True)] or [0] * 5
    for subject, n in [*devices.items(), *profiles.items()]:
        others = [all_ - own for all_, own in zip(whole, n, strict=True)]
        yield _none_of(Marked(name, "R9", subject, sum(n[:BAD]), sum(n), last), sum(others[:BAD]), sum(others))


def _halls_without_bad(totals: Totals, span: Period) -> Iterable[Tried]:
    """R9 of a hall, against all others."""
    lines = report(totals, span, "hall").lines
    bad, active = sum(line.bad_num for line in lines), sum(line.bad_den for line in lines)
    for line in lines:
        last = max((day for day, _ in totals.halls[line.hall].days if day <= span.last), default=span.first)
        marked = Marked(line.hall, "R9", "hall", line.bad_num, line.bad_den, last)
        yield _none_of(marked, bad - line.bad_num, active - line.bad_den)


def _none_of(marked: Marked, bad: int, active: int) -> Tried:
    """As many as the share of the others lets expect; 1 % where they have none either: the fault may be everywhere."""
    expected = (bad / active if bad else USUAL_BAD) * marked.den
    return Tried(marked, exp(-expected) if not marked.num else 1.0, is_without_negatives(marked.num, expected))


def _gaps(name: str, rated: dict[str, list[int]], last: int) -> Iterable[Tried]:
    """R11: a clerk's good share at the counter far above that given in private."""
    for clerk, (good, active, private_good, private) in rated.items():
        if active and private:
            chance = fewer_good(good, active, private_good, private)
            marked = Marked(name, "R11", clerk, good * PPM // active, private_good * PPM // private, last)
            yield Tried(marked, chance, is_channel_gap((good, active), (private_good, private)))


assert "device" not in PRIVATE, "what is given at the counter is not private"
