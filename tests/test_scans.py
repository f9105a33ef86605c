"""workers/scans.py: each rule of its period, just below and at its threshold; honest ratings are not marked."""

from collections.abc import Callable
from math import exp
from random import Random

import msgspec
import pytest

from core.statistics import independence, poisson_at_least, two_shares
from workers.mix import PPM
from workers.report import Period
from workers.rhythm import DayMark
from workers.scans import Marked, scan
from workers.totals import Cell, Counter, HallTotals, Totals

MONTH = Period(20261100, 20261199)
BEFORE = Period(20261000, 20261099)
TODAY = 20261123


def honest(clerks: int = 40, ratings: int = 600, bad: int = 2) -> tuple[Counter, HallTotals]:
    """Clerks of one hall: `bad` of a hundred bad, a tenth 4, at the counter and in private alike; a device each."""
    counter, rng = Counter(Totals()), Random(11)
    hall = counter.totals.halls.setdefault("h", HallTotals(day=TODAY, days=[(TODAY, 0)]))
    for no in range(clerks):
        cell = a_cell(counter, hall, f"u{no}")
        for at in range(ratings):
            level = rng.choice([1, 2]) if rng.randrange(100) < bad else rng.choice([4, *[5] * 9])
            cell.n[level - 1] += 1
            if at % 4 == 0:
                cell.private[0] += level > 2
                cell.private[1] += 1
        hall.given[f"ev-{no}"] = {TODAY: [*cell.n]}
    return counter, hall


def a_cell(counter: Counter, hall: HallTotals, clerk: str) -> Cell:
    return hall.cells[counter.cell("h", hall, "hrss", clerk, "si")]


def marks(counter: Counter, span: Period = MONTH) -> list[tuple[str, str]]:
    return [(one.rule, one.subject) for one in scan(counter.totals, span)]


def plant(counter: Counter, hall: HallTotals, clerk: str, n: list[int], private: list[int] | None = None) -> None:
    cell = a_cell(counter, hall, clerk)
    cell.n, cell.private = n, private or [0, 0]


def test_honest_ratings_are_not_marked() -> None:
    assert marks(honest()[0]) == [] == marks(Counter(Totals()))


@pytest.mark.parametrize(("early", "marked"), [(8, False), (9, True)])
def test_r2_servings_below_the_shortest_hundredth_of_the_service(early: int, marked: bool) -> None:
    """Two are to be expected of 200: eight are just above one in a thousand, nine below."""
    counter, hall = honest()
    for cell in hall.cells:
        cell.served, cell.early, cell.early_ppm = 200, 2, 200 * 10_000
    hall.cells[0].early = early
    assert (poisson_at_least(early, 2.0) < 1e-3) is marked
    assert marks(counter) == ([("R2", "u0")] if marked else [])


def test_r4_and_r5_are_of_the_days_asked_for() -> None:
    """The rhythm of a day belongs to that day, whenever somebody asks; that of today as far as it has come."""
    counter, hall = honest()
    hall.marks = [DayMark(20261030, "R4", "ev-1", 10, 30), DayMark(20261102, "R5", "ev-2", 7, 90)]
    hall.times = {"ev-3": [no * 20_000 for no in range(31)]}
    hall.periods = [(0, 8 * 3_600_000)]
    assert marks(counter, BEFORE) == [("R4", "ev-1")]
    assert marks(counter, Period(20261102, 20261102)) == [("R5", "ev-2")]
    assert [(one.rule, one.day) for one in scan(counter.totals, Period(TODAY, TODAY))] == [("R4", TODAY), ("R5", TODAY)]


@pytest.mark.parametrize(("fives", "marked"), [(134, False), (135, True)])
def test_r7_all_of_them_five_where_others_manage_95_of_a_hundred(fives: int, marked: bool) -> None:
    """.95 to the 134th is just above one in a thousand."""
    counter = Counter(Totals())
    hall = counter.totals.halls.setdefault("h", HallTotals(day=TODAY))
    plant(counter, hall, "usual", [10, 0, 0, 40, 950])
    plant(counter, hall, "perfect", [0, 0, 0, 0, fives])
    assert (0.95**fives < 0.001) is marked
    assert marks(counter) == ([("R7", "perfect")] if marked else [])
    assert marks(counter, BEFORE) == [], "of the days asked for"
    plant(counter, hall, "usual", [9, 0, 0, 40, 951])
    assert marks(counter) == [], "where others manage more, all of them 5 is nothing out of the way"


@pytest.mark.parametrize(("asked", "marked"), [(73, False), (70, True)])
def test_r8_who_waited_long_is_asked_less(asked: int, marked: bool) -> None:
    counter, hall = honest(clerks=3)
    for cell in hall.cells:
        cell.asked = [*(100, 90, 40), *(100, 90, 40), *(100, 90, 40), *(100, 90, 40), *(60, 54, 24)]
    hall.cells[0].asked[9:12] = (100, asked, 40 * asked // 90)
    table = [[90, 10]] * 3 + [[asked, 100 - asked]]
    assert (independence(table)[1] * 4 < 0.001) is marked
    assert marks(counter) == ([("R8", "u0")] if marked else [])
    assert marks(counter, BEFORE) == []


def test_r8_who_was_called_again_is_asked_less_and_who_rates_less() -> None:
    counter, hall = honest(clerks=3)
    for cell in hall.cells:
        cell.asked = [*(100, 90, 60), *(100, 90, 60), *(100, 90, 60), *(100, 90, 60), *(60, 54, 36)]
    hall.cells[0].asked[12:15] = (60, 20, 14)
    hall.cells[1].asked[9:12] = (100, 90, 25)
    hall.cells[2].asked[0:3] = (100, 50, 20)
    assert scan(counter.totals, MONTH) == [
        Marked("h", "R8", "u0", 20, 60, TODAY),
        Marked("h", "R8", "u1", 25, 100, TODAY),
    ], "who waited least is asked least: that is no reason"


@pytest.mark.parametrize(("rated", "marked"), [(249, False), (250, True)])
@pytest.mark.parametrize("subject", ["hall", "device", "profile"])
def test_r9_none_bad_where_five_are_expected(subject: str, rated: int, marked: bool) -> None:
    """Two of a hundred is usual: 250 ratings let expect five. Chance does it in 7 of a thousand cases."""
    counter, hall = Counter(Totals()), HallTotals(day=TODAY, days=[(TODAY, 0)])
    counter.totals.halls["h"] = hall
    assert exp(-5) < 0.10 / 2
    if subject == "hall":
        plant(counter, hall, "u1", [10, 10, 0, 480, 500])
        other = counter.totals.halls["g"] = HallTotals(day=TODAY, days=[(TODAY, 0)])
        other.cells[counter.cell("g", other, "hrss", "v1", "si")].n = [0, 0, 0, rated, 0]
        found = Marked("g", "R9", "hall", 0, rated, TODAY)
    else:
        hall.given = {"ev-1": {TODAY: [10, 10, 0, 980, 0]}, "ev-2": {TODAY: [0, 0, 0, rated, 0]}}
        if subject == "profile":
            hall.given["ev-3"] = {TODAY: [0, 0, 0, 1, 0]}
            hall.given["ev-2"][TODAY][3] -= 1
            hall.profiles = {"ev-1": "keys5", "ev-2": "pad", "ev-3": "pad"}
        name = "ev-2" if subject == "device" else "profile-pad"
        found = Marked("h", "R9", name, 0, rated, TODAY)
    assert (found in scan(counter.totals, MONTH)) is marked
    assert marks(counter, BEFORE) == []


def test_r9_where_nobody_anywhere_has_a_bad_one_the_fault_may_be_everywhere() -> None:
    counter, hall = Counter(Totals()), HallTotals(day=TODAY)
    counter.totals.halls["h"] = hall
    plant(counter, hall, "u1", [0, 0, 0, 499, 0])
    assert marks(counter) == []
    plant(counter, hall, "u1", [0, 0, 0, 500, 0])
    assert marks(counter) == [("R9", "hall")]


@pytest.mark.parametrize(
    ("device", "private", "marked"),
    [
        ((98, 100), (24, 29), False),
        ((98, 100), (24, 30), True),
        ((29, 29), (20, 60), False),
        ((98, 100), (26, 30), False),
    ],
)
def test_r11_friendlier_at_the_counter_than_in_private(
    device: tuple[int, int], private: tuple[int, int], marked: bool
) -> None:
    """Thirty of each, and three standard errors."""
    counter, hall = honest(clerks=3)
    good, rated = device[0] + private[0], device[1] + private[1]
    plant(counter, hall, "watched", [rated - good, 0, 0, good, 0], [*private])
    assert marked is (min(device[1], private[1]) >= 30 and two_shares(*device, *private) > 3)
    assert marks(counter) == ([("R11", "watched")] if marked else [])
    if marked:
        assert scan(counter.totals, MONTH)[0] == Marked(
            "h", "R11", "watched", 980_000, private[0] * PPM // private[1], TODAY
        )


def test_a_mark_is_a_command_with_integers_and_changes_nothing() -> None:
    counter, hall = honest()
    plant(counter, hall, "perfect", [0, 0, 0, 0, 200])
    before = msgspec.msgpack.encode(counter.totals)
    (one,) = scan(counter.totals, MONTH)
    assert (one.finding().rule, one.finding().num, one.finding().den) == ("R7", 200, 200)
    assert msgspec.msgpack.encode(counter.totals) == before


def test_a_clerk_whom_nobody_has_rated_is_no_reason_for_anything() -> None:
    counter = Counter(Totals())
    hall = counter.totals.halls.setdefault("h", HallTotals(day=TODAY))
    a_cell(counter, hall, "u1").served = 9
    assert marks(counter) == []


@pytest.mark.parametrize("rule", ["R7", "R9", "R11"])
def test_of_many_clerks_who_only_look_so_a_tenth_at_most_is_false(rule: str) -> None:
    """Two thousand honest clerks: chance alone puts some beyond a rule, and hardly one is reported."""
    counter, rng = Counter(Totals()), Random(3)
    hall = counter.totals.halls.setdefault("h", HallTotals(day=TODAY))
    draw: dict[str, Callable[[], int]] = {"R7": lambda: 6, "R9": lambda: 8, "R11": lambda: 10}
    for no in range(2000):
        n = [0, 0, 0, 0, 0]
        private = [0, 0]
        for at in range(250):
            bad = rng.randrange(100) < (2 if rule != "R11" else draw[rule]())
            n[0 if bad else 4 - (rng.randrange(100) < draw[rule]())] += 1
            if at % 4 == 0:
                private[0] += not bad
                private[1] += 1
        plant(counter, hall, f"u{no}", n, private)
        hall.given[f"ev-{no}"] = {TODAY: n}
    assert len([one for one in marks(counter) if one[0] == rule]) <= 1
