"""workers/report.py: what was rated, followed up and staffed, counted once, from a journal that is only read."""

import asyncio
from pathlib import Path

import msgspec
import pytest

from core import commands as c
from core import commands_cases as cc
from core.record import decode
from core.statistics import RANKED
from tests.halls import HALL, MIN, Driven, clock, opened
from tests.test_replays import change, rows, stored
from workers import report as reports
from workers.journal import SqliteJournal
from workers.ports import JournalDamaged, Missing, Part
from workers.recovery import newest_file
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
    found = reports.report(reports.update(data), MONTH, by).lines
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


def test_the_next_report_counts_only_what_came_since(tmp_path: Path) -> None:
    hall = lively()
    lines = rows(hall)

    async def append(first: int, last: int) -> None:
        journal = await SqliteJournal.open(tmp_path, now_ms=lambda: hall.at_ms)
        await journal.append([Part(HALL, first, lines[first:last])])
        await journal.close()

    for first, last in ((0, 10), (10, 11), (11, 40), (40, len(lines))):
        asyncio.run(append(first, last))
        totals = reports.update(tmp_path)
        assert totals == reports.update(tmp_path, fresh=True)
        assert totals.seq == last
    assert reports.kept(tmp_path).exists()
    whole = Counter(Totals())
    for line_ in hall.journal:
        whole.note(HALL, decode(line_.kind, line_.v, line_.payload)[0], line_.at_ms)
    assert whole.totals.halls == totals.halls


def test_totals_of_another_journal_or_none_begin_anew(tmp_path: Path) -> None:
    stored(tmp_path, lively())
    fresh = reports.update(tmp_path)
    path = reports.kept(tmp_path)
    for wrong in (
        b"nothing",
        msgspec.msgpack.encode(Totals(fresh.seq, 1)),
        msgspec.msgpack.encode(Totals(99_999, fresh.at_ms)),
    ):
        path.write_bytes(wrong)
        assert reports.update(tmp_path) == fresh


def test_a_directory_that_cannot_be_written_is_reported_on(tmp_path: Path) -> None:
    stored(tmp_path, lively())
    (tmp_path / "report").write_text("a file where the directory would be")
    assert reports.update(tmp_path).seq > 0


def test_nothing_is_written_to_the_journal(tmp_path: Path) -> None:
    stored(tmp_path, lively())
    path = newest_file(tmp_path)
    assert path is not None
    before = path.read_bytes()
    reports.update(tmp_path)
    assert path.read_bytes() == before


def test_no_journal_and_a_damaged_row(tmp_path: Path) -> None:
    with pytest.raises(Missing):
        reports.update(tmp_path)
    stored(tmp_path, lively())
    change(tmp_path, "UPDATE journal SET payload = x'c1' WHERE kind = 26")
    with pytest.raises(JournalDamaged, match="row "):
        reports.update(tmp_path)


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
    assert (small.n1, small.bad_num, small.good_num, small.n3, small.good_high) == (-1, -1, -1, 6, 1.0)
    assert (clean.n1, clean.bad_num, clean.good_num) == (0, 0, 65)


@pytest.mark.parametrize(
    ("day", "month", "span"), [("2026-11-23", "", (20261123, 20261123)), ("", "2026-11", (20261100, 20261199))]
)
def test_periods(day: str, month: str, span: tuple[int, int]) -> None:
    assert reports.period(day, month) == span


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
