"""workers/totals.py: facts counted one by one; what is told has a rule, openings that were erased do no harm."""

from core import facts as f
from core import facts_cases as fc
from core import facts_tickets as t
from core.facts import KINDS
from tests.halls import EXAMPLES
from workers.totals import COUNTED, KEPT_DAYS, Counter, Totals


def test_every_rule_is_of_a_fact_of_the_catalogue() -> None:
    assert set(KINDS.values()) >= COUNTED


def test_what_no_report_tells_is_passed_over() -> None:
    counter = Counter(Totals())
    for kind, example in EXAMPLES.items():
        if kind not in COUNTED:
            counter.note("h", example, 1)
    assert counter.totals == Totals()


def test_a_rating_whose_opening_was_erased_is_counted_today() -> None:
    counter = Counter(Totals())
    counter.note("h", f.DayOpened(20261123, 0, 1), 0)
    counter.note("h", f.EvaluationSubmitted(7, 2, "u1", 1, "si", "hrss", "device", 1, False), 1)
    counter.note("h", fc.EvaluationExcluded(7, "mistaken", "boss"), 2)
    counter.note("h", fc.EvaluationExcluded(8, "mistaken", "boss"), 2)
    counter.note("h", f.EvaluationDefaulted(9, 3), 2)
    _, cell = counter.totals.halls["h"].cells
    assert (cell.n, cell.excluded, cell.evaluable) == ([0] * 5, 1, 0)


def test_servings_that_can_no_longer_be_rated_are_forgotten() -> None:
    counter = Counter(Totals())
    for day in range(KEPT_DAYS + 5):
        counter.note("h", f.DayOpened(20260101 + day, 0, 1), day)
        counter.note("h", f.EvaluationOpened(day + 1, 9, "u1", 1, "si", "hrss"), day)
    assert min(counter.totals.halls["h"].calls) == 5
    assert sum(cell.evaluable for cell in counter.totals.halls["h"].cells) == KEPT_DAYS + 5


def test_a_probe_is_in_no_total() -> None:
    assert fc.EvaluationProbed not in COUNTED


def test_who_is_asked_is_counted_by_how_long_people_waited() -> None:
    counter = Counter(Totals())
    counter.note("h", f.DayOpened(20261123, 0, 1), 0)
    for call, wait in enumerate((0, 300_000, 900_000, 1_800_000), 1):
        counter.note("h", t.ServingFinished(call, call, 1, "u1", "si", "hrss", "done", 1, wait), 0)
        counter.note("h", f.EvaluationOpened(call, 9, "u1", 1, "si", "hrss"), 0)
    for call in (1, 1, 4):
        counter.note("h", f.EvaluationShown(call), 1)
    assert counter.totals.halls["h"].cells[1].asked == [*(1, 1, 0), *(1, 0, 0), *(1, 0, 0), *(1, 1, 0), *(0, 0, 0)]
    counter.note("h", f.EvaluationSubmitted(4, 2, "u1", 1, "si", "hrss", "device", 1, False), 1)
    counter.note("h", f.EvaluationShown(4), 2)
    assert [cell.shown for cell in counter.totals.halls["h"].cells] == [0, 2]
    assert counter.totals.halls["h"].cells[1].n == [0, 1, 0, 0, 0]
    assert counter.totals.halls["h"].cells[1].asked[9:12] == [1, 1, 1]


def test_who_was_called_again_is_counted_beside() -> None:
    counter = Counter(Totals())
    counter.note("h", f.DayOpened(20261123, 0, 1), 0)
    counter.note("h", t.TicketRecalled(1, 1, 1, 1), 0)
    counter.note("h", t.TicketRecalled(1, 1, 1, 2), 0)
    for call in (1, 2):
        counter.note("h", t.ServingFinished(call, call, 1, "u1", "si", "hrss", "done", 1, 0), 0)
        counter.note("h", f.EvaluationOpened(call, 9, "u1", 1, "si", "hrss"), 0)
        counter.note("h", f.EvaluationShown(call), 1)
    counter.note("h", f.EvaluationSubmitted(1, 5, "u1", 1, "si", "hrss", "device", 1, False), 1)
    assert counter.totals.halls["h"].cells[1].asked == [*(2, 2, 1), *[0] * 9, *(1, 1, 1)]


def test_an_excluded_rating_is_expected_no_more() -> None:
    counter = Counter(Totals())
    counter.note("h", f.DayOpened(20261123, 0, 1), 0)
    for call in (1, 2):
        counter.note("h", t.ServingFinished(call, call, 1, "u1", "si", "hrss", "done", 1, 0), 0)
        counter.note("h", f.EvaluationOpened(call, 9, "u1", 1, "si", "hrss"), 0)
    counter.note("h", f.EvaluationSubmitted(1, 5, "u1", 1, "si", "hrss", "device", 1, False), 1)
    cell, mix = counter.totals.halls["h"].cells[1], counter.totals.halls["h"].mixes["si"]
    before = cell.bad_ppm
    counter.note("h", f.EvaluationSubmitted(2, 1, "u1", 1, "si", "hrss", "device", 1, False), 1)
    counter.note("h", fc.EvaluationExcluded(2, "mistaken", "boss"), 2)
    assert (cell.bad_ppm, mix.rated, mix.bad) == (before, 1, 0)


def test_devices_are_counted_by_day_and_their_rhythm_when_it_closes() -> None:
    counter = Counter(Totals())
    for day in (20261123, 20261124):
        counter.note("h", f.DayOpened(day, 0, 1, ((0, 3_600_000),)), 0)
        for call in range(1, 16):
            rating = f.EvaluationSubmitted(call, 5, "u1", 1, "si", "hrss", "device", 1, False, device="ev-1")
            counter.note("h", rating, call * (60_000 if day % 2 else 61_000 + call * 999))
        counter.note(
            "h", f.EvaluationSubmitted(99, 1, "u1", 1, "si", "hrss", "kiosk", 1, False, device="self-1"), 10**8
        )
        counter.note("h", f.DayClosed(day, 15, 15, 0, 0, 0), 0)
    hall = counter.totals.halls["h"]
    assert [(one.day, one.rule, one.subject) for one in hall.marks] == [(20261123, "R4", "ev-1")]
    assert hall.given["ev-1"] == {20261123: [0, 0, 0, 0, 15], 20261124: [0, 0, 0, 0, 15]} and hall.times == {}
    assert hall.given["self-1"][20261123] == [1, 0, 0, 0, 0] and hall.closed == 20261124
