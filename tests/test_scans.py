"""workers/scans.py: what is planted among honest ratings is marked, honest ratings are not, and no rating changes."""

from random import Random

import msgspec

from workers.report import Period
from workers.scans import Marked, scan
from workers.totals import Counter, HallTotals, Totals

MONTH = Period(20261100, 20261199)
SECOND = 1000


def honest(clerks: int = 40, ratings: int = 600, bad: int = 2) -> tuple[Counter, HallTotals, Random]:
    """Clerks of one hall: `bad` of a hundred bad, a tenth 4, at the counter and in private alike."""
    counter, rng = Counter(Totals()), Random(11)
    hall = counter.totals.halls.setdefault("h", HallTotals(day=20261123))
    for no in range(clerks):
        cell = hall.cells[counter.cell("h", hall, "hrss", f"u{no}", "si")]
        for at in range(ratings):
            level = rng.choice([1, 2]) if rng.randrange(100) < bad else rng.choice([4, *[5] * 9])
            cell.n[level - 1] += 1
            if at % 4 == 0:
                cell.private[0] += level > 2
                cell.private[1] += 1
    return counter, hall, rng


def marks(counter: Counter) -> list[tuple[str, str]]:
    return [(one.rule, one.subject) for one in scan(counter.totals, MONTH)]


def plant(counter: Counter, hall: HallTotals, clerk: str, n: list[int], private: list[int] | None = None) -> None:
    cell = hall.cells[counter.cell("h", hall, "hrss", clerk, "si")]
    cell.n, cell.private = n, private or [0, 0]


def test_honest_ratings_are_not_marked() -> None:
    assert marks(honest()[0]) == []


def test_r7_two_hundred_fives_and_nothing_else() -> None:
    counter, hall, _ = honest()
    plant(counter, hall, "perfect", [0, 0, 0, 0, 200])
    assert marks(counter) == [("R7", "perfect")]
    plant(counter, hall, "perfect", [0, 0, 0, 0, 20])
    assert marks(counter) == [], "twenty are nothing out of the way"


def test_r9_a_clerk_and_a_hall_without_a_bad_one() -> None:
    counter, hall, _ = honest()
    plant(counter, hall, "clean", [0, 0, 0, 60, 540])
    assert marks(counter) == [("R9", "clean")]
    other = counter.totals.halls.setdefault("g", HallTotals(day=20261123))
    other.cells[counter.cell("g", other, "hrss", "v1", "si")].n = [0, 0, 0, 100, 400]
    assert Marked("g", "R9", "hall", 0, 500) in scan(counter.totals, MONTH)


def test_r11_friendlier_at_the_counter_than_in_private() -> None:
    counter, hall, _ = honest()
    plant(counter, hall, "watched", [30, 30, 0, 40, 400], [60, 120])
    (found,) = scan(counter.totals, MONTH)
    assert (found.rule, found.subject, found.num, found.den) == ("R11", "watched", 1_000_000, 500_000)


def test_r4_and_r5_the_rhythm_of_a_device() -> None:
    counter, hall, rng = honest()
    at, people = 0, []
    for _ in range(60):
        at += rng.randrange(30, 600) * SECOND
        people.append(at)
    hall.gaps = {
        "people": people,
        "machine": [no * 20 * SECOND for no in range(31)],
        "burst": sorted([*people, *(people[20] + no * 7001 % 59_000 for no in range(12))]),
    }
    assert marks(counter) == [("R4", "machine"), ("R5", "burst")]


def test_r8_who_waited_long_is_not_asked() -> None:
    counter, hall, _ = honest()
    hall.asked = {"fair": [90, 10, 88, 12, 91, 9, 45, 5], "choosy": [95, 5, 90, 10, 60, 40, 20, 80]}
    hall.asked["eager"] = [20, 80, 60, 40, 90, 10, 95, 5]
    assert marks(counter) == [("R8", "choosy")]


def test_a_mark_is_a_command_with_integers_and_changes_nothing() -> None:
    counter, hall, _ = honest()
    plant(counter, hall, "perfect", [0, 0, 0, 0, 200])
    before = msgspec.msgpack.encode(counter.totals)
    (one,) = scan(counter.totals, MONTH)
    assert (one.finding().rule, one.finding().num, one.finding().den) == ("R7", 200, 200)
    assert msgspec.msgpack.encode(counter.totals) == before
    assert scan(Totals(), MONTH) == []


def test_a_clerk_whom_nobody_has_rated_is_no_reason_for_anything() -> None:
    counter = Counter(Totals())
    hall = counter.totals.halls.setdefault("h", HallTotals(day=20261123))
    hall.cells[counter.cell("h", hall, "hrss", "u1", "si")].served = 9
    assert marks(counter) == []
