"""workers/report.py: what was rated, followed up and staffed; each share over its own denominator, each against all."""

from pathlib import Path

import pytest
from scipy import stats

from core import commands as c
from core import commands_cases as cc
from core.statistics import RANKED
from tests.halls import MIN, Driven, clock, opened
from tests.test_replays import stored
from workers import counting
from workers import report as reports
from workers.follow_up import CaseLine
from workers.report import Line, Period
from workers.totals import Counter, HallTotals, Totals

MONTH = Period(20261100, 20261199)
DAY = 24 * 60 * MIN


def lively() -> Driven:
    """Two days: five servings at counter 1, one at counter 2; levels 5, 4, 1, none, 2 (excluded), and 3 by sms."""
    hall = opened(evaluation={"unrated": "default3"})
    for level in (5, 4, 1, 0, 2):
        hall.take()
        hall.at_ms += MIN
        call = hall.serve(1, 2 * MIN).call
        if level:
            hall.ask(c.ReportShown(call))
            hall.ask(c.SubmitEvaluation(call, level, real_name=level == 1), "ev-1")
    hall.ask(cc.AppealEvaluation(5, "staff-1"))
    hall.ask(cc.DecideAppeal(5, "mistaken", "boss"))
    hall.ask(c.SubmitEvaluation(1, 1), "ev-1")
    hall.at_ms = clock("2026-11-24 09:00")
    hall.due()
    hall.take("tax")
    call = hall.serve(2).call
    hall.ask(c.SubmitEvaluation(call, 3, channel="sms"))
    for step in (cc.AssignCase(1, "boss"), cc.VerifyCase(1, "no_basis"), cc.ReplyCase(1), cc.RevisitCase(1, 2)):
        hall.ask(step)
    hall.at_ms = clock("2026-12-02 10:00")
    hall.due()
    return hall


def line(data: Path, by: str, **where: object) -> Line:
    """The line of a group."""
    found = reports.report(counting.update(data), MONTH, by).lines
    (one,) = [one for one in found if all(getattr(one, name) == value for name, value in where.items())]
    return one


def test_n28_ratings_stand_over_their_own_servings(tmp_path: Path) -> None:
    stored(tmp_path, lively())
    clerk = line(tmp_path, "clerk", clerk="staff-1")
    assert (clerk.served, clerk.evaluable, clerk.shown, clerk.handling_s) == (5, 5, 4, 120)
    assert (clerk.n5, clerk.n4, clerk.n3, clerk.n2, clerk.n1) == (1, 1, 0, 0, 1)
    assert (clerk.excluded, clerk.defaulted, clerk.late) == (1, 1, 0)
    assert (clerk.rated_num, clerk.rated_den, clerk.bad_num, clerk.bad_den) == (3, 5, 1, 3)
    assert (clerk.satisfaction_num, clerk.satisfaction_den) == (1000, 15)
    assert (clerk.sample, clerk.rank) == ("too_few", 0)
    hall = line(tmp_path, "hall")
    assert (hall.good_num, hall.good_den, hall.taken, hall.called, hall.served) == (3, 4, 6, 6, 6)
    assert (hall.cases, hall.replied_num, hall.replied_den, hall.revisit_num, hall.revisit_den) == (2, 1, 2, 1, 1)
    assert (hall.appeal_num, hall.appeal_den, hall.good_with_defaults_num, hall.good_with_defaults_den) == (1, 1, 4, 5)


def test_n28_a_statement_for_each_department(tmp_path: Path) -> None:
    stored(tmp_path, lively())
    hrss, tax = line(tmp_path, "department", department="hrss"), line(tmp_path, "department", department="tax")
    assert (hrss.served, hrss.n1, hrss.cases, tax.served, tax.n3, tax.cases) == (5, 1, 2, 1, 1, 0)
    assert (line(tmp_path, "service", service="tax").late, line(tmp_path, "day", day=20261124).n3) == (1, 1)


def test_stages_in_time_of_those_that_had_a_clock(tmp_path: Path) -> None:
    """Case 1 was verified in time; case 2, of the excluded rating, too: it went to an explanation at once."""
    stored(tmp_path, lively())
    hall = line(tmp_path, "hall")
    assert (hall.in_time_num, hall.in_time_den) == (2, 2)
    late = opened()
    late.take()
    late.serve(1)
    late.ask(c.SubmitEvaluation(1, 1))
    late.wait(3 * DAY)
    stored(tmp_path / "late", late)
    assert (line(tmp_path / "late", "hall").in_time_num, line(tmp_path / "late", "hall").in_time_den) == (0, 1)


def test_n22_staffed_counters_against_the_roster(tmp_path: Path) -> None:
    """Three counters from 8:30 to 17:30; the first is left at noon, the second has a substitute from 12:30."""
    hall = opened()
    hall.at_ms = clock("2026-11-23 12:00")
    hall.ask(c.SignOffStaff(1))
    hall.ask(c.SignOffStaff(2))
    hall.at_ms = clock("2026-11-23 12:30")
    hall.ask(c.SignOnStaff("staff-9", 2, "staff-2"))
    hall.at_ms = clock("2026-11-24 08:00")
    hall.due()
    stored(tmp_path, hall)
    day = line(tmp_path, "day", day=20261123)
    assert (day.covered_num, day.covered_den) == ((210 + 510 + 540) * 60, 3 * 540 * 60)


def test_an_award_list_has_enough_ratings_and_shows_ties() -> None:
    counter = Counter(Totals())
    hall = counter.totals.halls.setdefault("h", opened_totals())
    for name, good, bad in (("a", 990, 10), ("b", 985, 15), ("c", 900, 100), ("d", RANKED - 1, 0), ("e", RANKED, 0)):
        cell = hall.cells[counter.cell("h", hall, "hrss", name, "si")]
        cell.n, cell.evaluable = [bad, 0, 0, 0, good], 2000
    lines = reports.report(counter.totals, MONTH, "clerk").lines
    assert {one.clerk: one.rank for one in lines} == {"a": 1, "b": 1, "c": 4, "d": 0, "e": 1}
    assert {one.clerk: one.sample for one in lines}["d"] == "interval"


def opened_totals() -> HallTotals:
    return HallTotals(day=20261123)


def test_on_a_notice_board_small_cells_are_hidden() -> None:
    counter = Counter(Totals())
    hall = counter.totals.halls.setdefault("h", opened_totals())
    hall.cells[counter.cell("h", hall, "hrss", "u1", "si")].n = [1, 0, 6, 9, 50]
    hall.cells[counter.cell("h", hall, "tax", "u2", "tax")].n = [0, 0, 6, 9, 50]
    small, clean = reports.report(counter.totals, MONTH, "department", public=True).lines
    assert (small.n1, small.bad_num, small.good_num, small.n3, small.good_high) == (-1, -1, -1, -1, 1.0)
    assert (clean.n1, clean.bad_num, clean.good_num) == (0, 0, 65)


def test_what_is_hidden_cannot_be_worked_out_from_the_rest() -> None:
    """Two lines with the same totals that differ in a small cell alone are the same on a notice board."""
    told = []
    for bad in (1, 3):
        counter = Counter(Totals())
        hall = counter.totals.halls.setdefault("h", opened_totals())
        cell = hall.cells[counter.cell("h", hall, "hrss", "u1", "si")]
        cell.n, cell.evaluable, cell.defaulted, cell.cusum, cell.bad_ppm = [bad, 0, 0, 0, 60 - bad], 70, 4, bad, 10_000
        hall.cases = {at: CaseLine("bad_review", 20261123, "hrss", "u1", real_name=True) for at in range(bad)}
        told += reports.report(counter.totals, MONTH, "department", public=True).lines
    assert told[0] == told[1] and told[0].served == 0 and told[0].good_den == 60
    assert told[0].replied_den == told[0].cases == told[0].good_with_defaults_num == -1


def test_a_profile_of_few_devices_is_hidden_on_a_notice_board() -> None:
    """One device is one clerk."""
    counter = Counter(Totals())
    hall = counter.totals.halls.setdefault("h", opened_totals())
    for profile, number, n in (
        ("pad", 5, [0, 0, 0, 9, 90]),
        ("keys4", 4, [0, 0, 0, 9, 90]),
        ("box", 5, [0, 0, 0, 0, 0]),
    ):
        for at in range(number):
            device = f"{profile}-{at}"
            hall.given[device], hall.profiles[device] = {20261123: n}, profile
    hall.given["box-0"][20261123] = [3, 0, 0, 9, 90]
    box, keys, pad = reports.by_profile(counter.totals, MONTH, public=True)
    assert {getattr(keys, name) for name in reports.COUNTS} == {-1}
    assert (pad.n5, pad.n4, pad.bad_den) == (450, 45, 495)
    assert (box.n1, box.n5, box.bad_num, box.satisfaction_num) == (-1, -1, -1, -1)
    assert reports.by_profile(counter.totals, MONTH)[1].n5 == 360


@pytest.mark.parametrize(
    ("day", "month", "span"), [("2026-11-23", "", (20261123, 20261123)), ("", "2026-11", (20261100, 20261199))]
)
def test_periods(day: str, month: str, span: tuple[int, int]) -> None:
    assert reports.period(day, month) == span


def test_a_period_from_one_day_to_another() -> None:
    assert reports.period("", "", "2026-11-23", "2026-12-02") == (20261123, 20261202)
    for wrong in (
        ("", "", "2026-11-23", ""),
        ("", "2026-11", "2026-11-23", "2026-11-24"),
        ("", "", "2026-11-24", "2026-11-23"),
    ):
        with pytest.raises(ValueError, match=r"give one|lies after"):
            reports.period(*wrong)


@pytest.mark.parametrize(
    ("day", "month"), [("", ""), ("2026-11-23", "2026-11"), ("23 Nov", ""), ("2026-11", ""), ("", "2026-11-23")]
)
def test_what_is_no_period(day: str, month: str) -> None:
    with pytest.raises(ValueError, match=r"give one|is no"):
        reports.period(day, month)


def test_what_was_put_right_and_how_people_liked_it(tmp_path: Path) -> None:
    """Two substantiated cases were visited: one put right and liked, one put right and not; a third was not reached."""
    hall = opened()
    for case, satisfaction in ((1, 3), (2, 1), (3, 0)):
        hall.take()
        hall.ask(c.SubmitEvaluation(hall.serve(1).call, 1))
        steps = (cc.AssignCase(case, "boss"), cc.VerifyCase(case, "substantiated"), cc.RectifyCase(case))
        for step in (*steps, cc.ReplyCase(case), cc.RevisitCase(case, satisfaction, satisfaction > 0)):
            hall.ask(step)
    stored(tmp_path, hall)
    found = line(tmp_path, "hall")
    assert (found.revisit_rectified_num, found.revisit_rectified_den) == (2, 2)
    assert (found.revisit_satisfied_num, found.revisit_satisfied_den) == (1, 2)


def test_attention_is_for_whoever_is_surely_twice_as_bad() -> None:
    counter = Counter(Totals())
    hall = counter.totals.halls.setdefault("h", opened_totals())
    for name, bad in (("a", 2), ("b", 3), ("c", 30), ("d", 2)):
        hall.cells[counter.cell("h", hall, "hrss", name, "si")].n = [bad, 0, 0, 0, 300 - bad]
    lines = reports.report(counter.totals, MONTH, "clerk").lines
    assert [one.clerk for one in lines if one.attention] == ["c"]


def counted(*cells: tuple[str, str, str, list[int]]) -> Counter:
    """Totals of a day: department, clerk, service, ratings of level 1-5."""
    counter = Counter(Totals())
    hall = counter.totals.halls.setdefault("h", opened_totals())
    for department, clerk, service, n in cells:
        hall.cells[counter.cell("h", hall, department, clerk, service)].n = n
    return counter


def test_what_is_shown_is_drawn_towards_the_usual_of_hall_and_service() -> None:
    """One service is hard, one easy; who does the hard one alone is not drawn towards the easy one."""
    counter = counted(
        ("d", "hard", "x", [10, 10, 0, 40, 40]),
        ("d", "easy", "y", [0, 0, 0, 50, 850]),
        ("d", "both", "x", [5, 5, 0, 40, 50]),
        ("d", "both", "y", [0, 1, 0, 9, 90]),
    )
    x, y = (80 + 90) / 200, (900 + 99) / 1000
    shown = {one.clerk: one.good_shown for one in reports.report(counter.totals, MONTH, "clerk").lines}
    assert shown["hard"] == pytest.approx((80 + 50 * x) / 150, abs=1e-4)
    assert shown["easy"] == pytest.approx((900 + 50 * y) / 950, abs=1e-4)
    assert shown["both"] == pytest.approx((90 + 99 + 50 * (x + y) / 2) / 250, abs=1e-4)


def test_every_interval_and_every_chance_is_scipys() -> None:
    """Wilson, the posterior of attention and the false discoveries of a whole report, computed apart."""
    cells = [("d", f"u{no}", "x", [no, 0, 0, 20, 300 + 7 * no]) for no in range(30)]
    counter = counted(*cells)
    hall = counter.totals.halls["h"]
    for at, cell in enumerate(hall.cells):
        cell.bad_ppm = 3_000_000 + 100_000 * at
    lines = reports.report(counter.totals, MONTH, "clerk").lines
    prior = sum(one.good_num for one in lines) / sum(one.good_den for one in lines)
    p_values = []
    for one in lines:
        low, high = stats.binomtest(one.good_num, one.good_den).proportion_ci(method="wilson")
        assert (one.good_low, one.good_high) == pytest.approx((low, high), abs=1e-4)
        a, b = one.bad_num + 50 * (1 - prior), one.good_num + 50 * prior
        assert one.attention is bool(stats.beta.sf(2 * (1 - prior), a, b) > 0.95)
        assert one.bad_ratio == pytest.approx(one.bad_num / one.bad_expected, abs=0.01)
        p_values.append(stats.poisson.sf(one.bad_num - 1, one.bad_expected))
    worse = [bool(p <= 0.10) for p in stats.false_discovery_control(p_values, method="bh")]
    assert [one.worse for one in lines] == worse and 0 < sum(worse) < 30


@pytest.mark.parametrize(("rated", "worse"), [(19, False), (20, True)])
def test_a_few_ratings_say_nothing_against_anybody(rated: int, worse: bool) -> None:
    counter = counted(("d", "u1", "x", [rated, 0, 0, 0, 0]), ("d", "u2", "y", [0, 0, 0, 0, 2]))
    for cell in counter.totals.halls["h"].cells:
        cell.bad_ppm = 300_000
    first, second = reports.report(counter.totals, MONTH, "clerk").lines
    assert (first.worse, second.worse, second.attention) == (worse, False, False)


def test_a_clerks_moving_handling_time_is_that_of_the_page(tmp_path: Path) -> None:
    """Lambda .1 of the logarithm; two servings of 2 minutes, one of 10, told as of the end of the period."""
    hall = opened()
    for minutes in (2, 2, 10):
        hall.take()
        hall.serve(1, minutes * MIN)
    stored(tmp_path, hall)
    assert line(tmp_path, "clerk", clerk="staff-1").handling_ewma_s == int(120 * 5**0.1)
    assert line(tmp_path, "hall").handling_ewma_s == 0


def test_what_is_asked_for_by_name(tmp_path: Path) -> None:
    """A filter changes no rate and no prior; of a department, the places are those among its clerks."""
    stored(tmp_path, lively())
    totals = counting.update(tmp_path)
    (clerk,) = reports.report(totals, MONTH, "clerk", only={"clerk": "staff-1"}).lines
    assert clerk == line(tmp_path, "clerk", clerk="staff-1")
    (service,) = reports.report(totals, MONTH, "service", only={"clerk": "staff-2"}).lines
    assert (service.service, service.served) == ("tax", 1)
    (hall,) = reports.report(totals, MONTH, "hall", only={"department": "tax"}).lines
    assert (hall.served, hall.cases, hall.covered_den) == (1, 0, 0)
    assert reports.report(totals, MONTH, "hall", only={"hall": "h9"}).lines == []


def test_n17_the_star_list_shows_ties_and_leaves_small_samples_out() -> None:
    names = (("a", 990, 10), ("b", 985, 15), ("c", 900, 100), ("d", RANKED - 1, 0))
    counter = counted(*(("d", name, "x", [bad, 0, 0, 0, good]) for name, good, bad in names))
    found = reports.stars(reports.report(counter.totals, MONTH, "clerk"))
    assert [(one.clerk, one.rank) for one in found] == [("a", 1), ("b", 1), ("c", 3)]


def test_alarms_of_the_cusum_stand_at_the_clerk(tmp_path: Path) -> None:
    hall = opened(evaluation={"watch": ("CUSUM",)})
    for _ in range(4):
        hall.take("tax")
        hall.ask(c.SubmitEvaluation(hall.serve(2).call, 1))
    stored(tmp_path, hall)
    assert line(tmp_path, "clerk", clerk="staff-2").cusum == line(tmp_path, "hall").cusum == 1
