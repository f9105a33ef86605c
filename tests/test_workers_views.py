"""workers/views.py: rows follow the records, late and in few batches; after a crash they come out equal."""

import asyncio
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from core import commands as c
from core import commands_cases as cc
from core import record
from core.cases import Case, CaseState
from core.conduct import Entry
from core.evaluation import EvaluationState
from core.facts_cases import CaseAssigned, ConductVoided, EvaluationAppealed
from core.hall import Hall
from core.state import HallState
from core.ticket import State
from tests.halls import HALL, MIN, MORNING, Driven, opened
from tests.test_fold import a_morning, rows
from workers import engine, fold, views
from workers.journal import SqliteJournal
from workers.opening import Options
from workers.ports import Part
from workers.rebuild import rebuild
from workers.verify import verify
from workers.views import Touched, Views
from workers.writer import Words

SMALL = Options(presize=0, mark_every_s=3600, retry_s=(0.0, 0.0), busy_ms=10)


def word(column: str) -> str:
    return f"(SELECT text FROM word WHERE id = {column})"


TABLES = {
    "ticket": f"SELECT id, state, {word('service')}, {word('class')}, day, number, counter, {word('staff')}, "
    "taken_ms, called_ms, start_ms, end_ms FROM ticket ORDER BY id",
    "evaluation": f"SELECT id, state, level, {word('staff')}, counter, {word('service')}, {word('channel')}, "
    "opened_ms, rated_ms, end_ms FROM evaluation ORDER BY id",
    "device": "SELECT kind, profile, state, counter, seen_ms FROM device ORDER BY id",
}


class Clock:
    """Time by hand."""

    def __init__(self) -> None:
        self.at = 0.0

    def __call__(self) -> float:
        return self.at


async def opened_journal(directory: Path, clock: Clock | None = None) -> SqliteJournal:
    journal = await SqliteJournal.open(directory, now_ms=lambda: MORNING, options=SMALL)
    if clock is not None:
        journal.views = Views(journal.views.proj_seq, clock)
    return journal


def tables(directory: Path) -> dict[str, list[Any]]:
    with closing(engine.reader(next(directory.glob("journal-????-??.db")))) as db:
        return {table: db.execute(sql).fetchall() for table, sql in TABLES.items()}


def meta(directory: Path, key: str) -> int:
    with closing(engine.reader(next(directory.glob("journal-????-??.db")))) as db:
        return int(db.execute("SELECT v FROM meta WHERE k = ?", (key,)).fetchone()[0])


async def played(journal: SqliteJournal, driven: Driven, *, step: int = 7, first: int = 0) -> Hall:
    """What a dispatcher does with these facts: fold, note, append."""
    hall = Hall(HallState(HALL))
    touched = journal.views.of(hall.state)
    lines = rows(driven)
    for n, row in enumerate(lines[:first], 1):
        fold.apply(hall, n, row)
    for at in range(first, len(lines), step):
        some = lines[at : at + step]
        for n, row in enumerate(some, at + 1):
            touched.note(fold.apply(hall, n, row), row.at_ms)
        await journal.append([Part(HALL, at, some)])
    return hall


def test_rows_are_what_the_records_are(tmp_path: Path) -> None:
    driven = a_morning()

    async def scenario() -> None:
        journal = await opened_journal(tmp_path)
        await played(journal, driven)
        await journal.close()

    asyncio.run(scenario())
    found, state = tables(tmp_path), driven.state
    assert [(row[1], row[5], row[6], row[8], row[9]) for row in found["ticket"]] == [
        (int(one.state), one.number, one.counter or None, one.taken_ms, one.called_ms or None)
        for one in state.tickets.values()
    ]
    assert [row[2] for row in found["ticket"]] == [state.services[one.service] for one in state.tickets.values()]
    served = [row for row in found["ticket"] if row[1] == State.SERVED]
    assert served and all(row[7] and row[10] and row[11] for row in served), "staff, start and end are known"
    assert [(row[1], row[7]) for row in found["evaluation"]] == [
        (int(one.state), one.opened_ms) for one in state.evaluations.values()
    ]
    assert meta(tmp_path, "proj_seq") == len(driven.journal)
    assert verify(tmp_path) == []


@pytest.mark.parametrize("step", [1, 1000], ids=["a batch each", "one batch"])
def test_an_appeal_leaves_how_and_when_it_was_rated(tmp_path: Path, step: int) -> None:
    driven = a_morning()
    rated_ms = driven.at_ms = driven.at_ms + MIN
    driven.ask(c.SubmitEvaluation(1, 4, channel="web"))
    driven.at_ms += MIN
    driven.ask(cc.AppealEvaluation(1, by="staff-1"))

    async def scenario() -> None:
        journal = await opened_journal(tmp_path)
        await played(journal, driven, step=step)
        await journal.close()

    asyncio.run(scenario())
    (row,) = tables(tmp_path)["evaluation"]
    assert (*row[1:3], row[6], *row[8:]) == (EvaluationState.APPEALED, 4, "web", rated_ms, driven.at_ms)


def test_tickets_wait_for_the_sweep_and_evaluations_do_not(tmp_path: Path) -> None:
    driven = a_morning()

    async def scenario() -> None:
        clock = Clock()
        journal = await opened_journal(tmp_path, clock)
        await played(journal, driven)
        found = await journal.alone(lambda db: [db.execute(sql).fetchall() for sql in TABLES.values()])
        assert [bool(rows) for rows in found] == [False, True, False]
        assert journal.views.lag(journal.last) == journal.last > 0
        commits = journal.stats.commits
        await journal.sweep()
        assert journal.stats.commits == commits, "it is not time"
        clock.at = views.SWEEP_S
        await journal.sweep()
        assert (journal.stats.commits, journal.views.lag(journal.last)) == (commits + 1, 0)
        await journal.close()

    asyncio.run(scenario())
    assert tables(tmp_path)["ticket"]


def test_a_sweep_adds_at_most_so_many_rows_to_a_batch_and_ends_with_the_watermark(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(views, "ROWS_MAX", 3)
    driven = a_morning()

    async def scenario() -> None:
        clock = Clock()
        journal = await opened_journal(tmp_path, clock)
        await played(journal, driven)
        clock.at, before = views.SWEEP_S, journal.views.rows
        last, written = journal.last, []
        while journal.views.due():
            await journal.append([Part("other", len(written), rows(driven)[:1])])
            written.append((journal.views.rows - before, journal.views.proj_seq))
            before = journal.views.rows
        assert max(count for count, _ in written) <= 3 and len(written) > 1
        assert [mark for _, mark in written[:-1]] == [0] * (len(written) - 1)
        assert last < written[-1][1] <= last + 1, "the seq at its start"
        await journal.close()

    asyncio.run(scenario())


@pytest.mark.parametrize(("facts", "most"), [(1, 2), (3, 3), (9, 4), (0, 4)])
def test_a_small_batch_carries_a_small_part_of_the_sweep(
    facts: int, most: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A press waits for its whole batch; without facts nobody waits."""
    monkeypatch.setattr(views, "ROWS_MIN", 2)
    monkeypatch.setattr(views, "ROWS_MAX", 4)
    driven = a_morning()

    async def scenario() -> None:
        clock = Clock()
        journal = await opened_journal(tmp_path, clock)
        await played(journal, driven)
        clock.at = views.SWEEP_S
        swept, _ = journal.views.take(Words([""]), journal.last, facts)
        assert sum(len(found) for sql, found in swept if sql in (views.TICKET, views.DEVICE)) == most
        await journal.close()

    asyncio.run(scenario())


def test_a_row_may_be_newer_than_the_watermark_never_older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole record is written, as it is when its turn comes."""
    monkeypatch.setattr(views, "ROWS_MAX", 1)
    driven = opened()
    first, second = driven.take("si"), driven.take("tax")

    async def scenario() -> None:
        clock = Clock()
        journal = await opened_journal(tmp_path, clock)
        touched = journal.views.of(driven.state)
        for line in driven.journal:
            touched.note(record.decode(*line[:3])[0], line.at_ms)
        clock.at = 1.0
        await journal.append([Part(HALL, 0, rows(driven))])
        before = len(driven.journal)
        driven.call(1)
        for line in driven.journal[before:]:
            touched.note(record.decode(*line[:3])[0], line.at_ms)
        await journal.append([Part(HALL, before, rows(driven, before))])
        await journal.close()

    asyncio.run(scenario())
    states = {row[5]: row[1] for row in tables(tmp_path)["ticket"]}
    assert states == {one.number: int(one.state) for one in (first, second)}
    assert State.CALLED in states.values()


@pytest.mark.parametrize("cut", [1, 2, 3])
def test_after_a_crash_they_catch_up(tmp_path: Path, cut: int) -> None:
    """Killed with rows in memory only; the facts behind the snapshot are noted again."""
    driven = a_morning()
    at = len(driven.journal) * cut // 4

    async def killed() -> None:
        journal = await opened_journal(tmp_path / "data", Clock())
        hall = Hall(HallState(HALL))
        touched = journal.views.of(hall.state)
        for n, row in enumerate(rows(driven), 1):
            touched.note(fold.apply(hall, n, row), row.at_ms)
            await journal.append([Part(HALL, n - 1, [row])])
            if n == at:
                await journal.save(HALL, n, hall.state.snapshot())
                assert not journal.views.behind, "a snapshot waits for the sweep"
        journal._leave = lambda: asyncio.sleep(0)
        await journal.close()

    async def again() -> None:
        journal = await opened_journal(tmp_path / "data")
        folded = await fold.recover(journal)
        assert folded.facts == len(driven.journal) - at
        await journal.close()

    async def whole() -> None:
        journal = await opened_journal(tmp_path / "whole")
        await played(journal, driven)
        await journal.close()

    asyncio.run(killed())
    asyncio.run(whole())
    assert tables(tmp_path / "data") != tables(tmp_path / "whole")
    asyncio.run(again())
    assert tables(tmp_path / "data") == tables(tmp_path / "whole")


def test_they_can_be_made_anew_from_the_facts_alone(tmp_path: Path) -> None:
    driven = a_morning()

    async def scenario() -> None:
        journal = await opened_journal(tmp_path)
        await played(journal, driven)
        await journal.close()

    asyncio.run(scenario())
    before = tables(tmp_path)
    db = engine.connect(next(tmp_path.glob("*.db")), isolation_level=None)
    db.execute("UPDATE ticket SET state = 9, number = 'X'")
    db.execute("DELETE FROM evaluation")
    db.close()
    assert asyncio.run(rebuild(tmp_path, lambda: MORNING)) > 0
    assert tables(tmp_path) == before
    assert meta(tmp_path, "proj_seq") == len(driven.journal), "the watermark too"


def test_a_fact_about_nothing_known_touches_nothing() -> None:
    driven = opened()
    touched = Touched(driven.state)
    touched.note(record.decode(*driven.journal[-1][:3])[0], MORNING)
    for kind in (views.t.TicketPrinted(999), views.t.CallAnnounced(1)):
        touched.note(kind, MORNING)
    assert not (touched.tickets or touched.evaluations)
    driven.wait(MIN)


def test_cases_and_conduct_go_with_their_facts(tmp_path: Path) -> None:
    """A follow-up is opened, closed and drawn whole; an entry of the ledger is voided."""
    driven = opened()
    state = driven.state
    state.cases[4] = Case(4, "bad_review", 9, 1, "u1", "tax", MORNING, verify_due_ms=MORNING + MIN)
    state.conduct[2] = Entry(2, "u1", "late", 20261124)

    async def scenario() -> None:
        journal = await opened_journal(tmp_path, Clock())
        touched = journal.views.of(state)
        for fact in (CaseAssigned(4, "u9"), ConductVoided(2), EvaluationAppealed(9, "u1"), CaseAssigned(99, "u9")):
            touched.note(fact, MORNING)
        assert list(touched.cases) == [4] and list(touched.entries) == [2]
        state.cases[4].state = CaseState.ASSIGNED
        await journal.append([Part(HALL, 0, rows(driven)[:1])])
        assert not journal.views.behind
        found = await journal.alone(lambda db: db.execute('SELECT state, call, closed_ms FROM "case"').fetchall())
        assert found == [(int(CaseState.ASSIGNED), 9, None)]
        found = await journal.alone(lambda db: db.execute("SELECT on_day, voided FROM conduct").fetchall())
        assert found == [(20261124, 0)]
        await journal.close()

    asyncio.run(scenario())
