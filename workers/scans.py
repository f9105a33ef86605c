"""workers/scans.py: flags that take many ratings to see: R4, R5, R7-R9, R11 over the totals of reports.

A flag marks for a person; nothing is deleted, hidden or reordered. Scans over many subjects keep the share of false
ones at a tenth (Benjamini-Hochberg); what is reported becomes a RaiseFinding with integers, if a person wants it so.
"""

from itertools import pairwise
from typing import Final, NamedTuple

from core.commands_cases import RaiseFinding
from core.statistics import (
    discoveries,
    independence,
    is_burst,
    is_channel_gap,
    is_regular,
    is_too_perfect,
    is_without_negatives,
    normal_above,
    two_shares,
)
from workers.report import Period, Report, report
from workers.totals import PRIVATE, HallTotals, Totals

MINUTE_MS: Final = 60_000
PPM: Final = 1_000_000
CHOOSY: Final = 0.001


class Marked(NamedTuple):
    """One mark: `num` against `den` is what was counted."""

    hall: str
    rule: str
    subject: str
    num: int
    den: int

    def finding(self) -> RaiseFinding:
        """As a command for the hall."""
        return RaiseFinding(self.rule, self.subject, (), self.num, self.den)


def scan(totals: Totals, span: Period) -> list[Marked]:
    """Every mark of a period. Device rhythms are of the latest ratings, whatever the period."""
    clerks = report(totals, span, "clerk")
    found = [*_perfect(clerks), *_without_bad(clerks), *_gaps(totals, span)]
    for name, hall in totals.halls.items():
        found += [*_rhythms(name, hall), *_choosy(name, hall)]
    return found


def _perfect(clerks: Report) -> list[Marked]:
    """R7: all of them 5, where the others of the hall would hardly have managed it; false discoveries controlled."""
    tried: list[Marked] = []
    chances: list[float] = []
    halls: dict[str, tuple[int, int]] = {}
    for line in clerks.lines:
        fives, active = halls.get(line.hall, (0, 0))
        halls[line.hall] = (fives + line.n5, active + line.good_den)
    for line in clerks.lines:
        fives, active = halls[line.hall]
        share = (fives - line.n5) / (active - line.good_den) if active > line.good_den else 1.0
        if is_too_perfect(line.n5, line.good_den, share):
            tried.append(Marked(line.hall, "R7", line.clerk, line.n5, line.good_den))
        chances.append(share**line.good_den if line.n5 == line.good_den and line.good_den else 1.0)
    reported = discoveries(chances) if chances else []
    kept = {(line.hall, line.clerk) for line, kept in zip(clerks.lines, reported, strict=True) if kept}
    return [one for one in tried if (one.hall, one.subject) in kept]


def _without_bad(clerks: Report) -> list[Marked]:
    """R9: none bad, where five or more are expected from what is usual: a hall among all, a clerk in the hall."""
    total_bad, total = sum(line.bad_num for line in clerks.lines), sum(line.bad_den for line in clerks.lines)
    halls: dict[str, tuple[int, int]] = {}
    for line in clerks.lines:
        bad, active = halls.get(line.hall, (0, 0))
        halls[line.hall] = (bad + line.bad_num, active + line.bad_den)
    usual = total_bad / total if total else 0.0
    found = [
        Marked(hall, "R9", "hall", bad, active)
        for hall, (bad, active) in halls.items()
        if is_without_negatives(bad, usual * active)
    ]
    for line in clerks.lines:
        bad, active = halls[line.hall]
        if bad and is_without_negatives(line.bad_num, bad / active * line.bad_den):
            found.append(Marked(line.hall, "R9", line.clerk, line.bad_num, line.bad_den))
    return found


def _gaps(totals: Totals, span: Period) -> list[Marked]:
    """R11: a clerk's good share at the counter far above that given in private; false discoveries controlled."""
    sums: dict[tuple[str, str], list[int]] = {}
    for name, hall in totals.halls.items():
        for key, cell in zip(hall.keys, hall.cells, strict=True):
            if span.first <= key[1] <= span.last and key[3]:
                one = sums.setdefault((name, key[3]), [0, 0, 0, 0])
                good, active = sum(cell.n[2:]) - cell.private[0], sum(cell.n) - cell.private[1]
                for at, value in enumerate((good, active, *cell.private)):
                    one[at] += value
    tried = [(who, one) for who, one in sums.items() if min(one[1], one[3]) > 0]
    kept = discoveries([normal_above(two_shares(*one)) for _, one in tried]) if tried else []
    return [
        Marked(hall, "R11", clerk, one[0] * PPM // one[1], one[2] * PPM // one[3])
        for ((hall, clerk), one), real in zip(tried, kept, strict=True)
        if real and is_channel_gap((one[0], one[1]), (one[2], one[3]))
    ]


def _choosy(name: str, hall: HallTotals) -> list[Marked]:
    """R8: whoever waited long is asked less than others, beyond chance; false discoveries controlled. Since ever."""
    tried = [(clerk, [row[at : at + 2] for at in range(0, 8, 2)]) for clerk, row in hall.asked.items() if sum(row)]
    kept = discoveries([independence(table)[1] for _, table in tried]) if tried else []
    found: list[Marked] = []
    for (clerk, table), real in zip(tried, kept, strict=True):
        soon, late = table[0], table[-1]
        falls = soon[0] * sum(late) > late[0] * sum(soon)
        if real and falls and independence(table)[1] < CHOOSY:
            found.append(Marked(name, "R8", clerk, late[0], sum(late)))
    return found


def _rhythms(name: str, hall: HallTotals) -> list[Marked]:
    """R4 and R5: answers in step, or more in a minute than chance gives, at one device."""
    found: list[Marked] = []
    for device, times in hall.gaps.items():
        gaps = [later - earlier for earlier, later in pairwise(times)]
        if is_regular(gaps):
            found.append(Marked(name, "R4", device, len(gaps), 30))
        span_ms = times[-1] - times[0]
        most = max((sum(at <= other < at + MINUTE_MS for other in times) for at in times), default=0)
        mean = (len(times) - most) / max(1.0, (span_ms - MINUTE_MS) / MINUTE_MS)
        if span_ms > 10 * MINUTE_MS and is_burst(most, mean, open_hours=True):
            found.append(Marked(name, "R5", device, most, len(times)))
    return found


assert "device" not in PRIVATE, "what is given at the counter is not private"
